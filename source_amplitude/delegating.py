"""A stream and a cursor that do all that another one does: subclasses say what they do otherwise."""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from airbyte_cdk.models import AirbyteStream
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.availability_strategy import StreamAvailability
from airbyte_cdk.sources.streams.concurrent.cursor import Cursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record


class DelegatingStream(AbstractStream):
    """The same stream with another cursor."""

    def __init__(self, stream: AbstractStream, cursor: Cursor) -> None:
        """Delegate all but the cursor to `stream`."""
        self._stream, self._cursor = stream, cursor

    def generate_partitions(self) -> Iterable[Partition]:
        """Yield the stream's partitions."""
        return self._stream.generate_partitions()

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._stream.name

    @property
    def cursor(self) -> Cursor:
        """The other cursor."""
        return self._cursor

    @property
    def cursor_field(self) -> str | None:
        """The stream's cursor field."""
        return self._stream.cursor_field

    def get_json_schema(self) -> Mapping[str, Any]:
        """The stream's schema."""
        return self._stream.get_json_schema()

    def as_airbyte_stream(self) -> AirbyteStream:
        """The stream as the catalog has it."""
        return self._stream.as_airbyte_stream()

    def log_stream_sync_configuration(self) -> None:
        """Log key and cursor, for debugging."""
        self._stream.log_stream_sync_configuration()

    def check_availability(self) -> StreamAvailability:
        """Read the first record."""
        return self._stream.check_availability()


class DelegatingCursor(Cursor):
    """The same cursor."""

    def __init__(self, cursor: Cursor) -> None:
        """Delegate to `cursor`."""
        self._cursor = cursor

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The state as it can be saved now."""
        return self._cursor.state

    def observe(self, record: Record) -> None:
        """Record that a record has been emitted."""
        self._cursor.observe(record)

    def close_partition(self, partition: Partition) -> None:
        """Record that a partition has been emitted."""
        self._cursor.close_partition(partition)

    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit the state, at a sync's end."""
        self._cursor.ensure_at_least_one_state_emitted()

    def should_be_synced(self, record: Record) -> bool:
        """Whether a record is to be emitted."""
        return self._cursor.should_be_synced(record)
