"""Figures by day: the right ones, of days that have begun, within Amplitude's budget."""

import json
import re
import threading
import time
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import (
    ModelToComponentFactory,
)
from airbyte_cdk.sources.streams.call_rate import (
    APIBudget,
    CallRateLimitHit,
    HttpRequestRegexMatcher,
    MovingWindowCallRatePolicy,
    Rate,
)

from emulator import Dashboards, Emulator, Fault, Project
from emulator.charts import CHARTS
from source_amplitude.extensions.budget import DailyBudget
from unit_tests.conftest import NOW, Clock, Read, Run, Sync
from unit_tests.support.protocol import (
    BY_COUNTRY,
    DAILY,
    FIGURES,
    PATHS,
    Output,
    config_for,
    logged,
    most_in_five_minutes,
    state_of,
)

DAY = timedelta(days=1)
FIVE_MINUTES = timedelta(minutes=5)
FIVE_YEARS = {"start_date": "2019-01-04T00:00:00Z"}


def table(outputs: list[Output], stream: str) -> dict[str, dict[str, Any]]:
    """What a warehouse holds that keeps the last row of each day."""
    return {row["date"]: row for output in outputs for row in output.records(stream)}


def test_a_project_eight_hours_west_holds_each_finished_days_final_figure(
    run: Run, clock: Clock
) -> None:
    start = datetime(2024, 1, 1, 9, tzinfo=timezone.utc)
    outputs: list[Output] = []
    state: list[dict[str, Any]] = []
    with Emulator(Project(timezone="Etc/GMT+8")) as amplitude:
        config = config_for(amplitude, project_timezone="Etc/GMT+8")
        for hours in [*range(0, 6 * 24, 7), 9 * 24]:
            now = start + timedelta(hours=hours)
            clock.set(now)
            output = run("read", config, DAILY, state)
            assert output.error is None
            today = (now - timedelta(hours=8)).date()
            for stream in DAILY:
                for row in output.records(stream):
                    assert row["date"] <= str(today)
                for saved in output.states(stream):
                    assert saved["date"] <= str(today)
            outputs.append(output)
            state = output.state
            for day in finished(amplitude.project, now):
                users = table(outputs, "active_users")[day]["statistics"]
                length = table(outputs, "average_session_length")[day]["length"]
                assert users == amplitude.project.statistics(date.fromisoformat(day))
                assert length == amplitude.project.session_length(date.fromisoformat(day))
    assert len(finished(amplitude.project, now)) >= 6


def finished(project: Project, now: datetime) -> list[str]:
    """The days whose figures change no more, counted from the first that the syncs have seen."""
    days = (date(2024, 1, 1) + n * DAY for n in range((now.date() - date(2024, 1, 1)).days))
    return [str(day) for day in days if project.completeness(day) == 1]


@pytest.mark.parametrize("stream", DAILY)
def test_a_day_that_has_not_begun_yields_no_row_whatever_amplitude_answers(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str
) -> None:
    def with_tomorrow(body: bytes) -> bytes:
        data = json.loads(body)["data"]
        if "s-" not in data["xValues"][0]:
            data["xValues"].append("2024-01-04")
            data["series"] = [[*values, 0] for values in data["series"]]
        return json.dumps({"data": data}).encode()

    for path in ("/api/2/users", "/api/2/sessions/average", "/api/2/sessions/peruser"):
        amplitude.faults.append(Fault(path=path, replace=with_tomorrow, times=None))

    output = run("read", config, (stream,))

    assert {row["date"] for row in output.records(stream)} == {
        "2024-01-01",
        "2024-01-02",
        "2024-01-03",
    }
    assert output.states(stream)[-1] == {"date": "2024-01-03"}


@pytest.mark.parametrize("stream", DAILY)
@pytest.mark.parametrize(("lookback", "first"), [(None, "07"), (0, "10"), (5, "05")])
def test_the_last_days_are_read_again(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    stream: str,
    lookback: int | None,
    first: str,
) -> None:
    if lookback is not None:
        config["daily_lookback_days"] = lookback
    clock.set(NOW + 7 * DAY)
    before = run("read", config, (stream,))
    assert before.states(stream)[-1] == {"date": "2024-01-10"}
    amplitude.requests.clear()
    clock.set(NOW + 8 * DAY)

    after = run("read", config, (stream,), before.state)

    assert min(r.query["start"][0] for r in amplitude.requests) == f"202401{first}"
    days = sorted({row["date"] for row in after.records(stream)})
    assert (days[0], days[-1]) == (f"2024-01-{first}", "2024-01-11")
    assert after.states(stream)[-1] == {"date": "2024-01-11"}


