"""Figures by segment: any property, any question, each with a state of its own, within the budget."""

import json
import re
import threading
from datetime import date, timedelta
from typing import Any

import pytest
from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor

from emulator import Dashboards, Emulator, Fault, Project
from emulator.charts import CHARTS
from unit_tests.conftest import NOW, Clock, Run, Sync
from unit_tests.support.protocol import (
    FIGURES,
    Output,
    config_for,
    error_body,
    logged,
    most_in_five_minutes,
    state_of,
)

DAY = timedelta(days=1)
PATH = "/api/2/events/segmentation"
SEGMENTATIONS = [
    {"name": "Active", "event": "_active"},
    {
        "name": "Steps by country, weekly",
        "event": "Checkout Step Viewed",
        "measure": "totals",
        "group_by": "country",
        "interval": "weekly",
    },
    {
        "name": "Revenue",
        "event": "_all",
        "measure": "sums",
        "group_by": "$revenue",
        "interval": "monthly",
    },
]


def segmented(amplitude: Emulator, *segmentations: dict[str, str], **more: Any) -> dict[str, Any]:
    return config_for(amplitude, segmentations=[*segmentations], **more)


def cursors(output: Output, stream: str, partition: str) -> list[tuple[Any, str]]:
    """The partitions of a stream's last state, with the days up to which they were read."""
    saved = output.states(stream)[-1]["states"]
    return [(one["partition"][partition], one["cursor"]["date"]) for one in saved]


# -- active users by segment -----------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [None, "platform", "gp:plan"])
def test_active_users_are_counted_by_the_property_of_the_option(
    amplitude: Emulator, project: Project, clock: Clock, sync: Sync, chosen: str | None
) -> None:
    clock.set(NOW + 10 * DAY)
    output = sync(config_for(amplitude, segment_property=chosen), ("active_users_by_segment",), [])
    found = output.records("active_users_by_segment")
    group = chosen or "country"

    assert {row["property"] for row in found} == {group}
    day = {row["segment"]: row["users"] for row in found if row["date"] == "2024-01-02"}
    assert day == project.statistics(date(2024, 1, 2), group)
    assert {request.query["g"][0] for request in amplitude.requests} == {group}
    assert cursors(output, "active_users_by_segment", "property") == [(group, "2024-01-13")]


def test_active_users_by_segment_are_grouped_whatever_active_users_are(
    amplitude: Emulator, sync: Sync
) -> None:
    config = config_for(amplitude, active_users_group_by_country=False)
    output = sync(config, ("active_users_by_segment",), [])

    assert len({row["segment"] for row in output.records("active_users_by_segment")}) > 1
    assert not logged(output, "active_users_group_by_country")


def test_a_property_that_is_new_is_read_from_the_start_date_and_the_old_one_goes_on(
    amplitude: Emulator, clock: Clock, sync: Sync
) -> None:
    stream = "active_users_by_segment"
    clock.set(NOW + 20 * DAY)
    first = sync(config_for(amplitude), (stream,), [])
    second = sync(config_for(amplitude, segment_property="platform"), (stream,), first.state)
    amplitude.requests.clear()
    third = sync(config_for(amplitude), (stream,), second.state)

    days = {row["date"] for row in second.records(stream)}
    assert min(days) == "2024-01-01"
    assert len(days) == 23
    assert [request.query["start"] for request in amplitude.requests] == [["20240120"]]
    assert len(cursors(third, stream, "property")) == 2


@pytest.mark.parametrize("details", ["Invalid user property gp:plam", "Unknown property"])
def test_a_property_that_amplitude_refuses_is_named(
    amplitude: Emulator, sync: Sync, details: str
) -> None:
    body = error_body("Invalid chart definition", details)
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))
    config = config_for(amplitude, segment_property="gp:plam")
    output = sync(config, ("active_users_by_segment",), [])

    (error, *_) = (e for e in output.errors if "gp:plam" in e["message"])
    assert error["message"].endswith(
        f"by 'gp:plam' (400: Invalid chart definition ({details})): correct `segment_property`."
    )
    assert error["failure_type"] == "config_error"


