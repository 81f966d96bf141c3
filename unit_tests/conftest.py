"""Fixtures: a frozen clock, an emulated Amplitude, and the connector run through its own entry point."""

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airbyte_cdk.sources.declarative import concurrent_declarative_source
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import settings

from emulator import Emulator, Project
from source_amplitude.entrypoint import Entrypoint, source_for
from unit_tests.protocol import DAILY, STREAMS, Output, catalog, config_for, options

__all__ = ["DAILY", "NOW", "STREAMS", "Clock", "Output", "Run", "catalog", "config_for"]

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

NOW = datetime(2024, 1, 3, 12, 30, tzinfo=timezone.utc)

Run = Callable[..., Output]


@pytest.fixture(scope="session", autouse=True)
def component_schema_is_read_once() -> Iterator[None]:
    """The CDK parses its description of all components for each source: a third of a short sync."""
    name = "get_declarative_component_schema"
    with pytest.MonkeyPatch.context() as patch:
        read = getattr(concurrent_declarative_source, name)
        patch.setattr(concurrent_declarative_source, name, functools.cache(read))
        yield


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
            entrypoint = Entrypoint(source_for(arguments))
            lines = entrypoint.run(entrypoint.parse_args(arguments))
            for line in lines:
                output.messages.append(json.loads(line))
                if watch:
                    watch(output.messages[-1])
                if take is not None and len(output.messages) >= take:
                    lines.close()  # type: ignore[attr-defined]
                    break
        except AirbyteTracedException as error:
            output.error = error
        finally:
            logging.getLogger("airbyte").removeHandler(handler)
            logging.getLogger("airbyte").setLevel(logging.INFO)
        return output

    return run


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
