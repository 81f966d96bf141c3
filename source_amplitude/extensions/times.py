"""Times that two APIs or more share: their forms, and today."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytz

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
