"""The rows of a cohort's file: a member for each row."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from source_amplitude.extensions.names import number_repeats

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
