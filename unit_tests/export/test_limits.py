"""What bounds the export: the clock, the disk, the number of files, and the events between two states.

Each in the package and in the manifest alone.
"""

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import IO, Any

import pytest
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.types import Record

from emulator import Emulator, Export, Fault, Project
from source_amplitude.extensions.export.archive import count_members
from source_amplitude.extensions.export.windows import parse_hour
from source_amplitude.extensions.times import HOUR
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.archives import lines, zipped
from unit_tests.support.events import asked, event, messages, serve, uuids
from unit_tests.support.protocol import Output, config_for

ALL = 58 * 3
"""Three events in each of the complete hours from the project's start."""


# -- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(hours=24), timedelta(days=30)])
def test_a_clock_that_is_ahead_counts_no_hour_as_read_that_amplitude_has_not_completed(
    run: Run, clock: Clock, runtime: str, ahead: timedelta
) -> None:
    server = [NOW]
    project = Project(
        events_per_hour=3,
        clock=lambda: server[0],
        export=Export(late_members={("20240103T09", 1): 2}),
    )
    with Emulator(project) as amplitude:
        config = config_for(amplitude)
        clock.set(NOW + ahead)
        first = run("read", config, ("events",), runtime=runtime)
        clock.set(NOW + timedelta(hours=6))
        server[0] = NOW + timedelta(hours=6)
        second = run("read", config, ("events",), first.state, runtime=runtime)

    assert first.error is None
    assert first.states("events")[-1]["server_upload_time"] == "20240103T10"
    assert len([log for log in first.logs if "clock differs from Amplitude's" in log]) == 1
    assert len(set(uuids(first, second))) == len(uuids(first, second)) == 64 * 3


@pytest.mark.parametrize("sent", ["", "soon", "Wed, 03 Jan 2024 12:30:00 -0000"])
def test_a_response_without_a_date_of_use_leaves_it_to_this_clock(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, sent: str
) -> None:
    amplitude.faults.append(Fault(replace=lambda body: body, headers={"Date": sent}, times=None))

    output = run("read", config, ("events",), runtime=runtime)

    assert output.error is None
    assert len(uuids(output)) == ALL
    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"


def test_a_clock_that_is_behind_decides_itself(run: Run, clock: Clock, runtime: str) -> None:
    with Emulator(Project(events_per_hour=3, clock=lambda: NOW + timedelta(days=2))) as amplitude:
        output = run("read", config_for(amplitude), ("events",), runtime=runtime)

    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"
    assert len(output.records("events")) == ALL


# -- the disk ------------------------------------------------------------------------------------


class FullDisk:
    """A folder of `size` bytes for all temporary files together."""

    def __init__(self, size: int, code: int = errno.ENOSPC) -> None:
        self.free, self._code = size, code

    def file(self, make: Callable[..., IO[bytes]]) -> Callable[..., Any]:
        disk = self

        class File:
            def __init__(self, *args: Any, **options: Any) -> None:
                self._file, self._size = make(*args, **options), 0

            def write(self, data: bytes) -> int:
                count = min(len(data), disk.free)
                if not count:
                    raise OSError(disk._code, os.strerror(disk._code))
                disk.free -= count
                self._size += count
                return self._file.write(data[:count])

            def close(self) -> None:
                disk.free, self._size = disk.free + self._size, 0
                self._file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self._file, name)

        return File


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (200_000, errno.ENOSPC),
        (60_000, errno.EDQUOT),
        (20_000, errno.ENOSPC),
        (20_000, errno.EFBIG),
    ],
)
def test_a_small_disk_waits_for_earlier_archives_and_then_asks_for_smaller_windows(
    run: Run,
    clock: Clock,
    runtime: str,
    size: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    components: Any,
) -> None:
    disk = FullDisk(size, code)
    monkeypatch.setattr(components, "TemporaryFile", disk.file(tempfile.TemporaryFile))
    clock.set(NOW + timedelta(days=4))

    with Emulator(Project(events_per_hour=6)) as amplitude:
        output = run("read", config_for(amplitude), ("events",), runtime=runtime)

    assert output.error is None
    assert len(set(uuids(output))) == len(uuids(output)) == (58 + 96) * 6
    assert disk.free == size
    # A day is about 60,000 bytes; no download is begun again and again.
    assert len(amplitude.requests) <= 80