@pytest.mark.parametrize("saved", [{"date": "2024-01-03"}, {"date": "20240103T00:00:00"}])
def test_a_state_without_properties_goes_on(
    amplitude: Emulator, clock: Clock, sync: Sync, saved: dict[str, Any]
) -> None:
    clock.set(NOW + 7 * DAY)
    sync(
        config_for(amplitude),
        ("active_users_by_segment",),
        state_of("active_users_by_segment", **saved),
    )

    # The look-back ends at the start date.
    assert [request.query["start"] for request in amplitude.requests] == [["20240101"]]


@pytest.mark.parametrize(
    "saved",
    [
        {"date": "yesterday"},
        {"states": [{"cursor": {"date": "2024-01-02"}}]},
        {"states": [{"partition": {"property": "country"}, "cursor": {"date": "yesterday"}}]},
        {"states": [1]},
        {"states": 7},
    ],
)
def test_a_state_that_cannot_be_read_fails_its_stream_by_name_at_each_sync(
    amplitude: Emulator, sync: Sync, saved: dict[str, Any]
) -> None:
    stream = "active_users_by_segment"
    state = state_of(stream, **saved)
    for _ in range(2):
        output = sync(config_for(amplitude), (stream, "cohorts"), state)

        assert any(f"The saved state of {stream}" in error["message"] for error in output.errors)
        assert output.records(stream) == []
        assert output.records("cohorts")
        state = output.state or state
    assert amplitude.requests[0].path == "/api/3/cohorts"


# -- event segmentation ----------------------------------------------------------------------------


def test_segmentations_are_rows_of_one_form(
    amplitude: Emulator, project: Project, clock: Clock, sync: Sync
) -> None:
    clock.set(NOW + 40 * DAY)
    output = sync(segmented(amplitude, *SEGMENTATIONS), ("event_segmentation",), [])
    found = {
        (row["name"], row["date"], row["segment"]): row["value"]
        for row in output.records("event_segmentation")
    }

    assert not output.errors
    assert len(found) == len(output.records("event_segmentation"))
    assert found["Active", "2024-01-02", "all"] == project.active_users(date(2024, 1, 2))
    weeks = {day for name, day, _ in found if name.startswith("Steps")}
    assert weeks == {str(date(2024, 1, 1) + n * 7 * DAY) for n in range(7)}
    week = [3 * project.statistics(date(2024, 1, 1) + n * DAY)["Japan"] for n in range(7)]
    figure = max(week) + (sum(week) - max(week)) // 3
    assert found["Steps by country, weekly", "2024-01-01", "Japan"] == figure
    assert {(day, label) for name, day, label in found if name == "Revenue"} == {
        (day, label)
        for day in ("2024-01-01", "2024-02-01")
        for label in ("$revenue 1", "$revenue 2", "(none)")
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"e": {}, "m": "uniques", "i": "1"}),
        (
            {"group_by": "gp:plan", "measure": "pct_dau", "interval": "weekly"},
            {"e": {}, "m": "pct_dau", "i": "7", "g": "gp:plan", "limit": "1000"},
        ),
        (
            {"group_by": "screen", "measure": "average", "interval": "monthly"},
            {
                "e": {"group_by": [{"type": "event", "value": "screen"}]},
                "m": "average",
                "i": "30",
                "limit": "1000",
            },
        ),
    ],
)
def test_a_segmentation_is_asked_for_as_documented(
    amplitude: Emulator, sync: Sync, given: dict[str, str], expected: dict[str, Any]
) -> None:
    event = "Ünïcødé “Kauf” & \"more\" 'here'"
    segmentation = {"name": "A", "event": event, **given}
    sync(segmented(amplitude, segmentation), ("event_segmentation",), [])

    query = {name: values[0] for name, values in amplitude.requests[0].query.items()}
    expected["e"] = {"event_type": event, **expected["e"]}
    assert {**query, "e": json.loads(query["e"])} == {
        **expected,
        "start": query["start"],
        "end": "20240103",
    }


