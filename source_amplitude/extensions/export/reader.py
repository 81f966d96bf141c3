"""Which lines of an archive are new: those that the ledger does not have become events."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from source_amplitude.extensions.export.errors import BadLineError, Failures, NotJsonError
from source_amplitude.extensions.export.events import is_wanted, parse_event
from source_amplitude.extensions.export.inflate import crc32
from source_amplitude.extensions.export.json import has_long_number
from source_amplitude.extensions.export.ledger import (
    NO_HOUR,
    Emitted,
    Entries,
    ExportLedger,
    window_of_key,
)
from source_amplitude.extensions.export.matching import match_members
from source_amplitude.extensions.export.member import Block, Member
from source_amplitude.extensions.export.windows import NO_END, Window, format_hour
from source_amplitude.extensions.times import HOUR

LOGGER = logging.getLogger("airbyte")


class EventBlock(NamedTuple):
    """Events of a member that are new, and the bytes of lines that they come from."""

    events: list[dict[str, Any]]
    size: int


class Bounds(NamedTuple):
    """Times of upload, RFC 3339: from `lower` to before `upper`; "" and `NO_END` where nothing is cut."""

    lower: str
    upper: str


class ArchiveReader:
    """Yield the events of archives that have not been emitted, and note in the ledger those that have.

    Events count as emitted when the next block is requested. Whoever reads must have the turn.
    """

    def __init__(
        self,
        ledger: ExportLedger,
        name: str,
        bounds: Callable[[Window], Bounds],
        *,
        skip_bad_lines: bool,
    ) -> None:
        """Read for the stream `name`; `bounds` gives those of the events of a window."""
        self._ledger, self._name, self._bounds = ledger, name, bounds
        self._skip_bad_lines = skip_bad_lines

    def read(
        self,
        part: Window,
        members: Iterable[Member],
        complete: datetime,
        failures: Failures,
    ) -> Iterator[EventBlock]:
        """Yield the new events of the members of a window, oldest hour first.

        Hours that end after `complete` are left out. Bad lines are added to `failures`.
        """
        part = Window(part.start, min(part.end, complete))
        if part.start >= part.end:
            return
        hours, others = group(members, part, complete)
        failed = False
        for key, members in sorted(others.items()):
            failed |= yield from self._read_members(part, key, members, failures)
        unread_from = part.start
        for key, members in sorted(hours.items()):
            hour = window_of_key(key)
            if not failed:
                self._ledger.note_window(Window(unread_from, hour.start))
            unread_from = hour.start
            if (yield from self._read_members(part, key, members, failures)):
                unread_from = hour.end
        if not failed:
            self._ledger.note_window(Window(unread_from, part.end))

    def _read_members(
        self,
        part: Window,
        key: str,
        members: list[Member],
        failures: Failures,
    ) -> Generator[EventBlock, None, bool]:
        """Yield what is new in the members of an hour; return whether a bad line ended one."""
        matches, vanished = match_members(self._ledger, key, members)
        # A file that has lines which no entry covers may have those of a file that has vanished.
        changed = [
            member
            for member, entries in zip(members, matches, strict=True)
            if vanished and not any(entry.length >= member.length for _, entry in entries)
        ]
        failed, repeated = False, 0
        for member, entries in zip(members, matches, strict=True):
            try:
                count = yield from self._read_member(part, key, member, entries)
                repeated += count if member in changed else 0
            except BadLineError as error:
                failed = True
                failures.append((member.window or part, error))
        if changed:
            self._ledger.forget(vanished)
            LOGGER.warning(
                f"{self._name}: Amplitude has changed the export of {key} since it was read"
                f" ({len(changed)} of {len(members)} files, the first {changed[0].name!r}):"
                f" {repeated:,} events are emitted again."
            )
        return failed

    def _read_member(
        self,
        part: Window,
        key: str,
        member: Member,
        entries: Entries,
    ) -> Generator[EventBlock, None, int]:
        """Yield the events of a member that were not emitted; return their number.

        Raises:
            BadLineError: the member has been emitted up to this line.
        """
        bounds = self._bounds(member.window or part)
        if any(e.length >= member.length and e.uploaded_before >= bounds.upper for _, e in entries):
            return 0
        lines = _Lines(member.name, entries, bounds, self._skip_bad_lines)
        count = 0
        try:
            for block in member.blocks():
                before = lines.emitted.length
                if events := lines.parse(block):
                    count += len(events)
                    yield EventBlock(events, lines.emitted.length - before)
                self._ledger.note(key, entries, lines.emitted)
                if lines.failure:
                    raise lines.failure
        finally:
            for what, times in lines.repairs.items():
                LOGGER.warning(f"{self._name}: {times:,} {what}, in the file {member.name!r}.")
        return count


class _Lines:
    """Turn the blocks of a member into events, and count its lines and bytes.

    `emitted` is what the ledger notes once the events of the last block have been emitted, `failure` the
    bad line that ended the member, `repairs` what was changed in its lines.
    """

    def __init__(self, name: str, entries: Entries, bounds: Bounds, skip_bad_lines: bool) -> None:
        """Begin with the first line of a member, of which the `entries` have been emitted."""
        self._name, self._entries, self._bounds = name, entries, bounds
        self._skip_bad_lines = skip_bad_lines
        self._all_new = not (entries or bounds.lower) and bounds.upper == NO_END
        self._number = 0
        self.emitted = Emitted(0, 0, bounds.upper)
        self.failure: BadLineError | None = None
        self.repairs: Counter[str] = Counter()

    def parse(self, block: Block) -> list[dict[str, Any]]:
        """Return the new events of a block, up to the first bad line unless such lines are skipped."""
        position = self.emitted.length
        exact = block.data is not None and has_long_number(block.data)
        events: list[dict[str, Any]] = []
        for line in block.lines:
            self._number += 1
            try:
                if (event := self._parse_line(line, position, exact)) is not None:
                    events.append(event)
            except BadLineError as error:
                if not self._skip_bad_lines:
                    self._end_at(position, block)
                    place = f"Line {self._number:,} of the file {self._name!r}"
                    self.failure = BadLineError(f"{place} {error}")
                    self.failure.__cause__ = error
                    return events
                # A last line without an end may be written further: it is not counted, so that the next
                # sync reads it again.
                last = line is not None and position + len(line) == block.end
                if last and isinstance(error, NotJsonError):
                    self.repairs["unfinished last lines were left for the next sync"] += 1
                    self._end_at(position, block)
                    return events
                self.repairs["invalid lines were skipped"] += 1
            position += len(line or b"") + 1
        self.emitted = Emitted(block.end, block.crc32, self._bounds.upper)
        return events

    def _parse_line(self, line: bytes | None, position: int, exact: bool) -> dict[str, Any] | None:
        """Return the event of a line that begins at `position`, if it is new."""
        if line is None:
            raise BadLineError("is too long")
        if self._all_new:
            return parse_event(line, exact, self.repairs)
        # The events of a line that an end date cut were emitted up to that date.
        emitted_before = max(
            (e.uploaded_before for _, e in self._entries if e.length > position), default=""
        )
        if emitted_before == NO_END:
            return None
        event = parse_event(line, exact, self.repairs)
        lower, upper = self._bounds
        return (
            event if event is not None and is_wanted(event, lower, upper, emitted_before) else None
        )

    def _end_at(self, position: int, block: Block) -> None:
        """Count the member as emitted up to the line at `position`."""
        before = (block.data or b"")[: position - self.emitted.length]
        crc = crc32(before, self.emitted.crc32)
        self.emitted = Emitted(position, crc, self._bounds.upper)


def group(
    members: Iterable[Member], part: Window, complete: datetime
) -> tuple[dict[str, list[Member]], dict[str, list[Member]]]:
    """Return the members of a window by the ledger's keys: those of one hour, and all others.

    The others are daily files, and files of no hour or of an hour outside of the window, which the ledger
    keeps under the window's last hour. A file of an hour that is not complete is left out.
    """
    hours: defaultdict[str, list[Member]] = defaultdict(list)
    others: defaultdict[str, list[Member]] = defaultdict(list)
    # A file that the archive has twice is one file.
    distinct = {(member.name, member.length, member.crc32): member for member in members}
    for member in distinct.values():
        window = member.window
        if window is None or not (window.start < part.end and part.start < window.end):
            if window is not None and window.start >= complete:
                continue
            member.window = None
            others[f"{format_hour(part.end - HOUR)}{NO_HOUR}"].append(member)
        elif window.hours == 1:
            hours[format_hour(window.start)].append(member)
        else:
            others[f"{window.start:%Y%m%d}"].append(member)
    return hours, others
