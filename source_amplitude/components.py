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
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import InitVar, dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import accumulate, chain, count, repeat
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from types import SimpleNamespace
from typing import IO, Any, NamedTuple, TypeVar, cast
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit

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
from airbyte_cdk.sources.declarative.auth.token import BasicHttpAuthenticator
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
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets, filter_secrets
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

# -- times: Times that two APIs or more share: their forms, and today -----------------------------


DAY = timedelta(days=1)


def today_of(config: Mapping[str, Any]) -> str:
    """Return the current day in the project's time zone, as `YYYY-MM-DD`."""
    return str(datetime.now(pytz.timezone(config.get("project_timezone") or "UTC")).date())


HOUR = timedelta(hours=1)

BEGINNING_OF_DATA = "2012-01-01T00:00:00Z"

_TIMESTAMP = re.compile(
    r"(\d{4})[-:/](\d{2})[-:/](\d{2})"
    r"(?:[ T](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))? ?(?:Z|UTC|([+-])(\d{2})(?::?(\d{2}))?)?)?",
    re.ASCII,
)


def rfc3339(value: Any) -> Any:
    """Turn a time of the export into RFC 3339, with six decimals and the offset `+00:00`.

    A time without a zone is UTC, a time with an offset is converted to UTC, and a date becomes its midnight.
    Any other value is returned unchanged.
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
class AddAnnotationDay(RecordTransformation):
    """Set `date` of an annotation to the day of its `start` in the project's time zone.

    A start without a zone is taken to be in the project's zone. If `start` cannot be read, `date` is null.
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
class AddCategoryName(RecordTransformation):
    """Set `name` of an annotation's category, which live responses call `category`, unless it has a name.

    The category is the record, or the object under the record's `field`.
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
        """Change the category in place; without a category, do nothing."""
        category = record.get(self.field) if self.field else record
        if isinstance(category, dict) and category.get("name") is None:
            category["name"] = category.get("category")


# -- authenticator: The keys of a request, and what a response may bring before anything reads it -


ERROR_BYTES = 64 * 1024
"""Bytes of an error's body that are read; Amplitude's errors have some hundred."""


class InterimResponseError(requests.ConnectionError):
    """A response of 1xx, which http.client takes for the answer; the answer follows it on the connection."""


@dataclass
class AmplitudeAuthenticator(BasicHttpAuthenticator):
    """HTTP Basic authentication with the API key and the secret key, and with no other keys.

    The header is added to the CDK's secrets, which know both keys but not their encoding: no log shows it.
    Each response passes `guard`.

    See: https://amplitude.com/docs/apis/authentication
    """

    def __post_init__(self, parameters: Any) -> None:
        super().__post_init__(parameters)
        encoded = self.token.removeprefix("Basic ")
        if filter_secrets(encoded) == encoded:
            add_to_secrets(encoded)
        # After a redirect requests would replace the header by the keys of an entry in ~/.netrc.
        os.environ["NETRC"] = os.devnull

    def __call__(self, request: requests.PreparedRequest) -> Any:
        """Sign a request, and have its response guarded."""
        signed: Any = super().__call__(request)
        # The CDK signs a request again before each attempt.
        if guard not in signed.hooks["response"]:
            signed.register_hook("response", guard)
        return signed


def guard(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    """Bound the body of an error, and close the connection after a response of 1xx.

    Nobody has read the body yet, and the connection is not in the pool.

    Raises:
        InterimResponseError: the response is not the answer.
    """
    if response.status_code < 200:
        response.close()
        raise InterimResponseError(f"status {response.status_code}", request=response.request)
    if response.status_code < 400:
        return response
    body = b""
    with suppress(requests.RequestException):
        for chunk in response.iter_content(8 * 1024):
            body += chunk
            if len(body) >= ERROR_BYTES:
                break
    response.close()
    bounded = requests.Response()
    bounded.status_code, bounded.reason = response.status_code, response.reason
    bounded.headers, bounded.encoding = response.headers, response.encoding
    bounded.url, bounded.request = response.url, response.request
    bounded.elapsed, bounded.cookies = response.elapsed, response.cookies
    bounded.raw = io.BytesIO(body[:ERROR_BYTES])
    return bounded


# -- budget: The rate limit of the dashboards, which counts the days of a request -----------------


LOGGER = logging.getLogger("airbyte")

NAMED_WAIT_SECONDS = 10
"""Waits of at least this long are logged."""


class DailyBudget(APIBudget):
    """The manifest's API budget, applied to one stream.

    A policy's weight is the cost of one day, multiplied here by the days of the request, as Amplitude does:
    the CDK has one weight for all requests of a kind. Waits of ten seconds or more are logged; the CDK logs
    its own waits at debug level only.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
    """

    def __init__(self, budget: APIBudget, name: str) -> None:
        """Spend from `budget`, which all streams share, and name the stream in the log."""
        # This object has no policies of its own: each call is counted by one of `budget`.
        super().__init__(policies=[])
        self._budget, self._name = budget, name

    def acquire_call(self, request: Any, block: bool = True, timeout: float | None = None) -> None:
        """Wait until the budget allows the request, and count its cost.

        Raises:
            CallRateLimitHit: the request must wait, and the caller does not `block`, or waits for less
                than that; `timeout` is in seconds.
        """
        policy = self._budget.get_matching_policy(request)
        if not isinstance(policy, BaseCallRatePolicy):
            self._budget.acquire_call(request, block, timeout)
            return
        cost = policy.get_weight(request) * days_of(request)
        # Ask again after a wait: another stream may have taken what became free.
        while True:
            try:
                policy.try_acquire(request, weight=cost)
            except CallRateLimitHit as hit:
                seconds = hit.time_to_wait.total_seconds()
                if not block or (timeout is not None and timeout < seconds):
                    raise
                if seconds >= NAMED_WAIT_SECONDS:
                    LOGGER.info(
                        f"{self._name}: waiting {seconds:.0f} s to stay within Amplitude's rate limit."
                    )
                time.sleep(max(seconds, 0))
            else:
                return

    def update_from_response(self, request: Any, response: Any) -> None:
        """Pass a response on to the shared budget."""
        self._budget.update_from_response(request, response)


def days_of(request: requests.PreparedRequest) -> int:
    """Return the number of days from `start` to `end` of a request; 1 if it does not have both."""
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
    """Return the requester with a `DailyBudget` for the stream `name`."""
    assert isinstance(requester, HttpRequester)
    budget = DailyBudget(requester.api_budget or APIBudget(policies=[]), name)
    return replace(requester, api_budget=budget, parameters=parameters or {})


@dataclass
class BudgetRetriever(SimpleRetriever):
    """The CDK's retriever, with a budget that counts days and logs its waits."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        # The manifest can declare a budget, but not the class of it.
        self.requester = with_daily_budget(self.requester, self.name, parameters)


# -- names: Names that must differ: those of columns and series -----------------------------------


def number_repeats(names: Iterable[str], suffix: str) -> list[str]:
    """Return the names in their order, each that occurred before with the first free number.

    `suffix` is a format: with ` ({})`, `a`, `a` and `a` become `a`, `a (2)` and `a (3)`.
    """
    used: dict[str, None] = {}
    for name in names:
        numbered = (name + suffix.format(number) for number in count(2))
        used[next(free for free in chain([name], numbered) if free not in used)] = None
    return list(used)


# -- charts: Saved charts: a record for each cell of the CSV --------------------------------------


NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

UNPARSED = "(whole)"
"""Series and column of the one record of a chart whose format is not known."""


def chart_id_of(response: requests.Response) -> str:
    """Return the id of the requested chart, wherever the request was redirected to."""
    url = str((response.history or [response])[0].url)
    return urlsplit(url).path.rstrip("/").split("/")[-2]


@dataclass
class ChartExtractor(RecordExtractor):
    """Turn a saved chart, `{"data": csv}`, into records: one for each series and column.

    The CSV (RFC 4180) has lines of one cell (title, description, measure, event), and below them a table: a
    header, and rows of equal length that begin with their labels. A cell with text begins with a tab, a cell
    with a number does not. More tables may follow, each below its own lines.

    A record is `{"title", "description", "series", "x", "value", "text"}`: `series` joins the labels of the
    row, `x` is the header of the column, `text` the cell, and `value` the cell as a number or null. Repeated
    series and columns are numbered. `chart_records` has an example.
    A chart in an unknown format becomes one record with the whole response as `text`, and a warning.
    Memory: all records of the chart.

    Raises:
        AirbyteTracedException: system_error if the response is not a JSON object with `data`.

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
                message=f"Amplitude's answer for {chart_id_of(response)!r} is no chart: it has no `data`."
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
                f"The chart {chart_id_of(response)!r} has an unknown format: it became one record, with the"
                " whole response as `text`."
            )
            yield {
                "title": None,
                "description": None,
                "series": UNPARSED,
                "x": UNPARSED,
                "value": None,
                "text": text,
            }


class ChartTable(NamedTuple):
    """A table of a chart's CSV; `lines` are the lines of one cell above it, from the first of the CSV on."""

    lines: list[str]
    header: list[str]
    rows: list[list[str]]


def chart_records(text: str) -> list[dict[str, Any]]:
    r"""Turn a chart's CSV into records: one for each cell that is not a label.

    >>> for record in chart_records(
    ...     '"\tPlayers"\r\n'
    ...     '"\tWeekly"\r\n'
    ...     '"\tSegment","\tMon","\tTue"\r\n'
    ...     '"\tAll","3","90%"\r\n'
    ... ):
    ...     print(record)
    {'title': 'Players', 'description': 'Weekly', 'series': 'All', 'x': 'Mon', 'value': 3, 'text': '3'}
    {'title': 'Players', 'description': 'Weekly', 'series': 'All', 'x': 'Tue', 'value': None, 'text': '90%'}

    Raises:
        ValueError, csv.Error: the text has another form.
    """
    tables, below = tables_of(text)
    above = tables[0].lines
    about = {
        "title": text_of(above[0]) if above else None,
        "description": "\n".join(map(text_of, [*above[1:], *below])) or None,
    }
    series: list[str] = []
    cells: list[list[tuple[str, str]]] = []
    for table in tables:
        count = count_labels(table.rows)
        # The lines between two tables name the second one.
        between = table.lines[len(above) :]
        columns = number_repeats(map(label_of, table.header[count:]), " ({})")
        for row in table.rows:
            series.append(" / ".join(map(label_of, [*between, *row[:count]])))
            cells.append(list(zip(columns, map(text_of, row[count:]), strict=True)))
    return [
        {**about, "series": name, "x": x, "value": chart_number(cell), "text": cell}
        for name, row_cells in zip(number_repeats(series, " ({})"), cells, strict=True)
        for x, cell in row_cells
    ]


def tables_of(text: str) -> tuple[list[ChartTable], list[str]]:
    """Split a chart's CSV into its tables, and the lines of one cell below the last one.

    An empty row or a line of one cell ends a table; the next row of several cells is another one's header.

    Raises:
        ValueError, csv.Error: it does not have a table, or the rows of a table differ in their length.
    """
    lines: list[str] = []
    tables: list[ChartTable] = []
    in_table = False
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        if not any(row):
            in_table = False
        elif len(row) == 1:
            lines.append(row[0])
            in_table = False
        elif not in_table:
            tables.append(ChartTable(lines[:], header=row, rows=[]))
            in_table = True
        elif len(row) == len(tables[-1].header):
            tables[-1].rows.append(row)
        else:
            raise ValueError("rows of different lengths")
    if not tables or not all(table.rows for table in tables):
        raise ValueError("no table")
    return tables, lines[len(tables[-1].lines) :]


def text_of(cell: str) -> str:
    """Return the text of a cell, without the tab that Amplitude puts before text."""
    return cell.removeprefix("\t")


def label_of(cell: str) -> str:
    """Return the text of a label, which is never empty, because it becomes part of a record's key."""
    return text_of(cell) or "(none)"


def count_labels(rows: list[list[str]]) -> int:
    """Return how many columns at the beginning of the rows are labels, at least one.

    The labels are the first columns whose cells are all text. If every column is text, only the first has
    labels.
    """
    tabs = any(cell.startswith("\t") for row in rows for cell in row)
    texts = [
        all(cell.startswith("\t") if tabs else chart_number(cell) is None for cell in column)
        for column in zip(*rows, strict=True)
    ]
    return 1 if all(texts) else max(1, texts.index(False))


def chart_number(cell: str) -> float | None:
    """Return a cell as a number, exact if it is an integer, or None if it is not a finite number."""
    match = NUMBER.fullmatch(cell)
    try:
        number = float(cell) if match and any(match.groups()) else int(cell) if match else None
    except ValueError:  # thousands of digits
        return None
    return None if number is None or math.isinf(number) else number


# -- errors: The errors that end a stream or a command: one sentence for the user, and who can help


def config_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that the user can fix: an option, a key, the network, the disk, the plan.

    `message` says what happened and what to do, in whole sentences, and never contains a record, a key, a
    header or a body. The internal message is the same, after the name of the `stream`.
    """
    return traced_error(FailureType.config_error, message, stream)


def transient_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that the next sync may not meet again; `message` as for `config_error`."""
    return traced_error(FailureType.transient_error, message, stream)


def system_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that needs a change of the connector; `message` as for `config_error`."""
    return traced_error(FailureType.system_error, message, stream)


def traced_error(
    failure_type: FailureType, message: str, stream: str = ""
) -> AirbyteTracedException:
    """Return an error whose failure type is known only when it happens; else use one of the three above."""
    return AirbyteTracedException(
        message=message,
        internal_message=f"{stream}: {message}" if stream else message,
        failure_type=failure_type,
    )


def malformed(stream: str, expected: str, why: str) -> AirbyteTracedException:
    """Return the system_error for a response that is not as Amplitude documents it.

    `expected` is what should have come (`list`, `table of days`), and `why` a clause without a full stop.
    """
    return system_error(
        f"Amplitude's response for {stream} is not the {expected} that its documentation promises: {why}."
        " Nothing was read from it; the next sync requests it again. If the error persists, open an issue.",
        stream,
    )


def join_errors(errors: Sequence[AirbyteTracedException]) -> AirbyteTracedException:
    """Return one error with the messages of all, each once, and the failure type of the first."""
    messages = dict.fromkeys(str(error.message) for error in errors)
    return AirbyteTracedException(
        message=" ".join(messages),
        internal_message=errors[0].internal_message,
        failure_type=errors[0].failure_type,
    )


class UnreadableStateError(AirbyteTracedException):
    """The saved state of a stream cannot be read: a config_error, because only the user can clear it.

    A state migration that cannot read a state keeps it under the key `unreadable`, and the stream's
    retriever raises this error. The migration itself must not raise: the CDK would end every stream.
    """

    def __init__(self, stream: str) -> None:
        """Name the stream, and say what to do."""
        super().__init__(
            message=f"The saved state of {stream} cannot be read: its form is not known. Clear the stream's"
            " data, or its state, and the next sync reads it from the start date on.",
            internal_message=f"unreadable state of {stream}",
            failure_type=FailureType.config_error,
        )


# -- responses: Facts in a response: Amplitude's error message, the rate limit that it names, the time


HOUR_SECONDS = 3600

RATE_LIMITS = {
    # Words of a 429's message (apis/analytics/dashboard-rest#rate-limits), and how long to wait after it.
    "concurrent limit": (300, "five minutes"),
    "rate limit": (HOUR_SECONDS, "an hour"),
}


def rate_limit(message: str) -> tuple[float, str]:
    """Return the time that the rate limit named in a message needs, in seconds and in words; 0 if none is."""
    found = (time for name, time in RATE_LIMITS.items() if name in message.lower())
    return next(found, (0, ""))


def date_of(response: requests.Response) -> datetime | None:
    """Return when a response was sent, by Amplitude's clock; None if its header does not say."""
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (LookupError, ValueError, TypeError):
        return None
    # RFC 5322's "-0000" is UTC too.
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def error_message(response: requests.Response) -> str:
    """Return Amplitude's message in an error response; an empty string if it has none."""
    try:
        return message_in(response.json())
    except (ValueError, RecursionError):
        return ""


def message_in(body: Any) -> str:
    """Return the message in the JSON of an error, as `message (details)`; an empty string if it has none.

    The taxonomy API has `errors: [{message}]`, and the others `error: {message, metadata: {details}}` or
    `error: message`.
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
"""Messages that may be quoted: short sentences that cannot contain an address, a key or a record."""


def refuses_keys(response: requests.Response) -> bool:
    """Return whether a response rejects the keys, and not what was requested."""
    about_keys = mentions_keys(error_message(response))
    return response.status_code == 401 or (response.status_code == 403 and about_keys)


def is_from_gateway(response: requests.Response) -> bool:
    """Whether a gateway refused the request: Amplitude itself says why, in its envelope."""
    return response.status_code in (401, 403, 404, 451) and not error_message(response)


def mentions_keys(message: str) -> bool:
    """Whether a message of Amplitude is about the keys."""
    return bool(re.search(r"key|secret|credential", message.lower()))


def quotation(response: requests.Response) -> str:
    """Return Amplitude's message as the end of a sentence, or nothing."""
    words = error_message(response)
    return f": {words}" if QUOTABLE.fullmatch(words) else ""