def test_a_segmentation_that_is_added_or_changed_is_read_from_the_start_and_others_go_on(
    amplitude: Emulator, clock: Clock, sync: Sync
) -> None:
    clock.set(NOW + 20 * DAY)
    first = sync(segmented(amplitude, SEGMENTATIONS[0]), ("event_segmentation",), [])
    clock.set(NOW + 21 * DAY)
    amplitude.requests.clear()
    added = {"name": "New", "event": "_all"}
    second = sync(
        segmented(amplitude, added, {**SEGMENTATIONS[0], "measure": "uniques"}),
        ("event_segmentation",),
        first.state,
    )

    starts = sorted(
        (json.loads(request.query["e"][0])["event_type"], request.query["start"][0])
        for request in amplitude.requests
    )
    assert starts == [("_active", "20240120"), ("_all", "20240101"), ("_all", "20240121")]
    saved = cursors(second, "event_segmentation", "segmentation")
    assert {(one["name"], day) for one, day in saved} == {
        ("Active", "2024-01-24"),
        ("New", "2024-01-24"),
    }


def test_a_recorded_response_without_series_gives_no_rows_and_moves_the_state(
    amplitude: Emulator, sync: Sync
) -> None:
    data = {"series": [], "seriesCollapsed": [], "seriesLabels": [], "xValues": ["2026-09-20"]}
    body = json.dumps({"data": data, "novaCost": 0, "wasCached": True}).encode()
    amplitude.faults.append(Fault(path=PATH, status=200, body=body, times=None))
    output = sync(segmented(amplitude, SEGMENTATIONS[0]), ("event_segmentation",), [])

    assert not output.errors
    assert output.records("event_segmentation") == []
    saved = cursors(output, "event_segmentation", "segmentation")
    assert [day for _, day in saved] == ["2024-01-03"]


def test_a_mistyped_event_has_zeros_as_amplitude_answers(amplitude: Emulator, sync: Sync) -> None:
    output = sync(
        segmented(amplitude, {"name": "A", "event": "Chekout"}), ("event_segmentation",), []
    )

    assert {row["value"] for row in output.records("event_segmentation")} == {0}


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (
            {"event": "Any Active Event"},
            "of 'Any Active Event' (400: Invalid chart definition (Unable to create",
        ),
        ({"event": "_all", "group_by": "gp:plam"}, "of '_all' by 'gp:plam' (400:"),
        ({"event": "_all", "measure": "sums"}, "of '_all' (400"),
    ],
)
def test_a_segmentation_that_amplitude_refuses_is_named(
    amplitude: Emulator, sync: Sync, segmentation: dict[str, str], words: str
) -> None:
    output = sync(segmented(amplitude, {"name": "A", **segmentation}), ("event_segmentation",), [])

    (error, *_) = (e for e in output.errors if "correct `segmentations`" in e["message"])
    assert f"Amplitude refuses event_segmentation {words}" in error["message"]
    assert error["failure_type"] == "config_error"


def test_a_segmentation_that_is_refused_keeps_no_other_from_being_read(
    amplitude: Emulator, clock: Clock, sync: Sync
) -> None:
    clock.set(NOW + 50 * DAY)
    bad = [{"name": name, "event": "_all", "group_by": "gp:plam"} for name in ("B", "D")]
    good = [{"name": name, "event": event} for name, event in (("A", "_active"), ("C", "_all"))]
    config = segmented(amplitude, good[0], bad[0], good[1], bad[1])
    output = sync(config, ("event_segmentation",), [])

    found = {(row["name"], row["date"]) for row in output.records("event_segmentation")}
    assert found >= {(name, day) for name in "AC" for day in ("2024-01-01", "2024-02-22")}
    assert {name for name, _ in found} == {"A", "C"}
    assert output.statuses("event_segmentation")[-1] == "INCOMPLETE"
    assert "by 'gp:plam' (400:" in output.errors[0]["message"]
    saved = {one["name"]: day for one, day in cursors(output, "event_segmentation", "segmentation")}
    assert saved["A"] == saved["C"] == "2024-02-22"
    assert saved.get("B", "2024-01-01") == saved.get("D", "2024-01-01") == "2024-01-01"


