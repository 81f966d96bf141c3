"""Syncs over days, with data that comes late, and side by side: each event once, none early.

Any sync may run in another runtime than the one before.
"""

import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import Emulator, Export, Fault, Project
from unit_tests.conftest import Clock, Run
from unit_tests.support.protocol import Output

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
TIMELINES = max(20, settings().max_examples // 10)
"""A timeline is about ten syncs, a second or more."""
LATE: dict[str, Any] = {
    "late_hours": {"20240102T05": 4},
    "late_members": {("20240102T09", 1): 3},
    "empty_hours": {"20240101T07", "20240101T08", "20240103T01"},
}
REPACKED: dict[str, Any] = {
    **LATE,
    "repack": True,
    "gzip_streams": 2,
    "grow": {("20240101T12", 0): 2, ("20240102T12", 1): 4},
}


def hours(kind: str) -> list[int]:
    chance = random.Random(7)
    match kind:
        case "hourly":
            return list(range(1, 73))
        case "daily":
            return [24, 48, 72]
    syncs, now = [], 0
    while now < 72:
        now += chance.randint(1, 9)
        syncs.append(now)
    return syncs


def simulate(
    run: Run,
    clock: Clock,
    config: dict[str, Any],
    moments: list[datetime],
    runtimes: list[str],
) -> Counter[str]:
    """Sync at each moment with the state of the one before; how often each event came."""
    seen: Counter[str] = Counter()
    state: list[dict[str, Any]] = []
    for number, now in enumerate(moments):
        clock.set(now)
        runtime = runtimes[number % len(runtimes)]
        output = run("read", config, ("events",), state, runtime=runtime)
        assert output.error is None
        for event in output.records("events"):
            uploaded = datetime.fromisoformat(event["server_upload_time"])
            assert uploaded.replace(minute=0, second=0, microsecond=0) + timedelta(hours=3) <= now
            seen[event["uuid"]] += 1
        state = output.state or state
    return seen


@pytest.mark.parametrize("kind", ["hourly", "irregular", "daily"])
@pytest.mark.parametrize("late", [{}, LATE, REPACKED], ids=["on time", "late", "packed again"])
@pytest.mark.parametrize(
    "runtimes",
    [
        pytest.param(["package"], id="package", marks=pytest.mark.integration),
        pytest.param(["manifest"], id="manifest", marks=pytest.mark.integration),
        pytest.param(["package", "manifest", "manifest"], id="in turn"),
    ],
)
def test_72_hours_of_syncs_lose_nothing_and_repeat_nothing(
    run: Run,
    clock: Clock,
    config: dict[str, Any],
    kind: str,
    late: dict[str, Any],
    runtimes: list[str],
) -> None:
    project = Project(
        seed=3, start="2024-01-01T00:00:00Z", events_per_hour=4, export=Export(**late)
    )
    with Emulator(project) as amplitude:
        config["api_url"], config["api_key"] = amplitude.url, amplitude.api_key
        config["secret_key"] = amplitude.secret_key
        moments = [START + timedelta(hours=h, minutes=20) for h in (*hours(kind), 96)]
        seen = simulate(run, clock, config, moments, runtimes)

    last = START + timedelta(hours=96 - 3)
    expected = {
        event["uuid"]
        for number in range((last - START) // timedelta(hours=1) + 1)
        for event in project.events(START + timedelta(hours=number))
    }
    assert expected - set(seen) == set()
    assert [uuid for uuid, times in seen.items() if times > 1] == []


KINDS = ["html", "cut", "short", "bit_flip", "bad_crc", "gzip_cut", "close"]


@given(data=st.data())
@settings(
    max_examples=TIMELINES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_timeline_gives_each_event_once(run: Run, clock: Clock, data: st.DataObject) -> None:
    day = [f"20240101T{hour:02d}" for hour in range(24)]
    member = st.tuples(st.sampled_from(day), st.integers(0, 1))
    hours_late = st.integers(1, 5)
    late_hours = data.draw(st.dictionaries(st.sampled_from(day), hours_late, max_size=3))
    late_members = data.draw(st.dictionaries(member, hours_late, max_size=3))
    grow = data.draw(st.dictionaries(member, hours_late, max_size=3))
    project = Project(
        seed=data.draw(st.integers(1, 50)),
        start="2024-01-01T00:00:00Z",
        events_per_hour=3,
        export=Export(
            # One delay each: the sum of two may be longer than the look-back of six hours.
            late_hours=late_hours,
            late_members={m: h for m, h in late_members.items() if m[0] not in late_hours},
            empty_hours=data.draw(st.sets(st.sampled_from(day), max_size=4)),
            grow={
                m: h for m, h in grow.items() if m[0] not in late_hours and m not in late_members
            },
            repack=data.draw(st.booleans()),
            gzip_streams=data.draw(st.integers(1, 3)),
        ),
    )
    runtimes = st.sampled_from(["package", "manifest"])
    gaps = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    window = data.draw(st.sampled_from([1, 3, 24]))
    seen: Counter[str] = Counter()
    state: list[dict[str, Any]] = []
    now = START + timedelta(minutes=20)
    with Emulator(project) as amplitude:
        config = {
            "api_key": amplitude.api_key,
            "secret_key": amplitude.secret_key,
            "api_url": amplitude.url,
            "start_date": "2024-01-01T00:00:00Z",
            "request_time_range": window,
        }
        for gap in [*gaps, 24, 12]:
            now += timedelta(hours=gap)
            clock.set(now)
            last = gap in (24,) or now > START + timedelta(hours=60)
            amplitude.faults = (
                []
                if last
                else [
                    Fault(
                        kind=data.draw(st.sampled_from(KINDS)),
                        hour=data.draw(st.sampled_from(day)),
                        times=data.draw(st.sampled_from([1, 2, None])),
                    )
                    for _ in range(data.draw(st.integers(0, 2)))
                ]
            )
            take = None if last else data.draw(st.none() | st.integers(0, 120))
            runtime = data.draw(runtimes)
            output = run("read", config, ("events",), state, take=take, runtime=runtime)
            promised(output, cut=take is not None)
            seen.update(event["uuid"] for event in output.records("events"))
            state = output.state or state
        clock.set(now + timedelta(hours=12))
        amplitude.faults = []
        output = run("read", config, ("events",), state, runtime=data.draw(runtimes))
        assert output.error is None
        seen.update(event["uuid"] for event in output.records("events"))
    for hour in day:
        moment = datetime.strptime(hour + "+0000", "%Y%m%dT%H%z")
        for event in project.events(moment):
            assert seen[event["uuid"]] == 1, hour


CUTS = st.lists(
    st.integers(1, 57).map(lambda hours: hours * 3600) | st.integers(1, 58 * 3600 - 1), max_size=3
)


@given(
    cuts=CUTS,
    window=st.sampled_from([1, 5, 24]),
    runtime=st.sampled_from(["package", "manifest"]),
)
@settings(
    max_examples=TIMELINES // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_cutting_into_connections_gives_each_event_once(
    run: Run, clock: Clock, cuts: list[int], window: int, runtime: str
) -> None:
    project = Project(seed=5, start="2024-01-01T00:00:00Z", events_per_hour=2)
    edges = [f"{START + timedelta(seconds=s):%Y-%m-%dT%H:%M:%SZ}" for s in sorted({0, *cuts})]
    seen: Counter[str] = Counter()
    state: list[dict[str, Any]] = []
    with Emulator(project) as amplitude:
        config = {
            "api_key": amplitude.api_key,
            "secret_key": amplitude.secret_key,
            "api_url": amplitude.url,
            "request_time_range": window,
        }
        clock.set(START + timedelta(hours=60, minutes=30))
        for start, end in zip(edges, [*edges[1:], ""], strict=True):
            config |= {"start_date": start, "end_date": end}
            output = run("read", config, ("events",), runtime=runtime)
            assert output.error is None
            seen.update(event["uuid"] for event in output.records("events"))
            state = output.state
        # The connection without an end keeps up with the present.
        clock.set(START + timedelta(hours=65, minutes=30))
        output = run("read", config, ("events",), state)
        seen.update(event["uuid"] for event in output.records("events"))
    events = [e for n in range(63) for e in project.events(START + timedelta(hours=n))]
    assert seen == Counter(event["uuid"] for event in events)


def promised(output: Output, *, cut: bool) -> None:
    """Take away what came after the last state: nobody has promised that it will not come again."""
    last = max((n for n, m in enumerate(output.messages) if m["type"] == "STATE"), default=-1)
    if cut:
        del output.messages[last + 1 :]
