"""Write into the documentation what the code already says: streams, columns, options, commands.

A block is what stands between `<!-- NAME: written by make docs -->` and `<!-- end -->`. The last column of a
table of streams is written by hand and kept. docs/columns.sql is written as a whole. `make check` fails while
a block or that file differs, a stream is not described, docs/errors.md and the messages in the code do not
cover each other, or docs/design.md names something that the code does not have.
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import airbyte_cdk
import yaml
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import (
    ManifestReferenceResolver,
)

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = (ROOT / "source_amplitude" / "manifest.yaml").read_text()
BLOCK = re.compile(r"(<!-- (\w+): written by make docs -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SENTENCE = re.compile(r"[A-Z{](\S* ){3,}[^\n]*\.|`(\S* ){3,}[^\n]*")
"""What is a message to the user: four words or more, with a full stop or on an option."""
DEFINITION = re.compile(r"^class (\w+)|^(\w+) *[:=]", re.MULTILINE)
"""A class, or a constant of a module."""
FIRST_OPTIONS = (
    "api_key",
    "secret_key",
    "start_date",
    "data_region",
    "project_timezone",
    "lookback_hours",
)
"""The options that README.md shows; docs/amplitude.md has all of them."""


def pages() -> list[Path]:
    """Return the files that may contain blocks."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def written() -> Iterator[tuple[Path, str]]:
    """Yield each file that is written, wholly or in blocks, with its text up to date."""
    for page in pages():
        yield page, rewrite(page.read_text())
    yield ROOT / "docs" / "columns.sql", comments()


def rewrite(page: str) -> str:
    """Return the text of a page with every block up to date."""
    return BLOCK.sub(lambda block: block[1] + WRITERS[block[2]](block[3], page) + block[4], page)


def streams(old: str, _: str) -> str:
    """Tabulate the streams with key and cursor."""
    header = ("stream", "key", "cursor", "a record")
    rows = [(f"`{name}`", *key_and_cursor(stream)) for name, stream in declared()]
    return table(header, with_last_column(rows, old))


def apis(old: str, _: str) -> str:
    """Tabulate the streams with the page of Amplitude's documentation that each follows."""
    header = ("stream", "Amplitude's API", "remarks")
    rows = []
    for name, _stream in declared():
        address = re.findall(rf"  # (https://\S+)\n  {name}:\n", MANIFEST)[0]
        api, _sep, section = address.rpartition("/")[2].partition("#")
        words = api.replace("-", " ").capitalize().replace("rest", "REST")
        if section := re.sub(r"^get-(all-)?", "", section).replace("-", " "):
            words += f", {section}"
        rows.append((f"`{name}`", f"[{words}]({address})"))
    return table(header, with_last_column(rows, old))


def options(_: str, __: str) -> str:
    """Tabulate the options with form, default and description."""
    return table_of_options(specification()["properties"])


def first_options(_: str, __: str) -> str:
    """Tabulate the options that most readers set."""
    return table_of_options(FIRST_OPTIONS)


def table_of_options(names: Iterable[str]) -> str:
    """Tabulate options by name with form, default and description."""
    rows = []
    for name in names:
        option = specification()["properties"][name]
        default = f"`{json.dumps(option['default'])}`" if "default" in option else ""
        rows.append((f"`{name}`", form(name, option), default, option["description"]))
    return table(("option", "form", "default", "what it does"), rows)


def columns(_: str, __: str) -> str:
    """Tabulate the columns of each stream under a heading, with type, role and description."""
    parts = []
    for name, stream in declared():
        key, cursor = key_and_cursor(stream)
        rows = []
        for column, rule in schema(name)["properties"].items():
            roles = [
                role for role, cells in (("key", key), ("cursor", cursor)) if f"`{column}`" in cells
            ]
            rows.append((f"`{column}`", type_of(rule), ", ".join(roles), rule["description"]))
        parts.append(f"## {name}\n\n{table(('column', 'type', 'role', 'description'), rows)}")
    return "\n" + "\n".join(parts) + "\n"


def comments() -> str:
    """Return docs/columns.sql: a comment for each column, in the SQL of PostgreSQL and DuckDB."""
    lines = [
        "-- Written by `make docs` from source_amplitude/schemas: a comment for each column.",
        "-- For PostgreSQL and DuckDB, with the names that PyAirbyte writes; docs/columns.md shows how.",
    ]
    for name, _stream in declared():
        lines += ["", f"-- {name}"]
        for column, rule in schema(name)["properties"].items():
            text = rule["description"].replace("'", "''")
            lines.append(f"comment on column {name}.\"{in_database(column)}\" is '{text}';")
    return "\n".join(lines) + "\n"


def in_database(column: str) -> str:
    """Return a column's name as PyAirbyte writes it: `$insert_id` is `_insert_id`, `appId` is `appid`."""
    return re.sub(r"[^a-z0-9_]", "_", column.lower())


def type_of(rule: Mapping[str, Any]) -> str:
    """Return a property's type in words."""
    if "format" in rule:
        return {"date": "date", "date-time": "timestamp"}[rule["format"]]
    words = {"string": "text", "array": "list"}
    kinds = [words.get(kind, kind) for kind in rule["type"] if kind != "null"]
    if kinds == ["list"]:
        (item,) = (kind for kind in rule["items"]["type"] if kind != "null")
        return f"list of {words.get(item, f'{item}s')}"
    return " or ".join(kinds)


def commands(_: str, __: str) -> str:
    """Tabulate the targets of the Makefile."""
    found = re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return table(("command", "what it does"), [(f"`make {name}`", what) for name, what in found])


WRITERS: dict[str, Callable[[str, str], str]] = {
    "streams": streams,
    "apis": apis,
    "options": options,
    "first_options": first_options,
    "columns": columns,
    "commands": commands,
}


