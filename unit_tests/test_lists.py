"""Lists and their rows: what of Amplitude's answers becomes which record."""

import json
from datetime import timedelta
from typing import Any

import pytest

from emulator import Emulator, Fault, Project, annotations, cohorts, taxonomy
from emulator.event import EVENT_TYPES
from emulator.messages import Request, Response
from unit_tests.conftest import NOW, Clock, Run, config_for

COHORT_TIMES = ("createdAt", "lastComputed", "lastMod", "last_viewed")


def test_cohorts_pass_through_whole_with_every_recorded_field(
    run: Run, config: dict[str, Any], project: Project
) -> None:
    sent = cohorts.make_cohorts(project.app)

    read = run("read", config, ("cohorts",)).records("cohorts")

    assert read == [{k: v for k, v in c.items() if k != "syncMetadata"} for c in sent]


def test_a_cohorts_times_are_seconds_also_where_an_answer_has_milliseconds(
    run: Run, config: dict[str, Any], amplitude: Emulator, project: Project
) -> None:
    seconds = cohorts.make_cohorts(project.app)
    body = {
        "cohorts": [
            {**c, **{key: c[key] and c[key] * 1000 for key in COHORT_TIMES}} for c in seconds
        ]
    }
    amplitude.faults.append(
        Fault(path="/api/3/cohorts", replace=lambda _: json.dumps(body).encode())
    )

    read = run("read", config, ("cohorts",)).records("cohorts")

    for cohort, expected in zip(read, seconds, strict=True):
        assert {key: cohort[key] for key in COHORT_TIMES} == {
            key: expected[key] for key in COHORT_TIMES
        }


def test_annotations_pass_through_whole_with_the_day_of_their_start(
    run: Run, config: dict[str, Any]
) -> None:
    read = run("read", config, ("annotations",)).records("annotations")

    assert read == [{**a, "date": a["start"][:10]} for a in annotations.ANNOTATIONS]


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("event_categories", "category"),
        ("event_types", "event"),
        ("user_properties", "user-property"),
    ],
)
def test_the_taxonomy_passes_through_whole(
    run: Run, config: dict[str, Any], stream: str, kind: str
) -> None:
    assert run("read", config, (stream,)).records(stream) == taxonomy.TAXONOMY[kind]


def test_event_properties_are_asked_for_by_event_type_as_a_form_in_a_get(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    read = run("read", config, ("event_properties",)).records("event_properties")

    asked = [r for r in amplitude.requests if r.path == "/api/2/taxonomy/event-property"]
    assert sorted(r.form["event_type"][0] for r in asked) == sorted(EVENT_TYPES)
    assert {request.method for request in asked} == {"GET"}
    assert [(row["event_type"], row["event_property"]) for row in read] == [
        ("revenue_amount", "$price")
    ]


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


# -- cohort members --------------------------------------------------------------------------------


def test_the_members_of_the_named_cohorts_are_read_a_row_each(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    output = run("read", config, ("cohort_members",))

    read = output.records("cohort_members")
    assert output.error is None
    assert {row["cohort_id"] for row in read} == {"p81xq0z", "zz7a1b2"}
    assert len(read) == 120 + 240
    assert read[0] == {
        "cohort_id": read[0]["cohort_id"],
        "amplitude_id": 731_550_000_000,
        "user_id": None,
        "properties": {"plan": "team, yearly"},
    }
    assert read[1]["user_id"] == "user-1@example.com"
    started = [r for r in amplitude.requests if r.path.startswith("/api/5/cohorts/request/p8")]
    assert [r.query.get("props") for r in started] == [["1"]]


def test_a_cohort_without_members_is_an_empty_table_and_no_error(
    run: Run, config: dict[str, Any]
) -> None:
    output = run("read", {**config, "cohort_ids": ["k3v9t2a"]}, ("cohort_members",))

    assert output.error is None
    assert output.records("cohort_members") == []


def test_no_cohort_is_downloaded_unless_it_is_named(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    del config["cohort_ids"]

    output = run("read", config, ("cohort_members",))

    assert output.error is None
    assert amplitude.requests == []


def test_the_keys_are_not_sent_on_to_the_host_that_keeps_the_file(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    run("read", config, ("cohort_members",))

    signed = [r for r in amplitude.requests if r.path.startswith("/signed/")]
    assert [request.status for request in signed] == [200, 200]
    assert {request.authorization for request in signed} == {None}


def test_seven_cohorts_keep_within_four_jobs_at_once(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seven = [{**cohorts.make_cohorts(1)[1], "id": f"cohort{n}"} for n in range(7)]
    monkeypatch.setattr(cohorts, "make_cohorts", lambda _: seven)
    with Emulator(project) as amplitude:
        ids = [str(cohort["id"]) for cohort in seven]
        output = run("read", config_for(amplitude, cohort_ids=ids), ("cohort_members",))

    assert output.error is None
    assert len(output.records("cohort_members")) == 7 * 120
    assert 429 not in {request.status for request in amplitude.requests}


@pytest.mark.parametrize(
    "body", [b"<html>One moment</html>\n<p>\n", b"user_id\nana\n", b"amplitude_id\nx\n"]
)
def test_a_file_that_is_no_table_of_members_fails_the_stream(
    run: Run, config: dict[str, Any], amplitude: Emulator, body: bytes
) -> None:
    respond = amplitude.respond

    def spoilt(request: Request, fault: Fault | None, over_limit: bool) -> Response:
        response = respond(request, fault, over_limit)
        if request.path.startswith("/signed/"):
            response.body = body
        return response

    amplitude.respond = spoilt  # type: ignore[method-assign]

    output = run("read", config, ("cohort_members",))

    assert output.error is not None
    assert output.records("cohort_members") == []
    assert any("has no column `amplitude_id`" in error["message"] for error in output.errors)


def test_an_unknown_cohort_is_named_in_amplitudes_words(run: Run, config: dict[str, Any]) -> None:
    output = run("read", {**config, "cohort_ids": ["nobody"]}, ("cohort_members",))

    assert output.error is not None
    assert "No such cohort: nobody" in output.text


# -- deleted users ---------------------------------------------------------------------------------


def test_deleted_users_are_the_users_of_the_jobs_a_row_each(
    run: Run, config: dict[str, Any]
) -> None:
    output = run("read", config, ("deleted_users",))

    assert output.records("deleted_users")[0] == {
        "day": "2024-01-01",
        "status": "done",
        "app": "400001",
        "active_scrub_done_date": "2024-01-05",
        "amplitude_id": 731_550_000_000,
        "requester": "ana@example.com",
        "requested_on_day": "2024-01-01",
    }
    assert [row["status"] for row in output.records("deleted_users")] == [
        "done",
        "submitted",
        "staging",
    ]
    assert output.states("deleted_users")[-1] == {"day": "2024-01-03"}


def test_jobs_that_may_not_be_done_are_read_again(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = run("read", config, ("deleted_users",))
    amplitude.requests.clear()
    clock.set(NOW + timedelta(minutes=1))

    second = run("read", config, ("deleted_users",), first.state)

    assert [r.query["start_day"] for r in amplitude.requests] == [["2024-01-01"]]
    assert second.records("deleted_users") == first.records("deleted_users")


def test_a_state_of_a_day_to_come_is_todays(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    stream = {"stream_descriptor": {"name": "deleted_users"}, "stream_state": {"day": "2030-01-01"}}

    output = run("read", config, ("deleted_users",), [{"type": "STREAM", "stream": stream}])

    assert len(output.records("deleted_users")) == 3
    assert output.states("deleted_users")[-1] == {"day": "2024-01-03"}
