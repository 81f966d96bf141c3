"""Cohort members by change: which cohorts a sync asks for, and what the state knows of each."""

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from emulator import Emulator, Fault, cohorts
from emulator.limits import COHORT_DOWNLOADS, Budget
from emulator.messages import Request, Response
from unit_tests.conftest import NOW, Clock, Run, Sync
from unit_tests.support.protocol import Output, config_for, state_of

FIRST, SECOND = "p81xq0z", "zz7a1b2"
MEMBERS = ("cohort_members",)


@pytest.fixture
def config(amplitude: Emulator) -> dict[str, Any]:
    return config_for(amplitude, cohort_ids=[FIRST, SECOND])


def jobs(amplitude: Emulator) -> Counter[str]:
    """The jobs that were created, by cohort, since this was last asked."""
    start = "/api/5/cohorts/request/"
    paths = [request.path for request in amplitude.requests]
    amplitude.requests.clear()
    return Counter(
        p.removeprefix(start) for p in paths if p.startswith(start) and p[-5:] != "/file"
    )


def read_cohorts(output: Output) -> set[str]:
    return {record["cohort_id"] for record in output.records("cohort_members")}


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def test_a_cohort_that_has_not_changed_is_not_asked_for_again(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = sync(config, MEMBERS, [])
    asked = jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))
    second = sync(config, MEMBERS, first.state)
    again = jobs(amplitude)
    clock.set(NOW + timedelta(hours=2))
    third = sync(config, MEMBERS, second.state)

    assert asked == {FIRST: 1, SECOND: 1}
    assert read_cohorts(first) == {FIRST, SECOND}
    assert not again
    assert second.records("cohort_members") == third.records("cohort_members") == []
    assert not jobs(amplitude)
    assert first.state == second.state == third.state


@pytest.mark.parametrize("times", ["computed", "edited"])
def test_a_cohort_that_was_computed_or_edited_is_read_again_and_no_other(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock, times: str
) -> None:
    first = sync(config, MEMBERS, [])
    jobs(amplitude)
    getattr(amplitude.project, times)[SECOND] = epoch(NOW + timedelta(minutes=30))
    clock.set(NOW + timedelta(hours=1))
    second = sync(config, MEMBERS, first.state)
    asked = jobs(amplitude)
    clock.set(NOW + timedelta(hours=2))
    sync(config, MEMBERS, second.state)

    assert asked == {SECOND: 1}
    assert read_cohorts(second) == {SECOND}
    before = {r["computed_at"] for r in first.records("cohort_members") if r["cohort_id"] == SECOND}
    after = {r["computed_at"] for r in second.records("cohort_members")}
    assert len(before) == len(after) == 1
    assert max(before) < max(after)
    assert not jobs(amplitude)


def test_a_cohort_that_changes_while_its_file_is_written_is_read_again(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    respond = amplitude.respond
    late = epoch(NOW + timedelta(minutes=30))

    def with_change(request: Request, fault: Fault | None, over_limit: bool) -> Response:
        response = respond(request, fault, over_limit)
        if response.status == 200 and "request-status" in request.path:
            amplitude.project.computed[FIRST] = late
        return response

    amplitude.respond = with_change  # type: ignore[method-assign]
    first = sync(config, MEMBERS, [])
    amplitude.respond = respond  # type: ignore[method-assign]
    jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))
    sync(config, MEMBERS, first.state)

    assert jobs(amplitude) == {FIRST: 1}


