"""The manifest's streams as the package runs them: events on their own way, all others one by one."""

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
from source_amplitude.process.batching import LIMITS, BatchingExportRetriever, ExportLimits
from source_amplitude.process.sequential import SequentialStream
from source_amplitude.process.states import read_states

MANIFEST_PATH = Path(source_amplitude.__file__).with_name("manifest.yaml")
# The one spelling of a custom component that every runtime resolves (docs/design.md, "Class names").
sys.modules.setdefault("source_declarative_manifest.components", extensions)
ARCHIVES = 8
"""Workers that events may have: as many archives lie on disk, in flight or waiting to be emitted."""
DOWNLOADS = 4
"""Requests in flight of the five that Amplitude allows a project; the fifth is the daily streams'."""
INDEPENDENT = ("cohort_members", "charts", "event_segmentation")
"""Streams whose partitions do not depend on each other: one that fails does not keep the others unread."""
CHECK_STREAMS = ("events_list", "annotations", "cohorts")
"""Streams that the check asks for, one cheap request each; the first is on every plan."""
CHECK_SECONDS = 50
"""How long a check waits for them: a person does, and a platform gives up after some minutes."""


def load_manifest() -> dict[str, Any]:
    """The manifest as this process runs it: workers that may wait, and all lists read alike."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(MANIFEST_PATH.read_text("utf-8"), loader)
    document["concurrency_level"]["default_concurrency"] = ARCHIVES + len(document["streams"])
    events = document["definitions"]["events"]["retriever"]
    events["class_name"] = (
        f"{BatchingExportRetriever.__module__}.{BatchingExportRetriever.__name__}"
    )
    # The one that it declares is for the Connector Builder's check, which brings no custom component.
    del document["definitions"]["events_list"]["retriever"]
    return document


class SourceAmplitude(ConcurrentDeclarativeSource):
    """The streams of the manifest, `events` with a cursor of its own and past the CDK's queue of records.

    At most five requests are in flight: `DOWNLOADS` of events and lists, and one of the daily streams and
    charts, which often wait for their budget and hold up nothing else.
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
            # What is not read is not built either: it is a tenth of the start-up.
            manifest["streams"] = [references[name] for name in references if name in names]
        super().__init__(
            catalog=catalog, config=dict(config or {}), state=state, source_config=manifest
        )

    @classmethod
    def read_state(cls, state_path: str | None) -> list[AirbyteStateMessage]:
        """The saved states of a sync; none without a file."""
        return read_states(state_path) if state_path else []

    @staticmethod
    def write_config(config: Mapping[str, Any], config_path: str) -> None:
        """Do nothing: nobody reads the file, and it would put the keys on the disk."""

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The manifest's streams, in its order.

        Raises:
            TypeError: the CDK has built a stream in another way than the one this source knows.
        """
        LIMITS.set(self.export_limits)
        return [self._adapt(stream) for stream in super().streams(config)]

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Check the keys within `CHECK_SECONDS`, asking nothing twice.

        A stream that cannot be read is named in the message; the check fails when none can.
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
            AirbyteTracedException: config_error, the catalog has streams that the manifest has not;
                the others have been read.
        """
        names = sorted(_names(catalog) - self._names)
        unknown = names and config_error(
            f"The catalog has streams that this source does not: {', '.join(names)}. Refresh the schema"
            " of the connection, or leave them out."
        )
        try:
            yield from super().read(logger, config, catalog, state)
        except AirbyteTracedException:
            if unknown:
                yield unknown.as_airbyte_message()
            raise
        if unknown:
            raise unknown

    def _adapt(self, stream: AbstractStream) -> AbstractStream:
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
    """The message of what keeps a stream from being read, empty if nothing does."""
    try:
        for partition in stream.generate_partitions():
            next(iter(partition.read()), None)
    except AirbyteTracedException as error:
        return str(error.message)
    except Exception as error:
        return (
            f"Amplitude's response for {stream.name} could not be read ({type(error).__name__});"
            " open an issue if it stays."
        )
    return ""


def _no_answer(name: str) -> str:
    return (
        f"Amplitude did not respond to the request for {name} within {CHECK_SECONDS} seconds. Check the"
        " network and the data region, then test again."
    )


def _names(catalog: ConfiguredAirbyteCatalog) -> set[str]:
    return {stream.stream.name for stream in catalog.streams}
