"""The times in the list of cohorts."""

import math
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any

from airbyte_cdk.sources.declarative.transformations import RecordTransformation

from source_amplitude.extensions.lists import unlike_list
from source_amplitude.extensions.times import rfc3339

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
