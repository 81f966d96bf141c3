"""Weeks and months: whole buckets, under Amplitude's own labels, read again until they are closed."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from emulator import Dashboards, Emulator, Project
from unit_tests.conftest import NOW, Clock, Sync
from unit_tests.support.protocol import INTERVALS, Output, config_for

DAY = timedelta(days=1)


def buckets(project: Project, interval: str, first: date, last: date) -> list[str]:
    """The first days of the buckets of some days."""
    days = (first + n * DAY for n in range((last - first).days + 1))
    return sorted({str(project.bucket(day, interval)) for day in days})


def figures(project: Project, stream: str, bucket: str) -> dict[str, int]:
    """The final figures of a bucket, as the emulator forms them: fewer users than its days together."""
    day, interval = date.fromisoformat(bucket), INTERVALS[stream]
    share = 5 if stream.startswith("new_users") else 1
    days = [
        day + n * DAY for n in range(31) if str(project.bucket(day + n * DAY, interval)) == bucket
    ]
    by_day = [project.statistics(day) for day in days if project.has_data(day)]
    result = {}
    for country in project.dashboards.countries:
        values = [figures[country] // share for figures in by_day]
        result[country] = max(values) + (sum(values) - max(values)) // 3
    return result


@pytest.fixture(params=[(0, False), (6, False), (3, True)], ids=["Monday", "Sunday", "cut"])
def amplitude(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A project whose weeks begin on some day; in one, Amplitude cuts the label of a bucket with it."""
    begins, cut = request.param
    weeks = Dashboards(week_begins=begins, cut_buckets=cut)
    with Emulator(Project(start="2023-01-01T00:00:00Z", dashboards=weeks)) as it:
        yield it


@pytest.mark.parametrize("stream", INTERVALS)
def test_a_first_sync_has_each_bucket_once_and_whole(
    amplitude: Emulator, clock: Clock, sync: Sync, stream: str
) -> None:
    project = amplitude.project
    config = config_for(amplitude, start_date="2023-05-17T00:00:00Z")
    output = sync(config, (stream,), [])
    found = {row["date"]: row["statistics"] for row in output.records(stream)}

    expected = buckets(project, INTERVALS[stream], date(2023, 5, 17), NOW.date())
    assert sorted(row["date"] for row in output.records(stream)) == expected
    for bucket in expected[:-2]:
        assert found[bucket] == figures(project, stream, bucket)
    assert output.states(stream)[-1] == {"date": str(NOW.date())}


@pytest.mark.parametrize("stream", INTERVALS)
def test_syncs_at_any_hour_end_with_the_final_figure_of_each_closed_bucket(
    amplitude: Emulator, clock: Clock, sync: Sync, stream: str
) -> None:
    project, interval = amplitude.project, INTERVALS[stream]
    config = config_for(amplitude)
    outputs: list[Output] = []
    state: list[dict[str, Any]] = []
    # Figures grow until two days after their day, which the look-back of three days covers.
    for days in (0, 1, 3, 6, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35):
        clock.set(NOW + days * DAY)
        outputs.append(sync(config, (stream,), state))
        assert not outputs[-1].errors
        state = outputs[-1].state
        today = str((NOW + days * DAY).date())
        assert outputs[-1].states(stream)[-1] == {"date": today}
        assert all(row["date"] <= today for row in outputs[-1].records(stream))
        running = project.bucket(date.fromisoformat(today), interval)
        assert str(running) in {row["date"] for row in outputs[-1].records(stream)}
    table = {row["date"]: row["statistics"] for out in outputs for row in out.records(stream)}

    closed = buckets(project, interval, date(2024, 1, 1), date(2024, 2, 1))[:-1]
    assert closed
    for bucket in closed:
        assert table[bucket] == figures(project, stream, bucket), bucket


def test_a_sync_asks_for_little_more_than_its_look_back(
    amplitude: Emulator, clock: Clock, sync: Sync
) -> None:
    config = config_for(amplitude)
    clock.set(NOW + 40 * DAY)
    state = sync(config, tuple(INTERVALS), []).state
    amplitude.requests.clear()
    clock.set(NOW + 40 * DAY + timedelta(hours=1))
    sync(config, tuple(INTERVALS), state)

    # 2024-02-12 less the look-back of 3 days: 13 days before that, and the first of its month.
    asked = sorted(
        tuple(r.query[name][0] for name in ("m", "i", "start", "end")) for r in amplitude.requests
    )
    assert asked == [
        ("active", "30", "20240201", "20240212"),
        ("active", "7", "20240127", "20240212"),
        ("new", "30", "20240201", "20240212"),
        ("new", "7", "20240127", "20240212"),
    ]
