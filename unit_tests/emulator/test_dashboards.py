"""The dashboards: tables of figures, days, and what a query costs."""

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any, Literal

import pytest

from emulator import Dashboards, Emulator, Project
from unit_tests.emulator.conftest import DAY, HOUR, START, Clock, details, get


def test_users_are_a_matrix_by_label_and_day(amplitude: Emulator, project: Project) -> None:
    query = {"start": "20240101", "end": "20240102"}
    plain = get(amplitude, "/api/2/users", params=query).json()["data"]
    grouped = get(amplitude, "/api/2/users", params={**query, "g": "country"}).json()["data"]

    final = [project.statistics(date(2024, 1, n)) for n in (1, 2)]
    assert plain == {
        "xValues": ["2024-01-01", "2024-01-02"],
        "series": [[project.active_users(date(2024, 1, n)) for n in (1, 2)]],
        "seriesLabels": [0],
        "seriesCollapsed": [[0]],
        "seriesMeta": [{"segmentIndex": 0}],
    }
    assert sorted(grouped["seriesLabels"]) == sorted(final[0])
    assert grouped["series"] == [
        [figures[name] for figures in final] for name in grouped["seriesLabels"]
    ]
    assert len(grouped["seriesMeta"]) == len(grouped["seriesCollapsed"]) == len(final[0])


def test_groups_add_up_to_more_than_the_whole_and_the_100_largest_are_answered(
    time_of: Clock,
) -> None:
    project = Project(
        clock=time_of, dashboards=Dashboards(countries=[f"Country {n}" for n in range(101)])
    )
    query = {"start": "20240101", "end": "20240101"}
    with Emulator(project) as amplitude:
        whole = get(amplitude, "/api/2/users", params=query).json()["data"]["series"]
        grouped = get(amplitude, "/api/2/users", params={**query, "g": "country"}).json()["data"]

    final = project.statistics(date(2024, 1, 1))
    assert whole[0][0] < sum(final.values())
    assert len(grouped["seriesLabels"]) == 100
    (left_out,) = set(final) - set(grouped["seriesLabels"])
    assert final[left_out] == min(final.values())


def test_new_users_are_fewer_and_weeks_are_fewer_than_days(amplitude: Emulator) -> None:
    query = {"start": "20240101", "end": "20240114"}
    active = get(amplitude, "/api/2/users", params=query).json()["data"]["series"][0]
    new = get(amplitude, "/api/2/users", params={**query, "m": "new"}).json()["data"]["series"][0]
    weeks = get(amplitude, "/api/2/users", params={**query, "i": "7"}).json()["data"]

    assert all(n < a for n, a in zip(new, active, strict=True))
    assert weeks["xValues"] == ["2024-01-01", "2024-01-08"]
    assert len(weeks["series"][0]) == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"start": "2024-01-01"}, "start must have the format YYYYMMDD"),
        ({"end": ""}, "end must have the format YYYYMMDD"),
        ({"start": "20240103"}, "start must be before end"),
        ({"m": "old"}, "m must be"),
        ({"i": "2"}, "i must be"),
        ({"g": "planet"}, "Invalid user property planet"),
        ({"s": "{"}, "s must be JSON"),
    ],
)
def test_a_bad_dashboard_query_is_400(
    amplitude: Emulator, query: dict[str, str], words: str
) -> None:
    query = {"start": "20240101", "end": "20240102", **query}

    assert words in details(get(amplitude, "/api/2/users", params=query))


def test_a_days_figures_grow_until_two_days_after_its_end(
    amplitude: Emulator, project: Project, time_of: Clock
) -> None:
    query = {"start": "20240105", "end": "20240105"}
    begins = START + 4 * DAY
    seen = []
    for age in (-1, 0, 12, 24, 48, 71, 72):
        time_of.now = begins + age * HOUR
        users = get(amplitude, "/api/2/users", params=query).json()["data"]["series"][0][0]
        length = get(amplitude, "/api/2/sessions/average", params=query).json()
        seen.append((users, length["data"]["series"][0][0]))

    assert seen[0] == (0, 0)
    assert seen == sorted(set(seen))
    day = date(2024, 1, 5)
    assert seen[-1] == (project.active_users(day), project.session_length(day))


