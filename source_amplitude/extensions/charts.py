"""Saved charts: a record for each cell of the CSV."""

import csv
import io
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.names import number_repeats

LOGGER = logging.getLogger("airbyte")

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