# -- error_handler: Failed requests: retry, or raise an error that quotes Amplitude's message -----


LONGEST_SILENCE_SECONDS = 1.5 * HOUR_SECONDS
"""How long one request may be retried in all, since the platform ends a sync that is silent for two hours."""
TRANSIENT_CODES = (408, 421, 425, 429, 499)
"""Codes of 4xx that say nothing of the request: a retry may help, as after any 5xx."""

FIRST_WAIT_SECONDS = 10

AnyError = TypeVar("AnyError", bound=Exception)


def growing_seconds(attempt: int) -> float:
    """Return how many seconds to wait after the given failed attempt: 10, 20, 40, ..."""
    return float(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))


@dataclass
class AmplitudeBackoff(BackoffStrategy):
    """How long to wait before a failed request is sent again.

    As long as the header `Retry-After` says, in seconds or as a date; otherwise as long as the rate limit
    needs that a 429 names; otherwise 10, 20, 40, ... seconds.
    """

    name: str

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """Return the number of seconds to wait, and log the reason after a 429."""
        seconds, reason = wait_after(response_or_exception, attempt_count)
        if reason:
            LOGGER.info(
                f"Amplitude is rate-limiting {self.name} (429): waiting {seconds:.0f} s, {reason}."
            )
        return seconds


def wait_after(response: requests.Response | Exception | None, attempt: int) -> tuple[float, str]:
    """Return the seconds to wait after a failed attempt and, after a 429, the reason."""
    if not isinstance(response, requests.Response):
        return growing_seconds(attempt), ""
    seconds = _retry_after(response.headers.get("Retry-After"))
    if response.status_code != 429:
        return seconds or growing_seconds(attempt), ""
    if seconds:
        return seconds, "as its response says"
    seconds, span = rate_limit(error_message(response))
    if seconds:
        return seconds, f"for its limit of {span}"
    return growing_seconds(attempt), "because its response names no limit"