def test_days_are_those_of_the_projects_time_zone(time_of: Clock) -> None:
    project = Project(timezone="America/Los_Angeles", start="2023-12-01T00:00:00Z", clock=time_of)
    day = date(2024, 1, 5)

    time_of.now = datetime(2024, 1, 5, 7, 59, tzinfo=timezone.utc)
    assert project.completeness(day) == 0
    time_of.now = datetime(2024, 1, 5, 8, 0, tzinfo=timezone.utc)
    assert project.completeness(day) == 0.6
    # The day on which clocks go forward has 23 hours.
    time_of.now = datetime(2024, 3, 13, 6, 59, tzinfo=timezone.utc)
    assert project.completeness(date(2024, 3, 10)) < 1
    time_of.now = datetime(2024, 3, 13, 7, 0, tzinfo=timezone.utc)
    assert project.completeness(date(2024, 3, 10)) == 1


@pytest.mark.parametrize("form", [None, "days", "bare"])
def test_a_range_without_data_is_an_empty_table_in_a_recorded_form(
    time_of: Clock, form: Literal["days", "bare"] | None
) -> None:
    paths = ("users", "sessions/average", "sessions/peruser", "sessions/length")
    query = {"start": "20220101", "end": "20220102"}
    with Emulator(Project(clock=time_of, dashboards=Dashboards(empty_tables=form))) as amplitude:
        found = {
            path: get(amplitude, f"/api/2/{path}", params=query).json()["data"] for path in paths
        }
    shapes = {path: (data["series"], len(data["xValues"])) for path, data in found.items()}

    if form is None:
        zeros = ([[0, 0]], 2)
        assert shapes == dict(zip(paths, [([], 2), zeros, zeros, ([], 0)], strict=True))
    else:
        days, bins = (2, 9) if form == "days" else (0, 0)
        assert shapes == {path: ([], bins if "length" in path else days) for path in paths}
    assert found["users"]["seriesLabels"] == found["users"]["seriesMeta"] == []


def test_a_project_without_sessions_has_zeros_and_no_lengths(time_of: Clock) -> None:
    query = {"start": "20240101", "end": "20240102"}
    with Emulator(Project(clock=time_of, dashboards=Dashboards(sessions=False))) as amplitude:
        average, length = (
            get(amplitude, f"/api/2/sessions/{path}", params=query).json()["data"]
            for path in ("average", "length")
        )

    assert average["series"] == [[0, 0]]
    assert length == {key: [] for key in length}


def test_sessions_come_in_the_recorded_shape(amplitude: Emulator, project: Project) -> None:
    query = {"start": "20240101", "end": "20240102"}
    average, rate, length = (
        get(amplitude, f"/api/2/sessions/{path}", params=query).json()
        for path in ("average", "peruser", "length")
    )

    for response in (average, rate):
        assert list(response["data"]) == ["series", "seriesCollapsed", "seriesMeta", "xValues"]
        assert response["data"]["xValues"] == ["2024-01-01T00:00:00", "2024-01-02T00:00:00"]
        assert response["data"]["seriesMeta"] == [{"segmentIndex": 0, "sessionIndex": 0}]
        assert response["data"]["seriesCollapsed"][0][0].keys() == {"setId", "value"}
        assert response["earliestServerReceivedTime"] == 2**63 - 1
        assert len(response) == 43
    assert length["withSets"] is False
    assert len(length) == 44


def test_sessions_are_counted_by_user_and_by_length(amplitude: Emulator, project: Project) -> None:
    query = {"start": "20240101", "end": "20240101"}
    rate = get(amplitude, "/api/2/sessions/peruser", params=query).json()["data"]["series"]
    default = get(amplitude, "/api/2/sessions/length", params=query).json()["data"]
    bins = {"TimeUnit": "minutes", "Min": "0", "Max": "3", "Size": "1"}
    named = {f"timeHistogramConfigBin{name}": value for name, value in bins.items()}
    asked = get(amplitude, "/api/2/sessions/length", params={**query, **named}).json()["data"]

    assert rate == [[project.sessions_per_user(date(2024, 1, 1))]]
    assert default["xValues"][:2] == ["0s-3s", "3s-10s"]
    assert len(default["series"][0]) == len(default["xValues"]) == 9
    assert asked["xValues"] == ["0s-60s", "60s-120s", "120s-180s"]


def test_the_list_of_events_has_every_field(amplitude: Emulator) -> None:
    data = get(amplitude, "/api/2/events/list").json()["data"]

    assert {len(item) for item in data} == {14}
    assert data[0]["value"] == "[Amplitude] Page Viewed"


