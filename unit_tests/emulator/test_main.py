"""The command line of the emulator."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from emulator.__main__ import emulator, parser
from unit_tests.conftest import NOW
from unit_tests.emulator.conftest import details, events, get

HOUR = {"start": "20240101T05", "end": "20240101T05"}


def test_without_options_the_emulator_serves_a_project_of_60_events_an_hour() -> None:
    with emulator(["--port", "0"]) as amplitude:
        body = get(amplitude, "/api/2/export", params=HOUR).content

    assert len(events(body)) == 60
    assert amplitude.project.now() == NOW


def test_help_explains_every_option_and_shows_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        emulator(["--help"])

    shown = " ".join(capsys.readouterr().out.split())
    for action in parser()._actions:
        assert action.help, action.dest
        if action.default not in (None, False, [], "==SUPPRESS=="):
            assert "(%(default)s)" in action.help, action.dest
            assert f"({action.default})" in shown
    assert "growth lacks the taxonomy" in shown
    assert "over one of Amplitude's limits gets a 429" in shown


def test_its_clock_starts_at_a_given_time_and_continues() -> None:
    with emulator(["--port", "0", "--clock", "2024-01-01T08:00:00Z"]) as amplitude:
        early = datetime(2024, 1, 1, 8, tzinfo=timezone.utc)
        dates = [get(amplitude, "/api/2/export", params=HOUR) for _ in range(2)]

        assert timedelta(0) <= amplitude.project.now() - early < timedelta(minutes=1)
        assert dates[0].headers["Date"] == "Mon, 01 Jan 2024 08:00:00 GMT"
        assert len(events(dates[0].content)) == 60


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 60),
        (["--late", "20240101T05=1"], None),
        (["--late", "20240101T05#1=1"], 30),
        (["--grow", "20240101T05=1"], 30),
        (["--grow", "20240101T05#0=1"], 45),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_hour_or_a_file_of_it_is_late_or_grows(options: list[str], count: int | None) -> None:
    with emulator(["--port", "0", "--clock", "2024-01-01T08:30:00Z", *options]) as amplitude:
        response = get(amplitude, "/api/2/export", params=HOUR)

    assert response.status_code == (200 if count else 404)
    assert count is None or len(events(response.content)) == count


def test_files_are_packed_again_for_each_request() -> None:
    with emulator(["--port", "0", "--repack"]) as amplitude:
        first, second = (get(amplitude, "/api/2/export", params=HOUR).content for _ in range(2))

    assert first != second
    assert len(events(first)) == len(events(second))


def test_a_fault_affects_one_request_or_several_or_all() -> None:
    paths = ("/api/2/export", "/api/3/cohorts", "/api/3/annotations")
    faults = ("/api/2/export=503", "/api/3/cohorts=html,2", "/api/3/annotations=429,all")
    with emulator(["--port", "0", *(f"--fault={fault}" for fault in faults)]) as amplitude:
        answers = {path: [get(amplitude, path, params=HOUR) for _ in range(3)] for path in paths}

    assert [answer.status_code for answer in answers[paths[0]]] == [503, 200, 200]
    assert details(answers[paths[0]][0]) == "This is a fault of the emulator"
    types = [answer.headers["Content-Type"].partition(";")[0] for answer in answers[paths[1]]]
    assert types == ["text/html", "text/html", "application/json"]
    assert [answer.status_code for answer in answers[paths[2]]] == [429] * 3


def test_limits_are_enforced_unless_there_is_no_budget() -> None:
    year = {"start": "20230101", "end": "20231231", "g": "country"}

    def statuses(*options: str) -> list[int]:
        with emulator(["--port", "0", *options]) as amplitude:
            return [get(amplitude, "/api/2/users", params=year).status_code for _ in range(2)]

    assert statuses("--no-budget") == [200, 200]
    assert statuses() == [429, 429]


def test_a_plan_lacks_what_its_help_says() -> None:
    with emulator(["--port", "0", "--plan", "growth"]) as amplitude:
        assert get(amplitude, "/api/3/cohorts").status_code == 200
        assert get(amplitude, "/api/2/taxonomy/event").status_code == 404


def test_each_request_is_printed_with_its_status_and_cost_and_without_credentials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    days = {"start": "20240101", "end": "20240102"}
    with emulator(["--port", "0", "--log", "--fault=/api/3/cohorts=close"]) as amplitude:
        get(amplitude, "/api/2/export", params=HOUR)
        get(amplitude, "/api/2/users", params=days)
        with pytest.raises(Exception, match="Connection aborted"):
            get(amplitude, "/api/3/cohorts")

    assert capsys.readouterr().out == (
        "12:30:00 GET /api/2/export?start=20240101T05&end=20240101T05 200\n"
        "12:30:00 GET /api/2/users?start=20240101&end=20240102 200, cost 2\n"
        "12:30:00 GET /api/3/cohorts no response\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clock", "noon"], "noon is not a time with its zone, such as 2024-01-31T12:30:00Z"),
        (["--clock", "2024-01-31T12:30:00"], "is not a time with its zone"),
        (["--late", "20240101T05"], "20240101T05 is not like 20240101T18=6 or 20240101T18#0=6"),
        (["--grow", "20240132T05=1"], "20240132T05 is not an hour such as 20240101T18"),
        (["--fault", "export=503"], "export=503 is not like /api/2/export=503"),
        (["--fault", "/api/2/export=fire"], "no such kind of fault: fire"),
        (["--plan", "free"], "invalid choice: 'free'"),
    ],
)
def test_a_wrong_option_is_refused_with_its_form(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        emulator(options)

    assert re.search(re.escape(message), capsys.readouterr().err)