def _retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` header; 0 without one, or if it cannot be parsed."""
    try:
        return Retry().parse_retry_after(value or "0")
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


@dataclass
class AmplitudeErrorHandler(DefaultErrorHandler):
    """Decide what to do after a failed request: retry, or raise an error that quotes Amplitude's message.

    - 5xx, `TRANSIENT_CODES`, time-outs and lost connections are retried (`AmplitudeBackoff`) for at most
      `LONGEST_SILENCE_SECONDS`, then transient_error; so is a refusal without Amplitude's envelope, which a
      gateway has sent
    - any other 4xx is never retried: `CLIENT_ERRORS` has the failure type and the message
    - an untrusted certificate, or a proxy that cannot be used, is never retried: config_error

    It raises errors itself, because the CDK writes the header and the body of a failed response to the log.
    While `check` runs (`ask_again: false` in the config), no request is retried.

    `measure` and `option` are parameters of the stream in the manifest: what it counts by country, and the
    option that its requests are made of. They decide which option an error names.
    """

    name: str = ""
    measure: str | None = None
    option: str = ""
    max_time: int = int(LONGEST_SILENCE_SECONDS)

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self.backoff_strategies = [AmplitudeBackoff(self.name)]
        # Attempts are counted per thread: the CDK does not pass the count, and a redirect changes the
        # request, but each thread sends one request at a time.
        self._thread = threading.local()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: a retry cannot help, or the last one has failed.
        """
        response = response_or_exception
        if isinstance(response, requests.Response):
            if response.ok:
                return self.accept()
            is_transient = response.status_code in TRANSIENT_CODES or response.status_code >= 500
            if not (is_transient or is_from_gateway(response)):
                raise self.client_error(response)
        elif cause := permanent_cause(response):
            raise self.give_up(config_error(cause, self.name))
        return self.retry(response)

    @property
    def attempts(self) -> int:
        """How often the request that this thread is sending has failed so far."""
        return getattr(self._thread, "attempts", 0)

    def accept(self) -> ErrorResolution:
        """Take the response as it is, and forget the failed attempts of its request."""
        self._thread.attempts = 0
        return SUCCESS_RESOLUTION

    def give_up(self, error: AnyError) -> AnyError:
        """Return the error to raise, and forget the failed attempts of its request."""
        self._thread.attempts = 0
        return error

    def retry(self, response: requests.Response | Exception | None) -> ErrorResolution:
        """Have the request sent again.

        Raises:
            AirbyteTracedException: transient_error, it has failed too often, or is in a redirect loop.
        """
        self._thread.attempts = attempts = self.attempts + 1
        if attempts == 1:
            self._thread.began = time.time()
        seconds, _ = wait_after(response, attempts)
        is_loop = isinstance(response, requests.TooManyRedirects)
        is_last = attempts > int(self.max_retries or 0) or not self.config.get("ask_again", True)
        if is_loop or is_last:
            raise self.give_up(
                transient_error(self._failed_attempts(response, attempts), self.name)
            )
        if time.time() - self._thread.began + seconds > LONGEST_SILENCE_SECONDS:
            raise self.give_up(
                transient_error(
                    f"The next request for {self.name} would have to wait {seconds:,.0f} s"
                    f" ({describe(response)}), longer than a sync may be silent. The next sync continues from"
                    " here; if the error persists, sync less often, or look for what else uses Amplitude's"
                    " limits.",
                    self.name,
                )
            )
        # Use RETRY instead of RATE_LIMITED: for the latter the CDK emits a stream status, and the "stream"
        # may be a job or a parent that is not in the catalog.
        return replace(super().interpret_response(response), response_action=ResponseAction.RETRY)

    def _failed_attempts(
        self, response: requests.Response | Exception | None, attempts: int
    ) -> str:
        """Return the message after the last attempt; a `check` has only one, and is run by a person."""
        last = describe(response)
        if isinstance(response, requests.TooManyRedirects):
            return (
                f"The request for {self.name} ended in a redirect loop. The next sync continues from here;"
                " check the proxies between this machine and Amplitude."
            )
        if isinstance(response, requests.Response) and is_from_gateway(response):
            return (
                f"A gateway between this machine and Amplitude refused the request for {self.name} ({last})."
                " The next sync continues from here; if the error persists, check proxies and firewalls."
            )
        if attempts > 1:
            unreached = not isinstance(response, requests.Response)
            hint = "check the network" if unreached else "look at Amplitude's status page"
            return (
                f"The request for {self.name} failed in {attempts} attempts (the last: {last}). The next"
                f" sync continues from here; if the error persists, {hint}."
            )
        if not isinstance(response, requests.Response):
            return (
                f"Amplitude cannot be reached at {_host(response)} ({last}). Check the network and the data"
                " region, then test again."
            )
        if response.status_code == 429:
            return (
                f"Amplitude is rate-limiting this project ({last}, reading {self.name}). The limits reset"
                " within an hour; test again then."
            )
        return f"The request for {self.name} failed ({last}). Test again in a few minutes."

    def client_error(self, response: requests.Response) -> AirbyteTracedException:
        """Return the error for a response of 4xx, by the first of `CLIENT_ERRORS` that matches."""
        rule = next(rule for rule in CLIENT_ERRORS if rule.matches(self, response))
        message = rule.message.format(
            name=self.name,
            subject=self.subject(response),
            response=describe(response),
            option=self.option,
            query=_query_of(str(response.url)) if self.option else "",
        )
        return self.give_up(rule.make_error(message, self.name))

    def subject(self, response: requests.Response) -> str:
        """Return what was requested: the stream, and in a subclass that knows it the partition."""
        return self.name


PROXY_WANTS_PASSWORD = (
    "The proxy between this machine and Amplitude asks for a user and a password (407): put them into its"
    " address (HTTPS_PROXY=http://user:password@host:port)."
)


@dataclass(frozen=True)
class ClientError:
    """What a response of 4xx means: the first rule that `matches` a handler's response has the error.

    The message is filled in with `{name}`, the stream; `{subject}`, the stream and the partition if that is
    known; `{response}`, its status and Amplitude's message; `{option}`, the option that the request is made
    of; and `{query}`, what the request asked for by it.
    """

    matches: Callable[[AmplitudeErrorHandler, requests.Response], bool]
    make_error: Callable[[str, str], AirbyteTracedException]
    message: str


def _keys_differ(_: AmplitudeErrorHandler, response: requests.Response) -> bool:
    return refuses_keys(response) and "combination" in error_message(response).lower()


def _is_not_in_plan(_: AmplitudeErrorHandler, response: requests.Response) -> bool:
    # The taxonomy answers 404 where the other APIs answer 403.
    missing = response.status_code == 404 and "/taxonomy/" in str(response.url)
    return response.status_code in (402, 403) or missing


def _has_no_country(handler: AmplitudeErrorHandler, response: requests.Response) -> bool:
    grouped = handler.measure and handler.config.get("active_users_group_by_country", True)
    about_property = "user property" in error_message(response).lower()
    return bool(response.status_code == 400 and grouped and about_property)


CLIENT_ERRORS: Sequence[ClientError] = (
    ClientError(
        lambda _, response: response.status_code == 407, config_error, PROXY_WANTS_PASSWORD
    ),
    ClientError(
        _keys_differ,
        config_error,
        "Amplitude refused the keys for {name} ({response}). The secret key does not belong to the API key:"
        " copy both from the same project.",
    ),
    ClientError(
        lambda _, response: refuses_keys(response),
        config_error,
        "Amplitude refused the keys for {name} ({response}). Check the API key, the secret key and the data"
        " region: a key of the other region looks like a wrong key.",
    ),
    ClientError(
        _is_not_in_plan,
        config_error,
        "Amplitude does not let this project read {name} ({response}): its plan may not include it."
        " Deselect the stream; if no stream works, check the keys and the data region.",
    ),
    ClientError(
        lambda handler, response: response.status_code == 400 and bool(handler.option),
        config_error,
        "Amplitude refuses {name}{query} ({response}): correct `{option}`.",
    ),
    ClientError(
        _has_no_country,
        config_error,
        "Amplitude cannot group {name} by country ({response}): turn off"
        " `active_users_group_by_country`.",
    ),
    ClientError(
        lambda *_: True,
        system_error,
        "Amplitude rejected the request for {subject} ({response}). The next sync sends it again; if the"
        " error persists, open an issue.",
    ),
)


def _query_of(url: str) -> str:
    """Return what a request of the dashboards asks for: ` of 'Purchase' by 'country'`, or less."""
    query = parse_qs(urlsplit(url).query)
    events = [json.loads(event)["event_type"] for event in query.get("e", [])]
    return "".join(
        [f" of {event!r}" for event in events] + [f" by {group!r}" for group in query.get("g", [])]
    )


REASONS = {
    requests.exceptions.ProxyError: "a proxy that does not connect",
    requests.exceptions.SSLError: "a TLS connection that failed",
    requests.Timeout: "no response in time",
    requests.exceptions.ChunkedEncodingError: "a connection that broke off",
    requests.ConnectionError: "no connection",
}
"""What the exceptions of `requests` mean, a class before the classes that it is derived from."""


def describe(response_or_exception: requests.Response | Exception | None) -> str:
    """Return the status of a response with Amplitude's message, or why there is no response."""
    if isinstance(response_or_exception, requests.Response):
        return f"{response_or_exception.status_code}{quotation(response_or_exception)}"
    if "Failed to resolve" in str(response_or_exception):
        return "a name that does not resolve"
    for kind, reason in REASONS.items():
        if isinstance(response_or_exception, kind):
            return reason
    return type(response_or_exception).__name__


def permanent_cause(error: Exception | None) -> str:
    """Describe an error that no retry can fix, or return an empty string.

    Such are an untrusted certificate, and a proxy that wants a password or whose address cannot be used.
    """
    if isinstance(error, UNUSABLE_PROXY_ERRORS):
        reason = "SOCKS needs PySocks" if "SOCKS" in str(error) else "its address is malformed"
        return (
            f"The proxy that {_proxy_variable(reason)} names cannot be used ({reason}), so no request was"
            " sent. Set it to an address such as http://host:port."
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {_host(error)} is not trusted, so no request was sent. If a proxy of your"
            " network has replaced the certificate, set REQUESTS_CA_BUNDLE to a file with the proxy's own."
        )
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return PROXY_WANTS_PASSWORD
    return ""


UNUSABLE_PROXY_ERRORS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidURL,
)


def _proxy_variable(reason: str) -> str:
    """Return the environment variable that names the proxy: the one with a SOCKS proxy, or the first."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    values = {
        name: os.environ[name] for name in (*names, *map(str.lower, names)) if os.environ.get(name)
    }
    socks = [name for name, value in values.items() if value.startswith("socks")]
    return next(iter(socks if "SOCKS" in reason else values), names[0])


def _host(error: Any) -> str:
    """Return the host and port that a failed request was sent to."""
    return urlsplit(str(getattr(getattr(error, "request", None), "url", ""))).netloc


# -- cohorts.job: The job that writes the members of a cohort to a file ---------------------------


POLL_PAUSES = (1, 2, 3, 5, 10, 20, 30)
"""Seconds between the first polls; small cohorts take 30 to 60 s too."""

LONGEST_POLL_PAUSE = 60
"""Seconds between all later polls."""

LONGEST_JOB_SECONDS = 90 * 60

LONGEST_COHORT_SECONDS = 100 * 60
"""Until when all waits of a cohort end: its limits, retries, polls, downloads. A platform may end a sync that
is silent for two hours (`maxSecondsBetweenMessages` of metadata.yaml), and the last request takes minutes."""


@dataclass
class CohortBackoff(AmplitudeBackoff):
    """How long to wait before a failed request for a cohort is sent again, within `LONGEST_COHORT_SECONDS`.

    The time is that of the thread's cohort, from `begin_cohort` on.
    """

    _thread: threading.local = field(default_factory=threading.local)

    def begin_cohort(self) -> float:
        """Return when the waits of the cohort that begins must end, in seconds since 1970."""
        self._thread.deadline = deadline = time.time() + LONGEST_COHORT_SECONDS
        return deadline

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """Return the number of seconds to wait.

        Raises:
            AirbyteTracedException: transient_error, the wait would be too long.
        """
        seconds = super().backoff_time(response_or_exception, attempt_count)
        if time.time() + seconds > getattr(self._thread, "deadline", math.inf):
            raise transient_error(
                f"A request for {self.name} would have to wait {seconds:,.0f} s"
                f" ({describe(response_or_exception)}), and a cohort may take {LONGEST_COHORT_SECONDS // 60}"
                " minutes in all. The next sync requests it again; if the error persists, sync less often,"
                " or look for what else uses Amplitude's limits.",
                self.name,
            )
        return seconds


STATUSES_OF_THE_PROJECT = (401, 403, 407, 408, 429)
"""Statuses that do not concern one cohort, but keys, plan, proxy, network and limits."""


@dataclass
class CohortErrorHandler(AmplitudeErrorHandler):
    """Leave the 4xx that concern one cohort to `CohortApi`, which knows its id."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._backoff = CohortBackoff(self.name)
        self.backoff_strategies = [self._backoff]

    def begin_cohort(self) -> float:
        """Return when the waits of the cohort that begins must end, in seconds since 1970."""
        self.accept()
        return self._backoff.begin_cohort()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do."""
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and 400 <= response.status_code < 500
            # After a redirect the response is the file server's, which knows neither project nor keys.
            and (response.history or response.status_code not in STATUSES_OF_THE_PROJECT)
            # A 404 without Amplitude's message is a gateway's, and says nothing of the cohort.
            and (response.history or response.status_code != 404 or error_message(response))
        ):
            return self.accept()
        return super().interpret_response(response)


@dataclass
class OnceErrorHandler(AmplitudeErrorHandler):
    """Take each response as it is, without a retry: for requests that need not be answered."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: transient_error, there is no response; the message says why in a clause.
        """
        if isinstance(response_or_exception, requests.Response):
            return self.accept()
        raise transient_error(describe(response_or_exception), self.name)


class UnansweredError(Exception):
    """A request that need not be answered was not; the message says why, in a clause."""


@dataclass(frozen=True)
class CohortJob:
    """A job that Amplitude has accepted: for which cohort, its id, and its time by Amplitude's clock.

    `created` and `deadline`, until when it is waited for by this machine's clock, are in seconds since 1970.
    """

    cohort: str
    request_id: str
    created: int
    deadline: float


@dataclass
class CohortApi:
    """Send the requests for cohorts, and turn refusals into errors that name the cohort.

    `once` sends those that need not be answered, and does not retry them.

    See: https://amplitude.com/docs/apis/analytics/behavioral-cohorts#get-one-cohort
    """

    requester: HttpRequester
    once: HttpRequester
    name: str
    config: Mapping[str, Any]

    def create_job(self, cohort: str) -> CohortJob:
        """Have Amplitude write the members of a cohort to a file.

        Raises:
            AirbyteTracedException: config_error if Amplitude does not know the cohort, or it is too large;
                system_error if it refuses the cohort in another way or does not return the job's id.
        """
        assert isinstance(self.requester.error_handler, CohortErrorHandler)
        deadline = self.requester.error_handler.begin_cohort()
        properties = self.config.get("cohort_member_properties", True)
        with self._send(
            f"5/cohorts/request/{quote(cohort, safe='')}",
            "ASYNC_CREATE",
            {"props": "1" if properties else "0"},
        ) as response:
            if response.status_code in (400, 404):
                raise self.error(
                    FailureType.config_error,
                    f"Amplitude does not know the cohort {cohort!r} of `cohort_ids`"
                    f" ({response.status_code}{quotation(response)}): correct the id or remove it;"
                    " the stream cohorts lists all ids. The other cohorts are read.",
                )
            if response.status_code == 413:
                raise self.error(
                    FailureType.config_error,
                    f"The cohort {cohort!r} of `cohort_ids` is too large for Amplitude to return"
                    f" (413{quotation(response)}): turn off `cohort_member_properties`, or remove the id."
                    " The other cohorts are read.",
                )
            if not response.ok:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude rejected the request for {self.name} of the cohort {cohort!r}"
                    f" ({response.status_code}{quotation(response)}). The next sync sends it again; if the"
                    " error persists, open an issue.",
                )
            request_id = text_field_of(response, "request_id")
            if not request_id:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude's response for {self.name} of the cohort {cohort!r}"
                    f" ({response.status_code}{quotation(response)}) does not have a `request_id`. The next"
                    " sync sends the request again; if the error persists, open an issue.",
                )
            created = epoch_of_response(response)
            return CohortJob(cohort, quote(request_id, safe=""), created, deadline)

    def wait_for(self, job: CohortJob) -> int:
        """Return when the job was completed, in seconds since 1970; the log has a line for each poll.

        An unknown status counts as still running.

        Raises:
            AirbyteTracedException: transient_error if the job failed or took longer than
                `LONGEST_JOB_SECONDS` or its `deadline`, system_error if Amplitude does not know it any more.
        """
        waited = 0
        for pause in chain(POLL_PAUSES, repeat(LONGEST_POLL_PAUSE)):
            LOGGER.info(
                f"Amplitude is preparing the members of the cohort {job.cohort!r}: {waited} s so far."
            )
            time.sleep(pause)
            waited += pause
            status, sent = self._poll(job)
            if "COMPLETED" in status:
                return sent
            if re.search("FAIL|ERROR|CANCEL", status):
                raise self.error(
                    FailureType.transient_error,
                    f"Amplitude could not write the members of the cohort {job.cohort!r}. The next sync"
                    " requests them again; if the error persists, turn off `cohort_member_properties`.",
                )
            if waited >= LONGEST_JOB_SECONDS or time.time() >= job.deadline:
                break
        raise self.error(
            FailureType.transient_error,
            f"Amplitude has not written the members of the cohort {job.cohort!r} within"
            f" {waited // 60} minutes. Turn off `cohort_member_properties`, which makes the file"
            " smaller, or remove the id from `cohort_ids`; the next sync requests them again.",
        )

    def _poll(self, job: CohortJob) -> tuple[str, int]:
        """Return the job's status in capitals, and when Amplitude sent it, in seconds since 1970."""
        with self._send(f"5/cohorts/request-status/{job.request_id}", "ASYNC_POLL") as response:
            if not response.ok:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude does not return the status of the job for the members of the cohort"
                    f" {job.cohort!r} ({response.status_code}{quotation(response)}). The next sync creates a"
                    " new job; if the error persists, open an issue.",
                )
            return text_field_of(response, "async_status").upper(), epoch_of_response(response)

    def send_file_request(self, job: CohortJob) -> requests.Response:
        """Return the response with the file of a completed job, whose body has not been read.

        A refusal of the host that keeps the file is a response too; it has a `history`.

        Raises:
            AirbyteTracedException: system_error if Amplitude refuses it.
        """
        response = self._send(f"5/cohorts/request/{job.request_id}/file", "HTTP", is_file=True)
        if not response.ok and not response.history:
            with response:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude does not return the file with the members of the cohort {job.cohort!r}"
                    f" ({response.status_code}{quotation(response)}). The next sync creates a new job; if the"
                    " error persists, open an issue.",
                )
        return response

    def get_json(self, path: str) -> Any:
        """Request JSON that is helpful but not required, once.

        Raises:
            UnansweredError: it did not come.
        """
        try:
            with self._send(path, "HTTP", is_required=False) as response:
                if response.ok:
                    return response.json()
                why = describe(response)
        except AirbyteTracedException as error:
            why = str(error.message)
        except (ValueError, RecursionError):
            why = "it is not JSON"
        except requests.RequestException as error:
            why = describe(error)
        raise UnansweredError(why)

    def error(self, kind: FailureType, message: str) -> AirbyteTracedException:
        """Return an error of the stream."""
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )

    def _send(
        self,
        path: str,
        kind: str,
        parameters: Mapping[str, str] | None = None,
        is_file: bool = False,
        is_required: bool = True,
    ) -> requests.Response:
        """Send a request; the Connector Builder shows it as one of `kind`."""
        if is_file:
            description = "Read the members"
        else:
            description = "Request what has changed" if kind == "HTTP" else "Create or poll the job"

        def describe(response: requests.Response) -> Any:
            return format_http_message(
                response,
                "Cohort members",
                description,
                self.name if is_file else None,
                is_auxiliary=not is_file or None,
                type=kind,
            )

        requester = self.requester if is_required else self.once
        response = requester.send_request(
            path=path,
            request_params=parameters,
            request_headers={"Accept-Encoding": "gzip"},
            log_formatter=describe,
        )
        assert response is not None  # the error handler ignores none
        return response


def epoch_of_response(response: requests.Response) -> int:
    """Return when a response was sent, in seconds since 1970, or the present time if it does not say."""
    moment = date_of(response)
    return int(moment.timestamp() if moment else time.time())


def text_field_of(response: requests.Response, name: str) -> str:
    """Return a field of a response as text, empty if the response does not have it."""
    try:
        value = response.json()[name]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return str(value) if isinstance(value, str | int) else ""


# -- cohorts.rows: The rows of a cohort's file: a member for each row -----------------------------


MAX_CELL_BYTES = 64 * 1024 * 1024

# The csv module has one limit for the whole process, 128 KiB by default.
csv.field_size_limit(MAX_CELL_BYTES)


@dataclass
class TextLines:
    """The lines of a decoded text; `replaced` counts the lines in which U+FFFD replaces invalid bytes."""

    text: IO[str]
    replaced: int = 0

    def __iter__(self) -> Iterator[str]:
        while line := self.text.readline(MAX_CELL_BYTES):
            self.replaced += "\ufffd" in line
            yield line


class Columns(NamedTuple):
    """The columns of a file by their meaning; `properties` has those that are not ids, by name.

    `renamed` counts the columns that got a number, because an earlier column has their name.
    """

    width: int
    amplitude_id: int
    user_id: int | None
    properties: Mapping[str, int]
    renamed: int


def header_of(rows: Iterator[list[str]]) -> Columns:
    """Read the first row, and return which column is what.

    The first column `amplitude_id` and the first `user_id` are the ids. If other columns have the same name,
    the first keeps it, and the others become `name_2`, `name_3`.

    Raises:
        ValueError: there is no column `amplitude_id`.
    """
    header = next(rows, [])
    names = [name.strip() for name in header]
    amplitude_id = names.index("amplitude_id")
    user_id = names.index("user_id") if "user_id" in names else None
    others = [c for c in range(len(header)) if c not in (amplitude_id, user_id)]
    properties = dict(zip(number_repeats((header[c] for c in others), "_{}"), others, strict=True))
    renamed = len(others) - len({header[column] for column in others})
    return Columns(len(header), amplitude_id, user_id, properties, renamed)


def member_of(row: list[str], columns: Columns) -> dict[str, Any]:
    """Turn a row into a member: two ids, and all other cells under `properties`; an empty cell is null.

    Raises:
        ValueError: the row is longer or shorter than the header, or its `amplitude_id` is not a number.
    """
    number = row[columns.amplitude_id].strip() if len(row) == columns.width else ""
    if not number.isdecimal():
        raise ValueError("not a member")
    properties = {name: row[column] or None for name, column in columns.properties.items()}
    if properties.get("amplitude_id") == number:
        del properties["amplitude_id"]  # Amplitude repeats the id before the properties
    return {
        "amplitude_id": int(number),
        "user_id": row[columns.user_id] or None if columns.user_id is not None else None,
        "properties": properties,
    }


# -- files: Temporary files, and folders that do not take any -------------------------------------


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


# -- cohorts.file: The file with a cohort's members: downloaded to disk, verified, and read -------


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


# -- lists: Lists: a record for each row ----------------------------------------------------------


@dataclass
class ListExtractor(RecordExtractor):
    """Turn a response, or the list under its `data_field`, into records: one for each row, unchanged.

    With `expand`, a record is an item of each row's list of that name, together with the row's other fields.
    The whole list is checked before the first record, and held in memory.

    Raises:
        AirbyteTracedException: system_error if the response does not have a list, so that a table is never
            emptied by mistake, or if a row is not an object or lacks a field of `primary_key`.
    """

    name: str
    data_field: str
    primary_key: Any
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    expand: str = ""

    def extract_records(self, response: requests.Response) -> list[dict[str, Any]]:
        """Return the records of a response, in its order."""
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
                raise unlike_list(self.name, f"its row {number} is not an object")
            for field in key:
                if row.get(field) is None:
                    raise unlike_list(self.name, f"its row {number} does not have `{field}`")
        return rows

    def _items(self, row: Any) -> Iterator[Any]:
        """Yield the items of a row's list `expand`, each with the row's other fields."""
        items = row.get(self.expand) if isinstance(row, dict) else None
        if not isinstance(items, list):
            raise unlike_list(self.name, f"one of its rows does not have a list `{self.expand}`")
        others = {field: value for field, value in row.items() if field != self.expand}
        for item in items:
            yield {**others, **item} if isinstance(item, dict) else item


def unlike_list(stream: str, what: str) -> AirbyteTracedException:
    """Return the error for a list that is not as Amplitude documents it."""
    return AirbyteTracedException(
        message=f"Amplitude's answer for {stream} is not the list that its documentation promises"
        f" ({what}). Nothing of it was read; the next sync requests it again. Open an issue if the error"
        " persists.",
        internal_message=f"malformed list of {stream}: {what}",
        failure_type=FailureType.system_error,
    )


# -- cohorts.times: The times in the list of cohorts ----------------------------------------------


MAX_EPOCH_SECONDS = 10**11
"""Larger values are milliseconds or microseconds (10¹¹ s is the year 5138)."""


@dataclass
class NormalizeCohortTimes(RecordTransformation):
    """Turn a cohort's four times into whole seconds since 1970.

    Raises:
        AirbyteTracedException: system_error if one of them is not a time.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place; null stays null, and an empty text becomes null."""
        for field in ("createdAt", "lastComputed", "lastMod", "last_viewed"):
            if record.get(field) is not None:
                try:
                    record[field] = epoch_seconds(record[field])
                except (ValueError, OverflowError) as error:
                    raise unlike_list("cohorts", f"`{field}` of a cohort is not a time") from error


def epoch_seconds(value: Any) -> int | None:
    """Convert an epoch (seconds, ms or µs, as number or text) or a timestamp to epoch seconds.

    Raises:
        ValueError, OverflowError: the value is not a time.
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


# -- cohorts.states: Saved states of cohort members -----------------------------------------------


@dataclass
class CohortStateMigration(StateMigration):
    """Keep each cohort's `computed_at`, rewritten as `2024-01-31T05:00:00Z`, and not later than now.

    A state of the CDK's own that knows no cohort is no state. What cannot be read is kept under `unreadable`.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Return whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state by cohort, or an empty state."""
        if all(key.startswith("__ab_") for key in stream_state):
            return {}
        try:
            if unreadable := (stream_state.get("parent_state") or {}).get("unreadable"):
                return unreadable_state(unreadable)
            return {"states": [state_of_cohort(each) for each in stream_state["states"]]}
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            return unreadable_state(stream_state)


def unreadable_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of partitions that keeps one that cannot be read, where the CDK's cursor keeps it."""
    return {"states": [], "parent_state": {"unreadable": dict(state)}}


def state_of_cohort(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a cohort in the saved form.

    Raises:
        LookupError, TypeError, ValueError, OverflowError: it does not have the cohort's id and a time.
    """
    cohort, computed = (
        state["partition"]["cohort_id"],
        epoch_seconds(state["cursor"]["computed_at"]),
    )
    if computed is None or not isinstance(cohort, str):
        raise ValueError("not the state of a cohort")
    moment = moment_of(max(0, min(computed, int(time.time()))))
    return {"partition": {"cohort_id": cohort}, "cursor": {"computed_at": moment}}


def epoch_of(moment: str) -> int:
    """Convert a timestamp such as `2024-01-31T05:00:00Z` to seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Convert seconds since 1970 to a timestamp such as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- cohorts.members: The members of cohorts: which cohorts have changed, what the month's limit leaves, and the state


class LastChange(NamedTuple):
    """When a cohort was last computed (None if unknown) and edited, in seconds since 1970."""

    computed: int | None = None
    edited: int = 0


def last_change_of(row: Mapping[str, Any]) -> LastChange:
    """Return when a cohort of the list last changed, by its times in any form that `epoch_seconds` knows.

    Raises:
        ValueError, OverflowError: one of them is not a time.
    """
    computed, edited = (
        None if row.get(field) is None else epoch_seconds(row[field])
        for field in ("lastComputed", "lastMod")
    )
    return LastChange(computed, edited or 0)


@dataclass
class CohortMembersRetriever(Retriever):
    """Read the members of a cohort, whose id is the slice, unless the state has them already.

    The list of cohorts says when a cohort was computed and edited. A cohort that was neither since the
    state's `computed_at` is not requested. A job computes its cohort, so its time is looked up again once
    the file is there; a time after the job's end means that the cohort has changed again.
    Amplitude limits the jobs of a month: the number of jobs that are left is requested first. Once they are
    spent, a cohort that was read before stays as it is, with a warning. One that was never read ends the
    stream with an error: a full refresh would delete its members. A cohort that fails fails alone.

    There is a state after each cohort, read or failed: a request that is spent is not spent again, and no
    wait for a cohort adds to that for the one before.

    The CDK's AsyncRetriever is not used, because it does not look at the list before it creates a job, has
    no quota, does not verify a file on disk, and does not notice a gzip that urllib3 inflates only in part.

    Raises:
        AirbyteTracedException: see `CohortApi` and `CohortFile`; config_error, once, the month's jobs are
            spent, and cohorts are left that were never read.
    """

    requester: HttpRequester
    cursor: ConcurrentPerPartitionCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self.requester = with_daily_budget(self.requester, self.name, parameters)
        self.requester.stream_response = True
        handler = OnceErrorHandler(parameters={}, config=self.config, name=self.name)
        once = replace(self.requester, error_handler=handler, parameters=parameters or {})
        self._api = CohortApi(self.requester, once, self.name, self.config)
        self._readable = "unreadable" not in (self.cursor.state.get("parent_state") or {})
        # The CDK emits the state of a stream with partitions once in ten minutes: this says when it may.
        self.cursor._throttle_state_message = time.time  # type: ignore[method-assign]
        self._lock = threading.Lock()
        self._cohorts: dict[str, LastChange] | None = None
        self._requests_left, self._resets_on = sys.maxsize, ""
        self._refused = False
        self._is_listed = True
        self._untold: set[str] = set()

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the members of the slice's cohort, if they have changed."""
        assert stream_slice is not None
        if not self._readable:
            raise UnreadableStateError(self.name)
        try:
            yield from self._read_cohort(stream_slice)
        except AirbyteTracedException:
            with self.cursor._lock:
                self.cursor._emit_state_message(throttle=False)
            raise

    def _read_cohort(self, stream_slice: StreamSlice) -> Iterator[StreamData]:
        cohort, since = str(stream_slice["cohort_id"]), epoch_of(stream_slice["start_time"])
        computed, edited = self._last_change_of(cohort)
        if computed is not None and max(computed, edited) <= since:
            LOGGER.info(f"{self.name}: the cohort {cohort!r} has not changed since it was read.")
            self._observe(stream_slice, since)
            return
        if not self._spend_request(cohort, is_new=moment_of(since) == BEGINNING_OF_DATA):
            return
        job = self._api.create_job(cohort)
        completed = self._api.wait_for(job)
        computed_by_job = self._read_cohorts().get(cohort, LastChange()).computed
        if computed_by_job is not None and computed_by_job <= completed:
            computed = computed_by_job
        elif not computed:
            computed = job.created
        for member in CohortFile(self._api, job).read_members():
            yield {"cohort_id": cohort, **member, "computed_at": moment_of(computed)}
        self._observe(stream_slice, max(computed, edited))

    def _last_change_of(self, cohort: str) -> LastChange:
        """Look a cohort up in the list, which the first slice requests together with the quota."""
        with self._lock:
            if self._cohorts is None:
                self._cohorts = self._read_cohorts()
                self._requests_left, self._resets_on = self._read_usage()
        return self._cohorts.get(cohort, LastChange())

    def _observe(self, stream_slice: StreamSlice, epoch: int) -> None:
        """Move the state of the slice's cohort, even if the cohort does not have members."""
        moved = {"computed_at": moment_of(epoch)}
        self.cursor.observe(Record(moved, self.name, associated_slice=stream_slice))

    def _read_cohorts(self) -> dict[str, LastChange]:
        """Request when each cohort last changed; without those of which the response does not tell.

        A warning names them. A list that could not be read is not requested again.
        """
        if not self._is_listed:
            return {}
        try:
            rows = [row for row in self._api.get_json("3/cohorts")["cohorts"] if "id" in row]
        except (UnansweredError, LookupError, TypeError) as error:
            self._is_listed = False
            why = str(error) if isinstance(error, UnansweredError) else "it is not a list"
            LOGGER.warning(
                f"{self.name}: the list of cohorts could not be read ({why}), so this sync requests every"
                " cohort of `cohort_ids`, whether it has changed or not."
            )
            return {}
        cohorts = {}
        for row in rows:
            try:
                cohorts[row["id"]] = last_change_of(row)
            except (ValueError, OverflowError, TypeError, AttributeError):
                self._warn_of_row(row["id"])
        return cohorts

    def _warn_of_row(self, cohort: Any) -> None:
        """Warn once of a cohort of `cohort_ids` whose row in the list has times that cannot be read."""
        if cohort in self.config["cohort_ids"] and cohort not in self._untold:
            self._untold.add(cohort)
            LOGGER.warning(
                f"{self.name}: the list of cohorts has a time of the cohort {cohort!r} that cannot be read,"
                " so each sync requests it, whether it has changed or not."
            )

    def _read_usage(self) -> tuple[int, str]:
        """Request how many jobs are left of this month's, and when their number is reset, if known."""
        try:
            usage = self._api.get_json("3/cohorts/usage")
            usage = usage.get("rest_download", usage)
            used = usage["usage"] if "usage" in usage else usage["count"]
            return int(usage["limit"]) - int(used), str(usage.get("resets_at") or "")
        except (UnansweredError, ValueError, LookupError, TypeError, AttributeError) as error:
            why = str(error) if isinstance(error, UnansweredError) else "it is not a number"
            LOGGER.warning(
                f"{self.name}: the number of cohort requests that are left of this month's could not be read"
                f" ({why}), so this sync does not spare any."
            )
            return sys.maxsize, ""

    def _spend_request(self, cohort: str, is_new: bool) -> bool:
        """Take one of the jobs that are left of this month's; False, with a warning, if there is none.

        Raises:
            AirbyteTracedException: config_error, there is none for a new cohort; once for all of them, and
                the warnings name the others.
        """
        with self._lock:
            self._requests_left -= 1
            if self._requests_left >= 0:
                return True
            is_first, self._refused = is_new and not self._refused, is_new or self._refused
        resets = f"on {self._resets_on}" if self._resets_on else "at the start of the next month"
        LOGGER.warning(
            f"{self.name}: the members of the cohort {cohort!r} were not read, because Amplitude's limit"
            f" of cohort requests for this month is reached. It is reset {resets}; a sync after that"
            " reads them. Take ids out of `cohort_ids`, or sync less often."
        )
        if is_first:
            raise config_error(
                f"Amplitude's limit of cohort requests for this month is reached, and {self.name} has never"
                f" read the cohort {cohort!r}, or others that the log names. The limit is reset {resets}; a"
                " sync after that reads them. Take ids out of `cohort_ids`, or sync less often.",
                self.name,
            )
        return False


# -- dashboards.segmentations: The option `segmentations`: one slice per query --------------------


SEGMENTATION_DEFAULTS = {"measure": "uniques", "group_by": "", "interval": "daily"}
"""The fields that an element of the option may leave out."""

USER_PROPERTY = re.compile(
    "gp:.*|version|country|city|region|DMA|language|platform|os|device|device_type|start_version|paying"
)
"""Amplitude's own user properties, and those that a project sets, in the dashboards' spelling."""

VALUES_OF_EVENT = ("sums", "value_avg")
"""Measures that are computed from a property of the event."""

MAX_GROUPS_OF_SEGMENTATION = "1000"
"""The most groups that Amplitude returns; without the parameter `limit` it returns 100."""


@dataclass
class SegmentationRouter(ListPartitionRouter):
    """Turn each element of the option `segmentations` into a slice with a state of its own.

    The partition is the segmentation with its defaults, so that a changed segmentation is read from the start
    date on. `extra_fields` has the parameters of its requests; `DailyRetriever` adds the interval.

    `group_by` is a user property if it has the name of one, and otherwise a property of the event. A measure
    that is a sum or an average of a property takes it from the event, whatever its name.

    Raises:
        AirbyteTracedException: config_error, two segmentations have the same name.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices, in the order of the option."""
        segmentations = cast("list[dict[str, str]]", self.values)
        names = [segmentation["name"] for segmentation in segmentations]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise config_error(
                f"`segmentations` has the name {repeated!r} more than once: give each its own."
            )
        for given in segmentations:
            segmentation = {**SEGMENTATION_DEFAULTS, **given}
            group, measure = segmentation["group_by"], segmentation["measure"]
            event: dict[str, Any] = {"event_type": segmentation["event"]}
            of_event = measure in VALUES_OF_EVENT or not USER_PROPERTY.fullmatch(group)
            if group and of_event:
                event["group_by"] = [{"type": "event", "value": group}]
            parameters = {
                "e": json.dumps(event),
                "m": measure,
                "g": "" if of_event else group,
                # The manifest's budget also knows by this parameter that a query is grouped, and costs more.
                "limit": MAX_GROUPS_OF_SEGMENTATION if group else "",
            }
            yield StreamSlice(
                partition={"segmentation": segmentation}, cursor_slice={}, extra_fields=parameters
            )


# -- dashboards.series: The table of a dashboards response: series become records -----------------


MAX_GROUPS = 100
"""The most groups that a grouped query returns; Amplitude leaves out the smallest."""

MIDNIGHT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
"""A day as the dashboards label it: `2026-09-17` or `2026-09-17T00:00:00`."""


@dataclass
class SeriesExtractor(RecordExtractor):
    """Turn a dashboards response, `series[label][position]` and `xValues[position]`, into records.

    The parameter `values` of the stream decides the form of a record:

    - `statistics`: `{"date", "statistics": {label: figure}}`, with the label `all` if it is not grouped
    - `users` or `value`: `{"date", "segment": label, "users" or "value": figure}`
    - `bins`: `{"bin", "sessions"}` from the only series, whose positions are bins instead of days
    - any other name: `{"date", name: figure}` from the only series

    A figure is a finite number or null. A response without series gives no records. The log warns once if
    the response has as many groups as Amplitude returns at most.

    Raises:
        AirbyteTracedException: system_error, the response is not such a table.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest
    """

    values: str
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_groups: int = MAX_GROUPS

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self._warned = False

    def extract_records(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        """Yield the records of a response, in its order."""
        try:
            data = response.json()["data"]
            positions, series = data["xValues"], data["series"]
        except (ValueError, KeyError, TypeError, RecursionError):
            # Amplitude also sends errors with the status 200: quote the message.
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
                f"Amplitude returned {len(series)} groups for {self.name}, and it never returns more than"
                f" {self.max_groups}: smaller groups may be missing."
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
        """Return the label of each series, from `seriesLabels` or else `seriesMeta`; the total is `all`."""
        labels = data.get("seriesLabels") or data.get("seriesMeta") or ([0] if count == 1 else [])
        if not isinstance(labels, list):
            raise self._malformed("its labels are not a list")
        if len(labels) != count:
            raise self._malformed(f"it has {len(labels)} labels for {count} series")
        # A label is a name or, in some responses, [index, name]. The only series of an ungrouped query has
        # the label 0, or an object that describes the query.
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
        """Return the positions: days as `YYYY-MM-DD`, or bins as they are."""
        texts = [position if isinstance(position, str) else "" for position in positions]
        if self.values != "bins":
            texts = [day_of_label(text) for text in texts]
        if not all(texts):
            raise self._malformed("a position in data.xValues is not a day or a bin")
        if len(set(texts)) < len(texts):
            raise self._malformed("a position in data.xValues occurs more than once")
        return texts

    def _figures(self, values: Any, count: int) -> list[float | None]:
        """Return the figures of one series, of which there must be one for each position."""
        if not isinstance(values, list):
            raise self._malformed("a series is not a list")
        if len(values) != count:
            raise self._malformed(f"a series has {len(values)} values for {count} days or bins")
        return [self._figure(value) for value in values]

    def _figure(self, value: Any) -> float | None:
        """Return a figure: a finite number, also if the response has it as text, or null."""
        try:
            figure = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            figure = value
        if isinstance(figure, bool) or not (value is None or isinstance(figure, int | float)):
            raise self._malformed("a value in data.series is not a number")
        if isinstance(figure, float) and not math.isfinite(figure):
            raise self._malformed("a value in data.series is not a finite number")
        return figure  # type: ignore[no-any-return]

    def _malformed(self, why: str) -> AirbyteTracedException:
        return malformed(self.name, "table of days", why)


def day_of_label(text: str) -> str:
    """Return the day of a label such as `2026-09-17T00:00:00`; an empty string if it is not a day."""
    match = MIDNIGHT.fullmatch(text)
    try:
        return str(date.fromisoformat(match[1])) if match else ""
    except ValueError:
        return ""


# -- dashboards.states: Saved states of daily streams ---------------------------------------------


@dataclass
class DailyStateMigration(StateMigration):
    """Turn the saved state of a daily stream into days of the form `YYYY-MM-DD`, none later than today.

    It reads days and times in the forms that versions of this connector and of others have saved, and the
    CDK's date ranges; a state without a day becomes an empty state. A state of a stream with partitions has a
    cursor for each of them. Any other state is kept under the key `unreadable`, for which `DailyRetriever`
    raises.

    Today is the project's (`project_timezone`): a day that has not begun there cannot have been read.
    Within a sync, `DailyRetriever` and the `record_filter` of the manifest keep the state to that.

    `measure` and `option` are the stream's parameters in the manifest. The state of a stream with a `measure`
    has `group_by_country: false` while the stream is not grouped. The log warns of a switch, because grouped
    and ungrouped days do not add up. A stream with an `option` has partitions.
    """

    config: Mapping[str, Any]
    name: str = ""
    measure: str | None = None
    option: str = ""
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Return whether the state has another form, a day that has not begun, or another grouping."""
        return stream_state != self._migrated(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state as this version saves it."""
        migrated = self._migrated(stream_state)
        grouped = migrated.get("group_by_country", True)
        if stream_state.get("date") and grouped != stream_state.get("group_by_country", True):
            LOGGER.warning(
                f"`active_users_group_by_country` is now {'on' if grouped else 'off'}. Earlier days of"
                f" {self.name} may be grouped differently, and sums over both kinds count users twice:"
                f" clear the stream {self.name} to read all its days again."
            )
        return migrated

    def _migrated(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        try:
            state = self._days(stream_state)
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {"unreadable": dict(stream_state)}
            # A per-partition cursor drops unknown keys, except under `parent_state`.
            return {"states": [], "parent_state": kept} if self.option else kept
        if self.measure and not self.config.get("active_users_group_by_country", True):
            return {**state, "group_by_country": False}
        return state

    def _days(self, stream_state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state with its days, by its form: per partition, date ranges, or one day.

        Raises:
            ValueError, AttributeError, TypeError, KeyError: the state has another form.
        """
        if "states" in stream_state:
            # Drop the CDK's global `state`: a new partition would start from it instead of from the start
            # date.
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
        """Return the day of a saved date or time, or today if that is earlier.

        Raises:
            ValueError: the value does not begin with a day.
        """
        match = re.match(r"(\d{4})-?(\d\d)-?(\d\d)(?=[T ]|$)", str(value))
        if match is None:
            raise ValueError(f"{field} is not a day")
        return min(str(date(*map(int, match.groups()))), today_of(self.config))


# -- dashboards.windows: Windows of days: each is one request, and moves the state to its end -----


INTERVALS = {"": "", "daily": "1", "weekly": "7", "monthly": "30"}
"""The period covered by each figure, and the dashboards' word for it, which is their parameter `i`."""


@dataclass
class DailyRetriever(BudgetRetriever):
    """Read a window of days, and move the cursor to its end even if it had no records.

    The CDK's cursor follows records only: the whole history of a project without data would be requested at
    each sync. A window that fails does not move the cursor, so that the next sync reads it again.

    With the `interval` weekly or monthly (a segmentation has its own) a record is a bucket, under the day
    that Amplitude labels it with. A request covers whole buckets, and each bucket is emitted by one window of
    a sync; the last window also emits the bucket that is still running, which the next sync reads again. The
    parameter `i` of a request is in `extra_fields` of the slice.

    Three places keep the state from running ahead of the data: the `record_filter` of the manifest drops the
    days after a window's end, which Amplitude reports as zero; this class moves the cursor to today at most;
    and `DailyStateMigration` moves a saved day that has not begun back to today.
    """

    interval: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._raised = False
        cursor = self.stream_slicer
        self._cursor = (
            cursor if isinstance(cursor, ConcurrentCursor | ConcurrentPerPartitionCursor) else None
        )
        # Asked now: later, another worker may be adding a partition while the cursor lists them.
        state = self._cursor.state if self._cursor else {}
        # A per-partition cursor drops unknown keys, except under `parent_state`.
        self._readable = "unreadable" not in {**state, **(state.get("parent_state") or {})}
        # The Connector Builder shows requests in this form; nothing else calls it.
        self.log_formatter = lambda response: format_http_message(
            response, f"Stream '{self.name}' request", "A window of days", self.name
        )

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a window, then move the cursor to its end, or to today if that is earlier.

        Raises:
            UnreadableStateError: once, whatever the number of windows; none of them is read.
        """
        assert stream_slice is not None
        if not self._readable:
            self._raise_unreadable_state()
            return
        today = today_of(self.config)
        start, end = stream_slice["start_time"], stream_slice["end_time"]
        segmentation = stream_slice.partition.get("segmentation") or {}
        interval = segmentation.get("interval", self.interval)
        buckets = buckets_of(interval, start, end, today)
        requested = StreamSlice(
            partition=stream_slice.partition,
            cursor_slice={**stream_slice.cursor_slice, "start_time": buckets.requested_from},
            extra_fields={**stream_slice.extra_fields, "i": INTERVALS[interval]},
        )
        for record in super().read_records(records_schema, requested):
            if not isinstance(record, Record):
                yield record
            elif buckets.first <= record.get("date", buckets.first) <= buckets.last:
                # Leave out the slice, so that a record with a future day (a planned deletion) does not move
                # the cursor. A per-partition cursor needs the slice.
                known = stream_slice if stream_slice.partition else None
                yield Record(record.data, self.name, known)
        self._observe_end(stream_slice, min(end, today))

    def _raise_unreadable_state(self) -> None:
        """Raise the error for the first window only: a long history has hundreds of windows."""
        if not self._raised:
            self._raised = True
            raise UnreadableStateError(self.name)

    def _observe_end(self, stream_slice: StreamSlice, end: str) -> None:
        """Have the cursor see a record of the window's last day, which moves the state there."""
        if self._cursor:
            data = {self._cursor.cursor_field.cursor_field_key: end}
            self._cursor.observe(Record(data, self.name, stream_slice))


class Buckets(NamedTuple):
    """The first day to request, and the first and last label to emit; days as `YYYY-MM-DD`."""

    requested_from: str
    first: str
    last: str


def buckets_of(interval: str, start: str, end: str, today: str) -> Buckets:
    """Extend a window of days to whole weeks or months, so that no bucket is in two consecutive windows.

    A bucket is emitted by the window that contains its last day: the first window whose request can cover the
    whole bucket. A window that reaches today also emits the bucket that is still running.

    A month begins, and is labelled, with its first day. No response says on which day a project's weeks
    begin: a label may be any day, and its week is taken to be that day and the six days after it.
    """
    if interval in ("", "daily"):
        return Buckets(start, start, end)
    first, following = date.fromisoformat(start), date.fromisoformat(end) + DAY
    if interval == "monthly":
        first, following = first.replace(day=1), following.replace(day=1)
        requested_from = first
    else:
        first, following = first - 6 * DAY, following - 6 * DAY
        # One more week, in case Amplitude begins the first bucket with the request instead of the week.
        requested_from = first - 7 * DAY
    last = end if end >= today else str(following - DAY)
    return Buckets(max(str(requested_from), BEGINNING_OF_DATA[:10]), str(first), last)


# -- export.windows: Windows of hours, UTC --------------------------------------------------------


HOUR_FORMAT = "%Y%m%dT%H"
BEGINNING_OF_TIME = datetime(1, 1, 1, tzinfo=timezone.utc)
NO_END = "9999"
"""A bound that no moment reaches."""
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

    def cuts(self, moment: str) -> bool:
        """Whether a moment (RFC 3339, UTC, six decimals) falls inside the window and so splits it."""
        start, end = (bound.isoformat(timespec="microseconds") for bound in self)
        return start < moment < end

    def as_slice(self) -> StreamSlice:
        """Return the form of a request: first and last hour, both included."""
        bounds = {"start_time": format_hour(self.start), "end_time": format_hour(self.end - HOUR)}
        return StreamSlice(partition={}, cursor_slice=bounds)

    def __str__(self) -> str:
        """The first and the last hour."""
        return f"{format_hour(self.start)} to {format_hour(self.end - HOUR)}"


def parse_hour(text: str) -> datetime:
    """Turn a moment in any form that a state has had into its hour, UTC.

    Raises:
        ValueError: the text is not a moment.
    """
    if re.fullmatch(r"\d{8}T\d{2}", text):
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=timezone.utc)
    return floor_hour(datetime.strptime(rfc3339(text), "%Y-%m-%dT%H:%M:%S.%f%z"))


def format_hour(hour: datetime) -> str:
    """Write an hour as the Export API and the state have it: `20240131T05`."""
    return f"{hour:{HOUR_FORMAT}}"


def floor_hour(moment: datetime) -> datetime:
    """Return the hour that a moment lies in, UTC."""
    return moment.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)


def merge(windows: Iterable[Window]) -> list[Window]:
    """Return the same hours in as few windows as possible, oldest first."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, end))
        elif start < end:
            merged.append(Window(start, end))
    return merged


def subtract(windows: Iterable[Window], others: Iterable[Window]) -> list[Window]:
    """Return the hours of `windows` that are in none of `others`, oldest first."""
    rest = merge(windows)
    for start, end in others:
        parts = [
            (Window(w.start, min(w.end, start)), Window(max(w.start, end), w.end)) for w in rest
        ]
        rest = [part for pair in parts for part in pair if part.start < part.end]
    return rest


def complete_until(now: datetime) -> datetime:
    """Return the end of the newest hour that can be exported in full."""
    return floor_hour(now - EXPORT_DELAY) + HOUR


def end_of_uploads(config: Mapping[str, Any]) -> str:
    """Return the end date, before which events must be uploaded, as RFC 3339; `NO_END` without one."""
    return str(rfc3339(config.get("end_date") or NO_END))


# -- export.errors: What keeps a window from being read: the errors of the export, and the message that names its hours


class TooLargeError(Exception):
    """Amplitude or this machine cannot export a window at once; a smaller one may work."""


class UnansweredWindowError(Exception):
    """A server or gateway has failed at each attempt, with its cause; a smaller window is tried once."""


class NoRoomError(TooLargeError):
    """The archive does not fit on this machine's disk."""


class RestartError(Exception):
    """A download found no room on the disk and must start again, when no other archive is there."""


class DamagedArchiveError(Exception):
    """A response that is an archive and is not whole; a retry may bring a whole one."""


class NotAnArchiveError(Exception):
    """A response of 200 that is not an archive: its text says why, where Amplitude gave one."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        """Say what the response was, and how long a limit that it names needs; 0 if it names none."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class BadLineError(Exception):
    """A line of a member that is not an event."""


class NotJsonError(BadLineError):
    """A line that is not JSON, at least not to its end."""


Failures = list[tuple[Window, Exception]]
"""Windows that were not read, each with its cause."""


def unread_hours(name: str, failures: Failures, stopped: bool) -> AirbyteTracedException:
    """Return the error that names the hours that were not read, and the cause of the first."""
    hours = ", ".join(str(window) for window, _ in failures[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    cause = failures[0][1]
    failure_type, reason = explain(cause)
    end = " No further requests were made." if stopped else ""
    return AirbyteTracedException(
        message=f"These hours (UTC) of {name} were not read, and the next sync reads them: {hours}{more}."
        f" {reason.rstrip('.')}.{end}",
        internal_message=f"{len(failures)} windows failed, the first: {type(cause).__name__}",
        failure_type=failure_type,
    )


def explain(cause: Exception) -> tuple[FailureType, str]:
    """Return who can help, and a sentence on what happened and what to do."""
    if isinstance(cause, UnansweredWindowError) and cause.__cause__:
        cause = cast("AirbyteTracedException", cause.__cause__)
    if isinstance(cause, AirbyteTracedException):
        return cause.failure_type, cause.message or ""
    rules: Sequence[tuple[type[Exception], FailureType, str]] = (
        (
            NotAnArchiveError,
            FailureType.transient_error,
            "Amplitude's response is not the archive of these hours ({})",
        ),
        (
            BadLineError,
            FailureType.system_error,
            "{}: set `on_bad_record` to `skip` to leave out such lines",
        ),
        (
            DamagedArchiveError,
            FailureType.transient_error,
            "The archive is not whole ({}); if the error persists, use Amplitude's S3 export",
        ),
        (NoRoomError, FailureType.config_error, "The export of this hour does not fit on disk: {}"),
        (
            TooLargeError,
            FailureType.transient_error,
            "Amplitude does not export even a single hour ({}); if the error persists, use Amplitude's"
            " S3 export",
        ),
    )
    return next(
        (failure_type, sentence.format(cause))
        for kind, failure_type, sentence in rules
        if isinstance(cause, kind)
    )


# -- export.inflate: Inflate gzip, by zlib or, where the extra `fast` is installed, by isal: the same bytes, faster


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

GZIP_WBITS = 31
"""zlib's number for a stream with the header and trailer of gzip."""
GZIP_BEGINNING = b"\x1f\x8b"
BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first object of a plain file: a byte order mark and blanks."""


class NotEventsError(Exception):
    """Bytes that are neither gzip nor lines of JSON objects: another compression, or an error of a server."""


def crc32_of_both(first: int, second: int, second_length: int) -> int:
    """Return the checksum of two pieces as one, from the checksum of each and the length of the second.

    CRC-32 is linear: a beginning and an end each change the checksum of as many zeros in their own way.
    """
    shifted, zeros = first, 0
    for start in range(0, second_length, CHUNK_BYTES):
        block = bytes(min(CHUNK_BYTES, second_length - start))
        shifted, zeros = crc32(block, shifted), crc32(block, zeros)
    return int(shifted ^ zeros ^ second)


def inflate(read: Callable[[int], bytes], decompressor: Callable[..., Any]) -> Iterator[bytes]:
    """Yield the inflated bytes of gzip streams that follow each other, or plain bytes as they are.

    Memory: two chunks.

    Raises:
        InflateError, zlib.error: the bytes are damaged.
        EOFError: the last stream is cut short.
        NotEventsError: the bytes are of another kind.
    """
    data = read(CHUNK_BYTES)
    if data[:2] != GZIP_BEGINNING:
        if data.lstrip(BEFORE_JSON)[:1] not in (b"", b"{"):
            raise NotEventsError
        while data:
            yield data
            data = read(CHUNK_BYTES)
        return
    stream, chunk = decompressor(wbits=GZIP_WBITS), b""
    while True:
        # A quarter, since gzip makes at least four of a byte: then one call inflates what one has read.
        data = data or read(CHUNK_BYTES // 4)
        if not (data or chunk):
            break
        if stream.eof:
            # Zeros may follow a stream, and another stream may follow them.
            data = data.lstrip(b"\0")
            if not data:
                chunk = b""
                continue
            stream = decompressor(wbits=GZIP_WBITS)
        # After the last input, b"" brings out what the inflater still holds, until it returns nothing.
        chunk = stream.decompress(data, CHUNK_BYTES)
        if chunk:
            yield chunk
        data = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise EOFError("a gzip stream is cut short")


# -- export.member: A member: a file of events, its bytes in blocks of lines, and the hours that its name tells


BLOCK_LINES = 1_000
"""Lines of a block at most: a state can only be emitted between two blocks, and short lines are many."""
MEMBER_NAME = re.compile(r"_(\d{4}-\d{2}-\d{2})(?:_(\d{1,2}))?(?:#\d+)?\.json(?:\.gz)?$", re.ASCII)


class Block(NamedTuple):
    """Whole lines of a member, as one piece.

    `data` is None for a line that is too long. `end` and `crc32` are the length and the checksum of the
    member's bytes up to the end of the block.
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


class Member(ABC):
    """A file of newline-separated JSON, known by the length and checksum of its inflated bytes.

    `window` is an hour; a day for the daily files of before 2014-11-12; None for a name of neither form.
    Memory: a chunk and a line.
    """

    def __init__(self, name: str, max_line_bytes: int) -> None:
        """Take a name, which is only a label and never used as a path."""
        self.name = name
        self.window = window_of_name(name)
        self.length = self.crc32 = 0
        self._max_line_bytes = max_line_bytes

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """Yield the inflated bytes, from the first one, as often as it is called."""

    def measure(self) -> None:
        """Read the member to its end, and note its length and checksum."""
        self.length = self.crc32 = 0
        for chunk in self.chunks():
            self.length += len(chunk)
            self.crc32 = crc32(chunk, self.crc32)

    def blocks(self) -> Iterator[Block]:
        """Yield the lines in blocks of about a chunk, and of `BLOCK_LINES` at most."""
        parts: list[bytes] = []
        held = end = crc = 0
        dropping = False
        for chunk in self.chunks():
            if dropping:  # the rest of a line that is too long
                rest = chunk.find(b"\n") + 1
                dropped = chunk[:rest] if rest else chunk
                end, crc = end + len(dropped), crc32(dropped, crc)
                if not rest:
                    continue
                yield Block(None, end, crc)
                chunk, dropping = chunk[rest:], False
            cut = chunk.rfind(b"\n") + 1
            if cut:
                for data in pieces_of_lines(b"".join([*parts, chunk[:cut]])):
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
        elif data := b"".join(parts):  # a last line without an end
            yield Block(data, end + len(data), crc32(data, crc))

    def prefix_crc32s(self, lengths: Iterable[int]) -> dict[int, int]:
        """Return the checksum of the first bytes for each of `lengths`, none over the member's own."""
        crcs: dict[int, int] = {}
        position = crc = 0
        chunks = self.chunks()
        chunk = b""
        for length in sorted(set(lengths)):
            while length > position + len(chunk):
                crc, position = crc32(chunk, crc), position + len(chunk)
                chunk = next(chunks)
            crc = crc32(chunk[: length - position], crc)
            chunk, position = chunk[length - position :], length
            crcs[length] = crc
        return crcs


def pieces_of_lines(data: bytes) -> list[bytes]:
    """Cut whole lines into pieces of at most `BLOCK_LINES`, nearly always one."""
    if data.count(b"\n") <= BLOCK_LINES:
        return [data]
    lines = re.findall(rb"[^\n]*\n", data)
    return [b"".join(lines[at : at + BLOCK_LINES]) for at in range(0, len(lines), BLOCK_LINES)]


def window_of_name(name: str) -> Window | None:
    """Return the hour, or the day, that a member's name ends with; None if it ends with neither.

    `481920/481920_2024-01-01_5#0.json.gz` is the hour from 5 am, UTC; `481920_2014-11-01.json` is that day.
    """
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


# -- export.archive: A verified archive on disk, and its members ----------------------------------


DAMAGED_MEMBER_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    InflateError,
    EOFError,
    NotEventsError,
    NotImplementedError,  # an encryption or compression that zipfile does not know
    UnicodeDecodeError,  # a name
    struct.error,
)
"""What zipfile and the inflater raise at bytes that are not what they should be."""
DAMAGED_DIRECTORY_ERRORS = (
    *DAMAGED_MEMBER_ERRORS,
    ValueError,  # an offset before the beginning of the file
    OverflowError,
    OSError,  # the same
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions of Amplitude's archives; bz2 and lzma would report damage as other errors."""
ENCRYPTED = 0x1
EMPTY_DEFLATED_BYTES = 2
DESCRIPTOR_BYTES = 24
"""What may lie between two members: a data descriptor (PKZIP application note, 4.3.9)."""
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
"""A member; the end of an archive that has none; the same in zip64 form."""