@pytest.mark.parametrize(
    ("path", "query", "a_day"),
    [
        ("users", {}, 1),
        ("users", {"g": "country"}, 5),
        ("users", {"s": '[{"prop":"country"}]'}, 2),
        ("sessions/average", {}, 4),
        ("sessions/peruser", {}, 4),
        ("sessions/length", {}, 4),
    ],
)
def test_a_query_costs_its_days_times_its_conditions(
    amplitude: Emulator, path: str, query: dict[str, str], a_day: int
) -> None:
    get(amplitude, f"/api/2/{path}", params={"start": "20240101", "end": "20240110", **query})

    assert amplitude.requests[-1].cost == 10 * a_day


def test_over_1000_within_five_minutes_is_429_until_they_have_passed(
    project: Project, time_of: Clock
) -> None:
    query = {"start": "20240101", "end": "20240718", "g": "country"}
    with Emulator(project, retry_after=7) as amplitude:
        assert get(amplitude, "/api/2/users", params=query).status_code == 200
        refused = get(amplitude, "/api/2/sessions/average", params={**query, "end": "20240101"})
        time_of.now += timedelta(minutes=5)
        later = get(amplitude, "/api/2/sessions/average", params={**query, "end": "20240101"})

    assert refused.status_code == 429
    assert details(refused) == "Too Many Requests: Exceeded concurrent limit with query of cost 4"
    assert refused.headers["Retry-After"] == "7"
    assert later.status_code == 200


def test_a_query_that_alone_costs_over_1000_is_429_without_a_header(amplitude: Emulator) -> None:
    query = {"start": "20240101", "end": "20240719", "g": "country"}
    refused = get(amplitude, "/api/2/users", params=query)

    assert refused.status_code == 429
    assert details(refused).endswith("cost 1005")
    assert "Retry-After" not in refused.headers


def test_the_hourly_limit_has_its_own_text(amplitude: Emulator, time_of: Clock) -> None:
    # Five minutes allow 1,000 and an hour twelve times that: only a smaller budget is ever reached.
    amplitude.api.budgets["dashboard"]._limits = {
        "concurrent": (1_000, timedelta(minutes=5)),
        "rate": (1_500, HOUR),
    }
    query = {"start": "20240101", "end": "20240718", "g": "country"}
    assert get(amplitude, "/api/2/users", params=query).status_code == 200
    time_of.now += timedelta(minutes=6)

    refused = get(amplitude, "/api/2/users", params=query)

    assert details(refused) == "Too Many Requests: Exceeded rate limit with query of cost 1000"


def test_without_a_budget_nothing_is_refused(project: Project) -> None:
    with Emulator(project, budget=False) as amplitude:
        query = {"start": "20200101", "end": "20241231", "g": "country"}
        assert get(amplitude, "/api/2/users", params=query).status_code == 200


# -- weeks, months, properties ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "interval", "expected"),
    [
        ({}, "7", ["2024-01-01", "2024-01-08", "2024-01-15"]),
        ({"week_begins": 6}, "7", ["2023-12-31", "2024-01-07", "2024-01-14"]),
        ({"cut_buckets": True}, "7", ["2024-01-03", "2024-01-08", "2024-01-15"]),
        ({}, "30", ["2024-01-01"]),
        ({"cut_buckets": True}, "30", ["2024-01-03"]),
    ],
)
def test_a_bucket_is_labelled_with_its_first_day(
    time_of: Clock, options: dict[str, Any], interval: str, expected: list[str]
) -> None:
    query = {"start": "20240103", "end": "20240115", "i": interval}
    with Emulator(Project(clock=time_of, dashboards=Dashboards(**options))) as amplitude:
        data = get(amplitude, "/api/2/users", params=query).json()["data"]

    assert data["xValues"] == expected
    assert len(data["series"][0]) == len(expected)


def test_a_bucket_that_a_query_cuts_has_fewer_users(amplitude: Emulator) -> None:
    whole, cut = (
        get(amplitude, "/api/2/users", params={"start": start, "end": "20240107", "i": "7"}).json()[
            "data"
        ]["series"][0]
        for start in ("20240101", "20240104")
    )

    assert cut < whole


@pytest.mark.parametrize("path", ["users", "events/segmentation"])
def test_a_property_that_the_project_lacks_is_refused(time_of: Clock, path: str) -> None:
    query = {"start": "20240101", "end": "20240102", "g": "country", "e": '{"event_type": "_all"}'}
    with Emulator(
        Project(clock=time_of, dashboards=Dashboards(properties=["platform"]))
    ) as amplitude:
        refused = get(amplitude, f"/api/2/{path}", params=query)
        answered = get(amplitude, f"/api/2/{path}", params={**query, "g": "platform"})

    assert refused.json()["error"] == {
        "http_code": 400,
        "type": "invalid",
        "message": "Invalid chart definition",
        "metadata": {"details": "Invalid user property country"},
    }
    assert len(answered.json()["data"]["series"]) == 3


