"""What goes wrong on the export, and what the connector does about it."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from source_amplitude.extensions.export.windows import parse_hour
from source_amplitude.extensions.times import HOUR
from source_amplitude.process import source
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.protocol import Output, catalog

ALL = 58 * 3
"""Three events in each of the complete hours from the project's start."""


def uuids(*outputs: Output) -> Counter[str]:
    return Counter(e["uuid"] for output in outputs for e in output.records("events"))


def envelope(status: int, details: str) -> bytes:
    error = {"http_code": status, "message": "Bad Request", "metadata": {"details": details}}
    return json.dumps({"error": error}).encode()


def once_each(*outputs: Output) -> bool:
    counted = uuids(*outputs)
    return len(counted) == ALL and set(counted.values()) == {1}


def asked(amplitude: Emulator) -> list[tuple[str, str]]:
    return [(r.query["start"][0], r.query["end"][0]) for r in amplitude.requests]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, times=2),
        Fault(status=429, headers={"Retry-After": "40"}),
        Fault(status=500, times=2),
        Fault(status=502, times=2),
        Fault(status=503, times=2),
        Fault(status=504),
        Fault(kind="close", times=2),
        Fault(kind="html"),
        Fault(kind="empty"),
        Fault(kind="cut"),
        Fault(kind="cut_chunked"),
        Fault(kind="short"),
        Fault(kind="bit_flip"),
        Fault(kind="bad_crc"),
        Fault(kind="gzip_cut"),
    ],
    ids=lambda fault: f"{fault.kind or fault.status} {fault.headers or ''}".strip(),
)
def test_what_may_pass_is_tried_again_and_every_event_comes_once(
    run: Run, config: dict[str, Any], amplitude: Emulator, fault: Fault, clock: Clock
) -> None:
    amplitude.faults.append(replace(fault))

    output = run("read", config, ("events",))

    assert output.error is None
    assert once_each(output)
    assert output.statuses("events")[-1] == "COMPLETE"
    assert clock.slept
    if "Retry-After" in fault.headers:
        assert max(clock.slept) >= 40


def test_a_server_that_does_not_answer_in_time_is_asked_again(
    run: Run, config: dict[str, Any], amplitude: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = source.load_manifest()
    requester = declared["definitions"]["requester"]
    assert requester["connect_timeout_in_seconds"] == 30
    assert requester["read_timeout_in_seconds"] == 600
    requester["read_timeout_in_seconds"] = 0.3
    monkeypatch.setattr(source, "load_manifest", lambda: declared)
    amplitude.faults += [Fault(delay=1.0), Fault(path="/api/3/cohorts", delay=1.0)]

    output = run("read", config, ("events", "cohorts"))

    assert output.error is None
    assert once_each(output)
    assert len(output.records("cohorts")) == 3
    assert len([r for r in amplitude.requests if r.path == "/api/3/cohorts"]) == 2


def test_waits_grow(run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock) -> None:
    amplitude.faults.append(Fault(status=503, times=4, hour="20240101T05"))

    run("read", config, ("events",))

    waits = [seconds for seconds in clock.slept if seconds]
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, times=None, only_longer_than=5),
        Fault(status=413, times=None, only_longer_than=5),
        Fault(status=504, times=None, only_longer_than=5),
    ],
    ids=["400", "413", "504"],
)
def test_a_window_too_large_is_halved_and_the_size_that_worked_is_remembered(
    run: Run, config: dict[str, Any], amplitude: Emulator, fault: Fault
) -> None:
    amplitude.faults.append(replace(fault))

    output = run("read", {**config, "request_time_range": 48}, ("events",))

    assert output.error is None
    assert once_each(output)
    widths = [parse_hour(last) - parse_hour(first) + HOUR for first, last in asked(amplitude)]
    # The two windows are halved until they fit; what is asked for after that is no wider.
    assert sum(width > 5 * HOUR for width in widths) <= 2 * 5
    assert sum(width <= 5 * HOUR for width in widths) <= 58 // 2


def test_a_504_is_asked_once_more_before_the_window_is_split(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(Fault(status=504, times=2, hour="20240101T05"))

    output = run("read", config, ("events",))

    assert once_each(output)
    whole = ("20240101T00", "20240101T23")
    assert asked(amplitude).count(whole) == 2
    assert ("20240101T00", "20240101T11") in asked(amplitude)


def test_a_404_is_no_data_and_the_cursor_moves_on(
    run: Run, config: dict[str, Any], clock: Clock
) -> None:
    with Emulator(Project(start="2025-01-01T00:00:00Z")) as empty:
        output = run("read", {**config, "api_url": empty.url}, ("events",))
        second = run("read", {**config, "api_url": empty.url}, ("events",), output.state)

    assert output.error is None
    assert output.records("events") == []
    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"
    assert any("no events" in line for line in output.logs)
    assert asked(empty)[3:] == [("20240103T04", "20240103T09")]
    assert second.error is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, times=None, hour="20240102T05", body=envelope(400, "over 4 GB")),
        Fault(status=500, times=None, hour="20240102T05"),
        Fault(kind="gzip_cut", times=None, hour="20240102T05"),
    ],
    ids=["too large", "500", "damaged"],
)
def test_a_window_that_never_works_fails_alone_and_the_next_sync_heals(
    run: Run, config: dict[str, Any], amplitude: Emulator, fault: Fault
) -> None:
    amplitude.faults.append(replace(fault))

    broken = run("read", config, ("events",))

    assert broken.error is not None
    assert broken.statuses("events")[-1] == "INCOMPLETE"
    assert any("20240102T0" in error["message"] for error in broken.errors)
    assert max(uuids(broken).values()) == 1
    assert broken.states("events")[-1]["server_upload_time"] <= "20240102T05"
    amplitude.faults.clear()

    healed = run("read", config, ("events",), broken.state)

    assert healed.error is None
    assert once_each(broken, healed)
    assert len(healed.states("events")[-1]["export"]["windows_read"]) == 1


