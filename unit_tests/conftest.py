"""Fixtures: a frozen clock, an emulated Amplitude, and the connector run through its own entry point."""

import copy
import functools
import json
import logging
import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import time_machine
import yaml
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.sources.declarative import concurrent_declarative_source
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.declarative.parsers.manifest_component_transformer import (
    ManifestComponentTransformer,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import settings
from pyrate_limiter import BucketFactory

from emulator import Emulator, Project
from source_amplitude import extensions
from source_amplitude.process import source
from source_amplitude.process.entrypoint import Entrypoint, source_for
from source_amplitude.process.source import MANIFEST_PATH
from tools.components import bundled
from unit_tests.support.protocol import STREAMS, Output, catalog, config_for, options

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

ALIAS = "source_declarative_manifest.components"
"""The name by which the manifest calls its components."""
NOW = datetime(2024, 1, 3, 12, 30, tzinfo=timezone.utc)

Run = Callable[..., Output]
Config = Mapping[str, Any]
State = list[dict[str, Any]]
Sync = Callable[[Config, tuple[str, ...], State], Output]
Read = Callable[..., Output]


@pytest.fixture(scope="session", autouse=True)
def budgets_start_no_threads() -> Iterator[None]:
    """Each budget of the CDK has a thread that forgets old calls and never ends: thousands, here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BucketFactory, "schedule_leak", lambda *_: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def what_is_the_same_for_each_source_is_done_once() -> Iterator[None]:
    """For each source the manifest is parsed, validated and spread out: half the time of most tests."""
    module = concurrent_declarative_source
    valid: list[Mapping[str, Any]] = []
    spread: list[tuple[Any, bytes]] = []

    load = functools.cache(functools.partial(pickled, source.load_manifest))
    validate_manifest = module.validate_manifest
    propagate = ManifestComponentTransformer.propagate_types_and_parameters

    def validate_once(manifest: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        if manifest not in valid:
            validate_manifest(manifest, schema)
            valid.append(copy.deepcopy(manifest))

    def propagate_once(
        transformer: ManifestComponentTransformer,
        parent: str,
        component: Any,
        *others: Any,
        **more: Any,
    ) -> dict[str, Any]:
        if parent:
            return propagate(transformer, parent, component, *others, **more)
        made = next((made for given, made in spread if given == component), None)
        if made is None:
            given = copy.deepcopy(component)
            made = pickle.dumps(propagate(transformer, parent, component, *others, **more))
            spread.append((given, made))
        return dict(pickle.loads(made))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load_manifest", lambda: pickle.loads(load()))
        patch.setattr(
            ManifestComponentTransformer, "propagate_types_and_parameters", propagate_once
        )
        read = functools.cache(module.get_declarative_component_schema)
        patch.setattr(module, "get_declarative_component_schema", read)
        patch.setattr(module, "validate_manifest", validate_once)
        yield


def pickled(make: Callable[[], Any]) -> bytes:
    """What `make` makes, so that each user has one of its own."""
    return pickle.dumps(make())


@functools.cache
def pickled_manifest() -> bytes:
    """The manifest as it is in its file."""
    return pickled(lambda: yaml.load(MANIFEST_PATH.read_text(), yaml.CSafeLoader))


def package(arguments: list[str]) -> AirbyteEntrypoint:
    """The connector as its console script runs it."""
    return Entrypoint(source_for(arguments))


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


def manifest_alone(arguments: list[str]) -> AirbyteEntrypoint:
    """The manifest and the one file as `source-declarative-manifest` runs them, in this process."""
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


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command of the connector in this process."""

    def run(
        command: str,
        config: Mapping[str, Any] | None = None,
        streams: tuple[str, ...] = tuple(STREAMS),
        state: list[dict[str, Any]] | None = None,
        take: int | None = None,
        debug: bool = False,
        watch: Callable[[dict[str, Any]], None] | None = None,
        runtime: str = "package",
    ) -> Output:
        files: dict[str, Any] = {"config": config}
        if command == "read":
            files |= {"catalog": catalog(*streams), "state": state}
        given = {name: content for name, content in files.items() if content is not None}
        arguments = [command, *(["--debug"] if debug else []), *options(tmp_path, **given)]
        output = Output()
        handler = logging.Handler()
        handler.emit = lambda record: output.logs.append(  # type: ignore[method-assign]
            logging.getLogger("airbyte").handlers[0].format(record)
        )
        logging.getLogger("airbyte").addHandler(handler)
        try:
            build = {"package": package, "manifest": manifest_alone}[runtime]
            sys.modules[ALIAS] = one_file() if runtime == "manifest" else extensions
            entrypoint = build(arguments)
            lines = entrypoint.run(entrypoint.parse_args(arguments))
            for line in lines:
                output.messages.append(json.loads(line))
                if watch:
                    watch(output.messages[-1])
                if take is not None and len(output.messages) >= take:
                    deque(lines, maxlen=0)  # the workers end with what they have to do
                    break
        except AirbyteTracedException as error:
            output.error = error
        finally:
            sys.modules[ALIAS] = extensions
            logging.getLogger("airbyte").removeHandler(handler)
            logging.getLogger("airbyte").setLevel(logging.INFO)
        return output

    return run


@pytest.fixture
def sync(run: Run, runtime: str) -> Sync:
    """Read streams with the package, then with the manifest alone."""

    def sync(config: Config, streams: tuple[str, ...], state: State) -> Output:
        return run("read", config, streams, state, runtime=runtime)

    return sync


@pytest.fixture
def read(run: Run, runtime: str) -> Read:
    """Read streams with the package, then with the manifest alone; without a state unless one is given."""

    def read(config: Config, *streams: str, state: State | None = None) -> Output:
        return run("read", config, streams, state, runtime=runtime)

    return read


class Clock:
    """The time of this process: it stands still until it is set, and a sleep only moves it."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller
        self.slept: list[float] = []

    def set(self, now: datetime) -> None:
        self._traveller.move_to(now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        # Not even a sleep of no seconds leaves a real clock where it was.
        self._traveller.shift(timedelta(seconds=seconds, milliseconds=1))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with time_machine.travel(NOW, tick=False) as traveller:
        clock = Clock(traveller)
        monkeypatch.setattr(time, "sleep", clock.sleep)
        yield clock


@pytest.fixture
def project() -> Project:
    return Project(seed=1, start="2024-01-01T00:00:00Z", events_per_hour=3)


@pytest.fixture
def amplitude(project: Project) -> Iterator[Emulator]:
    with Emulator(project) as amplitude:
        yield amplitude


@pytest.fixture
def config(amplitude: Emulator) -> dict[str, Any]:
    return config_for(amplitude)


@pytest.fixture(params=["package", "manifest"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Where a test of events runs: in the package, and in the manifest with its components alone."""
    return str(request.param)


@pytest.fixture
def components(runtime: str) -> Any:
    """The components in the form that the runtime has: the rooms of the package, or the one file."""
    return one_file() if runtime == "manifest" else Rooms()


@pytest.fixture
def hour(config: dict[str, Any]) -> dict[str, Any]:
    """A config that asks for one hour of events."""
    return {**config, "start_date": "2024-01-01T05:00:00Z", "end_date": "2024-01-01T06:00:00Z"}