@pytest.mark.parametrize(
    ("saved", "first"),
    [
        ("2024-01-03", "20240103"),
        ("20240103", "20240103"),
        ("2024-01-03T00:00:00", "20240103"),
        ("2024-01-03T00:00:00+00:00", "20240103"),
        ("2030-01-01", "20240103"),
    ],
)
def test_a_daily_state_of_any_form_goes_on_and_one_later_than_now_is_today(
    run: Run, config: dict[str, Any], amplitude: Emulator, saved: str, first: str
) -> None:
    stream = {"stream_descriptor": {"name": "active_users"}, "stream_state": {"date": saved}}
    config["daily_lookback_days"] = 0

    output = run("read", config, ("active_users",), state=[{"type": "STREAM", "stream": stream}])

    assert [request.query["start"] for request in amplitude.requests] == [[first]]
    assert output.states("active_users")[-1] == {"date": "2024-01-03"}


# -- the budget ------------------------------------------------------------------------------------


@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "plain"])
def test_a_first_sync_of_five_years_stays_within_the_budget(
    run: Run, clock: Clock, grouped: bool
) -> None:
    streams = ("active_users", "average_session_length")
    with Emulator(Project(start="2019-01-04T00:00:00Z")) as amplitude:
        config = config_for(amplitude, **FIVE_YEARS, active_users_group_by_country=grouped)
        output = run("read", config, streams)

    assert output.error is None
    assert {request.status for request in amplitude.requests} == {200}
    assert most_in_five_minutes(amplitude.requests) <= 1_000
    for stream in streams:
        assert len(output.records(stream)) == 5 * 365 + 1
    cost = 5 if grouped else 1
    assert sum(request.cost for request in amplitude.requests) == (5 * 365 + 1) * (cost + 4)


@pytest.mark.parametrize(
    ("stream", "options", "limit"),
    [
        ("average_session_length", {"start_date": "2023-01-04T00:00:00Z"}, 1_000),
        ("charts", {"chart_ids": [*CHARTS]}, 1_000),
        ("cohort_members", {"cohort_ids": ["p81xq0z", "zz7a1b2"]}, 1),
        ("event_properties", {}, 5),
    ],
)
def test_each_wait_for_the_budget_is_named_in_the_log(
    read: Read,
    amplitude: Emulator,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    stream: str,
    options: dict[str, Any],
    limit: int,
) -> None:
    rate = Rate(limit=limit, interval=FIVE_MINUTES)
    monkeypatch.setattr(ModelToComponentFactory, "create_rate", lambda *_, **__: rate)

    output = read(config_for(amplitude, **options), stream)

    assert output.error is None
    assert output.records(stream)
    waits = [round(seconds) for seconds in clock.slept if seconds > 30]
    said = rf"{stream}: waiting (\d+) s to stay within Amplitude's rate limit"
    named = [int(wait) for wait in re.findall(said, "\n".join(output.logs))]
    assert waits
    assert sorted(waits) == sorted(wait for wait in named if wait > 30)


@pytest.mark.parametrize("patience", [{"block": False}, {"timeout": 60}], ids=str)
def test_who_does_not_wait_long_enough_for_the_budget_is_told_so(patience: dict[str, Any]) -> None:
    path = HttpRequestRegexMatcher(url_path_pattern="/2/users$", weight=5)
    rate = Rate(limit=10, interval=FIVE_MINUTES)
    shared = APIBudget(policies=[MovingWindowCallRatePolicy(rates=[rate], matchers=[path])])
    budget = DailyBudget(shared, "active_users")
    days = {"start": "20240101", "end": "20240102"}
    request = requests.Request("GET", "http://127.0.0.1/api/2/users", params=days).prepare()
    budget.acquire_call(request)

    with pytest.raises(CallRateLimitHit):
        budget.acquire_call(request, **patience)


def test_a_manifest_whose_budget_was_left_out_is_read_too(
    read: Read, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelToComponentFactory, "set_api_budget", lambda *_: None)

    output = read(config, "active_users", "cohort_members")

    assert output.error is None
    assert output.records("active_users")
    assert output.records("cohort_members")


