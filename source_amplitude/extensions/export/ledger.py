"""The ledger: which hours and files have been emitted."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from source_amplitude.extensions.export.windows import (
    BEGINNING,
    FOREVER,
    Window,
    format_hour,
    merge,
    parse_hour,
    subtract,
)
from source_amplitude.extensions.times import HOUR

LOGGER = logging.getLogger("airbyte")

OTHER = " other"
"""What a ledger's key ends with where the names of its files tell no hour."""

LEDGER_MEMBERS = 20_000
"""Files that a state remembers at most, about 25 bytes each."""


class Emitted(NamedTuple):
    """The first `length` bytes of a member, whose checksum is `crc32`, have been emitted.

    Where an end date cuts the member's hours: only its events uploaded before `until` have.
    """

    length: int
    crc32: int
    until: str = FOREVER


class ExportLedger:
    """Which hours of the export have been emitted, and what of the members of its latest hours.

    It is kept in the stream's state under `export`:

        first_hour: the hour at which the first sync began
        windows_read: windows emitted in full, [first hour, hour after the last]
        members_from: the hour from which `members` is complete
        members: by hour, or by day for daily files, the [length, crc32] of what was emitted of
            each member, and the end date that cut it, where one did: of the look-back, and of
            hours that were not read to their end

    All hours are UTC. Each sync asks for the look-back again, and what is in the ledger is not
    emitted again. A state without `export` is another connector's: its look-back is read again,
    once. Memory: that of the state; at most `LEDGER_MEMBERS` members of hours that are read.

    Several threads may call `unread`; whoever changes the ledger must be alone in doing so.
    """

    def __init__(
        self, state: Mapping[str, Any], hour: datetime, start: datetime, until: str, lookback: int
    ) -> None:
        """Go on from `state`, or from `hour` where it is empty.

        Nothing before `start` is read, and of the events nothing from `until` on; `lookback` is
        a number of hours.
        """
        self._start = start
        self._lookback = lookback * HOUR
        self._first_hour = parse_hour(state["first_hour"]) if state else start
        windows = [Window(parse_hour(a), parse_hour(b)) for a, b in state.get("windows_read", [])]
        self._read = merge(windows if state else [Window(start, hour)])
        self.members = {
            key: [Emitted(int(length), int(crc), *until) for length, crc, *until in entries]
            for key, entries in state.get("members", {}).items()
        }
        self._members_from = parse_hour(state["members_from"]) if state else self._again_from()
        if start < self._first_hour:
            LOGGER.warning(
                f"The start date was moved from {format_hour(self._first_hour)} back to"
                f" {format_hour(start)}, but a stream that has a state does not read the hours"
                " between: clear the stream events, or read them with a second connection that"
                " ends where this one starts."
            )
        # An hour that an end date cut has more to give when that date has moved.
        hours = {key: window_of_key(key) for key in self.members}
        cut = [hours[k] for k, each in self.members.items() if any(e.until < until for e in each)]
        again = Window(max(self._again_from(), self._members_from), self._newest())
        self._read = subtract(self._read, [again, *cut] if again.start < again.end else cut)

    @property
    def end(self) -> datetime:
        """The hour before which everything has been emitted."""
        end = max(self._start, self._first_hour)
        for window in self._read:
            if window.start <= end:
                end = max(end, window.end)
        return end

    def unread(self, window: Window, hours: int) -> list[Window]:
        """What is still to be read of a window, in windows of at most `hours` hours."""
        return [piece for part in subtract([window], self._read) for piece in part.pieces(hours)]

    def emit(self, key: str, old: list[tuple[str, Emitted]], new: Emitted) -> None:
        """Replace what was emitted of a member, in `old`, by what has been emitted now."""
        entries = [entry for _, entry in old]
        kept = [e for e in entries if e.length > new.length or e.until > new.until]
        if not any(e.length >= new.length and e.until >= new.until for e in kept):
            kept.append(new)
        self.forget(old)
        members = self.members.setdefault(key, [])
        # One more than a state remembers: then the hour is forgotten, and not asked for again.
        if len(members) <= LEDGER_MEMBERS:
            members += kept
        old[:] = [(key, entry) for entry in kept]

    def forget(self, entries: Iterable[tuple[str, Emitted]]) -> None:
        """Forget what is no longer true of a member."""
        for key, entry in entries:
            if entry in self.members.get(key, ()):
                self.members[key].remove(entry)

    def read(self, window: Window) -> None:
        """Note a window whose last event has been emitted."""
        self._read = merge([*self._read, window])
        self._prune()

    def _newest(self) -> datetime:
        return max([self._start, *(window.end for window in self._read)])

    def _again_from(self) -> datetime:
        return self._newest() - self._lookback

    def _prune(self) -> None:
        """Forget the members of hours that no sync asks for again."""
        self._members_from = max(self._members_from, self._again_from())
        size = self.size
        for key in sorted(self.members):
            window = window_of_key(key)
            unread = subtract([window], [*self._read, Window(BEGINNING, self._start)])
            if unread or any(entry.until < FOREVER for entry in self.members[key]):
                continue
            if window.end > self._members_from:
                if size <= LEDGER_MEMBERS:
                    continue
                LOGGER.warning(
                    f"The look-back of events now starts after {key}: the export has too many"
                    f" files for a state that remembers {LEDGER_MEMBERS:,}."
                )
                self._members_from = window.end
            size -= len(self.members.pop(key))

    @property
    def size(self) -> int:
        """The number of members that the state remembers."""
        return sum(map(len, self.members.values()))

    @property
    def state(self) -> dict[str, Any]:
        """The ledger as a state has it; a new object each time."""
        return {
            "first_hour": format_hour(self._first_hour),
            "windows_read": [[format_hour(w.start), format_hour(w.end)] for w in self._read],
            "members_from": format_hour(self._members_from),
            "members": {
                key: [list(e if e.until != FOREVER else e[:2]) for e in entries]
                for key, entries in sorted(self.members.items())
                if entries
            },
        }


def window_of_key(key: str) -> Window:
    """The hours of a key of the ledger: an hour (`20240131T05`), or a day (`20141101`)."""
    if len(key) == len("20141101"):
        start = parse_hour(f"{key}T00")
        return Window(start, start + 24 * HOUR)
    start = parse_hour(key.removesuffix(OTHER))
    return Window(start, start + HOUR)
