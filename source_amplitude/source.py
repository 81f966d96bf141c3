"""The connector's process: the manifest's streams, and a short way through for events.

A worker downloads and verifies an export window; the main thread reads its lines and emits them.
The CDK's own way, a queue item and several copies for each event, costs more than all of that together.
Every other stream is read by one worker, one request after another.
"""

import base64
import gc
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from argparse import Namespace
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import pytz
import yaml
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.exception_handler import init_uncaught_exception_handler
from airbyte_cdk.logger import PRINT_BUFFER, is_platform_debug_log_enabled
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStateMessage,
    AirbyteStreamStatus,
    ConfiguredAirbyteCatalog,
    ConnectorSpecification,
    FailureType,
    Type,
)
from airbyte_cdk.models import Status as ConnectionStatus
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.declarative.retrievers import SimpleRetriever
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor, Cursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.streams.http.request_window_split_exception import (
    RequestWindowSplitRequiredException,
)
from airbyte_cdk.sources.types import Record
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

from source_amplitude.components import Archive, DamagedArchiveError, ExportDecoder
from source_amplitude.cursor import HOUR, ExportCursor, Window, stream_slice

MANIFEST = Path(__file__).with_name("manifest.yaml")
DOWNLOADS = 4
"""Requests in flight of the five that Amplitude allows a project; the fifth is the daily streams'."""
ARCHIVES = 8
"""Exports on disk at once: those in flight, and those that wait to be emitted."""
PROBES = ("events_list", "annotations", "cohorts")
"""Streams that the check asks for, one cheap request each; the first is on every plan."""
LINES_BYTES = 256 * 1024
"""Serialized records that are written at once."""
GRACE_SECONDS = 4
"""How long after SIGTERM a process may still write what it has begun."""
DOWNLOAD_TRIES = 3
"""How often a window is fetched whose archive arrives damaged, before it is split."""


def manifest() -> dict[str, Any]:
    """The manifest as this process runs it: workers that may wait, and one error handler for all streams."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(MANIFEST.read_text("utf-8"), loader)
    document["concurrency_level"]["default_concurrency"] = ARCHIVES + len(document["streams"])
    # What stands there is for the Connector Builder's check.
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

        While `serialize` is set, `read` yields the records of events as `RecordLines`.
        """
        self.serialize = False
        self._handover = Handover()
        self._downloads = threading.BoundedSemaphore(DOWNLOADS)
        self._daily = threading.BoundedSemaphore(1)
        super().__init__(
            catalog=catalog, config=dict(config or {}), state=state, source_config=manifest()
        )

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The manifest's streams, in its order."""
        return [
            self._export(stream) if stream.name == "events" else self._sequential(stream)
            for stream in super().streams(config)
            if isinstance(stream, DefaultStream)
        ]

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Prove the keys; a stream that is not to be had is named, and fails nothing while another works."""
        self._config = {**self._config, **self._source_config["check"]["config_overrides"]}
        streams = {stream.name: stream for stream in self.streams(self._config)}
        refusals: dict[str, str] = {}
        for name in PROBES:
            try:
                for partition in streams[name].generate_partitions():
                    next(iter(partition.read()), None)
            except AirbyteTracedException as error:
                refusals[name] = str(error.message)
        if len(refusals) == len(PROBES):
            first = refusals[PROBES[0]]
            return AirbyteConnectionStatus(status=ConnectionStatus.FAILED, message=first)
        for refusal in refusals.values():
            logger.warning(refusal)
        missing = " ".join(refusals.values()) or None
        return AirbyteConnectionStatus(status=ConnectionStatus.SUCCEEDED, message=missing)

    def _sequential(self, stream: DefaultStream) -> AbstractStream:
        daily = isinstance(stream.cursor, ConcurrentCursor)
        return DefaultStream(
            partition_generator=WholeStream(stream, self._daily if daily else self._downloads),
            name=stream.name,
            json_schema=stream.get_json_schema,
            primary_key=stream._primary_key,
            cursor_field=stream._cursor_field,
            logger=self.logger,
            cursor=ClosedWithin(stream.cursor),
        )

    def _export(self, stream: DefaultStream) -> AbstractStream:
        # The manifest says start, end, step and look-back; the CDK offers no public way to ask for them.
        declared = stream.cursor
        assert isinstance(declared, ConcurrentCursor)
        retriever = stream._stream_partition_generator._partition_factory._retriever  # type: ignore[attr-defined]

        def saved(state: Mapping[str, Any]) -> AirbyteMessage:
            manager = self._connector_state_manager
            manager.update_state_for_stream(stream.name, stream.namespace, dict(state))
            return manager.create_state_message(stream.name, stream.namespace)

        send = self._message_repository.emit_message

        start: Any = declared._start
        last: Any = declared._end_provider()
        window: Any = declared._slice_range
        lookback: Any = declared._lookback_window
        cursor = ExportCursor(
            self._connector_state_manager.get_stream_state(stream.name, stream.namespace),
            start=start,
            end=last + HOUR,
            window=window,
            lookback=lookback,
            emit=lambda state: send(saved(state)),
            cut=retriever.record_selector.extractor.decoder.before,
        )
        return DefaultStream(
            partition_generator=ExportPartitions(
                stream.name,
                retriever,
                cursor,
                saved,
                send,
                self._handover,
                self._downloads,
            ),
            name=stream.name,
            json_schema=stream.get_json_schema,
            primary_key=stream._primary_key,
            cursor_field=stream._cursor_field,
            logger=self.logger,
            cursor=cursor,
        )

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Yield the messages of a sync; the windows of events are read here, one at a time."""
        running = {stream.stream.name: stream.stream for stream in catalog.streams}
        try:
            for message in super().read(logger, config, catalog, state):
                if not isinstance(message, ReadyWindow):
                    yield message
                    continue
                for part in message.messages(self.serialize):
                    if part.type == Type.RECORD and (status := running.pop(message.stream, None)):
                        yield as_airbyte_message(status, AirbyteStreamStatus.RUNNING)
                    yield part
        finally:
            self._handover.close()


