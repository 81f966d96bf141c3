"""The ledger: which hours and files have been emitted."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from source_amplitude.extensions.export.windows import (
    BEGINNING_OF_TIME,
    NO_END,
    Window,
    format_hour,
    merge,
    parse_hour,
    subtract,
)
from source_amplitude.extensions.times import HOUR

LOGGER = logging.getLogger("airbyte")

NO_HOUR = " other"
"""Suffix of a key for files whose names contain no hour."""

LEDGER_MEMBERS = 20_000
"""Files that a state remembers at most, about 25 bytes each."""


class Emitted(NamedTuple):
    """The first `length` bytes of a member, whose checksum is `crc32`, have been emitted.

    If an end date falls within the member's hours, only the events uploaded before it were emitted.
    """

    length: int
    crc32: int
    uploaded_before: str = NO_END


Entries = list[tuple[str, Emitted]]
"""Entries of the ledger, each with its key."""


class ExportLedger:
    """Which hours of the export have been emitted, and what of the members of its latest hours.

    It is kept in the stream's state under `export`:

        first_hour: the hour at which the first sync began
        windows_read: windows emitted in full, [first hour, hour after the last]
        members_from: the hour from which `members` is complete
        lookback_hours: the look-back of that sync
        members: by hour, or by day for daily files, the [length, crc32] of what was emitted of
            each member, and the end date that cut it, where one did: of the look-back, and of
            hours that were not read to their end

    All hours are UTC. Each sync requests the look-back again, and what is in the ledger is not
    emitted again. A state without `export` is another connector's: its look-back is read again,
    once. Memory: that of the state; at most `LEDGER_MEMBERS` members, and one.

    Several threads may call `unread`, but only one at a time may change the ledger.
    """

    def __init__(
        self, state: Mapping[str, Any], hour: datetime, start: datetime, end: str, lookback: int
    ) -> None:
        """Continue from `state`, or from `hour` if the state is empty.

        Nothing before `start` is read, and no event uploaded from `end` on; `lookback` is in hours.
        """
        self.start = start
        self._lookback = lookback
        self._first_hour = parse_hour(state["first_hour"]) if state else start
        windows = [Window(parse_hour(a), parse_hour(b)) for a, b in state.get("windows_read", [])]
        self._windows_read = merge(windows if state else [Window(start, hour)])
        self.members = {
            key: [Emitted(int(length), int(crc), *until) for length, crc, *until in entries]
            for key, entries in state.get("members", {}).items()
        }
        self.size = sum(map(len, self.members.values()))
        self._members_from = parse_hour(state["members_from"]) if state else self._lookback_start()
        if start < self._first_hour:
            LOGGER.warning(
                f"The start date was moved from {format_hour(self._first_hour)} back to"
                f" {format_hour(start)}, but a stream that has a state does not read the hours"
                " between: clear the stream events, or read them with a second connection that"
                " ends where this one starts."
            )
        self._raise_lookback(int(state.get("lookback_hours", lookback)))
        # If the end date has moved, the hour that it cut must be read again.
        cut = [
            window_of_key(key)
            for key, entries in self.members.items()
            if any(entry.uploaded_before < end for entry in entries)
        ]
        # What this sync cannot read stays read: a start date may be moved there and back.
        begin = max(start, self._lookback_start(), self._members_from)
        again = [
            Window(begin, self._newest_end()),
            *(Window(max(start, w.start), w.end) for w in cut),
        ]
        self._windows_read = subtract(self._windows_read, merge(again))

    def _raise_lookback(self, before: int) -> None:
        """Read a longer look-back once without entries, since those of its older hours were dropped."""
        begin = max(self.start, self._first_hour, self._lookback_start())
        if self._lookback > before and begin < self._members_from:
            LOGGER.warning(
                f"`lookback_hours` was raised from {before} to {self._lookback}: the hours (UTC) from"
                f" {format_hour(begin)} to before {format_hour(self._members_from)} are read again once, and"
                " their events are emitted again, since the state remembers the files of the shorter"
                " look-back alone."
            )
            self._members_from = begin

    @property
    def end(self) -> datetime:
        """The hour before which everything has been emitted."""
        end = max(self.start, self._first_hour)
        for window in self._windows_read:
            if window.start <= end:
                end = max(end, window.end)
        return end

    def unread(self, window: Window, hours: int) -> list[Window]:
        """Return what is still to be read of a window, in windows of at most `hours` hours."""
        return [
            piece for part in subtract([window], self._windows_read) for piece in part.pieces(hours)
        ]

    def note(self, key: str, entries: Entries, new: Emitted) -> None:
        """Replace the entries of a member by what has been emitted of it now."""
        kept = [
            e
            for _, e in entries
            if e.length > new.length or e.uploaded_before > new.uploaded_before
        ]
        if not any(
            e.length >= new.length and e.uploaded_before >= new.uploaded_before for e in kept
        ):
            kept.append(new)
        self.forget(entries)
        for entry in kept:
            self.add(key, entry)
        entries[:] = [(key, entry) for entry in kept]

    def add(self, key: str, entry: Emitted) -> None:
        """Note what has been emitted of a member."""
        members = self.members.setdefault(key, [])
        # Keep one entry more than the limit, so that `_prune` sees the overflow and drops the hour.
        if len(members) <= LEDGER_MEMBERS:
            members.append(entry)
            self.size += 1
        if self.size > LEDGER_MEMBERS:
            self._prune(kept=key)

    def forget(self, entries: Entries) -> None:
        """Drop entries of a member that are no longer true."""
        for key, entry in entries:
            if entry in self.members.get(key, ()):
                self.members[key].remove(entry)
                self.size -= 1

    def note_window(self, window: Window) -> None:
        """Note a window whose last event has been emitted."""
        self._windows_read = merge([*self._windows_read, window])
        self._prune()

    def _newest_end(self) -> datetime:
        """Return the end of the newest hour that has been read."""
        return max((window.end for window in self._windows_read), default=self.start)

    def _lookback_start(self) -> datetime:
        """Return the hour from which a sync reads again."""
        return self._newest_end() - self._lookback * HOUR

    def _prune(self, kept: str = "") -> None:
        """Drop the members of hours that no sync requests again, and the oldest where there are too many.

        Those under the key `kept`, which are being read, stay.
        """
        self._members_from = max(self._members_from, self._lookback_start())
        never_read = Window(BEGINNING_OF_TIME, self._first_hour)
        for key in sorted(self.members.keys() - {kept}):
            window = window_of_key(key)
            unread = bool(subtract([window], [*self._windows_read, never_read]))
            cut = any(entry.uploaded_before < NO_END for entry in self.members[key])
            needed = unread or cut or window.end > self._members_from
            if needed and self.size <= LEDGER_MEMBERS:
                continue
            if unread or cut:
                LOGGER.warning(
                    f"The events of {key} that have been emitted are emitted again when that hour can be read"
                    f" to its end: the state remembers {LEDGER_MEMBERS:,} files, and the export has more."
                )
            elif needed:
                LOGGER.warning(
                    f"The look-back of events now starts after {key}: the export has too many"
                    f" files for a state that remembers {LEDGER_MEMBERS:,}."
                )
                self._members_from = window.end
            self.size -= len(self.members.pop(key))

    @property
    def state(self) -> dict[str, Any]:
        """The ledger as a state has it; a new object each time."""
        return {
            "first_hour": format_hour(self._first_hour),
            "windows_read": [
                [format_hour(w.start), format_hour(w.end)] for w in self._windows_read
            ],
            "members_from": format_hour(self._members_from),
            "lookback_hours": self._lookback,
            "members": {
                key: [list(e if e.uploaded_before != NO_END else e[:2]) for e in entries]
                for key, entries in sorted(self.members.items())
                if entries
            },
        }


def window_of_key(key: str) -> Window:
    """Return the hours of a key of the ledger: an hour (`20240131T05`), or a day (`20141101`)."""
    if len(key) == len("20141101"):
        start = parse_hour(f"{key}T00")
        return Window(start, start + 24 * HOUR)
    start = parse_hour(key.removesuffix(NO_HOUR))
    return Window(start, start + HOUR)
