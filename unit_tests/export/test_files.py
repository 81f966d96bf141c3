"""Files of the export that grow, change, are packed again, or have bad lines.

Each in the package and in the manifest alone.
"""

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from unit_tests.conftest import Clock, Run
from unit_tests.support.archives import archive, lines
from unit_tests.support.events import event, messages, serve, uuids
from unit_tests.support.protocol import Output, config_for


def test_a_bad_line_holds_back_neither_the_lines_before_it_nor_the_other_files(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    good = [lines(event(f"{n}")) for n in range(1500)]
    spoilt = b"".join(good[:1400]) + b'{"half": \n' + b"".join(good[1401:])
    other = b"".join(lines(event(f"other {n}")) for n in range(500))
    serve(amplitude, spoilt, other)
    bounds = {"start_date": "2024-01-01T05:00:00Z", "end_date": "2024-01-01T07:00:00Z"}
    fail, skip = ({**config, **bounds, "on_bad_record": mode} for mode in ("fail", "skip"))

    outputs = [run("read", fail, ("events",), runtime=runtime)]
    for each in (fail, fail, skip, skip):
        outputs.append(run("read", each, ("events",), outputs[-1].state, runtime=runtime))

    assert [len(output.records("events")) for output in outputs] == [1900, 0, 0, 99, 0]
    assert set(Counter(uuids(*outputs)).values()) == {1}
    assert all("Line 1,401 of the file" in messages(output) for output in outputs[:3])
    assert outputs[3].error is None


@pytest.mark.parametrize(
    "line",
    [b"[1]", b'"x"', b"1", b"null", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1', b"{'a': 1}"],
    ids=repr,
)
def test_a_line_that_is_no_object_is_one_bad_line(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, line: bytes
) -> None:
    serve(amplitude, lines(event("a")) + line + b"\n" + lines(event("c")))

    failed = run("read", hour, ("events",), runtime=runtime)
    skipped = run("read", {**hour, "on_bad_record": "skip"}, ("events",), runtime=runtime)

    assert "Line 2 of the file" in messages(failed)
    assert "is not a JSON object" in messages(failed)
    assert uuids(skipped) == ["a", "c"]


@pytest.mark.parametrize("following", ["c", ""], ids=["among others", "at the end"])
def test_a_line_of_more_than_64_mebibytes_is_one_bad_line(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, following: str
) -> None:
    long = b'{"uuid": "' + b"b" * (65 * 1024**2) + b'"}'
    serve(
        amplitude,
        lines(event("a")) + long + b"\n" * bool(following) + lines(*map(event, following)),
    )

    failed = run("read", hour, ("events",), runtime=runtime)
    skipped = run("read", {**hour, "on_bad_record": "skip"}, ("events",), runtime=runtime)
    again = run("read", hour, ("events",), skipped.state, runtime=runtime)

    assert uuids(failed) == ["a"]
    assert "Line 2 of the file '1/1_2024-01-01_5#0.json.gz' is too long" in messages(failed)
    assert uuids(skipped) == ["a", *following]
    assert any("1 invalid lines were skipped" in log for log in skipped.logs)
    assert uuids(again) == []


def test_a_file_of_an_hour_that_is_not_complete_waits_for_its_hour(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    names = ("1/1_2024-01-01_5#0.json.gz", "1/1_2024-01-03_11#0.json.gz")
    body = archive({name: lines(event(name[-10])) for name in names})
    amplitude.faults = [Fault(status=200, body=body, times=None)]

    output = run("read", hour, ("events",), runtime=runtime)

    assert len(uuids(output)) == 1
    assert output.error is None


def test_a_file_without_an_hour_that_is_not_read_to_its_end_leaves_the_window_unread(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    good, rest = lines(event("a")), lines(event("c"))
    outputs: list[Output] = []
    for line in (b"{\n", b"{\n", lines(event("b"))):
        body = archive(
            {"1/1_2024-01-01_5#0.json.gz": good, "nameless": lines(event("x")) + line + rest}
        )
        amplitude.faults = [Fault(status=200, body=body, times=None)]
        state = outputs[-1].state if outputs else []
        outputs.append(run("read", hour, ("events",), state, runtime=runtime))

    assert [uuids(output) for output in outputs] == [["a", "x"], [], ["b", "c"]]
    assert ["Line 2 of the file 'nameless'" in messages(output) for output in outputs] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("blank", [b"\n", b"  \n", b"\t\r\n", b" "])
def test_a_blank_line_is_no_event_and_no_bad_line(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, blank: bytes
) -> None:
    serve(amplitude, blank + lines(event("a")) + blank + lines(event("b"))[:-1])

    output = run("read", hour, ("events",), runtime=runtime)

    assert output.error is None
    assert uuids(output) == ["a", "b"]


def test_a_file_that_grows_gives_what_is_new_and_a_file_packed_again_nothing(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    first, second, third = (lines(*[event(f"{k}{n}") for n in range(5)]) for k in "abc")
    serve(amplitude, first, second)
    outputs = [run("read", hour, ("events",), runtime=runtime)]
    for members in ([second, first], [first + third, second], [second, first + third]):
        serve(amplitude, *members)
        outputs.append(run("read", hour, ("events",), outputs[-1].state, runtime=runtime))

    assert [len(output.records("events")) for output in outputs] == [10, 0, 5, 0]


@pytest.mark.parametrize(
    "name",
    [
        "renamed",
        "2024-01-01_5#99",
        "x_2024-01-01_05",
        "2024-13-45_5",
        "2024-01-01_99",
        "0000-01-01_5",
    ],
)
def test_a_file_is_known_by_any_name(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, name: str
) -> None:
    serve(amplitude, lines(event("a"), event("b")))
    first = run("read", hour, ("events",), runtime=runtime)
    serve(amplitude, lines(event("a"), event("b")), name=name)
    second = run("read", hour, ("events",), first.state, runtime=runtime)
    third = run("read", hour, ("events",), second.state, runtime=runtime)

    assert [uuids(output) for output in (first, second, third)] == [["a", "b"], [], []]


def test_files_with_and_without_an_hour_in_their_names_are_known_in_one_archive(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    files = {"1/1_2024-01-01_5#0.json.gz": lines(event("a")), "b": lines(event("b"))}
    names = [list(files), ["b", "1/1_2024-01-01_5#0.json.gz"], ["x", "y"], list(files)]
    outputs: list[Output] = []
    for number, (first, second) in enumerate(names):
        body = archive({first: files["1/1_2024-01-01_5#0.json.gz"], second: files["b"]})
        amplitude.faults = [
            Fault(status=200, body=body, content_type="application/zip", times=None)
        ]
        state = outputs[-1].state if number else []
        outputs.append(run("read", hour, ("events",), state, runtime=runtime))

    assert [uuids(output) for output in outputs] == [["a", "b"], [], [], []]
    assert not any("has changed" in log for output in outputs for log in output.logs)


def test_a_file_that_is_changed_otherwise_is_read_again_and_the_log_says_which(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    serve(amplitude, lines(event("a"), event("b")), lines(event("c")))
    first = run("read", hour, ("events",), runtime=runtime)
    serve(amplitude, lines(event("a", changed=True), event("b")), lines(event("c")))
    second = run("read", hour, ("events",), first.state, runtime=runtime)
    third = run("read", hour, ("events",), second.state, runtime=runtime)

    assert [uuids(output) for output in (first, second, third)] == [["a", "b", "c"], ["a", "b"], []]
    (log,) = [log for log in second.logs if "has changed the export of 20240101T05" in log]
    assert "1 of 2 files" in log
    assert "2 events are emitted again" in log
    assert third.error is None


def test_a_file_of_a_day_is_read_once_and_within_the_bounds(
    run: Run, config: dict[str, Any], clock: Clock, runtime: str
) -> None:
    project = Project(start="2014-10-31T00:00:00Z", events_per_hour=1, members_per_hour=1)
    with Emulator(project) as amplitude:
        base = {**config_for(amplitude), "request_time_range": 7}
        days = [
            ("2014-11-01T07:00:00Z", "2014-11-02T12:00:00Z"),
            ("2014-11-01T07:00:00Z", "2014-11-03T00:00:00Z"),
        ]
        outputs: list[Output] = []
        for start, end in days:
            state = outputs[-1].state if outputs else []
            bounded = {**base, "start_date": start, "end_date": end}
            outputs.append(run("read", bounded, ("events",), state, runtime=runtime))

    first = datetime(2014, 11, 1, 7, tzinfo=timezone.utc)
    expected = [e["uuid"] for n in range(41) for e in project.events(first + timedelta(hours=n))]
    assert uuids(*outputs) == sorted(expected)
    assert len(outputs[0].records("events")) == 29
