"""Written from extensions/ by `make components`: change the modules there (@generated).

The custom components of manifest.yaml as one file, since the Connector Builder executes its text with the CDK
beside it and nothing else. It therefore has no relative import and no `__file__`.
"""

import csv
import errno
import gzip
import io
import json
import logging
import math
import os
import re
import struct
import sys
import threading
import time
import weakref
import zipfile
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import InitVar, dataclass, replace
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import accumulate, chain, count, repeat
from tempfile import TemporaryFile, gettempdir
from types import SimpleNamespace
from typing import IO, Any, NamedTuple, cast
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytz
import requests
from airbyte_cdk.models import (
    AirbyteLogMessage,
    AirbyteMessage,
    AirbyteRecordMessage,
    FailureType,
    Level,
)
from airbyte_cdk.models import Type as MessageType
from airbyte_cdk.sources.declarative.decoders.decoder import Decoder
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor
from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration
from airbyte_cdk.sources.declarative.partition_routers import (
    ListPartitionRouter,
    SubstreamPartitionRouter,
)
from airbyte_cdk.sources.declarative.requesters import HttpRequester, Requester
from airbyte_cdk.sources.declarative.requesters.error_handlers import DefaultErrorHandler
from airbyte_cdk.sources.declarative.retrievers import Retriever, SimpleRetriever
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.http_logger import format_http_message
from airbyte_cdk.sources.streams.call_rate import APIBudget, BaseCallRatePolicy, CallRateLimitHit
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
    ResponseAction,
)
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

# -- times: The times that two APIs or more have: their forms, and today --------------------------


DAY = timedelta(days=1)


def today_of(config: Mapping[str, Any]) -> str:
    """The day that has begun in the project's time zone."""
    return str(datetime.now(pytz.timezone(config.get("project_timezone") or "UTC")).date())


HOUR = timedelta(hours=1)

BEGINNING_OF_DATA = "2012-01-01T00:00:00Z"

_TIMESTAMP = re.compile(
    r"(\d{4})[-:/](\d{2})[-:/](\d{2})"
    r"(?:[ T](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))? ?(?:Z|UTC|([+-])(\d{2})(?::?(\d{2}))?)?)?",
    re.ASCII,
)


def rfc3339(value: Any) -> Any:
    """Turn a time of the export into RFC 3339 with six decimals and the offset `+00:00`.

    The export's times are UTC and have no zone; one with an offset is moved to UTC, and a date is
    its midnight. What is not a time comes back as it is.
    """
    if not isinstance(value, str):
        return value
    match = _TIMESTAMP.fullmatch(value.strip())
    if match is None:
        return value
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    text = (
        f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}"
        f".{(fraction or '')[:6].ljust(6, '0')}{sign or '+'}{hours or '00'}:{minutes or '00'}"
    )
    try:
        moment = datetime.fromisoformat(text).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return value
    return moment.isoformat(timespec="microseconds")


# -- annotations: Annotations and their categories ------------------------------------------------


@dataclass
class AnnotationDay(RecordTransformation):
    """Give an annotation, as `date`, the day of `start` in the project's time zone.

    A start without a zone is taken to be in the project's; where there is no readable start, the
    day is null.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place."""
        start, day = str(record.get("start")), None
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(rfc3339(start))
            if re.search(r":\d\d.*([Zz]|[+-]\d\d:?(\d\d)?)$", start.strip()):
                zone = pytz.timezone(self.config.get("project_timezone") or "UTC")
                moment = moment.astimezone(zone)
            day = str(moment.date())
        record["date"] = day


@dataclass
class CategoryName(RecordTransformation):
    """Give a category of annotations its `name`, which live responses call `category`.

    The category is the record, or what is under its `field`.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None
    field: str = ""

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the category in place; where there is none, do nothing."""
        category = record.get(self.field) if self.field else record
        if isinstance(category, dict) and category.get("name") is None:
            category["name"] = category.get("category")


# -- budget: The rate limit of the dashboards, which counts days ----------------------------------


LOGGER = logging.getLogger("airbyte")

NAMED_WAIT_SECONDS = 10
"""Shorter waits are not worth a line in the log."""


class DailyBudget(APIBudget):
    """The manifest's budget for one stream: a weight is the cost of a day, and waits are in the log.

    The CDK knows one weight for all requests of a kind, and waits without a word.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
    """

    def __init__(self, budget: APIBudget, name: str) -> None:
        """Share `budget` with the other streams."""
        super().__init__(policies=[])
        self._budget, self._name = budget, name

    def acquire_call(self, request: Any, block: bool = True, timeout: float | None = None) -> None:
        """Return once the budget has room for the request.

        Raises:
            CallRateLimitHit: it has none, and the caller does not `block`, or for less than it takes.
        """
        policy = self._budget.get_matching_policy(request)
        if not isinstance(policy, BaseCallRatePolicy):
            self._budget.acquire_call(request, block, timeout)
            return
        cost = policy.get_weight(request) * days_of(request)
        while True:
            try:
                policy.try_acquire(request, weight=cost)
            except CallRateLimitHit as hit:
                seconds = hit.time_to_wait.total_seconds()
                if not block or (timeout is not None and timeout < seconds):
                    raise
                if seconds >= NAMED_WAIT_SECONDS:
                    LOGGER.info(
                        f"{self._name} waits {seconds:.0f} s: until then Amplitude would refuse its next"
                        " request."
                    )
                time.sleep(max(seconds, 0))
            else:
                return

    def update_from_response(self, request: Any, response: Any) -> None:
        """Tell the budget what Amplitude says of it."""
        self._budget.update_from_response(request, response)


def days_of(request: requests.PreparedRequest) -> int:
    """The days that a request asks for, from `start` to `end`; 1 if it names none."""
    query = parse_qs(urlsplit(request.url or "").query)
    try:
        days = [query[name][0] for name in ("start", "end")]
        start, end = (date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in days)
    except (LookupError, ValueError):
        return 1
    return (end - start).days + 1


def with_daily_budget(
    requester: Requester, name: str, parameters: Mapping[str, Any] | None
) -> HttpRequester:
    """The requester of the stream `name` with a budget by days."""
    assert isinstance(requester, HttpRequester)
    budget = DailyBudget(requester.api_budget or APIBudget(policies=[]), name)
    return replace(requester, api_budget=budget, parameters=parameters or {})


@dataclass
class BudgetRetriever(SimpleRetriever):
    """Read as the CDK does, with a budget by days."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self.requester = with_daily_budget(self.requester, self.name, parameters)


# -- responses: What a response says of itself: Amplitude's message, its limit, its time ----------


HOUR_SECONDS = 3600

LIMITS = {
    # The 429's own words (apis/analytics/dashboard-rest#rate-limits), and how long the limit needs.
    "concurrent limit": (300, "five minutes"),
    "rate limit": (HOUR_SECONDS, "an hour"),
}


def date_of(response: requests.Response) -> datetime | None:
    """When a response was sent, by Amplitude's clock; None where it does not say."""
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (LookupError, ValueError, TypeError):
        return None
    # RFC 5322's "-0000" is UTC too.
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def error_message(response: requests.Response) -> str:
    """Amplitude's own words in an error response, or nothing when there are none."""
    try:
        return message_in(response.json())
    except (ValueError, RecursionError):
        return ""


def message_in(body: Any) -> str:
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


QUOTABLE = re.compile(r"(?!.*[\w-]{32})[\w .,:;()'/%+-]{1,300}", re.ASCII)
"""Words of an error that a message may quote: a short sentence, without an address, a key or a record."""


def refuses_keys(response: requests.Response) -> bool:
    """Whether a response is about the keys, and not about what was asked for."""
    words = error_message(response).lower()
    about_keys = re.search(r"key|secret|credential", words)
    return response.status_code == 401 or (response.status_code == 403 and bool(about_keys))


def quotation(response: requests.Response) -> str:
    """Return Amplitude's message as the end of a sentence, or nothing."""
    words = error_message(response)
    return f": {words}" if QUOTABLE.fullmatch(words) else ""


# -- error_handler: Failed requests: retry, or raise an error that quotes Amplitude's message -----


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
            words = error_message(response).lower()
            seconds, why = growing, "since Amplitude names no limit"
            for limit, (needs, span) in LIMITS.items():
                if limit in words:
                    seconds, why = needs, f"for Amplitude's limit of {span}"
        LOGGER.info(
            f"Amplitude takes no more requests for {self.name} now (429): waiting {seconds:.0f} s, {why}."
        )
        return seconds


def _retry_after(value: str | None) -> float:
    """The seconds of a `Retry-After` header, 0 where there is none that can be read."""
    try:
        return Retry().parse_retry_after(value or "0")
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


@dataclass
class AmplitudeErrorHandler(DefaultErrorHandler):
    """Turn an answer, or its absence, into what to do about it, in Amplitude's own words.

    - 429, 5xx, time-outs and lost connections are asked again (`Waits`), then transient_error
    - 401, 403, and 404 of the taxonomy: config_error, with the hint to the region or to the plan
    - 400 for the property that `measure` is grouped by, or for what `option` says: config_error
    - any other 4xx: system_error

    Raised here, since the CDK's own way writes header and body to the log.
    While `check` runs (`ask_again: false` in the config), nothing is asked twice.
    """

    name: str = ""
    measure: str | None = None
    option: str = ""
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
                return SUCCESS_RESOLUTION
            if response.status_code not in (408, 429) and response.status_code < 500:
                raise self.refusal(response)
        elif obstacle := _obstacle(response):
            raise self.failure(FailureType.config_error, obstacle)
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
        # Nor RATE_LIMITED: the CDK then prints a status of what it calls the stream, which may be a job or
        # a parent that no catalog has. The log says what is waited for.
        return replace(super().interpret_response(response), response_action=ResponseAction.RETRY)

    def _passing(self, response: requests.Response | Exception | None, tries: int) -> str:
        """The message for a transient failure that outlived its retries."""
        if isinstance(response, requests.TooManyRedirects):
            return (
                f"Amplitude's answer to the request for {self.name} redirects in a circle. The next sync"
                " goes on from here; check proxies between here and Amplitude."
            )
        if tries > 1:
            last = _problem(response)
            if isinstance(response, requests.Response):
                last = f"{response.status_code}{quotation(response)}"
            return (
                f"Amplitude did not answer for {self.name} in {tries} attempts (the last: {last}). The next"
                " sync continues from here; if the error persists, look at Amplitude's status page."
            )
        if not isinstance(response, requests.Response):
            return (
                f"Amplitude cannot be reached at {_host(response)} ({_problem(response)}). Check the network"
                " and the data region, then test again."
            )
        if response.status_code == 429:
            return (
                f"Amplitude takes no more requests of this project at the moment (429{quotation(response)},"
                f" reading {self.name}). Its limits pass within the hour: test again then."
            )
        return (
            f"Amplitude could not answer for {self.name} ({response.status_code}{quotation(response)})."
            " Test again in a few minutes."
        )

    def refusal(self, response: requests.Response) -> AirbyteTracedException:
        """The error for an answer of 4xx."""
        status, said = response.status_code, quotation(response)
        words = said.lower()
        if status == 407:
            return self.failure(FailureType.config_error, PROXY_REFUSES)
        if refuses_keys(response):
            if "combination" in words:
                return self.failure(
                    FailureType.config_error,
                    f"Amplitude refused the keys when asked for {self.name} ({status}{said}). The secret key"
                    " does not belong to the API key: copy both from the same project.",
                )
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
        query = parse_qs(urlsplit(str(response.url)).query)
        if status == 400 and self.option:
            events = [json.loads(event)["event_type"] for event in query.get("e", [])]
            of = "".join(f" of {event!r}" for event in events)
            by = "".join(f" by {group!r}" for group in query.get("g", []))
            return self.failure(
                FailureType.config_error,
                f"Amplitude refuses {self.name}{of}{by} ({status}{said}): correct `{self.option}`.",
            )
        grouped = self.measure and self.config.get("active_users_group_by_country", True)
        if status == 400 and grouped and "user property" in words:
            return self.failure(
                FailureType.config_error,
                f"Amplitude cannot group {self.name} by country ({status}{said}): turn off"
                " `active_users_group_by_country`.",
            )
        return self.failure(
            FailureType.system_error,
            f"Amplitude could not answer the request for {self.name} ({status}{said}). The next sync sends"
            " it again; open an issue if the error persists.",
        )

    def failure(self, kind: FailureType, message: str) -> AirbyteTracedException:
        """An error of this stream, which ends its request."""
        self._thread.attempts = 0
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )


