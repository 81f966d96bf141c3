"""The jobs that remove users."""

from datetime import timedelta

from emulator import Emulator
from unit_tests.emulator.conftest import Clock, get


def test_deletions_are_a_bare_list_within_their_days(amplitude: Emulator) -> None:
    query = {"start_day": "2024-01-01", "end_day": "2024-01-02"}
    jobs = get(amplitude, "/api/2/deletions/users", params=query).json()

    assert [job["status"] for job in jobs] == ["done", "submitted"]
    assert get(amplitude, "/api/2/deletions/users").status_code == 400


def test_deletions_are_answered_for_six_months_at_most_with_those_that_are_planned(
    amplitude: Emulator, time_of: Clock
) -> None:
    answers = []
    for end in ("2024-07-01", "2024-07-02"):
        query = {"start_day": "2024-01-01", "end_day": end}
        answers.append(get(amplitude, "/api/2/deletions/users", params=query))
        time_of.now += timedelta(seconds=1)

    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[0].headers["Content-Type"].startswith("text/html")
    assert answers[0].json()[-1]["day"] == "2024-01-15"


def test_the_deletions_are_answered_once_a_second(amplitude: Emulator, time_of: Clock) -> None:
    query = {"start_day": "2024-01-01", "end_day": "2024-01-02"}
    first, second = (get(amplitude, "/api/2/deletions/users", params=query) for _ in range(2))
    time_of.now += timedelta(seconds=1)
    third = get(amplitude, "/api/2/deletions/users", params=query)

    assert [answer.status_code for answer in (first, second, third)] == [200, 429, 200]
