"""The retriever of the export: windows are downloaded, and each event of theirs is emitted once."""

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import InitVar, dataclass
from typing import Any

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
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import UnreadableStateError
from source_amplitude.extensions.export.backlog import Backlog
from source_amplitude.extensions.export.cursor import ExportCursor
from source_amplitude.extensions.export.decoder import ExportDecoder
from source_amplitude.extensions.export.disk import DiskSpace
from source_amplitude.extensions.export.download import Downloads
from source_amplitude.extensions.export.errors import (
    DamagedArchiveError,
    Failures,
    NotAnArchiveError,
    RestartError,
    TooLargeError,
    UnansweredWindowError,
    unread_hours,
)
from source_amplitude.extensions.export.ledger import ExportLedger
from source_amplitude.extensions.export.reader import ArchiveReader, Bounds, EventBlock
from source_amplitude.extensions.export.windows import NO_END, Window, end_of_uploads, parse_hour
from source_amplitude.extensions.files import room_for_files
from source_amplitude.extensions.times import BEGINNING_OF_DATA, HOUR, rfc3339

FAILED_WINDOWS = 5
"""Windows that fail one after another, after which a stream sends no more requests: the cause is then not the
window, and each one costs minutes of retries."""
STATE_EVENTS = 5_000
"""Events between two states, which a sync that is killed reads again: about a second of reading."""
STATE_BYTES = 10_000_000
"""Bytes of lines between two states, for events that are large."""
STATE_BYTES_PER_MEMBER = 40
MAX_STATE_SHARE = 0.1
"""Of what is written, states may be a tenth: a state that remembers many files is emitted less often."""


