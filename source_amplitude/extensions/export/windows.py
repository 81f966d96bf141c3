"""Windows of hours, UTC."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.times import HOUR, rfc3339

HOUR_FORMAT = "%Y%m%dT%H"
BEGINNING_OF_TIME = datetime(1, 1, 1, tzinfo=timezone.utc)
NO_END = "9999"
"""A bound that no moment reaches."""
EXPORT_DELAY = timedelta(hours=3)
"""An hour can be exported in full once this much time has passed since it began."""


class Window(NamedTuple):
    """Whole hours, UTC, from `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    @property
    def hours(self) -> int:
        """The number of hours."""
        return (self.end - self.start) // HOUR

    def pieces(self, hours: int) -> Iterator["Window"]:
        """Cut into windows of at most `hours` hours."""
        start = self.start
        while start < self.end:
            yield Window(start, min(start + hours * HOUR, self.end))
            start += hours * HOUR

    def cuts(self, moment: str) -> bool:
        """Whether a moment (RFC 3339, UTC, six decimals) falls inside the window and so splits it."""
        start, end = (bound.isoformat(timespec="microseconds") for bound in self)
        return start < moment < end

    def as_slice(self) -> StreamSlice:
        """Return the form of a request: first and last hour, both included."""
        bounds = {"start_time": format_hour(self.start), "end_time": format_hour(self.end - HOUR)}
        return StreamSlice(partition={}, cursor_slice=bounds)

    def __str__(self) -> str:
        """The first and the last hour."""
        return f"{format_hour(self.start)} to {format_hour(self.end - HOUR)}"


def parse_hour(text: str) -> datetime:
    """Turn a moment in any form that a state has had into its hour, UTC.

    Raises:
        ValueError: the text is not a moment.
    """
    if re.fullmatch(r"\d{8}T\d{2}", text):
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=timezone.utc)
    return floor_hour(datetime.strptime(rfc3339(text), "%Y-%m-%dT%H:%M:%S.%f%z"))


def format_hour(hour: datetime) -> str:
    """Write an hour as the Export API and the state have it: `20240131T05`."""
    return f"{hour:{HOUR_FORMAT}}"


def floor_hour(moment: datetime) -> datetime:
    """Return the hour that a moment lies in, UTC."""
    return moment.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)


def merge(windows: Iterable[Window]) -> list[Window]:
    """Return the same hours in as few windows as possible, oldest first."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, end))
        elif start < end:
            merged.append(Window(start, end))
    return merged


def subtract(windows: Iterable[Window], others: Iterable[Window]) -> list[Window]:
    """Return the hours of `windows` that are in none of `others`, oldest first."""
    rest = merge(windows)
    for start, end in others:
        parts = [
            (Window(w.start, min(w.end, start)), Window(max(w.start, end), w.end)) for w in rest
        ]
        rest = [part for pair in parts for part in pair if part.start < part.end]
    return rest


def complete_until(now: datetime) -> datetime:
    """Return the end of the newest hour that can be exported in full."""
    return floor_hour(now - EXPORT_DELAY) + HOUR


def end_of_uploads(config: Mapping[str, Any]) -> str:
    """Return the end date, before which events must be uploaded, as RFC 3339; `NO_END` without one."""
    return str(rfc3339(config.get("end_date") or NO_END))
