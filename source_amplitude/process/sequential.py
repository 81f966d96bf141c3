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
    """A stream whose partitions are read one after another, as the single partition of a stream.

    The CDK gives each partition to any free worker. The partitions of a daily stream all wait for the same
    rate limit, so they would block as many workers as there are windows; this way they block one.

    The stream is read while it holds `slot`, which limits the requests in flight. If its partitions are
    `independent`, the others are read even if one fails; only the later windows of that one are left out.
    """

    def __init__(
        self, stream: AbstractStream, slot: threading.BoundedSemaphore, *, independent: bool = False
    ) -> None:
        """Delegate everything but the partitions and the cursor's progress to `stream`."""
        self._stream, self._slot, self._independent = stream, slot, independent
        # The CDK would close the single partition with the cursor, which does not know it.
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
        """The stream's cursor, as the CDK may use it: `SequentialPartition` records the progress."""
        return self._cursor

    @property
    def cursor_field(self) -> str | None:
        """The stream's cursor field."""
        return self._stream.cursor_field

    def get_json_schema(self) -> Mapping[str, Any]:
        """Return the stream's schema."""
        return self._stream.get_json_schema()

    def as_airbyte_stream(self) -> AirbyteStream:
        """Return the stream as a catalog describes it."""
        return self._stream.as_airbyte_stream()

    def log_stream_sync_configuration(self) -> None:
        """Log the stream's key and cursor, for debugging."""
        self._stream.log_stream_sync_configuration()

    def check_availability(self) -> StreamAvailability:
        """Return whether the stream can be read."""
        return self._stream.check_availability()


class SequentialPartition(Partition):
    """All partitions of a stream, each closed as soon as it has been read.

    Closing a partition emits a state, so a sync that ends early continues after the last closed one.
    """

    def __init__(
        self, stream: AbstractStream, slot: threading.BoundedSemaphore, independent: bool
    ) -> None:
        self._stream, self._slot, self._independent = stream, slot, independent

    def read(self) -> Iterator[Record]:
        """Yield the stream's records.

        Raises:
            AirbyteTracedException: a partition could not be read; the state covers the partitions before it.
                Independent partitions are all read first, and their messages are joined.
        """
        cursor = self._stream.cursor
        errors: list[AirbyteTracedException] = []
        failed: list[Mapping[str, Any]] = []
        with self._slot:
            for partition in self._stream.generate_partitions():
                # A segmentation has one partition per window; after one of them failed the others would too.
                key = getattr(partition.to_slice(), "partition", {})
                if key in failed:
                    continue
                try:
                    for record in partition.read():
                        yield record
                        # Observe a record after it was emitted, so that no state is ahead of the records.
                        cursor.observe(record)
                except AirbyteTracedException as error:
                    if not self._independent:
                        raise
                    # Do not close the partition: its state must stay where it was.
                    errors.append(error)
                    failed.append(key)
                    continue
                cursor.close_partition(partition)
        if errors:
            raise join_errors(errors) from errors[0]

    def to_slice(self) -> Mapping[str, Any] | None:
        """Return None: the partition is the whole stream."""
        return None

    def stream_name(self) -> str:
        """Return the name of the stream."""
        return self._stream.name

    def __hash__(self) -> int:
        """Return the same hash for the same stream: the CDK keeps partitions in a set."""
        return hash(self._stream.name)


class PartitionCursor(Cursor):
    """A cursor that the CDK can call for each record without counting it a second time."""

    def __init__(self, cursor: Cursor) -> None:
        """Delegate to `cursor`."""
        self._cursor = cursor

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The state that can be saved now."""
        return self._cursor.state

    def observe(self, record: Record) -> None:
        """Do nothing: `SequentialPartition` did this already."""

    def close_partition(self, partition: Partition) -> None:
        """Do nothing: `SequentialPartition` did this already."""

    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit the state at the end of a sync, also without records."""
        self._cursor.ensure_at_least_one_state_emitted()

    def should_be_synced(self, record: Record) -> bool:
        """Return whether a record is to be emitted."""
        return self._cursor.should_be_synced(record)
