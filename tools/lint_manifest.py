"""Find what the CDK silently accepts: keys it does not know, unused parts, streams described by half.

Prints one sentence per finding, with its place in the manifest; exits with 1 if there is any.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
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
    yield from dict.fromkeys(keys(resolved, COMPONENTS, set()))
    yield from misnamed(manifest)
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


def alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas that a value may follow, with references between them resolved."""
    if "$ref" in schema:
        schema = COMPONENTS["definitions"][schema["$ref"].rpartition("/")[2]]
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if "properties" in schema or not choices:
        yield schema
    else:
        for choice in choices:
            yield from alternatives(choice)


def keys(node: Any, schema: Mapping[str, Any], fields_within: set[str]) -> Iterator[str]:
    """Yield the keys of a component, and of those in it, that are unknown, deprecated or unused.

    Adds the names of all these components' fields to `fields_within`.
    """
    choices = list(alternatives(schema))
    if isinstance(node, list):
        items = {"anyOf": [choice["items"] for choice in choices if "items" in choice]}
        for item in node:
            yield from keys(item, items, fields_within)
    if not isinstance(node, dict):
        return
    components = [choice for choice in choices if "properties" in choice]
    kind = node.get("type")
    if kind and any("type" in component["properties"] for component in components):
        known = [c for c in components if kind in c["properties"].get("type", {}).get("enum", ())]
        if not known:
            yield f"{place(node, 'type')}: {kind} is not allowed here."
    else:
        known = components if len(components) == 1 else []
        if len(components) > 1 and schema is not ANY:
            yield f"{place(node)}: it has no `type` to check its keys against; add one."
    if not known:
        values = [choice.get("additionalProperties") for choice in choices]
        alike = {"anyOf": [value for value in values if isinstance(value, dict)]}
        for value in node.values():
            yield from keys(value, alike, fields_within)
        return
    fields = known[0]["properties"]
    if known[0].get("deprecated"):
        yield deprecated(f"{place(node, 'type')}: {kind}", known[0])
    if "class_name" in fields:
        try:
            hints = hints_of(node["class_name"])
        except (KeyError, ImportError, AttributeError):
            yield f"{place(node)}: its `class_name` names no class; correct it."
            return
        fields = {**dict.fromkeys(hints, ANY), **fields}
        if kind == "CustomRetriever":  # the stream's, which reads it there
            fields["partition_router"] = ANY
    within = set(fields)
    for key, value in node.items():
        if key == "$parameters":
            continue
        if key not in fields:
            yield f"{key.place}: {kind or 'this part'} has no such key, and the CDK ignores it."
        elif fields[key].get("deprecated"):
            yield deprecated(f"{key.place}: it", fields[key])
        yield from keys(value, fields.get(key, {}), within)
    for key in node.get("$parameters", {}):
        if key not in within and not re.search(rf"parameters\W+(get\W+)?{key}\b", json.dumps(node)):
            yield f"{key.place}: nothing uses this parameter; remove it."
    fields_within |= within


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
