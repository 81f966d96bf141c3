"""The CDK's standard tests, of the package and of the manifest with its components as text.

What they run is in acceptance-test-config.yml; their warnings are errors, as everywhere here.
The tests of the image are not run by default; `make image`, then
`.venv/bin/python -m pytest acceptance_tests -m image_tests --connector-image IMAGE` runs them.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.test.models import ConnectorTestScenario
from airbyte_cdk.test.standard_tests import DeclarativeSourceTestSuite, SourceTestSuiteBase

from source_amplitude.process.source import SourceAmplitude

ROOT = Path(__file__).parent.parent
COMPONENTS = "source_declarative_manifest.components"


@cache
def docker_answers() -> bool:
    if not (docker := shutil.which("docker")):
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


class Emulated:
    """What both suites share: when a test begins, its keys get the unit tests' config around them."""

    @classmethod
    def get_connector_root_dir(cls) -> Path:
        return ROOT

    @classmethod
    def get_scenarios(cls) -> list[ConnectorTestScenario]:
        scenarios: list[ConnectorTestScenario] = super().get_scenarios()  # type: ignore[misc]
        configs = [
            s.get_config_dict(connector_root=ROOT, empty_if_missing=False) for s in scenarios
        ]
        return [
            scenario.model_copy(update={"config_dict": config})
            for scenario, config in zip(scenarios, configs, strict=True)
        ]

    @pytest.fixture(autouse=True)
    def emulated(
        self,
        request: pytest.FixtureRequest,
        config: Mapping[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        if request.node.get_closest_marker("image_tests"):
            if not docker_answers():
                pytest.skip("no docker daemon answers: install docker")
            if request.node.originalname.endswith(("check", "read")):
                pytest.skip("a container does not reach the emulator on this machine's loopback")
        elif "scenario" in request.fixturenames:
            options = request.getfixturevalue("scenario").config_dict
            options.update({**config, **{key: options[key] for key in ("api_key", "secret_key")}})
        # What the suites leave behind: configs, a variable and the module made of the text.
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setenv("AIRBYTE_ENABLE_UNSAFE_CODE", "true")
        monkeypatch.setitem(sys.modules, COMPONENTS, sys.modules[COMPONENTS])


class TestPackage(Emulated, SourceTestSuiteBase):
    @classmethod
    def create_connector(cls, scenario: ConnectorTestScenario | None) -> Any:
        config = scenario.config_dict if scenario else {}
        return SourceAmplitude(catalog=None, config=config, state=None)


class TestManifest(Emulated, DeclarativeSourceTestSuite):
    manifest_yaml_path = ROOT / "source_amplitude" / "manifest.yaml"
    components_py_path = ROOT / "source_amplitude" / "components.py"
