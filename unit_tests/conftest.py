"""Fixtures: a frozen clock, an emulated Amplitude, and the connector run through its own entry point."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import settings

from emulator import Emulator, Project
from source_amplitude.entrypoint import Entrypoint, source_for

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

NOW = datetime(2024, 1, 3, 12, 30, tzinfo=timezone.utc)
STREAMS: dict[str, tuple[list[str], str | None]] = {
    "events": (["uuid"], "server_upload_time"),
    "active_users": (["date"], "date"),
    "new_users": (["date"], "date"),
    "active_users_by_segment": (["date", "segment"], "date"),
    "average_session_length": (["date"], "date"),
    "average_sessions_per_user": (["date"], "date"),
    "session_length_distribution": (["date", "bin"], "date"),
    "cohorts": (["id"], None),
    "cohort_members": (["cohort_id", "amplitude_id"], None),
    "annotations": (["id"], None),
    "annotation_categories": (["id"], None),
    "events_list": (["id"], None),
    "event_categories": (["id"], None),
    "event_types": (["event_type"], None),
    "event_properties": (["event_type", "event_property"], None),
    "user_properties": (["user_property"], None),
    "group_properties": (["group_property"], None),
    "deleted_users": (["day", "amplitude_id"], "day"),
}
"""Every stream's key and cursor."""
DAILY = tuple(name for name, (_, cursor) in STREAMS.items() if cursor == "date")


@dataclass
class Output:
    """What one command printed, and what ended it."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    error: AirbyteTracedException | None = None

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            m["record"]["data"]
            for m in self.messages
            if m["type"] == "RECORD" and m["record"]["stream"] == stream
        ]

    def states(self, stream: str) -> list[dict[str, Any]]:
        return [
            m["state"]["stream"]["stream_state"]
            for m in self.messages
            if m["type"] == "STATE" and m["state"]["stream"]["stream_descriptor"]["name"] == stream
        ]

    def statuses(self, stream: str) -> list[str]:
        return [
            m["trace"]["stream_status"]["status"]
            for m in self.messages
            if m["type"] == "TRACE"
            and m["trace"]["type"] == "STREAM_STATUS"
            and m["trace"]["stream_status"]["stream_descriptor"]["name"] == stream
        ]

    @property
    def state(self) -> list[dict[str, Any]]:
        """The last state of every stream, as a platform hands it back."""
        last = {
            m["state"]["stream"]["stream_descriptor"]["name"]: m["state"]
            for m in self.messages
            if m["type"] == "STATE"
        }
        return [{"type": "STREAM", "stream": state["stream"]} for state in last.values()]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [
            m["trace"]["error"]
            for m in self.messages
            if m["type"] == "TRACE" and m["trace"]["type"] == "ERROR"
        ]

    @property
    def text(self) -> str:
        """Everything that a user could see."""
        error = self.error and f"{self.error.message} {self.error.internal_message}"
        return "\n".join([json.dumps(self.messages), *self.logs, error or ""])


Run = Callable[..., Output]


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
        arguments = [command, *(["--debug"] if debug else [])]
        files = {
            "--config": config,
            "--catalog": catalog(*streams) if command == "read" else None,
            "--state": state if command == "read" else None,
        }
        for option, content in files.items():
            if content is not None:
                path = tmp_path / f"{option[2:]}.json"
                path.write_text(json.dumps(content))
                arguments += [option, str(path)]
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


def catalog(*streams: str) -> dict[str, Any]:
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": {},
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": "incremental" if STREAMS[name][1] else "full_refresh",
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }


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


def config_for(amplitude: Emulator, **more: Any) -> dict[str, Any]:
    return {
        "api_key": amplitude.api_key,
        "secret_key": amplitude.secret_key,
        "api_url": amplitude.url,
        "start_date": "2024-01-01T00:00:00Z",
        "cohort_ids": ["p81xq0z", "zz7a1b2"],
        **more,
    }
