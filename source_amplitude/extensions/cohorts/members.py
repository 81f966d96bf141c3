"""The members of cohorts."""

import csv
import gzip
import io
import logging
import re
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import InitVar, dataclass
from itertools import chain, count, repeat
from tempfile import gettempdir
from typing import IO, Any
from urllib.parse import quote

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.http_logger import format_http_message
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
)
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.budget import with_daily_budget
from source_amplitude.extensions.cohorts.states import epoch_of, moment_of
from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.files import CHUNK_BYTES, temporary_file
from source_amplitude.extensions.responses import date_of, quotation

LOGGER = logging.getLogger("airbyte")

FILE_ATTEMPTS = 5
"""Downloads of a cohort's file: Amplitude keeps it for seven days, and each link for a minute."""

POLL_PAUSES = (1, 2, 3, 5, 10, 20, 30)
"""Seconds between the first polls, then `LONGEST_POLL_PAUSE`: small cohorts take 30 to 60 s too."""

LONGEST_POLL_PAUSE = 60

LONGEST_JOB_SECONDS = 90 * 60

MAX_CELL_BYTES = 64 * 1024 * 1024

# The csv module has one limit for the whole process, 128 KiB unless it is set.
csv.field_size_limit(MAX_CELL_BYTES)


class DamagedFileError(Exception):
    """A file of members that is not whole."""


@dataclass
class CohortErrorHandler(AmplitudeErrorHandler):
    """Leave the 4xx that concern one cohort to `CohortMembersRetriever`, which knows its id."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do."""
        response = response_or_exception
        if isinstance(response, requests.Response) and (
            (response.history and 400 <= response.status_code < 500)  # the host of files
            or response.status_code in (400, 404, 410, 422)
        ):
            self._thread.attempts = 0
            return SUCCESS_RESOLUTION
        return super().interpret_response(response)


