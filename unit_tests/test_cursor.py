"""The cursor of the export: what was read into state, state into windows."""

import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from source_amplitude.cursor import HOUR, LEDGER_MEMBERS, ExportCursor, whole_hour
from unit_tests.conftest import NOW, Clock

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
END = datetime(2024, 1, 3, 10, tzinfo=timezone.utc)
"""The end of the last hour that began three hours before NOW."""


def cursor(state: Mapping[str, Any] | None = None, **options: Any) -> ExportCursor:
    defaults: dict[str, Any] = {
        "start": START,
        "end": END,
        "window": 24 * HOUR,
        "lookback": 6 * HOUR,
        "emit": lambda state: None,
    }
    return ExportCursor(state or {}, **{**defaults, **options})


def member(name: str, checksum: int = 1) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.CRC, info.file_size = checksum, 100
    return info


def read_all(cursor: ExportCursor) -> list[str]:
    hours = []
    for window in list(cursor.windows()):
        hours += [f"{window[0]:%dT%H}-{window[1]:%dT%H}"]
        cursor.window_read(window)
    return hours


def test_a_first_sync_reads_every_complete_hour_in_windows() -> None:
    first = cursor()

    assert read_all(first) == ["01T00-02T00", "02T00-03T00", "03T00-03T10"]
    assert first.state["server_upload_time"] == "20240103T10"


def test_a_next_sync_reads_the_look_back_and_what_is_new(clock: Clock) -> None:
    first = cursor()
    read_all(first)
    clock.set(NOW + timedelta(hours=2))

    assert read_all(cursor(first.state, end=END + 2 * HOUR)) == ["03T04-03T12"]


@pytest.mark.parametrize(
    "last",
    [
        "20240101T20",
        "2024-01-01 20:15:30.123456",
        "2024-01-01 20:15:30",
        "2024-01-01T20:15:30.123456+00:00",
        "2024-01-01T20:15:30Z",
    ],
)
def test_a_state_of_airbytes_connector_is_read_again_from_its_look_back(last: str) -> None:
    switched = cursor({"server_upload_time": last})

    assert next(switched.windows())[0] == datetime(2024, 1, 1, 14, tzinfo=timezone.utc)
    assert whole_hour(last).hour == 20


def test_a_state_later_than_now_is_now() -> None:
    assert read_all(cursor({"server_upload_time": "20300101T00"}, lookback=0 * HOUR)) == []
    assert (
        cursor({"server_upload_time": "20300101T00"}).state["server_upload_time"] == "20240103T04"
    )


def test_windows_that_close_out_of_order_are_remembered_and_not_read_again() -> None:
    first = cursor()
    _, *later = list(first.windows())
    for window in reversed(later):
        first.window_read(window)

    assert first.state["server_upload_time"] == "20240101T00"
    assert first.state["read"] == [["20240102T00", "20240103T10"]]
    assert read_all(cursor(first.state)) == ["01T00-02T00", "03T04-03T10"]


def test_a_kill_before_the_look_back_was_read_does_not_lose_it(clock: Clock) -> None:
    first = cursor()
    read_all(first)
    clock.set(NOW + timedelta(hours=24))
    killed = cursor(first.state, end=END + 24 * HOUR)
    *_, newest = list(killed.windows())
    killed.window_read(newest)

    assert killed.state["server_upload_time"] == "20240103T04"
    assert next(cursor(killed.state, end=END + 24 * HOUR).windows())[0] == END - 6 * HOUR


def test_a_member_is_new_until_it_was_read_or_when_it_has_changed() -> None:
    first = cursor()
    name = "1/1_2024-01-03_8#0.json.gz"
    first.member_read(member(name), (END - 2 * HOUR, END))
    for window in list(first.windows()):
        first.window_read(window)
    second = cursor(first.state)

    assert not second.is_new(member(name))
    assert second.is_new(member(name, checksum=2))
    assert second.is_new(member("1/1_2024-01-03_8#1.json.gz"))


def test_the_members_are_pruned_to_the_look_back() -> None:
    first = cursor()
    for window in list(first.windows()):
        hour = window[0]
        while hour < window[1]:
            first.member_read(member(f"1/1_{hour:%Y-%m-%d}_{hour.hour}#0.json.gz"), window)
            hour += HOUR
        first.window_read(window)

    assert list(first.state["members"]) == [f"20240103T0{hour}" for hour in range(4, 10)]
    assert first.state["members_since"] == "20240103T04"


def test_a_wider_look_back_starts_where_the_members_do() -> None:
    first = cursor()
    read_all(first)

    assert next(cursor(first.state, lookback=48 * HOUR).windows())[0] == END - 6 * HOUR


def test_the_state_is_bounded_when_an_hour_has_very_many_members() -> None:
    first = cursor()
    *earlier, last = list(first.windows())
    for number in range(LEDGER_MEMBERS + 10):
        first.member_read(member(f"1/1_2024-01-03_8#{number}.json.gz"), last)
    for window in [*earlier, last]:
        first.window_read(window)

    assert sum(map(len, first.state["members"].values())) <= LEDGER_MEMBERS
    assert first.state["members_since"] == "20240103T09"


def test_a_start_date_moved_later_leaves_out_what_lies_before_it() -> None:
    moved = cursor({"server_upload_time": "20240101T05"}, start=START + 24 * HOUR)

    assert read_all(moved) == ["02T00-03T00", "03T00-03T10"]


def test_a_start_date_moved_earlier_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    monkeypatch.setattr(logging.getLogger("airbyte"), "propagate", True)
    first = cursor()
    read_all(first)

    cursor(first.state, start=START - 24 * HOUR)

    assert "start date was moved" in caplog.text
    assert "clear the stream" in caplog.text


def test_many_threads_that_close_at_once_lose_nothing() -> None:
    busy = cursor(window=HOUR)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(busy.window_read, list(busy.windows())))

    assert busy.state["server_upload_time"] == "20240103T10"
    assert "read" not in busy.state