PROXY_REFUSES = (
    "The proxy between here and Amplitude asks for a user and a password (407): put them into its address"
    " (HTTPS_PROXY=http://user:password@host:port)."
)

PROBLEMS = {
    requests.exceptions.ProxyError: "a proxy that does not connect",
    requests.exceptions.SSLError: "a TLS connection that failed",
    requests.Timeout: "no response in time",
    requests.exceptions.ChunkedEncodingError: "a connection that broke off",
    requests.ConnectionError: "no connection",
}
"""What the exceptions of `requests` mean, the more special ones first."""


def _obstacle(error: Exception | None) -> str:
    """What keeps every request from Amplitude until somebody removes it; empty for what may pass."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {_host(error)} is not trusted, so nothing was requested. If a proxy of your"
            " network answers in its place, let REQUESTS_CA_BUNDLE name a file with the proxy's certificate."
        )
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return PROXY_REFUSES
    return ""


def _problem(error: Any) -> str:
    """Why there is no response, in words."""
    if "Failed to resolve" in str(error):
        return "a name that does not resolve"
    for kind, words in PROBLEMS.items():
        if isinstance(error, kind):
            return words
    return type(error).__name__


def _host(error: Any) -> str:
    """The host that was asked."""
    return urlsplit(str(getattr(getattr(error, "request", None), "url", ""))).netloc


# -- charts: Saved charts: a CSV becomes one record per cell --------------------------------------


NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

WHOLE = "(whole)"
"""Series and column of a response that is no table."""


@dataclass
class ChartErrorHandler(AmplitudeErrorHandler):
    """Skip a chart that is gone or cannot be read, with a warning that names it."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; a response of 4xx gives no records."""
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and response.status_code in (400, 403, 404, 410, 422)
            and not refuses_keys(response)
        ):
            LOGGER.warning(
                f"Amplitude does not give out the chart {chart_id(response)!r}"
                f" ({response.status_code}{quotation(response)}): it was skipped. If it is gone, remove"
                " it from `chart_ids`."
            )
            self._thread.attempts = 0
            return SUCCESS_RESOLUTION
        return super().interpret_response(response)


def chart_id(response: requests.Response) -> str:
    """The chart that was asked for first, whatever the request was redirected to."""
    url = str((response.history or [response])[0].url)
    return urlsplit(url).path.rstrip("/").split("/")[-2]


@dataclass
class ChartExtractor(RecordExtractor):
    """Turn a saved chart, `{"data": csv}`, into records: one for each series and column.

    The CSV (RFC 4180) has lines of one cell (title, description, measure, event), and below them a table: a
    header, and rows of as many cells, the labels first. A cell of text begins with a tab, a figure does not.
    A further table may follow, under lines of its own.

    A record is `{"title", "description", "series", "x", "value", "text"}`: `series` has the labels of the
    row, `x` the header of the column, `text` the cell, and `value` the cell as a number or null. Rows with
    the same labels, and columns with the same header, are numbered.
    What is no such table is one record, with all of it as `text`, and the log says so.

    Raises:
        AirbyteTracedException: system_error when the response is not a JSON object with `data`.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-results-from-an-existing-chart
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def extract_records(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        """Yield the records of a response, in the order of its rows."""
        try:
            data = response.json()["data"]
        except (ValueError, LookupError, TypeError, RecursionError):
            data = None
        if data is None:
            raise AirbyteTracedException(
                message=f"Amplitude's answer for {chart_id(response)!r} is no chart: it has no `data`."
                " Nothing of it was read; the next sync requests it again. Open an issue if the error"
                " persists.",
                internal_message="malformed chart",
                failure_type=FailureType.system_error,
            )
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        try:
            yield from chart_records(text)
        except (ValueError, csv.Error):
            LOGGER.warning(
                f"Amplitude's answer for the chart {chart_id(response)!r} is no table of a known form: one"
                " record has all of it as text."
            )
            yield {
                **dict.fromkeys(("title", "description", "value")),
                **{"series": WHOLE, "x": WHOLE, "text": text},
            }


def chart_records(text: str) -> list[dict[str, Any]]:
    """The records of a chart's CSV.

    Raises:
        ValueError, csv.Error: it has another form.
    """
    lines: list[str] = []
    tables: list[tuple[list[str], list[list[str]]]] = []
    table: list[list[str]] = []
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        if not any(row):
            table = []
        elif len(row) == 1:
            lines.append(row[0].removeprefix("\t"))
            table = []
        elif not table:
            table = [row]
            tables.append((lines[:], table))
        elif len(row) == len(table[0]):
            table.append(row)
        else:
            raise ValueError("rows of different lengths")
    if not tables or any(len(table) < 2 for _, table in tables):
        raise ValueError("no table")
    above, below = tables[0][0], lines[len(tables[-1][0]) :]
    title = above[0] if above else None
    about = {"title": title, "description": "\n".join([*above[1:], *below]) or None}
    names, columns, figures = [], [], []
    for before, (header, *rows) in tables:
        count = count_labels(rows)
        # What tells a further table from the first: the lines above it.
        own = before[len(above) :]
        for row in rows:
            labels = [cell.removeprefix("\t") for cell in row[:count]]
            names.append(" / ".join(label or "(none)" for label in [*own, *labels]))
            columns.append(distinct(cell.removeprefix("\t") or "(none)" for cell in header[count:]))
            figures.append([cell.removeprefix("\t") for cell in row[count:]])
    return [
        {**about, "series": name, "x": x, "value": chart_number(cell), "text": cell}
        for name, xs, cells in zip(distinct(names), columns, figures, strict=True)
        for x, cell in zip(xs, cells, strict=True)
    ]


def count_labels(rows: list[list[str]]) -> int:
    """How many of the first columns are labels; where all columns are text, the first one is."""
    tabs = any(cell.startswith("\t") for row in rows for cell in row)
    texts = [
        all(cell.startswith("\t") if tabs else chart_number(cell) is None for cell in column)
        for column in zip(*rows, strict=True)
    ]
    return 1 if all(texts) else max(1, texts.index(False))


def chart_number(cell: str) -> float | None:
    """The number that a cell is, exact where it is an integer, or None."""
    match = NUMBER.fullmatch(cell)
    try:
        number = float(cell) if match and any(match.groups()) else int(cell) if match else None
    except ValueError:  # thousands of digits
        return None
    return None if number is None or math.isinf(number) else number


def distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered where one has occurred before: `a`, `a (2)`."""
    found: dict[str, None] = {}
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        found[next(n for n in chain([name], numbered) if n not in found)] = None
    return list(found)


# -- cohorts.states: Saved states of cohort members -----------------------------------------------


@dataclass
class CohortStateMigration(StateMigration):
    """Keep of a state when each cohort was computed; without that a cohort is read again."""

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state by cohort; of any other form, none."""
        try:
            for each in stream_state["states"]:
                _ = str(each["partition"]["cohort_id"]), epoch_of(each["cursor"]["computed_at"])
            return {"states": stream_state["states"]}
        except (LookupError, TypeError, ValueError):
            return {}


def epoch_of(moment: str) -> int:
    """A moment such as `2024-01-31T05:00:00Z` in seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Seconds since 1970 as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- files: Temporary files, and folders that do not take any -------------------------------------


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


# -- cohorts.members: The members of cohorts ------------------------------------------------------


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


# -- lists: Lists: one record per row -------------------------------------------------------------


@dataclass
class ListExtractor(RecordExtractor):
    """Turn a response, or what is under its `data_field`, into records: one per row, as it came.

    With `expand`, the records are the items of each row's list of that name, with the row's other
    fields. A list is read whole before its first record.

    Raises:
        AirbyteTracedException: system_error when there is no list, so that a table is never
            emptied by mistake, or a row is no object or lacks a field of `primary_key`.
    """

    name: str
    data_field: str
    primary_key: Any
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    expand: str = ""

    def extract_records(self, response: requests.Response) -> list[dict[str, Any]]:
        """The records of a response, in its order."""
        try:
            body = response.json()
            rows = body[self.data_field] if self.data_field else body
        except (ValueError, LookupError, TypeError, RecursionError):
            rows = None
        if not isinstance(rows, list):
            raise unlike_list(self.name, f"{response.status_code}{quotation(response)}")
        if self.expand:
            rows = [item for row in rows for item in self._items(row)]
        key = [self.primary_key] if isinstance(self.primary_key, str) else self.primary_key
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise unlike_list(self.name, f"its row {number} is no object")
            for field in key:
                if row.get(field) is None:
                    raise unlike_list(self.name, f"its row {number} has no `{field}`")
        return rows

    def _items(self, row: Any) -> Iterator[Any]:
        items = row.get(self.expand) if isinstance(row, dict) else None
        if not isinstance(items, list):
            raise unlike_list(self.name, f"a row of it has no list `{self.expand}`")
        others = {field: value for field, value in row.items() if field != self.expand}
        for item in items:
            yield {**others, **item} if isinstance(item, dict) else item


def unlike_list(stream: str, what: str) -> AirbyteTracedException:
    """The error for a list that is not as documented."""
    return AirbyteTracedException(
        message=f"Amplitude's answer for {stream} is not the list that its documentation promises"
        f" ({what}). Nothing of it was read; the next sync requests it again. Open an issue if the error"
        " persists.",
        internal_message=f"malformed list of {stream}: {what}",
        failure_type=FailureType.system_error,
    )


# -- cohorts.times: The times of cohorts ----------------------------------------------------------


MAX_EPOCH_SECONDS = 10**11
"""The year 5138: what is larger has thousandths of a second, or thousandths of those."""


