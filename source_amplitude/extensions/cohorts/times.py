"""The times of cohorts."""

import math
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any

from airbyte_cdk.sources.declarative.transformations import RecordTransformation

from source_amplitude.extensions.lists import unlike_list
from source_amplitude.extensions.times import rfc3339

MAX_EPOCH_SECONDS = 10**11
"""The year 5138: what is larger has thousandths of a second, or thousandths of those."""


@dataclass
class NormalizeCohortTimes(RecordTransformation):
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