def faults_of_streams() -> Iterator[str]:
    """Yield the streams that README.md does not describe."""
    block = next(block for block in BLOCK.finditer((ROOT / "README.md").read_text()))
    for line in block[3].splitlines()[2:]:
        if not line.split("|")[-2].strip():
            yield f"README.md: the stream {line.split('|')[1].strip()} has no description; write one."


def faults_of_errors() -> Iterator[str]:
    """Yield the messages without a row in docs/errors.md, and the rows without a message."""
    rows = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    phrases = [phrase for row in rows for phrase in re.findall(r"`` (.+?) ``|`([^`]+)`", row)]
    words = [quoted or plain for quoted, plain in phrases]
    package = ROOT / "source_amplitude"
    texts = {
        path.relative_to(package).as_posix(): list(strings(path))
        for path in sorted(package.rglob("*.py"))
        if path.name != "components.py"  # written from the others
    }
    texts["manifest.yaml"] = list(messages(yaml.safe_load(MANIFEST)))
    for phrase in words:
        if not any(phrase in text for found in texts.values() for text in found):
            yield f"docs/errors.md: no message contains `{phrase}`; correct the row."
    for name, found in texts.items():
        for text in found:
            if SENTENCE.fullmatch(text) and not any(phrase in text for phrase in words):
                yield f"docs/errors.md: {name} says {text!r}; add a row."


def faults_of_names() -> Iterator[str]:
    """Yield the names in docs/design.md that neither the connector nor the CDK has."""
    package = ROOT / "source_amplitude"
    code = [path.read_text() for path in package.rglob("*.py") if path.name != "components.py"]
    cdk = "\n".join(path.read_text() for path in Path(airbyte_cdk.__path__[0]).rglob("*.py"))
    words = set(re.findall(r"\w+", "\n".join([*code, (package / "manifest.yaml").read_text()])))
    defined = {name for text in code for pair in DEFINITION.findall(text) for name in pair}
    defined |= set(re.findall(r"^class (\w+)", cdk, re.MULTILINE))
    for name in sorted(set(re.findall(r"`(\w+)`", (ROOT / "docs" / "design.md").read_text()))):
        # A class or constant must be defined; any other name may be a field, an option or a stream.
        if name not in (defined if name[0].isupper() else words):
            yield f"docs/design.md: the code has no `{name}`; correct the page."


def strings(path: Path) -> Iterator[str]:
    """Yield the strings of a module but for docstrings, with {} for what is filled in."""
    tree = ast.parse(path.read_text())
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.add(node.value)
        if isinstance(node, ast.JoinedStr):
            parts |= {part for part in node.values if isinstance(part, ast.Constant)}
            texts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield "".join(texts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


def messages(node: Any) -> Iterator[str]:
    """Yield the messages to the user in the manifest, or in a part of it."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("error_message", "warning"):
            yield value
        elif isinstance(value, dict | list):
            yield from messages(value)


def declared() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each stream and its definition, with references and parameters resolved."""
    manifest = ManifestReferenceResolver().preprocess_manifest(yaml.safe_load(MANIFEST))
    for stream in manifest["streams"]:
        for part in stream.get("streams", [stream]):
            parameters = part.get("$parameters", {})
            yield parameters["name"], {**parameters, **part}


def specification() -> dict[str, Any]:
    """Return the JSON schema of the options."""
    return dict(yaml.safe_load(MANIFEST)["spec"]["connection_specification"])


def schema(stream: str) -> dict[str, Any]:
    """Return the JSON schema of a stream's records."""
    path = ROOT / "source_amplitude" / "schemas" / f"{stream}.json"
    return dict(json.loads(path.read_text()))


def key_and_cursor(stream: Mapping[str, Any]) -> tuple[str, str]:
    """Return a stream's primary key and cursor field, as cells."""
    key = stream.get("primary_key", [])
    fields = [key] if isinstance(key, str) else key
    cursor = (stream.get("incremental_sync") or {}).get("cursor_field")
    return ", ".join(f"`{field}`" for field in fields), f"`{cursor}`" if cursor else ""


def form(name: str, option: Mapping[str, Any]) -> str:
    """Return what an option's value looks like."""
    if option.get("airbyte_secret"):
        words = "text"
    elif "enum" in option:
        words = " or ".join(f"`{value}`" for value in option["enum"])
    elif "minimum" in option:
        words = f"{option['minimum']} to {option['maximum']:,}"
    elif "pattern_descriptor" in option:
        words = f"`{option['pattern_descriptor']}`"
    else:
        words = {"array": "list", "string": "text"}.get(option["type"], option["type"])
    if name in specification()["required"]:
        words += ", required"
    return f"{words}, hidden" if option.get("airbyte_hidden") else words


def with_last_column(rows: Iterable[tuple[str, ...]], old: str) -> list[tuple[str, ...]]:
    """Append to each row the last cell that it had in the old table."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in old.splitlines()]
    last = {row[0]: row[-1] for row in cells}
    return [(*row, last.get(row[0], "")) for row in rows]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return re.sub(r"\|  (?=\|)", "| ", text)


def main(arguments: list[str]) -> int:
    """Write the blocks; with --check, print what differs from the code and return 1 if anything does."""
    findings = []
    for path, fresh in written():
        if not path.exists() or path.read_text() != fresh:
            findings.append(f"{path.relative_to(ROOT)}: it differs from the code; run `make docs`.")
            if arguments != ["--check"]:
                path.write_text(fresh)
    if arguments != ["--check"]:
        return 0
    findings += [*faults_of_streams(), *faults_of_errors(), *faults_of_names()]
    sys.stderr.writelines(f"{finding}\n" for finding in findings)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