# -- event segmentation ----------------------------------------------------------------------------


def segmentation(amplitude: Emulator, event: dict[str, Any], **more: str) -> Any:
    query = {"start": "20240101", "end": "20240102", "e": json.dumps(event), **more}
    return get(amplitude, "/api/2/events/segmentation", params=query)


def test_a_segmentation_has_the_recorded_shape(amplitude: Emulator, project: Project) -> None:
    plain = segmentation(amplitude, {"event_type": "_active"}).json()
    grouped = segmentation(amplitude, {"event_type": "_active"}, g="country").json()["data"]

    assert plain["data"]["xValues"] == ["2024-01-01", "2024-01-02"]
    assert plain["data"]["series"] == [[project.active_users(date(2024, 1, n)) for n in (1, 2)]]
    assert plain["data"]["seriesLabels"] == [0]
    assert plain["data"]["seriesCollapsed"][0][0].keys() == {"setId", "value"}
    assert plain["earliestServerReceivedTime"] == 2**63 - 1
    assert sorted(name for _, name in grouped["seriesLabels"]) == sorted(
        project.dashboards.countries
    )


def test_a_range_without_data_has_no_series(amplitude: Emulator) -> None:
    query = {"start": "20200101", "end": "20200102"}
    data = segmentation(amplitude, {"event_type": "_active"}, **query).json()["data"]

    assert (data["series"], data["seriesLabels"], len(data["xValues"])) == ([], [], 2)


def test_a_mistyped_event_has_zeros(amplitude: Emulator) -> None:
    assert segmentation(amplitude, {"event_type": "Nope"}).json()["data"]["series"] == [[0, 0]]


@pytest.mark.parametrize(
    ("event", "more", "words"),
    [
        ({"event_type": "Any Active Event"}, {}, "Unable to create definition from arguments"),
        ({}, {}, "e must be an event"),
        ({"event_type": "_all"}, {"m": "histogram"}, "m is not a measure"),
        ({"event_type": "_all"}, {"m": "sums"}, "needs a group_by"),
        ({"event_type": "_all"}, {"i": "-3600000"}, "i must be"),
        ({"event_type": "_all"}, {"limit": "1001"}, "limit must be from 1 to 1000"),
        ({"event_type": "_all"}, {"g": "planet"}, "Invalid user property planet"),
        ({"event_type": "_all"}, {"start": "20221201"}, "not be longer than 365 days"),
        (
            {"event_type": "_all", "group_by": [{"type": "event", "value": "planet"}]},
            {},
            "Invalid event property planet",
        ),
    ],
)
def test_a_bad_segmentation_is_400(
    amplitude: Emulator, event: dict[str, Any], more: dict[str, str], words: str
) -> None:
    assert words in details(segmentation(amplitude, event, **more))


@pytest.mark.parametrize(
    ("event", "more", "a_day"),
    [
        ({"event_type": "_all"}, {}, 1),
        ({"event_type": "_all"}, {"g": "country"}, 5),
        ({"event_type": "_all", "group_by": [{"type": "event", "value": "step"}]}, {}, 5),
        ({"event_type": "_all"}, {"e2": '{"event_type": "_active"}'}, 2),
        ({"event_type": "_all"}, {"s": '[{"prop":"country"}]'}, 2),
    ],
)
def test_a_segmentation_costs_its_days_times_events_and_groups(
    amplitude: Emulator, event: dict[str, Any], more: dict[str, str], a_day: int
) -> None:
    segmentation(amplitude, event, **more)

    assert amplitude.requests[-1].cost == 2 * a_day


def test_the_largest_groups_are_answered_up_to_the_limit(time_of: Clock) -> None:
    countries = [f"Country {n}" for n in range(200)]
    with Emulator(Project(clock=time_of, dashboards=Dashboards(countries=countries))) as amplitude:
        counts = [
            len(
                segmentation(amplitude, {"event_type": "_all"}, g="country", **limit).json()[
                    "data"
                ]["series"]
            )
            for limit in ({}, {"limit": "7"}, {"limit": "1000"})
        ]

    assert counts == [100, 7, 200]
