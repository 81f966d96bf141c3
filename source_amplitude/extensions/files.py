"""Temporary files, and folders that do not take any."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import config_error

CHUNK_BYTES = 128 * 1024
"""Bytes that are read, inflated and written at once."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, or a file larger than the folder takes."""


def temporary_file(buffering: int = -1) -> IO[bytes]:
    """Return a file without a name, so that it is gone with the process.

    Raises:
        AirbyteTracedException: config_error, the folder does not take files.
    """
    try:
        return TemporaryFile(prefix="source-amplitude-", buffering=buffering)
    except OSError as error:
        raise unusable_folder("Cannot create a file in", error) from error


def room_for_files() -> int:
    """Return how many bytes temporary files may take: a quarter of the memory if their folder is in memory.

    A disk has as much room as there is. Kubernetes' `emptyDir` with `medium: Memory` is a tmpfs, whose files
    count as the container's memory.
    """
    folder = Path(gettempdir()).resolve()
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        above = [(len(path), kind) for path, kind in mounts if folder.is_relative_to(path)]
        if max(above)[1] not in ("tmpfs", "ramfs"):
            return sys.maxsize
        return memory_limit() // 4
    except (OSError, ValueError):
        return sys.maxsize


def memory_limit() -> int:
    """Return the bytes of memory that this process may use, by its container or by the machine."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [machine]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def write_whole(file: IO[bytes], chunk: bytes) -> None:
    """Write a chunk to an unbuffered file, which may take less than it is given."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def unusable_folder(what: str, error: OSError) -> AirbyteTracedException:
    """Return the error for a folder of temporary files that is missing, read-only or broken."""
    return config_error(
        f"{what} the folder for temporary files ({error.strerror}): set TMPDIR to a folder with some"
        " gigabytes of free space."
    )
