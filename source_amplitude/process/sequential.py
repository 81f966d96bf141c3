"""A stream that one worker reads from its first partition to its last."""

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from airbyte_cdk.models import AirbyteStream
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.availability_strategy import StreamAvailability
from airbyte_cdk.sources.streams.concurrent.cursor import Cursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import join_errors


class SequentialStream(AbstractStream):
    """The same stream with one partition, so that waiting for its budget holds up one worker alone.

    It is read while `slot` is held, which bounds the requests in flight. If its partitions are
    `independent`, one that fails does not keep the others from being read, but later windows of its own.
    """

    def __init__(
        self, stream: AbstractStream, slot: threading.BoundedSemaphore, *, independent: bool = False
    ) -> None:
        """Delegate everything but the partitions to `stream`."""
        self._stream, self._slot, self._independent = stream, slot, independent
        self._cursor = PartitionCursor(stream.cursor)

    def generate_partitions(self) -> Iterator[Partition]:
        """Yield the one partition."""
        yield SequentialPartition(self._stream, self._slot, self._independent)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._stream.name

    @property
    def cursor(self) -> Cursor:
        """The stream's cursor, which the partition moves."""
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


class SequentialPartition(Partition):
    """The partitions of a stream one after another, each closed as soon as it has been read."""

    def __init__(
        self, stream: AbstractStream, slot: threading.BoundedSemaphore, independent: bool
    ) -> None:
        self._stream, self._slot, self._independent = stream, slot, independent

    def read(self) -> Iterator[Record]:
        """Yield the stream's records.

        Raises:
            AirbyteTracedException: a partition could not be read; those before it are in the state.
                Of independent partitions all are read first, and the messages of all are joined.
        """
        cursor = self._stream.cursor
        errors: list[AirbyteTracedException] = []
        failed: list[Mapping[str, Any]] = []
        with self._slot:
            for partition in self._stream.generate_partitions():
                key = getattr(partition.to_slice(), "partition", {})
                if key in failed:
                    continue
                try:
                    for record in partition.read():
                        yield record
                        cursor.observe(record)
                except AirbyteTracedException as error:
                    if not self._independent:
                        raise
                    errors.append(error)
                    failed.append(key)
                    continue
                cursor.close_partition(partition)
        if errors:
            raise join_errors(errors) from errors[0]

    def to_slice(self) -> Mapping[str, Any] | None:
        """All of the stream."""
        return None

    def stream_name(self) -> str:
        """The stream that is read."""
        return self._stream.name

    def __hash__(self) -> int:
        """Tell the partitions of a source apart."""
        return hash(self._stream.name)


class PartitionCursor(Cursor):
    """A cursor for a partition that records its own progress."""

    def __init__(self, cursor: Cursor) -> None:
        """Delegate to `cursor`."""
        self._cursor = cursor

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The state as it can be saved now."""
        return self._cursor.state

    def observe(self, record: Record) -> None:
        """Do nothing: `SequentialPartition` did this already."""

    def close_partition(self, partition: Partition) -> None:
        """Do nothing: `SequentialPartition` did this already."""

    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit the state, at a sync's end."""
        self._cursor.ensure_at_least_one_state_emitted()

    def should_be_synced(self, record: Record) -> bool:
        """Whether a record is to be emitted."""
        return self._cursor.should_be_synced(record)
