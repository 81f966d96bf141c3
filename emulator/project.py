"""The data of an emulated project, without HTTP: a function of its seed and the time."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import count
from typing import Any, Literal

import pendulum

from emulator.archive import gzip_member, zip_archive
from emulator.event import event
from emulator.options import Cohorts, Dashboards, Export

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=3)
"""An hour is exportable this long after it began (apis/analytics/export, "Considerations")."""
FIGURES_SETTLE_AFTER = timedelta(days=2)
"""The time after a day's end for which its figures still grow, because events arrive late."""
INITIAL_SHARE = 0.6
"""The share of a day's final figure that Amplitude shows when the day begins."""


def utc_now() -> datetime:
    """Return the time of the wall clock; a frozen one works, because it is looked up in each call."""
    return datetime.now(timezone.utc)


class Project:
    """One project's events and dashboard figures.

    Args:
        seed: two projects with the same seed and start hold the same data.
        start: the first moment with data, UTC.
        events_per_hour, members_per_hour: the size of the export.
        timezone: the IANA name of the zone in which the dashboards' days begin.
        clock: returns the time, with its zone; the wall clock if it is None.
        export, dashboards, cohorts: options of the APIs of these names.
        event_type_in: where the list of event properties looks for an event type: `form`, `query`.

    `computed` and `edited` map the ids of cohorts to the times, in epoch seconds, at which they were computed
    and edited since the project began.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        start: str = "2024-01-01T00:00:00Z",
        events_per_hour: int = 5,
        members_per_hour: int = 2,
        timezone: str = "UTC",
        clock: Callable[[], datetime] | None = None,
        export: Export | None = None,
        dashboards: Dashboards | None = None,
        cohorts: Cohorts | None = None,
        event_type_in: Sequence[Literal["form", "query"]] = ("form",),
    ) -> None:
        self.seed = seed
        self.start = datetime.fromisoformat(start.replace("Z", "+00:00"))
        self.events_per_hour = events_per_hour
        self.members_per_hour = members_per_hour
        self.timezone = pendulum.timezone(timezone)
        self.now = clock or utc_now
        self.export = export or Export()
        self.dashboards = dashboards or Dashboards()
        self.cohorts = cohorts or Cohorts()
        self.event_type_in = event_type_in
        self.computed: dict[str, int] = {}
        self.edited: dict[str, int] = {}
        self.app = 400_000 + seed
        self._packings = count(1)
        self._members = lru_cache(maxsize=2048)(self.members)

    # -- the export --------------------------------------------------------------------------------

    def events(self, hour: datetime) -> list[dict[str, Any]]:
        """Return all events uploaded in an hour, in the form of the export."""
        key = f"{hour:%Y%m%dT%H}"
        if hour < self.start or key in self.export.empty_hours:
            return []
        chance = random.Random(f"{self.seed} {key}")
        return [event(chance, self.app, hour) for _ in range(self.events_per_hour)]

    def members(self, hour: datetime) -> list[list[bytes]]:
        """Return the members of an hour, each a list of lines that are not in order of time."""
        lines = [_line(event) for event in self.events(hour)]
        chance = random.Random(f"{self.seed} order {hour:%Y%m%dT%H}")
        parts = (lines[n :: self.members_per_hour] for n in range(self.members_per_hour))
        return [chance.sample(part, len(part)) for part in parts if part]

    def archive(self, start: datetime, end: datetime, now: datetime) -> bytes | None:
        """Return the zip of the hours from `start` to `end`, both included, that are exportable at `now`.

        None if no hour is. Each request builds it: the time of its members is a second before `now`.
        """
        packing = next(self._packings) if self.export.repack else 0
        files: dict[str, list[bytes]] = {}
        for hour in self._hours(start, end, now):
            named = f"{hour:%Y-%m-%d}" + (f"_{hour.hour}" if self._by_hour(hour) else "")
            for number, _ in enumerate(self._members(hour)):
                name = f"{self.app}/{self.app}_{named}#{number + packing}.json.gz"
                if lines := self._exportable(hour, number, now):
                    files[name] = files.get(name, []) + lines
        if not files:
            return None
        form: dict[str, Any] = {}
        if packing:
            form = {"level": 1 + packing % 9, "mtime": packing, "name": "events" * (packing % 2)}
        members = [
            (name, gzip_member(lines, self.export.gzip_streams, **form))
            for name, lines in files.items()
        ]
        # The documentation promises no order.
        random.Random(f"{self.seed} {start} {end}{packing or ''}").shuffle(members)
        return zip_archive(members, now - timedelta(seconds=1))

    def _by_hour(self, moment: datetime) -> bool:
        return moment.date() >= date.fromisoformat(self.export.hourly_from)

    def _hours(self, start: datetime, end: datetime, now: datetime) -> list[datetime]:
        """Return the hours of all files that a window touches: of whole days, where files are by day."""
        if not self._by_hour(start):
            start = start.replace(hour=0)
        if not self._by_hour(end):
            end = end.replace(hour=23)
        # An hour is not exportable before it is over, so later hours are left out.
        start = max(start, self.start.replace(minute=0, second=0, microsecond=0))
        return [start + n * HOUR for n in range((min(end, now) - start) // HOUR + 1)]

    def _exportable(self, hour: datetime, number: int, now: datetime) -> list[bytes]:
        """Return the lines of a member at `now`; none while it is not exportable."""
        key = f"{hour:%Y%m%dT%H}"
        late = self.export.late_hours.get(key, 0) + self.export.late_members.get((key, number), 0)
        age = now - hour - SETTLED - late * HOUR
        lines = self._members(hour)[number]
        if age < timedelta(0):
            return []
        if age < self.export.grow.get((key, number), 0) * HOUR:
            return lines[: (len(lines) + 1) // 2]
        if (key, number) in self.export.rewrite and age >= self.export.rewrite[key, number] * HOUR:
            changed = json.loads(lines[0])
            changed["user_properties"]["rewritten"] = True
            return [_line(changed), *lines[1:]]
        return lines

    # -- the dashboards ----------------------------------------------------------------------------

    def statistics(self, day: date, group: str = "country") -> dict[str, int]:
        """Return the final number of active users of a day by country; a user in two counts in both."""
        if group != "country":
            users = self.active_users(day)
            return {f"{group} 1": users // 2, f"{group} 2": users // 3, "(none)": users // 7}
        chance = random.Random(f"{self.seed} users {day}")
        return {country: chance.randrange(10, 200) for country in self.dashboards.countries}

    def active_users(self, day: date) -> int:
        """Return the final number of active users of a day: fewer than its countries add up to."""
        in_two = random.Random(f"{self.seed} travel {day}").randrange(1, 9)
        return sum(self.statistics(day).values()) - in_two

    def bucket(self, day: date, interval: str) -> date:
        """Return the first day of a day's bucket: the day, its week or its month."""
        if interval == "1":
            return day
        if interval == "30":
            return day.replace(day=1)
        return day - timedelta(days=(day.weekday() - self.dashboards.week_begins) % 7)

    def session_length(self, day: date) -> float:
        """Return the final average session length of a day, in seconds."""
        if not self.dashboards.sessions:
            return 0
        return round(random.Random(f"{self.seed} length {day}").uniform(100, 900), 1)

    def sessions_per_user(self, day: date) -> float:
        """Return the final average number of sessions per user on a day."""
        if not self.dashboards.sessions:
            return 0
        return round(random.Random(f"{self.seed} peruser {day}").uniform(1.2, 4), 2)

    def completeness(self, day: date) -> float:
        """Return the share of a day's final figure that Amplitude shows now; 0 until the day begins."""
        begins, ends = self._midnight(day), self._midnight(day + timedelta(days=1))
        age = self.now() - begins
        if age < timedelta(0) or not self.has_data(day):
            return 0.0
        return min(
            INITIAL_SHARE + (1 - INITIAL_SHARE) * (age / (ends + FIGURES_SETTLE_AFTER - begins)),
            1.0,
        )

    def reported(self, day: date, final: float, step: float = 1) -> float:
        """Return a figure as Amplitude shows it now, in whole steps; below `final` until it is complete."""
        completeness = self.completeness(day)
        if completeness == 1:
            return final
        return max(0.0, min(final * completeness // step, final // step - 1) * step)

    def has_data(self, day: date) -> bool:
        """Return whether the project existed on a day."""
        return day >= self.start.astimezone(self.timezone).date()

    def has_sessions(self, day: date) -> bool:
        """Return whether there were sessions on a day."""
        return self.dashboards.sessions and self.has_data(day)

    def _midnight(self, day: date) -> datetime:
        # In UTC, because the difference between two times of one zone ignores daylight saving time.
        local = datetime(day.year, day.month, day.day, tzinfo=self.timezone)
        return local.astimezone(timezone.utc)


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
