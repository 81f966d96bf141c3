"""Disk space, shared by the archives of a sync."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import gettempdir
from typing import IO

from source_amplitude.extensions.export.errors import RestartError, TooLargeError
from source_amplitude.extensions.files import FULL, unusable_folder


class DiskSpace:
    """Bytes of archives on disk, all together at most `limit`.

    A download that finds no room waits for the archives before it, which are being emitted. Of
    several downloads the oldest waits and the others start again, so that none waits for another.
    """

    def __init__(self, limit: int) -> None:
        """Start with nothing on disk."""
        self._limit = limit
        self._changed = threading.Condition()
        self._sizes: dict[object, int] = {}
        self._downloads: list[object] = []

    @contextmanager
    def download(self, owner: object) -> Iterator[None]:
        """Mark `owner` as a download, until it is complete or has failed."""
        with self._changed:
            self._sizes[owner] = 0
            self._downloads.append(owner)
        try:
            yield
        finally:
            with self._changed:
                self._downloads.remove(owner)
                self._changed.notify_all()

    def write(self, owner: object, file: IO[bytes], chunk: bytes) -> None:
        """Write a chunk to an unbuffered file once there is room for it.

        Raises:
            RestartError: downloads that began earlier need the room.
            TooLargeError: there is no room, and no other archive to wait for.
            AirbyteTracedException: config_error, the folder takes no bytes for another reason.
        """
        rest = memoryview(chunk)
        with self._changed:
            while rest:
                full = sum(self._sizes.values()) + len(rest) > self._limit
                if not full:
                    try:
                        written = file.write(rest)
                        self._sizes[owner] = self._sizes.get(owner, 0) + written
                        rest = rest[written:]
                        continue
                    except OSError as error:
                        if error.errno not in FULL:
                            raise unusable_folder("Nothing can be written to", error) from error
                if self._sizes.keys() <= {owner}:
                    raise TooLargeError(self._too_large(owner, full))
                if self._downloads[0] is not owner:
                    raise RestartError
                self._changed.wait()

    def release(self, owner: object) -> None:
        """Note that the file of `owner` is closed."""
        with self._changed:
            self._sizes.pop(owner, None)
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until no download is under way."""
        with self._changed:
            self._changed.wait_for(lambda: not self._downloads)

    def _too_large(self, owner: object, full: bool) -> str:
        size = f"more than {self._sizes.get(owner, 0):,} bytes"
        if full:
            return f"its archive has {size}, and `max_bytes_on_disk` allows {self._limit:,}"
        return (
            f"its archive has {size} and does not fit into the folder {gettempdir()}: free some"
            " space, set TMPDIR to a larger folder, or lower `request_time_range`"
        )
