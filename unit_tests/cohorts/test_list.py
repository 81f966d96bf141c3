"""The list of cohorts."""

from typing import Any

import pytest

from emulator import Emulator, Project, cohorts
from unit_tests.conftest import Read
from unit_tests.support.protocol import answer, without_nulls

TIMES = ("createdAt", "lastComputed", "lastMod", "last_viewed")


def test_cohorts_pass_through_whole_with_where_they_are_synced_to(
    read: Read, config: dict[str, Any], project: Project
) -> None:
    records = read(config, "cohorts").records("cohorts")

    assert without_nulls(records) == without_nulls(cohorts.make_cohorts(project.app))


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (1_684_000_000, 1_684_000_000),
        (1_684_000_000_500, 1_684_000_000),
        (1_684_000_000_500_000, 1_684_000_000),
        (1_684_000_000.5, 1_684_000_000),
        ("1684000000", 1_684_000_000),
        (" 1684000000500 ", 1_684_000_000),
        ("1684000000.0", 1_684_000_000),
        ("2023-05-13T17:46:40+00:00", 1_684_000_000),
        ("2023-05-13T17:46:40Z", 1_684_000_000),
        ("2023-05-13 17:46:40.000000", 1_684_000_000),
        ("2023-05-14T02:46:40+09:00", 1_684_000_000),
        (0, 0),
        ("", None),
        (None, None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("field", TIMES)
def test_a_cohorts_times_are_whole_seconds_however_they_are_sent(
    read: Read, config: dict[str, Any], amplitude: Emulator, field: str, sent: Any, seconds: Any
) -> None:
    answer(amplitude, "cohorts", [{"id": "a", field: sent}])

    records = read(config, "cohorts").records("cohorts")

    assert without_nulls(records) == without_nulls([{"id": "a", field: seconds}])


@pytest.mark.parametrize("sent", ["soon", True, {}, [1], "2023-13-01", "nan", "1e999"])
def test_what_is_no_time_fails_the_stream_and_names_the_field(
    read: Read, config: dict[str, Any], amplitude: Emulator, sent: Any
) -> None:
    answer(amplitude, "cohorts", [{"id": "a", "lastMod": sent}])

    output = read(config, "cohorts")

    assert output.records("cohorts") == []
    assert "answer for cohorts is not the list" in output.text
    assert "`lastMod` of a cohort is not a time" in output.text
