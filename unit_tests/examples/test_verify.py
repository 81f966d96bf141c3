"""`make verify`: the questions, what they cost, and that no answer carries what it must not."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count

import pytest

from emulator import Emulator, Export, Fault, Project
from emulator.cohorts import make_cohorts
from emulator.event import EVENT_TYPES
from examples import verify
from unit_tests.conftest import NOW
from unit_tests.support.protocol import error_body

LIVE = verify.service_of(os.environ, datetime.now(timezone.utc))

if LIVE:

    @pytest.fixture(autouse=True)
    def clock() -> None:
        """Leave the time as it is: that of Amplitude does not stand still."""


@pytest.fixture
def here() -> Iterator[verify.Service]:
    """The emulator whose answers are expected."""
    with Emulator(Project(seed=1, start="2023-12-31T00:00:00Z")) as emulator:
        yield verify.emulated(emulator)


@pytest.fixture
def other() -> Iterator[Emulator]:
    """An emulator instead of Amplitude."""
    with Emulator(Project(seed=2, start="2023-12-31T00:00:00Z")) as emulator:
        yield emulator


def rows(service: verify.Service, emulator: verify.Service) -> dict[str, tuple[str, str]]:
    """By question, the answer of the service and the verdict on it."""
    _, _, *lines = verify.table(service, emulator)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {question: (said, verdict) for question, _, said, verdict in cells}


@pytest.mark.verified
@pytest.mark.parametrize("question", verify.QUESTIONS)
def test_amplitude_answers_as_the_emulator_does(
    here: verify.Service, other: Emulator, question: str
) -> None:
    ask = verify.QUESTIONS[question]
    try:
        said = ask(LIVE or verify.emulated(other))
    except verify.NotAskedError as missing:
        pytest.skip(str(missing))

    assert said == ask(here)


def test_an_emulator_answers_as_another_one() -> None:
    notice, empty, *table = verify.report({})

    assert "are not set: asking another emulator" in notice
    assert empty == ""
    assert len(table) == 2 + len(verify.QUESTIONS)
    assert all(line.endswith("| as expected |") for line in table[2:])


def test_with_keys_the_project_is_asked(other: Emulator) -> None:
    environment = {
        "AMPLITUDE_API_KEY": other.api_key,
        "AMPLITUDE_SECRET_KEY": other.secret_key,
        "AMPLITUDE_API_URL": other.url,
    }

    header, _, *table = verify.report(environment)

    assert header == "| question | the emulator says | Amplitude says | |"
    assert all(line.endswith("| as expected |") for line in table)
    assert other.requests


def test_the_questions_stay_within_every_limit(here: verify.Service, other: Emulator) -> None:
    rows(verify.emulated(other), here)

    paths = [request.path for request in other.requests]
    assert 429 not in {request.status for request in other.requests}
    assert len(paths) <= 30
    assert paths.count("/api/2/export") == 6
    assert sum("/5/cohorts/request/" in path and "/file" not in path for path in paths) == 1
    hours = {r.query["start"][0] for r in other.requests if r.path == "/api/2/export"}
    assert all(r.query["start"] == r.query["end"] for r in other.requests if "start" in r.query)
    assert len(hours) == 4


def test_nothing_in_the_table_is_a_key_a_record_a_name_or_an_id(
    here: verify.Service, other: Emulator
) -> None:
    service = verify.emulated(other)
    events = other.project.events(other.project.start)
    secrets = {*service.keys, str(other.project.app), service.hour, other.url}
    secrets |= {
        str(cohort[key]) for cohort in make_cohorts(other.project.app) for key in ("id", "name")
    }
    secrets |= {str(event[key]) for event in events for key in ("uuid", "user_id", "device_id")}

    table = "\n".join(verify.table(service, here))

    for secret in (secrets | set(EVENT_TYPES)) - {"None"}:
        assert secret not in table


@pytest.mark.parametrize(
    ("question", "fault", "said"),
    [
        (
            "an hour without data",
            Fault(
                hour=verify.NO_DATA, status=404, body=error_body("Not Found", "Nothing", type="x")
            ),
            "404: x, Not Found, Nothing",
        ),
        (
            "an hour without data",
            Fault(hour=verify.NO_DATA, status=404, body=b"<html>"),
            "another form (JSONDecodeError)",
        ),
        (
            "an export",
            Fault(hour="20240102T12", status=302, headers={"Location": "https://files.example/x"}),
            "a redirect to another host",
        ),
        (
            "two exports of an hour",
            Fault(hour="20240102T12", kind="bad_line", times=2),
            "other lines",
        ),
    ],
)
def test_an_answer_that_differs_is_shown_and_marked(
    here: verify.Service, other: Emulator, question: str, fault: Fault, said: str
) -> None:
    other.faults.append(fault)

    answer = verify.table(verify.emulated(other), here)

    line = next(line for line in answer if line.startswith(f"| {question} |"))
    assert line.endswith(f"| {said} | **differs** |")


@pytest.mark.parametrize(
    ("repack", "said"),
    [(False, "the same members"), (True, "the same lines in other members")],
)
def test_exports_that_are_packed_in_different_seconds_have_the_same_members(
    repack: bool, said: str
) -> None:
    seconds = count()
    project = Project(
        start="2023-12-31T00:00:00Z",
        clock=lambda: NOW + timedelta(seconds=next(seconds)),
        export=Export(repack=repack),
    )
    with Emulator(project) as emulator:
        service = verify.emulated(emulator)

        assert verify.same_members(service) == said
        assert len({export.body for export in service.exports()}) == 2


def test_a_question_about_a_part_that_the_plan_or_project_lacks_is_not_asked(
    here: verify.Service,
) -> None:
    with Emulator(Project(seed=2, start="2024-01-03T00:00:00Z"), plan="starter") as small:
        found = rows(verify.emulated(small), here)

    not_asked = [question for question, (_, verdict) in found.items() if verdict == "not asked"]
    assert "an event type is named in" in not_asked
    assert "a cohort's download" in not_asked
    assert "two exports of an hour" in not_asked
    assert found["two exports of an hour"][0].endswith("name another in AMPLITUDE_VERIFY_HOUR")


def test_the_environment_names_the_project_its_region_and_the_hour() -> None:
    now = datetime(2024, 1, 3, 12, 30, tzinfo=timezone.utc)
    keys = {"AMPLITUDE_API_KEY": "key", "AMPLITUDE_SECRET_KEY": "secret"}
    eu = {"AMPLITUDE_DATA_REGION": "EU Residency Server", "AMPLITUDE_VERIFY_HOUR": "20240101T05"}

    assert verify.service_of({"AMPLITUDE_API_KEY": "key"}, now) is None
    there = verify.service_of(keys, now)
    europe = verify.service_of({**keys, **eu}, now)

    assert there is not None
    assert (there.url, there.hour) == ("https://amplitude.com", "20240102T12")
    assert europe is not None
    assert (europe.url, europe.hour) == ("https://analytics.eu.amplitude.com", "20240101T05")