def test_where_to_ask_for_a_cohort_computes_nothing_its_times_are_enough(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    amplitude.project.cohorts.downloads_compute = False
    amplitude.project.computed = {FIRST: 1_700_000_000, SECOND: 1_800_000_000}
    amplitude.project.edited = {FIRST: 1_700_000_100, SECOND: 1_800_000_100}

    first = sync(config, MEMBERS, [])
    jobs(amplitude)
    clock.set(NOW + timedelta(days=1))
    sync(config, MEMBERS, first.state)

    assert not jobs(amplitude)


@pytest.mark.parametrize(
    "state",
    [
        {"__ab_no_cursor_state_message": True},
        {"__ab_full_refresh_sync_complete": True},
    ],
)
def test_a_state_of_the_cdks_own_has_all_cohorts_read(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, state: dict[str, Any]
) -> None:
    descriptor = {"name": "cohort_members"}
    stream = {"stream_descriptor": descriptor, "stream_state": state}

    output = sync(config, MEMBERS, [{"type": "STREAM", "stream": stream}])

    assert output.error is None
    assert jobs(amplitude) == {FIRST: 1, SECOND: 1}


@pytest.mark.parametrize(
    "state",
    [
        {"states": [{"partition": {"cohort_id": FIRST}, "cursor": {"computed_at": "soon"}}]},
        {"states": [{"partition": {}, "cursor": {"computed_at": "2024-01-03T12:00:00Z"}}]},
        {"states": "none"},
        {"computed_at": "2024-01-03T12:00:00Z"},
    ],
)
def test_a_state_that_cannot_be_read_fails_the_stream_by_name_at_each_sync_and_no_other(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, state: dict[str, Any]
) -> None:
    saved = state_of("cohort_members", **state)
    for _ in range(2):
        output = sync(config, ("cohort_members", "cohorts"), saved)

        assert any("The saved state of cohort_members" in e["message"] for e in output.errors)
        assert output.records("cohort_members") == []
        assert output.records("cohorts")
        saved = output.state or saved
    assert not jobs(amplitude)


@pytest.mark.parametrize(
    "saved",
    [
        "2024-01-05T05:00:00+00:00",
        "2024-01-04T12:00:00.000000Z",
        "2024-01-04 12:00:00",
        1_704_369_600,
        "1704369600000",
        "2031-01-01T00:00:00Z",
    ],
)
def test_a_saved_time_of_any_form_is_rewritten_and_one_to_come_is_now(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock, saved: Any
) -> None:
    states = [
        {"partition": {"cohort_id": cohort}, "cursor": {"computed_at": saved}}
        for cohort in (FIRST, SECOND)
    ]
    clock.set(NOW + timedelta(days=3))
    output = sync(config, MEMBERS, state_of("cohort_members", states=states))

    assert output.error is None
    assert not jobs(amplitude)
    moments = {s["cursor"]["computed_at"] for s in output.states("cohort_members")[-1]["states"]}
    assert moments <= {"2024-01-05T05:00:00Z", "2024-01-04T12:00:00Z", "2024-01-06T12:30:00Z"}
    assert len(moments) == 1


@pytest.mark.parametrize(
    "third",
    [
        {"lastComputed": 1_700_000_000, "lastMod": None},
        {"lastComputed": 1_700_000_000},
        {"lastComputed": "soon", "lastMod": 1},
        {},
        None,
        7,
    ],
    ids=repr,
)
@pytest.mark.parametrize("unit", [1, 1_000])
def test_a_row_of_the_list_in_any_form_has_no_other_cohort_asked_for_again(
    sync: Sync,
    config: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    third: Any,
    unit: int,
) -> None:
    times = {"lastComputed": 1_700_000_000 * unit, "lastMod": 1_700_000_000 * unit}
    row = {"id": "k3v9t2a", **third} if isinstance(third, dict) else {"id": third}
    rows = [row, *({"id": cohort, **times} for cohort in (FIRST, SECOND))]
    body = json.dumps({"cohorts": rows}).encode()
    amplitude.faults = [Fault(path="/api/3/cohorts", status=200, body=body, times=None)]
    first = sync(config, MEMBERS, [])
    jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))
    second = sync(config, MEMBERS, first.state)

    assert first.error is second.error is None
    assert not jobs(amplitude)


