"""Facts in a response: Amplitude's error message, the rate limit that it names, the time."""

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import requests

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
