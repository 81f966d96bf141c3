"""The documentation against the product."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_stands_under_its_api_address(stream: str) -> None:
    text = (ROOT / "source_amplitude" / "manifest.yaml").read_text()

    assert re.search(rf"  # https://amplitude\.com/docs/\S+\n  {stream}:\n", text)


def test_one_version_stands_everywhere() -> None:
    version = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[
        0
    ]
    metadata = yaml.safe_load((ROOT / "metadata.yaml").read_text())["data"]

    assert metadata["dockerImageTag"] == version
    assert f"ARG VERSION={version}" in (ROOT / "Dockerfile").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_schemas_in_the_manifest_are_those_of_the_files() -> None:
    import json

    for name, schema in manifest()["schemas"].items():
        path = ROOT / "source_amplitude" / "schemas" / f"{name}.json"
        assert schema == json.loads(path.read_text())


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


def test_the_hand_written_part_of_the_manifest_stays_under_400_lines() -> None:
    text = (ROOT / "source_amplitude" / "manifest.yaml").read_text()

    assert text.partition("# Generated from")[0].count("\n") < 400