class WholeStream(PartitionGenerator):
    """All partitions of a stream as one, so that a stream which waits for its budget holds one worker."""

    def __init__(self, stream: DefaultStream, slot: threading.BoundedSemaphore) -> None:
        """Read `stream` while `slot` is held, so that its requests are counted."""
        self._stream, self._slot = stream, slot

    def generate(self) -> Iterator[Partition]:
        """Yield the one partition."""
        yield WholePartition(self._stream, self._slot)


class WholePartition(Partition):
    """The partitions of a stream one after another, each closed as soon as it has been read."""

    def __init__(self, stream: DefaultStream, slot: threading.BoundedSemaphore) -> None:  # noqa: D107
        self._stream, self._slot = stream, slot

    def read(self) -> Iterator[Record]:
        """Yield the stream's records.

        Raises:
            AirbyteTracedException: a partition could not be read; those before it are in the state.
        """
        cursor = self._stream.cursor
        with self._slot:
            for partition in self._stream.generate_partitions():
                for record in partition.read():
                    yield record
                    cursor.observe(record)
                cursor.close_partition(partition)

    def to_slice(self) -> Mapping[str, Any] | None:
        """All of the stream."""
        return None

    def stream_name(self) -> str:
        """The stream that is read."""
        return self._stream.name

    def __hash__(self) -> int:
        """Tell the partitions of a source apart."""
        return hash(self._stream.name)


class ClosedWithin(Cursor):
    """A cursor whose partitions are observed and closed where they are read."""

    def __init__(self, cursor: Cursor) -> None:
        """Stand for `cursor`."""
        self._cursor = cursor

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The state as it can be saved now."""
        return self._cursor.state

    def observe(self, record: Record) -> None:
        """Do nothing: `WholePartition` has."""

    def close_partition(self, partition: Partition) -> None:
        """Do nothing: `WholePartition` has."""

    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit the state, at a sync's end."""
        self._cursor.ensure_at_least_one_state_emitted()

    def should_be_synced(self, record: Record) -> bool:
        """Ask the cursor."""
        return self._cursor.should_be_synced(record)


class RecordLines(AirbyteMessage):
    """Records of one stream in their final form, a line each: many messages in one."""

    def __init__(self, stream: str, lines: list[bytes]) -> None:
        """Join the lines, each of them a record message."""
        super().__init__(type=Type.RECORD)
        self.stream = HashableStreamDescriptor(name=stream, namespace=None)
        self.count = len(lines)
        self.text = b"\n".join([*lines, b""])