class ArchiveMember(Member):
    """A member of an archive on disk."""

    def __init__(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_line_bytes: int
    ) -> None:
        """Measure the member, and so verify it.

        Raises:
            DamagedArchiveError: it is not whole.
        """
        super().__init__(info.filename, max_line_bytes)
        self._archive, self._info = archive, info
        self._decompressor: Any = decompressobj
        try:
            self.measure()
        except DamagedArchiveError:
            # isal refuses a few headers that gzip allows.
            self._decompressor = zlib.decompressobj
            self.measure()

    def chunks(self) -> Iterator[bytes]:
        """Yield the inflated bytes.

        Raises:
            DamagedArchiveError: they are damaged or cut short.
            AirbyteTracedException: config_error, the folder for temporary files cannot be read.
        """
        try:
            with self._archive.open(self._info) as packed:
                yield from inflate(packed.read, self._decompressor)
        except DAMAGED_MEMBER_ERRORS as error:
            raise DamagedArchiveError(f"its member {self.name!r} is damaged") from error
        except OSError as error:
            raise unusable_folder("Cannot read from", error) from error


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
        try:
            self._zip = zipfile.ZipFile(file)
        except DAMAGED_DIRECTORY_ERRORS as error:
            raise DamagedArchiveError("its directory cannot be read") from error
        self._verify_directory()
        infos = [info for info in self._zip.infolist() if not is_empty(info)]
        # Empty members may be many, and none is looked up by its name.
        self._zip.filelist.clear()
        self._zip.NameToInfo.clear()
        self.members = [ArchiveMember(self._zip, info, max_line_bytes) for info in infos]

    def close(self) -> None:
        """Close the file, which frees its disk space."""
        self._zip.close()
        self._file.close()

    def _verify_directory(self) -> None:
        """Check that every byte before the directory belongs to a member that it lists.

        A damaged directory may leave members out.
        """
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if not 0 <= info.header_offset - end <= DESCRIPTOR_BYTES:
                raise DamagedArchiveError("its directory does not fit its members")
            if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
                raise DamagedArchiveError(f"its member {info.filename!r} is packed in another way")
            self._file.seek(info.header_offset + 26)
            lengths = self._file.read(4).ljust(4, b"\0")
            name_bytes, extra_bytes = struct.unpack("<HH", lengths)
            end = info.header_offset + 30 + name_bytes + extra_bytes + info.compress_size
        if not 0 <= self._zip.start_dir - end <= DESCRIPTOR_BYTES:
            raise DamagedArchiveError("its directory does not fit its members")


