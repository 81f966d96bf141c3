"""Temporary files, and folders that do not take any."""

import errno
from tempfile import TemporaryFile
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
