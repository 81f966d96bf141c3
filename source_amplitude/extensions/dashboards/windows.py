"""Windows of days: each is one request, and moves the state to its end."""

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

INTERVALS = {"": "", "daily": "1", "weekly": "7", "monthly": "30"}
"""The period covered by each figure, and the dashboards' word for it, which is their parameter `i`."""


@dataclass
class DailyRetriever(BudgetRetriever):
    """Read a window of days, and move the cursor to its end even if it had no records.

    The CDK's cursor follows records only: the whole history of a project without data would be requested at
    each sync. A window that fails does not move the cursor, so that the next sync reads it again.

    With the `interval` weekly or monthly (a segmentation has its own) a record is a bucket, under the day
    that Amplitude labels it with. A request covers whole buckets, and each bucket is emitted by one window of
    a sync; the last window also emits the bucket that is still running, which the next sync reads again. The
    parameter `i` of a request is in `extra_fields` of the slice.

    Three places keep the state from running ahead of the data: the `record_filter` of the manifest drops the
    days after a window's end, which Amplitude reports as zero; this class moves the cursor to today at most;
    and `DailyStateMigration` moves a saved day that has not begun back to today.
    """

    interval: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._raised = False
        cursor = self.stream_slicer
        self._cursor = (
            cursor if isinstance(cursor, ConcurrentCursor | ConcurrentPerPartitionCursor) else None
        )
        # Asked now: later, another worker may be adding a partition while the cursor lists them.
        state = self._cursor.state if self._cursor else {}
        # A per-partition cursor drops unknown keys, except under `parent_state`.
        self._readable = "unreadable" not in {**state, **(state.get("parent_state") or {})}
        # The Connector Builder shows requests in this form; nothing else calls it.
        self.log_formatter = lambda response: format_http_message(
            response, f"Stream '{self.name}' request", "A window of days", self.name
        )

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a window, then move the cursor to its end, or to today if that is earlier.

        Raises:
            UnreadableStateError: once, whatever the number of windows; none of them is read.
        """
        assert stream_slice is not None
        if not self._readable:
            self._raise_unreadable_state()
            return
        today = today_of(self.config)
        start, end = stream_slice["start_time"], stream_slice["end_time"]
        segmentation = stream_slice.partition.get("segmentation") or {}
        interval = segmentation.get("interval", self.interval)
        buckets = buckets_of(interval, start, end, today)
        requested = StreamSlice(
            partition=stream_slice.partition,
            cursor_slice={**stream_slice.cursor_slice, "start_time": buckets.requested_from},
            extra_fields={**stream_slice.extra_fields, "i": INTERVALS[interval]},
        )
        for record in super().read_records(records_schema, requested):
            if not isinstance(record, Record):
                yield record
            elif buckets.first <= record.get("date", buckets.first) <= buckets.last:
                # Leave out the slice, so that a record with a future day (a planned deletion) does not move
                # the cursor. A per-partition cursor needs the slice.
                known = stream_slice if stream_slice.partition else None
                yield Record(record.data, self.name, known)
        self._observe_end(stream_slice, min(end, today))

    def _raise_unreadable_state(self) -> None:
        """Raise the error for the first window only: a long history has hundreds of windows."""
        if not self._raised:
            self._raised = True
            raise UnreadableStateError(self.name)

    def _observe_end(self, stream_slice: StreamSlice, end: str) -> None:
        """Have the cursor see a record of the window's last day, which moves the state there."""
        if self._cursor:
            data = {self._cursor.cursor_field.cursor_field_key: end}
            self._cursor.observe(Record(data, self.name, stream_slice))


class Buckets(NamedTuple):
    """The first day to request, and the first and last label to emit; days as `YYYY-MM-DD`."""

    requested_from: str
    first: str
    last: str


def buckets_of(interval: str, start: str, end: str, today: str) -> Buckets:
    """Extend a window of days to whole weeks or months, so that no bucket is in two consecutive windows.

    A bucket is emitted by the window that contains its last day: the first window whose request can cover the
    whole bucket. A window that reaches today also emits the bucket that is still running.

    A month begins, and is labelled, with its first day. No response says on which day a project's weeks
    begin: a label may be any day, and its week is taken to be that day and the six days after it.
    """
    if interval in ("", "daily"):
        return Buckets(start, start, end)
    first, following = date.fromisoformat(start), date.fromisoformat(end) + DAY
    if interval == "monthly":
        first, following = first.replace(day=1), following.replace(day=1)
        requested_from = first
    else:
        first, following = first - 6 * DAY, following - 6 * DAY
        # One more week, in case Amplitude begins the first bucket with the request instead of the week.
        requested_from = first - 7 * DAY
    last = end if end >= today else str(following - DAY)
    return Buckets(max(str(requested_from), BEGINNING_OF_DATA[:10]), str(first), last)