class ReadyWindow(AirbyteMessage):
    """A window on its way to the main thread, which emits it between two messages.

    Only there is known what has been emitted: each state says just that, no less and no more.
    """

    def __init__(
        self,
        stream: str,
        window: Window,
        archive: Archive | None,
        cursor: ExportCursor,
        saved: Callable[[Mapping[str, Any]], AirbyteMessage],
    ) -> None:
        """Hold the verified archive, if the window has any events, until `done` is set."""
        super().__init__(type=Type.RECORD)
        self.stream = stream
        self.done = threading.Event()
        self.error: BaseException | None = None
        self._window, self._archive, self._cursor, self._saved = window, archive, cursor, saved

    def messages(self, serialize: bool = False) -> Iterator[AirbyteMessage]:
        """Yield the records of the members that are new, then the state; an error waits in `error`."""
        records = self._lines if serialize else self._records
        try:
            for member in self._archive.members if self._archive else ():
                if not self._cursor.is_new(member):
                    continue
                if self._archive:
                    since = self._cursor.emitted_before(member)
                    yield from records(self._archive.records(member, since))
                self._cursor.member_read(member, self._window)
            self._cursor.window_read(self._window)
        except Exception as error:
            self.error = error
        finally:
            self._close()
        yield self._saved(self._cursor.state)

    def _records(self, events: Iterable[dict[str, Any]]) -> Iterator[AirbyteMessage]:
        emitted_at = time.time_ns() // 1_000_000
        for event in events:
            record = AirbyteRecordMessage(stream=self.stream, data=event, emitted_at=emitted_at)
            yield AirbyteMessage(type=Type.RECORD, record=record)

    def _lines(self, events: Iterable[dict[str, Any]]) -> Iterator[AirbyteMessage]:
        """The same in batches, past the CDK's path for a message: that costs more than all else here.

        Memory: `LINES_BYTES` and one record.
        """
        emitted_at = time.time_ns() // 1_000_000
        lines: list[bytes] = []
        size = 0
        for event in events:
            lines.append(line := serialized(self.stream, event, emitted_at))
            size += len(line)
            if size >= LINES_BYTES:
                yield RecordLines(self.stream, lines)
                lines, size = [], 0
        if lines:
            yield RecordLines(self.stream, lines)

    def abandon(self) -> None:
        """Give the archive back unread."""
        self.error = AbandonedError()
        self._close()

    def _close(self) -> None:
        if self._archive:
            self._archive.close()
        self.done.set()


class AbandonedError(Exception):
    """The sync ended before a window was read."""


class Handover:
    """Where workers wait until the main thread has read their windows, or has ended."""

    def __init__(self) -> None:  # noqa: D107
        self._lock = threading.Lock()
        self._windows: dict[int, ReadyWindow] = {}
        self._closed = False

    def read(self, window: ReadyWindow, send: Callable[[AirbyteMessage], None]) -> None:
        """Send a window to the main thread and return when it has been read there.

        Raises:
            Exception: what ended the reading; AbandonedError when the sync has ended.
        """
        with self._lock:
            if self._closed:
                window.abandon()
            self._windows[id(window)] = window
        try:
            if not window.done.is_set():
                send(window)
            window.done.wait()
            if window.error:
                raise window.error
        finally:
            with self._lock:
                del self._windows[id(window)]

    def close(self) -> None:
        """Let every waiting worker go, now and later."""
        with self._lock:
            self._closed = True
            for window in self._windows.values():
                if not window.done.is_set():
                    window.abandon()


