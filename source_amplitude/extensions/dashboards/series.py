"""The table of a dashboards response: series become records."""

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from datetime import date
from typing import Any

import requests
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.errors import malformed
from source_amplitude.extensions.responses import quotation

LOGGER = logging.getLogger("airbyte")

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