def test_no_worker_asks_for_the_state_while_another_may_add_a_partition(
    amplitude: Emulator, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = vars(ConcurrentPerPartitionCursor)["state"].fget
    unlocked = []

    def watched(cursor: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and not cursor._lock.locked():
            unlocked.append(threading.current_thread().name)
        return state(cursor)

    monkeypatch.setattr(ConcurrentPerPartitionCursor, "state", property(watched))
    output = sync(segmented(amplitude, *SEGMENTATIONS), ("event_segmentation",), [])

    assert not output.errors
    assert unlocked == []


def test_two_segmentations_of_one_name_are_refused(amplitude: Emulator, sync: Sync) -> None:
    output = sync(
        segmented(amplitude, SEGMENTATIONS[0], {**SEGMENTATIONS[1], "name": "Active"}),
        ("event_segmentation",),
        [],
    )

    assert any("the name 'Active' more than once" in error["message"] for error in output.errors)
    assert amplitude.requests == []


@pytest.mark.parametrize("option", [{}, {"segmentations": None}, {"segmentations": []}])
def test_without_segmentations_none_is_asked_for(
    amplitude: Emulator, sync: Sync, option: dict[str, Any]
) -> None:
    config = config_for(amplitude)
    del config["segmentations"]
    output = sync({**config, **option}, ("event_segmentation",), [])

    assert not output.errors
    assert amplitude.requests == []


def test_a_thousand_groups_are_asked_for_and_as_many_are_warned_of(
    clock: Clock, sync: Sync
) -> None:
    segmentation = {"name": "A", "event": "_all", "group_by": "country"}
    logs = {}
    for count in (999, 1001):
        countries = [f"Country {n}" for n in range(count)]
        with Emulator(Project(dashboards=Dashboards(countries=countries))) as amplitude:
            output = sync(segmented(amplitude, segmentation), ("event_segmentation",), [])
        assert len(output.records("event_segmentation")) == 3 * min(count, 1000)
        logs[count] = len(logged(output, "smaller groups may be missing"))
    assert logs == {999: 0, 1001: 1}


# -- the budget ------------------------------------------------------------------------------------


def test_a_first_sync_of_two_years_of_all_figures_stays_within_the_budget(
    run: Run, clock: Clock
) -> None:
    streams = (*FIGURES, "charts")
    with Emulator(Project(start="2022-01-03T00:00:00Z")) as amplitude:
        config = segmented(
            amplitude,
            *SEGMENTATIONS,
            start_date="2022-01-03T00:00:00Z",
            chart_ids=[*CHARTS][:5],
        )
        output = run("read", config, streams)

    assert output.error is None
    assert {request.status for request in amplitude.requests} == {200}
    assert most_in_five_minutes(amplitude.requests) <= 1_000
    named = re.findall(r"\w+: waiting (\d+) s to stay within", "\n".join(output.logs))
    waits = [f"{seconds:.0f}" for seconds in clock.slept if seconds >= 10]
    assert len(waits) > 40
    assert sorted(waits) == sorted(named)
    assert all(output.records(stream) for stream in streams)
    assert len({row["date"] for row in output.records("active_users")}) == 731
    assert len({row["date"] for row in output.records("active_users_monthly")}) == 25
    assert {row["chart_id"] for row in output.records("charts")} == {*[*CHARTS][:5]}


def test_a_sync_of_all_figures_that_has_a_state_waits_for_nothing(
    run: Run, amplitude: Emulator, clock: Clock
) -> None:
    config = segmented(amplitude, *SEGMENTATIONS)
    clock.set(NOW + 30 * DAY)
    first = run("read", config, FIGURES)
    # The look-back begins in a month of 31 days, the most that a request can ask for.
    clock.set(NOW + 31 * DAY)
    clock.slept.clear()

    second = run("read", config, FIGURES, first.state)

    assert second.error is None
    assert clock.slept == []
