"""The data of an emulated project: a pure function of its seed and of time, without HTTP."""

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import pendulum

from emulator.event import event

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=3)
"""An hour is exportable this long after it began (apis/analytics/export, "Considerations")."""
FIGURES_SETTLE_AFTER = timedelta(days=2)
"""How long after its end a day's figures still grow, because events arrive late."""
INITIAL_SHARE = 0.6
"""The share of a day's final figure that shows when the day begins."""

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
        self.app = 400_000 + seed
        self._packed = lru_cache(maxsize=2048)(self._pack)
        self._zipped = lru_cache(maxsize=32)(self._zip)

    # -- the export --------------------------------------------------------------------------------

    def events(self, hour: datetime) -> list[dict[str, Any]]:
        """All events uploaded in an hour, as the export spells them."""
        key = f"{hour:%Y%m%dT%H}"
        if hour < self.start or key in self.empty_hours:
            return []
        chance = random.Random(f"{self.seed} {key}")
        return [event(chance, self.app, hour) for _ in range(self.events_per_hour)]

    def members(self, hour: datetime) -> dict[str, list[bytes]]:
        """The hour's members by name, each a list of lines."""
        lines = [
            json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            for event in self.events(hour)
        ]
        return {
            f"{self.app}/{self.app}_{hour:%Y-%m-%d}_{hour.hour}#{number}.json.gz": part
            for number in range(self.members_per_hour)
            if (part := lines[number :: self.members_per_hour])
        }

    def archive(self, start: datetime, end: datetime, now: datetime) -> bytes | None:
        """The zip of the hours from `start` to `end`, the last included, that are exportable at `now`.

        None when there is none.
        """
        ready = []
        # An hour is never exportable before it is over, so later ones need no look.
        hour = max(start, self.start.replace(minute=0, second=0, microsecond=0))
        while hour <= min(end, now):
            key = f"{hour:%Y%m%dT%H}"
            due = hour + SETTLED + self.late_hours.get(key, 0) * HOUR
            for number in range(self.members_per_hour):
                if due + self.late_members.get((key, number), 0) * HOUR <= now:
                    ready.append((hour, number))
            hour += HOUR
        return self._zipped(start, end, tuple(ready))

    def _zip(
        self, start: datetime, end: datetime, ready: tuple[tuple[datetime, int], ...]
    ) -> bytes | None:
        members = []
        for hour, number in ready:
            packed = list(self._packed(hour).items())
            members += packed[number : number + 1]
        if not members:
            return None
        # The documentation promises no order.
        random.Random(f"{self.seed} {start} {end}").shuffle(members)
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name), data)
        return body.getvalue()

    def _pack(self, hour: datetime) -> dict[str, bytes]:
        chance = random.Random(f"{self.seed} order {hour:%Y%m%dT%H}")
        packed = {}
        for name, lines in self.members(hour).items():
            shuffled = chance.sample(lines, len(lines))
            packed[name] = gzip.compress(b"".join(line + b"\n" for line in shuffled), mtime=0)
        return packed

    # -- the dashboards ----------------------------------------------------------------------------

    def statistics(self, day: date) -> dict[str, int]:
        """The final number of active users of a day, by country."""
        chance = random.Random(f"{self.seed} users {day}")
        return {country: chance.randrange(10, 200) for country in COUNTRIES}

    def session_length(self, day: date) -> float:
        """The final average session length of a day, in seconds."""
        return round(random.Random(f"{self.seed} length {day}").uniform(100, 900), 1)

    def sessions_per_user(self, day: date) -> float:
        """The final average number of sessions of a user on a day."""
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

    def _midnight(self, day: date) -> datetime:
        # In UTC: the difference of two times of one zone forgets that its clocks are moved.
        local = datetime(day.year, day.month, day.day, tzinfo=self.timezone)
        return local.astimezone(timezone.utc)
