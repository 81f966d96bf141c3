"""States that others have left: the forms of Airbyte's connector, and days that are still to come.

What the package makes of the states of `events` is in test_streams.py.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from emulator import Emulator, Fault, Project
from source_amplitude.process.states import read_states
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.protocol import DAILY, logged, state_of


@pytest.mark.parametrize("stream", DAILY)
@pytest.mark.parametrize(
    "day", ["20240102", "2024-01-02T00:00:00", "2024-01-02T00:00:00Z", "2024-01-02T00:00:00+00:00"]
)
def test_a_day_in_any_form_of_airbytes_connector_is_the_same_day(
    run: Run, config: dict[str, Any], stream: str, day: str
) -> None:
    config["start_date"] = "2023-01-01T00:00:00Z"
    expected = run("read", config, (stream,), state_of(stream, date="2024-01-02"))

    output = run("read", config, (stream,), state_of(stream, date=day))

    assert output.error is None
    assert "2024-01-02" in {record["date"] for record in output.records(stream)}
    assert "2023-06-01" not in {record["date"] for record in output.records(stream)}
    assert output.records(stream) == expected.records(stream)
    assert output.states(stream) == expected.states(stream)


BY_DAY = [*((stream, "date") for stream in DAILY), ("deleted_users", "day")]


@pytest.mark.parametrize("nothing", [None, {}, {"{}": None}, {"{}": ""}, {"unknown": 1}], ids=str)
@pytest.mark.parametrize(("stream", "field"), BY_DAY)
def test_a_state_without_a_day_is_no_state(
    run: Run, config: dict[str, Any], stream: str, field: str, nothing: dict[str, Any] | None
) -> None:
    saved = state_of(stream)
    saved[0]["stream"]["stream_state"] = nothing and {
        name.format(field): value for name, value in nothing.items()
    }
    expected = run("read", config, (stream,))

    output = run("read", config, (stream,), saved)
    alone = run("read", config, (stream,), saved, runtime="manifest")

    assert output.error is None
    assert output.records(stream) == expected.records(stream)
    assert output.states(stream) == expected.states(stream)
    assert alone.error is None
    assert len(alone.records(stream)) == len(expected.records(stream))


@pytest.mark.parametrize("midnight", ["", "T00:00:00.000Z"])
@pytest.mark.parametrize(("stream", "field"), BY_DAY)
def test_a_state_of_ranges_is_read_as_the_days_in_it(
    run: Run, config: dict[str, Any], stream: str, field: str, midnight: str
) -> None:
    config |= {"start_date": "2023-12-01T00:00:00Z", "daily_lookback_days": 0}
    expected = run("read", config, (stream,), state_of(stream, **{field: "2024-01-02"}))
    first, last = f"2023-12-01{midnight}", f"2024-01-02{midnight}"
    slices = [{"start": first, "end": last, "most_recent_cursor_value": last}]
    saved = state_of(stream, state_type="date-range", slices=slices)

    output = run("read", config, (stream,), saved)
    alone = run("read", config, (stream,), saved, runtime="manifest")

    assert output.error is None
    assert output.records(stream) == expected.records(stream)
    assert alone.error is None
    assert len(alone.records(stream)) == len(expected.records(stream))


@pytest.mark.parametrize("value", ["2024-01-02", "20240102", 20240102], ids=repr)
@pytest.mark.parametrize(("stream", "field"), BY_DAY)
def test_a_bare_day_in_place_of_a_state_is_read(
    run: Run, config: dict[str, Any], stream: str, field: str, value: str | int
) -> None:
    expected = run("read", config, (stream,), state_of(stream, **{field: "2024-01-02"}))
    saved = state_of(stream)
    saved[0]["stream"]["stream_state"] = value

    output = run("read", config, (stream,), saved)

    assert output.error is None
    assert output.records(stream) == expected.records(stream)


@pytest.mark.parametrize("value", ["soon", "2024-13-45", 1704153600, ["2024-01-02"]], ids=repr)
@pytest.mark.parametrize(("stream", "field"), [*BY_DAY, ("events", "server_upload_time")])
def test_a_state_that_cannot_be_read_fails_its_stream_alone_and_is_kept(
    run: Run, config: dict[str, Any], runtime: str, stream: str, field: str, value: Any
) -> None:
    other = "new_users" if stream == "active_users" else "active_users"
    saved = state_of(stream, **{field: value}) + state_of(other, date="soon")

    outputs = [run("read", config, (stream, "cohorts"), saved, runtime=runtime)]
    outputs.append(run("read", config, (stream, "cohorts"), outputs[0].state, runtime=runtime))

    for output in outputs:
        error, *_ = output.errors
        assert error["failure_type"] == "config_error"
        assert error["message"] == (
            f"The saved state of {stream} cannot be read: its form is not known. Clear the stream's"
            " data, or its state, and the next sync reads it from the start date on."
        )
        assert len([e for e in output.errors if e["message"] == error["message"]]) == 1
        assert output.statuses(stream)[-1] == "INCOMPLETE"
        assert output.records(stream) == []
        assert output.states(stream)[-1]["unreadable"] == {field: value}
        assert output.statuses("cohorts")[-1] == "COMPLETE"
        assert output.records("cohorts")


STATE_FILES: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "the last STATE message": lambda states: json.dumps(states[-1]),
    "its state": lambda states: json.dumps(states[-1]["state"]),
    "a list of states": lambda states: json.dumps([message["state"] for message in states]),
    "a list of messages": json.dumps,
    "one message a line": lambda states: "\n".join(map(json.dumps, states)),
    "after a byte order mark": lambda states: "\ufeff" + json.dumps(states) + "\r\n",
    "all that a read has written": lambda states: "".join(
        f"{json.dumps(message)}\r\n"
        for message in ({"type": "LOG", "log": {"level": "INFO", "message": "a"}}, *states)
    ),
}


@pytest.mark.parametrize("form", STATE_FILES)
def test_states_are_read_in_each_form_that_a_user_has_them_in(
    run: Run, config: dict[str, Any], tmp_path: Path, form: str
) -> None:
    config["start_date"] = "2023-01-01T00:00:00Z"
    first = run("read", config, ("active_users",))
    states = [message for message in first.messages if message["type"] == "STATE"]
    path = tmp_path / "saved"
    path.write_text(STATE_FILES[form](states), "utf-8")

    (saved,) = read_states(str(path))

    assert saved.stream is not None
    assert saved.stream.stream_descriptor.name == "active_users"
    assert vars(saved.stream.stream_state) == states[-1]["state"]["stream"]["stream_state"]


@pytest.mark.parametrize("text", ["", "\n", " \r\n\n", "[]", "{}", "null"], ids=repr)
def test_a_file_without_a_state_has_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "saved").write_text(text)

    assert read_states(str(tmp_path / "saved")) == []


@pytest.mark.parametrize("content", [[], {}], ids=str)
def test_an_empty_state_file_is_said(run: Run, config: dict[str, Any], content: Any) -> None:
    empty = run("read", config, ("cohorts",), content)
    without = run("read", config, ("cohorts",))

    said = "The file of `--state` is empty: each stream is read from the start date on."
    assert len(logged(empty, said)) == 1
    assert empty.error is None
    assert empty.records("cohorts")
    assert logged(without, said) == []


@pytest.mark.parametrize(
    "content", [{"events": {}}, ["state"], [{"type": "STREAM"}], "state", {"type": "LOG"}], ids=str
)
def test_a_state_file_of_another_form_is_said_in_one_sentence(
    run: Run, config: dict[str, Any], content: Any
) -> None:
    output = run("read", config, ("cohorts",), content)

    assert output.error is not None
    assert "Cannot read a file given on the command line" in str(output.error.message)
    assert output.error.failure_type == FailureType.config_error


@pytest.mark.parametrize("stream", DAILY)
def test_a_day_still_to_come_is_no_error_and_loses_no_day_from_then_on(
    run: Run, config: dict[str, Any], clock: Clock, stream: str
) -> None:
    early = run("read", config, (stream,), state_of(stream, date="2024-02-01"))
    clock.set(NOW + timedelta(days=30))

    late = run("read", config, (stream,), early.state)

    assert early.error is None
    assert "2024-02-01" in {record["date"] for record in late.records(stream)}


@pytest.mark.parametrize(
    "saved",
    [
        {"server_upload_time": "20240101T20"},
        {"server_upload_time": "2024-01-01 20:15:30.123456"},
        {"server_upload_time": "2024-01-01 20:15:30"},
        {"server_upload_time": "2024-01-01T20:15:30.123456+00:00"},
        {"server_upload_time": "2024-01-01T20:15:30+00:00"},
        {"server_upload_time": "2024-01-01T20:15:30Z"},
        {"server_upload_time": "20240103T08", "cut": "2024-01-01T20:15:00"},
        {
            "server_upload_time": "20240101T20",
            "since": "20240101T00",
            "members_since": "20240101T14",
            "members": {"20240101T19": ["00112233445566"]},
            "read": [["20240102T00", "20240103T00"]],
        },
    ],
)
def test_the_cursor_of_the_manifest_accepts_what_the_packages_cursor_accepts_and_leaves(
    run: Run, config: dict[str, Any], amplitude: Emulator, saved: dict[str, str]
) -> None:
    output = run("read", config, ("events",), state_of("events", **saved), runtime="manifest")

    assert output.error is None
    assert min(r.query["start"] for r in amplitude.requests) == ["20240101T14"]
    assert len(output.records("events")) == (58 - 14) * 3


@pytest.mark.parametrize("trouble", [{"status": 400}, {"status": 503}, {"kind": "bad_crc"}])
def test_the_cursor_of_the_manifest_asks_again_for_what_it_could_not_read(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    project: Project,
    clock: Clock,
    trouble: dict[str, Any],
) -> None:
    config |= {"request_time_range": 4, "lookback_hours": 0}
    amplitude.faults.append(Fault(hour="20240102T05", times=None, **trouble))
    first = run("read", config, ("events",), runtime="manifest")
    amplitude.faults.clear()
    clock.set(NOW + timedelta(hours=2))

    second = run("read", config, ("events",), first.state, runtime="manifest")

    hours = [project.start + timedelta(hours=hour) for hour in range(60)]
    uploaded = {event["uuid"] for hour in hours for event in project.events(hour)}
    records = [*first.records("events"), *second.records("events")]
    assert first.errors
    assert {record["uuid"] for record in records} == uploaded
