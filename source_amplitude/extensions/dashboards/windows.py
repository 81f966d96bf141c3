"""Windows of days, weeks and months."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor
from airbyte_cdk.sources.http_logger import format_http_message
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import Record, StreamSlice

from source_amplitude.extensions.budget import BudgetRetriever
from source_amplitude.extensions.errors import UnreadableStateError
from source_amplitude.extensions.times import BEGINNING_OF_DATA, DAY, today_of


@dataclass
class WindowRetriever(BudgetRetriever):
    """Read a window of days, and have the state follow the window, with or without records.

    The CDK's cursor follows records alone: each sync would ask for all days of a project that has none.
    A window that fails is not observed, so the state stays before it.

    With the `interval` weekly or monthly (that of the slice's segmentation, if it has one) a record is a
    bucket under the day that Amplitude labels it with, its first. The request starts early enough for the
    bucket that the window begins in, and each bucket is emitted whole, by one window of a sync. The last
    window also emits the bucket that is still running, and the next sync reads it again.
    """

    interval: str = "daily"

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._refused = False
        slicer = self.stream_slicer
        self._cursor = (
            slicer if isinstance(slicer, ConcurrentCursor | ConcurrentPerPartitionCursor) else None
        )
        # Asked now: later, another worker may be adding a partition while the cursor lists them.
        state = self._cursor.state if self._cursor else {}
        self._readable = "unreadable" not in {**state, **(state.get("parent_state") or {})}
        # What the Connector Builder shows of a request; nothing else calls it.
        self.log_formatter = lambda response: format_http_message(
            response, f"Stream '{self.name}' request", "A window of days", self.name
        )

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a window, then move the cursor to its end, or to today if that is earlier.

        Raises:
            UnreadableStateError: once, whatever the number of windows.
        """
        assert stream_slice is not None
        today = today_of(self.config)
        if not self._readable:
            if self._refused:
                return
            self._refused = True
            raise UnreadableStateError(self.name)
        segmentation = stream_slice.partition.get("segmentation") or {}
        interval = segmentation.get("interval", self.interval)
        start, end = stream_slice["start_time"], stream_slice["end_time"]
        window = bucket_window(interval, start, end, today)
        asked = StreamSlice(
            partition=stream_slice.partition,
            cursor_slice={**stream_slice.cursor_slice, "start_time": window.asked},
            extra_fields=stream_slice.extra_fields,
        )
        for record in super().read_records(records_schema, asked):
            if not isinstance(record, Record):
                yield record
            elif window.first <= record.get("date", window.first) <= window.last:
                # Without its slice, so that the cursor follows the window and not a job that is planned;
                # a cursor of partitions needs it.
                known = stream_slice if stream_slice.partition else None
                yield Record(record.data, self.name, known)
        if self._cursor:
            data = {self._cursor.cursor_field.cursor_field_key: min(end, today)}
            self._cursor.observe(Record(data, self.name, stream_slice))


class BucketWindow(NamedTuple):
    """The first day to ask for, and the first and last labels to emit; days as `YYYY-MM-DD`."""

    asked: str
    first: str
    last: str


def bucket_window(interval: str, start: str, end: str, today: str) -> BucketWindow:
    """Turn a window of days into one of whole buckets; windows that follow each other share none.

    A month begins on its first day. No response says on which day a project's weeks begin: the week of a day
    is the one that is labelled with it or with one of the six days before, and the request begins a week
    before that, in case Amplitude cuts the first bucket.
    """
    if interval == "daily":
        return BucketWindow(start, start, end)
    first, following = date.fromisoformat(start), date.fromisoformat(end) + DAY
    if interval == "monthly":
        first, following = first.replace(day=1), following.replace(day=1)
        asked = first
    else:
        first, following = first - 6 * DAY, following - 6 * DAY
        asked = first - 7 * DAY
    last = end if end >= today else str(following - DAY)
    return BucketWindow(max(str(asked), BEGINNING_OF_DATA[:10]), str(first), last)
