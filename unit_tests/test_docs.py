"""The documentation against the product."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from source_amplitude.source import ARCHIVES, DOWNLOADS
from unit_tests.conftest import STREAMS

ROOT = Path(__file__).parent.parent


def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "source_amplitude" / "manifest.yaml").read_text()))


def test_the_readme_lists_the_manifests_streams_and_options() -> None:
    readme = (ROOT / "README.md").read_text()
    options = manifest()["spec"]["connection_specification"]["properties"]

    for name in (*STREAMS, *options):
        assert re.search(rf"^\| .*`{name}`", readme, re.MULTILINE), name


def test_the_readme_lists_every_make_target() -> None:
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)

    for target in targets:
        assert f"`make {target}`" in readme or target == "help", target


def test_the_manifest_defines_its_streams_in_the_order_of_their_list() -> None:
    definitions = manifest()["definitions"]
    listed = [reference.rpartition("/")[2] for reference in manifest()["streams"]]

    assert [name for name in definitions if name in listed] == listed == list(STREAMS)


def test_no_line_of_the_manifest_that_is_written_by_hand_exceeds_100_columns() -> None:
    text = (ROOT / "source_amplitude" / "manifest.yaml").read_text()
    by_hand, generated = text.split("\n# Generated from", 1)

    assert generated
    assert [line for line in by_hand.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_stands_under_its_api_address(stream: str) -> None:
    text = (ROOT / "source_amplitude" / "manifest.yaml").read_text()

    assert re.search(rf"  # https://amplitude\.com/docs/\S+\n  {stream}:\n", text)


def test_the_schemas_in_the_manifest_are_those_of_the_files() -> None:
    for name, loader in manifest()["schemas"].items():
        path = ROOT / "source_amplitude" / "schemas" / f"{name}.json"
        assert loader["schema"] == json.loads(path.read_text())


def test_each_row_of_what_goes_wrong_has_a_test_and_stands_in_the_product() -> None:
    page = (ROOT / "docs" / "amplitude.md").read_text()
    rows = page.split("## When something goes wrong")[1].split("\n## ")[0].splitlines()[4:]
    tests = {path.name: path.read_text() for path in (ROOT / "unit_tests").glob("test_*.py")}
    del tests["test_docs.py"]
    product = "".join(path.read_text() for path in (ROOT / "source_amplitude").glob("*.py"))

    for row in filter(None, rows):
        for words in re.findall(r"`(.+?)`", row.split("|")[1]):
            assert words in product, words
            assert any(words in text for text in tests.values()), words


def test_the_scaling_table_follows_from_the_figures_above_it() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    figures = re.findall(r"^\| `(\w+)` \|.* \| ([\d,.]+) \| (.*) \|$", text, re.MULTILINE)
    f = {name: float(value.replace(",", "")) for name, value, _ in figures}
    rows = re.findall(r"^\| [\d,]+ \| \d+ \|.*$", text, re.MULTILINE)

    expected = []
    for row in rows:
        events, processes = (int(cell.replace(",", "")) for cell in row.split("|")[1:3])
        events_an_hour = events / (24 * f["days"])
        window_hours = min(24, f["limit_bytes"] // (f["event_bytes"] * events_an_hour))
        hours = events / (f["rate"] * processes) / 3600
        zipped = events * f["event_bytes"] / f["zipped"] / 1e9
        requests = processes * math.ceil(24 * f["days"] / processes / window_hours)
        memory = processes * f["memory_mib"] / 1024
        disk = processes * f["archives"] * zipped / (24 * f["days"]) * window_hours
        core_hours = hours * processes
        expected.append(
            f"| {events:,} | {processes} | {window_hours:.0f} | {hours:,.1f} | {zipped:,.0f}"
            f" | {requests:,} | {memory:.1f} | {disk:,.1f} | {core_hours:,.1f}"
            f" | {core_hours * f['price']:,.2f} |"
        )
    assert rows == expected
    assert {int(row.split("|")[1].replace(",", "")) for row in rows} == {10**8, 10**9, 10**10}


def test_the_scaling_figures_are_those_of_the_benchmarks_and_the_product() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    figures = re.findall(r"^\| `(\w+)` \|.* \| ([\d,.]+) \| (.*) \|$", text, re.MULTILINE)
    value = {name: figure for name, figure, _ in figures}
    benchmarks = (ROOT / "benchmarks" / "README.md").read_text()

    for name in ("rate", "event_bytes", "zipped", "memory_mib"):
        assert re.search(rf"(?<![\d,.]){value[name]}(?![\d,])", benchmarks), name
    assert value["downloads"] == str(DOWNLOADS)
    assert value["archives"] == str(ARCHIVES)


def test_what_the_comparison_says_of_us_is_shown_by_a_test() -> None:
    page = (ROOT / "docs" / "amplitude.md").read_text()
    table = page.split("## What others read")[1].split("\n## ")[0]
    tests = "".join(path.read_text() for path in (ROOT / "unit_tests").glob("test_*.py"))

    shown = re.findall(r"`(test_\w+)`", table)
    assert len(shown) == table.count("\n| ") - 1
    for name in shown:
        assert f"def {name}(" in tests, name
