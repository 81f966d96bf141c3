"""The manifest's streams as the package runs them: events on their own way, all others one by one."""

import logging
import threading
from collections.abc import Iterator, Mapping
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
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude import cdk
from source_amplitude.components import UnreadableStateError
from source_amplitude.export import LIMITS, BatchingExportRetriever, ExportLimits
from source_amplitude.sequential import SequentialStream
from source_amplitude.states import FailedStream, read_states

MANIFEST_PATH = Path(__file__).with_name("manifest.yaml")
ARCHIVES = 8
"""Workers that events may have: as many archives lie on disk, in flight or waiting to be emitted."""
DOWNLOADS = 4
"""Requests in flight of the five that Amplitude allows a project; the fifth is the daily streams'."""
CHECK_STREAMS = ("events_list", "annotations", "cohorts")
"""Streams that the check asks for, one cheap request each; the first is on every plan."""


def load_manifest() -> dict[str, Any]:
    """The manifest as this process runs it: workers that may wait, and one error handler for all streams."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(MANIFEST_PATH.read_text("utf-8"), loader)
    document["concurrency_level"]["default_concurrency"] = ARCHIVES + len(document["streams"])
    events = document["definitions"]["events"]["retriever"]
    events["class_name"] = (
        f"{BatchingExportRetriever.__module__}.{BatchingExportRetriever.__name__}"
    )
    # The one that it declares is for the Connector Builder's check, which brings no custom component.
    del document["definitions"]["events_list"]["retriever"]["requester"]["error_handler"]
    return document


class SourceAmplitude(ConcurrentDeclarativeSource):
    """The streams of the manifest, `events` with a cursor of its own and past the CDK's queue of records.

    At most five requests are in flight: `DOWNLOADS` of events and lists, and one of the daily streams, which
    often wait for their budget and hold up nothing else.
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
        super().__init__(
            catalog=catalog, config=dict(config or {}), state=state, source_config=load_manifest()
        )

    @classmethod
    def read_state(cls, state_path: str | None) -> list[AirbyteStateMessage]:
        """The saved states of a sync; none without a file."""
        return read_states(state_path) if state_path else []

    @staticmethod
    def write_config(config: Mapping[str, Any], config_path: str) -> None:
        """Do nothing: nobody reads the file, and it would put the keys on the disk."""

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The manifest's streams, in its order; one whose saved state cannot be read fails when it is read.

        Raises:
            TypeError: the CDK has built a stream in another way than the one this source knows.
        """
        LIMITS.set(self.export_limits)
        try:
            streams = super().streams(config)
        except UnreadableStateError as error:
            cdk.forget_state(self, error.stream)
            return [
                FailedStream(stream, error) if stream.name == error.stream else stream
                for stream in self.streams(config)
            ]
        return [self._adapt(stream) for stream in streams]

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Check the keys, asking nothing twice.

        A stream that the plan lacks is named in the message; the check fails when all of them fail.
        """
        source = SourceAmplitude(None, {**config, "ask_again": False}, None)
        streams = {stream.name: stream for stream in source.streams(config)}
        messages: dict[str, str] = {}
        for name in CHECK_STREAMS:
            try:
                for partition in streams[name].generate_partitions():
                    next(iter(partition.read()), None)
            except AirbyteTracedException as error:
                messages[name] = str(error.message)
        if len(messages) == len(CHECK_STREAMS):
            first = messages[CHECK_STREAMS[0]]
            return AirbyteConnectionStatus(status=Status.FAILED, message=first)
        for message in messages.values():
            logger.warning(message)
        missing = " ".join(messages.values()) or None
        return AirbyteConnectionStatus(status=Status.SUCCEEDED, message=missing)

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Yield the messages of a sync."""
        try:
            yield from super().read(logger, config, catalog, state)
        finally:
            self.export_limits.close()

    def _adapt(self, stream: AbstractStream) -> AbstractStream:
        if not isinstance(stream, DefaultStream):
            raise TypeError(f"the CDK built {stream.name} as {type(stream).__name__}")
        if stream.name == "events":
            return stream
        daily = isinstance(stream.cursor, ConcurrentCursor)
        return SequentialStream(stream, self._daily_slot if daily else self._export_slots)
