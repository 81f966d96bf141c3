"""What a task of Spark does: it reads windows of events, or another stream whole, as the manifest says."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any

from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.errors import config_error
from source_amplitude.extensions.export.reader import Bounds
from source_amplitude.extensions.export.retriever import ExportRetriever
from source_amplitude.extensions.export.windows import NO_END, Window, end_of_uploads, parse_hour
from source_amplitude.extensions.times import BEGINNING_OF_DATA, HOUR, rfc3339
from source_amplitude.process.entrypoint import Entrypoint
from source_amplitude.process.source import SourceAmplitude, load_manifest

LOGGER = logging.getLogger("airbyte")
BLOCKS = 4
"""Blocks of an export in an Arrow batch: half a MiB of JSON, or as many of the longest lines."""
RECORDS = 1_000
"""Records of every other stream in an Arrow batch."""


@dataclass
class SparkExportRetriever(ExportRetriever):
    """The retriever of the export without states: Spark repeats a partition that was not read to its end.

    Which of its events a file gives does not depend on what other partitions read: a file by hour gives
    all, and one by day, which the windows of its day share, those of the slice.
    """

    def __post_init__(self, parameters: Any) -> None:
        super().__post_init__(parameters)
        given = self.config.get("_dates") or (self._start, self._end)
        self._dates = tuple(map(rfc3339, given))

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Yield the events of a block as one record."""
        yield {"events": events}

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield all events of a slice.

        Raises:
            AirbyteTracedException: an hour of it is not complete by Amplitude's clock.
        """
        assert stream_slice
        first, last = (parse_hour(stream_slice[name]) for name in ("start_time", "end_time"))
        self._slice = Window(first, last + HOUR)
        for message in super().read_records(records_schema, stream_slice):
            # Nobody reads the messages of a task, and its executor has a log.
            if isinstance(message, AirbyteMessage) and message.log:
                LOGGER.info(message.log.message)
            else:
                yield message
        if unread := self._ledger.unread(self._slice, self._hours):
            raise config_error(
                f"These hours (UTC) of {self.name} are not complete by Amplitude's clock:"
                f" {', '.join(map(str, unread))}. Set the clocks of the cluster."
            )

    def bounds(self, window: Window) -> Bounds:
        """Return the dates of the config and, for a daily file, those of the slice."""
        start, end = self._dates
        if window.hours > 1:
            start = max(start, rfc3339(format_moment(self._slice.start)))
            end = min(end, rfc3339(format_moment(self._slice.end)))
        return Bounds(start if window.cuts(start) else "", end if window.cuts(end) else NO_END)

    def emit_state(self) -> None:
        """Do nothing."""


class TaskSource(ConcurrentDeclarativeSource):
    """The streams of the manifest, `events` in blocks and without states."""

    # It writes nothing: the keys would be on the disk.
    write_config = staticmethod(SourceAmplitude.write_config)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Build the streams for a config, whose keys no log will show."""
        manifest = load_manifest()
        events = manifest["definitions"]["events"]["retriever"]
        events["class_name"] = f"{SparkExportRetriever.__module__}.{SparkExportRetriever.__name__}"
        super().__init__(config=config, source_config=manifest)
        Entrypoint.set_up_secret_filter(config, manifest["spec"]["connection_specification"])


def read_windows(
    config: Mapping[str, Any], start: datetime, end: datetime, part: int, parts: int
) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the events of every `parts`-th window of the hours from `start` to before `end`.

    The first window is number `part`. An event is yielded if it lies between the config's dates too.
    Memory: at most `BLOCKS` blocks, beside what the retriever needs.

    Raises:
        AirbyteTracedException: a window could not be read whole.
    """
    config = {
        **config,
        "start_date": format_moment(start),
        "end_date": format_moment(end),
        "_dates": [config.get("start_date") or BEGINNING_OF_DATA, end_of_uploads(config)],
        "lookback_hours": 0,
    }
    windows = list(partitions_of(config, "events"))
    if not windows or parse_hour((windows[-1].to_slice() or {})["end_time"]) + HOUR != end:
        raise config_error(
            "An executor's clock is behind the driver's: set the clocks of the cluster."
        )
    blocks = (record.data["events"] for w in windows[part::parts] for record in w.read())
    while events := list(islice(blocks, BLOCKS)):
        yield list(chain.from_iterable(events))


def read_whole(config: Mapping[str, Any], stream: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the records of a stream other than `events`.

    Raises:
        AirbyteTracedException: the stream could not be read.
    """
    records = chain.from_iterable(part.read() for part in partitions_of(config, stream))
    while some := [record.data for record in islice(records, RECORDS)]:
        yield some


def start_of(config: Mapping[str, Any]) -> datetime:
    """The hour of the start date."""
    return parse_hour(max(config.get("start_date") or "", BEGINNING_OF_DATA))


def end_of(config: Mapping[str, Any], newest: datetime) -> datetime:
    """The end of the hour that the end date is in, or `newest` if it is earlier."""
    if not (text := config.get("end_date")):
        return newest
    hour = parse_hour(text)
    return min(newest, hour if text == format_moment(hour) else hour + HOUR)


def format_moment(hour: datetime) -> str:
    """An hour as an option has it."""
    return f"{hour:%Y-%m-%dT%H}:00:00Z"


def partitions_of(config: Mapping[str, Any], stream: str) -> Iterator[Partition]:
    """The partitions of a stream of the manifest, in order."""
    source = TaskSource(config)
    (found,) = (each for each in source.streams(config) if each.name == stream)
    return iter(found.generate_partitions())
