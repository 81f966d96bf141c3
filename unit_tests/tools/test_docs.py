"""The documentation against the product, and the tool that holds them together."""

import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests
import yaml

from source_amplitude.process.source import ARCHIVES, DOWNLOADS
from tools import docs
from unit_tests.conftest import Run
from unit_tests.support.protocol import STREAMS

ROOT = Path(__file__).parents[2]
MANIFEST = (ROOT / "source_amplitude" / "manifest.yaml").read_text()


def test_the_documentation_says_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = docs.main(["--check"])

    assert capsys.readouterr().err == ""
    assert code == 0


def test_a_block_is_rewritten_and_what_is_written_by_hand_is_kept() -> None:
    page = """# A page
<!-- streams: written by make docs -->
| stream | key | cursor | a record |
| --- | --- | --- | --- |
| `events` | `id` | | a raw event |
<!-- end -->
The end.
"""
    fresh = docs.rewrite(page)

    assert fresh.startswith("# A page\n<!-- streams")
    assert fresh.endswith("<!-- end -->\nThe end.\n")
    assert "| `events` | `uuid` | `server_upload_time` | a raw event |\n" in fresh
    assert fresh.count("\n| `") == len(STREAMS)
    assert docs.rewrite(fresh) == fresh


def test_a_table_says_each_streams_key_and_cursor() -> None:
    rows = {name: docs.key_and_cursor(stream) for name, stream in docs.declared()}

    assert rows == {
        name: (", ".join(f"`{field}`" for field in key), f"`{cursor}`" if cursor else "")
        for name, (key, cursor) in STREAMS.items()
    }


def schemas() -> dict[str, dict[str, Any]]:
    folder = ROOT / "source_amplitude" / "schemas"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_every_column_is_described_with_its_type_key_and_cursor() -> None:
    text = (ROOT / "docs" / "columns.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n\n(\|.+?)\n(?:\n|\Z)", text, re.MULTILINE | re.DOTALL))

    assert list(sections) == list(STREAMS)
    for name, (key, cursor) in STREAMS.items():
        table = sections[name].splitlines()[2:]
        rows = [[cell.strip(" `") for cell in line[1:-1].split("|")] for line in table]
        properties = schemas()[name]["properties"]
        assert {column: description for column, _, _, description in rows} == {
            column: rule["description"].strip(" `") for column, rule in properties.items()
        }
        assert {column for column, _, role, _ in rows if "key" in role} == set(key)
        assert {column for column, _, role, _ in rows if "cursor" in role} == {cursor} - {None}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"type": ["null", "string"]}, "text"),
        ({"type": ["null", "string"], "format": "date"}, "date"),
        ({"type": ["null", "string"], "format": "date-time"}, "timestamp"),
        ({"type": ["null", "number", "string"]}, "number or text"),
        ({"type": ["null", "array"], "items": {"type": ["null", "string"]}}, "list of text"),
        ({"type": ["null", "array"], "items": {"type": ["null", "object"]}}, "list of objects"),
    ],
)
def test_a_type_is_named_in_words(rule: dict[str, Any], words: str) -> None:
    assert docs.type_of(rule) == words


def test_the_statements_comment_on_every_column_in_duckdb() -> None:
    expected = {
        (name, docs.in_database(column)): rule["description"]
        for name, schema in schemas().items()
        for column, rule in schema["properties"].items()
    }
    with duckdb.connect() as connection:
        for name in schemas():
            columns = [f'"{column}" varchar' for table, column in expected if table == name]
            connection.execute(f"create table {name} ({', '.join(columns)})")
        connection.execute((ROOT / "docs" / "columns.sql").read_text())
        query = "select table_name, column_name, comment from duckdb_columns where not internal"
        found = {
            (table, column): text for table, column, text in connection.execute(query).fetchall()
        }

    assert found == expected


def test_stale_statements_are_named_and_left_alone_by_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ROOT / "docs" / "columns.sql"
    before = path.read_text()
    monkeypatch.setattr(docs, "comments", lambda: "-- others\n")
    monkeypatch.setattr(docs, "pages", list)

    assert docs.main(["--check"]) == 1
    assert "docs/columns.sql: it differs from the code" in capsys.readouterr().err
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        ("`refused the keys`", "`refused the locks`", "no message contains `refused the locks`"),
        ("| `is missing` |", "| `must be` |", "process/config.py says '`{}` is missing"),
    ],
)
def test_a_message_and_its_row_are_held_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: str, bad: str, finding: str
) -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    assert good in text
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "errors.md").write_text(text.replace(good, bad))
    (tmp_path / "source_amplitude").symlink_to(ROOT / "source_amplitude")
    monkeypatch.setattr(docs, "ROOT", tmp_path)

    findings = list(docs.faults_of_errors())

    assert [found for found in findings if finding in found], findings


