"""Records that the destination has not taken yet."""

import threading
import weakref

BACKLOG_BYTES = 1024**2
"""Bytes of lines that may wait for the destination, beside the block that is being read."""
LOOK_SECONDS = 1
"""How often a thread that waits looks whether the process still runs."""


class NoReaderError(Exception):
    """The process ends, and nobody takes the records that wait."""


class Backlog:
    """A limit on the records that wait in the CDK's queue, which counts records and not bytes.

    The CDK does not report when it has taken a record out of its queue, but drops the record once it has made
    a message of it. So the last record of each block is watched by a weak reference: when the record is gone,
    the block has been taken. A reader may keep the messages.
    Memory: `BACKLOG_BYTES` of lines and one block, as the records that they become, however long the
    destination pauses.
    """

    def __init__(self) -> None:
        """Start with no records."""
        self._changed = threading.Condition()
        self._blocks: dict[int, tuple[weakref.ref[object], int]] = {}
        self._size = self._last_block_size = 0

    def add(self, record: object, size: int) -> None:
        """Wait until there is room for a block of `size` bytes, whose last record this is.

        The main thread does not wait: if it iterates over the stream itself, no other thread takes records.

        Raises:
            NoReaderError: the main thread, which writes the messages, has ended.
        """
        block = weakref.ref(record, self._remove)
        writer = threading.main_thread()
        with self._changed:
            while not self._has_room() and threading.current_thread() is not writer:
                if not writer.is_alive():
                    raise NoReaderError
                self._changed.wait(LOOK_SECONDS)
            self._blocks[id(block)] = block, size
            self._size, self._last_block_size = self._size + size, size

    def _has_room(self) -> bool:
        # The reader may still hold the last block while it asks for the next.
        return self._size - self._last_block_size < BACKLOG_BYTES

    def _remove(self, block: weakref.ref[object]) -> None:
        with self._changed:
            self._size -= self._blocks.pop(id(block))[1]
            self._last_block_size = min(self._last_block_size, self._size)
            self._changed.notify()
