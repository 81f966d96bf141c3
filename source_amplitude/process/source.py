"""The source: the manifest's streams, each read by one worker, and the events by several."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import yaml
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    Status,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

import source_amplitude
from source_amplitude import extensions
from source_amplitude.extensions.errors import config_error
from source_amplitude.process.batching import (
    EXPORT_LIMITS,
    BatchingExportRetriever,
    ExportLimits,
)
from source_amplitude.process.sequential import SequentialStream
from source_amplitude.process.states import read_states

MANIFEST_PATH = Path(source_amplitude.__file__).with_name("manifest.yaml")
# The manifest names its components by the only module that every runtime can resolve (docs/design.md,
# "Class names"). Here it is the package's own modules.
sys.modules.setdefault("source_declarative_manifest.components", extensions)
ARCHIVES = 8
"""Workers for events, and so archives on disk: in flight, or waiting to be emitted."""
DOWNLOADS = 4
"""Requests in flight, of the five that Amplitude allows a project; the fifth is for the daily streams."""
INDEPENDENT = ("cohort_members", "charts", "event_segmentation")
"""Streams whose other partitions are read even if one fails."""
CHECK_STREAMS = ("events_list", "annotations", "cohorts")
"""Streams that the check requests, with one cheap request each; every plan includes the first."""
CHECK_SECONDS = 50
"""How long a check waits for all of them, while a person waits for the check."""


def load_manifest() -> dict[str, Any]:
    """Return the manifest with what only the package changes in it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(MANIFEST_PATH.read_text("utf-8"), loader)
    # A worker is blocked while it waits for a slot or for the rate limit, so each stream can have one.
    document["concurrency_level"]["default_concurrency"] = ARCHIVES + len(document["streams"])
    events = document["definitions"]["events"]["retriever"]
    events["class_name"] = (
        f"{BatchingExportRetriever.__module__}.{BatchingExportRetriever.__name__}"
    )
    # The manifest gives events_list a retriever of its own for the Connector Builder's check only.
    del document["definitions"]["events_list"]["retriever"]
    return document


class SourceAmplitude(ConcurrentDeclarativeSource):
    """The streams of the manifest, as the package schedules them.

    At most five requests are in flight: `DOWNLOADS` of events and lists, and one of the daily streams and
    charts. Those often wait for the rate limit, and must not delay the events.
    """

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None,
        config: Mapping[str, Any] | None,
        state: list[AirbyteStateMessage] | None,
    ) -> None:
        """Build the source for one command; `read` uses this config, catalog and state.

        While `export_limits.batching` is set, `read` yields events as `RecordBatch`.
        """
        self._export_slots = threading.BoundedSemaphore(DOWNLOADS)
        self.export_limits = ExportLimits(self._export_slots)
        self._daily_slot = threading.BoundedSemaphore(1)
        manifest = load_manifest()
        references = {reference.rpartition("/")[2]: reference for reference in manifest["streams"]}
        self._names = references.keys()
        if catalog and (names := _names(catalog) & self._names):
            # Build only the selected streams; this saves a tenth of the start-up time.
            manifest["streams"] = [references[name] for name in references if name in names]
        super().__init__(
            catalog=catalog, config=dict(config or {}), state=state, source_config=manifest
        )

    @classmethod
    def read_state(cls, state_path: str | None) -> list[AirbyteStateMessage]:
        """Return the saved states; an empty list without a file."""
        return read_states(state_path) if state_path else []

    @staticmethod
    def write_config(config: Mapping[str, Any], config_path: str) -> None:
        """Do nothing: no code reads this file, and it would put the keys on the disk."""

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """Return the manifest's streams, in its order.

        Raises:
            TypeError: the CDK built a stream in a way that this source does not know.
        """
        EXPORT_LIMITS.set(self.export_limits)
        return [self._adapt(stream) for stream in super().streams(config)]

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Read one record of each of `CHECK_STREAMS`, within `CHECK_SECONDS` and without retries.

        The check fails if none of them can be read. If only some can, the message names the others, because
        the project's plan may not include them.
        """
        source = SourceAmplitude(None, {**config, "ask_again": False}, None)
        streams = {stream.name: stream for stream in source.streams(config)}
        pool = ThreadPoolExecutor(len(CHECK_STREAMS))
        probes = {name: pool.submit(_read_first_record, streams[name]) for name in CHECK_STREAMS}
        wait(probes.values(), timeout=CHECK_SECONDS)
        pool.shutdown(wait=False)
        messages = [
            message
            for name, probe in probes.items()
            if (message := probe.result() if probe.done() else _no_answer(name))
        ]
        if len(messages) == len(CHECK_STREAMS):
            return AirbyteConnectionStatus(status=Status.FAILED, message=messages[0])
        for message in messages:
            logger.warning(message)
        return AirbyteConnectionStatus(status=Status.SUCCEEDED, message=" ".join(messages) or None)

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Yield the messages of a sync.

        Raises:
            AirbyteTracedException: config_error, the catalog has streams that the manifest does not have;
                the others have been read.
        """
        names = sorted(_names(catalog) - self._names)
        unknown = names and config_error(
            f"The catalog has streams that this source does not have: {', '.join(names)}. Refresh the"
            " connection's schema, or deselect them."
        )
        try:
            yield from super().read(logger, config, catalog, state)
        except AirbyteTracedException:
            # The CDK raises its summary of the failed streams, which is never written.
            if unknown:
                yield unknown.as_airbyte_message()
            raise
        if unknown:
            raise unknown

    def _adapt(self, stream: AbstractStream) -> AbstractStream:
        """Return the stream with its slot; `events` as it is, because its retriever takes a slot itself."""
        if not isinstance(stream, DefaultStream):
            raise TypeError(f"the CDK built {stream.name} as {type(stream).__name__}")
        if stream.name == "events":
            return stream
        cursors = ConcurrentCursor | ConcurrentPerPartitionCursor
        cohorts = stream.name == "cohort_members"
        daily = stream.name == "charts" or (isinstance(stream.cursor, cursors) and not cohorts)
        slot = self._daily_slot if daily else self._export_slots
        return SequentialStream(stream, slot, independent=stream.name in INDEPENDENT)


def _read_first_record(stream: AbstractStream) -> str:
    """Read a stream's first record; return the message of the error, or an empty string."""
    try:
        for partition in stream.generate_partitions():
            next(iter(partition.read()), None)
    except AirbyteTracedException as error:
        return str(error.message)
    except Exception as error:
        return (
            f"Amplitude's response for {stream.name} could not be read ({type(error).__name__}). If the error"
            " persists, open an issue."
        )
    return ""


def _no_answer(name: str) -> str:
    return (
        f"Amplitude did not respond to the request for {name} within {CHECK_SECONDS} seconds. Check the"
        " network and the data region, then test again."
    )


def _names(catalog: ConfiguredAirbyteCatalog) -> set[str]:
    return {stream.stream.name for stream in catalog.streams}
