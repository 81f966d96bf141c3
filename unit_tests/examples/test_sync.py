"""What stands between PyAirbyte and the connector in `make sync`: messages pass, progress is told."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Fault
from examples import sync
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.protocol import STREAMS, Output, catalog, error_body, options

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, str(ROOT / "examples" / "progress.py")]


class Pipe(threading.Thread):
    """The end of the progress pipe that `make sync` reads."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        os.mkfifo(path)
        self.path = path
        self.said: list[str] = []
        self.counted: dict[str, int] = {}

    def run(self) -> None:
        with self.path.open() as lines:
            for content in map(json.loads, lines):
                if isinstance(content, str):
                    self.said.append(content)
                else:
                    self.counted = content


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipe:
    pipe = Pipe(tmp_path / "progress")
    monkeypatch.setenv("SYNC_PROGRESS", str(pipe.path))
    pipe.start()
    return pipe


@pytest.fixture
def config(config: dict[str, Any], amplitude: Emulator) -> dict[str, Any]:
    # The process has the real clock.
    amplitude.project.now = lambda: NOW + timedelta(days=900)
    return {**config, "end_date": "2024-01-03T10:00:00Z"}


def test_every_message_of_a_read_passes_and_each_stream_says_how_many_records_it_gave(
    config: dict[str, Any], pipe: Pipe, tmp_path: Path
) -> None:
    files = options(tmp_path, config=config, catalog=catalog("events", "cohorts"))

    done = subprocess.run([*PROGRAM, "read", *files], capture_output=True, text=True)
    pipe.join(10)

    output = Output([json.loads(line) for line in done.stdout.splitlines()])
    assert done.returncode == 0
    assert set(output.state[0]) == {"type", "stream"}
    counted = Counter({"events": len(output.records("events")), "cohorts": 3})
    assert pipe.counted == counted
    assert {
        f"events: {counted['events']:,} records, complete",
        "cohorts: 3 records, complete",
    } <= set(pipe.said)


def test_warnings_and_errors_are_told_and_the_exit_code_is_the_connectors(
    config: dict[str, Any], pipe: Pipe, amplitude: Emulator, tmp_path: Path
) -> None:
    amplitude.faults.append(
        Fault(path="/api/3/cohorts", status=403, body=error_body("Not in plan"), times=None)
    )
    files = options(tmp_path, config=config, catalog=catalog("cohorts"))

    done = subprocess.run([*PROGRAM, "read", *files], capture_output=True, text=True)
    pipe.join(10)

    assert done.returncode == 1
    assert "cohorts: 0 records, incomplete" in pipe.said


def test_sigterm_ends_the_connector_too(
    config: dict[str, Any], pipe: Pipe, amplitude: Emulator, tmp_path: Path
) -> None:
    config["request_time_range"] = 1
    amplitude.faults.append(Fault(hour="20240101T04", delay=60, times=None))
    files = options(tmp_path, config=config, catalog=catalog("events"))
    with subprocess.Popen([*PROGRAM, "read", *files], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if '"STATE"' in line:
                process.send_signal(signal.SIGTERM)
                break
        process.stdout.read()

    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    pipe.join(10)
    assert not pipe.is_alive()


def test_other_commands_are_the_connectors_own(config: dict[str, Any], tmp_path: Path) -> None:
    files = options(tmp_path, config=config)

    done = subprocess.run([*PROGRAM, "check", *files], capture_output=True, text=True)

    status = json.loads(done.stdout.splitlines()[-1])["connectionStatus"]["status"]
    assert (done.returncode, status) == (0, "SUCCEEDED")


def test_a_sync_without_keys_waits_for_no_budget(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    # It begins with the last day of a month of 31 days, which the figures by month are asked for whole.
    clock.set(datetime(2024, 2, 18, 23, tzinfo=timezone.utc))
    with ExitStack() as stack:
        config = sync.config(stack)
        streams = sync.choose_streams(config, [name for name in STREAMS if name != "events"])
        output = run("read", config, tuple(streams))

    assert output.error is None
    assert max(clock.slept, default=0) < 10
