"""The linter: each fault that the CDK accepts in silence, planted in a copy of the manifest, is named."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from source_amplitude.extensions.dashboards.segmentations import SEGMENTATION_DEFAULTS
from source_amplitude.extensions.times import BEGINNING_OF_DATA
from tools.docs import strings
from tools.lint_manifest import lint
from tools.schemas import MANIFEST

ROOT = Path(__file__).parents[2]
TEXT = MANIFEST.read_text()


def test_the_manifest_has_no_fault() -> None:
    assert list(lint(TEXT)) == []


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        (
            "    use_tcp_keepalive: true",
            "    use_tcp_keep_alive: true",
            "definitions.requester.use_tcp_keep_alive: HttpRequester has no such key",
        ),
        (
            "type: MinMaxDatetime\n      datetime_format:",
            "type: MinMaxDatetime\n      format:",
            "definitions.day_cursor.end_datetime.format: MinMaxDatetime has",
        ),
        (
            "failure_type: config_error",
            "failure: config_error",
            "error_handler.response_filters[0].failure: HttpResponseFilter has no such key",
        ),
        (
            "type: ListPartitionRouter\n",
            "type: ListPartitionRouter\n        keep: x\n",
            "cohort_members.retriever.partition_router.keep: ListPartitionRouter has no such key",
        ),
        (
            "ExportErrorHandler\n          max_retries: 6",
            "ExportErrorHandler\n          max_tries: 6",
            "events.retriever.requester.error_handler.max_tries: CustomErrorHandler has no such key",
        ),
        ("components.ExportDecoder", "components.ZipDecoder", "`class_name` names no class"),
        (
            "type: DeclarativeStream\n",
            "type: DeclarativeStream\n    schema: {}\n",
            "definitions.stream.schema: DeclarativeStream has no such key",
        ),
        (
            "type: ListPartitionRouter\n",
            "type: ListRouter\n",
            "cohort_members.retriever.partition_router.type: ListRouter is not allowed here",
        ),
        (
            "{ limit: 1000, interval: PT5M5S }",
            "{ limit: 1000, intervall: PT5M5S }",
            "api_budget.policies[0].rates[0].intervall: this part has no such key",
        ),
        ("    type: HttpRequester\n", "", "definitions.requester: it has no `type`"),
        (
            "    url: >-",
            "    url_base: >-",
            "definitions.requester.url_base: it is deprecated. Use `url` field instead.",
        ),
        (
            '"#/schemas/cohorts"',
            "{ type: JsonFileSchemaLoader, file_path: cohorts.json }",
            "schema_loader.type: JsonFileSchemaLoader is deprecated. Use `InlineSchemaLoader` instead.",
        ),
        (
            "  stream:\n",
            "  spare: { type: CsvDecoder }\n  stream:\n",
            "definitions.spare: nothing refers to it",
        ),
        (
            '  - "#/definitions/cohorts"\n',
            "",
            "schemas.cohorts: nothing refers to it",
        ),
        (
            "data_field: cohorts }",
            "data_field: cohorts, data_fields: cohorts }",
            "definitions.cohorts.$parameters.data_fields: nothing uses this parameter",
        ),
        (
            "{ name: cohorts,",
            "{ name: cohort,",
            "definitions.cohorts: its name is `cohort`; call both the same.",
        ),
        (
            '"#/schemas/new_users"',
            '"#/schemas/active_users"',
            "definitions.new_users: its schema_loader is `#/schemas/active_users`",
        ),
        (
            '"#/definitions/requester"',
            '"#/definitions/request"',
            "Undefined reference #/definitions",
        ),
        (
            '    schema_loader: "#/schemas/annotations"\n',
            "",
            "streams.annotations: it has no schema",
        ),
        (
            "{ name: cohorts, primary_key: id,",
            "{ name: cohorts, primary_key: cohort_id,",
            "streams.cohorts: its schema lacks its key `cohort_id`",
        ),
        (
            "cursor_field: date\n",
            "cursor_field: day\n",
            "streams.active_users: its schema lacks its cursor `day`",
        ),
        (
            'path: [lookback_hours], value: "6"',
            'path: [lookback_hours], value: "7"',
            "spec: the default of `lookback_hours` is 6, and '7' in config_normalization_rules",
        ),
        (
            "          - { type: AddedFieldDefinition, path: [data_region], value: Standard Server }\n",
            "",
            "spec: the default of `data_region` is 'Standard Server', and None in",
        ),
        (
            "config.get('request_time_range', 24)",
            "config.get('request_time_range', 12)",
            "spec: the default of `request_time_range` is 24, and 12 in a template",
        ),
        (
            "config.get('project_timezone') or 'UTC'",
            "config.get('project_timezone') or 'CET'",
            "spec: the default of `project_timezone` is 'UTC', and 'CET' in a template",
        ),
        (
            '"Id of the',
            '"ID of the',
            "schemas: they differ from schemas/*.json; run `make schemas`.",
        ),
    ],
)
def test_a_fault_is_named_in_a_sentence_with_its_place(good: str, bad: str, finding: str) -> None:
    assert good in TEXT

    findings = list(lint(TEXT.replace(good, bad)))

    assert [found for found in findings if finding in found], findings


def test_data_begins_on_the_same_day_in_the_manifest_and_in_python() -> None:
    manifest = yaml.safe_load(TEXT)
    del manifest["schemas"]
    words = [*texts(manifest)]
    for path in (ROOT / "source_amplitude").rglob("*.py"):
        words += strings(path)
    dates = {date for text in words for date in re.findall(r"\b\d{4}-\d\d-\d\d", text)}

    (earlier,) = (
        re.findall(r"regex_search\( ?'(.+?)'\)", text) for text in words if "_search" in text
    )
    pattern = earlier[0].replace("\\\\", "\\")
    year = int(BEGINNING_OF_DATA[:4])

    assert dates - {"9999-01-01"} == {BEGINNING_OF_DATA[:10]}
    assert re.search(pattern, f"{year - 1}-12-31T23:59:59Z")
    assert not re.search(pattern, BEGINNING_OF_DATA)


def test_a_segmentation_has_the_defaults_of_the_spec() -> None:
    spec = yaml.safe_load(TEXT)["spec"]["connection_specification"]["properties"]
    fields = spec["segmentations"]["items"]["properties"]

    assert {name: fields[name].get("default") for name in SEGMENTATION_DEFAULTS} == {
        **SEGMENTATION_DEFAULTS,
        "group_by": None,
    }


def texts(value: Any) -> Iterator[str]:
    """The strings of a manifest, without examples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "examples":
                yield from texts(item)


def test_a_shared_fault_is_named_once() -> None:
    assert len(list(lint(TEXT.replace("    use_tcp_keepalive:", "    keep_alive:")))) == 1


def test_the_linter_prints_its_findings_and_exits_with_1(tmp_path: Path) -> None:
    copy = tmp_path / "manifest.yaml"
    copy.write_text(TEXT.replace("    use_tcp_keepalive:", "    keep_alive:"))
    command = [sys.executable, "-m", "tools.lint_manifest", str(copy)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr == (
        "manifest.yaml: definitions.requester.keep_alive: HttpRequester has no such key,"
        " and the CDK ignores it.\n"
    )
