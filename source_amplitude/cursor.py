"""Which hours of the export have been read, and which members of its latest hours."""

import hashlib
import logging
import threading
import zipfile
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from airbyte_cdk.sources.streams.concurrent.cursor import Cursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record, StreamSlice

from source_amplitude.components import rfc3339

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=3)
"""An hour can be exported in full once this much time has passed since it began."""
LEDGER_MEMBERS = 20_000
"""Members that a state remembers at most, 12 bytes each."""

FORMAT = "%Y%m%dT%H"
BEGINNING = datetime(1, 1, 1, tzinfo=timezone.utc)

Window = tuple[datetime, datetime]
"""Hours from the first up to, not including, the second; UTC."""

LOGGER = logging.getLogger("airbyte")


def whole_hour(text: str) -> datetime:
    """The hour (UTC) of a state's value, in any form that a version of Airbyte's connector has saved."""
    if len(text) == len("20240101T20"):
        moment = datetime.strptime(text, FORMAT).replace(tzinfo=timezone.utc)
    else:
        moment = datetime.fromisoformat(rfc3339(text))
    return moment.replace(minute=0, second=0, microsecond=0)


def fingerprint(member: zipfile.ZipInfo) -> str:
    """What tells a member from any other, from the zip's directory alone."""
    identity = f"{member.filename}\0{member.CRC}\0{member.file_size}"
    return hashlib.blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def hour_of(member: zipfile.ZipInfo, window: Window) -> datetime:
    """The hour that a member's name speaks of, or the window's last when it speaks of none."""
    stem = member.filename.rpartition("/")[2].partition("#")[0]
    try:
        day, hour = stem.rsplit("_", 2)[-2:]
        moment = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc) + int(hour) * HOUR
    except ValueError:
        moment = window[1] - HOUR
    # Never earlier than the window: what is forgotten too soon is read again.
    return min(max(moment, window[0]), window[1] - HOUR)