def test_an_hour_that_does_not_fit_on_the_disk_is_named_with_the_folder_and_the_way_out(
    run: Run, config: dict[str, Any], runtime: str, monkeypatch: pytest.MonkeyPatch, components: Any
) -> None:
    disk = FullDisk(1_000)
    monkeypatch.setattr(components, "TemporaryFile", disk.file(tempfile.TemporaryFile))

    output = run("read", config, ("events",), runtime=runtime)

    assert tempfile.gettempdir() in messages(output)
    for words in ("1,000 bytes", "TMPDIR", "request_time_range"):
        assert words in messages(output)
    assert output.errors[0]["failure_type"] == "config_error"


@pytest.mark.parametrize("limit", [60_000, 20_000])
def test_the_bytes_on_disk_at_once_are_bounded(
    run: Run,
    config: dict[str, Any],
    runtime: str,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
    components: Any,
) -> None:
    build = ConcurrentDeclarativeSource.__init__

    def build_with_limit(source: Any, *_: Any, source_config: Any, **more: Any) -> None:
        source_config["definitions"]["events"]["retriever"]["max_bytes_on_disk"] = limit
        build(source, source_config=source_config, **more)

    monkeypatch.setattr(ConcurrentDeclarativeSource, "__init__", build_with_limit)
    disk = FullDisk(10**9)
    monkeypatch.setattr(components, "TemporaryFile", disk.file(tempfile.TemporaryFile))
    least = [disk.free]

    class Watched(components.DiskSpace):  # type: ignore[misc]
        def write(self, space: object, file: IO[bytes], chunk: bytes) -> None:
            super().write(space, file, chunk)
            least.append(disk.free)

    monkeypatch.setattr(components, "DiskSpace", Watched)

    output = run("read", config, ("events",), runtime=runtime)

    assert output.error is None
    assert len(set(uuids(output))) == len(uuids(output)) == ALL
    assert 10**9 - min(least) <= limit


