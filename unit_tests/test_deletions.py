"""Deleted users: the users of the jobs that remove them."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from emulator import Emulator, Fault
from unit_tests.conftest import NOW, Clock, Read, Run
from unit_tests.support.protocol import answer, state_of

PATH = "/api/2/deletions/users"


def windows(amplitude: Emulator) -> list[tuple[str, str]]:
    return [
        (request.query["start_day"][0], request.query["end_day"][0])
        for request in amplitude.requests
        if request.path == PATH
    ]


def test_deleted_users_are_the_users_of_the_jobs_a_row_each(
    read: Read, config: dict[str, Any]
) -> None:
    records = read(config, "deleted_users").records("deleted_users")

    assert records[0] == {
        "day": "2024-01-01",
        "status": "done",
        "app": "400001",
        "active_scrub_done_date": "2024-01-05",
        "amplitude_id": 731_550_000_000,
        "requester": "ana@example.com",
        "requested_on_day": "2024-01-01",
    }
    assert [(row["day"], row["status"]) for row in records] == [
        ("2024-01-01", "done"),
        ("2024-01-02", "submitted"),
        ("2024-01-03", "staging"),
        ("2024-01-15", "staging"),
    ]


def test_a_job_without_users_gives_no_record_and_one_of_an_older_form_is_read(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    user = {"amplitude_id": 5, "requested_on_day": "2024-01-01", "requester": "ana@example.com"}
    jobs = [
        {"day": "2024-01-02", "status": "done", "amplitude_ids": []},
        {
            "amplitude_ids": [user, {**user, "amplitude_id": 6}],
            "day": "2024-01-03",
            "status": "staging",
        },
    ]
    answer(amplitude, "deleted_users", jobs)

    records = read(config, "deleted_users").records("deleted_users")

    assert [(row["day"], row["amplitude_id"], row["status"]) for row in records] == [
        ("2024-01-03", 5, "staging"),
        ("2024-01-03", 6, "staging"),
    ]


@pytest.mark.parametrize("years", [0, 1, 5])
def test_no_window_is_longer_than_amplitude_allows_and_none_is_left_out(
    read: Read, config: dict[str, Any], amplitude: Emulator, years: int
) -> None:
    start = date(2024 - years, 1, 1)
    # Workers that wait side by side move the frozen clock once each, and then ask within one second.
    amplitude.api.budget = False

    output = read({**config, "start_date": f"{start}T00:00:00Z"}, "deleted_users")

    asked = sorted(windows(amplitude))
    assert output.statuses("deleted_users")[-1] == "COMPLETE"
    assert {request.status for request in amplitude.requests} == {200}
    assert asked[0][0] == str(start)
    assert asked[-1][1] == str(NOW.date() + timedelta(days=31))
    for (_, end), (following, _) in pairwise(asked):
        assert date.fromisoformat(following) - date.fromisoformat(end) == timedelta(days=1)


def test_a_project_without_deletions_is_asked_for_the_look_back_alone_after_the_first_sync(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    answer(amplitude, "deleted_users", [])
    amplitude.api.budget = False
    config = {**config, "start_date": ""}

    first = read(config, "deleted_users")
    asked = len(windows(amplitude))
    amplitude.requests.clear()
    clock.set(NOW + timedelta(hours=1))
    second = read(config, "deleted_users", state=first.state)

    assert asked == 25
    assert windows(amplitude) == [("2023-11-04", "2024-02-03")]
    assert (
        first.states("deleted_users")[-1]
        == second.states("deleted_users")[-1]
        == {"day": "2024-01-03"}
    )


def test_a_window_of_deletions_that_failed_is_asked_for_again(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.api.budget = False
    config = {**config, "start_date": "2022-01-01T00:00:00Z"}
    amplitude.faults.append(Fault(PATH, query={"start_day": "2022-06-30"}, status=400))

    first = read(config, "deleted_users")
    amplitude.requests.clear()
    second = read(config, "deleted_users", state=first.state)

    assert first.statuses("deleted_users")[-1] == "INCOMPLETE"
    assert first.states("deleted_users")[-1] == {"day": "2022-06-29"}
    assert min(windows(amplitude))[0] == "2022-04-30"
    assert len(second.records("deleted_users")) == 4


def test_windows_are_asked_for_one_per_second(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    run("read", {**config, "start_date": "2019-01-01T00:00:00Z"}, ("deleted_users",))

    assert [request.status for request in amplitude.requests] == [200] * 11


def test_jobs_that_may_not_be_done_are_read_again(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = read(config, "deleted_users")
    amplitude.requests.clear()
    clock.set(NOW + timedelta(minutes=1))

    second = read(config, "deleted_users", state=first.state)

    assert windows(amplitude) == [("2024-01-01", "2024-02-03")]
    assert second.records("deleted_users") == first.records("deleted_users")


@pytest.mark.parametrize("day", ["2024-01-15", "2030-01-01"])
def test_a_job_that_is_planned_does_not_move_the_start_of_the_next_sync_past_today(
    read: Read, config: dict[str, Any], amplitude: Emulator, day: str
) -> None:
    config = {**config, "start_date": "2020-01-01T00:00:00Z"}

    output = read(config, "deleted_users", state=state_of("deleted_users", day=day))

    assert windows(amplitude)[0][0] == str(NOW.date() - timedelta(days=60))
    assert len(output.records("deleted_users")) == 4
