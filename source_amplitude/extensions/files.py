"""Temporary files, and folders that do not take any."""

import errno
from tempfile import TemporaryFile
from typing import IO

from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

CHUNK_BYTES = 128 * 1024

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, or a file larger than the folder takes."""


def temporary_file(buffering: int = -1) -> IO[bytes]:
    """A file without a name, so that it is gone with the process.

    Raises:
        AirbyteTracedException: config_error, the folder takes none.
    """
    try:
        return TemporaryFile(prefix="source-amplitude-", buffering=buffering)
    except OSError as error:
        raise unusable_folder("No file can be made in", error) from error


def unusable_folder(what: str, error: OSError) -> AirbyteTracedException:
    """The error for a folder of temporary files that is missing, read-only or broken."""
    return AirbyteTracedException(
        message=f"{what} the folder for temporary files ({error.strerror}): set TMPDIR to a folder with"
        " some gigabytes of free space.",
        internal_message="no temporary file",
        failure_type=FailureType.config_error,
    )
