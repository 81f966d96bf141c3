"""What the manifest cannot say: the export's archive, failures in Amplitude's words, tables of figures.

One self-contained file: the Connector Builder executes its text with the CDK beside it and nothing else.
It therefore has no `from __future__ import annotations`, no relative import and no `__file__`.
"""

import json
import logging
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, MutableMapping
from dataclasses import InitVar, dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import orjson
import pytz
import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.decoders.decoder import Decoder
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration
from airbyte_cdk.sources.declarative.requesters.error_handlers import DefaultErrorHandler
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
    ResponseAction,
)
from airbyte_cdk.sources.streams.http.request_window_split_exception import (
    RequestWindowSplitRequiredException,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

decompressobj: Any
InflateError: Any
try:  # The optional extra `fast`: the same bytes, sooner.
    from isal.isal_zlib import decompressobj
    from isal.isal_zlib import error as InflateError  # noqa: N812 - a class, whatever its name
except ImportError:
    from zlib import decompressobj
    from zlib import error as InflateError  # noqa: N812


# -- responses and errors -----------------------------------------------------------------------

HOUR_SECONDS = 3600
LIMITS = {
    # The 429's own words (apis/analytics/dashboard-rest#rate-limits), and how long the limit needs.
    "concurrent limit": (300, "five minutes"),
    "rate limit": (HOUR_SECONDS, "an hour"),
}
LONGEST_WAIT_SECONDS = 6 * HOUR_SECONDS


@dataclass
class Waits(BackoffStrategy):
    """Turn a failed request into the seconds to wait before it is sent again.

    What `Retry-After` says, in seconds or as a date; else what the limit that a 429 names needs; else 10, 20,
    40, ... seconds.
    """

    name: str

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """The seconds; the log says what a 429 is waited for."""
        growing = float(5 * 2**attempt_count)
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return growing
        seconds, why = _retry_after(response.headers.get("Retry-After")), "as Amplitude asks"
        if response.status_code != 429:
            return seconds or growing
        if not seconds:
            words = error_text(response).lower()
            seconds, why = growing, "since Amplitude names no limit"
            for limit, (needs, span) in LIMITS.items():
                if limit in words:
                    seconds, why = needs, f"for Amplitude's limit of {span}"
        logging.getLogger("airbyte").info(
            f"Amplitude takes no more requests for {self.name} now (429): waiting {seconds:.0f} s, {why}."
        )
        return seconds


def _retry_after(value: str | None) -> float:
    """The seconds of a `Retry-After` header, 0 where there is none (RFC 9110, section 10.2.3)."""
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(str(value))
        return float(max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()))
    except (ValueError, TypeError):
        return 0.0