def test_a_temporary_folder_that_is_not_there_is_named(
    run: Run, config: dict[str, Any], runtime: str, monkeypatch: pytest.MonkeyPatch, components: Any
) -> None:
    def refuse(**_: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/gone']")

    monkeypatch.setattr(components, "TemporaryFile", refuse)

    output = run("read", config, ("events",), runtime=runtime)

    assert "TMPDIR" in messages(output)
    assert output.statuses("events")[-1] == "INCOMPLETE"


def test_a_folder_that_takes_no_bytes_is_named(
    run: Run, hour: dict[str, Any], runtime: str, monkeypatch: pytest.MonkeyPatch, components: Any
) -> None:
    def broken(**_: Any) -> Any:
        def write(_chunk: bytes) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        return SimpleNamespace(write=write, close=lambda: None)

    monkeypatch.setattr(components, "TemporaryFile", broken)

    output = run("read", hour, ("events",), runtime=runtime)

    (error,) = output.errors[:1]
    assert error["failure_type"] == "config_error"
    assert error["message"].startswith(
        "Cannot write to the folder for temporary files (Input/output error): set TMPDIR"
    )
    assert "20240101T06" not in str(output.states("events"))


# -- the files -----------------------------------------------------------------------------------


def test_too_many_files_for_one_archive_are_a_reason_to_ask_for_less(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    monkeypatch: Any,
    components: Any,
) -> None:
    monkeypatch.setattr(components, "MAX_MEMBERS", 10)

    output = run("read", config, ("events",), runtime=runtime)

    assert output.error is None
    assert len(set(uuids(output))) == len(uuids(output)) == ALL
    assert 58 // 5 <= len(asked(amplitude)) <= 58 // 2


@pytest.mark.parametrize("zip64", [False, True])
def test_files_are_counted_before_they_are_listed(zip64: bool) -> None:
    with tempfile.TemporaryFile() as file:
        body = zipped({f"{n}": b"" for n in range(70_000 if zip64 else 300)})
        file.write(body)

        assert count_members(file) == (70_000 if zip64 else 300)


def test_an_hour_of_very_many_files_is_read(
    run: Run,
    hour: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    monkeypatch: Any,
    components: Any,
) -> None:
    monkeypatch.setattr(components, "MAX_MEMBERS", 10)
    serve(amplitude, *[lines(event(f"{n}")) for n in range(50)])

    first = run("read", hour, ("events",), runtime=runtime)
    second = run("read", hour, ("events",), first.state, runtime=runtime)

    assert len(set(uuids(first))) == len(uuids(first)) == 50
    assert uuids(second) == []


def test_an_hour_that_claims_more_files_than_can_be_listed_is_damaged(
    run: Run,
    hour: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    monkeypatch: Any,
    components: Any,
) -> None:
    monkeypatch.setattr(components, "MAX_MEMBERS", 10)
    monkeypatch.setattr(components, "MAX_MEMBERS_OF_AN_HOUR", 40)
    serve(amplitude, *[lines(event(f"{n}")) for n in range(50)])

    output = run("read", hour, ("events",), runtime=runtime)

    assert uuids(output) == []
    assert "it claims 50 files" in messages(output)


# -- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [503, 504])
def test_failures_behind_a_redirect_count_for_the_request_that_was_sent(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, status: int, clock: Clock
) -> None:
    elsewhere = {"Location": f"{amplitude.url}/elsewhere"}
    amplitude.faults = [
        Fault(status=302, headers=elsewhere, times=None, only_longer_than=5),
        Fault(path="/elsewhere", status=status, times=None),
    ]

    output = run("read", {**config, "request_time_range": 12}, ("events",), runtime=runtime)

    tries = [r for r in amplitude.requests if r.path == "/elsewhere"]
    if status == 504:
        assert output.error is None
        assert len(set(uuids(output))) == len(uuids(output)) == ALL
    else:
        # Five windows in flight, and each of their halves that is requested before the fifth failure.
        assert len(tries) % 7 == 0
        assert 10 * 7 <= len(tries) <= 15 * 7
        assert "7 attempts" in messages(output)


def test_failures_count_for_one_request_and_not_for_those_that_follow_it(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, clock: Clock
) -> None:
    hours = [f"202401{day:02}T{hour:02}" for day in (1, 2, 3) for hour in range(24)]
    amplitude.faults = [Fault(hour=hour, status=503, times=4) for hour in hours]

    output = run("read", {**config, "request_time_range": 1}, ("events",), runtime=runtime)

    assert output.error is None
    assert len(set(uuids(output))) == len(uuids(output)) == ALL
    assert {request.status for request in amplitude.requests} == {200, 503}


def test_a_circle_of_redirects_ends_at_once(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, clock: Clock
) -> None:
    here = {"Location": f"{amplitude.url}/api/2/export?start=1"}
    amplitude.faults = [Fault(status=302, headers=here, times=None)]

    output = run("read", config, ("events",), runtime=runtime)

    assert "ended in a redirect loop" in messages(output)
    assert clock.slept == []


# -- states --------------------------------------------------------------------------------------


def between_states(output: Output) -> list[tuple[int, int]]:
    """Events and bytes between two states of the stream."""
    counts, events, size = [], 0, 0
    for message in output.messages:
        if message["type"] == "RECORD":
            events += 1
            size += len(json.dumps(message["record"]["data"]))
        elif message["type"] == "STATE":
            counts.append((events, size))
            events = size = 0
    return [*counts, (events, size)]


def test_a_slow_destination_is_waited_for_and_events_do_not_pile_up(
    run: Run,
    hour: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    monkeypatch: pytest.MonkeyPatch,
    components: Any,
) -> None:
    serve(amplitude, lines(*[event(f"{n}", padding="x" * 10_000) for n in range(600)]))
    full, held = threading.Event(), []

    class Backlog(components.Backlog):  # type: ignore[misc]
        def _has_room(self) -> bool:
            room = bool(super()._has_room())
            if not room:
                held.append(self._size)
                full.set()
            return room

    def stall(message: dict[str, Any]) -> None:
        if message["type"] == "RECORD":
            assert full.wait(60)

    monkeypatch.setattr(components, "Backlog", Backlog)

    output = run("read", hour, ("events",), runtime=runtime, watch=stall)

    assert len(set(uuids(output))) == len(uuids(output)) == 600
    assert max(held) <= components.BACKLOG_BYTES + 2 * (components.CHUNK_BYTES + 20_000)


def test_a_destination_is_waited_for_however_long_it_pauses(components: Any) -> None:
    backlog = components.Backlog()
    records = [Record({}, "events") for _ in range(3)]
    added = threading.Event()

    def add() -> None:
        for record in records:
            backlog.add(record, 1_100_000)
        added.set()

    thread = threading.Thread(target=add)
    thread.start()
    while not backlog._blocks or len(backlog._blocks) < 2:
        threading.Event().wait(0.001)
    assert not added.wait(components.LOOK_SECONDS * 2.5)
    assert backlog._size == 2_200_000
    records[0] = Record({}, "events")  # the first one is gone
    thread.join(60)

    assert added.is_set()


def test_a_thread_that_waits_ends_with_the_process() -> None:
    program = """
import threading
from airbyte_cdk.sources.types import Record
from source_amplitude.extensions.export.backlog import Backlog
backlog, records = Backlog(), [Record({}, "events") for _ in range(4)]
threading.Thread(target=lambda: [backlog.add(each, 1_000_000) for each in records]).start()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )

    assert "NoReaderError" in ran.stderr


def test_whoever_iterates_over_a_stream_in_the_main_thread_may_keep_its_records(
    components: Any,
) -> None:
    backlog = components.Backlog()
    records = [Record({}, "events") for _ in range(50)]

    for record in records:
        backlog.add(record, 100_000)
    held = backlog._size
    del record
    records.clear()

    assert held == 5_000_000
    assert backlog._size == 0


@pytest.mark.parametrize(
    ("events", "padding", "members"), [(12_000, 10, 1), (12_000, 10, 40), (300, 100_000, 1)]
)
def test_no_more_than_5000_events_or_10_megabytes_lie_between_two_states(
    run: Run,
    hour: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    events: int,
    padding: int,
    members: int,
) -> None:
    written = [lines(event(f"{n}", padding="x" * padding)) for n in range(events)]
    serve(amplitude, *[b"".join(written[n::members]) for n in range(members)])

    output = run("read", hour, ("events",), runtime=runtime)

    counts = between_states(output)
    assert sum(count for count, _ in counts) == events
    assert max(count for count, _ in counts) <= 5_000
    assert max(size for _, size in counts) <= 11_000_000
    assert len(counts) >= 3


def test_a_state_lies_between_5000_of_the_shortest_lines_too(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    serve(amplitude, b"".join(b'{"uuid":"%d"}\n' % n for n in range(30_000)))

    output = run("read", hour, ("events",), runtime=runtime)

    counts = between_states(output)
    assert sum(count for count, _ in counts) == 30_000
    assert max(count for count, _ in counts) <= 5_000


def test_states_are_a_small_part_of_what_is_written_however_many_files_there_are(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    serve(amplitude, *[lines(*[event(f"{n} {i}") for i in range(20)]) for n in range(900)])

    output = run("read", hour, ("events",), runtime=runtime)

    states = sum(len(json.dumps(m)) for m in output.messages if m["type"] == "STATE")
    records = sum(len(json.dumps(m)) for m in output.messages if m["type"] == "RECORD")
    assert len(output.records("events")) == 18_000
    assert states <= records / 5  # the last state of a window is one more than the tenth allows


@pytest.mark.parametrize("take", [3_000, 7_500, 11_999])
def test_a_kill_within_a_file_repeats_only_what_came_after_the_last_state(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, take: int
) -> None:
    serve(amplitude, b"".join(lines(event(f"{n}")) for n in range(12_000)))

    killed = run("read", hour, ("events",), take=take, runtime=runtime)
    last = max((n for n, m in enumerate(killed.messages) if m["type"] == "STATE"), default=-1)
    lost = [m for m in killed.messages[last + 1 :] if m["type"] == "RECORD"]
    healed = run("read", hour, ("events",), killed.state, runtime=runtime)

    assert len(lost) <= 5_000
    assert len(uuids(killed, healed)) - len(set(uuids(killed, healed))) == len(lost)
    assert len(set(uuids(killed, healed))) == 12_000


def test_a_state_knows_all_events_before_it_however_late_the_cursor_closes_a_slice(
    run: Run, config: dict[str, Any], runtime: str, monkeypatch: pytest.MonkeyPatch, components: Any
) -> None:
    close = ConcurrentCursor.close_partition

    def close_late(cursor: ConcurrentCursor, partition: Any) -> None:
        threading.Event().wait(0.02)  # other workers go on
        close(cursor, partition)

    monkeypatch.setattr(ConcurrentCursor, "close_partition", close_late)
    config |= {"request_time_range": 4, "lookback_hours": 0}

    output = run("read", config, ("events",), runtime=runtime)

    seen = 0
    for message in output.messages:
        if message["type"] == "RECORD":
            seen += 1
        elif message["type"] == "STATE":
            export = message["state"]["stream"]["stream_state"]["export"]
            read = [[parse_hour(hour) for hour in each] for each in export["windows_read"]]
            hours = sum((end - start) // HOUR for start, end in read)
            assert seen == 3 * hours
    assert seen == ALL
