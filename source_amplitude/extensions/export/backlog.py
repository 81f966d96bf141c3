"""Records that the destination has not taken yet."""

import threading
import weakref

BACKLOG_BYTES = 1024**2
"""Bytes of lines that may wait for the destination, beside the block that is being read."""
BACKLOG_SECONDS = 600
"""How long a reader may take nothing before it counts as one that keeps its records, as a test read does."""


class Backlog:
    """A limit on the records that wait in the CDK's queue, which counts records and not bytes.

    The CDK does not report when a message has been written, so the last record of each block is watched by a
    weak reference: when the record is gone, the block has been taken.
    Memory: `BACKLOG_BYTES` of lines and one block, as the records that they become.
    """

    def __init__(self) -> None:
        """Start with no records."""
        self._changed = threading.Condition()
        self._blocks: dict[int, tuple[weakref.ref[object], int]] = {}
        self._size = self._last_block_size = 0
        self._reader_keeps_records = False

    def add(self, record: object, size: int) -> None:
        """Wait until there is room for a block of `size` bytes, whose last record this is.

        If no block is taken for `BACKLOG_SECONDS`, the reader keeps its records; then there is no limit until
        one of them is released.
        """
        block = weakref.ref(record, self._remove)
        with self._changed:
            if not self._has_room() and not self._changed.wait_for(self._has_room, BACKLOG_SECONDS):
                self._reader_keeps_records = True
            self._blocks[id(block)] = block, size
            self._size, self._last_block_size = self._size + size, size

    def _has_room(self) -> bool:
        # The reader may still hold the last block while it asks for the next.
        return self._reader_keeps_records or self._size - self._last_block_size < BACKLOG_BYTES

    def _remove(self, block: weakref.ref[object]) -> None:
        with self._changed:
            self._size -= self._blocks.pop(id(block))[1]
            self._last_block_size = min(self._last_block_size, self._size)
            self._reader_keeps_records = False
            self._changed.notify()
