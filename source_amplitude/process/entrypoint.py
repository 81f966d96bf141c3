"""The Airbyte protocol: a command line becomes a source, and its messages become text on stdout."""

import base64
import gc
import logging
import os
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.logger import PRINT_BUFFER, is_platform_debug_log_enabled
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    ConnectorSpecification,
    Status,
    Type,
)
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import config_error
from source_amplitude.process import cdk
from source_amplitude.process.config import validate_config
from source_amplitude.process.messages import RecordBatch, serialize_record
from source_amplitude.process.source import SourceAmplitude


def launch(arguments: list[str], deferred: Callable[[], AbstractContextManager[None]]) -> None:
    """Run one command and end the process. No signal interrupts what is written within `deferred`.

    The exit code is 1 after an error, and otherwise 0, also if a check fails: its message says so.
    """
    parsed: Namespace = Entrypoint.parse_args(arguments)
    if not parsed.command:
        sys.exit("source-amplitude: choose spec, check, discover or read; --help says more")
    last: list[str | bytes] = []
    code = 0
    with PRINT_BUFFER:
        try:
            entrypoint = Entrypoint(source_for(arguments))
            # Objects created so far live until the end, and events contain no cycles, so collect rarely.
            gc.freeze()
            gc.set_threshold(20_000)
            gc.enable()
            if parsed.command == "read":
                for message in entrypoint.output(parsed):
                    # One message at a time, so that SIGTERM can end the process between any two.
                    with deferred():
                        write(message)
            else:
                last = list(entrypoint.output(parsed))
        except BrokenPipeError:
            raise  # Nobody reads an error message either: `main` exits.
        except Exception as error:
            last = error_messages(error, parsed.command)
            code = int(parsed.command != "check")
        # PyAirbyte terminates the process as soon as it has the result, so write it and exit without
        # interruption.
        with deferred():
            for message in last:
                write(message)
            PRINT_BUFFER.flush()
            # Exit without waiting for other threads: a check may have requests that got no response in time.
            os._exit(code)


def error_messages(error: Exception, command: str) -> list[str | bytes]:
    """Return the last message of a command that an error has ended, or none if the streams had theirs.

    A check that fails ends with a connection status, any other command with a trace.
    """
    if cdk.sums_up_failed_streams(error):
        # Each stream has emitted its own error. The platform shows the last error of a sync, and the CDK's
        # summary is always a config_error.
        return []
    traced = error
    if not isinstance(traced, AirbyteTracedException):
        traced = AirbyteTracedException.from_exception(
            error,
            message=f"The connector failed with {type(error).__name__}. If the error persists, open an"
            " issue.",
        )
    message = traced.as_sanitized_airbyte_message()
    if command == "check" and message.trace and message.trace.error:
        status = AirbyteConnectionStatus(status=Status.FAILED, message=message.trace.error.message)
        message = AirbyteMessage(type=Type.CONNECTION_STATUS, connectionStatus=status)
    return [AirbyteEntrypoint.airbyte_message_to_string(message)]


def write(message: str | bytes) -> None:
    """Write one message, or a batch of whole lines, after everything that was printed before."""
    if isinstance(message, str):
        print(f"{message}\n", end="")
        return
    assert sys.__stdout__
    # A batch is bytes already, so it goes past the CDK's print buffer. Log lines of other threads are in that
    # buffer: flush them first, and hold its lock so that none is written into the middle of the batch.
    with PRINT_BUFFER.lock:
        PRINT_BUFFER.flush()
        sys.__stdout__.buffer.write(message)
        sys.__stdout__.buffer.flush()