def test_a_name_in_the_design_that_the_code_does_not_have_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "design.md").write_text(
        "`CohortMembersRetriever`, `AsyncRetriever`, `FILE_ATTEMPTS`, `computed_at` and `run.py` are"
        " there; `AsyncCohortRetriever`, `FILE_TRIES` and `computed_on` are not.\n"
    )
    (tmp_path / "source_amplitude").symlink_to(ROOT / "source_amplitude")
    monkeypatch.setattr(docs, "ROOT", tmp_path)

    assert list(docs.faults_of_names()) == [
        f"docs/design.md: the code has no `{name}`; correct the page."
        for name in ("AsyncCohortRetriever", "FILE_TRIES", "computed_on")
    ]


def test_the_page_on_the_builder_names_the_oldest_cdk_that_is_tested() -> None:
    (oldest,) = re.findall(r"^OLDEST_CDK := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    page = (ROOT / "docs" / "builder.md").read_text()
    assert f"airbyte-cdk {oldest} and later; `make test-oldest-cdk`" in page


def test_the_manifest_defines_its_streams_in_the_order_of_their_list() -> None:
    manifest = yaml.safe_load(MANIFEST)
    listed = [reference.rpartition("/")[2] for reference in manifest["streams"]]

    assert [name for name in manifest["definitions"] if name in listed] == listed == list(STREAMS)


def test_no_line_of_the_manifest_that_is_written_by_hand_exceeds_100_columns() -> None:
    by_hand, generated = MANIFEST.split("\n# Generated from", 1)

    assert generated
    assert [line for line in by_hand.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_is_defined_under_its_api_address(stream: str) -> None:
    assert re.search(rf"  # https://amplitude\.com/docs/\S+\n  {stream}:\n", MANIFEST)


def test_the_schemas_in_the_manifest_are_those_of_the_files() -> None:
    for name, loader in yaml.safe_load(MANIFEST)["schemas"].items():
        path = ROOT / "source_amplitude" / "schemas" / f"{name}.json"
        assert loader["schema"] == json.loads(path.read_text())


def test_the_scaling_figures_are_those_of_a_benchmark_and_of_the_product() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    figures = re.findall(r"^\| `(\w+)` \|.* \| ([\d,.]+) \| .* \|$", text, re.MULTILINE)
    value = dict(figures)
    benchmarks = (ROOT / "benchmarks" / "README.md").read_text()

    (alone,) = re.findall(r"^\| the connector alone \| (.+) \| \|$", benchmarks, re.MULTILINE)
    (spark,) = re.findall(r"^\| one executor \| (.+) \|$", benchmarks, re.MULTILINE)
    _events, _seconds, rate, _start, memory = alone.split(" | ")
    assert (value["rate"], value["memory_mib"]) == (rate, memory)
    _events, _seconds, rate, _start, python, jvm = spark.split(" | ")
    assert (value["spark_rate"], int(value["spark_memory_mib"])) == (rate, int(python) + int(jvm))
    assert f"{value['event_bytes']} bytes of JSON, {value['zipped']} times less" in benchmarks
    assert value["downloads"] == str(DOWNLOADS)
    assert value["archives"] == str(ARCHIVES)


def test_the_readme_is_short() -> None:
    words = (ROOT / "README.md").read_text().split()

    assert sum(any(map(str.isalnum, word)) for word in words) <= 1_500


def test_the_readme_shows_an_event_as_it_arrives(run: Run, config: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"```json\n(.+?)```", readme, re.DOTALL)
    event = json.loads(shown)["record"]["data"]

    emitted = run("read", config, ("events",)).records("events")

    (whole,) = (record for record in emitted if record["uuid"] == event["uuid"])
    assert event == {name: whole[name] for name in event}
    assert f"with {len(event)} of its {len(whole)} properties" in readme


@pytest.mark.parametrize("trap", ["", "trap '' INT;"], ids=["a terminal", "a background job"])
def test_the_readme_shows_what_the_emulator_prints_and_ctrl_c_ends_it(trap: str) -> None:
    command = ["sh", "-c", f'{trap} exec "$0" -m emulator --port 0', sys.executable]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout
        shown = "".join(process.stdout.readline() for _ in range(4))
        address = shown.split()[1]
        status = requests.get(f"{address}/api/3/cohorts", timeout=10).status_code
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    assert status == 401
    assert process.returncode == 0
    assert shown.replace(address, "http://127.0.0.1:8080") in (ROOT / "README.md").read_text()


def links(page: Path) -> list[str]:
    return re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: page.name)
def test_a_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, section = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if section else []
        anchors = [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings]
        assert not section or section in anchors, link


def test_the_examples_are_a_config_and_a_catalog_of_the_connector() -> None:
    config: dict[str, Any] = json.loads((ROOT / "examples" / "config.json").read_text())
    catalog = json.loads((ROOT / "examples" / "catalog.json").read_text())
    specification = docs.specification()

    assert set(specification["required"]) <= set(config) <= set(specification["properties"])
    assert [stream["stream"]["name"] for stream in catalog["streams"]] == ["events"]
