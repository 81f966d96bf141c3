"""Fixtures: a frozen clock, an emulated Amplitude, and the connector run through its own entry point."""

import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import settings
from pyrate_limiter import BucketFactory

from emulator import Emulator, Project
from source_amplitude import extensions
from unit_tests.support.once import Once
from unit_tests.support.protocol import STREAMS, Output, catalog, config_for, options
from unit_tests.support.runtimes import ALIAS, Rooms, entrypoint_of, one_file

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

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
def what_is_the_same_for_each_source_is_done_once() -> Iterator[Once]:
    """For each source the manifest is parsed, validated and resolved: half the time of most tests."""
    once = Once()
    once.start()
    yield once
    once.stop()


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
            entrypoint = entrypoint_of(runtime, arguments)
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
