"""The connector, in this process, in its two forms: the package, and the manifest with one file."""

import functools
import pickle
import sys
from types import ModuleType
from typing import Any

import pytest
import yaml
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

from source_amplitude import extensions
from source_amplitude.process.entrypoint import Entrypoint, source_for
from source_amplitude.process.source import MANIFEST_PATH
from tools.components import bundled
from unit_tests.support.once import pickled

ALIAS = "source_declarative_manifest.components"
"""The name by which the manifest calls its components."""


def entrypoint_of(runtime: str, arguments: list[str]) -> AirbyteEntrypoint:
    """The entrypoint of a runtime, `package` or `manifest`, whose components the manifest then finds."""
    sys.modules[ALIAS] = one_file() if runtime == "manifest" else extensions
    return {"package": package, "manifest": manifest_alone}[runtime](arguments)


def package(arguments: list[str]) -> AirbyteEntrypoint:
    """The connector as its console script runs it."""
    return Entrypoint(source_for(arguments))


def manifest_alone(arguments: list[str]) -> AirbyteEntrypoint:
    """The manifest and the one file as `source-declarative-manifest` runs them."""
    catalog, config, state = (
        AirbyteEntrypoint.extract_catalog(arguments),
        AirbyteEntrypoint.extract_config(arguments),
        AirbyteEntrypoint.extract_state(arguments),
    )
    alone = ConcurrentDeclarativeSource(
        catalog=ConcurrentDeclarativeSource.read_catalog(catalog) if catalog else None,
        config=ConcurrentDeclarativeSource.read_config(config) if config else None,
        state=ConcurrentDeclarativeSource.read_state(state) if state else None,
        source_config=pickle.loads(pickled_manifest()),
    )
    return AirbyteEntrypoint(alone)


@functools.cache
def pickled_manifest() -> bytes:
    """The manifest as it is in its file."""
    return pickled(lambda: yaml.load(MANIFEST_PATH.read_text(), yaml.CSafeLoader))


@functools.cache
def one_file() -> ModuleType:
    """The file that `make components` writes, executed as `source-declarative-manifest` does."""
    module = ModuleType(ALIAS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, ALIAS, module)
        exec(compile(bundled(), "components.py", "exec"), vars(module))
    return module


class Rooms:
    """The modules of the extensions as one: a name that is set is set in each room that has it."""

    def __init__(self) -> None:
        for room in self._all():
            vars(self).update(vars(room))

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[name] = value
        for room in self._all():
            if name in vars(room):
                setattr(room, name, value)

    @staticmethod
    def _all() -> list[ModuleType]:
        below = f"{extensions.__name__}."
        return [module for path, module in list(sys.modules.items()) if path.startswith(below)]