@dataclass
class CohortTimes(RecordTransformation):
    """Turn a cohort's four times into whole seconds since 1970, from finer ones or from text.

    Raises:
        AirbyteTracedException: system_error at what is no time.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place; null stays null, and an empty text is null."""
        for field in ("createdAt", "lastComputed", "lastMod", "last_viewed"):
            if record.get(field) is not None:
                try:
                    record[field] = epoch_seconds(record[field])
                except (ValueError, OverflowError) as error:
                    raise unlike_list("cohorts", f"`{field}` of a cohort is no time") from error


def epoch_seconds(value: Any) -> int | None:
    """Turn seconds since 1970, finer units of them, or text of either or of a time, into seconds.

    Raises:
        ValueError, OverflowError: it is no time.
    """
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            value = datetime.fromisoformat(rfc3339(value)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(type(value).__name__)
    seconds = math.floor(value)
    while seconds > MAX_EPOCH_SECONDS:
        seconds //= 1000
    return seconds


# -- dashboards.segmentations: The option `segmentations`: one slice per query --------------------


SEGMENTATION = {"measure": "uniques", "group_by": "", "interval": "daily"}
"""What a segmentation is where the option does not say."""

INTERVALS = {"daily": "1", "weekly": "7", "monthly": "30"}

USER_PROPERTY = re.compile(
    "gp:.*|version|country|city|region|DMA|language|platform|os|device|device_type|start_version|paying"
)
"""Amplitude's own user properties, and those that a project sets, in the dashboards' spelling."""


@dataclass
class SegmentationRouter(ListPartitionRouter):
    """Turn the option `segmentations` into a slice each, whose state is its own.

    The partition is the segmentation with its defaults, so that one that is changed is read from the start
    date on. `extra_fields` are the parameters of its requests. A property is one of the user or, under any
    other name or where `measure` is a sum or an average of it, one of the event.

    Raises:
        AirbyteTracedException: config_error, two segmentations have one name.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices, in the order of the option."""
        segmentations = cast("list[dict[str, str]]", self.values)
        names = [segmentation["name"] for segmentation in segmentations]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise AirbyteTracedException(
                message=f"`segmentations` has the name {double!r} more than once: give each its own.",
                internal_message="invalid config",
                failure_type=FailureType.config_error,
            )
        for given in segmentations:
            segmentation = {**SEGMENTATION, **given}
            group, measure = segmentation["group_by"], segmentation["measure"]
            event: dict[str, Any] = {"event_type": segmentation["event"]}
            of_event = measure in ("sums", "value_avg") or not USER_PROPERTY.fullmatch(group)
            if group and of_event:
                event["group_by"] = [{"type": "event", "value": group}]
            parameters = {
                "e": json.dumps(event),
                "m": measure,
                "i": INTERVALS[segmentation["interval"]],
                "g": "" if of_event else group,
                # The most that Amplitude allows, in place of 100.
                "limit": "1000" if group else "",
            }
            yield StreamSlice(
                partition={"segmentation": segmentation}, cursor_slice={}, extra_fields=parameters
            )


# -- dashboards.series: The table of a dashboard: series become records ---------------------------


MAX_GROUPS = 100
"""The groups that a grouped dashboard query returns at most, the largest ones."""

MIDNIGHT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
"""A day as the dashboards spell it: `2026-09-17` or `2026-09-17T00:00:00`."""


@dataclass
class SeriesExtractor(RecordExtractor):
    """Turn a dashboard's response, `series[label][position]` and `xValues[position]`, into records.

    `values: statistics` gives `{"date", "statistics": {label: value}}`, the label `all` when ungrouped;
    `values: users` gives `{"date", "segment": label, "users": value}`, and `values: value` the same with
    `value`;
    `values: bins` gives `{"bin", "sessions"}` from the only series, whose positions are bins and not days;
    any other name gives `{"date", name: value}` from the only series.
    A value is a number, the text of a number, or null. No series gives no records.
    The log says once when Amplitude may have left out groups.

    Raises:
        AirbyteTracedException: system_error when the response is not such a table.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest
    """

    values: str
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_groups: int = MAX_GROUPS

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:  # noqa: D105
        self._warned = False

    def extract_records(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        """Yield the records of a response, in its order."""
        try:
            data = response.json()["data"]
            positions, series = data["xValues"], data["series"]
        except (ValueError, KeyError, TypeError, RecursionError):
            said = quotation(response)
            raise self._malformed(f"it has no data.xValues and data.series{said}") from None
        if not isinstance(positions, list) or not isinstance(series, list):
            raise self._malformed("data.xValues and data.series are not lists")
        if not series:
            return
        labels = self._labels(data, len(series))
        positions = self._positions(positions)
        table = [self._figures(values, len(positions)) for values in series]
        if len(series) >= self.max_groups and not self._warned:
            self._warned = True
            LOGGER.warning(
                f"Amplitude returned {len(series)} groups for {self.name} and returns {self.max_groups} at"
                " most: smaller ones may be missing."
            )
        for position, *figures in zip(positions, *table, strict=True):
            if self.values == "statistics":
                yield {"date": position, "statistics": dict(zip(labels, figures, strict=True))}
            elif self.values in ("users", "value"):
                for label, figure in zip(labels, figures, strict=True):
                    yield {"date": position, "segment": label, self.values: figure}
            elif self.values == "bins":
                yield {"bin": position, "sessions": figures[0]}
            else:
                yield {"date": position, self.values: figures[0]}

    def _labels(self, data: Mapping[str, Any], count: int) -> list[str]:
        """The labels of the series: `seriesLabels`, else `seriesMeta` where those are strings."""
        labels = data.get("seriesLabels") or data.get("seriesMeta") or ([0] if count == 1 else [])
        if not isinstance(labels, list):
            raise self._malformed("its labels are not a list")
        if len(labels) != count:
            raise self._malformed(f"it has {len(labels)} labels for {count} series")
        # Some payloads have [index, name]; an ungrouped series has the label 0, or only a description.
        names = [label[-1] if isinstance(label, list) and label else label for label in labels]
        names = [0 if isinstance(name, dict) else name for name in names]
        if not all(type(name) in (int, str) for name in names):
            raise self._malformed("a label is not text")
        names = ["all" if name == 0 else str(name) for name in names]
        if len(set(names)) < count:
            raise self._malformed("a label occurs more than once")
        if self.values not in ("statistics", "users", "value") and count != 1:
            raise self._malformed(f"it has {count} series where one is expected")
        return names

    def _positions(self, positions: list[Any]) -> list[str]:
        """Days as `YYYY-MM-DD`, or bins as they are."""
        texts = [position if isinstance(position, str) else "" for position in positions]
        if self.values != "bins":
            texts = [day_of_label(text) for text in texts]
        if not all(texts):
            raise self._malformed("a position in data.xValues is not a day or a bin")
        if len(set(texts)) < len(texts):
            raise self._malformed("a position in data.xValues occurs more than once")
        return texts

    def _figures(self, values: Any, count: int) -> list[float | None]:
        if not isinstance(values, list):
            raise self._malformed("a series is not a list")
        if len(values) != count:
            raise self._malformed(f"a series has {len(values)} values for {count} days or bins")
        return [self._figure(value) for value in values]

    def _figure(self, value: Any) -> float | None:
        try:
            figure = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            figure = value
        if isinstance(figure, bool) or not (value is None or isinstance(figure, int | float)):
            raise self._malformed("a value in data.series is not a number")
        if isinstance(figure, float) and not math.isfinite(figure):
            raise self._malformed("a value in data.series is not a finite number")
        return figure  # type: ignore[no-any-return]

    def _malformed(self, what: str) -> AirbyteTracedException:
        return AirbyteTracedException(
            message=f"Amplitude's answer for {self.name} is not the table of days that its documentation"
            f" promises: {what}. Nothing of it was read; the next sync requests it again. Open an issue"
            " if the error persists.",
            internal_message=f"{self.name}: malformed series: {what}",
            failure_type=FailureType.system_error,
        )


def day_of_label(text: str) -> str:
    """The day of a text, or nothing."""
    match = MIDNIGHT.fullmatch(text)
    try:
        return str(date.fromisoformat(match[1])) if match else ""
    except ValueError:
        return ""


# -- dashboards.states: Saved states of daily streams ---------------------------------------------


@dataclass
class LatestDay(StateMigration):
    """Turn a daily state into days of the form `YYYY-MM-DD`, none of them later than today.

    Read are days and times in any form that a version of a connector has saved, and the CDK's date ranges;
    a state without a day is no state.
    Today is the project's (`project_timezone`): a day that has not begun there cannot have been read.
    The state of a stream that could be grouped by country has `group_by_country: false` while it is not.
    The log warns of a switch, since days of both kinds do not add up.
    The state of a stream of an `option` has a cursor for each partition.
    What has no known form is kept under `unreadable`.
    """

    config: Mapping[str, Any]
    name: str = ""
    measure: str | None = None
    option: str = ""
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form, a day to come or another grouping."""
        return stream_state != self._migrated(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state as this version saves it."""
        migrated = self._migrated(stream_state)
        grouped = migrated.get("group_by_country", True)
        if stream_state.get("date") and grouped != stream_state.get("group_by_country", True):
            LOGGER.warning(
                f"`active_users_group_by_country` is now {'on' if grouped else 'off'}. Earlier days of"
                f" {self.name} may be grouped otherwise, and sums over both kinds count users twice: clear"
                f" the stream {self.name} to read all its days again."
            )
        return migrated

    def _migrated(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        try:
            state = self._days(stream_state)
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {"unreadable": dict(stream_state)}
            # The CDK's cursor of partitions keeps nothing else that it does not know.
            return {"states": [], "parent_state": kept} if self.option else kept
        if self.measure and not self.config.get("active_users_group_by_country", True):
            return {**state, "group_by_country": False}
        return state

    def _days(self, stream_state: Mapping[str, Any]) -> dict[str, Any]:
        if "states" in stream_state:
            # Without the CDK's `state` of all partitions, from which it would start one that is new.
            states = [
                {"partition": {**saved["partition"]}, "cursor": self._days(saved["cursor"])}
                for saved in stream_state["states"] or []
            ]
            return {
                "states": states,
                **{k: v for k, v in stream_state.items() if k == "parent_state" and v},
            }
        if stream_state.get("state_type") == "date-range":
            ranges = [
                {field: self._day(field, value) for field, value in days.items() if value}
                for days in stream_state.get("slices") or []
            ]
            return {**stream_state, "slices": ranges} if ranges else {}
        cursor = next((field for field in ("date", "day") if stream_state.get(field)), None)
        return {cursor: self._day(cursor, stream_state[cursor])} if cursor else {}

    def _day(self, field: str, value: Any) -> str:
        """The day of a saved date or time, or today if that is earlier."""
        match = re.match(r"(\d{4})-?(\d\d)-?(\d\d)(?=[T ]|$)", str(value))
        if match is None:
            raise ValueError(f"{field} is no day")
        return min(str(date(*map(int, match.groups()))), today_of(self.config))


# -- errors: The errors that a sync ends with -----------------------------------------------------


class UnreadableStateError(AirbyteTracedException):
    """A saved state of no known form: config_error, since only its owner can decide what to do.

    A state migration keeps such a state under `unreadable`, and the stream's retriever raises: an
    error in the migration would end the streams that have nothing to do with it.
    """

    def __init__(self, stream: str) -> None:
        """Name the stream and the way out."""
        super().__init__(
            message=f"The saved state of {stream} cannot be read: it has no known form. Clear the"
            " stream's data, or its state, and the next sync reads it from the start date on.",
            internal_message=f"unreadable state of {stream}",
            failure_type=FailureType.config_error,
        )


# -- dashboards.windows: Windows of days, weeks and months ----------------------------------------


@dataclass
class WindowRetriever(BudgetRetriever):
    """Read a window of days, and have the state follow the window, with or without records.

    The CDK's cursor follows records alone: each sync would ask for all days of a project that has none.
    A window that fails is not observed, so the state stays before it.

    With the `interval` weekly or monthly (that of the slice's segmentation, if it has one) a record is a
    bucket under the day that Amplitude labels it with, its first. The request starts early enough for the
    bucket that the window begins in, and each bucket is emitted whole, by one window of a sync. The last
    window also emits the bucket that is still running, and the next sync reads it again.
    """

    interval: str = "daily"

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self._refused = False
        # What the Connector Builder shows of a request; nothing else calls it.
        self.log_formatter = lambda response: format_http_message(
            response, f"Stream '{self.name}' request", "A window of days", self.name
        )

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a window, then move the cursor to its end, or to today if that is earlier.

        Raises:
            UnreadableStateError: once, whatever the number of windows.
        """
        assert stream_slice is not None
        slicer, today = self.stream_slicer, today_of(self.config)
        cursor = (
            slicer if isinstance(slicer, ConcurrentCursor | ConcurrentPerPartitionCursor) else None
        )
        if cursor and "unreadable" in {
            **cursor.state,
            **(cursor.state.get("parent_state") or {}),
        }:
            if self._refused:
                return
            self._refused = True
            raise UnreadableStateError(self.name)
        segmentation = stream_slice.partition.get("segmentation") or {}
        interval = segmentation.get("interval", self.interval)
        start, end = stream_slice["start_time"], stream_slice["end_time"]
        window = bucket_window(interval, start, end, today)
        asked = StreamSlice(
            partition=stream_slice.partition,
            cursor_slice={**stream_slice.cursor_slice, "start_time": window.asked},
            extra_fields=stream_slice.extra_fields,
        )
        for record in super().read_records(records_schema, asked):
            if not isinstance(record, Record):
                yield record
            elif window.first <= record.get("date", window.first) <= window.last:
                # Without its slice, so that the cursor follows the window and not a job that is planned;
                # a cursor of partitions needs it.
                known = stream_slice if stream_slice.partition else None
                yield Record(record.data, self.name, known)
        if cursor:
            data = {cursor.cursor_field.cursor_field_key: min(end, today)}
            cursor.observe(Record(data, self.name, stream_slice))


class BucketWindow(NamedTuple):
    """The first day to ask for, and the first and last labels to emit; days as `YYYY-MM-DD`."""

    asked: str
    first: str
    last: str


def bucket_window(interval: str, start: str, end: str, today: str) -> BucketWindow:
    """Turn a window of days into one of whole buckets; windows that follow each other share none.

    A month begins on its first day. No response says on which day a project's weeks begin: the week of a day
    is the one that is labelled with it or with one of the six days before, and the request begins a week
    before that, in case Amplitude cuts the first bucket.
    """
    if interval == "daily":
        return BucketWindow(start, start, end)
    first, following = date.fromisoformat(start), date.fromisoformat(end) + DAY
    if interval == "monthly":
        first, following = first.replace(day=1), following.replace(day=1)
        asked = first
    else:
        first, following = first - 6 * DAY, following - 6 * DAY
        asked = first - 7 * DAY
    last = end if end >= today else str(following - DAY)
    return BucketWindow(max(str(asked), BEGINNING_OF_DATA[:10]), str(first), last)


# -- export.errors: Responses of the Export API that are not an archive ---------------------------


class TooLargeError(Exception):
    """Amplitude or this machine cannot export a window at once; a smaller one may work."""


class DamagedArchiveError(Exception):
    """A response that is an archive and is not whole; a retry may bring a whole one."""


class NoArchiveError(Exception):
    """A response of 200 that is no archive: its text says why, where Amplitude gave one."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        """Say what came, and how long a limit that it names needs; 0 where it names none."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


@dataclass
class ExportErrorHandler(AmplitudeErrorHandler):
    """Turn an error response of the Export API into what to do about it.

    - 404 with Amplitude's "Raw data files were not found": a window without events
    - 404 with other words of Amplitude: system_error; without any: retried, as 5xx is
    - 413, a second 504, and a 400 that names no other cause, since Amplitude documents 400 as
      "over 4 GB": TooLargeError

    See: https://amplitude.com/docs/apis/analytics/export#status-codes
    """

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            TooLargeError: a smaller window may work.
            AirbyteTracedException: a retry is no use.
        """
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return super().interpret_response(response)
        if response.ok:  # before anything reads the body, which is streamed
            return SUCCESS_RESOLUTION
        status, words = response.status_code, error_message(response)
        if status == 404:
            if re.search("raw data.*not found", words, re.IGNORECASE):
                message = "The export has no events in this window (404)."
                return ErrorResolution(ResponseAction.IGNORE, None, message)
            if not words:
                return self.retry(response)
        elif status == 413 or (status == 400 and not _names_another_cause(words)):
            raise TooLargeError(f"{status}{quotation(response)}")
        elif status == 504:
            if self.attempts:
                raise TooLargeError(f"504, twice{quotation(response)}")
        elif status == 400:
            raise self.failure(
                FailureType.config_error,
                f"Amplitude refused the export ({status}{quotation(response)}). Correct the dates or options"
                " it names.",
            )
        return super().interpret_response(response)


def _names_another_cause(words: str) -> bool:
    """Whether the text of a 400 plainly names another cause than the export's size."""
    text = words.lower()
    if re.search(r"too large|too big|4 ?gb|size|exceed", text):
        return False
    return bool(
        re.search(r"date|param|argument|format|start|end|range|credential|api key|secret", text)
    )


class BadLineError(Exception):
    """A line of a member that is not an event."""


class RestartError(Exception):
    """A download must give its disk space to those before it, and start again."""


def no_archive(response: requests.Response, beginning: bytes) -> NoArchiveError:
    """What to say of a response of 200 that is no archive."""
    try:
        body = json.loads(beginning)
        words = body if isinstance(body, str) else message_in(body)
    except (ValueError, RecursionError):
        words = ""
    if not QUOTABLE.fullmatch(words):
        words = ""
    kind = "empty" if not beginning else "a page" if beginning.lstrip()[:1] == b"<" else "no zip"
    status = response.status_code
    return NoArchiveError(
        f"{status}: {words}" if words else f"{status}, but its body is {kind}",
        next((seconds for limit, (seconds, _) in LIMITS.items() if limit in words.lower()), 0),
    )


# -- export.inflate: zlib or, where the extra `fast` is installed, isal: the same output, faster --


fastest: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    fastest = isal_zlib
crc32 = fastest.crc32
decompressobj = fastest.decompressobj
InflateError: Any = fastest.error

# -- export.windows: Windows of hours, UTC --------------------------------------------------------


HOUR_FORMAT = "%Y%m%dT%H"

BEGINNING = datetime(1, 1, 1, tzinfo=timezone.utc)

EXPORT_DELAY = timedelta(hours=3)
"""An hour can be exported in full once this much time has passed since it began."""


class Window(NamedTuple):
    """Whole hours, UTC, from `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    @property
    def hours(self) -> int:
        """The number of hours."""
        return (self.end - self.start) // HOUR

    def pieces(self, hours: int) -> Iterator["Window"]:
        """Cut into windows of at most `hours` hours."""
        start = self.start
        while start < self.end:
            yield Window(start, min(start + hours * HOUR, self.end))
            start += hours * HOUR

    def holds(self, moment: str) -> bool:
        """Whether a moment (RFC 3339, UTC, six decimals) lies within the window, not at its start."""
        start, end = (bound.isoformat(timespec="microseconds") for bound in self)
        return start < moment < end

    def as_slice(self) -> StreamSlice:
        """The form of a request: first and last hour, both included."""
        bounds = {"start_time": format_hour(self.start), "end_time": format_hour(self.end - HOUR)}
        return StreamSlice(partition={}, cursor_slice=bounds)

    def __str__(self) -> str:
        """The first and the last hour."""
        return f"{format_hour(self.start)} to {format_hour(self.end - HOUR)}"


def parse_hour(text: str) -> datetime:
    """Turn a moment in any form that a state has had into its hour, UTC.

    Raises:
        ValueError: the text is no moment.
    """
    if re.fullmatch(r"\d{8}T\d{2}", text):
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=timezone.utc)
    return floor_hour(datetime.strptime(rfc3339(text), "%Y-%m-%dT%H:%M:%S.%f%z"))


def format_hour(hour: datetime) -> str:
    """Write an hour as the Export API and the state have it: `20240131T05`."""
    return f"{hour:{HOUR_FORMAT}}"


def floor_hour(moment: datetime) -> datetime:
    """The hour that a moment lies in, UTC."""
    return moment.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)


def merge(windows: Iterable[Window]) -> list[Window]:
    """The same hours in as few windows as possible, oldest first."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, end))
        elif start < end:
            merged.append(Window(start, end))
    return merged


def subtract(windows: Iterable[Window], others: Iterable[Window]) -> list[Window]:
    """The hours of `windows` that none of `others` has, oldest first."""
    rest = merge(windows)
    for start, end in others:
        parts = [
            (Window(w.start, min(w.end, start)), Window(max(w.start, end), w.end)) for w in rest
        ]
        rest = [part for pair in parts for part in pair if part.start < part.end]
    return rest


def complete_until(now: datetime) -> datetime:
    """The end of the newest hour that can be exported in full."""
    return floor_hour(now - EXPORT_DELAY) + HOUR


FOREVER = "9999"
"""A bound that no moment reaches."""


def until_of(config: Mapping[str, Any]) -> str:
    """The end date, before which events are read, as RFC 3339; `FOREVER` without one."""
    return str(rfc3339(config.get("end_date") or FOREVER))


# -- export.archive: A verified archive on disk: members, and their lines in blocks ---------------


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

BLOCK_LINES = 1_000
"""A state lies between two blocks, so that many short lines are several."""

GZIP_WBITS = 31

DESCRIPTOR_BYTES = 24
"""What may lie between two members: a data descriptor (PKZIP application note, 4.3.9)."""

ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
"""A member; the end of an archive that has none; the same in zip64 form."""

MEMBER_NAME = re.compile(r"_(\d{4}-\d{2}-\d{2})(?:_(\d{1,2}))?(?:#\d+)?\.json(?:\.gz)?", re.ASCII)


@dataclass
class ArchiveMember:
    """A file of an archive: what it holds once inflated, and the hours its name speaks of.

    `length` and `crc32` are those of the inflated bytes, over all gzip streams.
    `window` is an hour; a day for the daily files of before 2014-11-12; None for any other name.
    """

    info: zipfile.ZipInfo
    window: Window | None
    length: int = 0
    crc32: int = 0
    inflate: Any = decompressobj

    @property
    def name(self) -> str:
        """The label in the archive; never used as a path."""
        return self.info.filename


class Block(NamedTuple):
    """Whole lines of a member, as one piece.

    `data` is None for a line that is too long. `end` and `crc32` are the length and the checksum
    of the member's bytes up to the end of the block.
    """

    data: bytes | None
    end: int
    crc32: int

    @property
    def lines(self) -> list[bytes] | list[None]:
        """The lines without their ends."""
        if self.data is None:
            return [None]
        lines = self.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines


class ExportArchive:
    """A verified export on disk, whose members are read line by line, any number of times.

    The file has no name, so that it is gone with the process however that ends.
    Memory: a chunk, a line, and about 700 bytes per member that is not empty.
    """

    def __init__(self, file: IO[bytes], max_line_bytes: int) -> None:
        """Open and verify the zip in `file`, which the archive closes.

        Raises:
            DamagedArchiveError: it is not whole.
        """
        self._file = file
        self._max_line_bytes = max_line_bytes
        try:
            self._zip = zipfile.ZipFile(file)
            self._verify_directory()
        except DAMAGE as error:
            raise DamagedArchiveError("its directory cannot be read") from error
        self.members = [
            ArchiveMember(info, window_of_name(info.filename))
            for info in self._zip.infolist()
            if info.file_size
        ]
        # Empty members may be many, and none is looked up by its name.
        self._zip.filelist.clear()
        self._zip.NameToInfo.clear()
        for member in self.members:
            self._verify(member)

    def close(self) -> None:
        """Close the file, which frees its disk space."""
        self._zip.close()
        self._file.close()

    def blocks(self, member: ArchiveMember) -> Iterator[Block]:
        """Yield a member's lines in blocks of about a chunk, and of `BLOCK_LINES` at most."""
        parts: list[bytes] = []
        held = end = crc = 0
        dropping = False
        for chunk in self._chunks(member):
            if dropping:
                rest = chunk.find(b"\n") + 1
                end, crc = end + (rest or len(chunk)), crc32(chunk[: rest or len(chunk)], crc)
                if not rest:
                    continue
                yield Block(None, end, crc)
                chunk, dropping = chunk[rest:], False
            cut = chunk.rfind(b"\n") + 1
            if cut:
                for data in whole_lines(b"".join([*parts, chunk[:cut]])):
                    end, crc = end + len(data), crc32(data, crc)
                    yield Block(data, end, crc)
                parts, held = [], 0
            parts.append(chunk[cut:])
            held += len(chunk) - cut
            if held > self._max_line_bytes:
                dropped = b"".join(parts)
                end, crc = end + len(dropped), crc32(dropped, crc)
                parts, held, dropping = [], 0, True
        if dropping:
            yield Block(None, end, crc)
        elif data := b"".join(parts):
            yield Block(data, end + len(data), crc32(data, crc))

    def prefix_crc32s(self, member: ArchiveMember, lengths: Iterable[int]) -> dict[int, int]:
        """The checksums of a member's first bytes, for each of `lengths`."""
        crcs: dict[int, int] = {}
        position = crc = 0
        chunks = self._chunks(member)
        chunk = b""
        for length in sorted(set(lengths)):
            while length > position + len(chunk):
                crc, position = crc32(chunk, crc), position + len(chunk)
                chunk = next(chunks)
            crc = crc32(chunk[: length - position], crc)
            chunk, position = chunk[length - position :], length
            crcs[length] = crc
        return crcs

    def _verify_directory(self) -> None:
        """Check that every byte before the directory belongs to a member that it lists.

        A damaged directory may leave members out.
        """
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if not 0 <= info.header_offset - end <= DESCRIPTOR_BYTES:
                raise DamagedArchiveError("its directory does not fit its members")
            self._file.seek(info.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<HH", self._file.read(4).ljust(4, b"\0"))
            end = info.header_offset + 30 + name_bytes + extra_bytes + info.compress_size
        if not 0 <= self._zip.start_dir - end <= DESCRIPTOR_BYTES:
            raise DamagedArchiveError("its directory does not fit its members")

    def _verify(self, member: ArchiveMember) -> None:
        """Read a member to its end and note its length and checksum."""
        try:
            self._measure(member)
        except DamagedArchiveError:
            # isal refuses a few headers that gzip allows.
            member.inflate = zlib.decompressobj
            self._measure(member)

    def _measure(self, member: ArchiveMember) -> None:
        member.length = member.crc32 = 0
        for chunk in self._chunks(member):
            member.length += len(chunk)
            member.crc32 = crc32(chunk, member.crc32)

    def _chunks(self, member: ArchiveMember) -> Iterator[bytes]:
        """Inflate a member, whose gzip streams follow each other, or read it as plain text."""
        try:
            with self._zip.open(member.info) as packed:
                data = packed.read(CHUNK_BYTES)
                if data[:2] != b"\x1f\x8b":
                    while data:
                        yield data
                        data = packed.read(CHUNK_BYTES)
                    return
                stream, chunk = member.inflate(wbits=GZIP_WBITS), b""
                # Once all is read, an empty input brings out what the inflater still holds.
                while (data := data or packed.read(CHUNK_BYTES // 4)) or chunk:
                    if stream.eof:
                        # Zeros may follow a stream, and another stream may follow them.
                        if not (data := data.lstrip(b"\0")):
                            chunk = b""
                            continue
                        stream = member.inflate(wbits=GZIP_WBITS)
                    if chunk := stream.decompress(data, CHUNK_BYTES):
                        yield chunk
                    data = stream.unused_data if stream.eof else stream.unconsumed_tail
                if not stream.eof:
                    raise DamagedArchiveError(f"its member {member.name!r} is cut short")
        except DAMAGE as error:
            raise DamagedArchiveError(f"its member {member.name!r} is damaged") from error


def whole_lines(data: bytes) -> list[bytes]:
    """Lines in pieces of at most `BLOCK_LINES`, nearly always one."""
    if data.count(b"\n") <= BLOCK_LINES:
        return [data]
    lines = re.findall(rb"[^\n]*\n", data)
    return [b"".join(lines[at : at + BLOCK_LINES]) for at in range(0, len(lines), BLOCK_LINES)]


def window_of_name(name: str) -> Window | None:
    """The hour, or the day, that a member's name ends with; None where it has neither."""
    if match := MEMBER_NAME.search(name):
        try:
            day = datetime.strptime(match[1], "%Y-%m-%d").replace(tzinfo=timezone.utc)
            if match[2] is None:
                return Window(day, day + 24 * HOUR)
            start = day + int(match[2]) * HOUR
            return Window(start, start + HOUR) if start.date() == day.date() else None
        except (ValueError, OverflowError):
            pass
    return None


def count_members(file: IO[bytes]) -> int:
    """The number of members that a zip's end record states, before any of them is listed.

    See: PKZIP application note, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return 0
    (count,) = struct.unpack_from("<H", tail, at + 10)
    if count == 0xFFFF and tail[at - 20 : at - 16] == b"PK\x06\x07":
        (offset,) = struct.unpack_from("<Q", tail, at - 12)
        file.seek(min(offset, size))
        record = file.read(40)
        if len(record) == 40:
            (count,) = struct.unpack_from("<Q", record, 32)
    return int(count)


# -- export.backlog: Records that the destination has not taken yet -------------------------------


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


# -- export.disk: Disk space, shared by the archives of a sync ------------------------------------


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


# -- export.json: A line of JSON, exactly: integers of any length, and repairs of what cannot be written


MAX_DEPTH = 1_024
"""Levels of nesting that orjson reads, and that every runtime can write."""

# json, which writes what orjson cannot, may recurse as deep as orjson reads.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * MAX_DEPTH))

# An escaped character; in group 1 a surrogate without its other half.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_NO_BRACKETS = bytes(b for b in range(256) if b not in b"[]{}")

# Digits become 0, and what may stand before a number becomes a colon.
_DIGITS = bytes(48 if 48 <= b < 58 else 58 if b in b":,[-\t\r " else 32 for b in range(256))

_LONG_NUMBER = b":" + b"0" * 19
"""What `_DIGITS` makes of an integer that 64 bits may not hold."""


def has_long_number(data: bytes) -> bool:
    """Whether a number in `data` may be an integer that orjson would round."""
    return _LONG_NUMBER in data.translate(_DIGITS)


def parse_json(line: bytes, exact: bool, repairs: Counter[str]) -> Any:
    """Turn a line into a value; `exact` asks for a look at long numbers.

    `repairs` counts what JSON allows and UTF-8 or a double does not: an unpaired surrogate, which becomes
    U+FFFD, and a number that no double holds, which becomes a string of its digits.

    Raises:
        BadLineError: the line is not JSON, or is nested too deeply.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _parse_exactly(line, repairs)
    if exact and has_long_number(line) and _has_rounded_integer(value):
        return _parse_exactly(line, repairs)
    return value


def _parse_exactly(line: bytes, repairs: Counter[str]) -> Any:
    """Parse JSON with integers of any length, and repair what cannot be written."""
    if _depth(line) > MAX_DEPTH:
        raise BadLineError(f"is nested more than {MAX_DEPTH:,} levels deep")
    try:
        return json.loads(
            _ESCAPE.sub(partial(_pair_surrogates, repairs), line).decode(),
            parse_constant=_refuse,
            parse_float=partial(_parse_number, repairs, float),
            parse_int=partial(_parse_number, repairs, int),
            object_pairs_hook=_keep_all_keys,
        )
    except ValueError as error:
        raise BadLineError("is not a JSON object") from error


def _pair_surrogates(repairs: Counter[str], escape: re.Match[bytes]) -> bytes:
    """Return an escaped character, or U+FFFD for a surrogate without its other half."""
    if escape[1] is None:
        return escape[0]
    repairs["lone surrogates, now U+FFFD"] += 1
    return rb"\ufffd"


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which are not JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(constant)


def _parse_number(repairs: Counter[str], kind: type, digits: str) -> Any:
    """Return a number, or its digits as a string where no double holds it."""
    try:
        if kind is int or math.isfinite(float(digits)):
            return kind(digits)
    except ValueError:  # over 4,300 digits, which Python does not convert
        pass
    repairs["numbers out of range, now strings"] += 1
    return digits


def _keep_all_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; keys that only a repair has made equal stay apart."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        while key in found and "\ufffd" in key:
            key += "\ufffd"
        found[key] = value
    return found


def _has_rounded_integer(value: Any) -> bool:
    """Whether a float lies where only an integer out of 64 bits, or a rounded double, can."""
    values = [value]
    while values:
        value = values.pop()
        if type(value) is float and abs(value) >= 2.0**63:
            return True
        if type(value) in (dict, list):
            values += value.values() if type(value) is dict else value
    return False


def _depth(line: bytes) -> int:
    """The levels of nesting of a line of JSON, or those before what is no JSON in it, and maybe more."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return 0
    outside_strings = line.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside_strings).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


# -- export.events: A line becomes an event -------------------------------------------------------


TIMESTAMP_FIELDS = (
    "client_event_time",
    "client_upload_time",
    "event_time",
    "processed_time",
    "server_received_time",
    "server_upload_time",
    "user_creation_time",
)


def parse_event(line: bytes, exact: bool, repairs: Counter[str]) -> dict[str, Any] | None:
    """Turn a line into an event, its times as RFC 3339; None for a blank line.

    `exact` and `repairs` are those of `parse_json`.

    Raises:
        BadLineError: the line is no JSON object, or is nested too deeply.
    """
    from_iso = datetime.fromisoformat
    try:
        event = parse_json(line, exact, repairs)
    except BadLineError:
        if not line.strip():
            return None
        raise
    if type(event) is not dict:
        raise BadLineError("is not a JSON object")
    for field in TIMESTAMP_FIELDS:
        value = event.get(field)
        if value is None:
            continue
        # Nearly every time has this form, and the pattern would cost five times as much.
        if (
            type(value) is str
            and len(value) == 26
            and value[7] == "-"
            and value[10] == " "
            and value[19] == "."
        ):
            try:
                if from_iso(value).tzinfo is None:
                    event[field] = value.replace(" ", "T") + "+00:00"
                    continue
            except ValueError:
                pass
        event[field] = rfc3339(value)
    return event


def is_wanted(event: Mapping[str, Any], lower: str, upper: str, emitted: str) -> bool:
    """Whether an event was uploaded from `lower` to before `upper`, and not before `emitted`.

    Without a time that can be read, it is wanted when its line is first seen.
    """
    uploaded = event.get("server_upload_time")
    if not isinstance(uploaded, str) or rfc3339(uploaded) != uploaded or uploaded[-6:] != "+00:00":
        return not emitted
    return max(lower, emitted) <= uploaded < upper


# -- export.decoder: A response becomes an archive on disk ----------------------------------------


@dataclass
class ExportDecoder(Decoder):
    """Turn a response of the Export API into an archive on disk, and that into events.

    Input: a zip archive; each member is gzip of newline-separated JSON objects, UTF-8, in one or
    several gzip streams, or such lines as they are.
    Output: one dict per line, in the archive's order; the seven times become RFC 3339 (UTC, six
    decimals).
    Memory: a chunk and a line. The body lies in an unnamed temporary file until it has been read.
    Nothing is emitted of an archive that is not whole.

    `max_line_bytes`, 64 MiB, bounds a line; a longer one counts as a bad line.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_line_bytes: int = 64 * 1024 * 1024

    def is_stream_response(self) -> bool:  # noqa: D102
        return True

    def decode(
        self, response: requests.Response
    ) -> Generator[MutableMapping[str, Any], None, None]:
        """Yield the events of a response.

        Raises:
            DamagedArchiveError: the archive is not whole.
            NoArchiveError: the response is none.
            BadLineError: a line is no event.
        """
        archive = self.open(self.spool(response))
        try:
            for member in archive.members:
                for block in archive.blocks(member):
                    for line in (block.data or b"").split(b"\n"):
                        if event := parse_event(line, True, Counter()):
                            yield event
        finally:
            archive.close()

    def spool(
        self,
        response: requests.Response,
        write: Callable[[IO[bytes], bytes], None] | None = None,
    ) -> IO[bytes]:
        """Write the body of a response to disk in chunks, through `write` where it is given.

        Raises:
            DamagedArchiveError: the connection ended early.
            NoArchiveError: the body is no zip.
        """
        write = write or partial(DiskSpace(sys.maxsize).write, None)
        with response:
            file = temporary_file(buffering=0)
            try:
                for chunk in response.iter_content(CHUNK_BYTES):
                    write(file, chunk)
                file.seek(0)
                beginning = file.read(CHUNK_BYTES)
                if beginning[:4] not in ZIP_BEGINNINGS:
                    raise no_archive(response, beginning)
            except requests.RequestException as error:
                file.close()
                raise DamagedArchiveError("the connection ended early") from error
            except BaseException:
                file.close()
                raise
        return file

    def open(self, file: IO[bytes]) -> ExportArchive:
        """Open and verify a body on disk.

        Raises:
            DamagedArchiveError: its directory or checksums are wrong, or a member is cut short.
        """
        try:
            return ExportArchive(file, self.max_line_bytes)
        except BaseException:
            file.close()
            raise


# -- export.ledger: The ledger: which hours and files have been emitted ---------------------------


OTHER = " other"
"""What a ledger's key ends with where the names of its files tell no hour."""

LEDGER_MEMBERS = 20_000
"""Files that a state remembers at most, about 25 bytes each."""


class Emitted(NamedTuple):
    """The first `length` bytes of a member, whose checksum is `crc32`, have been emitted.

    Where an end date cuts the member's hours: only its events uploaded before `until` have.
    """

    length: int
    crc32: int
    until: str = FOREVER


class ExportLedger:
    """Which hours of the export have been emitted, and what of the members of its latest hours.

    It is kept in the stream's state under `export`:

        first_hour: the hour at which the first sync began
        windows_read: windows emitted in full, [first hour, hour after the last]
        members_from: the hour from which `members` is complete
        members: by hour, or by day for daily files, the [length, crc32] of what was emitted of
            each member, and the end date that cut it, where one did: of the look-back, and of
            hours that were not read to their end

    All hours are UTC. Each sync asks for the look-back again, and what is in the ledger is not
    emitted again. A state without `export` is another connector's: its look-back is read again,
    once. Memory: that of the state; at most `LEDGER_MEMBERS` members of hours that are read.

    Several threads may call `unread`; whoever changes the ledger must be alone in doing so.
    """

    def __init__(
        self, state: Mapping[str, Any], hour: datetime, start: datetime, until: str, lookback: int
    ) -> None:
        """Go on from `state`, or from `hour` where it is empty.

        Nothing before `start` is read, and of the events nothing from `until` on; `lookback` is
        a number of hours.
        """
        self._start = start
        self._lookback = lookback * HOUR
        self._first_hour = parse_hour(state["first_hour"]) if state else start
        windows = [Window(parse_hour(a), parse_hour(b)) for a, b in state.get("windows_read", [])]
        self._read = merge(windows if state else [Window(start, hour)])
        self.members = {
            key: [Emitted(int(length), int(crc), *until) for length, crc, *until in entries]
            for key, entries in state.get("members", {}).items()
        }
        self._members_from = parse_hour(state["members_from"]) if state else self._again_from()
        if start < self._first_hour:
            LOGGER.warning(
                f"The start date was moved from {format_hour(self._first_hour)} back to"
                f" {format_hour(start)}, but a stream that has a state does not read the hours"
                " between: clear the stream events, or read them with a second connection that"
                " ends where this one starts."
            )
        # An hour that an end date cut has more to give when that date has moved.
        hours = {key: window_of_key(key) for key in self.members}
        cut = [hours[k] for k, each in self.members.items() if any(e.until < until for e in each)]
        again = Window(max(self._again_from(), self._members_from), self._newest())
        self._read = subtract(self._read, [again, *cut] if again.start < again.end else cut)

    @property
    def end(self) -> datetime:
        """The hour before which everything has been emitted."""
        end = max(self._start, self._first_hour)
        for window in self._read:
            if window.start <= end:
                end = max(end, window.end)
        return end

    def unread(self, window: Window, hours: int) -> list[Window]:
        """What is still to be read of a window, in windows of at most `hours` hours."""
        return [piece for part in subtract([window], self._read) for piece in part.pieces(hours)]

    def emit(self, key: str, old: list[tuple[str, Emitted]], new: Emitted) -> None:
        """Replace what was emitted of a member, in `old`, by what has been emitted now."""
        entries = [entry for _, entry in old]
        kept = [e for e in entries if e.length > new.length or e.until > new.until]
        if not any(e.length >= new.length and e.until >= new.until for e in kept):
            kept.append(new)
        self.forget(old)
        members = self.members.setdefault(key, [])
        # One more than a state remembers: then the hour is forgotten, and not asked for again.
        if len(members) <= LEDGER_MEMBERS:
            members += kept
        old[:] = [(key, entry) for entry in kept]

    def forget(self, entries: Iterable[tuple[str, Emitted]]) -> None:
        """Forget what is no longer true of a member."""
        for key, entry in entries:
            if entry in self.members.get(key, ()):
                self.members[key].remove(entry)

    def read(self, window: Window) -> None:
        """Note a window whose last event has been emitted."""
        self._read = merge([*self._read, window])
        self._prune()

    def _newest(self) -> datetime:
        return max([self._start, *(window.end for window in self._read)])

    def _again_from(self) -> datetime:
        return self._newest() - self._lookback

    def _prune(self) -> None:
        """Forget the members of hours that no sync asks for again."""
        self._members_from = max(self._members_from, self._again_from())
        size = self.size
        for key in sorted(self.members):
            window = window_of_key(key)
            unread = subtract([window], [*self._read, Window(BEGINNING, self._start)])
            if unread or any(entry.until < FOREVER for entry in self.members[key]):
                continue
            if window.end > self._members_from:
                if size <= LEDGER_MEMBERS:
                    continue
                LOGGER.warning(
                    f"The look-back of events now starts after {key}: the export has too many"
                    f" files for a state that remembers {LEDGER_MEMBERS:,}."
                )
                self._members_from = window.end
            size -= len(self.members.pop(key))

    @property
    def size(self) -> int:
        """The number of members that the state remembers."""
        return sum(map(len, self.members.values()))

    @property
    def state(self) -> dict[str, Any]:
        """The ledger as a state has it; a new object each time."""
        return {
            "first_hour": format_hour(self._first_hour),
            "windows_read": [[format_hour(w.start), format_hour(w.end)] for w in self._read],
            "members_from": format_hour(self._members_from),
            "members": {
                key: [list(e if e.until != FOREVER else e[:2]) for e in entries]
                for key, entries in sorted(self.members.items())
                if entries
            },
        }


def window_of_key(key: str) -> Window:
    """The hours of a key of the ledger: an hour (`20240131T05`), or a day (`20141101`)."""
    if len(key) == len("20141101"):
        start = parse_hour(f"{key}T00")
        return Window(start, start + 24 * HOUR)
    start = parse_hour(key.removesuffix(OTHER))
    return Window(start, start + HOUR)


# -- export.retriever: The events of the export, each once ----------------------------------------


MAX_MEMBERS = 10_000
"""Files of one export, over which a smaller window is asked for: about 7 MB of memory."""

MAX_MEMBERS_OF_AN_HOUR = 200_000

DOWNLOAD_ATTEMPTS = 3
"""How often a window is downloaded whose archive arrives damaged, before it is split."""

ANSWER_ATTEMPTS = 5
"""How often a window is asked for where the response of 200 is no archive."""

FAILED_WINDOWS = 5
"""Windows that fail one after another, after which a stream asks for no more."""

STATE_EVENTS = 5_000

STATE_BYTES = 10_000_000

CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass
class ExportRetriever(Retriever):
    """Read windows of the export, and emit each event once.

    A slice is cut into windows of `request_time_range` hours. A window is downloaded to disk and
    verified whole; then, one window at a time, its events are emitted that the ledger does not
    know. A window that is too large is halved, and the width that worked is kept; one whose
    archive is damaged is halved by itself. What failed stays unread in the state, and the rest is
    read.

    The stream's state is the ledger, under `export`; `server_upload_time` is the hour before
    which all events have been emitted. A state covers exactly the events before it. At most
    `STATE_EVENTS` events or `STATE_BYTES` bytes lie between two states, unless states would then
    be more than a tenth of what is written.

    Memory: a few chunks, the longest line several times, and the lists of members.
    Disk: `max_bytes_on_disk`, 4 GiB, in `TMPDIR`; `max_archives_on_disk`, 8.

    Raises:
        AirbyteTracedException: hours that were not read, in Amplitude's words or the disk's.
    """

    requester: HttpRequester
    decoder: ExportDecoder
    cursor: ConcurrentCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_bytes_on_disk: int = 4 * 1024**3
    max_archives_on_disk: int = 8

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:  # noqa: D105
        self.requester.stream_response = True
        self._skip = self.config.get("on_bad_record") == "skip"
        self._hours = int(self.config.get("request_time_range") or 24)
        self._from = rfc3339(self.config.get("start_date") or BEGINNING_OF_DATA)
        self._until = until_of(self.config)
        start = max(parse_hour(self._from), parse_hour(BEGINNING_OF_DATA))
        self._field = self.cursor.cursor_field.cursor_field_key
        # The cursor keeps this mapping and emits it; whatever is put into it comes back.
        self._state = self.cursor.state
        self._ledger = ExportLedger(
            self._state.get("export", {}),
            start if "unreadable" in self._state else parse_hour(self._state[self._field]),
            start,
            self._until,
            int(self.config.get("lookback_hours", 6)),
        )
        self._origin = Window(start, start + HOUR).as_slice()
        self._events = self._events_since_state = self._bytes_since_state = 0
        # Whoever has the turn emits, and alone changes the ledger.
        self._turn = threading.Lock()
        self._archives = threading.BoundedSemaphore(self.max_archives_on_disk)
        self._many_members = threading.Lock()
        self._disk = DiskSpace(self.max_bytes_on_disk)
        self._backlog = Backlog()
        self._closing: int | None = None
        # The CDK emits the last state of a slice after `read_records` has ended. Until then no other
        # slice may emit events: they would come before a state that does not know them.
        self._close_partition = self.cursor.close_partition
        self.cursor.close_partition = self._close_slice  # type: ignore[method-assign]
        self._failed_in_a_row = 0
        self._stopped = self._warned_of_clock = False
        if "unreadable" not in self._state:
            self._save()

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the events of a slice that have not been emitted."""
        self._end_turn()
        if self._stopped or stream_slice is None:
            return
        if "unreadable" in self._state:
            self._stop()
            raise UnreadableStateError(self.name)
        first, last = (parse_hour(stream_slice[name]) for name in ("start_time", "end_time"))
        failures: list[tuple[Window, Exception]] = []
        for window in self._ledger.unread(Window(first, last + HOUR), self._hours):
            yield from self._read_window(window, failures)
        if failures:
            raise self._failure(failures) from failures[0][1]
        self._turn.acquire()
        self._closing = threading.get_ident()
        self._observe(stream_slice)

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Turn the events of a block, `size` bytes of lines, into what the stream yields."""
        records = [self._record(event) for event in events]
        self._backlog.add(records[-1], size)
        yield from records

    def _record(self, event: dict[str, Any]) -> Record | AirbyteMessage:
        if event:
            # Without its slice, so that the cursor follows the ledger and not the records.
            return Record(data=event, stream_name=self.name)
        # An empty record would end the sync.
        record = AirbyteRecordMessage(self.name, event, time.time_ns() // 1_000_000)
        return AirbyteMessage(type=MessageType.RECORD, record=record)

    def _log(self, text: str) -> AirbyteMessage:
        """A log line that the reader of the stream writes.

        Whoever logs writes all that the CDK has to print, and keeps the memory that it took: a
        worker would do so with every window.
        """
        log = AirbyteLogMessage(Level.INFO, f"{self.name}: {text}")
        return AirbyteMessage(type=MessageType.LOG, log=log)

    def request_slot(self) -> AbstractContextManager[Any]:
        """What a request and its download hold, so that not too many are in flight."""
        return nullcontext()

    # -- windows -------------------------------------------------------------------------------

    def _read_window(
        self, window: Window, failures: list[tuple[Window, Exception]]
    ) -> Iterator[StreamData]:
        """Yield a window's events; note in `failures` what could not be read."""
        parts = deque([window])
        while parts and not self._stopped:
            part = parts.popleft()
            if part.hours > self._hours:
                parts.extendleft(reversed(list(part.pieces(self._hours))))
                continue
            halves = list(part.pieces(-(-part.hours // 2)))
            try:
                with self._archives, ExitStack() as stack:
                    if self._stopped:
                        break
                    archive, complete = self._download(part, stack)
                    with self._turn:
                        before = self._events
                        yield from self._read_archive(part, archive, complete, failures)
                        if self._events > before:
                            yield self._log(f"{self._events - before:,} events of {part}.")
                self._failed_in_a_row = 0
            except RestartError:
                self._disk.wait()
                parts.appendleft(part)
            except TooLargeError as error:
                if part.hours > 1:
                    self._hours = min(self._hours, halves[0].hours)
                    parts.extendleft(reversed(halves))
                else:
                    self._note_failure(part, error, failures)
            except DamagedArchiveError as error:
                if part.hours > 1:
                    parts.extendleft(reversed(halves))
                else:
                    self._note_failure(part, error, failures)
            except (AirbyteTracedException, NoArchiveError) as error:
                if getattr(error, "failure_type", None) == FailureType.config_error:
                    self._stop()
                    raise
                self._note_failure(part, error, failures)
        if failures:
            with self._turn:
                self._checkpoint()

    def _note_failure(
        self, part: Window, error: Exception, failures: list[tuple[Window, Exception]]
    ) -> None:
        failures.append((part, error))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_WINDOWS:
            self._stop()

    def _stop(self) -> None:
        """Ask for nothing more in this sync; what was not read stays unread in the state."""
        self._stopped = True

    def _failure(self, failures: list[tuple[Window, Exception]]) -> AirbyteTracedException:
        """The error that names the hours that were not read, and the cause of the first."""
        hours = ", ".join(str(window) for window, _ in failures[:5])
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        cause = failures[0][1]
        failure_type = FailureType.transient_error
        if isinstance(cause, AirbyteTracedException):
            reason, failure_type = cause.message or "", cause.failure_type
        elif isinstance(cause, NoArchiveError):
            reason = f"Amplitude's response is no archive ({cause})"
        elif isinstance(cause, BadLineError):
            reason, failure_type = (
                f"{cause}: set `on_bad_record` to `skip` to leave out such lines",
                FailureType.system_error,
            )
        elif isinstance(cause, DamagedArchiveError):
            reason = f"The archive is not whole ({cause}); if that stays, use Amplitude's S3 export"
        elif "on_disk" in str(cause) or "TMPDIR" in str(cause):
            reason, failure_type = f"The hour is too large: {cause}", FailureType.config_error
        else:
            reason = (
                f"Amplitude does not export even a single hour ({cause}); if that stays, use"
                " Amplitude's S3 export"
            )
        stopped = " Nothing more was asked for after that." if self._stopped else ""
        return AirbyteTracedException(
            message=f"These hours (UTC) of {self.name} were not read, and the next sync reads them:"
            f" {hours}{more}. {reason.rstrip('.')}.{stopped}",
            internal_message=f"{len(failures)} windows failed, the first: {type(cause).__name__}",
            failure_type=failure_type,
        )

    # -- downloads -----------------------------------------------------------------------------

    def _download(self, window: Window, stack: ExitStack) -> tuple[ExportArchive | None, datetime]:
        """Download and verify a window's archive, which `stack` closes.

        None is a window without events; with it comes the end of the hours that are complete.

        Raises:
            RestartError: the disk is needed by downloads before it.
            TooLargeError, DamagedArchiveError, NoArchiveError: after the last attempt.
            AirbyteTracedException: an error response.
        """
        attempts: Counter[type] = Counter()
        while True:
            try:
                with ExitStack() as attempt:
                    download = self._attempt(window, attempt)
                    stack.push(attempt.pop_all())
                    return download
            except DamagedArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= DOWNLOAD_ATTEMPTS or self._stopped:
                    raise
                time.sleep(2 ** attempts[type(error)])
            except NoArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= ANSWER_ATTEMPTS or self._stopped:
                    raise
                time.sleep(error.wait_seconds or 5 * 2 ** attempts[type(error)])

    def _attempt(self, window: Window, stack: ExitStack) -> tuple[ExportArchive | None, datetime]:
        """Send one request and open what comes."""
        owner = object()
        with self.request_slot(), self._disk.download(owner):
            stack.callback(self._disk.release, owner)
            response = self.requester.send_request(
                stream_slice=window.as_slice(), log_formatter=self._log_message
            )
            complete = self._complete_until(response)
            if response is None or response.status_code == 404:
                return None, complete
            file = self.decoder.spool(response, partial(self._disk.write, owner))
        stack.callback(file.close)
        count = count_members(file)
        if count > MAX_MEMBERS:
            if window.hours > 1:
                raise TooLargeError(f"its archive has {count:,} files")
            if count > MAX_MEMBERS_OF_AN_HOUR:
                raise DamagedArchiveError(f"it claims {count:,} files")
            stack.enter_context(self._many_members)
        archive = self.decoder.open(file)
        stack.callback(archive.close)
        return archive, complete

    def _complete_until(self, response: requests.Response | None) -> datetime:
        """The end of the newest complete hour, by this machine's clock or Amplitude's, if earlier."""
        now = datetime.now(timezone.utc)
        theirs = date_of(response) if response is not None else None
        if theirs is None:
            return complete_until(now)
        if abs(now - theirs) > CLOCK_TOLERANCE and not self._warned_of_clock:
            self._warned_of_clock = True
            LOGGER.warning(
                f"This machine's clock differs from Amplitude's by {abs(now - theirs)}: the earlier"
                " one decides which hours of events are complete. Set the clock."
            )
        return complete_until(min(now, theirs))

    def _log_message(self, response: requests.Response) -> Any:
        """What the Connector Builder shows of a request: all but the body, which is an archive."""
        shown = requests.Response()
        shown.status_code, shown.headers = response.status_code, response.headers
        shown.request = response.request
        return format_http_message(shown, "Export of events", "Ask for a window", self.name)

    # -- events --------------------------------------------------------------------------------

    def _read_archive(
        self,
        part: Window,
        archive: ExportArchive | None,
        complete: datetime,
        failures: list[tuple[Window, Exception]],
    ) -> Iterator[StreamData]:
        """Yield the events of a window that are new, oldest hour first, and keep the ledger."""
        part = Window(part.start, min(part.end, complete))
        if part.start >= part.end:
            return
        if archive is None:
            self._ledger.read(part)
            self._save()
            return
        hours: dict[str, list[ArchiveMember]] = {}
        others: dict[str, list[ArchiveMember]] = {}
        for member in archive.members:
            window = member.window
            if window is None or not (window.start < part.end and part.start < window.end):
                if window is not None and window.start >= complete:
                    continue
                member.window = None
                others.setdefault(f"{format_hour(part.end - HOUR)}{OTHER}", []).append(member)
            elif window.hours == 1:
                hours.setdefault(format_hour(window.start), []).append(member)
            else:
                others.setdefault(f"{window.start:%Y%m%d}", []).append(member)
        bad = False
        for key, members in sorted(others.items()):
            bad |= yield from self._read_members(part, key, members, archive, failures)
        begun = part.start
        for key, members in sorted(hours.items()):
            hour = window_of_key(key)
            if not bad:
                self._ledger.read(Window(begun, hour.start))
            begun = hour.start
            if (yield from self._read_members(part, key, members, archive, failures)):
                begun = hour.end
        if not bad:
            self._ledger.read(Window(begun, part.end))
        self._save()

    def _read_members(
        self,
        part: Window,
        key: str,
        members: list[ArchiveMember],
        archive: ExportArchive,
        failures: list[tuple[Window, Exception]],
    ) -> Generator[StreamData, None, bool]:
        """Yield what is new in the members of an hour; return whether a bad line ended one."""
        known, lost = self._match(key, members, archive)
        changed = [member for member, old in zip(members, known, strict=True) if lost and not old]
        bad, again = False, 0
        for member, old in zip(members, known, strict=True):
            try:
                count = yield from self._read_member(part, key, member, old, archive)
                again += count if member in changed else 0
            except BadLineError as error:
                bad = True
                failures.append((member.window or part, error))
        if changed:
            self._ledger.forget(lost)
            LOGGER.warning(
                f"{self.name}: Amplitude has changed the export of {key} since it was read"
                f" ({len(changed)} of {len(members)} files, the first {changed[0].name!r}):"
                f" {again:,} events are emitted again."
            )
        return bad

    def _match(
        self, key: str, members: list[ArchiveMember], archive: ExportArchive
    ) -> tuple[list[list[tuple[str, Emitted]]], list[tuple[str, Emitted]]]:
        """What was emitted of each member, and what was emitted of members that are no more.

        A member is known by its bytes, whatever its name, or by its first bytes.
        """
        keys = [k for k in self._ledger.members if k == key or OTHER in key + k]
        left = [(k, entry) for k in keys for entry in self._ledger.members.get(k, ())]
        whole: defaultdict[tuple[int, int], list[tuple[str, Emitted]]] = defaultdict(list)
        for pair in left:
            if pair[1].until == FOREVER:
                whole[pair[1].length, pair[1].crc32].append(pair)
        found: list[list[tuple[str, Emitted]]] = []
        for member in members:
            pairs = whole[member.length, member.crc32]
            found.append([pairs.pop()] if pairs else [])
        left = list((Counter(left) - Counter(pair for old in found for pair in old)).elements())
        for member, old in zip(members, found, strict=True):
            lengths = [entry.length for _, entry in left if entry.length <= member.length]
            if lengths and not old:
                crcs = archive.prefix_crc32s(member, lengths)
                old += [pair for pair in left if crcs.get(pair[1].length) == pair[1].crc32]
                left = [pair for pair in left if pair not in old]
        return found, [pair for pair in left if pair[0] == key and OTHER not in key]

    def _read_member(
        self,
        part: Window,
        key: str,
        member: ArchiveMember,
        old: list[tuple[str, Emitted]],
        archive: ExportArchive,
    ) -> Generator[StreamData, None, int]:
        """Yield the events of a member that were not emitted; return their number.

        Raises:
            BadLineError: the member has been emitted up to this line.
        """
        window = member.window or part
        lower = self._from if window.holds(self._from) else ""
        upper = self._until if window.holds(self._until) else FOREVER
        plain = not (old or lower) and upper == FOREVER
        repairs: Counter[str] = Counter()
        number = count = 0
        failure: BadLineError | None = None
        done = Emitted(0, 0, upper)
        if any(e.length >= member.length and e.until >= upper for _, e in old):
            return 0
        try:
            for block in archive.blocks(member):
                position = done.length
                exact = block.data is not None and has_long_number(block.data)
                events: list[dict[str, Any]] = []
                for line in block.lines:
                    number += 1
                    try:
                        if line is None:
                            raise BadLineError("is too long")
                        if plain:
                            if (event := parse_event(line, exact, repairs)) is not None:
                                events.append(event)
                        else:
                            emitted = max(
                                (e.until for _, e in old if e.length > position), default=""
                            )
                            event = (
                                None if emitted == FOREVER else parse_event(line, exact, repairs)
                            )
                            if event is not None and is_wanted(event, lower, upper, emitted):
                                events.append(event)
                    except BadLineError as error:
                        if not self._skip:
                            failure = BadLineError(
                                f"Line {number:,} of the file {member.name!r} {error}"
                            )
                            failure.__cause__ = error
                            break
                        repairs["bad lines, now left out"] += 1
                    position += len(line or b"") + 1
                end = Emitted(block.end, block.crc32, upper)
                if failure:
                    crc = crc32((block.data or b"")[: position - done.length], done.crc32)
                    end = Emitted(position, crc, upper)
                if events:
                    size = end.length - done.length
                    if self._is_state_due(len(events), size):
                        self._note_emitted(key, old, done)
                        self._checkpoint()
                    self._events += len(events)
                    self._events_since_state += len(events)
                    self._bytes_since_state += size
                    yield from self.emit(events, size)
                    count += len(events)
                done = end
                if failure:
                    raise failure
        finally:
            self._note_emitted(key, old, done)
            for what, times in repairs.items():
                LOGGER.warning(f"{self.name}: {times:,} {what}, in the file {member.name!r}.")
        return count

    def _note_emitted(self, key: str, old: list[tuple[str, Emitted]], done: Emitted) -> None:
        if done.length:
            self._ledger.emit(key, old, done)

    # -- state ---------------------------------------------------------------------------------

    def _is_state_due(self, events: int, size: int) -> bool:
        """Whether a state must come before `events` more events, of `size` bytes."""
        many = (
            self._events_since_state + events > STATE_EVENTS
            or self._bytes_since_state + size > STATE_BYTES
        )
        return many and self._bytes_since_state >= 10 * (500 + 40 * self._ledger.size)

    def _close_slice(self, partition: Partition) -> None:
        """Have the cursor emit the state of a slice, then let the next window have its turn."""
        try:
            self._close_partition(partition)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        """End the turn that this thread has kept for the state of its slice."""
        if self._closing == threading.get_ident():
            self._closing = None
            self._turn.release()

    def _checkpoint(self) -> None:
        """Emit a state, in the order of the events before and after it.

        The cursor's own state messages and these go through one lock, that of `close_partition`.
        It is given a slice that has been read since the stream began.
        """
        self._save()
        self._observe(self._origin)
        self._close_partition(cast(Partition, SimpleNamespace(to_slice=lambda: self._origin)))
        self._events_since_state = self._bytes_since_state = 0

    def _save(self) -> None:
        """Put the ledger into the state; one assignment, since another thread may emit it now."""
        self._end = self._ledger.end
        self._state["export"] = self._ledger.state

    def _observe(self, stream_slice: StreamSlice) -> None:
        """Tell the cursor the hour before which all events have been emitted."""
        data = {self._field: format_hour(self._end)}
        self.cursor.observe(Record(data, self.name, associated_slice=stream_slice))


# -- export.states: Saved states of events --------------------------------------------------------


@dataclass
class ExportStateMigration(StateMigration):
    """Turn any state of the stream into this version's, or one without a value into none.

    Taken are all forms that Airbyte's connector has saved, and the CDK's own ranges of dates. An
    hour that is not complete yet cannot have been read, whatever a state has.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state as this version saves it; one that cannot be read, under `unreadable`."""
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        complete = complete_until(datetime.now(timezone.utc))
        try:
            if export := stream_state.get("export"):
                windows = [
                    (start, min(end, format_hour(complete)))
                    for start, end in export["windows_read"]
                ]
                export = {**export, "windows_read": [list(w) for w in windows if w[0] < w[1]]}
                start = parse_hour(export["first_hour"])
                ledger = ExportLedger(export, start, start, until_of(self.config), 0)
                return {"server_upload_time": format_hour(ledger.end), "export": export}
            if slices := stream_state.get("slices"):
                first = min(slices, key=lambda each: str(each["start"]))
                value = first.get("most_recent_cursor_value") or first["end"]
            else:
                value = stream_state.get("server_upload_time")
            if value in (None, ""):
                return {}
            hour = min(parse_hour(str(value)), complete)
            if "cut" in stream_state:  # of version 1.0, which did not read that hour to its end
                hour = min(hour, parse_hour(stream_state["cut"]))
            return {"server_upload_time": format_hour(hour)}
        except (ValueError, LookupError, TypeError, AttributeError):
            return {"unreadable": dict(stream_state)}


# -- taxonomy: The taxonomy: event types and their properties -------------------------------------


SHARED = ""
"""The event type of properties that all event types share; Amplitude has null."""


@dataclass
class EventTypeRouter(SubstreamPartitionRouter):
    """Turn the event types into a slice each, after one for the properties that all share.

    A deleted event type, whose properties Amplitude never lists, and one without a name have none.
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices; the first knows the event types of the others."""
        slices = [
            one
            for one in super().stream_slices()
            if one["event_type"] != SHARED and not one.extra_fields.get("deleted")
        ]
        listed = {"listed": [one["event_type"] for one in slices]}
        yield StreamSlice(partition={"event_type": SHARED}, cursor_slice={}, extra_fields=listed)
        yield from slices


@dataclass
class EventPropertyErrorHandler(AmplitudeErrorHandler):
    """Skip an event type that Amplitude lists and does not know, with a warning that names it."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; an unsuccessful response gives no records."""
        response = response_or_exception
        if isinstance(response, requests.Response) and response.status_code in (400, 404):
            event_type = parse_qs(urlsplit(response.url).query).get("event_type")
            if event_type and "not found" in error_message(response).lower():
                LOGGER.warning(
                    f"Amplitude lists the event type {event_type[0]!r} and does not find it when asked"
                    f" for {self.name} ({response.status_code}{quotation(response)}): it was skipped."
                )
                self._thread.attempts = 0
                return SUCCESS_RESOLUTION
        return super().interpret_response(response)


@dataclass
class EventPropertyType(RecordTransformation):
    """Give an event property the event type that it was asked for by; shared ones have `SHARED`.

    Raises:
        AirbyteTracedException: system_error when the property is of another event type.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place."""
        asked = (stream_slice or {}).get("event_type")
        own = record.get("event_type", asked)
        if asked and own not in (None, asked):
            raise unlike_list("event_properties", "it has properties of another event type")
        record["event_type"] = SHARED if own is None else own