def is_empty(info: zipfile.ZipInfo) -> bool:
    """Whether a member has no bytes.

    Raises:
        DamagedArchiveError: its size and its packed bytes contradict each other; zipfile would read nothing.
    """
    if info.file_size:
        return False
    if info.CRC or info.compress_size > EMPTY_DEFLATED_BYTES:
        raise DamagedArchiveError(f"its directory has no size for the member {info.filename!r}")
    return True


def count_members(file: IO[bytes]) -> int:
    """Return the number of members that a zip's end record states, before any of them is listed.

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
"""Bytes of lines that may wait for the destination, beside the block that is being read."""
LOOK_SECONDS = 1
"""How often a thread that waits looks whether the process still runs."""


class NoReaderError(Exception):
    """The process ends, and nobody takes the records that wait."""


class Backlog:
    """A limit on the records that wait in the CDK's queue, which counts records and not bytes.

    The CDK does not report when it has taken a record out of its queue, but drops the record once it has made
    a message of it. So the last record of each block is watched by a weak reference: when the record is gone,
    the block has been taken. A reader may keep the messages.
    Memory: `BACKLOG_BYTES` of lines and one block, as the records that they become, however long the
    destination pauses.
    """

    def __init__(self) -> None:
        """Start with no records."""
        self._changed = threading.Condition()
        self._blocks: dict[int, tuple[weakref.ref[object], int]] = {}
        self._size = self._last_block_size = 0

    def add(self, record: object, size: int) -> None:
        """Wait until there is room for a block of `size` bytes, whose last record this is.

        The main thread does not wait: if it iterates over the stream itself, no other thread takes records.

        Raises:
            NoReaderError: the main thread, which writes the messages, has ended.
        """
        block = weakref.ref(record, self._remove)
        writer = threading.main_thread()
        with self._changed:
            while not self._has_room() and threading.current_thread() is not writer:
                if not writer.is_alive():
                    raise NoReaderError
                self._changed.wait(LOOK_SECONDS)
            self._blocks[id(block)] = block, size
            self._size, self._last_block_size = self._size + size, size

    def _has_room(self) -> bool:
        # The reader may still hold the last block while it asks for the next.
        return self._size - self._last_block_size < BACKLOG_BYTES

    def _remove(self, block: weakref.ref[object]) -> None:
        with self._changed:
            self._size -= self._blocks.pop(id(block))[1]
            self._last_block_size = min(self._last_block_size, self._size)
            self._changed.notify()


# -- export.ledger: The ledger: which hours and files have been emitted ---------------------------


NO_HOUR = " other"
"""Suffix of a key for files whose names contain no hour."""

LEDGER_MEMBERS = 20_000
"""Files that a state remembers at most, about 25 bytes each."""


class Emitted(NamedTuple):
    """The first `length` bytes of a member, whose checksum is `crc32`, have been emitted.

    If an end date falls within the member's hours, only the events uploaded before it were emitted.
    """

    length: int
    crc32: int
    uploaded_before: str = NO_END


Entries = list[tuple[str, Emitted]]
"""Entries of the ledger, each with its key."""


class ExportLedger:
    """Which hours of the export have been emitted, and what of the members of its latest hours.

    It is kept in the stream's state under `export`:

        first_hour: the hour at which the first sync began
        windows_read: windows emitted in full, [first hour, hour after the last]
        members_from: the hour from which `members` is complete
        lookback_hours: the look-back of that sync
        members: by hour, or by day for daily files, the [length, crc32] of what was emitted of
            each member, and the end date that cut it, where one did: of the look-back, and of
            hours that were not read to their end

    All hours are UTC. Each sync requests the look-back again, and what is in the ledger is not
    emitted again. A state without `export` is another connector's: its look-back is read again,
    once. Memory: that of the state; at most `LEDGER_MEMBERS` members, and one.

    Several threads may call `unread`, but only one at a time may change the ledger.
    """

    def __init__(
        self, state: Mapping[str, Any], hour: datetime, start: datetime, end: str, lookback: int
    ) -> None:
        """Continue from `state`, or from `hour` if the state is empty.

        Nothing before `start` is read, and no event uploaded from `end` on; `lookback` is in hours.
        """
        self.start = start
        self._lookback = lookback
        self._first_hour = parse_hour(state["first_hour"]) if state else start
        windows = [Window(parse_hour(a), parse_hour(b)) for a, b in state.get("windows_read", [])]
        self._windows_read = merge(windows if state else [Window(start, hour)])
        self.members = {
            key: [Emitted(int(length), int(crc), *until) for length, crc, *until in entries]
            for key, entries in state.get("members", {}).items()
        }
        self.size = sum(map(len, self.members.values()))
        self._members_from = parse_hour(state["members_from"]) if state else self._lookback_start()
        if start < self._first_hour:
            LOGGER.warning(
                f"The start date was moved from {format_hour(self._first_hour)} back to"
                f" {format_hour(start)}, but a stream that has a state does not read the hours"
                " between: clear the stream events, or read them with a second connection that"
                " ends where this one starts."
            )
        self._raise_lookback(int(state.get("lookback_hours", lookback)))
        # If the end date has moved, the hour that it cut must be read again.
        cut = [
            window_of_key(key)
            for key, entries in self.members.items()
            if any(entry.uploaded_before < end for entry in entries)
        ]
        # What this sync cannot read stays read: a start date may be moved there and back.
        begin = max(start, self._lookback_start(), self._members_from)
        again = [
            Window(begin, self._newest_end()),
            *(Window(max(start, w.start), w.end) for w in cut),
        ]
        self._windows_read = subtract(self._windows_read, merge(again))

    def _raise_lookback(self, before: int) -> None:
        """Read a longer look-back once without entries, since those of its older hours were dropped."""
        begin = max(self.start, self._first_hour, self._lookback_start())
        if self._lookback > before and begin < self._members_from:
            LOGGER.warning(
                f"`lookback_hours` was raised from {before} to {self._lookback}: the hours (UTC) from"
                f" {format_hour(begin)} to before {format_hour(self._members_from)} are read again once, and"
                " their events are emitted again, since the state remembers the files of the shorter"
                " look-back alone."
            )
            self._members_from = begin

    @property
    def end(self) -> datetime:
        """The hour before which everything has been emitted."""
        end = max(self.start, self._first_hour)
        for window in self._windows_read:
            if window.start <= end:
                end = max(end, window.end)
        return end

    def unread(self, window: Window, hours: int) -> list[Window]:
        """Return what is still to be read of a window, in windows of at most `hours` hours."""
        return [
            piece for part in subtract([window], self._windows_read) for piece in part.pieces(hours)
        ]

    def note(self, key: str, entries: Entries, new: Emitted) -> None:
        """Replace the entries of a member by what has been emitted of it now."""
        kept = [
            e
            for _, e in entries
            if e.length > new.length or e.uploaded_before > new.uploaded_before
        ]
        if not any(
            e.length >= new.length and e.uploaded_before >= new.uploaded_before for e in kept
        ):
            kept.append(new)
        self.forget(entries)
        for entry in kept:
            self.add(key, entry)
        entries[:] = [(key, entry) for entry in kept]

    def add(self, key: str, entry: Emitted) -> None:
        """Note what has been emitted of a member."""
        members = self.members.setdefault(key, [])
        # Keep one entry more than the limit, so that `_prune` sees the overflow and drops the hour.
        if len(members) <= LEDGER_MEMBERS:
            members.append(entry)
            self.size += 1
        if self.size > LEDGER_MEMBERS:
            self._prune(kept=key)

    def forget(self, entries: Entries) -> None:
        """Drop entries of a member that are no longer true."""
        for key, entry in entries:
            if entry in self.members.get(key, ()):
                self.members[key].remove(entry)
                self.size -= 1

    def note_window(self, window: Window) -> None:
        """Note a window whose last event has been emitted."""
        self._windows_read = merge([*self._windows_read, window])
        self._prune()

    def _newest_end(self) -> datetime:
        """Return the end of the newest hour that has been read."""
        return max((window.end for window in self._windows_read), default=self.start)

    def _lookback_start(self) -> datetime:
        """Return the hour from which a sync reads again."""
        return self._newest_end() - self._lookback * HOUR

    def _prune(self, kept: str = "") -> None:
        """Drop the members of hours that no sync requests again, and the oldest where there are too many.

        Those under the key `kept`, which are being read, stay.
        """
        self._members_from = max(self._members_from, self._lookback_start())
        never_read = Window(BEGINNING_OF_TIME, self._first_hour)
        for key in sorted(self.members.keys() - {kept}):
            window = window_of_key(key)
            unread = bool(subtract([window], [*self._windows_read, never_read]))
            cut = any(entry.uploaded_before < NO_END for entry in self.members[key])
            needed = unread or cut or window.end > self._members_from
            if needed and self.size <= LEDGER_MEMBERS:
                continue
            if unread or cut:
                LOGGER.warning(
                    f"The events of {key} that have been emitted are emitted again when that hour can be read"
                    f" to its end: the state remembers {LEDGER_MEMBERS:,} files, and the export has more."
                )
            elif needed:
                LOGGER.warning(
                    f"The look-back of events now starts after {key}: the export has too many"
                    f" files for a state that remembers {LEDGER_MEMBERS:,}."
                )
                self._members_from = window.end
            self.size -= len(self.members.pop(key))

    @property
    def state(self) -> dict[str, Any]:
        """The ledger as a state has it; a new object each time."""
        return {
            "first_hour": format_hour(self._first_hour),
            "windows_read": [
                [format_hour(w.start), format_hour(w.end)] for w in self._windows_read
            ],
            "members_from": format_hour(self._members_from),
            "lookback_hours": self._lookback,
            "members": {
                key: [list(e if e.uploaded_before != NO_END else e[:2]) for e in entries]
                for key, entries in sorted(self.members.items())
                if entries
            },
        }


def window_of_key(key: str) -> Window:
    """Return the hours of a key of the ledger: an hour (`20240131T05`), or a day (`20141101`)."""
    if len(key) == len("20141101"):
        start = parse_hour(f"{key}T00")
        return Window(start, start + 24 * HOUR)
    start = parse_hour(key.removesuffix(NO_HOUR))
    return Window(start, start + HOUR)


# -- export.cursor: The cursor of the export: one thread emits at a time, and each state follows the events that it covers


class ExportCursor:
    """Put the ledger into the state of the CDK's cursor, and emit a state between any two events.

    Threads download in parallel and emit one at a time: a thread has the turn while it emits a window, and
    from the end of a slice until the CDK has emitted that slice's state, because otherwise events of another
    slice would precede a state that does not include them. Only the thread that has the turn may change the
    ledger.

    The CDK emits a state in `close_partition`, after `read_records` has ended, and has no hook after that. So
    `close_partition` of its cursor is replaced here by one that ends the turn. `state` is the cursor's own
    mapping, so what is put into it is part of every state message (unit_tests/export/test_cursor.py).
    """

    def __init__(self, cursor: ConcurrentCursor, name: str) -> None:
        """Take over the cursor of the stream `name`."""
        self._cursor, self._name = cursor, name
        self._field = cursor.cursor_field.cursor_field_key
        self.state = cursor.state
        self._turn = threading.Lock()
        self._closing: int | None = None
        self._close_partition = cursor.close_partition
        cursor.close_partition = self._close_slice  # type: ignore[method-assign]

    @property
    def value(self) -> str:
        """The hour that the state names: a start date or, in a state of another connector, a moment."""
        return str(self.state[self._field])

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the turn: emit events and states, and change the ledger."""
        with self._turn:
            yield

    def save(self, ledger: ExportLedger) -> None:
        """Put the ledger into the state, which another thread may emit at any time."""
        self._end = ledger.end
        self.state["export"] = (
            ledger.state
        )  # one assignment: the other thread sees all or nothing of it

    def emit_state(self, ledger: ExportLedger) -> None:
        """Emit a state that covers all events so far.

        State messages go through one lock, that of the cursor's `close_partition`. It needs a slice, and a
        slice of the first hour changes nothing when it is closed.
        """
        self.save(ledger)
        origin = Window(ledger.start, ledger.start + HOUR).as_slice()
        self._observe(origin)
        self._close_partition(cast(Partition, SimpleNamespace(to_slice=lambda: origin)))

    def finish(self, stream_slice: StreamSlice) -> None:
        """Note that a slice has been read, and keep the turn until the CDK has emitted its state."""
        self._turn.acquire()
        self._closing = threading.get_ident()
        self._observe(stream_slice)

    def end_turn(self) -> None:
        """End the turn that this thread has kept since the end of a slice."""
        if self._closing == threading.get_ident():
            self._closing = None
            self._turn.release()

    def _close_slice(self, partition: Partition) -> None:
        try:
            self._close_partition(partition)
        finally:
            self.end_turn()

    def _observe(self, stream_slice: StreamSlice) -> None:
        """Tell the CDK's cursor the hour before which all events have been emitted."""
        data: dict[str, Any] = {self._field: format_hour(self._end)}
        self._cursor.observe(Record(data, self._name, associated_slice=stream_slice))


