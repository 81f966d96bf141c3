"""Saved charts: a CSV becomes one record per cell."""

import csv
import io
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar, dataclass
from itertools import chain, count
from typing import Any
from urllib.parse import urlsplit

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.responses import quotation, refuses_keys

LOGGER = logging.getLogger("airbyte")

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
