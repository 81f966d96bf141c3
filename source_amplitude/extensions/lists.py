"""Lists: a record for each row."""

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.responses import quotation


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
