"""The events of the export, each once."""

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import requests
from airbyte_cdk.models import (
    AirbyteLogMessage,
    AirbyteMessage,
    AirbyteRecordMessage,
    FailureType,
    Level,
)
from airbyte_cdk.models import Type as MessageType
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.http_logger import format_http_message
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import UnreadableStateError
from source_amplitude.extensions.export.archive import ArchiveMember, ExportArchive, count_members
from source_amplitude.extensions.export.backlog import Backlog
from source_amplitude.extensions.export.decoder import ExportDecoder
from source_amplitude.extensions.export.disk import DiskSpace
from source_amplitude.extensions.export.errors import (
    BadLineError,
    DamagedArchiveError,
    NoArchiveError,
    RestartError,
    TooLargeError,
)
from source_amplitude.extensions.export.events import is_wanted, parse_event
from source_amplitude.extensions.export.inflate import crc32
from source_amplitude.extensions.export.json import has_long_number
from source_amplitude.extensions.export.ledger import OTHER, Emitted, ExportLedger, window_of_key
from source_amplitude.extensions.export.windows import (
    FOREVER,
    Window,
    complete_until,
    format_hour,
    parse_hour,
    until_of,
)
from source_amplitude.extensions.responses import date_of
from source_amplitude.extensions.times import BEGINNING_OF_DATA, HOUR, rfc3339

LOGGER = logging.getLogger("airbyte")

MAX_MEMBERS = 10_000
"""Files of one export, over which a smaller window is asked for: about 7 MB of memory."""

MAX_MEMBERS_OF_AN_HOUR = 200_000

DOWNLOAD_ATTEMPTS = 3
"""How often a window is downloaded whose archive arrives damaged, before it is split."""

ANSWER_ATTEMPTS = 5
"""How often a window is asked for where the response of 200 is no archive."""

FAILED_WINDOWS = 5
"""Windows that fail one after another, after which a stream asks for no more."""

STATE_EVENTS = 5_000

STATE_BYTES = 10_000_000

CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass
class ExportRetriever(Retriever):
    """Read windows of the export, and emit each event once.

    A slice is cut into windows of `request_time_range` hours. A window is downloaded to disk and
    verified whole; then, one window at a time, its events are emitted that the ledger does not
    know. A window that is too large is halved, and the width that worked is kept; one whose
    archive is damaged is halved by itself. What failed stays unread in the state, and the rest is
    read.

    The stream's state is the ledger, under `export`; `server_upload_time` is the hour before
    which all events have been emitted. A state covers exactly the events before it. At most
    `STATE_EVENTS` events or `STATE_BYTES` bytes lie between two states, unless states would then
    be more than a tenth of what is written.

    Memory: a few chunks, the longest line several times, and the lists of members.
    Disk: `max_bytes_on_disk`, 4 GiB, in `TMPDIR`; `max_archives_on_disk`, 8.

    Raises:
        AirbyteTracedException: hours that were not read, in Amplitude's words or the disk's.
    """

    requester: HttpRequester
    decoder: ExportDecoder
    cursor: ConcurrentCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_bytes_on_disk: int = 4 * 1024**3
    max_archives_on_disk: int = 8

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:  # noqa: D105
        self.requester.stream_response = True
        self._skip = self.config.get("on_bad_record") == "skip"
        self._hours = int(self.config.get("request_time_range") or 24)
        self._from = rfc3339(self.config.get("start_date") or BEGINNING_OF_DATA)
        self._until = until_of(self.config)
        start = max(parse_hour(self._from), parse_hour(BEGINNING_OF_DATA))
        self._field = self.cursor.cursor_field.cursor_field_key
        # The cursor keeps this mapping and emits it; whatever is put into it comes back.
        self._state = self.cursor.state
        self._ledger = ExportLedger(
            self._state.get("export", {}),
            start if "unreadable" in self._state else parse_hour(self._state[self._field]),
            start,
            self._until,
            int(self.config.get("lookback_hours", 6)),
        )
        self._origin = Window(start, start + HOUR).as_slice()
        self._events = self._events_since_state = self._bytes_since_state = 0
        # Whoever has the turn emits, and alone changes the ledger.
        self._turn = threading.Lock()
        self._archives = threading.BoundedSemaphore(self.max_archives_on_disk)
        self._many_members = threading.Lock()
        self._disk = DiskSpace(self.max_bytes_on_disk)
        self._backlog = Backlog()
        self._closing: int | None = None
        # The CDK emits the last state of a slice after `read_records` has ended. Until then no other
        # slice may emit events: they would come before a state that does not know them.
        self._close_partition = self.cursor.close_partition
        self.cursor.close_partition = self._close_slice  # type: ignore[method-assign]
        self._failed_in_a_row = 0
        self._stopped = self._warned_of_clock = False
        if "unreadable" not in self._state:
            self._save()

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the events of a slice that have not been emitted."""
        self._end_turn()
        if self._stopped or stream_slice is None:
            return
        if "unreadable" in self._state:
            self._stop()
            raise UnreadableStateError(self.name)
        first, last = (parse_hour(stream_slice[name]) for name in ("start_time", "end_time"))
        failures: list[tuple[Window, Exception]] = []
        for window in self._ledger.unread(Window(first, last + HOUR), self._hours):
            yield from self._read_window(window, failures)
        if failures:
            raise self._failure(failures) from failures[0][1]
        self._turn.acquire()
        self._closing = threading.get_ident()
        self._observe(stream_slice)

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Turn the events of a block, `size` bytes of lines, into what the stream yields."""
        records = [self._record(event) for event in events]
        self._backlog.add(records[-1], size)
        yield from records

    def _record(self, event: dict[str, Any]) -> Record | AirbyteMessage:
        if event:
            # Without its slice, so that the cursor follows the ledger and not the records.
            return Record(data=event, stream_name=self.name)
        # An empty record would end the sync.
        record = AirbyteRecordMessage(self.name, event, time.time_ns() // 1_000_000)
        return AirbyteMessage(type=MessageType.RECORD, record=record)

    def _log(self, text: str) -> AirbyteMessage:
        """A log line that the reader of the stream writes.

        Whoever logs writes all that the CDK has to print, and keeps the memory that it took: a
        worker would do so with every window.
        """
        log = AirbyteLogMessage(Level.INFO, f"{self.name}: {text}")
        return AirbyteMessage(type=MessageType.LOG, log=log)

    def request_slot(self) -> AbstractContextManager[Any]:
        """What a request and its download hold, so that not too many are in flight."""
        return nullcontext()

    # -- windows -------------------------------------------------------------------------------

    def _read_window(
        self, window: Window, failures: list[tuple[Window, Exception]]
    ) -> Iterator[StreamData]:
        """Yield a window's events; note in `failures` what could not be read."""
        parts = deque([window])
        while parts and not self._stopped:
            part = parts.popleft()
            if part.hours > self._hours:
                parts.extendleft(reversed(list(part.pieces(self._hours))))
                continue
            halves = list(part.pieces(-(-part.hours // 2)))
            try:
                with self._archives, ExitStack() as stack:
                    if self._stopped:
                        break
                    archive, complete = self._download(part, stack)
                    with self._turn:
                        before = self._events
                        yield from self._read_archive(part, archive, complete, failures)
                        if self._events > before:
                            yield self._log(f"{self._events - before:,} events of {part}.")
                self._failed_in_a_row = 0
            except RestartError:
                self._disk.wait()
                parts.appendleft(part)
            except TooLargeError as error:
                if part.hours > 1:
                    self._hours = min(self._hours, halves[0].hours)
                    parts.extendleft(reversed(halves))
                else:
                    self._note_failure(part, error, failures)
            except DamagedArchiveError as error:
                if part.hours > 1:
                    parts.extendleft(reversed(halves))
                else:
                    self._note_failure(part, error, failures)
            except (AirbyteTracedException, NoArchiveError) as error:
                if getattr(error, "failure_type", None) == FailureType.config_error:
                    self._stop()
                    raise
                self._note_failure(part, error, failures)
        if failures:
            with self._turn:
                self._checkpoint()

    def _note_failure(
        self, part: Window, error: Exception, failures: list[tuple[Window, Exception]]
    ) -> None:
        failures.append((part, error))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_WINDOWS:
            self._stop()

    def _stop(self) -> None:
        """Ask for nothing more in this sync; what was not read stays unread in the state."""
        self._stopped = True

    def _failure(self, failures: list[tuple[Window, Exception]]) -> AirbyteTracedException:
        """The error that names the hours that were not read, and the cause of the first."""
        hours = ", ".join(str(window) for window, _ in failures[:5])
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        cause = failures[0][1]
        failure_type = FailureType.transient_error
        if isinstance(cause, AirbyteTracedException):
            reason, failure_type = cause.message or "", cause.failure_type
        elif isinstance(cause, NoArchiveError):
            reason = f"Amplitude's response is no archive ({cause})"
        elif isinstance(cause, BadLineError):
            reason, failure_type = (
                f"{cause}: set `on_bad_record` to `skip` to leave out such lines",
                FailureType.system_error,
            )
        elif isinstance(cause, DamagedArchiveError):
            reason = f"The archive is not whole ({cause}); if that stays, use Amplitude's S3 export"
        elif "on_disk" in str(cause) or "TMPDIR" in str(cause):
            reason, failure_type = f"The hour is too large: {cause}", FailureType.config_error
        else:
            reason = (
                f"Amplitude does not export even a single hour ({cause}); if that stays, use"
                " Amplitude's S3 export"
            )
        stopped = " Nothing more was asked for after that." if self._stopped else ""
        return AirbyteTracedException(
            message=f"These hours (UTC) of {self.name} were not read, and the next sync reads them:"
            f" {hours}{more}. {reason.rstrip('.')}.{stopped}",
            internal_message=f"{len(failures)} windows failed, the first: {type(cause).__name__}",
            failure_type=failure_type,
        )

    # -- downloads -----------------------------------------------------------------------------

    def _download(self, window: Window, stack: ExitStack) -> tuple[ExportArchive | None, datetime]:
        """Download and verify a window's archive, which `stack` closes.

        None is a window without events; with it comes the end of the hours that are complete.

        Raises:
            RestartError: the disk is needed by downloads before it.
            TooLargeError, DamagedArchiveError, NoArchiveError: after the last attempt.
            AirbyteTracedException: an error response.
        """
        attempts: Counter[type] = Counter()
        while True:
            try:
                with ExitStack() as attempt:
                    download = self._attempt(window, attempt)
                    stack.push(attempt.pop_all())
                    return download
            except DamagedArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= DOWNLOAD_ATTEMPTS or self._stopped:
                    raise
                time.sleep(2 ** attempts[type(error)])
            except NoArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= ANSWER_ATTEMPTS or self._stopped:
                    raise
                time.sleep(error.wait_seconds or 5 * 2 ** attempts[type(error)])

    def _attempt(self, window: Window, stack: ExitStack) -> tuple[ExportArchive | None, datetime]:
        """Send one request and open what comes."""
        owner = object()
        with self.request_slot(), self._disk.download(owner):
            stack.callback(self._disk.release, owner)
            response = self.requester.send_request(
                stream_slice=window.as_slice(), log_formatter=self._log_message
            )
            complete = self._complete_until(response)
            if response is None or response.status_code == 404:
                return None, complete
            file = self.decoder.spool(response, partial(self._disk.write, owner))
        stack.callback(file.close)
        count = count_members(file)
        if count > MAX_MEMBERS:
            if window.hours > 1:
                raise TooLargeError(f"its archive has {count:,} files")
            if count > MAX_MEMBERS_OF_AN_HOUR:
                raise DamagedArchiveError(f"it claims {count:,} files")
            stack.enter_context(self._many_members)
        archive = self.decoder.open(file)
        stack.callback(archive.close)
        return archive, complete

    def _complete_until(self, response: requests.Response | None) -> datetime:
        """The end of the newest complete hour, by this machine's clock or Amplitude's, if earlier."""
        now = datetime.now(timezone.utc)
        theirs = date_of(response) if response is not None else None
        if theirs is None:
            return complete_until(now)
        if abs(now - theirs) > CLOCK_TOLERANCE and not self._warned_of_clock:
            self._warned_of_clock = True
            LOGGER.warning(
                f"This machine's clock differs from Amplitude's by {abs(now - theirs)}: the earlier"
                " one decides which hours of events are complete. Set the clock."
            )
        return complete_until(min(now, theirs))

    def _log_message(self, response: requests.Response) -> Any:
        """What the Connector Builder shows of a request: all but the body, which is an archive."""
        shown = requests.Response()
        shown.status_code, shown.headers = response.status_code, response.headers
        shown.request = response.request
        return format_http_message(shown, "Export of events", "Ask for a window", self.name)

    # -- events --------------------------------------------------------------------------------

    def _read_archive(
        self,
        part: Window,
        archive: ExportArchive | None,
        complete: datetime,
        failures: list[tuple[Window, Exception]],
    ) -> Iterator[StreamData]:
        """Yield the events of a window that are new, oldest hour first, and keep the ledger."""
        part = Window(part.start, min(part.end, complete))
        if part.start >= part.end:
            return
        if archive is None:
            self._ledger.read(part)
            self._save()
            return
        hours: dict[str, list[ArchiveMember]] = {}
        others: dict[str, list[ArchiveMember]] = {}
        for member in archive.members:
            window = member.window
            if window is None or not (window.start < part.end and part.start < window.end):
                if window is not None and window.start >= complete:
                    continue
                member.window = None
                others.setdefault(f"{format_hour(part.end - HOUR)}{OTHER}", []).append(member)
            elif window.hours == 1:
                hours.setdefault(format_hour(window.start), []).append(member)
            else:
                others.setdefault(f"{window.start:%Y%m%d}", []).append(member)
        bad = False
        for key, members in sorted(others.items()):
            bad |= yield from self._read_members(part, key, members, archive, failures)
        begun = part.start
        for key, members in sorted(hours.items()):
            hour = window_of_key(key)
            if not bad:
                self._ledger.read(Window(begun, hour.start))
            begun = hour.start
            if (yield from self._read_members(part, key, members, archive, failures)):
                begun = hour.end
        if not bad:
            self._ledger.read(Window(begun, part.end))
        self._save()

    def _read_members(
        self,
        part: Window,
        key: str,
        members: list[ArchiveMember],
        archive: ExportArchive,
        failures: list[tuple[Window, Exception]],
    ) -> Generator[StreamData, None, bool]:
        """Yield what is new in the members of an hour; return whether a bad line ended one."""
        known, lost = self._match(key, members, archive)
        changed = [member for member, old in zip(members, known, strict=True) if lost and not old]
        bad, again = False, 0
        for member, old in zip(members, known, strict=True):
            try:
                count = yield from self._read_member(part, key, member, old, archive)
                again += count if member in changed else 0
            except BadLineError as error:
                bad = True
                failures.append((member.window or part, error))
        if changed:
            self._ledger.forget(lost)
            LOGGER.warning(
                f"{self.name}: Amplitude has changed the export of {key} since it was read"
                f" ({len(changed)} of {len(members)} files, the first {changed[0].name!r}):"
                f" {again:,} events are emitted again."
            )
        return bad

    def _match(
        self, key: str, members: list[ArchiveMember], archive: ExportArchive
    ) -> tuple[list[list[tuple[str, Emitted]]], list[tuple[str, Emitted]]]:
        """What was emitted of each member, and what was emitted of members that are no more.

        A member is known by its bytes, whatever its name, or by its first bytes.
        """
        keys = [k for k in self._ledger.members if k == key or OTHER in key + k]
        left = [(k, entry) for k in keys for entry in self._ledger.members.get(k, ())]
        whole: defaultdict[tuple[int, int], list[tuple[str, Emitted]]] = defaultdict(list)
        for pair in left:
            if pair[1].until == FOREVER:
                whole[pair[1].length, pair[1].crc32].append(pair)
        found: list[list[tuple[str, Emitted]]] = []
        for member in members:
            pairs = whole[member.length, member.crc32]
            found.append([pairs.pop()] if pairs else [])
        left = list((Counter(left) - Counter(pair for old in found for pair in old)).elements())
        for member, old in zip(members, found, strict=True):
            lengths = [entry.length for _, entry in left if entry.length <= member.length]
            if lengths and not old:
                crcs = archive.prefix_crc32s(member, lengths)
                old += [pair for pair in left if crcs.get(pair[1].length) == pair[1].crc32]
                left = [pair for pair in left if pair not in old]
        return found, [pair for pair in left if pair[0] == key and OTHER not in key]

    def _read_member(
        self,
        part: Window,
        key: str,
        member: ArchiveMember,
        old: list[tuple[str, Emitted]],
        archive: ExportArchive,
    ) -> Generator[StreamData, None, int]:
        """Yield the events of a member that were not emitted; return their number.

        Raises:
            BadLineError: the member has been emitted up to this line.
        """
        window = member.window or part
        lower = self._from if window.holds(self._from) else ""
        upper = self._until if window.holds(self._until) else FOREVER
        plain = not (old or lower) and upper == FOREVER
        repairs: Counter[str] = Counter()
        number = count = 0
        failure: BadLineError | None = None
        done = Emitted(0, 0, upper)
        if any(e.length >= member.length and e.until >= upper for _, e in old):
            return 0
        try:
            for block in archive.blocks(member):
                position = done.length
                exact = block.data is not None and has_long_number(block.data)
                events: list[dict[str, Any]] = []
                for line in block.lines:
                    number += 1
                    try:
                        if line is None:
                            raise BadLineError("is too long")
                        if plain:
                            if (event := parse_event(line, exact, repairs)) is not None:
                                events.append(event)
                        else:
                            emitted = max(
                                (e.until for _, e in old if e.length > position), default=""
                            )
                            event = (
                                None if emitted == FOREVER else parse_event(line, exact, repairs)
                            )
                            if event is not None and is_wanted(event, lower, upper, emitted):
                                events.append(event)
                    except BadLineError as error:
                        if not self._skip:
                            failure = BadLineError(
                                f"Line {number:,} of the file {member.name!r} {error}"
                            )
                            failure.__cause__ = error
                            break
                        repairs["bad lines, now left out"] += 1
                    position += len(line or b"") + 1
                end = Emitted(block.end, block.crc32, upper)
                if failure:
                    crc = crc32((block.data or b"")[: position - done.length], done.crc32)
                    end = Emitted(position, crc, upper)
                if events:
                    size = end.length - done.length
                    if self._is_state_due(len(events), size):
                        self._note_emitted(key, old, done)
                        self._checkpoint()
                    self._events += len(events)
                    self._events_since_state += len(events)
                    self._bytes_since_state += size
                    yield from self.emit(events, size)
                    count += len(events)
                done = end
                if failure:
                    raise failure
        finally:
            self._note_emitted(key, old, done)
            for what, times in repairs.items():
                LOGGER.warning(f"{self.name}: {times:,} {what}, in the file {member.name!r}.")
        return count

    def _note_emitted(self, key: str, old: list[tuple[str, Emitted]], done: Emitted) -> None:
        if done.length:
            self._ledger.emit(key, old, done)

    # -- state ---------------------------------------------------------------------------------

    def _is_state_due(self, events: int, size: int) -> bool:
        """Whether a state must come before `events` more events, of `size` bytes."""
        many = (
            self._events_since_state + events > STATE_EVENTS
            or self._bytes_since_state + size > STATE_BYTES
        )
        return many and self._bytes_since_state >= 10 * (500 + 40 * self._ledger.size)

    def _close_slice(self, partition: Partition) -> None:
        """Have the cursor emit the state of a slice, then let the next window have its turn."""
        try:
            self._close_partition(partition)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        """End the turn that this thread has kept for the state of its slice."""
        if self._closing == threading.get_ident():
            self._closing = None
            self._turn.release()

    def _checkpoint(self) -> None:
        """Emit a state, in the order of the events before and after it.

        The cursor's own state messages and these go through one lock, that of `close_partition`.
        It is given a slice that has been read since the stream began.
        """
        self._save()
        self._observe(self._origin)
        self._close_partition(cast(Partition, SimpleNamespace(to_slice=lambda: self._origin)))
        self._events_since_state = self._bytes_since_state = 0

    def _save(self) -> None:
        """Put the ledger into the state; one assignment, since another thread may emit it now."""
        self._end = self._ledger.end
        self._state["export"] = self._ledger.state

    def _observe(self, stream_slice: StreamSlice) -> None:
        """Tell the cursor the hour before which all events have been emitted."""
        data = {self._field: format_hour(self._end)}
        self.cursor.observe(Record(data, self.name, associated_slice=stream_slice))