def test_a_refused_hour_names_amplitudes_words_and_the_way_out(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(
        Fault(status=400, times=None, hour="20240102T05", body=envelope(400, "over 4 GB"))
    )

    output = run("read", config, ("events",))

    message = next(e["message"] for e in output.errors if "20240102T05" in e["message"])
    assert "over 4 GB" in message
    assert "S3 export" in message
    assert "were not read, and the next sync reads them" in message


def test_a_line_that_is_not_json_fails_its_window_without_its_text(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(Fault(kind="bad_line", times=None, hour="20240101T05"))

    output = run("read", config, ("events",))

    assert output.statuses("events")[-1] == "INCOMPLETE"
    assert "Line 2" in output.text
    assert "is not a JSON object" in output.text
    assert "ana@example.com" not in output.text
    # The bad line is in hour 6, and the hours before and after it have been read.
    assert output.states("events")[-1]["server_upload_time"] == "20240101T06"
    assert len(output.records("events")) == ALL - 1


def test_bad_lines_are_skipped_when_asked_and_said_so(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(Fault(kind="bad_line", times=None, hour="20240101T05"))

    output = run("read", {**config, "on_bad_record": "skip"}, ("events",))

    assert output.error is None
    assert len(output.records("events")) == ALL - 1
    assert sum("1 invalid lines were skipped" in line for line in output.logs) == 1


def test_a_sync_that_is_stopped_goes_on_from_its_last_state(
    run: Run, config: dict[str, Any]
) -> None:
    config["request_time_range"] = 1
    outputs: list[Output] = []
    state: list[dict[str, Any]] = []
    for take in (30, 60, 90, 120, None):
        outputs.append(run("read", config, ("events",), state, take=take))
        # What came after the last state is read again: it was not promised.
        messages = outputs[-1].messages
        last = max((n for n, m in enumerate(messages) if m["type"] == "STATE"), default=-1)
        if take is not None:
            del messages[last + 1 :]
        state = outputs[-1].state or state

    assert once_each(*outputs)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_leaves_nothing_behind_and_the_next_sync_loses_nothing(
    run: Run, config: dict[str, Any], amplitude: Emulator, tmp_path: Path, end: signal.Signals
) -> None:
    config.update({"request_time_range": 1, "end_date": "2024-01-03T10:00:00Z"})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for name, content in (("config", config), ("catalog", catalog("events"))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    amplitude.project.now = lambda: NOW + timedelta(days=900)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "source_amplitude",
            "read",
            "--config",
            str(tmp_path / "config.json"),
            "--catalog",
            str(tmp_path / "catalog.json"),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
        text=True,
    )
    assert process.stdout
    output = Output()
    for line in process.stdout:
        output.messages.append(json.loads(line))
        if len(output.states("events")) == 5:
            process.send_signal(end)
            break
    rest = process.stdout.read().splitlines()
    assert process.wait(5) != 0
    process.stdout.close()
    output.messages += [json.loads(line) for line in rest if line.endswith("}")]
    if end == signal.SIGTERM:
        assert list(temporary.iterdir()) == []
    last = max(n for n, m in enumerate(output.messages) if m["type"] == "STATE")
    del output.messages[last + 1 :]

    healed = run("read", config, ("events",), output.state)

    assert once_each(output, healed)


def test_a_process_that_nobody_reads_ends_itself_after_sigterm(
    config: dict[str, Any], amplitude: Emulator, tmp_path: Path
) -> None:
    # Not by the alarm's own doing: process 1 of a container has no such default.
    amplitude.project.now = lambda: NOW + timedelta(days=900)
    config["end_date"] = "2024-01-03T10:00:00Z"
    for name, content in (("config", config), ("catalog", catalog("events"))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [f"--{name}={tmp_path / name}.json" for name in ("config", "catalog")]
    process = subprocess.Popen(
        [sys.executable, "-m", "source_amplitude", "read", *files],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # else a signal cuts a blocked write short
    )
    assert process.stdout
    unread = b"\0" * 4
    # More than all logs before it: the first batch of events waits for room in the pipe.
    for _ in range(300):
        unread = fcntl.ioctl(process.stdout, termios.FIONREAD, unread)
        select.select([], [], [], 0.2)
        if int.from_bytes(unread, sys.byteorder) > 16_384:
            break
    process.send_signal(signal.SIGTERM)

    assert process.wait(5) == 128 + signal.SIGTERM
    process.stdout.close()


def test_three_ranges_in_three_processes_give_each_event_once(
    config: dict[str, Any], amplitude: Emulator, tmp_path: Path
) -> None:
    amplitude.project.now = lambda: NOW + timedelta(days=900)
    (tmp_path / "catalog.json").write_text(json.dumps(catalog("events")))
    edges = [
        "2024-01-01T00:00:00Z",
        "2024-01-01T17:30:00Z",
        "2024-01-02T11:00:00Z",
        "2024-01-03T10:00:00Z",
    ]
    processes = []
    for number, (start, end) in enumerate(pairwise(edges)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**config, "start_date": start, "end_date": end}))
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "source_amplitude",
                    "read",
                    "--config",
                    str(path),
                    "--catalog",
                    str(tmp_path / "catalog.json"),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [
        Output([json.loads(line) for line in p.communicate()[0].splitlines()]) for p in processes
    ]

    assert [p.returncode for p in processes] == [0, 0, 0]
    assert all(output.records("events") for output in outputs)
    assert once_each(*outputs)
