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
    AirbyteStreamStatus,
    ConfiguredAirbyteCatalog,
    Status,
    Type,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude import cdk
from source_amplitude.cursor import HOUR, ExportCursor
from source_amplitude.export import ARCHIVES, ExportPartitions, Handover, ReadyWindow
from source_amplitude.sequential import SequentialStream

MANIFEST_PATH = Path(__file__).with_name("manifest.yaml")
DOWNLOADS = 4
"""Requests in flight of the five that Amplitude allows a project; the fifth is the daily streams'."""
CHECK_STREAMS = ("events_list", "annotations", "cohorts")
"""Streams that the check asks for, one cheap request each; the first is on every plan."""


def load_manifest() -> dict[str, Any]:
    """The manifest as this process runs it: workers that may wait, and one error handler for all streams."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(MANIFEST_PATH.read_text("utf-8"), loader)
    document["concurrency_level"]["default_concurrency"] = ARCHIVES + len(document["streams"])
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

        While `serialize` is set, `read` yields the records of events as `RecordBatch`.
        """
        self.serialize = False
        self._handover = Handover()
        self._states = ConnectorStateManager(state)
        self._export_slots = threading.BoundedSemaphore(DOWNLOADS)
        self._daily_slot = threading.BoundedSemaphore(1)
        super().__init__(
            catalog=catalog, config=dict(config or {}), state=state, source_config=load_manifest()
        )

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The manifest's streams, in its order.

        Raises:
            TypeError: the CDK has built a stream in another way than the one this source knows.
        """
        return [self._adapt(stream) for stream in super().streams(config)]

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
        """Yield the messages of a sync; the windows of events are read here, one at a time."""
        not_running = {stream.stream.name: stream.stream for stream in catalog.streams}
        try:
            for message in super().read(logger, config, catalog, state):
                if not isinstance(message, ReadyWindow):
                    yield message
                    continue
                for part in message.messages(self.serialize):
                    if part.type == Type.RECORD and (
                        stream := not_running.pop(message.stream, None)
                    ):
                        yield as_airbyte_message(stream, AirbyteStreamStatus.RUNNING)
                    yield part
        finally:
            self._handover.close()

    def _adapt(self, stream: AbstractStream) -> AbstractStream:
        if not isinstance(stream, DefaultStream):
            raise TypeError(f"the CDK built {stream.name} as {type(stream).__name__}")
        if stream.name == "events":
            return self._events_stream(stream)
        daily = isinstance(stream.cursor, ConcurrentCursor)
        return SequentialStream(stream, self._daily_slot if daily else self._export_slots)

    def _events_stream(self, stream: DefaultStream) -> AbstractStream:
        declared = stream.cursor
        assert isinstance(declared, ConcurrentCursor)
        start, last, window, lookback = cdk.windows(declared)
        retriever = cdk.retriever(stream)
        emit = cdk.emitter(self)

        def checkpoint(state: Mapping[str, Any]) -> AirbyteMessage:
            self._states.update_state_for_stream(stream.name, stream.namespace, dict(state))
            return self._states.create_state_message(stream.name, stream.namespace)

        cursor = ExportCursor(
            self._states.get_stream_state(stream.name, stream.namespace),
            start=start,
            end=last + HOUR,
            window=window,
            lookback=lookback,
            emit=lambda state: emit(checkpoint(state)),
            cut=retriever.record_selector.extractor.decoder.before,  # type: ignore[attr-defined]
        )
        return DefaultStream(
            partition_generator=ExportPartitions(
                stream.name,
                retriever,
                cursor,
                checkpoint,
                emit,
                self._handover,
                self._export_slots,
            ),
            name=stream.name,
            json_schema=stream.get_json_schema,
            primary_key=cdk.primary_key(stream),
            cursor_field=cdk.cursor_field(stream),
            logger=self.logger,
            cursor=cursor,
        )
