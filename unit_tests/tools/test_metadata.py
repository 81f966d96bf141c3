"""What Airbyte's registry is told, against the registry's own model and against the product."""

import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from unit_tests.support.protocol import STREAMS

ROOT = Path(__file__).parents[2]
HOMEPAGE = "https://github.com/source-amplitude/source-amplitude"
PYTHON = ROOT / ".cache" / "envs" / "metadata" / "bin" / "python"

Validate = Callable[[dict[str, Any]], tuple[int, str]]


def metadata() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "metadata.yaml").read_text()))


@pytest.fixture
def validate(tmp_path: Path) -> Validate:
    if sys.version_info >= (3, 13):
        pytest.skip(
            "airbyte-connector-models needs Python before 3.13: make PYTHON=python3.12 setup"
        )
    if not PYTHON.exists():
        pytest.skip("airbyte-connector-models is not installed: make metadata")

    def validate(content: dict[str, Any]) -> tuple[int, str]:
        path = tmp_path / "metadata.yaml"
        path.write_text(yaml.safe_dump(content))
        command = [str(PYTHON), "-m", "tools.metadata", str(path)]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return process.returncode, process.stdout

    return validate


@pytest.mark.integration
def test_the_registry_accepts_the_metadata(validate: Validate) -> None:
    assert validate(metadata())[0] == 0


@pytest.mark.integration
@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("supportLevels", "community", "data.supportLevels"),
        ("supportLevel", "none", "data.supportLevel"),
        ("definitionId", "amplitude", "data.definitionId"),
        ("resourceRequirements", {"jobSpecific": [{"jobType": "sync"}]}, "resourceRequirements"),
    ],
)
def test_a_wrong_key_or_value_is_named(
    validate: Validate, key: str, value: Any, place: str
) -> None:
    content = metadata()
    content["data"][key] = value

    code, text = validate(content)

    assert code == 1
    assert place in text


@pytest.mark.integration
def test_a_missing_key_is_named(validate: Validate) -> None:
    content = metadata()
    del content["data"]["license"]

    code, text = validate(content)

    assert code == 1
    assert "data.license" in text


def test_the_platform_lets_the_connector_reach_every_host_of_the_manifest() -> None:
    manifest = yaml.safe_load((ROOT / "source_amplitude" / "manifest.yaml").read_text())
    requester = str(manifest["definitions"]["requester"])

    hosts = set(re.findall(r"https://([a-z.]+)", requester))

    assert len(hosts) == 2
    assert hosts <= set(metadata()["data"]["allowedHosts"]["hosts"])


def test_the_suggested_streams_exist() -> None:
    assert set(metadata()["data"]["suggestedStreams"]["streams"]) <= set(STREAMS)


def test_the_registry_entry_is_not_the_one_of_airbytes_connector() -> None:
    data = metadata()["data"]

    assert data["definitionId"] == str(uuid.uuid5(uuid.NAMESPACE_URL, HOMEPAGE))
    assert not data["dockerRepository"].startswith("airbyte/")
    assert data["documentationUrl"].startswith(HOMEPAGE)


def test_the_icon_is_small_and_scales() -> None:
    path = ROOT / metadata()["data"]["icon"]

    icon = ElementTree.parse(path).getroot()

    assert icon.tag == "{http://www.w3.org/2000/svg}svg"
    assert icon.attrib["viewBox"] == "0 0 64 64"
    assert "width" not in icon.attrib
    assert path.stat().st_size < 2_048