@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "plain"])
def test_a_request_takes_its_true_cost_from_the_budget(
    read: Read, project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    taken: list[int] = []
    take = MovingWindowCallRatePolicy.try_acquire

    def note(
        policy: MovingWindowCallRatePolicy, request: requests.PreparedRequest, weight: int
    ) -> None:
        take(policy, request, weight)
        taken.append(weight)

    monkeypatch.setattr(MovingWindowCallRatePolicy, "try_acquire", note)
    clock.set(NOW + 50 * DAY)
    segmentations = [
        {"name": f"{interval} {group}", "event": "_all", "interval": interval, "group_by": group}
        for interval in ("daily", "weekly", "monthly")
        for group in ("", "country")
    ]
    # A clock that sleeping threads move would move between a request's cost here and there.
    with Emulator(project, budget=False) as amplitude:
        config = config_for(
            amplitude, active_users_group_by_country=grouped, segmentations=segmentations
        )
        output = read(config, *FIGURES, "events_list")

    assert output.error is None
    assert len(set(taken)) > 10
    assert sorted(taken) == sorted(request.cost for request in amplitude.requests)


def test_a_sync_of_every_daily_stream_that_has_a_state_waits_for_nothing(
    run: Run, config: dict[str, Any], clock: Clock
) -> None:
    clock.set(NOW + 6 * DAY)
    first = run("read", config, DAILY)
    clock.set(NOW + 7 * DAY)
    clock.slept.clear()

    second = run("read", config, DAILY, first.state)

    assert second.error is None
    assert clock.slept == []


def test_a_stream_that_waits_for_its_budget_does_not_hold_up_the_events(
    run: Run, config: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, waited = threading.Event(), threading.Event()

    def wait(seconds: float) -> None:
        if seconds > 60 and not released.is_set():
            waited.set()
            assert released.wait(30), "the events were held up"
        clock.sleep(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    done = {"server_upload_time": "20240103T10"}

    def release(message: dict[str, Any]) -> None:
        state = message.get("state", {}).get("stream", {})
        if state.get("stream_descriptor", {}).get("name") == "events":
            saved = state["stream_state"]
            if {key: saved[key] for key in done} == done and waited.wait(30):
                released.set()

    config.update(FIVE_YEARS, request_time_range=8760)
    output = run("read", config, ("active_users", "events", "new_users"), watch=release)

    assert released.is_set()
    assert output.error is None


def test_at_most_five_requests_are_in_flight_across_all_streams(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.api.first_byte_delay = 0.05
    config["request_time_range"] = 2

    output = run("read", config)

    assert output.error is None
    assert 2 <= amplitude.most_in_flight <= 5
    assert 429 not in {request.status for request in amplitude.requests}


@pytest.mark.parametrize(
    ("details", "headers", "seconds", "words"),
    [
        ("Exceeded concurrent limit with query of cost 60", {}, 300, "limit of five minutes"),
        ("Exceeded rate limit with query of cost 60", {}, 3600, "limit of an hour"),
        ("Exceeded rate limit", {"Retry-After": "40"}, 40, "as its response says"),
        ("Exceeded rate limit", {"Retry-After": "soon"}, 3600, "limit of an hour"),
        ("", {"Retry-After": "Wed, 03 Jan 2024 12:32:00 GMT"}, 120, "as its response says"),
        ("", {}, 10, "names no limit"),
    ],
    ids=[
        "five minutes",
        "an hour",
        "Retry-After",
        "Retry-After, unreadable",
        "Retry-After, a date",
        "no word",
    ],
)
@pytest.mark.parametrize("stream", ["active_users", "annotations", "events"])
def test_a_429_is_waited_for_as_long_as_the_limit_it_names_and_the_log_says_so(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    stream: str,
    details: str,
    headers: dict[str, str],
    seconds: int,
    words: str,
) -> None:
    error = {
        "message": "Unspecified Error",
        "metadata": {"details": f"Too Many Requests: {details}"},
    }
    body = json.dumps({"error": error}).encode()
    amplitude.faults.append(
        Fault(path=PATHS.get(stream, "/api/2/export"), status=429, body=body, headers=headers)
    )

    output = run("read", config, (stream,))

    assert output.error is None
    assert output.records(stream)
    # The CDK adds a second; afterwards its budget counts the window that Amplitude has counted.
    assert seconds <= max(clock.slept) <= seconds + 2
    said = rf"Amplitude is rate-limiting {stream} \(429\): waiting {seconds} s, .*{words}"
    assert any(re.search(said, line) for line in output.logs)


def test_a_project_whose_budget_is_spent_by_others_is_read_all_the_same(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    amplitude.api.budgets["dashboard"].spend(1_000)

    output = run("read", config, DAILY)

    assert output.error is None
    assert 429 in {request.status for request in amplitude.requests}
    assert len(output.records("active_users")) == 3
    assert max(clock.slept) >= 300


def test_active_users_are_counted_by_country_unless_told_otherwise(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    by_default = run("read", config, ("active_users",)).records("active_users")
    asked = run("read", {**config, "active_users_group_by_country": True}, ("active_users",))
    plain = run("read", {**config, "active_users_group_by_country": False}, ("active_users",))

    assert by_default == asked.records("active_users")
    assert len(by_default[0]["statistics"]) > 1
    assert [list(record["statistics"]) for record in plain.records("active_users")] == [["all"]] * 3
    assert [r.query.get("g") for r in amplitude.requests] == [["country"], ["country"], None]
    assert amplitude.requests[0].query["m"] == ["active"]


def test_finished_days_carry_amplitudes_figures(
    run: Run, config: dict[str, Any], project: Project, clock: Clock
) -> None:
    clock.set(NOW + timedelta(days=10))
    output = run("read", config, ("active_users", "average_session_length"))

    users = {record["date"]: record["statistics"] for record in output.records("active_users")}
    lengths = {r["date"]: r["length"] for r in output.records("average_session_length")}
    for day in (date(2024, 1, 1), date(2024, 1, 10)):
        assert users[str(day)] == project.statistics(day)
        assert lengths[str(day)] == project.session_length(day)


# -- windows and states, in every runtime ----------------------------------------------------------


def windows(amplitude: Emulator) -> list[str]:
    """The first days of the windows asked for since the last call."""
    found = {(request.query["start"][0], request.path) for request in amplitude.requests}
    amplitude.requests.clear()
    return [start for start, _ in sorted(found)]


SESSIONS = ("average_session_length", "average_sessions_per_user", "session_length_distribution")


@pytest.mark.parametrize("form", ["days", "bare"])
@pytest.mark.parametrize(
    ("stream", "first", "later"),
    [
        ("average_session_length", 10, ["20231231"]),
        ("active_users", 10, ["20231231"]),
        (
            "session_length_distribution",
            186,
            ["20231231", "20240101", "20240102", "20240103", "20240104"],
        ),
    ],
)
def test_a_project_without_figures_is_asked_for_the_look_back_alone_after_the_first_sync(
    sync: Sync, clock: Clock, stream: str, first: int, later: list[str], form: Any
) -> None:
    project = Project(start="2030-01-01T00:00:00Z", dashboards=Dashboards(empty_tables=form))
    with Emulator(project) as amplitude:
        config = config_for(amplitude, start_date="2023-07-02T00:00:00Z")
        output = sync(config, (stream,), [])
        assert len(windows(amplitude)) == first
        assert output.states(stream)[-1] == {"date": "2024-01-03"}
        clock.set(NOW + DAY)

        output = sync(config, (stream,), output.state)

        assert windows(amplitude) == later
        assert output.states(stream)[-1] == {"date": "2024-01-04"}
        assert output.records(stream) == []
        assert output.statuses(stream)[-1] == "COMPLETE"


def test_a_project_without_sessions_is_read_from_2012_once(sync: Sync, clock: Clock) -> None:
    streams = SESSIONS[:2]
    with Emulator(Project(dashboards=Dashboards(sessions=False, empty_tables="bare"))) as amplitude:
        config = {**config_for(amplitude), "start_date": ""}
        counts: list[int] = []
        state: list[Any] = []
        for day in range(3):
            clock.set(max(datetime.now(timezone.utc), NOW + day * DAY))
            state = sync(config, streams, state).state
            counts.append(len(windows(amplitude)))

    assert counts == [2 * 220, 2, 2]


@pytest.mark.parametrize("stream", ["average_session_length", "active_users"])
def test_a_window_that_failed_is_asked_for_again_though_later_ones_were_answered(
    sync: Sync, amplitude: Emulator, stream: str
) -> None:
    config = config_for(amplitude, start_date="2023-07-02T00:00:00Z")
    path = "/api/2/users" if stream == "active_users" else "/api/2/sessions/average"
    # The third of ten windows, in a year from which there are no rows.
    amplitude.faults.append(Fault(path=path, query={"start": "20230811"}, status=400))

    failed = sync(config, (stream,), [])

    assert failed.statuses(stream)[-1] == "INCOMPLETE"
    assert failed.states(stream)[-1] == {"date": "2023-08-10"}
    assert "20230811" in windows(amplitude)

    output = sync(config, (stream,), failed.state)

    # From the look-back before the window that failed.
    assert windows(amplitude)[0] == "20230807"
    assert output.states(stream)[-1] == {"date": "2024-01-03"}
    assert {row["date"] for row in output.records(stream)} >= {"2024-01-01", "2024-01-03"}


@pytest.mark.parametrize("stream", DAILY)
def test_a_state_never_says_more_than_was_answered(
    sync: Sync, amplitude: Emulator, config: dict[str, Any], stream: str
) -> None:
    for path in ("users", "sessions/average", "sessions/peruser", "sessions/length"):
        amplitude.faults.append(Fault(path=f"/api/2/{path}", status=400, times=None))

    config["start_date"] = "2023-12-01T00:00:00Z"

    output = sync(config, (stream,), state_of(stream, date="2023-12-20"))

    assert output.statuses(stream)[-1] == "INCOMPLETE"
    assert all(state == {"date": "2023-12-20"} for state in output.states(stream))


# -- grouped by country ----------------------------------------------------------------------------


def test_a_switch_of_the_grouping_is_warned_of_and_names_the_streams_to_clear(
    sync: Sync, config: dict[str, Any]
) -> None:
    def synced(grouped: bool, state: list[Any]) -> tuple[list[bool], list[Any]]:
        output = sync({**config, "active_users_group_by_country": grouped}, BY_COUNTRY, state)
        named = [len(logged(output, f"clear the stream {stream} ")) == 1 for stream in BY_COUNTRY]
        assert len(logged(output, "`active_users_group_by_country`")) == sum(named)
        for stream in BY_COUNTRY:
            days = {"date": "2024-01-03"}
            saved = days if grouped else {**days, "group_by_country": False}
            assert output.states(stream)[-1] == saved
        return named, output.state

    never, always = [False] * len(BY_COUNTRY), [True] * len(BY_COUNTRY)
    for first in (True, False):
        named, state = synced(first, [])
        assert named == never
        named, state = synced(first, state)
        assert named == never
        named, state = synced(not first, state)
        assert named == always
        named, state = synced(not first, state)
        assert named == never


# -- what else the tables hold ---------------------------------------------------------------------


def test_the_distribution_of_session_lengths_is_asked_for_day_by_day(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    read = run("read", config, ("session_length_distribution",)).records(
        "session_length_distribution"
    )

    asked = [(r.query["start"][0], r.query["end"][0], r.cost) for r in amplitude.requests]
    assert asked == [(day, day, 4) for day in ("20240101", "20240102", "20240103")]
    assert len(read) == 3 * 9
    assert {row["bin"] for row in read} >= {"0s-3s", "3s-10s"}


def test_active_users_by_segment_are_active_users_in_rows(run: Run, config: dict[str, Any]) -> None:
    output = run("read", config, ("active_users", "active_users_by_segment"))

    rows = {
        (row["date"], row["segment"]): row["users"]
        for row in output.records("active_users_by_segment")
    }
    objects = {
        (record["date"], segment): users
        for record in output.records("active_users")
        for segment, users in record["statistics"].items()
    }
    assert rows == objects


def test_new_users_are_other_people_than_active_ones(run: Run, config: dict[str, Any]) -> None:
    output = run("read", config, ("active_users", "new_users"))

    active, new = output.records("active_users"), output.records("new_users")
    assert [record["date"] for record in new] == [record["date"] for record in active]
    assert all(
        count <= active[n]["statistics"][country]
        for n, record in enumerate(new)
        for country, count in record["statistics"].items()
    )
    assert new != active