@dataclass
class AmplitudeErrorHandler(DefaultErrorHandler):
    """Turn an answer, or its absence, into what to do about it, in Amplitude's own words.

    - 429, 5xx, time-outs and lost connections are asked again (`Waits`), then transient_error
    - 401, 403, and 404 of the taxonomy: config_error, with the hint to the region or to the plan
    - 400 for a property that the project has not: config_error; any other 4xx: system_error
    - 200 without the list under `data_field`: system_error, so that a table is never emptied by mistake

    Raised here, since the CDK's own way writes header and body to the log.
    While `check` runs (`ask_again: false` in the config), nothing is asked twice.
    """

    name: str = ""
    data_field: str | None = None
    max_time: int = LONGEST_WAIT_SECONDS

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self.backoff_strategies = [Waits(self.name)]
        # A thread sends one request at a time, whatever it is redirected to.
        self._thread = threading.local()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: it is no use to ask again.
        """
        response = response_or_exception
        if isinstance(response, requests.Response):
            if response.ok:
                self._thread.attempts = 0
                if self.data_field is not None:
                    self._expect_list(response, self.data_field)
                return SUCCESS_RESOLUTION
            if response.status_code not in (408, 429) and response.status_code < 500:
                raise self.refusal(response)
        return self.retry(response)

    @property
    def attempts(self) -> int:
        """How often the request that this thread sends has failed before."""
        return getattr(self._thread, "attempts", 0)

    def retry(self, response: requests.Response | Exception | None) -> ErrorResolution:
        """Have a request sent again.

        Raises:
            AirbyteTracedException: transient_error, it has failed too often, or leads in a circle.
        """
        self._thread.attempts = tries = self.attempts + 1
        circle = isinstance(response, requests.TooManyRedirects)
        if circle or tries > int(self.max_retries or 0) or not self.config.get("ask_again", True):
            raise self.failure(FailureType.transient_error, self._passing(response, tries))
        resolution = super().interpret_response(response)
        if resolution.response_action in (ResponseAction.RETRY, ResponseAction.RATE_LIMITED):
            return resolution
        return replace(resolution, response_action=ResponseAction.RETRY)

    def _passing(self, response: requests.Response | Exception | None, tries: int) -> str:
        """The message for a transient failure that outlived its retries."""
        if isinstance(response, requests.TooManyRedirects):
            return (
                f"Amplitude's answer to the request for {self.name} redirects in a circle. The next sync"
                " goes on from here; check proxies between here and Amplitude."
            )
        if tries > 1:
            last = type(response).__name__
            if isinstance(response, requests.Response):
                last = f"{response.status_code}{_said(response)}"
            return (
                f"Amplitude did not answer for {self.name}, {tries} times over (the last: {last}). The next"
                " sync goes on from here; if it stays, look at Amplitude's status page."
            )
        if not isinstance(response, requests.Response):
            host = urlsplit(str(getattr(getattr(response, "request", None), "url", ""))).netloc
            return (
                f"Amplitude cannot be reached at {host} ({type(response).__name__}). Check the network and"
                " the data region, then test again."
            )
        if response.status_code == 429:
            return (
                f"Amplitude takes no more requests of this project for now, when asked for {self.name}"
                f" (429{_said(response)}). Its limits pass within the hour: test again then."
            )
        return (
            f"Amplitude could not answer for {self.name} ({response.status_code}{_said(response)})."
            " Test again in a few minutes."
        )

    def refusal(self, response: requests.Response) -> AirbyteTracedException:
        """The error for an answer of 4xx."""
        status, said = response.status_code, _said(response)
        words = said.lower()
        if status == 401 or (status == 403 and re.search(r"key|secret|credential", words)):
            return self.failure(
                FailureType.config_error,
                f"Amplitude refused the keys when asked for {self.name} ({status}{said}). Check the API"
                " key, the secret key and the data region: a key of the other region looks like a wrong key.",
            )
        if status == 403 or (status == 404 and "/taxonomy/" in str(response.url)):
            return self.failure(
                FailureType.config_error,
                f"Amplitude does not let this project read {self.name} ({status}{said}): its plan may not"
                " include it. Leave the stream out; if no stream works, check the keys and the data region.",
            )
        if status == 400 and "user property" in words:
            return self.failure(
                FailureType.config_error,
                f"Amplitude cannot group {self.name} by country ({status}{said}): turn off"
                " `active_users_group_by_country`.",
            )
        return self.failure(
            FailureType.system_error,
            f"Amplitude could not answer the request for {self.name} ({status}{said}). Nothing was read;"
            " try again, and open an issue if it stays.",
        )

    def failure(self, kind: FailureType, message: str) -> AirbyteTracedException:
        """An error of this stream, which ends its request."""
        self._thread.attempts = 0
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )

    def _expect_list(self, response: requests.Response, field: str) -> None:
        try:
            body = response.json()
            found = body[field] if field else body
        except (ValueError, LookupError, TypeError):
            found = None
        if not isinstance(found, list):
            raise self.failure(
                FailureType.system_error,
                f"Amplitude's answer for {self.name} is not the list that its documentation promises"
                f" ({response.status_code}{_said(response)}). Nothing was read; try again, and open an issue"
                " if it stays.",
            )


def error_text(response: requests.Response) -> str:
    """Amplitude's own words in an error response, or nothing when there are none."""
    try:
        return error_text_of(response.json())
    except ValueError:
        return ""


def error_text_of(body: Any) -> str:
    """The words of an error's envelope: `message (details)`, or nothing.

    The taxonomy has `errors: [{message}]` where all others have
    `error: {message, metadata: {details}}`.
    """
    try:
        error = body.get("error") or body["errors"][0]
        if isinstance(error, str):
            return error
        words, details = error.get("message"), (error.get("metadata") or {}).get("details")
    except (LookupError, TypeError, AttributeError):
        return ""
    return f"{words} ({details})" if words and details else str(words or details or "")


def _said(response: requests.Response) -> str:
    words = error_text(response)
    return f": {words}" if words else ""


# -- daily figures ------------------------------------------------------------------------------


