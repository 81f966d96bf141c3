"""The file with a cohort's members: downloaded to disk, verified, and read."""

import csv
import gzip
import io
import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from tempfile import gettempdir
from typing import IO, Any

import requests
from airbyte_cdk.models import FailureType

from source_amplitude.extensions.cohorts.job import CohortApi, CohortJob
from source_amplitude.extensions.cohorts.rows import TextLines, header_of, member_of
from source_amplitude.extensions.error_handler import growing_seconds
from source_amplitude.extensions.files import CHUNK_BYTES, temporary_file

LOGGER = logging.getLogger("airbyte")

FILE_ATTEMPTS = 5
"""Downloads of a cohort's file: Amplitude keeps it for seven days, and each link for a minute."""


class DamagedFileError(Exception):
    """A file with members arrived damaged or incomplete; the message says how."""


@dataclass
class CohortFile:
    """Turn the file that a job has written into members.

    Input: CSV (RFC 4180) in UTF-8, plain or gzip, with a header row.
    Memory: one chunk and one row. Disk: the file as it came.
    """

    api: CohortApi
    job: CohortJob

    def read_members(self) -> Iterator[dict[str, Any]]:
        """Download the file, and yield its members once it is whole, without cohort and time.

        The log says how many columns were renamed, and how many lines had bytes that are not UTF-8.

        Raises:
            AirbyteTracedException: transient_error if the file does not arrive whole in `FILE_ATTEMPTS`,
                config_error if it cannot be written to disk, system_error if Amplitude refuses it or it is
                not a table of members.
        """
        with (
            self._download() as file,
            open_inflated(file) as content,
            io.TextIOWrapper(content, "utf-8-sig", "replace", newline="\n") as text,
        ):
            lines = TextLines(text)
            rows = csv.reader(lines, strict=True)
            try:
                columns = header_of(rows)
                if columns.renamed:
                    LOGGER.warning(
                        f"The file with the members of the cohort {self.job.cohort!r} has {columns.renamed}"
                        " columns whose name occurs before: a number was added to each."
                    )
                for row in rows:
                    if row:
                        yield member_of(row, columns)
            except (csv.Error, ValueError) as error:
                raise self.api.error(
                    FailureType.system_error,
                    f"Line {rows.line_num or 1} of the file with the members of the cohort"
                    f" {self.job.cohort!r} does not have a number as `amplitude_id`, or not as many columns"
                    " as the header. The next sync requests the file again; if the error persists, open an"
                    " issue.",
                ) from error
            if lines.replaced:
                LOGGER.warning(
                    f"The file with the members of the cohort {self.job.cohort!r} contains invalid UTF-8 in"
                    f" {lines.replaced} lines; the bytes were replaced by U+FFFD."
                )

    def _download(self) -> IO[bytes]:
        """Return the verified file, which does not have a name, so that it is gone with the process."""
        attempt = 0
        while True:
            attempt += 1
            file = temporary_file()
            try:
                with self.api.send_file_request(self.job) as response:
                    spool(response, file)
                verify(file, response)
                return file
            except (DamagedFileError, requests.RequestException) as error:
                file.close()
                what = str(error) if isinstance(error, DamagedFileError) else "the connection broke"
                pause = growing_seconds(attempt)
                if attempt == FILE_ATTEMPTS or time.time() + pause > self.job.deadline:
                    raise self.api.error(
                        FailureType.transient_error,
                        f"The file with the members of the cohort {self.job.cohort!r} could not be downloaded"
                        f" in {attempt} attempts: {what}. The next sync requests it again; if the error"
                        " persists, check proxies between here and Amplitude, and open an issue.",
                    ) from error
                LOGGER.info(
                    f"The file with the members of the cohort {self.job.cohort!r} is downloaded again in"
                    f" {pause:.0f} s: {what}."
                )
                time.sleep(pause)
            except OSError as error:
                with suppress(OSError):  # closing tries to write the buffer once more
                    file.close()
                raise self.api.error(
                    FailureType.config_error,
                    f"The file with the members of the cohort {self.job.cohort!r} cannot be written to the"
                    f" folder {gettempdir()} ({error.strerror}): free some space, or set TMPDIR to a larger"
                    " folder.",
                ) from error
            except BaseException:
                file.close()
                raise


def spool(response: requests.Response, file: IO[bytes]) -> None:
    """Write the body of a response to disk as it came, chunk by chunk.

    Raises:
        DamagedFileError: the file server refused the download link, which holds for a minute.
    """
    if not response.ok:
        raise DamagedFileError(
            f"the file server refused the download link ({response.status_code})"
        )
    # Without this header the body is not inflated here: urllib3 does not notice a gzip that is cut short, so
    # `open_inflated` does it. (The Connector Builder has read and inflated the body before, for its log.)
    response.raw.headers.pop("Content-Encoding", None)
    for chunk in response.iter_content(CHUNK_BYTES):
        file.write(chunk)
    file.flush()


def verify(file: IO[bytes], response: requests.Response) -> None:
    """Check that a file is whole.

    A gzip has a checksum at its end. Plain text is whole if HTTP says where it ends, which `requests` checks,
    or at least if its last line has an end.

    Raises:
        DamagedFileError: the file is empty, damaged or cut short.
    """
    try:
        last, zipped = b"", False
        with open_inflated(file) as content:
            zipped = isinstance(content, gzip.GzipFile)
            while chunk := content.read(CHUNK_BYTES):
                last = chunk
    except (EOFError, OSError, zlib.error) as error:
        raise DamagedFileError("its gzip is damaged or cut short") from error
    if not last:
        raise DamagedFileError("it is empty")
    framed = {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}
    if not (zipped or framed) and not last.endswith(b"\n"):
        raise DamagedFileError("its last line is cut short")


def open_inflated(file: IO[bytes]) -> AbstractContextManager[Any]:
    """Open a file from its beginning, inflated if it is gzip; closing leaves the file itself open."""
    file.seek(0)
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if zipped else nullcontext(file)