class ExportCursor(Cursor):
    """Turn what was read of the export into state, and state into the windows still to read.

    The state is what a window says, not what its rows say, so that empty windows count as read:

        server_upload_time: all events uploaded before this hour have been emitted
        read: windows after that hour that have been emitted too (one failed, or a later one was faster)
        members: by hour, fingerprints of the members emitted: of the look-back, and of unfinished windows
        members_since: hour from which `members` is complete
        since: hour at which the first sync began
        cut: the end date, where it cuts an hour in two: that hour's events from then on are still to come

    Each sync asks for `lookback` before the newest hour again; members in the state are not read twice.
    A state without `members_since` is another connector's: its look-back is read again, once.
    All methods may be called from several threads. Memory: the state's size.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        *,
        start: datetime,
        end: datetime,
        window: timedelta,
        lookback: timedelta,
        emit: Callable[[MutableMapping[str, Any]], None],
        cut: str = "",
    ) -> None:
        """Start from `state` (empty at first) and read the hours from `start` up to, not including, `end`.

        `cut` is the moment in the last hour, in the export's own form, from which on nothing is emitted.
        """
        self._lock = threading.Lock()
        self._end = end
        self._window = window
        self._lookback = lookback
        self._emit = emit
        settled = (datetime.now(timezone.utc) - SETTLED).replace(
            minute=0, second=0, microsecond=0
        ) + HOUR
        self._since = start
        self._members: dict[datetime, list[str]] = {}
        self._members_since = start
        self._cut = cut
        self._resumed = ""
        self._resumed_members: set[str] = set()
        value = state.get("server_upload_time")
        if not value:
            self._read: list[Window] = [(BEGINNING, start)]
            self._known: set[str] = set()
            return
        # An hour that is not complete yet cannot have been read, whatever a state says.
        done = min(whole_hour(value), settled)
        windows = [(whole_hour(a), min(whole_hour(b), settled)) for a, b in state.get("read", [])]
        self._read = _joined([(BEGINNING, done), *windows])
        self._members = {whole_hour(k): list(v) for k, v in state.get("members", {}).items()}
        self._known = {member for members in self._members.values() for member in members}
        newest = self._read[-1][1]
        again = newest - lookback
        self._members_since = again
        if "members_since" in state:
            self._members_since = whole_hour(state["members_since"])
            again = max(again, self._members_since)
        if "since" in state:
            self._since = whole_hour(state["since"])
            if start < self._since:
                LOGGER.warning(
                    f"The start date was moved from {self._since:{FORMAT}} back to {start:{FORMAT}}, but"
                    " the hours between are not read by a stream that has a state: clear the stream"
                    " events, or read them with a second connection that has this end date."
                )
        self._read = _without(self._read, (again, newest))
        saved = state.get("cut", "")
        if saved and saved != cut:
            # The end date has been moved: the rest of its hour has not been read.
            hour = whole_hour(saved)
            self._resumed, self._resumed_members = saved, set(self._members.get(hour, ()))
            if cut and whole_hour(cut) == hour:
                self._cut = max(cut, saved)
            self._known -= self._resumed_members
            self._read = _without(self._read, (hour, hour + HOUR))
        # A start date moved later leaves out what lies before it.
        self._read = _joined([*self._read, (BEGINNING, start)])

    def windows(self) -> Iterator[Window]:
        """Yield what is still to read, oldest first, no window wider than the window of a request."""
        with self._lock:
            read = [*self._read, (self._end, self._end)]
        for (_, first), (last, _) in pairwise(read):
            last = min(last, self._end)
            while first < last:
                yield first, min(first + self._window, last)
                first += self._window

    def is_new(self, member: zipfile.ZipInfo) -> bool:
        """Whether a member has not been emitted yet, as far as the state remembers."""
        with self._lock:
            return fingerprint(member) not in self._known

    def emitted_before(self, member: zipfile.ZipInfo) -> str:
        """The moment before which a member's events have been emitted; nothing for one that is new."""
        return self._resumed if fingerprint(member) in self._resumed_members else ""

    def member_read(self, member: zipfile.ZipInfo, window: Window) -> None:
        """Remember a member whose last line has been emitted."""
        with self._lock:
            self._known.add(name := fingerprint(member))
            if name not in self._resumed_members:
                insort(self._members.setdefault(hour_of(member, window), []), name)

    def window_read(self, window: Window) -> None:
        """Remember a window whose last event has been emitted."""
        with self._lock:
            self._read = _joined([*self._read, window])
            self._prune()

    def _prune(self) -> None:
        """Forget the members of hours that no sync will ask for again."""
        self._members_since = max(self._members_since, self._read[-1][1] - self._lookback)
        for hour in sorted(self._members):
            size = sum(map(len, self._members.values()))
            over = size > LEDGER_MEMBERS
            if hour == self._cut_hour():
                continue
            if hour < self._members_since and _covers(self._read, hour):
                del self._members[hour]
            elif over and _covers(self._read, hour):
                LOGGER.warning(
                    f"The look-back now starts after {hour:{FORMAT}}: the export has too many members."
                )
                del self._members[hour]
                self._members_since = hour + HOUR

    def _cut_hour(self) -> datetime | None:
        return whole_hour(self._cut) if self._cut else None

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The state as it can be saved now."""
        with self._lock:
            return self._state()

    def _state(self) -> MutableMapping[str, Any]:
        state: dict[str, Any] = {
            "server_upload_time": f"{self._read[0][1]:{FORMAT}}",
            "since": f"{self._since:{FORMAT}}",
            "members_since": f"{self._members_since:{FORMAT}}",
            "members": {
                f"{hour:{FORMAT}}": list(names) for hour, names in sorted(self._members.items())
            },
        }
        if self._resumed and not _covers(self._read, whole_hour(self._resumed)):
            state["cut"] = self._resumed
        elif self._cut and _covers(self._read, whole_hour(self._cut)):
            state["cut"] = self._cut
        if len(self._read) > 1:
            state["read"] = [[f"{a:{FORMAT}}", f"{b:{FORMAT}}"] for a, b in self._read[1:]]
        return state

    def stream_slices(self) -> Iterable[StreamSlice]:
        """Yield the windows as the requests name them: first and last hour, both included."""
        for first, last in self.windows():
            yield stream_slice((first, last))

    def observe(self, record: Record) -> None:
        """Do nothing: rows say less than windows."""

    def close_partition(self, partition: Partition) -> None:
        """Do nothing: a partition is closed part by part, where its events are emitted."""

    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit the state as it is, at a sync's end."""
        with self._lock:
            self._emit(self._state())

    def should_be_synced(self, record: Record) -> bool:
        """Let every record through."""
        return True


def stream_slice(window: Window) -> StreamSlice:
    """A window in the form of a request."""
    first, last = window[0], window[1] - HOUR
    return StreamSlice(
        partition={},
        cursor_slice={"start_time": f"{first:{FORMAT}}", "end_time": f"{last:{FORMAT}}"},
    )


def _joined(windows: Iterable[Window]) -> list[Window]:
    """The same hours in as few windows as possible, oldest first."""
    joined: list[Window] = []
    for first, last in sorted(windows):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        elif first < last:
            joined.append((first, last))
    return joined


def _without(windows: Iterable[Window], hole: Window) -> list[Window]:
    """The windows less the hours of `hole`."""
    rest = []
    for first, last in windows:
        rest += [(first, min(last, hole[0])), (max(first, hole[1]), last)]
    return [window for window in rest if window[0] < window[1]]


def _covers(windows: Iterable[Window], hour: datetime) -> bool:
    return any(first <= hour < last for first, last in windows)