@dataclass
class SeriesExtractor(RecordExtractor):
    """Turn a dashboard answer, `series[label][position]` and `xValues[position]`, into records.

    `values: statistics` gives `{"date", "statistics": {label: value}}`, the label `all` when ungrouped;
    `values: users` gives `{"date", "segment": label, "users": value}`;
    `values: bins` gives `{"bin", "sessions"}` from the only series, whose positions are bins and not days;
    any other name gives `{"date", name: value}` from the only series.
    No series gives no records.

    Raises:
        AirbyteTracedException: system_error when days, series and labels do not fit each other.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest
    """

    values: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def extract_records(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        """Yield the records of a response, in its order."""
        try:
            data = response.json()["data"]
            days, series = data["xValues"], data["series"]
        except (ValueError, KeyError, TypeError) as error:
            raise _misfit("it has no data.xValues and data.series") from error
        if not series:
            return
        labels = self._labels(data, len(series))
        for label, values in zip(labels, series, strict=True):
            if len(values) != len(days):
                raise _misfit(f"{label!r} has {len(values)} values for {len(days)} days")
        for day, *figures in zip(days, *series, strict=True):
            date = str(day)[:10]
            if self.values == "statistics":
                yield {"date": date, "statistics": dict(zip(labels, figures, strict=True))}
            elif self.values == "users":
                for label, figure in zip(labels, figures, strict=True):
                    yield {"date": date, "segment": label, "users": figure}
            elif self.values == "bins":
                yield {"bin": str(day), "sessions": figures[0]}
            else:
                yield {"date": date, self.values: figures[0]}

    def _labels(self, data: Mapping[str, Any], count: int) -> list[str]:
        """The labels of the series: `seriesLabels`, else `seriesMeta` where those are strings."""
        labels = data.get("seriesLabels")
        if not labels:
            meta = data.get("seriesMeta") or []
            labels = meta if all(isinstance(label, str) for label in meta) else [0] * len(meta)
        if not labels and count == 1:
            labels = [0]
        if len(labels) != count:
            raise _misfit(f"it has {len(labels)} labels for {count} series")
        # Some payloads say [index, name]; an ungrouped series is called 0.
        names = [label[-1] if isinstance(label, list) else label for label in labels]
        names = ["all" if label == 0 else str(label) for label in names]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise _misfit(f"the label {doubles[0]!r} occurs more than once")
        if self.values not in ("statistics", "users") and count != 1:
            raise _misfit(f"it has {count} series where one is expected")
        return names


def _misfit(what: str) -> AirbyteTracedException:
    return AirbyteTracedException(
        message=f"Amplitude's answer is not the table of days that its documentation promises: {what}."
        " Nothing was read; try again, and open an issue if it stays.",
        internal_message=f"malformed series: {what}",
        failure_type=FailureType.system_error,
    )


@dataclass
class LatestDay(StateMigration):
    """Turn a daily state into the form `YYYY-MM-DD`, and one later than today into today's.

    Today is the project's (`project_timezone`): a day that has not begun there cannot have been read.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form or a day to come."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state as this version saves it; one without a day stays as it is."""
        cursor = next((field for field in ("date", "day") if stream_state.get(field)), None)
        if cursor is None:
            return stream_state
        digits = re.sub(r"\D", "", str(stream_state[cursor]))[:8]
        today = datetime.now(pytz.timezone(self.config.get("project_timezone") or "UTC")).date()
        return {cursor: min(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}", str(today))}


# -- events -------------------------------------------------------------------------------------


@dataclass
class ExportErrorHandler(AmplitudeErrorHandler):
    """Turn an Export API failure into what to do about it.

    404 is a window without events.
    504 is asked once more, then the window is split; so is a 400 that names no cause of its own, since
    Amplitude documents 400 as "over 4 GB".
    See: https://amplitude.com/docs/apis/analytics/export#status-codes
    """

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self._timed_out: WeakKeyDictionary[requests.PreparedRequest, bool] = WeakKeyDictionary()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what an answer, or its absence, means."""
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return super().interpret_response(response)
        if response.ok:  # before anything looks at the body, which is streamed
            return SUCCESS_RESOLUTION
        words = error_text(response)
        if response.status_code == 404:
            return ErrorResolution(
                ResponseAction.IGNORE, None, "The export has no events in this window (404)."
            )
        if response.status_code == 504 and response.request not in self._timed_out:
            self._timed_out[response.request] = True
            return ErrorResolution(
                ResponseAction.RETRY,
                FailureType.transient_error,
                "Amplitude could not prepare the export in time (504).",
            )
        if response.status_code == 504 or (response.status_code == 400 and not _other_cause(words)):
            return ErrorResolution(
                ResponseAction.SPLIT_REQUEST_WINDOW,
                FailureType.transient_error,
                f"{response.status_code}{' ' if words else ''}{words}",
            )
        if response.status_code == 400:
            raise self.failure(
                FailureType.config_error,
                f"Amplitude refused the export: {words}. Correct the dates or options it names.",
            )
        return super().interpret_response(response)


def _other_cause(words: str) -> bool:
    """Whether a 400 plainly speaks of something else than the export's size."""
    text = words.lower()
    if re.search(r"too large|too big|4 ?gb|size|exceed", text):
        return False
    return bool(
        re.search(r"date|param|argument|format|start|end|range|credential|api key|secret", text)
    )


TIMES = (
    "client_event_time",
    "client_upload_time",
    "event_time",
    "processed_time",
    "server_received_time",
    "server_upload_time",
    "user_creation_time",
)

# Amplitude's own form, and the odd ones that it is known to have stored.
_TIME = re.compile(
    r"(\d{4})[-:/](\d{2})[-:/](\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?"
    r" ?(?:Z|UTC|([+-])(\d{2}):?(\d{2}))?"
)


def rfc3339(value: Any) -> Any:
    """Turn a time of the export into RFC 3339 with six decimals and the offset `+00:00`.

    The export's times are UTC and say no zone.
    A time with an offset of its own is moved to UTC; what is not a time comes back as it is.
    """
    if not isinstance(value, str):
        return value
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return value
    sign, hours, minutes = match[8], match[9] or "00", match[10] or "00"
    text = (
        f"{match[1]}-{match[2]}-{match[3]}T{match[4]}:{match[5]}:{match[6]}"
        f".{(match[7] or '')[:6].ljust(6, '0')}{sign or '+'}{hours}:{minutes}"
    )
    try:
        moment = datetime.fromisoformat(text).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return value
    return moment.isoformat(timespec="microseconds")


DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    InflateError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile and the inflater raise at bytes that are not what they should be."""

CHUNK_BYTES = 256 * 1024
GZIP_WBITS = 31
DESCRIPTOR_BYTES = 24
"""What may lie between two members: a data descriptor (PKZIP application note, 4.3.9)."""
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
SMALL_MEMBER_BYTES = 1024 * 1024
"""Members that inflate to less than this are never called a bomb, whatever their ratio."""


class DamagedArchiveError(Exception):
    """A body that is not a whole archive: asking again may bring a good one."""


class Archive:
    """A verified export on disk: members in the zip's order, each read line by line.

    The file has no name, so that it is gone with the process however that ends.
    Memory: one chunk of `CHUNK_BYTES` and one line.
    """

    def __init__(self, file: IO[bytes], decoder: "ExportDecoder") -> None:
        """Open the zip in `file`; the archive closes it."""
        self._file = file
        self._decoder = decoder
        try:
            self._zip = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise DamagedArchiveError("its directory cannot be read") from error
        self.members = [member for member in self._zip.infolist() if member.file_size]

    def close(self) -> None:
        """Give the disk back."""
        self._zip.close()
        self._file.close()

    def verify(self) -> None:
        """Read every byte once: lengths, checksums and limits, before a record is emitted."""
        if len(self.members) > self._decoder.max_members:
            raise _limit(f"{len(self.members):,} members", "max_members", self._decoder.max_members)
        self._verify_directory()
        for member in self.members:
            line_bytes = member_bytes = 0
            for chunk in self._chunks(member):
                member_bytes += len(chunk)
                ratio = member_bytes / max(member.compress_size, 1)
                if member_bytes > SMALL_MEMBER_BYTES and ratio > self._decoder.max_expansion:
                    raise _limit(
                        f"a member that inflates over {self._decoder.max_expansion} times",
                        "max_expansion",
                        self._decoder.max_expansion,
                    )
                # Lines within a chunk are short enough; only the one across its edge may grow.
                end = chunk.find(b"\n")
                longest = line_bytes + (len(chunk) if end < 0 else end)
                line_bytes = longest if end < 0 else len(chunk) - 1 - chunk.rfind(b"\n")
                if max(longest, line_bytes) > self._decoder.max_line_bytes:
                    raise _limit(
                        f"a line over {self._decoder.max_line_bytes:,} bytes",
                        "max_line_bytes",
                        self._decoder.max_line_bytes,
                    )

    def _verify_directory(self) -> None:
        """A damaged directory may leave members out: every byte before it must belong to one of its own."""
        end = 0
        for member in sorted(self._zip.infolist(), key=lambda member: member.header_offset):
            if not 0 <= member.header_offset - end <= DESCRIPTOR_BYTES:
                raise DamagedArchiveError("its directory does not fit its members")
            self._file.seek(member.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<HH", self._file.read(4).ljust(4, b"\0"))
            end = member.header_offset + 30 + name_bytes + extra_bytes + member.compress_size
        if not 0 <= self._zip.start_dir - end <= DESCRIPTOR_BYTES:
            raise DamagedArchiveError("its directory does not fit its members")

    def records(self, member: zipfile.ZipInfo, since: str = "") -> Iterator[dict[str, Any]]:
        """Turn one member's lines into events, times as RFC 3339, everything else untouched.

        Events uploaded before `since`, in the export's own form, are left out.

        Raises:
            AirbyteTracedException: system_error at the first line that is not a JSON object, unless
                `on_bad_record` is `skip`: then a warning at the member's end counts those left out.
        """
        loads, before = orjson.loads, self._decoder.before
        first = max(self._decoder.first, since)
        skipped = 0
        for number, line in enumerate(self._lines(member), start=1):
            try:
                event = loads(line)
            except orjson.JSONDecodeError:
                event = _lenient(line)
            if type(event) is not dict:
                if not line.strip():
                    continue
                if self._decoder.skip_bad_records:
                    skipped += 1
                    continue
                raise AirbyteTracedException(
                    message=f"Line {number} of the export's member {member.filename!r} is not a JSON"
                    " object; set `on_bad_record` to `skip` to read past it, and tell Amplitude.",
                    internal_message=f"bad line {number} in {member.filename!r}",
                    failure_type=FailureType.system_error,
                )
            if first or before:
                uploaded = str(event.get("server_upload_time"))
                if (first and uploaded < first) or (before and uploaded >= before):
                    continue
            for key in TIMES:
                time = event.get(key)
                if time is None:
                    continue
                # Nearly every time has this one form; the pattern would cost five times as much.
                if (
                    type(time) is str
                    and len(time) == 26
                    and time[4] == time[7] == "-"
                    and time[10] == " "
                    and time[13] == time[16] == ":"
                    and time[19] == "."
                ):
                    event[key] = f"{time[:10]}T{time[11:]}+00:00"
                else:
                    event[key] = rfc3339(time)
            yield event
        if skipped:
            self._decoder.warn(f"Skipped {skipped:,} bad lines of the member {member.filename!r}.")

    def _lines(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        parts: list[bytes] = []
        for chunk in self._chunks(member):
            *lines, rest = chunk.split(b"\n")
            if lines:
                yield b"".join([*parts, lines[0]])
                yield from lines[1:]
                parts = []
            parts.append(rest)
        yield b"".join(parts)

    def _chunks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Inflate a member, one gzip stream or several one after another, a chunk at a time."""
        try:
            with self._zip.open(member) as compressed:
                stream, chunk, data = None, b"", b""
                # Once all is read, an empty input brings out what the inflater still holds.
                while (data := data or compressed.read(CHUNK_BYTES // 4)) or (chunk and stream):
                    if stream is None or stream.eof:
                        if not data:
                            break
                        stream = decompressobj(wbits=GZIP_WBITS)
                    if chunk := stream.decompress(data, CHUNK_BYTES):
                        yield chunk
                    data = stream.unused_data if stream.eof else stream.unconsumed_tail
                if stream and not stream.eof:
                    raise DamagedArchiveError(f"its member {member.filename!r} is cut short")
        except DAMAGE as error:
            raise DamagedArchiveError(f"its member {member.filename!r} is damaged") from error


def _lenient(line: bytes) -> Any:
    """Read what orjson refuses and JSON allows, a lone surrogate for one; None where it is no JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _limit(what: str, option: str, value: int) -> AirbyteTracedException:
    return AirbyteTracedException(
        message=f"The export holds {what}, over the limit of the decoder's option `{option}`"
        f" ({value:,}); raise it in the manifest if the data is right.",
        internal_message=f"limit {option}={value}",
        failure_type=FailureType.system_error,
    )


@dataclass
class ExportDecoder(Decoder):
    """Turn an Export API response into events, one dict an event.

    Input: a zip archive; each member is gzip of newline-separated JSON objects, UTF-8.
    Output: the objects, in the archive's order; the seven times become RFC 3339 (UTC, six decimals).
    Memory: one chunk and one line; the body lies in an unnamed temporary file until it has been read.
    Nothing is emitted of an archive that is not whole.

    Limits, each an option of the decoder in the manifest:
        max_line_bytes: one line; 64 MiB.
        max_expansion: inflated bytes of a member for each of its compressed bytes; 500.
        max_members: members of an archive; 100,000.
    Names of members are labels only and never used as paths.

    Raises:
        RequestWindowSplitRequiredException: the body is not a whole archive; a smaller window may be.
        AirbyteTracedException: system_error when a limit is passed or a line is not a JSON object.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_line_bytes: int = 64 * 1024 * 1024
    max_expansion: int = 500
    max_members: int = 100_000

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:  # noqa: D105
        self.skip_bad_records = self.config.get("on_bad_record") == "skip"
        # Windows are whole hours: only bounds within an hour need a look at each event.
        self.first = _within_hour(self.config.get("start_date"))
        self.before = _within_hour(self.config.get("end_date"))

    def is_stream_response(self) -> bool:  # noqa: D102
        return True

    def decode(
        self, response: requests.Response
    ) -> Generator[MutableMapping[str, Any], None, None]:
        """Yield the events of a response."""
        try:
            archive = self.opened(self.spooled(response))
        except DamagedArchiveError as error:
            raise RequestWindowSplitRequiredException(
                stream_name="events", error_message=f"The archive is not whole: {error}."
            ) from error
        try:
            for member in archive.members:
                yield from archive.records(member)
        finally:
            archive.close()

    def spooled(self, response: requests.Response) -> IO[bytes]:
        """Write the body to disk in chunks.

        Raises:
            DamagedArchiveError: the connection ended early, or what arrived is no zip.
        """
        file = TemporaryFile(prefix="source-amplitude-")  # noqa: SIM115 - the archive closes it
        try:
            with response:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
            size = file.tell()
            file.seek(0)
            magic = file.read(len(EMPTY_ZIP))
            if magic[:4] != b"PK\x03\x04" and (size, magic) != (len(EMPTY_ZIP), EMPTY_ZIP):
                what = "empty" if not size else "a page" if magic[:1] == b"<" else "no zip"
                raise DamagedArchiveError(
                    f"the answer is {what} ({size:,} bytes,"
                    f" {response.headers.get('Content-Type', 'no content type')})"
                )
        except requests.RequestException as error:
            file.close()
            raise DamagedArchiveError("the connection ended early") from error
        except BaseException:
            file.close()
            raise
        return file

    def opened(self, file: IO[bytes]) -> Archive:
        """Open and verify a body on disk.

        Raises:
            DamagedArchiveError: its directory or checksums are wrong, or a member is cut short.
        """
        try:
            archive = Archive(file, self)
            archive.verify()
        except BaseException:
            file.close()
            raise
        return archive

    def warn(self, text: str) -> None:
        """Say something to the user in the log, once a member at most."""
        logging.getLogger("airbyte").warning(text)


def _within_hour(bound: str | None) -> str:
    """A bound in the export's own form when it cuts an hour in two, else nothing."""
    if not bound or bound[14:19] == "00:00":
        return ""
    return f"{bound[:10]} {bound[11:19]}.000000"


# -- cohorts ------------------------------------------------------------------------------------

MOST_EPOCH_SECONDS = 10**11


@dataclass
class EpochSeconds(RecordTransformation):
    """Turn a cohort's four times into seconds since 1970, where an answer has milliseconds."""

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place; in seconds the limit is the year 5138."""
        for key in ("createdAt", "lastComputed", "lastMod", "last_viewed"):
            if (record.get(key) or 0) > MOST_EPOCH_SECONDS:
                record[key] //= 1000


@dataclass
class MemberProperties(RecordTransformation):
    """Turn a row of a cohort's CSV into a member: two ids, and all other columns under `properties`.

    Raises:
        AirbyteTracedException: system_error when the file has no column `amplitude_id`.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the row in place; empty cells become null."""
        if not str(record.get("amplitude_id") or "").isdecimal():
            raise AirbyteTracedException(
                message="The file of a cohort's members has no column `amplitude_id` of numbers; try again,"
                " and open an issue if it stays.",
                internal_message="malformed file of cohort members",
                failure_type=FailureType.system_error,
            )
        row = {name: value or None for name, value in record.items()}
        record.clear()
        record["cohort_id"] = (stream_slice or {}).get("cohort_id")
        record["amplitude_id"] = int(row.pop("amplitude_id") or 0)
        record["user_id"] = row.pop("user_id", None)
        record["properties"] = row
