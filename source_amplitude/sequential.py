"""A stream that one worker reads from its first partition to its last."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record

from source_amplitude.delegating import DelegatingCursor, DelegatingStream


class SequentialStream(DelegatingStream):
    """The same stream with one partition, so that waiting for its budget holds up one worker alone.

    It is read while `slot` is held, which bounds the requests in flight.
    """

    def __init__(self, stream: AbstractStream, slot: threading.BoundedSemaphore) -> None:
        """Read `stream` while `slot` is held."""
        super().__init__(stream, PartitionCursor(stream.cursor))
        self._slot = slot

    def generate_partitions(self) -> Iterator[Partition]:
        """Yield the one partition."""
        yield SequentialPartition(self._stream, self._slot)


class SequentialPartition(Partition):
    """The partitions of a stream one after another, each closed as soon as it has been read."""

    def __init__(self, stream: AbstractStream, slot: threading.BoundedSemaphore) -> None:  # noqa: D107
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


class PartitionCursor(DelegatingCursor):
    """A cursor for a partition that records its own progress."""

    def observe(self, record: Record) -> None:
        """Do nothing: `SequentialPartition` did this already."""

    def close_partition(self, partition: Partition) -> None:
        """Do nothing: `SequentialPartition` did this already."""
