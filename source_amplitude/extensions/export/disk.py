"""Disk space, shared by the archives of a sync."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import gettempdir
from typing import IO

from source_amplitude.extensions.export.errors import NoRoomError, RestartError
from source_amplitude.extensions.files import DISK_FULL, unusable_folder


class DiskSpace:
    """Bytes of archives on disk, all together at most `limit`, of at most `archives` archives.

    An archive that finds no room beside others gives up its space and is downloaded again. From then on one
    archive less may be on disk at once, down to one: only an archive that is too large by itself fails.
    """

    def __init__(self, limit: int, archives: int) -> None:
        """Start with nothing on disk."""
        self._limit, self._archives = limit, archives
        self._changed = threading.Condition()
        self._sizes: dict[Space, int] = {}

    @contextmanager
    def archive(self) -> Iterator["Space"]:
        """Wait until one more archive may be on disk, and give it the space that it needs."""
        space = Space(self)
        with self._changed:
            self._changed.wait_for(lambda: len(self._sizes) < self._archives)
            self._sizes[space] = 0
        try:
            yield space
        finally:
            with self._changed:
                del self._sizes[space]
                self._changed.notify_all()

    def write(self, space: "Space", file: IO[bytes], chunk: bytes) -> None:
        """Write a chunk to an unbuffered file, if there is room for it.

        Raises:
            RestartError: other archives take the room.
            NoRoomError: no other archive is on disk, and there is not enough room.
            AirbyteTracedException: config_error, the folder takes no bytes for another reason.
        """
        rest = memoryview(chunk)
        with self._changed:
            while rest:
                bounded = sum(self._sizes.values()) + len(rest) > self._limit
                if not bounded:
                    try:
                        written = file.write(rest)
                        self._sizes[space] += written
                        rest = rest[written:]
                        continue
                    except OSError as error:
                        if error.errno not in DISK_FULL:
                            raise unusable_folder("Cannot write to", error) from error
                if len(self._sizes) > 1:
                    self._archives = len(self._sizes) - 1
                    raise RestartError
                raise NoRoomError(self._no_room(self._sizes[space], bounded))

    def clear(self, space: "Space") -> None:
        """Note that the file of an archive is closed."""
        with self._changed:
            self._sizes[space] = 0

    def _no_room(self, size: int, bounded: bool) -> str:
        if bounded:
            return (
                f"its archive has more than {size:,} bytes, and `max_bytes_on_disk` allows"
                f" {self._limit:,}"
            )
        return (
            f"its archive has more than {size:,} bytes and does not fit into the folder {gettempdir()}: free"
            " some space, set TMPDIR to a larger folder, or lower `request_time_range`"
        )


class Space:
    """The part of the disk that one archive takes."""

    def __init__(self, disk: DiskSpace) -> None:
        """Take no bytes yet."""
        self._disk = disk

    def write(self, file: IO[bytes], chunk: bytes) -> None:
        """Write a chunk, as `DiskSpace.write` does."""
        self._disk.write(self, file, chunk)

    def clear(self) -> None:
        """Note that the file is closed."""
        self._disk.clear(self)