def test_a_cohort_whose_times_cannot_be_read_is_read_again_with_a_warning_that_names_it(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    rows = [
        {"id": FIRST, "lastComputed": 1_700_000_000, "lastMod": "soon"},
        {"id": SECOND, "lastComputed": 1_700_000_000, "lastMod": 1_700_000_000},
    ]
    body = json.dumps({"cohorts": rows}).encode()
    amplitude.faults = [Fault(path="/api/3/cohorts", status=200, body=body, times=None)]
    first = sync(config, MEMBERS, [])
    jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))
    second = sync(config, MEMBERS, first.state)

    assert jobs(amplitude) == {FIRST: 1}
    (warning,) = [log for log in second.logs if "that cannot be read" in log]
    assert repr(FIRST) in warning


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (403, b"<html>"), (429, b'{"error": {"message": "Exceeded hourly rate limit"}}')],
)
def test_what_need_not_be_answered_is_asked_once_without_a_wait_and_with_a_warning(
    sync: Sync,
    config: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    status: int,
    body: bytes,
) -> None:
    for path in ("/api/3/cohorts", "/api/3/cohorts/usage"):
        amplitude.faults.append(Fault(path=path, status=status, body=body, times=None))
    output = sync(config, MEMBERS, [])

    asked = Counter(request.path for request in amplitude.requests)
    assert output.error is None
    assert asked["/api/3/cohorts"] == asked["/api/3/cohorts/usage"] == 1
    assert max(clock.slept) < 10
    (of_list,) = [log for log in output.logs if "the list of cohorts could not be read" in log]
    (of_usage,) = [log for log in output.logs if "cohort requests that are left" in log]
    assert f"({status}" in of_list
    assert f"({status}" in of_usage


def test_a_state_follows_each_cohort_so_that_none_is_asked_for_again_after_a_kill(
    sync: Sync, config: dict[str, Any]
) -> None:
    output = sync({**config, "cohort_ids": [FIRST, "k3v9t2a", SECOND]}, MEMBERS, [])

    known = [
        {
            s["partition"]["cohort_id"]
            for s in state["states"]
            if s["cursor"]["computed_at"] > "2013"
        }
        for state in output.states("cohort_members")
    ]
    assert {1, 2, 3} <= {len(cohorts) for cohorts in known}


def test_a_cohort_that_is_added_is_read_and_the_others_are_not(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = sync({**config, "cohort_ids": [SECOND]}, MEMBERS, [])
    jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))

    second = sync(config, MEMBERS, first.state)

    assert jobs(amplitude) == {FIRST: 1}
    assert read_cohorts(second) == {FIRST}


def test_a_cohort_without_members_or_without_times_is_read_too(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    config = {**config, "cohort_ids": ["k3v9t2a"]}

    first = sync(config, MEMBERS, [])
    asked = jobs(amplitude)
    clock.set(NOW + timedelta(hours=1))
    sync(config, MEMBERS, first.state)

    assert asked == {"k3v9t2a": 1}
    assert not jobs(amplitude)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[]"),
        (200, b"{}"),
        (200, b"<html>"),
        (200, b'{"limit": null, "count": 4}'),
        (200, b'{"cohorts": [{"id": "p81xq0z", "lastComputed": "soon", "lastMod": 1}]}'),
        (404, b""),
        (403, b""),
        (500, b""),
    ],
)
def test_without_a_list_or_a_count_all_is_read(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, status: int, body: bytes
) -> None:
    amplitude.faults = [
        Fault(path="/api/3/cohorts", status=status, body=body, times=None),
        Fault(path="/api/3/cohorts/usage", status=status, body=body, times=None),
    ]

    output = sync(config, MEMBERS, [])

    assert output.error is None
    assert jobs(amplitude) == {FIRST: 1, SECOND: 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"rest_download": {"limit": 500, "usage": 499, "resets_at": "2024-02-01T00:00:00Z"}}',
        b'{"limit": 500, "count": 499}',
    ],
)
def test_a_cohort_that_was_never_read_when_the_months_limit_is_reached_ends_the_stream(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock, body: bytes
) -> None:
    amplitude.faults = [Fault(path="/api/3/cohorts/usage", status=200, body=body, times=None)]
    first = sync({**config, "cohort_ids": [FIRST, SECOND, "k3v9t2a"]}, MEMBERS, [])
    asked = jobs(amplitude)
    amplitude.faults = []
    clock.set(NOW + timedelta(days=30))
    second = sync(config, MEMBERS, first.state)

    assert first.statuses("cohort_members")[-1] == "INCOMPLETE"
    assert sum(asked.values()) == 1
    left = {FIRST, SECOND, "k3v9t2a"} - asked.keys()
    warnings = [
        log for log in first.logs if "was not read, because" in log or "were not read" in log
    ]
    assert all(any(repr(cohort) in warning for warning in warnings) for cohort in left)
    reset = "on 2024-02-01T00:00:00Z" if b"resets_at" in body else "at the start of the next month"
    (error,) = [each for each in first.errors if "limit of cohort requests" in each["message"]]
    assert error["failure_type"] == "config_error"
    assert f"The limit is reset {reset}" in error["message"]
    assert second.error is None
    assert read_cohorts(second) == {FIRST, SECOND} - asked.keys()