def source_for(arguments: list[str]) -> SourceAmplitude:
    """Return the source for a command line: the CDK needs config, catalog and state to build it.

    Raises:
        AirbyteTracedException: config_error, a file is missing or has another form.
    """
    catalog = AirbyteEntrypoint.extract_catalog(arguments)
    config = AirbyteEntrypoint.extract_config(arguments)
    state = AirbyteEntrypoint.extract_state(arguments)
    try:
        return SourceAmplitude(
            SourceAmplitude.read_catalog(catalog) if catalog else None,
            SourceAmplitude.read_config(config) if config else None,
            SourceAmplitude.read_state(state) if state else None,
        )
    except (OSError, ValueError) as error:
        raise config_error(f"Cannot read a file given on the command line ({error}).") from error


class Entrypoint(AirbyteEntrypoint):
    """The CDK's commands, with errors that name the option, records with their nulls, and no keys."""

    def run(self, parsed_args: Namespace) -> Iterator[str]:
        """Yield the messages of a command, one JSON text each."""
        for output in self.output(parsed_args):
            # `splitlines` would also split at U+2028, which JSON allows within a string.
            yield from [output] if isinstance(output, str) else output.decode().split("\n")[:-1]

    def output(self, parsed_args: Namespace) -> Iterator[str | bytes]:
        """Yield the messages of a command: one JSON text each, or a batch of records as whole lines.

        `read` is written here again because the CDK's serializer drops the nulls of a record and is slow.
        """
        # With --debug the CDK's requesters would write headers and bodies to the log.
        logging.getLogger("airbyte.HttpRequester").setLevel(logging.INFO)
        if parsed_args.command != "read":
            yield from super().run(parsed_args)
            return
        if parsed_args.debug or is_platform_debug_log_enabled():
            for name in ("airbyte", self.logger.name):
                logging.getLogger(name).setLevel(logging.DEBUG)
        specification = self.source.spec(self.logger)
        given = self.source.read_config(parsed_args.config)
        config = self.source.configure(given, "")
        if str(given.get("start_date") or "").strip() not in ("", str(config["start_date"])):
            self.logger.info(
                "`start_date` is before Amplitude's first data: reading from 2012-01-01."
            )
        catalog = self.source.read_catalog(parsed_args.catalog)
        state = self.source.read_state(parsed_args.state)
        if parsed_args.state and not state:
            self.logger.warning(
                "The file of `--state` is empty: each stream is read from the start date on."
            )
        self.source.export_limits.batching = True  # type: ignore[attr-defined] # it is a SourceAmplitude
        reported: set[tuple[str, str | None]] = set()
        for message in self.read(specification, config, catalog, state):
            if isinstance(message, RecordBatch):
                yield message.payload
            elif record := message.record:
                yield serialize_record(record.stream, record.data, record.emitted_at).decode()
            elif message.trace and (error := message.trace.error):
                # Requests in flight at the same time fail for the same reason: report that once per stream.
                failure = (str(error.stream_descriptor), error.message)
                if failure not in reported:
                    yield self.airbyte_message_to_string(message)
                reported.add(failure)
            else:
                yield self.airbyte_message_to_string(message)

    @staticmethod
    def handle_record_counts(
        message: AirbyteMessage, stream_message_count: defaultdict[HashableStreamDescriptor, float]
    ) -> AirbyteMessage:
        """Count the records between two states: the platform compares the count of a state with its own."""
        if isinstance(message, RecordBatch):
            stream_message_count[message.stream] += message.count
            return message
        return AirbyteEntrypoint.handle_record_counts(message, stream_message_count)

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Keep both keys out of all output, and the authorization header that encodes them."""
        AirbyteEntrypoint.set_up_secret_filter(config, connection_specification)
        pair = f"{config.get('api_key')}:{config.get('secret_key')}"
        add_to_secrets(base64.b64encode(pair.encode()).decode())

    @staticmethod
    def validate_connection(source_spec: ConnectorSpecification, config: Any) -> None:
        """Refuse a config that cannot work, in a sentence that names the option.

        Raises:
            AirbyteTracedException: config_error, an option is missing, or its value cannot work.
        """
        validate_config(config, source_spec.connectionSpecification)