# -- export.error_handler: Responses of the Export API that are not an archive --------------------


@dataclass
class ExportErrorHandler(AmplitudeErrorHandler):
    """Turn an error response of the Export API into what to do about it.

    - 404 with Amplitude's "Raw data files were not found", wherever in its body: a window without events
    - 404 with another message of Amplitude: system_error; without a message: retried, as 5xx is
    - 413, a second 504, and a 400 that does not mention the keys, since Amplitude documents 400 as "over
      4 GB" and the connector writes the dates itself: TooLargeError

    See: https://amplitude.com/docs/apis/analytics/export#status-codes
    """

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            TooLargeError, UnansweredWindowError: a smaller window may work.
            AirbyteTracedException: a retry cannot help.
        """
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return super().interpret_response(response)
        if response.ok:  # before anything reads the body, which is streamed
            return self.accept()
        status = response.status_code
        if status == 404:
            if re.search("raw data.*not found", response.text, re.IGNORECASE):
                self.accept()
                reason = "The export has no events in this window (404)."
                return ErrorResolution(ResponseAction.IGNORE, None, reason)
            if not error_message(response):
                return self.retry(response)
        elif status == 413 or (status == 400 and not mentions_keys(error_message(response))):
            raise self.give_up(TooLargeError(f"{status}{quotation(response)}"))
        elif status == 504 and self.attempts:
            raise self.give_up(TooLargeError(f"504, twice{quotation(response)}"))
        try:
            return super().interpret_response(response)
        except AirbyteTracedException as error:
            if status >= 500:
                raise UnansweredWindowError from error
            raise


def not_an_archive(response: requests.Response, beginning: bytes) -> NotAnArchiveError:
    """Return the error for a response of 200 whose body, which begins like this, is not an archive."""
    try:
        body = json.loads(beginning)
        message = body if isinstance(body, str) else message_in(body)
    except (ValueError, RecursionError):
        message = ""
    if not QUOTABLE.fullmatch(message):
        message = ""
    kind = "empty" if not beginning else "a page" if beginning.lstrip()[:1] == b"<" else "not a zip"
    status = response.status_code
    return NotAnArchiveError(
        f"{status}: {message}" if message else f"{status}, but its body is {kind}",
        rate_limit(message)[0],
    )


# -- export.json: A line of JSON, exactly: integers of any length, and repairs of what cannot be written


REPLACED_SURROGATES = "unpaired surrogates were replaced by U+FFFD"
CONVERTED_NUMBERS = "out-of-range numbers were converted to strings"
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

# A surrogate pair of two times three bytes, as Java writes it; in group 1 a surrogate without its other half.
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|([\ud800-\udfff])")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
        escaped = _ESCAPE.sub(partial(_replace_escape, repairs), line.removeprefix(BYTE_ORDER_MARK))
        text = escaped.decode("utf-8", "surrogatepass")
        return json.loads(
            _SURROGATES.sub(partial(_join_surrogates, repairs), text),
            parse_constant=_refuse,
            parse_float=partial(_parse_number, repairs, float),
            parse_int=partial(_parse_number, repairs, int),
            object_pairs_hook=_keep_all_keys,
        )
    except ValueError as error:
        raise NotJsonError("is not a JSON object") from error


def _replace_escape(repairs: Counter[str], escape: re.Match[bytes]) -> bytes:
    """Return an escaped character, or U+FFFD for a surrogate without its other half."""
    if escape[1] is None:
        return escape[0]
    repairs[REPLACED_SURROGATES] += 1
    return rb"\ufffd"


def _join_surrogates(repairs: Counter[str], surrogates: re.Match[str]) -> str:
    """Return the character of a pair, or U+FFFD for a surrogate without its other half."""
    if surrogates[1] is None:
        return surrogates[0].encode("utf-16", "surrogatepass").decode("utf-16")
    repairs[REPLACED_SURROGATES] += 1
    return "\ufffd"


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
    repairs[CONVERTED_NUMBERS] += 1
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
EVENT_FIELDS = frozenset(
    (
        "$insert_id",
        "amplitude_id",
        "client_event_time",
        "device_id",
        "event_id",
        "event_properties",
        "event_time",
        "event_type",
        "server_upload_time",
        "session_id",
        "user_id",
        "user_properties",
    )
)
"""Fields of which every event has some, and which nothing else in an archive has."""


def parse_event(line: bytes, exact: bool, repairs: Counter[str]) -> dict[str, Any] | None:
    """Turn a line into an event, its times as RFC 3339; None for a blank line.

    `exact` and `repairs` are those of `parse_json`.

    Raises:
        BadLineError: the line is not a JSON object, has none of an event's fields, or is nested too deeply.
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
    if "uuid" not in event and EVENT_FIELDS.isdisjoint(event):
        raise BadLineError("has none of the fields of an event")
    if type(event.get("uuid")) is not str:
        repairs[
            "events do not have a `uuid`, without which a destination cannot tell them apart"
        ] += 1
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