class ExportPartitions(PartitionGenerator):
    """The windows that the cursor still wants, as partitions that a worker reads."""

    def __init__(
        self,
        stream: str,
        retriever: SimpleRetriever,
        cursor: ExportCursor,
        saved: Callable[[Mapping[str, Any]], AirbyteMessage],
        send: Callable[[AirbyteMessage], None],
        handover: Handover,
        downloads: threading.BoundedSemaphore,
    ) -> None:
        """Share the requester, the decoder and what was learned of sizes among all partitions."""
        self.stream = stream
        self.cursor = cursor
        self.requester = retriever.requester
        self.decoder: ExportDecoder = retriever.record_selector.extractor.decoder  # type: ignore[attr-defined]
        self.downloads = downloads
        self.archives = threading.BoundedSemaphore(ARCHIVES)
        self.largest: timedelta | None = None
        self._saved, self._send, self._handover = saved, send, handover

    def generate(self) -> Iterator[Partition]:
        """Yield a partition for each window."""
        for window in self.cursor.windows():
            yield ExportPartition(self, window)

    def hand_over(self, window: Window, archive: Archive | None) -> None:
        """Have the main thread emit a window."""
        ready = ReadyWindow(self.stream, window, archive, self.cursor, self._saved)
        self._handover.read(ready, self._send)


class ExportPartition(Partition):
    """One window of the export, read in parts where Amplitude refuses it whole.

    Disk: one archive at a time.
    """

    def __init__(self, export: ExportPartitions, window: Window) -> None:  # noqa: D107
        self._export = export
        self._window = window

    def read(self) -> Iterable[Record]:
        """Emit the window's events through the main thread; yield nothing.

        Raises:
            AirbyteTracedException: some hours could not be read; the rest of the window was.
        """
        failures: list[tuple[Window, Exception]] = []
        parts = deque([self._window])
        while parts:
            part = parts.popleft()
            hours = part[1] - part[0]
            if self._export.largest and hours > self._export.largest:
                parts.extendleft(reversed(_halves(part)))
                continue
            try:
                with self._export.archives:
                    self._export.hand_over(part, self._fetch(part))
            except RequestWindowSplitRequiredException as refusal:
                if hours > HOUR:
                    # What is too large once is too large again: the rest of the sync asks for less.
                    self._export.largest = _halves(part)[0][1] - part[0]
                    parts.appendleft(part)
                else:
                    failures.append((part, refusal))
            except AbandonedError:
                return iter(())
            except AirbyteTracedException as failure:
                if failure.failure_type == FailureType.config_error:
                    raise
                failures.append((part, failure))
        if failures:
            raise _incomplete(failures) from failures[0][1]
        return iter(())

    def _fetch(self, window: Window) -> Archive | None:
        """Download and verify a window; None when it has no events.

        Raises:
            RequestWindowSplitRequiredException: too large, or damaged at each of the tries.
        """
        for attempt in range(1, DOWNLOAD_TRIES + 1):
            try:
                with self._export.downloads:
                    response = self._export.requester.send_request(
                        stream_slice=stream_slice(window)
                    )
                    if response is None or not response.ok:
                        return None
                    file = self._export.decoder.spooled(response)
                return self._export.decoder.opened(file)
            except DamagedArchiveError as error:
                damage = error
            if attempt < DOWNLOAD_TRIES:
                time.sleep(2**attempt)
        raise RequestWindowSplitRequiredException(
            stream_name=self._export.stream,
            error_message=f"the archive is not whole, {DOWNLOAD_TRIES} times over: {damage}",
        ) from damage

    def to_slice(self) -> Mapping[str, Any]:
        """The window in the form of a request."""
        return stream_slice(self._window)

    def stream_name(self) -> str:
        """The stream that the window is of."""
        return self._export.stream

    def __hash__(self) -> int:
        """Tell the partitions of a stream apart."""
        return hash(self._window)


