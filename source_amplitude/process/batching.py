"""The export's retriever as the package runs it: with a limit of requests, and events in batches."""

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
    """What the retriever shares with the source that builds it.

    A request holds one of the `slots` while it is in flight. While `batching` is set, events are emitted as
    `RecordBatch` instead of one message each: only this package's entry point can write those.
    """

    slots: threading.BoundedSemaphore
    batching: bool = False


# The CDK builds the retriever from the manifest, which cannot pass an object of the process. A context
# variable, unlike a global one, keeps apart the sources of several threads.
EXPORT_LIMITS: ContextVar[ExportLimits] = ContextVar("EXPORT_LIMITS")
"""The limits of the source that is building its streams."""


@dataclass
class BatchingExportRetriever(ExportRetriever):
    """The retriever of the export, which emits the events of a block as one batch of serialized records.

    One message per event, through the CDK's queue, counters and print buffer, would cost more than reading
    and writing the event does.
    """

    def __post_init__(self, parameters: Any) -> None:
        super().__post_init__(parameters)
        self._limits = EXPORT_LIMITS.get()
        self._has_emitted = False

    def request_slot(self) -> AbstractContextManager[Any]:
        """Return a slot, which is held while a request is in flight."""
        return self._limits.slots

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Yield events as one batch, but the stream's first event as a record of its own."""
        if not self._limits.batching:
            yield from super().emit(events, size)
            return
        if not self._has_emitted:
            # The CDK reports the stream as RUNNING when it sees its first record; a batch is not one.
            self._has_emitted = True
            yield from super().emit(events[:1], 0)
            events = events[1:]
        if events:
            batch = RecordBatch(self.name, events, time.time_ns() // 1_000_000)
            self.backlog.add(batch, size)
            yield batch
