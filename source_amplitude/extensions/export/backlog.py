"""Records that the destination has not taken yet."""

import threading
import weakref

BACKLOG_BYTES = 1024**2

BACKLOG_SECONDS = 600


class Backlog:
    """Blocks of records that nobody has taken yet: `BACKLOG_BYTES` of lines, and one block.

    The CDK's queue takes 10,000 records, however large each is. A block has been taken when its
    last record is no more.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._changed = threading.Condition()
        self._blocks: dict[int, tuple[weakref.ref[object], int]] = {}
        self._size = self._latest = 0
        self._kept = False

    def add(self, record: object, size: int) -> None:
        """Wait until there is room for a block of `size` bytes, whose last record this is.

        A slow destination is waited for; a reader that keeps what it has taken, only once.
        """
        block = weakref.ref(record, self._remove)
        with self._changed:
            if not self._has_room() and not self._changed.wait_for(self._has_room, BACKLOG_SECONDS):
                self._kept = True
            self._blocks[id(block)] = block, size
            self._size, self._latest = self._size + size, size

    def _has_room(self) -> bool:
        # Whoever asks for the next block may still hold the last.
        return self._kept or self._size - self._latest < BACKLOG_BYTES

    def _remove(self, block: weakref.ref[object]) -> None:
        with self._changed:
            self._size -= self._blocks.pop(id(block))[1]
            self._latest = min(self._latest, self._size)
            self._kept = False
            self._changed.notify()
