"""The data of an emulated project: a pure function of its seed and of time, without HTTP."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import count
from typing import Any, Literal

import pendulum

from emulator.archive import gzip_member, zip_archive
from emulator.event import event

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=3)
"""An hour is exportable this long after it began (apis/analytics/export, "Considerations")."""
FIGURES_SETTLE_AFTER = timedelta(days=2)
"""How long after its end a day's figures still grow, because events arrive late."""
INITIAL_SHARE = 0.6
"""The share of a day's final figure that shows when the day begins."""

PROPERTIES = (
    *("version", "country", "city", "region", "DMA", "language", "platform", "os", "device"),
    *("device_type", "start_version", "paying", "gp:plan"),
)
"""User properties that a dashboard groups by."""
COUNTRIES = ("Germany", "India", "Japan", "United Kingdom", "United States", "(none)")


def utc_now() -> datetime:
    """The wall clock, looked up at each call so that a frozen one works."""
    return datetime.now(timezone.utc)


class Project:
    """One project's events and dashboard figures.

    Args:
        seed: two projects with the same seed and start hold the same data.
        start: the first moment with data, UTC.
        events_per_hour, members_per_hour: the size of the export.
        timezone: where the dashboards' days begin.
        clock: the time, aware; the wall clock when absent.
        late_hours: hours late that an hour (`20240101T05`) becomes exportable.
        late_members: the same for one member `(hour, number)`.
        empty_hours: hours without events.
        grow: hours for which a member `(hour, number)` that is exportable holds only the first half of its
            lines; the others follow.
        rewrite: hours after which a member is changed: its first event has another property.
        repack: whether each request packs the same lines in another form: gzip level, time and file name,
            order of the members, and the numbers in their names.
        gzip_streams: how many gzip streams a member consists of.
        hourly_from: the first day whose files are by hour; before it a file holds a whole day, whatever hours
            are asked for, and its name has no hour.
        countries: where users are.
        sessions: whether users have sessions; without, averages are zeros.
        properties: user properties that dashboards can be grouped by; some projects have no country.
        week_begins: the first day of a week, 0 for Monday to 6 for Sunday.
        cut_buckets: whether the label of a week or month that a query cuts is its first day within the query.
        empty_tables: how dashboards answer a range without data. `days` has all days (or bins) and no series,
            `bare` has neither; None is as recorded: users with days, averages with zeros, lengths bare.
        cohort_files: how the file of a cohort's members is sent: `gzip` with its `Content-Encoding`,
            `unlabelled` gzip without it, or `plain`.
        cohort_status: the status word of a job that is not completed.
        downloads_compute: whether a download computes its cohort, as it seems to do live.
        event_type_in: where the list of event properties looks for an event type: `form`, `query`.

    `computed` and `edited` are the times, by id and in seconds since 1970, at which cohorts were
    computed and edited since the project began.
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
        late_hours: Mapping[str, int] | None = None,
        late_members: Mapping[tuple[str, int], int] | None = None,
        empty_hours: set[str] | None = None,
        grow: Mapping[tuple[str, int], int] | None = None,
        rewrite: Mapping[tuple[str, int], int] | None = None,
        repack: bool = False,
        gzip_streams: int = 1,
        hourly_from: str = "2014-11-12",
        countries: Sequence[str] = COUNTRIES,
        sessions: bool = True,
        properties: Sequence[str] = PROPERTIES,
        week_begins: int = 0,
        cut_buckets: bool = False,
        empty_tables: Literal["days", "bare"] | None = None,
        cohort_files: Literal["gzip", "unlabelled", "plain"] = "gzip",
        cohort_status: str = "JOB INPROGRESS",
        downloads_compute: bool = True,
        event_type_in: Sequence[Literal["form", "query"]] = ("form",),
    ) -> None:
        self.seed = seed
        self.start = datetime.fromisoformat(start.replace("Z", "+00:00"))
        self.events_per_hour = events_per_hour
        self.members_per_hour = members_per_hour
        self.timezone = pendulum.timezone(timezone)
        self.now = clock or utc_now
        self.late_hours = dict(late_hours or {})
        self.late_members = dict(late_members or {})
        self.empty_hours = set(empty_hours or ())
        self.grow = dict(grow or {})
        self.rewrite = dict(rewrite or {})
        self.repack = repack
        self.gzip_streams = gzip_streams
        self.hourly_from = date.fromisoformat(hourly_from)
        self.countries = tuple(countries)
        self.sessions = sessions
        self.properties = tuple(properties)
        self.week_begins = week_begins
        self.cut_buckets = cut_buckets
        self.empty_tables = empty_tables
        self.cohort_files = cohort_files
        self.cohort_status = cohort_status
        self.downloads_compute = downloads_compute
        self.computed: dict[str, int] = {}
        self.edited: dict[str, int] = {}
        self.event_type_in = tuple(event_type_in)
        self.app = 400_000 + seed
        self._packings = count(1)
        self._members = lru_cache(maxsize=2048)(self.members)

    # -- the export --------------------------------------------------------------------------------

    def events(self, hour: datetime) -> list[dict[str, Any]]:
        """All events uploaded in an hour, as the export spells them."""
        key = f"{hour:%Y%m%dT%H}"
        if hour < self.start or key in self.empty_hours:
            return []
        chance = random.Random(f"{self.seed} {key}")
        return [event(chance, self.app, hour) for _ in range(self.events_per_hour)]

    def members(self, hour: datetime) -> list[list[bytes]]:
        """The hour's members, each a list of lines, in no order of time."""
        lines = [_line(event) for event in self.events(hour)]
        chance = random.Random(f"{self.seed} order {hour:%Y%m%dT%H}")
        parts = (lines[n :: self.members_per_hour] for n in range(self.members_per_hour))
        return [chance.sample(part, len(part)) for part in parts if part]

    def archive(self, start: datetime, end: datetime, now: datetime) -> bytes | None:
        """The zip of the hours from `start` to `end`, the last included, that are exportable at `now`.

        None when there is none. It is built by each request: its members' time is a second before `now`.
        """
        packing = next(self._packings) if self.repack else 0
        files: dict[str, list[bytes]] = {}
        for hour in self._hours(start, end, now):
            named = f"{hour:%Y-%m-%d}" + ("" if hour.date() < self.hourly_from else f"_{hour.hour}")
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
            (name, gzip_member(lines, self.gzip_streams, **form)) for name, lines in files.items()
        ]
        # The documentation promises no order.
        random.Random(f"{self.seed} {start} {end}{packing or ''}").shuffle(members)
        return zip_archive(members, now - timedelta(seconds=1))

    def _hours(self, start: datetime, end: datetime, now: datetime) -> list[datetime]:
        """The hours of all files that a window touches: those of whole days, where files are by day."""
        if start.date() < self.hourly_from:
            start = start.replace(hour=0)
        if end.date() < self.hourly_from:
            end = end.replace(hour=23)
        # An hour is never exportable before it is over, so later ones need no look.
        start = max(start, self.start.replace(minute=0, second=0, microsecond=0))
        return [start + n * HOUR for n in range((min(end, now) - start) // HOUR + 1)]

    def _exportable(self, hour: datetime, number: int, now: datetime) -> list[bytes]:
        """What a member holds at `now`; nothing while it is not exportable."""
        key = f"{hour:%Y%m%dT%H}"
        late = self.late_hours.get(key, 0) + self.late_members.get((key, number), 0)
        age = now - hour - SETTLED - late * HOUR
        lines = self._members(hour)[number]
        if age < timedelta(0):
            return []
        if age < self.grow.get((key, number), 0) * HOUR:
            return lines[: (len(lines) + 1) // 2]
        if (key, number) in self.rewrite and age >= self.rewrite[key, number] * HOUR:
            changed = json.loads(lines[0])
            changed["user_properties"]["rewritten"] = True
            return [_line(changed), *lines[1:]]
        return lines

    # -- the dashboards ----------------------------------------------------------------------------

    def statistics(self, day: date, group: str = "country") -> dict[str, int]:
        """The final number of active users of a day, by country; who was in two counts in both."""
        if group != "country":
            users = self.active_users(day)
            return {f"{group} 1": users // 2, f"{group} 2": users // 3, "(none)": users // 7}
        chance = random.Random(f"{self.seed} users {day}")
        return {country: chance.randrange(10, 200) for country in self.countries}

    def active_users(self, day: date) -> int:
        """The final number of active users of a day: fewer than those of its countries together."""
        in_two = random.Random(f"{self.seed} travel {day}").randrange(1, 9)
        return sum(self.statistics(day).values()) - in_two

    def bucket(self, day: date, interval: str) -> date:
        """The first day of a day's bucket: itself, its week or its month."""
        if interval == "1":
            return day
        if interval == "30":
            return day.replace(day=1)
        return day - timedelta(days=(day.weekday() - self.week_begins) % 7)

    def session_length(self, day: date) -> float:
        """The final average session length of a day, in seconds."""
        if not self.sessions:
            return 0
        return round(random.Random(f"{self.seed} length {day}").uniform(100, 900), 1)

    def sessions_per_user(self, day: date) -> float:
        """The final average number of sessions of a user on a day."""
        if not self.sessions:
            return 0
        return round(random.Random(f"{self.seed} peruser {day}").uniform(1.2, 4), 2)

    def completeness(self, day: date) -> float:
        """The share of a day's final figure that shows by now; 0 until the day begins."""
        begins, ends = self._midnight(day), self._midnight(day + timedelta(days=1))
        age = self.now() - begins
        if age < timedelta(0) or not self.has_data(day):
            return 0.0
        return min(
            INITIAL_SHARE + (1 - INITIAL_SHARE) * (age / (ends + FIGURES_SETTLE_AFTER - begins)),
            1.0,
        )

    def reported(self, day: date, final: float, step: float = 1) -> float:
        """A figure as it shows by now, in whole steps: below the final one until all events are in."""
        completeness = self.completeness(day)
        if completeness == 1:
            return final
        return max(0.0, min(final * completeness // step, final // step - 1) * step)

    def has_data(self, day: date) -> bool:
        """Whether the project existed on a day."""
        return day >= self.start.astimezone(self.timezone).date()

    def has_sessions(self, day: date) -> bool:
        """Whether there were sessions on a day."""
        return self.sessions and self.has_data(day)

    def _midnight(self, day: date) -> datetime:
        # In UTC: the difference of two times of one zone forgets that its clocks are moved.
        local = datetime(day.year, day.month, day.day, tzinfo=self.timezone)
        return local.astimezone(timezone.utc)


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