@dataclass
class ExportRetriever(Retriever):
    """Read windows of the export, and emit each event once.

    A slice is cut into windows of `request_time_range` hours. A window is downloaded to disk and verified
    whole; then, one window at a time, its events are emitted that the ledger does not know. A window that is
    too large is halved, and the width that worked is kept; a window whose archive is damaged is halved
    alone. What failed stays unread in the state, and the rest is read.

    The stream's state is the ledger, under `export`; `server_upload_time` is the hour before which all events
    have been emitted. A state covers exactly the events before it. At most `STATE_EVENTS` events or
    `STATE_BYTES` bytes lie between two states, unless states would then be more than `MAX_STATE_SHARE` of
    what is written.

    Memory: a few chunks, the longest line several times, and the lists of members.
    Disk: `max_bytes_on_disk`, 4 GiB, in `TMPDIR`, and less if that is in memory; `max_archives_on_disk`, 8.

    Raises:
        AirbyteTracedException: hours that were not read, in Amplitude's words or the disk's.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    requester: HttpRequester
    decoder: ExportDecoder
    cursor: ConcurrentCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_bytes_on_disk: int = 4 * 1024**3
    max_archives_on_disk: int = 8

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self._hours = int(self.config.get("request_time_range") or 24)
        self._start = rfc3339(self.config.get("start_date") or BEGINNING_OF_DATA)
        self._end = end_of_uploads(self.config)
        self._states = ExportCursor(self.cursor, self.name)
        start = max(parse_hour(self._start), parse_hour(BEGINNING_OF_DATA))
        self._readable = "unreadable" not in self._states.state
        self._ledger = ExportLedger(
            self._states.state.get("export", {}),
            parse_hour(self._states.value) if self._readable else start,
            start,
            self._end,
            int(self.config.get("lookback_hours", 6)),
        )
        if self._readable:
            self._states.save(self._ledger)
        limit = min(self.max_bytes_on_disk, room_for_files())
        self._disk = DiskSpace(limit, self.max_archives_on_disk)
        self._downloads = Downloads(
            self.requester,
            self.decoder,
            self.name,
            self.request_slot,
        )
        skip = self.config.get("on_bad_record") == "skip"
        self._reader = ArchiveReader(self._ledger, self.name, self.bounds, skip_bad_lines=skip)
        self.backlog = Backlog()
        self._events_since_state = self._bytes_since_state = 0
        self._failed_in_a_row = 0
        self._stopped = False

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the events of a slice that have not been emitted."""
        self._states.end_turn()
        if self._stopped or stream_slice is None:
            return
        if not self._readable:
            self._stop()
            raise UnreadableStateError(self.name)
        first, last = (parse_hour(stream_slice[name]) for name in ("start_time", "end_time"))
        failures: Failures = []
        for window in self._ledger.unread(Window(first, last + HOUR), self._hours):
            yield from self._read_window(window, failures)
        if failures:
            raise unread_hours(self.name, failures, self._stopped) from failures[0][1]
        self._states.finish(stream_slice)

    # -- what the package adds to ----------------------------------------------------------------

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Turn the events of a block, `size` bytes of lines, into what the stream yields."""
        records = [self._record(event) for event in events]
        self.backlog.add(records[-1], size)
        yield from records

    def emit_state(self) -> None:
        """Emit a state that covers all events so far."""
        self._states.emit_state(self._ledger)
        self._events_since_state = self._bytes_since_state = 0

    def request_slot(self) -> AbstractContextManager[Any]:
        """Return what a request and its download hold, so that not too many are in flight."""
        return nullcontext()

    def bounds(self, window: Window) -> Bounds:
        """Return the times of upload between which events of a window are emitted."""
        lower = self._start if window.cuts(self._start) else ""
        upper = self._end if window.cuts(self._end) else NO_END
        return Bounds(lower, upper)

    # -- windows ---------------------------------------------------------------------------------

    def _read_window(self, window: Window, failures: Failures) -> Iterator[StreamData]:
        """Yield a window's events; add to `failures` what could not be read."""
        parts = deque([window])
        halves: set[Window] = set()
        while parts and not self._stopped:
            part = parts.popleft()
            if part.hours > self._hours:
                parts.extendleft(reversed(list(part.pieces(self._hours))))
                continue
            try:
                yield from self._read_part(part, failures)
            except RestartError:
                parts.appendleft(part)
            except (TooLargeError, DamagedArchiveError, UnansweredWindowError) as error:
                if part.hours == 1 or part in halves:
                    self._note_failure(part, error, failures)
                    continue
                half = math.ceil(part.hours / 2)
                if isinstance(error, TooLargeError):
                    self._hours = min(self._hours, half)
                pieces = list(part.pieces(half))
                if isinstance(error, UnansweredWindowError):
                    halves.update(pieces)  # each attempt costs minutes, so a window is halved once
                parts.extendleft(reversed(pieces))
            except (AirbyteTracedException, NotAnArchiveError) as error:
                if getattr(error, "failure_type", None) == FailureType.config_error:
                    self._stop()
                    raise
                self._note_failure(part, error, failures)
        if failures:
            with self._states.turn():
                self.emit_state()

    def _read_part(self, part: Window, failures: Failures) -> Iterator[StreamData]:
        """Download a window, wait for the turn, and yield its new events."""
        with self._disk.archive() as space, ExitStack() as stack:
            if self._stopped:
                return
            download = self._downloads.open(part, space, stack, lambda: self._stopped)
            with self._states.turn():
                count = 0
                for block in self._reader.read(part, download.members, download.complete, failures):
                    count += len(block.events)
                    yield from self._emit_block(block)
                self._states.save(self._ledger)
                if count:
                    yield self._log(f"{count:,} events of {part}.")
        self._failed_in_a_row = 0

    def _emit_block(self, block: EventBlock) -> Iterator[StreamData]:
        """Yield the events of a block, after a state where one is due."""
        self._events_since_state += len(block.events)
        self._bytes_since_state += block.size
        many = self._events_since_state > STATE_EVENTS or self._bytes_since_state > STATE_BYTES
        if many and self._bytes_since_state - block.size >= self._least_bytes_between_states():
            self.emit_state()
            self._events_since_state, self._bytes_since_state = len(block.events), block.size
        yield from self.emit(block.events, block.size)

    def _least_bytes_between_states(self) -> float:
        return (500 + STATE_BYTES_PER_MEMBER * self._ledger.size) / MAX_STATE_SHARE

    def _note_failure(self, part: Window, error: Exception, failures: Failures) -> None:
        failures.append((part, error))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_WINDOWS:
            self._stop()

    def _stop(self) -> None:
        """Send no more requests in this sync; what was not read stays unread in the state."""
        self._stopped = True

    # -- messages --------------------------------------------------------------------------------

    def _record(self, event: dict[str, Any]) -> Record | AirbyteMessage:
        if event:
            # Without its slice: the cursor follows the ledger, not the records.
            return Record(data=event, stream_name=self.name)
        # The CDK takes an empty record for the end of the sync.
        record = AirbyteRecordMessage(self.name, event, time.time_ns() // 1_000_000)
        return AirbyteMessage(type=MessageType.RECORD, record=record)

    def _log(self, text: str) -> AirbyteMessage:
        """Return a log line for the reader of the stream to write.

        A thread that logs flushes the CDK's print buffer and keeps the memory that it took, so a worker
        yields the line instead.
        """
        log = AirbyteLogMessage(Level.INFO, f"{self.name}: {text}")
        return AirbyteMessage(type=MessageType.LOG, log=log)