def _halves(window: Window) -> list[Window]:
    """A window of two hours or more in two, the first no shorter than the second."""
    first, last = window
    middle = first + -(-((last - first) // HOUR) // 2) * HOUR
    return [(first, middle), (middle, last)]


def _incomplete(failures: list[tuple[Window, Exception]]) -> AirbyteTracedException:
    hours = ", ".join(
        f"{first:%Y%m%dT%H} to {last - HOUR:%Y%m%dT%H}" for (first, last), _ in failures[:5]
    )
    cause = failures[0][1]
    words = (cause.message if isinstance(cause, AirbyteTracedException) else "") or str(cause)
    if isinstance(cause, RequestWindowSplitRequiredException):
        words = (
            f"Amplitude does not export even a single hour ({cause.error_message}); if that stays,"
            " read those hours from Amplitude's S3 export"
        )
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return AirbyteTracedException(
        message=f"The events of these hours (UTC) were not read and will be asked for again by the next"
        f" sync: {hours}{more}. {words.rstrip('.')}.",
        internal_message=f"{len(failures)} export windows failed, the first with {type(cause).__name__}",
        failure_type=getattr(cause, "failure_type", None) or FailureType.transient_error,
    )


class Entrypoint(AirbyteEntrypoint):
    """The CDK's commands with errors that name the option, records with their nulls, and keys kept in."""

    def run(self, parsed_args: Namespace) -> Iterator[str]:
        """Yield the messages of a command, one JSON text each."""
        for output in self.output(parsed_args):
            yield from [output] if isinstance(output, str) else output.decode().splitlines()

    def output(self, parsed_args: Namespace) -> Iterator[str | bytes]:
        """Yield the messages of a command: one JSON text, or many records as whole lines.

        The CDK's serializer drops the nulls of a record and is slow: `read` has its own.
        """
        # With --debug the CDK's requesters write headers and bodies to the log.
        logging.getLogger("airbyte.HttpRequester").setLevel(logging.INFO)
        if parsed_args.command != "read":
            yield from super().run(parsed_args)
            return
        if parsed_args.debug or is_platform_debug_log_enabled():
            for name in ("airbyte", self.logger.name):
                logging.getLogger(name).setLevel(logging.DEBUG)
        specification = self.source.spec(self.logger)
        config = self.source.read_config(parsed_args.config)
        catalog = self.source.read_catalog(parsed_args.catalog)
        state = self.source.read_state(parsed_args.state)
        self.source.serialize = True  # type: ignore[attr-defined] # it is a SourceAmplitude
        for message in self.read(specification, config, catalog, state):
            if isinstance(message, RecordLines):
                yield message.text
            elif record := message.record:
                yield serialized(record.stream, record.data, record.emitted_at).decode()
            else:
                yield self.airbyte_message_to_string(message)

    @staticmethod
    def handle_record_counts(
        message: AirbyteMessage, stream_message_count: defaultdict[HashableStreamDescriptor, float]
    ) -> AirbyteMessage:
        """Count the records between two states."""
        if isinstance(message, RecordLines):
            stream_message_count[message.stream] += message.count
            return message
        return AirbyteEntrypoint.handle_record_counts(message, stream_message_count)

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Keep both keys out of all output, and the header that is made of them."""
        AirbyteEntrypoint.set_up_secret_filter(config, connection_specification)
        pair = f"{config.get('api_key')}:{config.get('secret_key')}"
        add_to_secrets(base64.b64encode(pair.encode()).decode())

    @staticmethod
    def validate_connection(source_spec: ConnectorSpecification, config: Any) -> None:
        """Refuse a config that cannot work, in a sentence that names the option.

        Raises:
            AirbyteTracedException: config_error.
        """
        specification = source_spec.connectionSpecification
        if error := best_match(Draft7Validator(specification).iter_errors(config)):
            raise _refusal(_what_is_wrong(error, specification))
        now = datetime.now(timezone.utc)
        moments = {}
        for option in ("start_date", "end_date"):
            if config.get(option):
                try:
                    moments[option] = datetime.fromisoformat(config[option].replace("Z", "+00:00"))
                except ValueError as error:
                    raise _refusal(f"`{option}` is not a moment that exists") from error
        start, end = moments.get("start_date"), moments.get("end_date")
        if start and start > now:
            raise _refusal("`start_date` lies in the future: choose a moment that has passed")
        if start and end and start >= end:
            raise _refusal("`start_date` is not before `end_date`: choose an earlier one")
        if (zone := config.get("project_timezone")) and zone not in pytz.all_timezones_set:
            raise _refusal(
                "`project_timezone` is no IANA time zone: write it like America/Los_Angeles"
            )


def _what_is_wrong(error: ValidationError, specification: Mapping[str, Any]) -> str:
    """One sentence on an option that does not fit the spec, without its value."""
    if error.validator == "required":
        option = re.findall(r"'(\w+)' is a required", error.message)[0]
        return f"`{option}` is missing: fill it in"
    option = str(error.path[0]) if error.path else "the config"
    rule = specification["properties"].get(option, {})
    if "enum" in rule:
        return f"`{option}` is none of {', '.join(map(repr, rule['enum']))}: choose one of them"
    if "minimum" in rule:
        return f"`{option}` must be a whole number from {rule['minimum']} to {rule['maximum']}: change it"
    form = rule.get("pattern_descriptor") or f"a {rule.get('type')}"
    if rule.get("type") == "array":
        form = "a list without doubles"
    if option == "api_url":
        form = "an https address, or http to 127.0.0.1, localhost or [::1]"
    example = (
        f", such as {json.dumps(rule['examples'][0])}"
        if rule.get("examples") and not rule.get("airbyte_secret")
        else ""
    )
    return f"`{option}` must be {form}{example}: change it"


def _refusal(what: str) -> AirbyteTracedException:
    return AirbyteTracedException(
        message=f"{what}.", internal_message="invalid config", failure_type=FailureType.config_error
    )


def serialized(stream: str, data: Mapping[str, Any], emitted_at: int) -> bytes:
    """A record message as JSON, nulls included."""
    record = {"stream": stream, "data": data, "emitted_at": emitted_at}
    try:
        return orjson.dumps({"type": "RECORD", "record": record})
    except TypeError:  # a lone surrogate, which JSON has and UTF-8 has not
        return json.dumps({"type": "RECORD", "record": record}, separators=(",", ":")).encode()


def build(arguments: list[str]) -> SourceAmplitude:
    """The source for a command line: it needs config, catalog and state when it is built.

    Raises:
        AirbyteTracedException: config_error when a file is missing or is not JSON.
    """
    catalog, config, state = (
        extract(arguments)
        for extract in (
            AirbyteEntrypoint.extract_catalog,
            AirbyteEntrypoint.extract_config,
            AirbyteEntrypoint.extract_state,
        )
    )
    try:
        return SourceAmplitude(
            SourceAmplitude.read_catalog(catalog) if catalog else None,
            SourceAmplitude.read_config(config) if config else None,
            SourceAmplitude.read_state(state) if state else None,
        )
    except (OSError, ValueError) as error:
        raise _refusal(f"A file of the command line cannot be read ({error})") from error


class Termination:
    """SIGTERM ends the process between two messages: never within one, nor after its half was written."""

    def __init__(self) -> None:
        """Take the signal over from Python."""
        self.writing = False
        self._asked = False
        signal.signal(signal.SIGTERM, self._on_signal)
        # In a container this is process 1, which no signal ends by default.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signal.SIGTERM))

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        # Whoever reads the messages may have stopped: then the process ends without a last word.
        signal.alarm(GRACE_SECONDS)
        if not self.writing:
            self.check()

    def check(self) -> None:
        """End here if that was asked for."""
        if self._asked:
            raise SystemExit(128 + signal.SIGTERM)

    def over(self) -> None:
        """Give the signal back: all is said, and the process may end as it likes."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def write_lines(text: bytes) -> None:
    """Write whole lines after all that was printed before them, and between the lines of other threads."""
    assert sys.__stdout__
    with PRINT_BUFFER.lock:
        PRINT_BUFFER.flush()
        sys.__stdout__.buffer.write(text)
        sys.__stdout__.buffer.flush()


def main() -> None:
    """Run `spec`, `check`, `discover` or `read`; see `--help`."""
    arguments = sys.argv[1:]
    parsed: Namespace = AirbyteEntrypoint.parse_args(arguments)
    if not parsed.command:
        sys.exit("source-amplitude: choose spec, check, discover or read; --help says more")
    init_uncaught_exception_handler(logging.getLogger("airbyte"))
    termination = Termination()
    try:
        entrypoint = Entrypoint(build(arguments))
        # What was built so far stays to the end: the collector need not walk it for every few events.
        gc.freeze()
        with PRINT_BUFFER:
            for message in entrypoint.output(parsed):
                termination.writing = True
                if isinstance(message, str):
                    print(f"{message}\n", end="")
                else:
                    write_lines(message)
                termination.writing = False
                termination.check()
    except SystemExit as end:
        # Workers may still wait for Amplitude; what they hold on disk has no name and goes with them.
        os._exit(int(end.code or 0))
    finally:
        termination.over()
