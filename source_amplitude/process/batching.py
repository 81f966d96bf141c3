"""What the package adds to the retriever of the export: requests that are counted, events in batches."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from airbyte_cdk.sources.streams.core import StreamData

from source_amplitude.extensions.export.retriever import ExportRetriever
from source_amplitude.process.messages import RecordBatch


@dataclass
class ExportLimits:
    """What the retriever shares with the rest of the process.

    `slots` are held by requests that are in flight. While `batching` is set, the events come as
    `RecordBatch`.
    """

    slots: threading.BoundedSemaphore
    batching: bool = False


LIMITS: ContextVar[ExportLimits] = ContextVar("LIMITS")
"""Those of the source that is building its streams."""


@dataclass
class BatchingExportRetriever(ExportRetriever):
    """The retriever of the export, with the events of a block as one batch of serialized records.

    A message per event, through the CDK's queue, counters and print buffer, costs more than
    reading and writing the event.
    """

    def __post_init__(self, parameters: Any) -> None:
        super().__post_init__(parameters)
        self._limits = LIMITS.get()
        self._running = False

    def request_slot(self) -> AbstractContextManager[Any]:
        """One of the requests that may be in flight."""
        return self._limits.slots

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Turn events into a batch; the first event is a record, which marks the stream as running."""
        if not self._limits.batching:
            yield from super().emit(events, size)
            return
        if not self._running:
            self._running = True
            yield from super().emit(events[:1], 0)
            events = events[1:]
        if events:
            batch = RecordBatch(self.name, events, time.time_ns() // 1_000_000)
            self.backlog.add(batch, size)
            yield batch
