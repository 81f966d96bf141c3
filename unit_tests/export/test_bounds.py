"""Start and end dates within an hour, and times of events in odd forms.

Each in the package and in the manifest alone.
"""

from collections import Counter
from typing import Any

import pytest

from emulator import Emulator, Project
from unit_tests.conftest import Run
from unit_tests.support.archives import lines
from unit_tests.support.events import event, serve, uuids
from unit_tests.support.protocol import Output, config_for

ODD_TIMES = [
    "2024-01-01 05:30:00.000000",
    None,
    ...,
    "2024:01:01 05:30:00",
    "2024-01-01T05:30:00Z",
    "",
    1704087000000,
]


@pytest.mark.parametrize(
    "bounds",
    [
        {"start_date": "2024-01-01T05:00:00Z", "end_date": "2024-01-01T06:00:00Z"},
        {"start_date": "2024-01-01T00:00:00Z", "end_date": "2024-01-03T00:00:00Z"},
        {"start_date": "2024-01-01T00:00:00Z", "end_date": "2024-01-03T07:59:59Z"},
        {"start_date": "2024-01-01T00:00:00Z", "end_date": "2024-01-01T23:59:59Z"},
        {"start_date": "2023-12-31T10:15:00Z", "end_date": "2024-01-01T08:00:00Z"},
        {"start_date": "2023-12-31T10:15:00Z", "end_date": "2024-01-01T08:20:00Z"},
    ],
)
def test_a_bound_leaves_alone_the_events_of_hours_that_it_does_not_cut(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, bounds: dict[str, str]
) -> None:
    events = [event(str(n), server_upload_time=time) for n, time in enumerate(ODD_TIMES)]
    events = [{k: v for k, v in e.items() if v is not ...} for e in events]
    serve(amplitude, lines(*events))
    wide = {**config, **bounds, "request_time_range": 8760}

    output = run("read", wide, ("events",), runtime=runtime)

    assert uuids(output) == ["0", "1", "2", "3", "4", "5", "6"]


def test_a_bound_within_an_hour_compares_moments_and_keeps_what_has_no_readable_time(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    times = {
        "early": "2024-01-01 05:19:59.999999",
        "start": "2024-01-01 05:20:00.000000",
        "offset": "2024-01-01T07:30:00+02:00",
        "early by its offset": "2024-01-01T05:30:00+02:00",
        "colons": "2024:01:01 05:30:00",
        "none": None,
        "rubbish": "soon",
        "milliseconds": 1704087000000,
        "last": "2024-01-01 05:39:59.999999",
        "end": "2024-01-01 05:40:00",
    }
    serve(amplitude, lines(*[event(name, server_upload_time=time) for name, time in times.items()]))
    bounds = {"start_date": "2024-01-01T05:20:00Z", "end_date": "2024-01-01T05:40:00Z"}

    output = run("read", {**config, **bounds}, ("events",), runtime=runtime)

    assert set(times) - set(uuids(output)) == {"early", "early by its offset", "end"}


def test_an_end_date_within_an_hour_that_is_moved_loses_nothing_and_repeats_nothing(
    run: Run, config: dict[str, Any], runtime: str, project: Project
) -> None:
    with Emulator(Project(seed=2, events_per_hour=12)) as amplitude:
        ends = ["2024-01-02T10:15:00Z", "2024-01-02T10:05:00Z", "2024-01-02T10:50:00Z", ""]
        outputs: list[Output] = []
        state: list[dict[str, Any]] = []
        for end in ends:
            moved = {**config_for(amplitude), "end_date": end, "lookback_hours": 0}
            outputs.append(run("read", moved, ("events",), state, runtime=runtime))
            state = outputs[-1].state
        assert [output.error for output in outputs] == [None] * 4
        counted = Counter(uuids(*outputs))
        assert set(counted.values()) == {1}
        assert len(counted) == 58 * 12