def first_bytes(chunks: Iterator[bytes], size: int) -> bytes:
    """Return the next chunks, until there are `size` bytes."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= size:
            break
    return data


@dataclass
class ExportDecoder(Decoder):
    """Turn a response of the Export API into an archive on disk, and an archive into events.

    Input: a zip archive; each member is gzip of newline-separated JSON objects, UTF-8, in one or several gzip
    streams, or such lines as they are.
    Output: one dict per line, in the archive's order; the seven times become RFC 3339 (UTC, six decimals).
    Memory: a chunk and a line. The body lies in an unnamed temporary file until it has been read.
    Nothing is emitted of an archive that is not whole.

    `max_line_bytes`, 64 MiB, bounds a line; a longer one counts as a bad line.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_line_bytes: int = 64 * 1024 * 1024

    def is_stream_response(self) -> bool:
        """Have the body left unread, for `spool`."""
        return True

    def decode(
        self, response: requests.Response
    ) -> Generator[MutableMapping[str, Any], None, None]:
        """Yield the events of a response.

        The retriever calls `spool` and `open` instead; this is for whoever uses the decoder alone.

        Raises:
            DamagedArchiveError: the archive is not whole.
            NotAnArchiveError: the response is not an archive.
            BadLineError: a line is not an event.
        """
        archive = self.open(self.spool(response))
        try:
            for member in archive.members:
                for block in member.blocks():
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
        """Write the body of a response to disk in chunks, through `write` if it is given.

        Raises:
            DamagedArchiveError: the connection ended early.
            NotAnArchiveError: the body is not a zip.
        """
        with response:
            file = temporary_file(buffering=0)
            try:
                chunks = response.iter_content(CHUNK_BYTES)
                beginning = first_bytes(chunks, 4)
                if beginning[:4] not in ZIP_BEGINNINGS:
                    raise not_an_archive(response, beginning + first_bytes(chunks, ERROR_BYTES))
                for chunk in chain([beginning], chunks):
                    (write or write_whole)(file, chunk)
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


# -- export.disk: Disk space, shared by the archives of a sync ------------------------------------


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


# -- export.download: Downloads: a window becomes a verified archive on disk, in as many attempts as that may take


MAX_MEMBERS = 10_000
"""Files of one export, over which a smaller window is requested: about 7 MB of memory."""
MAX_MEMBERS_OF_AN_HOUR = 200_000
"""Files of an hour: an archive that claims more is damaged, since an hour has a few hundred at most."""
DOWNLOAD_ATTEMPTS = 3
"""Downloads of a window whose archive arrives damaged, before it is halved: a connection rarely breaks
three times, and a file that is damaged at Amplitude stays so."""
ANSWER_ATTEMPTS = 5
"""Requests for a window whose response of 200 is not an archive."""
BEGINNING_OF_HISTORY = datetime(2012, 1, 1, tzinfo=timezone.utc)
"""Amplitude's first data: a clock before that is not set."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Difference of two clocks that is not worth a warning."""


def count_hours(members: Sequence[Member], window: Window) -> tuple[int, int]:
    """Return how many files may be of the window, and how many are of other hours."""
    others = sum(
        member.window is not None
        and not (member.window.start < window.end and window.start < member.window.end)
        for member in members
    )
    return len(members) - others, others


class Download(NamedTuple):
    """The members of a window, none if it has no events, and the end of the hours that are complete."""

    members: Sequence[Member]
    complete: datetime


