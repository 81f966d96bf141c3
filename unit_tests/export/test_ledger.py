"""The ledger of the export: what was emitted into state, and state into the windows still to read."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from source_amplitude.extensions.export.ledger import LEDGER_MEMBERS, Emitted, ExportLedger
from source_amplitude.extensions.export.states import ExportStateMigration
from source_amplitude.extensions.export.windows import NO_END, Window, parse_hour, subtract
from source_amplitude.extensions.times import HOUR
from unit_tests.conftest import NOW, Clock

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
END = datetime(2024, 1, 3, 10, tzinfo=timezone.utc)
"""The end of the last hour that began three hours before NOW."""
ALL = Window(START, END)


def ledger(
    state: Mapping[str, Any] | None = None,
    hour: datetime = START,
    start: datetime = START,
    until: str = NO_END,
    lookback: int = 6,
) -> ExportLedger:
    return ExportLedger(state or {}, hour, start, until, lookback)


def read(into: ExportLedger, window: Window = ALL, hours: int = 24) -> list[str]:
    windows = into.unread(window, hours)
    for each in windows:
        into.note_window(each)
    return [f"{w.start:%dT%H}-{w.end:%dT%H}" for w in windows]


def migrate(state: Mapping[str, Any], **config: Any) -> dict[str, Any]:
    return dict(ExportStateMigration(config=config).migrate(state))


def test_a_first_sync_reads_every_hour_in_windows() -> None:
    first = ledger()

    assert read(first) == ["01T00-02T00", "02T00-03T00", "03T00-03T10"]
    assert first.end == END


def test_a_next_sync_reads_the_look_back_and_what_is_new() -> None:
    first = ledger()
    read(first)

    second = ledger(first.state)

    assert read(second, Window(START, END + 2 * HOUR)) == ["03T04-03T12"]


def test_windows_that_close_out_of_order_are_remembered_and_not_read_again() -> None:
    first = ledger()
    for window in reversed(first.unread(ALL, 24)[1:]):
        first.note_window(window)

    assert first.end == START
    assert first.state["windows_read"] == [["20240102T00", "20240103T10"]]
    assert read(ledger(first.state)) == ["01T00-02T00", "03T04-03T10"]


def test_a_kill_before_the_look_back_was_read_does_not_lose_it() -> None:
    first = ledger()
    read(first)
    killed = ledger(first.state)
    later = Window(START, END + 24 * HOUR)
    killed.note_window(killed.unread(later, 10)[-1])

    third = ledger(killed.state)

    assert third.end == END - 6 * HOUR
    assert third.unread(later, 99)[0].start == END - 6 * HOUR


def test_the_members_are_pruned_to_the_look_back_and_to_hours_that_are_not_read() -> None:
    first = ledger()
    for hours in range(58):
        hour = START + hours * HOUR
        first.note(f"{hour:%Y%m%dT%H}", [], Emitted(hours + 1, hours))
    first.note_window(Window(START + HOUR, END))

    assert list(first.state["members"]) == [
        "20240101T00",
        *(f"20240103T0{hour}" for hour in range(4, 10)),
    ]
    assert first.state["members_from"] == "20240103T04"


def test_the_file_of_a_day_is_known_until_the_whole_day_was_read() -> None:
    day = datetime(2014, 11, 1, tzinfo=timezone.utc)
    first = ledger(hour=day, start=day, lookback=0)
    first.note("20141101", [], Emitted(100, 1))

    first.note_window(Window(day, day + 12 * HOUR))
    assert "20141101" in first.state["members"]
    first.note_window(Window(day + 12 * HOUR, day + 24 * HOUR))
    assert first.state["members"] == {}


def test_a_longer_look_back_is_read_again_once_and_said(caplog: pytest.LogCaptureFixture) -> None:
    first = ledger()
    read(first)

    longer = ledger(first.state, lookback=48)

    assert longer.unread(ALL, 99)[0].start == END - 48 * HOUR
    assert "raised from 6 to 48" in caplog.text
    read(longer)
    caplog.clear()
    ledger(longer.state, lookback=48)
    assert caplog.text == ""


def test_a_look_back_that_is_made_shorter_and_longer_again_is_said_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = ledger(lookback=48)
    read(first)
    shorter = ledger(first.state, lookback=6)
    read(shorter)
    assert caplog.text == ""

    assert ledger(shorter.state, lookback=48).unread(ALL, 99)[0].start == END - 48 * HOUR
    assert "raised from 6 to 48" in caplog.text


def test_a_state_that_does_not_say_its_look_back_is_not_read_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = ledger()
    read(first)
    state = {k: v for k, v in first.state.items() if k != "lookback_hours"}

    assert ledger(state, lookback=48).unread(ALL, 99)[0].start == END - 6 * HOUR
    assert caplog.text == ""


@pytest.mark.parametrize("later", [END - 3 * HOUR, END + 24 * HOUR])
def test_a_start_date_that_is_moved_later_and_back_keeps_what_was_emitted(later: datetime) -> None:
    first = ledger()
    first.note("20240103T06", [], Emitted(10, 1))
    read(first)

    moved = ledger(first.state, start=later)
    read(moved, Window(later, END))
    back = ledger(moved.state)

    assert back.members == {"20240103T06": [Emitted(10, 1)]}
    assert back.unread(ALL, 99)[0].start == END - 6 * HOUR


def test_the_state_is_bounded_when_an_hour_has_very_many_members() -> None:
    first = ledger()
    read(first, Window(START, END - 2 * HOUR))
    for number in range(LEDGER_MEMBERS + 10):
        first.note("20240103T08", [], Emitted(number + 1, number))
    read(first)

    assert first.size <= LEDGER_MEMBERS
    assert first.state["members_from"] == "20240103T09"


def test_the_state_is_bounded_when_many_hours_could_not_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = ledger()
    most = 0
    for hour in range(200):
        for number in range(150):
            key = f"{START + hour * HOUR:%Y%m%dT%H}"
            first.note(key, [], Emitted(number + 1, number))
            most = max(most, first.size)

    assert most <= LEDGER_MEMBERS + 1
    assert first.size == sum(map(len, first.members.values()))
    assert "The events of 20240101T00 that have been emitted are emitted again" in caplog.text


def test_what_was_emitted_of_a_member_grows() -> None:
    first = ledger()
    old: list[tuple[str, Emitted]] = []
    first.note("20240103T08", old, Emitted(10, 1))
    first.note("20240103T08", old, Emitted(20, 2))

    assert first.state["members"] == {"20240103T08": [[20, 2]]}


@pytest.mark.parametrize("lookback", [0, 6])
def test_an_hour_that_an_end_date_cut_is_read_again_when_the_date_has_moved(lookback: int) -> None:
    cut = "2024-01-02T10:30:00.000000+00:00"
    first = ledger(until=cut, lookback=lookback)
    first.note("20240102T10", [], Emitted(100, 1, cut))
    first.note_window(Window(START, datetime(2024, 1, 2, 11, tzinfo=timezone.utc)))
    hour = parse_hour("20240102T10")

    same = ledger(first.state, until=cut, lookback=0)
    moved = ledger(first.state, lookback=0)

    assert same.unread(Window(hour, hour + HOUR), 24) == []
    assert moved.unread(Window(hour, hour + HOUR), 24) == [Window(hour, hour + HOUR)]
    assert migrate({"export": first.state})["server_upload_time"] == "20240102T10"


def test_what_two_end_dates_left_of_a_member_is_kept_apart() -> None:
    first = ledger()
    old: list[tuple[str, Emitted]] = []
    first.note("20240102T10", old, Emitted(100, 1, "2024-01-02T10:30:00"))
    first.note("20240102T10", old, Emitted(40, 2))

    assert sorted(first.state["members"]["20240102T10"]) == [
        [40, 2],
        [100, 1, "2024-01-02T10:30:00"],
    ]


def test_a_start_date_moved_later_leaves_out_what_lies_before_it() -> None:
    first = ledger()
    first.note_window(Window(START, START + 5 * HOUR))

    moved = ledger(first.state, start=START + 24 * HOUR)

    assert moved.end == START + 24 * HOUR


def test_a_start_date_moved_earlier_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("airbyte"), "propagate", True)
    first = ledger()
    read(first)

    moved = ledger(first.state, start=START - 24 * HOUR)

    assert "start date was moved" in caplog.text
    assert "clear the stream" in caplog.text
    assert moved.end == END - 6 * HOUR


@pytest.mark.parametrize(
    ("saved", "hour"),
    [
        ("20240101T20", "20240101T20"),
        ("2024-01-01 20:15:30.123456", "20240101T20"),
        ("2024-01-01 20:15:30", "20240101T20"),
        ("2024-01-01T20:15:30.123456+00:00", "20240101T20"),
        ("2024-01-01T20:15:30Z", "20240101T20"),
        ("2024-01-01T22:15:30+02:00", "20240101T20"),
        ("2024-01-01", "20240101T00"),
    ],
)
def test_a_state_of_airbytes_connector_is_taken_in_every_form(saved: str, hour: str) -> None:
    assert migrate({"server_upload_time": saved}) == {"server_upload_time": hour}


def test_ranges_of_dates_are_taken_up_to_the_first_gap() -> None:
    slices = [
        {"start": "20240101T00", "end": "20240101T23", "most_recent_cursor_value": "20240101T22"},
        {"start": "20240102T05", "end": "20240102T09"},
    ]

    state = migrate({"state_type": "date-range", "slices": slices})

    assert state == {"server_upload_time": "20240101T22"}


@pytest.mark.parametrize("empty", [{}, {"server_upload_time": None}, {"server_upload_time": ""}])
def test_a_state_without_a_value_is_none(empty: dict[str, Any]) -> None:
    assert migrate(empty) == {}


@pytest.mark.parametrize(
    "state",
    [
        {"server_upload_time": "yesterday"},
        {"server_upload_time": 1704067200},
        {"server_upload_time": ["20240101T00"]},
        {"export": {"windows_read": [["20240101T00"]]}},
        {"export": []},
        {"export": {"first_hour": "x", "windows_read": []}},
        {"slices": [{"start": None}]},
    ],
)
def test_a_state_that_cannot_be_read_is_kept_and_named(state: dict[str, Any]) -> None:
    first = migrate(state)

    assert first == ({"unreadable": state} if state.get("export") != [] else {})
    assert migrate({**first, "server_upload_time": "20240101T00"}).keys() <= {
        "unreadable",
        "server_upload_time",
    }


@pytest.mark.parametrize("ahead", [timedelta(hours=24), timedelta(days=30)])
def test_a_state_that_is_ahead_of_the_clock_is_read_from_the_last_complete_hour(
    ahead: timedelta, clock: Clock
) -> None:
    first = ledger()
    read(first, Window(START, END + ahead))
    clock.set(NOW)

    foreign = migrate({"server_upload_time": f"{END + ahead:%Y%m%dT%H}"})
    own = migrate({"server_upload_time": f"{END + ahead:%Y%m%dT%H}", "export": first.state})

    assert foreign["server_upload_time"] == own["server_upload_time"] == "20240103T10"
    assert own["export"]["windows_read"] == [["20240101T00", "20240103T10"]]


def test_windows_less_others_are_what_is_left() -> None:
    hours = [START + number * HOUR for number in range(10)]

    rest = subtract(
        [Window(hours[0], hours[9])], [Window(hours[2], hours[3]), Window(hours[5], hours[9])]
    )

    assert rest == [Window(hours[0], hours[2]), Window(hours[3], hours[5])]
