"""Find what the CDK accepts in silence: unknown keys, unused parts, half-described streams, two defaults.

Prints one sentence per finding, with its place in the manifest; exits with 1 if there is any.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from airbyte_cdk.sources.declarative.parsers.custom_exceptions import UndefinedReferenceException
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import (
    ManifestReferenceResolver,
)

import source_amplitude.process.source  # noqa: F401 - registers the components by the manifest's name
from tools.schemas import MANIFEST, with_schemas

Schema = Mapping[str, Any]

COMPONENTS = yaml.safe_load(
    resources.files("airbyte_cdk.sources.declarative")
    .joinpath("declarative_component_schema.yaml")
    .read_text()
)
"""The CDK's own description of every component: a JSON schema."""
ANY = {"anyOf": [{"$ref": f"#/definitions/{name}"} for name in COMPONENTS["definitions"]]}
"""The schema of a custom component's own fields, which may hold any component."""


class Key(str):
    """A key of the manifest that knows its place there, even after references are resolved."""

    place: str


def with_places(node: Any, place: str = "") -> Any:
    """Copy a manifest with keys that know their places."""
    if isinstance(node, list):
        return [with_places(item, f"{place}[{number}]") for number, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    copy = {}
    for name, value in node.items():
        key = Key(name)
        key.place = f"{place}.{name}".lstrip(".")
        copy[key] = with_places(value, key.place)
    return copy


def lint(text: str) -> Iterator[str]:
    """Yield the findings in a manifest's text."""
    if text != with_schemas(text):
        yield "schemas: they differ from schemas/*.json; run `make schemas`."
    manifest = yaml.safe_load(text)
    yield from unused(manifest)
    try:
        resolved = ManifestReferenceResolver().preprocess_manifest(with_places(manifest))
    except UndefinedReferenceException as error:
        yield f"{error}; correct the reference."
        return
    # A shared part occurs once for each of its users; one finding is enough.
    components = components_in(resolved, COMPONENTS)
    yield from dict.fromkeys(fault for part in components for fault in faults_of(part))
    yield from misnamed(manifest)
    yield from defaults(manifest)
    for stream in resolved["streams"]:
        for part in stream.get("streams", [stream]):
            yield from half_described(part)


def unused(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the shared parts that no stream refers to, directly or through others."""
    shared = {
        (section, name): part
        for section in ("definitions", "schemas")
        for name, part in manifest.get(section, {}).items()
    }
    ahead = [{k: v for k, v in manifest.items() if k not in ("definitions", "schemas")}]
    while ahead:
        for reference in re.findall(r'"#/(\w+)/([^/"]+)', json.dumps(ahead.pop())):
            if reference in shared:
                ahead.append(shared.pop(reference))
    for section, name in shared:
        yield f"{section}.{name}: nothing refers to it; remove it."


def misnamed(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the streams whose definition, name and schema are not called the same."""
    for reference in manifest["streams"]:
        name = str(reference).rpartition("/")[2]
        stream = manifest["definitions"].get(name, {})
        if (other := stream.get("$parameters", {}).get("name", name)) != name:
            yield f"definitions.{name}: its name is `{other}`; call both the same."
        if (loader := stream.get("schema_loader", f"#/schemas/{name}")) != f"#/schemas/{name}":
            yield f"definitions.{name}: its schema_loader is `{loader}`; use `#/schemas/{name}`."


def defaults(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options whose default in `spec` is another where the option is null or missing.

    `config_normalization_rules` fill in the default of an option that is null, and templates say what a
    missing option means: `config.get('lookback_hours', 6)` or `config.get('project_timezone') or 'UTC'`.
    """
    rules = manifest["spec"]["config_normalization_rules"]["transformations"]
    fields = [field for rule in rules for field in rule["fields"]]
    of_null = {field["path"][0]: field["value"] for field in reversed(fields)}
    parts = {name: part for name, part in manifest.items() if name not in ("spec", "schemas")}
    text = json.dumps(parts)
    for name, option in manifest["spec"]["connection_specification"]["properties"].items():
        if "default" not in option:
            continue
        where, default = f"spec: the default of `{name}`", option["default"]
        if (filled := of_null.get(name)) != str(default):
            yield f"{where} is {default!r}, and {filled!r} in config_normalization_rules; correct one."
        for literal in re.findall(rf"config\.get\('{name}'(?:, |\) or )('[^']*'|\w+)", text):
            if ast.literal_eval(literal) != default:
                yield f"{where} is {default!r}, and {literal} in a template; correct one."


def alternatives(schema: Schema) -> Iterator[Schema]:
    """Yield the schemas that a value may follow, with references between them resolved."""
    if "$ref" in schema:
        schema = COMPONENTS["definitions"][schema["$ref"].rpartition("/")[2]]
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if "properties" in schema or not choices:
        yield schema
    else:
        for choice in choices:
            yield from alternatives(choice)


@dataclass(frozen=True)
class Component:
    """A mapping of the manifest as the CDK reads it, and the components in it.

    `candidates` are the component schemas that its place allows, `schema` the one that it follows; None if
    no candidate has its type. `fields` has the schema of each key that it may have; None if it is a custom
    component whose class does not exist.
    """

    node: Mapping[Any, Any]
    candidates: list[Schema]
    schema: Schema | None
    fields: Mapping[str, Any] | None
    parts: list["Component"]

    @property
    def kind(self) -> str | None:
        """What its `type` says."""
        return self.node.get("type")

    def names(self) -> set[str]:
        """Return the names of its fields and of the fields of all components in it."""
        within = (part.names() for part in self.parts)
        return set(self.fields or () if self.schema else ()).union(*within)


def components_in(value: Any, schema: Schema) -> Iterator[Component]:
    """Yield the outermost components in a value of the manifest that follows a schema."""
    if isinstance(value, list):
        items = [choice["items"] for choice in alternatives(schema) if "items" in choice]
        for item in value:
            yield from components_in(item, {"anyOf": items})
    elif isinstance(value, dict):
        yield component_of(value, schema)


def component_of(node: Mapping[Any, Any], schema: Schema) -> Component:
    """Return a mapping that follows a schema as a component."""
    choices = list(alternatives(schema))
    # A custom component's own field may be any mapping, and need not be a component.
    free = schema is ANY and "type" not in node
    candidates = [] if free else [choice for choice in choices if "properties" in choice]
    chosen = schema_of_type(node.get("type"), candidates)
    if chosen:
        fields = fields_of(node, chosen)
    else:
        values = [choice.get("additionalProperties") for choice in choices]
        alike = {"anyOf": [value for value in values if isinstance(value, dict)]}
        fields = dict.fromkeys(node, alike)
    parts = [
        part
        for key, value in node.items()
        if fields is not None and key != "$parameters"
        for part in components_in(value, fields.get(key, {}))
    ]
    return Component(node, candidates, chosen, fields, parts)


def schema_of_type(kind: str | None, candidates: list[Schema]) -> Schema | None:
    """Return the candidate of a type, or the only candidate if types do not matter."""
    if kind and any("type" in candidate["properties"] for candidate in candidates):
        kinds = (
            candidate["properties"].get("type", {}).get("enum", ()) for candidate in candidates
        )
        return next((c for c, of in zip(candidates, kinds, strict=True) if kind in of), None)
    return candidates[0] if len(candidates) == 1 else None


def fields_of(node: Mapping[Any, Any], schema: Schema) -> dict[str, Any] | None:
    """Return the schemas of a component's keys; None if it is custom and its class does not exist."""
    fields: dict[str, Any] = schema["properties"]
    if "class_name" not in fields:
        return fields
    try:
        hints = hints_of(node["class_name"])
    except (KeyError, ImportError, AttributeError):
        return None
    fields = {**dict.fromkeys(hints, ANY), **fields}
    if node.get("type") == "CustomRetriever":  # the stream reads its router there
        fields["partition_router"] = ANY
    return fields


def faults_of(component: Component) -> Iterator[str]:
    """Yield the findings in a component and in those within it."""
    for find in (mistyped, without_class, unknown_keys, deprecated_keys, unused_parameters):
        yield from find(component)
    for part in component.parts:
        yield from faults_of(part)


def mistyped(component: Component) -> Iterator[str]:
    """Yield that a component's type is missing, not allowed or deprecated."""
    node, kind = component.node, component.kind
    if component.schema:
        if component.schema.get("deprecated"):
            yield deprecated(f"{place(node, 'type')}: {kind}", component.schema)
    elif kind and any("type" in candidate["properties"] for candidate in component.candidates):
        yield f"{place(node, 'type')}: {kind} is not allowed here."
    elif len(component.candidates) > 1:
        yield f"{place(node)}: it has no `type` to check its keys against; add one."


def without_class(component: Component) -> Iterator[str]:
    """Yield that a custom component's class does not exist."""
    if component.fields is None:
        yield f"{place(component.node)}: its `class_name` names no class; correct it."


def unknown_keys(component: Component) -> Iterator[str]:
    """Yield the keys that a component does not have, which the CDK ignores."""
    if not component.schema or component.fields is None:
        return
    for key in component.node:
        if key != "$parameters" and key not in component.fields:
            kind = component.kind or "this part"
            yield f"{key.place}: {kind} has no such key, and the CDK ignores it."


def deprecated_keys(component: Component) -> Iterator[str]:
    """Yield the keys that the CDK calls deprecated."""
    if not component.schema or component.fields is None:
        return
    for key in component.node:
        if (field := component.fields.get(key, {})).get("deprecated"):
            yield deprecated(f"{key.place}: it", field)


def unused_parameters(component: Component) -> Iterator[str]:
    """Yield the parameters that neither a field nor a template in the component uses."""
    if not component.schema or component.fields is None:
        return
    names, text = component.names(), json.dumps(component.node)
    for key in component.node.get("$parameters", {}):
        if key not in names and not re.search(rf"parameters\W+(get\W+)?{key}\b", text):
            yield f"{key.place}: nothing uses this parameter; remove it."


def hints_of(class_name: str) -> Mapping[str, Any]:
    """Return the fields of a custom component: the CDK fills in what has a type hint."""
    module, _, name = class_name.rpartition(".")
    return get_type_hints(getattr(import_module(module), name))


def deprecated(what: str, schema: Mapping[str, Any]) -> str:
    """Word the finding on something that the CDK calls deprecated."""
    return f"{what} is deprecated. {schema.get('deprecation_message') or 'Replace it.'}"


def place(node: Mapping[Any, Any], name: str = "") -> str:
    """Return the place in the manifest of a mapping, or of a key in it."""
    key = next(key for key in node if not name or key == name)
    return str(key.place if name else key.place.rpartition(".")[0])


def half_described(stream: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a stream lacks: a schema, or its key or its cursor in the schema."""
    parameters = stream.get("$parameters", {})
    where = f"streams.{stream.get('name') or parameters.get('name')}"
    loader = stream.get("schema_loader") or {}
    properties = (loader.get("schema") or {}).get("properties")
    if loader.get("type") != "InlineSchemaLoader" or not properties:
        yield f"{where}: it has no schema; give it one of `schemas` as its `schema_loader`."
        return
    key = stream.get("primary_key") or parameters.get("primary_key") or []
    fields = [("key", field) for field in ([key] if isinstance(key, str) else key)]
    if cursor := (stream.get("incremental_sync") or {}).get("cursor_field"):
        fields.append(("cursor", cursor))
    for what, field in fields:
        if field not in properties:
            yield f"{where}: its schema lacks its {what} `{field}`; describe it there."


def main() -> int:
    """Print the findings in the manifest, or in the file given as argument."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MANIFEST
    findings = list(lint(path.read_text()))
    sys.stderr.writelines(f"{path.name}: {finding}\n" for finding in findings)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
