"""What the package adds to the retriever of the export: requests that are counted, events in batches."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from airbyte_cdk.sources.streams.core import StreamData

from source_amplitude.components import ExportRetriever
from source_amplitude.messages import RecordBatch, serialize_record

BATCHES = 4
"""Batches on their way to the output at once, which bounds the memory when the reader is slow."""


class ExportLimits:
    """What the retriever shares with the rest of the process.

    `slots` are held by requests that are in flight. While `batching` is set, the events come as
    `RecordBatch`; whoever has written one calls `written`.
    """

    def __init__(self, slots: threading.BoundedSemaphore) -> None:
        """Count requests in `slots`."""
        self.slots = slots
        self.batching = False
        self._room = threading.Semaphore(BATCHES)
        self._closed = False

    def enter(self) -> None:
        """Wait until there is room for a batch.

        Raises:
            AbandonedError: nobody reads the output any more.
        """
        self._room.acquire()
        if self._closed:
            self._room.release()
            raise AbandonedError

    def written(self) -> None:
        """Make room: a batch has been written."""
        self._room.release()

    def close(self) -> None:
        """End every wait, now and later: the sync is over."""
        self._closed = True
        self._room.release()


class AbandonedError(Exception):
    """The sync ended before a window was read."""


LIMITS: ContextVar[ExportLimits] = ContextVar("LIMITS")
"""Those of the source that is building its streams."""


@dataclass
class BatchingExportRetriever(ExportRetriever):
    """The retriever of the export, with the events of a block as one batch of serialized records.

    A message per event, through the CDK's queue, counters and print buffer, costs more than
    reading and writing the event.
    """

    def __post_init__(self, parameters: Any) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self._limits = LIMITS.get()
        self._running = False

    def request_slot(self) -> AbstractContextManager[Any]:
        """One of the requests that may be in flight."""
        return self._limits.slots

    def emit(self, events: list[dict[str, Any]]) -> Iterator[StreamData]:
        """Turn events into batches; the first event is a record, which marks the stream as running."""
        if not self._running:
            self._running = True
            yield from super().emit(events[:1])
            events = events[1:]
        if not self._limits.batching:
            yield from super().emit(events)
            return
        emitted_at = time.time_ns() // 1_000_000
        lines = [serialize_record(self.name, event, emitted_at) for event in events]
        if lines:
            self._limits.enter()
            yield RecordBatch(self.name, lines, self._limits.written)