class Downloads:
    """Turn windows into archives, each verified whole, and keep the lists of their members in bounds.

    Several threads may download at once. `slot` gives what a request and its download hold, so that not too
    many are in flight.
    """

    def __init__(
        self,
        requester: HttpRequester,
        decoder: ExportDecoder,
        name: str,
        slot: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        """Send requests for the stream `name`."""
        requester.stream_response = True
        self._requester, self._decoder = requester, decoder
        self._name, self._slot = name, slot
        self._many_members = threading.Lock()
        self._warned_of_clock = False

    def open(
        self, window: Window, space: Space, stack: ExitStack, stopped: Callable[[], bool]
    ) -> Download:
        """Download and verify a window's archive, which `stack` closes.

        Nothing is tried again once the stream has `stopped`.

        Raises:
            RestartError: other archives take the room on the disk.
            TooLargeError, DamagedArchiveError, NotAnArchiveError: after the last attempt.
            AirbyteTracedException: an error response.
        """
        attempts: Counter[type] = Counter()
        waited = 0.0
        while True:
            try:
                with ExitStack() as attempt:
                    last = attempts[NotAnArchiveError] == ANSWER_ATTEMPTS - 1
                    download = self._attempt(window, space, attempt, last)
                    stack.push(attempt.pop_all())
                    return download
            except DamagedArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= DOWNLOAD_ATTEMPTS or stopped():
                    raise
                self._wait(window, error, 2 ** attempts[type(error)])
            except NotAnArchiveError as error:
                attempts[type(error)] += 1
                seconds = error.wait_seconds or growing_seconds(attempts[type(error)])
                waited += seconds
                too_long = waited > LONGEST_SILENCE_SECONDS
                if attempts[type(error)] >= ANSWER_ATTEMPTS or too_long or stopped():
                    raise
                self._wait(window, error, seconds)

    def _wait(self, window: Window, error: Exception, seconds: float) -> None:
        LOGGER.info(f"{self._name}: {window} is requested again in {seconds:.0f} s ({error}).")
        time.sleep(seconds)

    def _attempt(self, window: Window, space: Space, stack: ExitStack, last: bool) -> Download:
        """Send one request and open its response.

        A cache between here and Amplitude may answer with the archive of another request. Files of other
        hours beside the window's own are believed at the `last` attempt alone.
        """
        with self._slot():
            stack.callback(space.clear)
            response = self._requester.send_request(
                stream_slice=window.as_slice(), log_formatter=self._describe
            )
            if response is None or response.status_code == 404:
                return Download([], self._complete_until(response, BEGINNING_OF_HISTORY))
            file = self._decoder.spool(response, space.write)
        stack.callback(file.close)
        count = count_members(file)
        if count > MAX_MEMBERS:
            if window.hours > 1:
                raise TooLargeError(f"its archive has {count:,} files")
            if count > MAX_MEMBERS_OF_AN_HOUR:
                raise DamagedArchiveError(f"it claims {count:,} files")
            # Their list takes much memory, so one thread at a time may have such an archive.
            stack.enter_context(self._many_members)
        archive = self._decoder.open(file)
        stack.callback(archive.close)
        own, others = count_hours(archive.members, window)
        if others and not (own and last):
            raise NotAnArchiveError("its files are of other hours")
        newest = max((m.window.start for m in archive.members if m.window), default=window.start)
        return Download(archive.members, self._complete_until(response, newest))

    def _complete_until(self, response: requests.Response | None, newest: datetime) -> datetime:
        """Return the end of the newest complete hour, by the earlier one of this clock and Amplitude's.

        A response that names a time before the hours of its own files, which begin with `newest`, comes
        through a proxy without a clock.
        """
        now = datetime.now(timezone.utc)
        theirs = date_of(response) if response is not None else None
        if theirs is None or theirs < newest:
            return complete_until(now)
        if abs(now - theirs) > CLOCK_TOLERANCE and not self._warned_of_clock:
            self._warned_of_clock = True
            LOGGER.warning(
                f"This machine's clock differs from Amplitude's by {abs(now - theirs)}: the earlier"
                " one decides which hours of events are complete. Set the clock."
            )
        return complete_until(min(now, theirs))

    def _describe(self, response: requests.Response) -> Any:
        """What the Connector Builder shows of a request: all but the body, which is an archive."""
        shown = requests.Response()
        shown.status_code, shown.headers = response.status_code, response.headers
        shown.request = response.request
        return format_http_message(shown, "Export of events", "Request a window", self._name)


# -- export.matching: What was emitted of each member: its bytes are looked up in the ledger, whatever its name


MAX_PIECES_TRIED = 1_000
"""Members of an hour that are tried as pieces of files that were emitted; nearly always two are enough."""


def match_members(
    ledger: ExportLedger, key: str, members: list[Member]
) -> tuple[list[Entries], Entries]:
    """Find what was emitted of each member of an hour, and what was emitted of members that have vanished.

    Amplitude may pack the lines of an hour again in other files, append to a file, put several files
    together, or cut one. Where several entries are one file now, or one entry is several files, the ledger
    is given what is there now.
    """
    # A file whose name has no hour may have been emitted under any hour.
    keys = [
        each
        for each in ledger.members
        if each == key or key.endswith(NO_HOUR) or each.endswith(NO_HOUR)
    ]
    unmatched = [(each, entry) for each in keys for entry in ledger.members[each]]

    matches = _same_bytes(members, unmatched)
    _grown(members, matches, unmatched)
    _put_together(ledger, key, members, matches, unmatched)
    _cut(ledger, key, members, matches, unmatched)
    # What is left of this hour has been changed or removed.
    vanished = [pair for pair in unmatched if pair[0] == key and not key.endswith(NO_HOUR)]
    return matches, vanished


def _same_bytes(members: list[Member], unmatched: Entries) -> list[Entries]:
    """1. Match members whose bytes were emitted whole, under any name."""
    by_content: defaultdict[tuple[int, int], Entries] = defaultdict(list)
    for key, entry in unmatched:
        if entry.uploaded_before == NO_END:
            by_content[entry.length, entry.crc32].append((key, entry))
    matches: list[Entries] = []
    for member in members:
        alike = by_content[member.length, member.crc32]
        matches.append([alike.pop()] if alike else [])
    matched = Counter(pair for entries in matches for pair in entries)
    unmatched[:] = (Counter(unmatched) - matched).elements()
    return matches


def _grown(members: list[Member], matches: list[Entries], unmatched: Entries) -> None:
    """2. Match members that begin with bytes that were emitted: they have grown.

    Several entries may fit one member, since an end date cuts its events and not its lines.
    """
    for member, entries in zip(members, matches, strict=True):
        lengths = [entry.length for _, entry in unmatched if entry.length <= member.length]
        if lengths and not entries:
            crcs = member.prefix_crc32s(lengths)
            entries += [pair for pair in unmatched if crcs.get(pair[1].length) == pair[1].crc32]
            unmatched[:] = [pair for pair in unmatched if pair not in entries]


def _put_together(
    ledger: ExportLedger,
    key: str,
    members: list[Member],
    matches: list[Entries],
    unmatched: Entries,
) -> None:
    """3. Match what follows such a beginning, if it is another file that was emitted."""
    for member, entries in zip(members, matches, strict=True):
        for pair, together in _following(member, entries, unmatched):
            ledger.forget([*entries, pair])
            ledger.add(key, together)
            entries[:] = [(key, together)]


def _cut(
    ledger: ExportLedger,
    key: str,
    members: list[Member],
    matches: list[Entries],
    unmatched: Entries,
) -> None:
    """4. Match members that one after another are a file that was emitted: it has been cut."""
    tries = iter(range(MAX_PIECES_TRIED))
    for pair in list(unmatched):
        new = [number for number, entries in enumerate(matches) if not entries]
        pieces = _pieces(pair[1], [members[number] for number in new], tries)
        if pieces:
            unmatched.remove(pair)
            ledger.forget([pair])
        for number, emitted in pieces:
            ledger.add(key, emitted)
            matches[new[number]].append((key, emitted))


def _following(
    member: Member, entries: Entries, unmatched: Entries
) -> Iterator[tuple[tuple[str, Emitted], Emitted]]:
    """Yield entries whose bytes follow what is known of a member, each with all that is known then.

    They are taken out of `unmatched`.
    """
    known = max((e for _, e in entries if e.uploaded_before == NO_END), default=None)
    while known:
        longer = {
            pair: known.length + pair[1].length
            for pair in unmatched
            if pair[1].uploaded_before == NO_END and known.length + pair[1].length <= member.length
        }
        crcs = member.prefix_crc32s(longer.values()) if longer else {}
        for pair, length in longer.items():
            if crcs[length] == crc32_of_both(known.crc32, pair[1].crc32, pair[1].length):
                known = Emitted(length, crcs[length])
                unmatched.remove(pair)
                yield pair, known
                break
        else:
            return


def _pieces(
    emitted: Emitted, members: list[Member], tries: Iterator[int]
) -> list[tuple[int, Emitted]]:
    """Return the numbers of the members that one after another are what was emitted, each with its part.

    The last one may have grown. The list is empty if there are no such members, or if no `tries` are left.
    """
    if emitted.uploaded_before < NO_END or sum(m.length for m in members) < emitted.length:
        return []
    # Breadth first, so that few pieces are tried before many.
    rows: list[tuple[dict[int, Emitted], Emitted]] = [({}, Emitted(0, 0))]
    for row, so_far in rows:
        left = emitted.length - so_far.length
        for number, member in enumerate(members):
            if number in row or (not row and member.length >= left):
                continue
            if next(tries, None) is None:
                return []
            piece = Emitted(min(member.length, left), member.crc32)
            if member.length > left:
                piece = Emitted(left, member.prefix_crc32s([left])[left])
            crc = crc32_of_both(so_far.crc32, piece.crc32, piece.length)
            longer = {**row, number: piece}
            if piece.length < left:
                rows.append((longer, Emitted(so_far.length + piece.length, crc)))
            elif crc == emitted.crc32:
                return list(longer.items())
    return []


# -- export.reader: Which lines of an archive are new: those that the ledger does not have become events


class EventBlock(NamedTuple):
    """Events of a member that are new, and the bytes of lines that they come from."""

    events: list[dict[str, Any]]
    size: int


class Bounds(NamedTuple):
    """Times of upload, RFC 3339: from `lower` to before `upper`; "" and `NO_END` where nothing is cut."""

    lower: str
    upper: str


class ArchiveReader:
    """Yield the events of archives that have not been emitted, and note in the ledger those that have.

    Events count as emitted when the next block is requested. Whoever reads must have the turn.
    """

    def __init__(
        self,
        ledger: ExportLedger,
        name: str,
        bounds: Callable[[Window], Bounds],
        *,
        skip_bad_lines: bool,
    ) -> None:
        """Read for the stream `name`; `bounds` gives those of the events of a window."""
        self._ledger, self._name, self._bounds = ledger, name, bounds
        self._skip_bad_lines = skip_bad_lines

    def read(
        self,
        part: Window,
        members: Iterable[Member],
        complete: datetime,
        failures: Failures,
    ) -> Iterator[EventBlock]:
        """Yield the new events of the members of a window, oldest hour first.

        Hours that end after `complete` are left out. Bad lines are added to `failures`.
        """
        part = Window(part.start, min(part.end, complete))
        if part.start >= part.end:
            return
        hours, others = group(members, part, complete)
        failed = False
        for key, members in sorted(others.items()):
            failed |= yield from self._read_members(part, key, members, failures)
        unread_from = part.start
        for key, members in sorted(hours.items()):
            hour = window_of_key(key)
            if not failed:
                self._ledger.note_window(Window(unread_from, hour.start))
            unread_from = hour.start
            if (yield from self._read_members(part, key, members, failures)):
                unread_from = hour.end
        if not failed:
            self._ledger.note_window(Window(unread_from, part.end))

    def _read_members(
        self,
        part: Window,
        key: str,
        members: list[Member],
        failures: Failures,
    ) -> Generator[EventBlock, None, bool]:
        """Yield what is new in the members of an hour; return whether a bad line ended one."""
        matches, vanished = match_members(self._ledger, key, members)
        # A file that has lines which no entry covers may have those of a file that has vanished.
        changed = [
            member
            for member, entries in zip(members, matches, strict=True)
            if vanished and not any(entry.length >= member.length for _, entry in entries)
        ]
        failed, repeated = False, 0
        for member, entries in zip(members, matches, strict=True):
            try:
                count = yield from self._read_member(part, key, member, entries)
                repeated += count if member in changed else 0
            except BadLineError as error:
                failed = True
                failures.append((member.window or part, error))
        if changed:
            self._ledger.forget(vanished)
            LOGGER.warning(
                f"{self._name}: Amplitude has changed the export of {key} since it was read"
                f" ({len(changed)} of {len(members)} files, the first {changed[0].name!r}):"
                f" {repeated:,} events are emitted again."
            )
        return failed

    def _read_member(
        self,
        part: Window,
        key: str,
        member: Member,
        entries: Entries,
    ) -> Generator[EventBlock, None, int]:
        """Yield the events of a member that were not emitted; return their number.

        Raises:
            BadLineError: the member has been emitted up to this line.
        """
        bounds = self._bounds(member.window or part)
        if any(e.length >= member.length and e.uploaded_before >= bounds.upper for _, e in entries):
            return 0
        lines = _Lines(member.name, entries, bounds, self._skip_bad_lines)
        count = 0
        try:
            for block in member.blocks():
                before = lines.emitted.length
                if events := lines.parse(block):
                    count += len(events)
                    yield EventBlock(events, lines.emitted.length - before)
                self._ledger.note(key, entries, lines.emitted)
                if lines.failure:
                    raise lines.failure
        finally:
            for what, times in lines.repairs.items():
                LOGGER.warning(f"{self._name}: {times:,} {what}, in the file {member.name!r}.")
        return count


class _Lines:
    """Turn the blocks of a member into events, and count its lines and bytes.

    `emitted` is what the ledger notes once the events of the last block have been emitted, `failure` the
    bad line that ended the member, `repairs` what was changed in its lines.
    """

    def __init__(self, name: str, entries: Entries, bounds: Bounds, skip_bad_lines: bool) -> None:
        """Begin with the first line of a member, of which the `entries` have been emitted."""
        self._name, self._entries, self._bounds = name, entries, bounds
        self._skip_bad_lines = skip_bad_lines
        self._all_new = not (entries or bounds.lower) and bounds.upper == NO_END
        self._number = 0
        self.emitted = Emitted(0, 0, bounds.upper)
        self.failure: BadLineError | None = None
        self.repairs: Counter[str] = Counter()

    def parse(self, block: Block) -> list[dict[str, Any]]:
        """Return the new events of a block, up to the first bad line unless such lines are skipped."""
        position = self.emitted.length
        exact = block.data is not None and has_long_number(block.data)
        events: list[dict[str, Any]] = []
        for line in block.lines:
            self._number += 1
            try:
                if (event := self._parse_line(line, position, exact)) is not None:
                    events.append(event)
            except BadLineError as error:
                if not self._skip_bad_lines:
                    self._end_at(position, block)
                    place = f"Line {self._number:,} of the file {self._name!r}"
                    self.failure = BadLineError(f"{place} {error}")
                    self.failure.__cause__ = error
                    return events
                # A last line without an end may be written further: it is not counted, so that the next
                # sync reads it again.
                last = line is not None and position + len(line) == block.end
                if last and isinstance(error, NotJsonError):
                    self.repairs["unfinished last lines were left for the next sync"] += 1
                    self._end_at(position, block)
                    return events
                self.repairs["invalid lines were skipped"] += 1
            position += len(line or b"") + 1
        self.emitted = Emitted(block.end, block.crc32, self._bounds.upper)
        return events

    def _parse_line(self, line: bytes | None, position: int, exact: bool) -> dict[str, Any] | None:
        """Return the event of a line that begins at `position`, if it is new."""
        if line is None:
            raise BadLineError("is too long")
        if self._all_new:
            return parse_event(line, exact, self.repairs)
        # The events of a line that an end date cut were emitted up to that date.
        emitted_before = max(
            (e.uploaded_before for _, e in self._entries if e.length > position), default=""
        )
        if emitted_before == NO_END:
            return None
        event = parse_event(line, exact, self.repairs)
        lower, upper = self._bounds
        return (
            event if event is not None and is_wanted(event, lower, upper, emitted_before) else None
        )

    def _end_at(self, position: int, block: Block) -> None:
        """Count the member as emitted up to the line at `position`."""
        before = (block.data or b"")[: position - self.emitted.length]
        crc = crc32(before, self.emitted.crc32)
        self.emitted = Emitted(position, crc, self._bounds.upper)


def group(
    members: Iterable[Member], part: Window, complete: datetime
) -> tuple[dict[str, list[Member]], dict[str, list[Member]]]:
    """Return the members of a window by the ledger's keys: those of one hour, and all others.

    The others are daily files, and files of no hour or of an hour outside of the window, which the ledger
    keeps under the window's last hour. A file of an hour that is not complete is left out.
    """
    hours: defaultdict[str, list[Member]] = defaultdict(list)
    others: defaultdict[str, list[Member]] = defaultdict(list)
    # A file that the archive has twice is one file.
    distinct = {(member.name, member.length, member.crc32): member for member in members}
    for member in distinct.values():
        window = member.window
        if window is None or not (window.start < part.end and part.start < window.end):
            if window is not None and window.start >= complete:
                continue
            member.window = None
            others[f"{format_hour(part.end - HOUR)}{NO_HOUR}"].append(member)
        elif window.hours == 1:
            hours[format_hour(window.start)].append(member)
        else:
            others[f"{window.start:%Y%m%d}"].append(member)
    return hours, others


# -- export.retriever: The retriever of the export: windows are downloaded, and each event of theirs is emitted once


FAILED_WINDOWS = 5
"""Windows that fail one after another, after which a stream sends no more requests: the cause is then not the
window, and each one costs minutes of retries."""
STATE_EVENTS = 5_000
"""Events between two states, which a sync that is killed reads again: about a second of reading."""
STATE_BYTES = 10_000_000
"""Bytes of lines between two states, for events that are large."""
STATE_BYTES_PER_MEMBER = 40
MAX_STATE_SHARE = 0.1
"""Of what is written, states may be a tenth: a state that remembers many files is emitted less often."""


@dataclass
class ExportRetriever(Retriever):
    """Read windows of the export, and emit each event once.

    A slice is cut into windows of `request_time_range` hours. A window is downloaded to disk and verified
    whole; then, one window at a time, its events are emitted that the ledger does not know. A window that is
    too large is halved, and the width that worked is kept; a window whose archive is damaged is halved
    alone. What failed stays unread in the state, and the rest is read.

    The stream's state is the ledger, under `export`; `server_upload_time` is the hour before which all events
    have been emitted. A state covers exactly the events before it. At most `STATE_EVENTS` events or
    `STATE_BYTES` bytes lie between two states, unless states would then be more than `MAX_STATE_SHARE` of
    what is written.

    Memory: a few chunks, the longest line several times, and the lists of members.
    Disk: `max_bytes_on_disk`, 4 GiB, in `TMPDIR`, and less if that is in memory; `max_archives_on_disk`, 8.

    Raises:
        AirbyteTracedException: hours that were not read, in Amplitude's words or the disk's.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    requester: HttpRequester
    decoder: ExportDecoder
    cursor: ConcurrentCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_bytes_on_disk: int = 4 * 1024**3
    max_archives_on_disk: int = 8

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self._hours = int(self.config.get("request_time_range") or 24)
        self._start = rfc3339(self.config.get("start_date") or BEGINNING_OF_DATA)
        self._end = end_of_uploads(self.config)
        self._states = ExportCursor(self.cursor, self.name)
        start = max(parse_hour(self._start), parse_hour(BEGINNING_OF_DATA))
        self._readable = "unreadable" not in self._states.state
        self._ledger = ExportLedger(
            self._states.state.get("export", {}),
            parse_hour(self._states.value) if self._readable else start,
            start,
            self._end,
            int(self.config.get("lookback_hours", 6)),
        )
        if self._readable:
            self._states.save(self._ledger)
        limit = min(self.max_bytes_on_disk, room_for_files())
        self._disk = DiskSpace(limit, self.max_archives_on_disk)
        self._downloads = Downloads(
            self.requester,
            self.decoder,
            self.name,
            self.request_slot,
        )
        skip = self.config.get("on_bad_record") == "skip"
        self._reader = ArchiveReader(self._ledger, self.name, self.bounds, skip_bad_lines=skip)
        self.backlog = Backlog()
        self._events_since_state = self._bytes_since_state = 0
        self._failed_in_a_row = 0
        self._stopped = False

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the events of a slice that have not been emitted."""
        self._states.end_turn()
        if self._stopped or stream_slice is None:
            return
        if not self._readable:
            self._stop()
            raise UnreadableStateError(self.name)
        first, last = (parse_hour(stream_slice[name]) for name in ("start_time", "end_time"))
        failures: Failures = []
        for window in self._ledger.unread(Window(first, last + HOUR), self._hours):
            yield from self._read_window(window, failures)
        if failures:
            raise unread_hours(self.name, failures, self._stopped) from failures[0][1]
        self._states.finish(stream_slice)

    # -- what the package adds to ----------------------------------------------------------------

    def emit(self, events: list[dict[str, Any]], size: int) -> Iterator[StreamData]:
        """Turn the events of a block, `size` bytes of lines, into what the stream yields."""
        records = [self._record(event) for event in events]
        self.backlog.add(records[-1], size)
        yield from records

    def emit_state(self) -> None:
        """Emit a state that covers all events so far."""
        self._states.emit_state(self._ledger)
        self._events_since_state = self._bytes_since_state = 0

    def request_slot(self) -> AbstractContextManager[Any]:
        """Return what a request and its download hold, so that not too many are in flight."""
        return nullcontext()

    def bounds(self, window: Window) -> Bounds:
        """Return the times of upload between which events of a window are emitted."""
        lower = self._start if window.cuts(self._start) else ""
        upper = self._end if window.cuts(self._end) else NO_END
        return Bounds(lower, upper)

    # -- windows ---------------------------------------------------------------------------------

    def _read_window(self, window: Window, failures: Failures) -> Iterator[StreamData]:
        """Yield a window's events; add to `failures` what could not be read."""
        parts = deque([window])
        halves: set[Window] = set()
        while parts and not self._stopped:
            part = parts.popleft()
            if part.hours > self._hours:
                parts.extendleft(reversed(list(part.pieces(self._hours))))
                continue
            try:
                yield from self._read_part(part, failures)
            except RestartError:
                parts.appendleft(part)
            except (TooLargeError, DamagedArchiveError, UnansweredWindowError) as error:
                if part.hours == 1 or part in halves:
                    self._note_failure(part, error, failures)
                    continue
                half = math.ceil(part.hours / 2)
                if isinstance(error, TooLargeError):
                    self._hours = min(self._hours, half)
                pieces = list(part.pieces(half))
                if isinstance(error, UnansweredWindowError):
                    halves.update(pieces)  # each attempt costs minutes, so a window is halved once
                parts.extendleft(reversed(pieces))
            except (AirbyteTracedException, NotAnArchiveError) as error:
                if getattr(error, "failure_type", None) == FailureType.config_error:
                    self._stop()
                    raise
                self._note_failure(part, error, failures)
        if failures:
            with self._states.turn():
                self.emit_state()

    def _read_part(self, part: Window, failures: Failures) -> Iterator[StreamData]:
        """Download a window, wait for the turn, and yield its new events."""
        with self._disk.archive() as space, ExitStack() as stack:
            if self._stopped:
                return
            download = self._downloads.open(part, space, stack, lambda: self._stopped)
            with self._states.turn():
                count = 0
                for block in self._reader.read(part, download.members, download.complete, failures):
                    count += len(block.events)
                    yield from self._emit_block(block)
                self._states.save(self._ledger)
                if count:
                    yield self._log(f"{count:,} events of {part}.")
        self._failed_in_a_row = 0

    def _emit_block(self, block: EventBlock) -> Iterator[StreamData]:
        """Yield the events of a block, after a state where one is due."""
        self._events_since_state += len(block.events)
        self._bytes_since_state += block.size
        many = self._events_since_state > STATE_EVENTS or self._bytes_since_state > STATE_BYTES
        if many and self._bytes_since_state - block.size >= self._least_bytes_between_states():
            self.emit_state()
            self._events_since_state, self._bytes_since_state = len(block.events), block.size
        yield from self.emit(block.events, block.size)

    def _least_bytes_between_states(self) -> float:
        return (500 + STATE_BYTES_PER_MEMBER * self._ledger.size) / MAX_STATE_SHARE

    def _note_failure(self, part: Window, error: Exception, failures: Failures) -> None:
        failures.append((part, error))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_WINDOWS:
            self._stop()

    def _stop(self) -> None:
        """Send no more requests in this sync; what was not read stays unread in the state."""
        self._stopped = True

    # -- messages --------------------------------------------------------------------------------

    def _record(self, event: dict[str, Any]) -> Record | AirbyteMessage:
        if event:
            # Without its slice: the cursor follows the ledger, not the records.
            return Record(data=event, stream_name=self.name)
        # The CDK takes an empty record for the end of the sync.
        record = AirbyteRecordMessage(self.name, event, time.time_ns() // 1_000_000)
        return AirbyteMessage(type=MessageType.RECORD, record=record)

    def _log(self, text: str) -> AirbyteMessage:
        """Return a log line for the reader of the stream to write.

        A thread that logs flushes the CDK's print buffer and keeps the memory that it took, so a worker
        yields the line instead.
        """
        log = AirbyteLogMessage(Level.INFO, f"{self.name}: {text}")
        return AirbyteMessage(type=MessageType.LOG, log=log)


# -- export.states: Saved states of events --------------------------------------------------------


@dataclass
class ExportStateMigration(StateMigration):
    """Turn any state of the stream into this version's form; a state without a value becomes empty.

    All forms that Airbyte's connector has saved are read, and the CDK's own ranges of dates. An hour that is
    not complete yet cannot have been read, whatever the state says.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state as this version saves it; one that cannot be read is put under `unreadable`."""
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
                ledger = ExportLedger(export, start, start, end_of_uploads(self.config), 0)
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


# -- partitions: Partitions that Amplitude does not return: gone by its own word, or an error -----


@dataclass(kw_only=True)
class PartitionErrorHandler(AmplitudeErrorHandler):
    """Skip a partition that is gone by Amplitude's own word, such as a deleted chart, with a warning.

    A partition is gone if the response's status is in `statuses`, Amplitude's message contains `words` (in
    lower case), and `partition`, a regular expression, finds the partition in the request's address.
    `warning` is the line for the log. `error_message` is that of the config_error for any other message of
    Amplitude with one of these statuses. `{partition}` and `{response}` are filled in. A response without
    Amplitude's message, and any where there is no `error_message`, is an error as of any other stream.
    """

    partition: str
    statuses: list[int]
    words: str
    warning: str
    error_message: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self.gone: set[str] = set()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; a partition that is gone gives no records.

        Raises:
            AirbyteTracedException: as of any other stream; config_error, the partition is refused.
        """
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and response.status_code in self.statuses
            and (words := error_message(response).lower())
            and not refuses_keys(response)
            and (partition := self.partition_of(response)) is not None
        ):
            said = {
                "partition": repr(partition),
                "response": f"{response.status_code}{quotation(response)}",
            }
            if self.words in words:
                self.gone.add(partition)
                LOGGER.warning(self.warning.format(**said))
                return self.accept()
            if self.error_message:
                raise self.give_up(config_error(self.error_message.format(**said), self.name))
        return super().interpret_response(response)

    def subject(self, response: requests.Response) -> str:
        """Return the stream, and the partition if the request was for one."""
        partition = self.partition_of(response)
        return self.name if partition is None else f"{self.name} of {partition!r}"

    def partition_of(self, response: requests.Response) -> str | None:
        """Return the partition that was requested, wherever the request was redirected to, or None."""
        requested = (response.history or [response])[0].url
        match = re.search(self.partition, str(requested))
        return unquote_plus(match[1]) if match else None


@dataclass
class ChartRetriever(BudgetRetriever):
    """Read the charts of `chart_ids`, of which some may be gone, but not all: that would empty the table."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._lock, self._unread = threading.Lock(), len(self.config.get("chart_ids") or [])

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a chart.

        Raises:
            AirbyteTracedException: config_error, the chart is the last one, and all are gone.
        """
        yield from super().read_records(records_schema, stream_slice)
        assert isinstance(self.requester, HttpRequester)
        handler = self.requester.error_handler
        assert isinstance(handler, PartitionErrorHandler)
        with self._lock:
            self._unread -= 1
            if not self._unread and handler.gone >= set(self.config["chart_ids"]):
                raise config_error(
                    "Amplitude finds none of the charts of `chart_ids`: correct the ids, or deselect the"
                    " stream charts. Check that the keys are those of the charts' project, too.",
                    self.name,
                )


# -- taxonomy: The taxonomy: event types and their properties -------------------------------------


SHARED_EVENT_TYPE = ""
"""The event type of properties that all event types share; Amplitude has null."""


@dataclass
class EventTypeRouter(SubstreamPartitionRouter):
    """Make a slice of each event type, after a slice for the properties that all event types share.

    Deleted event types, whose properties Amplitude never lists, and event types without a name are left out.
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices; the first has the event types of the others as `listed` of its extra fields."""
        slices = [
            each
            for each in super().stream_slices()
            if each["event_type"] != SHARED_EVENT_TYPE and not each.extra_fields.get("deleted")
        ]
        yield StreamSlice(
            partition={"event_type": SHARED_EVENT_TYPE},
            cursor_slice={},
            extra_fields={"listed": [each["event_type"] for each in slices]},
        )
        yield from slices


@dataclass
class AddEventType(RecordTransformation):
    """Set `event_type` to the type that was requested; properties shared by all types get an empty string.

    Raises:
        AirbyteTracedException: system_error if the property belongs to another event type.
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
        requested = (stream_slice or {}).get("event_type")
        event_type = record.get("event_type", requested)
        if requested and event_type not in (None, requested):
            raise unlike_list("event_properties", "it has properties of another event type")
        record["event_type"] = SHARED_EVENT_TYPE if event_type is None else event_type