def test_a_cohort_that_was_read_before_the_months_limit_was_reached_stays_as_it_is(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = sync(config, MEMBERS, [])
    for cohort in (FIRST, SECOND):
        amplitude.project.computed[cohort] = epoch(NOW + timedelta(minutes=30))
    spent = b'{"limit": 500, "count": 499}'
    amplitude.faults = [Fault(path="/api/3/cohorts/usage", status=200, body=spent, times=None)]
    clock.set(NOW + timedelta(hours=1))
    second = sync(config, MEMBERS, first.state)

    assert second.error is None
    assert second.statuses("cohort_members")[-1] == "COMPLETE"
    (left,) = {FIRST, SECOND} - read_cohorts(second)
    (warning,) = [log for log in second.logs if "limit of cohort requests" in log]
    assert repr(left) in warning


def test_the_emulator_counts_the_months_downloads_and_refuses_more(
    run: Run, config: dict[str, Any], amplitude: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    amplitude.api.budgets["cohorts"] = Budget({"monthly": (1, timedelta(days=30))}, lambda: NOW)
    monkeypatch.setitem(COHORT_DOWNLOADS, "monthly", (1, timedelta(days=30)))

    output = run("read", config, MEMBERS)

    assert output.statuses("cohort_members")[-1] == "INCOMPLETE"
    assert [request.status for request in amplitude.requests if request.status == 429] == []
    assert len(read_cohorts(output)) == 1


@pytest.mark.integration
def test_hourly_syncs_of_thirty_days_ask_only_for_what_changed(
    run: Run, amplitude: Emulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four cohorts, of which two change once a day; asking for all each hour takes 2,880 jobs."""
    four = [{**cohorts.make_cohorts(1)[1], "id": f"cohort{n}", "size": 2} for n in range(4)]
    monkeypatch.setattr(cohorts, "make_cohorts", lambda _: four)
    config = config_for(amplitude, cohort_ids=[each["id"] for each in four])
    start = datetime(2024, 2, 1, 0, 30, tzinfo=timezone.utc)
    state: list[dict[str, Any]] = []

    for hour in range(30 * 24):
        now = start + timedelta(hours=hour)
        clock.set(now)
        if hour and hour % 24 == 5:
            for cohort in ("cohort1", "cohort3"):
                amplitude.project.computed[cohort] = epoch(now - timedelta(minutes=5))
        output = run("read", config, MEMBERS, state)
        assert output.error is None
        state = output.state

    assert jobs(amplitude) == {"cohort0": 1, "cohort1": 31, "cohort2": 1, "cohort3": 31}
