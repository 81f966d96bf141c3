"""The events' way: a worker downloads and verifies a window; the main thread reads its lines and emits them.

The CDK's own way, a queue item and several copies for each event, costs more than all of that together.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, FailureType, Type
from airbyte_cdk.sources.declarative.retrievers import SimpleRetriever
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.streams.http.request_window_split_exception import (
    RequestWindowSplitRequiredException,
)
from airbyte_cdk.sources.types import Record
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.components import Archive, DamagedArchiveError, ExportDecoder
from source_amplitude.cursor import HOUR, ExportCursor, Window, stream_slice
from source_amplitude.messages import BATCH_BYTES, RecordBatch, serialize_record

ARCHIVES = 8
"""Exports on disk at once: those in flight, and those that wait to be emitted."""
DOWNLOAD_TRIES = 3
"""How often a window is fetched whose archive arrives damaged, before it is split."""


class ReadyWindow(AirbyteMessage):
    """A window on its way to the main thread, which emits it between two messages.

    Only there is known what has been emitted: each state says just that, no less and no more.
    """

    def __init__(
        self,
        stream: str,
        window: Window,
        archive: Archive | None,
        cursor: ExportCursor,
        saved: Callable[[Mapping[str, Any]], AirbyteMessage],
    ) -> None:
        """Hold the verified archive, if the window has any events, until `done` is set."""
        super().__init__(type=Type.RECORD)
        self.stream = stream
        self.done = threading.Event()
        self.error: BaseException | None = None
        self._window, self._archive, self._cursor, self._saved = window, archive, cursor, saved

    def messages(self, serialize: bool = False) -> Iterator[AirbyteMessage]:
        """Yield the records of the members that are new, then the state; an error waits in `error`."""
        records = self._lines if serialize else self._records
        try:
            for member in self._archive.members if self._archive else ():
                if not self._cursor.is_new(member):
                    continue
                if self._archive:
                    since = self._cursor.emitted_before(member)
                    yield from records(self._archive.records(member, since))
                self._cursor.member_read(member, self._window)
            self._cursor.window_read(self._window)
        except Exception as error:
            self.error = error
        finally:
            self._close()
        yield self._saved(self._cursor.state)

    def _records(self, events: Iterable[dict[str, Any]]) -> Iterator[AirbyteMessage]:
        emitted_at = time.time_ns() // 1_000_000
        for event in events:
            record = AirbyteRecordMessage(stream=self.stream, data=event, emitted_at=emitted_at)
            yield AirbyteMessage(type=Type.RECORD, record=record)

    def _lines(self, events: Iterable[dict[str, Any]]) -> Iterator[AirbyteMessage]:
        """The same in batches, past the CDK's path for a message: that costs more than all else here.

        Memory: `BATCH_BYTES` and one record.
        """
        emitted_at = time.time_ns() // 1_000_000
        lines: list[bytes] = []
        size = 0
        for event in events:
            lines.append(line := serialize_record(self.stream, event, emitted_at))
            size += len(line)
            if size >= BATCH_BYTES:
                yield RecordBatch(self.stream, lines)
                lines, size = [], 0
        if lines:
            yield RecordBatch(self.stream, lines)

    def abandon(self) -> None:
        """Give the archive back unread."""
        self.error = AbandonedError()
        self._close()

    def _close(self) -> None:
        if self._archive:
            self._archive.close()
        self.done.set()


class AbandonedError(Exception):
    """The sync ended before a window was read."""


class Handover:
    """Where workers wait until the main thread has read their windows, or has ended."""

    def __init__(self) -> None:  # noqa: D107
        self._lock = threading.Lock()
        self._windows: dict[int, ReadyWindow] = {}
        self._closed = False

    def read(self, window: ReadyWindow, send: Callable[[AirbyteMessage], None]) -> None:
        """Send a window to the main thread and return when it has been read there.

        Raises:
            Exception: what ended the reading; AbandonedError when the sync has ended.
        """
        with self._lock:
            if self._closed:
                window.abandon()
            self._windows[id(window)] = window
        try:
            if not window.done.is_set():
                send(window)
            window.done.wait()
            if window.error:
                raise window.error
        finally:
            with self._lock:
                del self._windows[id(window)]

    def close(self) -> None:
        """Let every waiting worker go, now and later."""
        with self._lock:
            self._closed = True
            for window in self._windows.values():
                if not window.done.is_set():
                    window.abandon()


class ExportPartitions(PartitionGenerator):
    """The windows that the cursor still wants, as partitions that a worker reads."""

    def __init__(
        self,
        stream: str,
        retriever: SimpleRetriever,
        cursor: ExportCursor,
        saved: Callable[[Mapping[str, Any]], AirbyteMessage],
        send: Callable[[AirbyteMessage], None],
        handover: Handover,
        downloads: threading.BoundedSemaphore,
    ) -> None:
        """Share the requester, the decoder and what was learned of sizes among all partitions."""
        self.stream = stream
        self.cursor = cursor
        self.requester = retriever.requester
        self.decoder: ExportDecoder = retriever.record_selector.extractor.decoder  # type: ignore[attr-defined]
        self.downloads = downloads
        self.archives = threading.BoundedSemaphore(ARCHIVES)
        self.largest: timedelta | None = None
        self._saved, self._send, self._handover = saved, send, handover

    def generate(self) -> Iterator[Partition]:
        """Yield a partition for each window."""
        for window in self.cursor.windows():
            yield ExportPartition(self, window)

    def hand_over(self, window: Window, archive: Archive | None) -> None:
        """Have the main thread emit a window."""
        ready = ReadyWindow(self.stream, window, archive, self.cursor, self._saved)
        self._handover.read(ready, self._send)


class ExportPartition(Partition):
    """One window of the export, read in parts where Amplitude refuses it whole.

    Disk: one archive at a time.
    """

    def __init__(self, export: ExportPartitions, window: Window) -> None:  # noqa: D107
        self._export = export
        self._window = window

    def read(self) -> Iterable[Record]:
        """Emit the window's events through the main thread; yield nothing.

        Raises:
            AirbyteTracedException: some hours could not be read; the rest of the window was.
        """
        failures: list[tuple[Window, Exception]] = []
        parts = deque([self._window])
        while parts:
            part = parts.popleft()
            hours = part[1] - part[0]
            if self._export.largest and hours > self._export.largest:
                parts.extendleft(reversed(_halves(part)))
                continue
            try:
                with self._export.archives:
                    self._export.hand_over(part, self._fetch(part))
            except RequestWindowSplitRequiredException as refusal:
                if hours > HOUR:
                    # What is too large once is too large again: the rest of the sync asks for less.
                    self._export.largest = _halves(part)[0][1] - part[0]
                    parts.appendleft(part)
                else:
                    failures.append((part, refusal))
            except AbandonedError:
                return iter(())
            except AirbyteTracedException as failure:
                if failure.failure_type == FailureType.config_error:
                    raise
                failures.append((part, failure))
        if failures:
            raise _failed_hours_error(failures) from failures[0][1]
        return iter(())

    def _fetch(self, window: Window) -> Archive | None:
        """Download and verify a window; None when it has no events.

        Raises:
            RequestWindowSplitRequiredException: too large, or damaged at each of the tries.
        """
        for attempt in range(1, DOWNLOAD_TRIES + 1):
            try:
                with self._export.downloads:
                    response = self._export.requester.send_request(
                        stream_slice=stream_slice(window)
                    )
                    if response is None or not response.ok:
                        return None
                    file = self._export.decoder.spooled(response)
                return self._export.decoder.opened(file)
            except DamagedArchiveError as error:
                damage = error
            if attempt < DOWNLOAD_TRIES:
                time.sleep(2**attempt)
        raise RequestWindowSplitRequiredException(
            stream_name=self._export.stream,
            error_message=f"the archive is not whole, {DOWNLOAD_TRIES} times over: {damage}",
        ) from damage

    def to_slice(self) -> Mapping[str, Any]:
        """The window in the form of a request."""
        return stream_slice(self._window)

    def stream_name(self) -> str:
        """The stream that the window is of."""
        return self._export.stream

    def __hash__(self) -> int:
        """Tell the partitions of a stream apart."""
        return hash(self._window)


def _halves(window: Window) -> list[Window]:
    """A window of two hours or more in two, the first no shorter than the second."""
    first, last = window
    middle = first + -(-((last - first) // HOUR) // 2) * HOUR
    return [(first, middle), (middle, last)]


def _failed_hours_error(failures: list[tuple[Window, Exception]]) -> AirbyteTracedException:
    hours = ", ".join(
        f"{first:%Y%m%dT%H} to {last - HOUR:%Y%m%dT%H}" for (first, last), _ in failures[:5]
    )
    cause = failures[0][1]
    words = (cause.message if isinstance(cause, AirbyteTracedException) else "") or str(cause)
    if isinstance(cause, RequestWindowSplitRequiredException):
        words = (
            f"Amplitude does not export even a single hour ({cause.error_message}); if that stays,"
            " read those hours from Amplitude's S3 export"
        )
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return AirbyteTracedException(
        message=f"The events of these hours (UTC) were not read and will be asked for again by the next"
        f" sync: {hours}{more}. {words.rstrip('.')}.",
        internal_message=f"{len(failures)} export windows failed, the first with {type(cause).__name__}",
        failure_type=getattr(cause, "failure_type", None) or FailureType.transient_error,
    )