@dataclass
class CohortMembersRetriever(Retriever):
    """Read the members of a cohort, whose id is the slice, unless the state has them already.

    The list of cohorts says when a cohort was computed and edited. One that was neither since the
    state's `computed_at` is not asked for. To ask for a cohort computes it, so that its time is
    looked up again once its file is there; a time after that means that it has changed again.
    Amplitude counts jobs by the month: its count is asked for first, and once the limit is reached
    the cohorts that are left stay as they are, with a warning.

    Amplitude writes them to a file, in a job of half a minute or more. The job is created, its
    status asked for with growing pauses for `LONGEST_JOB_SECONDS` at most, and the file downloaded
    to disk and verified whole, again while that may help. Then its rows become records.

    Input: CSV (RFC 4180) in UTF-8, plain or gzip, with a header row.
    Memory: one chunk and one row. Disk: the file as it came.
    A cohort that fails fails alone.

    Raises:
        AirbyteTracedException: config_error when Amplitude does not know the cohort,
            transient_error when the job or the download did not end well, system_error when the
            file is no table of members.

    See: https://amplitude.com/docs/apis/analytics/behavioral-cohorts#get-one-cohort
    """

    requester: HttpRequester
    cursor: ConcurrentPerPartitionCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:  # noqa: D105
        self.requester = with_daily_budget(self.requester, self.name, parameters)
        self.requester.stream_response = True
        self._lock = threading.Lock()
        self._listed: dict[str, Any] | None = None
        self._left, self._resets = sys.maxsize, ""

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the members of the slice's cohort, if they have changed."""
        assert stream_slice is not None
        cohort, since = str(stream_slice["cohort_id"]), epoch_of(stream_slice["start_time"])
        with self._lock:
            if self._listed is None:
                self._listed = self._list()
                self._left, self._resets = self._usage()
        computed, edited = self._listed.get(cohort, (None, 0))
        if computed is not None and max(computed, edited) <= since:
            LOGGER.info(f"{self.name}: the cohort {cohort!r} has not changed since it was read.")
            self._observe(stream_slice, since)
            return
        if not self._take(cohort):
            return
        job, created = self._create_job(cohort)
        completed = self._wait_for_job(cohort, job)
        now, _ = self._list().get(cohort, (None, 0))
        computed = now if now is not None and now <= completed else computed or created
        with self._download(cohort, job) as file:
            for member in self._members(cohort, file):
                yield {**member, "computed_at": moment_of(computed)}
        self._observe(stream_slice, max(computed, edited))

    def _observe(self, stream_slice: StreamSlice, epoch: int) -> None:
        """Move the state of the slice's cohort, also where it has no members."""
        moved = {"computed_at": moment_of(epoch)}
        self.cursor.observe(Record(moved, self.name, associated_slice=stream_slice))

    def _list(self) -> dict[str, tuple[int | None, int]]:
        """When each cohort was computed and edited, in seconds since 1970; empty if nobody says."""
        try:
            return {
                row["id"]: (row["lastComputed"] and int(row["lastComputed"]), int(row["lastMod"]))
                for row in self._ask("3/cohorts")["cohorts"]
            }
        except (ValueError, LookupError, TypeError):
            return {}

    def _usage(self) -> tuple[int, str]:
        """The jobs that are left of this month, and when their number is reset, if Amplitude says."""
        try:
            said = self._ask("3/cohorts/usage")
            said = said.get("rest_download", said)
            used = said["usage"] if "usage" in said else said["count"]
            return int(said["limit"]) - int(used), str(said.get("resets_at") or "")
        except (ValueError, LookupError, TypeError, AttributeError):
            return sys.maxsize, ""

    def _ask(self, path: str) -> Any:
        """The JSON of a response without which the members can be read too; None if there is none."""
        try:
            with self._send(path, "HTTP") as response:
                return response.json() if response.ok else None
        except (AirbyteTracedException, requests.RequestException, ValueError, RecursionError):
            return None

    def _take(self, cohort: str) -> bool:
        """Take one of the jobs that are left, if there is one."""
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return True
        resets = f"on {self._resets}" if self._resets else "with the next month"
        LOGGER.warning(
            f"{self.name}: the members of the cohort {cohort!r} were not read, since Amplitude's limit"
            f" of cohort requests for this month is reached. It is reset {resets}; a sync after that"
            " reads them. Take ids out of `cohort_ids`, or sync less often."
        )
        return False

    def _create_job(self, cohort: str) -> tuple[str, int]:
        """Create the job; return its id and when Amplitude did so."""
        properties = self.config.get("cohort_member_properties", True)
        with self._send(
            f"5/cohorts/request/{quote(cohort, safe='')}",
            "ASYNC_CREATE",
            {"props": "1" if properties else "0"},
        ) as response:
            if response.status_code in (400, 404):
                raise self._failure(
                    FailureType.config_error,
                    f"Amplitude does not know the cohort {cohort!r} of `cohort_ids`"
                    f" ({response.status_code}{quotation(response)}): correct the id or remove it, as the"
                    " stream cohorts lists all ids. The other cohorts are read.",
                )
            said, created = f"{response.status_code}{quotation(response)}", sent_at(response)
            job = field_of(response, "request_id") if response.ok else ""
        if not job:
            raise self._failure(
                FailureType.system_error,
                f"Amplitude could not answer the request for {self.name} of the cohort {cohort!r} ({said}):"
                " it names no `request_id`. Try again, and open an issue if it stays.",
            )
        return quote(job, safe=""), created

    def _wait_for_job(self, cohort: str, job: str) -> int:
        """Return when the job was completed; a status that is not known is one of a job at work."""
        waited = 0
        pauses = chain(POLL_PAUSES, repeat(LONGEST_POLL_PAUSE))
        while True:
            pause = next(pauses)
            LOGGER.info(
                f"Amplitude prepares the members of the cohort {cohort!r}: {waited} s so far."
            )
            time.sleep(pause)
            waited += pause
            with self._send(f"5/cohorts/request-status/{job}", "ASYNC_POLL") as response:
                if not response.ok:
                    raise self._failure(
                        FailureType.system_error,
                        f"Amplitude lost the request for the members of the cohort {cohort!r}"
                        f" ({response.status_code}{quotation(response)}). The next sync asks again.",
                    )
                status, now = field_of(response, "async_status").upper(), sent_at(response)
            if "COMPLETED" in status:
                return now
            if re.search("FAIL|ERROR|CANCEL", status):
                raise self._failure(
                    FailureType.transient_error,
                    f"Amplitude could not write the members of the cohort {cohort!r}. The next sync asks"
                    " again; if it stays, turn off `cohort_member_properties`.",
                )
            if waited >= LONGEST_JOB_SECONDS:
                raise self._failure(
                    FailureType.transient_error,
                    f"Amplitude has not written the members of the cohort {cohort!r} within"
                    f" {waited // 60} minutes. Turn off `cohort_member_properties`, which makes the file"
                    " smaller, or remove the id from `cohort_ids`; the next sync asks again.",
                )

    def _download(self, cohort: str, job: str) -> IO[bytes]:
        """Bring the file to disk, whole; it has no name, so that it is gone with the process."""
        attempt = 0
        while True:
            attempt += 1
            file = temporary_file()
            try:
                with self._send(f"5/cohorts/request/{job}/file", "HTTP") as response:
                    self._spool(cohort, response, file)
                return file
            except (DamagedFileError, requests.RequestException) as error:
                file.close()
                what = str(error) if isinstance(error, DamagedFileError) else "the connection broke"
                if attempt == FILE_ATTEMPTS:
                    raise self._failure(
                        FailureType.transient_error,
                        f"The file of the members of the cohort {cohort!r} could not be downloaded in"
                        f" {attempt} attempts: {what}. The next sync asks again; if it stays, check proxies"
                        " between here and Amplitude, and open an issue.",
                    ) from error
                pause = 5 * 2**attempt
                LOGGER.info(
                    f"The file of the members of the cohort {cohort!r} is downloaded again in {pause} s:"
                    f" {what}."
                )
                time.sleep(pause)
            except OSError as error:
                with suppress(OSError):  # it tries once more to write what it holds
                    file.close()
                raise self._failure(
                    FailureType.config_error,
                    f"The file of the members of the cohort {cohort!r} cannot be written to the folder"
                    f" {gettempdir()} ({error.strerror}): free some space, or set TMPDIR to a larger folder.",
                ) from error
            except BaseException:
                file.close()
                raise

    def _spool(self, cohort: str, response: requests.Response, file: IO[bytes]) -> None:
        """Write a response to disk and verify it.

        Raises:
            DamagedFileError: it is not the whole file.
        """
        if not response.ok and response.history:
            raise DamagedFileError(
                f"the host that keeps it refused the link ({response.status_code})"
            )
        if not response.ok:
            raise self._failure(
                FailureType.system_error,
                f"Amplitude does not give out the file of the members of the cohort {cohort!r}"
                f" ({response.status_code}{quotation(response)}). The next sync asks again.",
            )
        # Inflated here, whatever the header says: urllib3 does not notice that gzip has no end. (In
        # the Connector Builder the body has been read, and inflated, for the log.)
        response.raw.headers.pop("Content-Encoding", None)
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        try:
            last, zipped = b"", False
            with opened(file) as content:
                zipped = isinstance(content, gzip.GzipFile)
                while chunk := content.read(CHUNK_BYTES):
                    last = chunk
        except (EOFError, OSError, zlib.error) as error:
            raise DamagedFileError("its gzip is damaged or cut short") from error
        if not last:
            raise DamagedFileError("it is empty")
        framed = {"content-length", "transfer-encoding"} & {
            name.lower() for name in response.headers
        }
        if not (zipped or framed) and not last.endswith(b"\n"):
            raise DamagedFileError("its last line is cut short")

    def _members(self, cohort: str, file: IO[bytes]) -> Iterator[dict[str, Any]]:
        """Turn rows into members: two ids, and all other columns under `properties`.

        Of columns with one name the first keeps it, and the others are `name_2`, `name_3`.
        """
        with (
            opened(file) as content,
            io.TextIOWrapper(content, "utf-8-sig", "replace", newline="\n") as text,
        ):
            replaced: list[bool] = []
            rows = csv.reader(_lines(text, replaced), strict=True)
            try:
                header = next(rows, [])
                names = [name.strip() for name in header]
                if "amplitude_id" not in names:
                    raise self._no_member(cohort)
                ids = names.index("amplitude_id")
                users = names.index("user_id") if "user_id" in names else None
                others: dict[str, int] = {}
                for column, name in enumerate(header):
                    if column not in (ids, users):
                        others[_unused(name, others)] = column
                renamed = len(others) - len({header[column] for column in others.values()})
                if renamed:
                    LOGGER.warning(
                        f"The file of the members of the cohort {cohort!r} has {renamed} columns with"
                        " the name of another one: a number was added to their names."
                    )
                for row in rows:
                    if not row:
                        continue
                    number = row[ids].strip() if len(row) == len(header) else ""
                    if not number.isdecimal():
                        raise self._no_member(cohort, rows.line_num)
                    properties = {name: row[at] or None for name, at in others.items()}
                    if properties.get("amplitude_id") == number:
                        del properties["amplitude_id"]  # Amplitude repeats it before the properties
                    yield {
                        "cohort_id": cohort,
                        "amplitude_id": int(number),
                        "user_id": row[users] or None if users is not None else None,
                        "properties": properties,
                    }
            except (csv.Error, ValueError) as error:
                raise self._no_member(cohort, rows.line_num) from error
            if replaced:
                LOGGER.warning(
                    f"The file of the members of the cohort {cohort!r} holds bytes that are no UTF-8 in"
                    f" {len(replaced)} lines: U+FFFD is in their place."
                )

    def _no_member(self, cohort: str, line: int = 1) -> AirbyteTracedException:
        return self._failure(
            FailureType.system_error,
            f"The file of the members of the cohort {cohort!r} has no column `amplitude_id` of numbers,"
            f" or another number of columns, in line {line}. Try again, and open an issue if it stays.",
        )

    def _failure(self, kind: FailureType, message: str) -> AirbyteTracedException:
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )

    def _send(
        self, path: str, kind: str, parameters: Mapping[str, str] | None = None
    ) -> requests.Response:
        def describe(response: requests.Response) -> Any:
            file = path.endswith("/file")
            what = "Ask what has changed" if kind == "HTTP" else "Create or poll the job"
            return format_http_message(
                response,
                "Cohort members",
                "Read the members" if file else what,
                self.name if file else None,
                is_auxiliary=not file or None,
                type=kind,
            )

        response = self.requester.send_request(
            path=path,
            request_params=parameters,
            request_headers={"Accept-Encoding": "gzip"},
            log_formatter=describe,
        )
        assert response is not None  # the error handler ignores none
        return response


def sent_at(response: requests.Response) -> int:
    """When a response was sent, in seconds since 1970; by this clock where it does not say."""
    moment = date_of(response)
    return int(moment.timestamp() if moment else time.time())


def field_of(response: requests.Response, name: str) -> str:
    """A field of a response as text, empty where it has none."""
    try:
        value = response.json()[name]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return str(value) if isinstance(value, str | int) else ""


def opened(file: IO[bytes]) -> AbstractContextManager[Any]:
    """A file from its beginning, inflated where it is gzip."""
    file.seek(0)
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if zipped else nullcontext(file)


def _lines(text: IO[str], replaced: list[bool]) -> Iterator[str]:
    """The lines of a text; each that holds U+FFFD is counted in `replaced`."""
    while line := text.readline(MAX_CELL_BYTES):
        if "\ufffd" in line:
            replaced.append(True)
        yield line


def _unused(name: str, used: Mapping[str, Any]) -> str:
    """The name, with a number where it is in use."""
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(candidate for candidate in names if candidate not in used)
