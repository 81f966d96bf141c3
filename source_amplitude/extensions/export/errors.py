"""Responses of the Export API that are not an archive."""

import json
import re
from dataclasses import dataclass

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
    ResponseAction,
)

from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.responses import (
    LIMITS,
    QUOTABLE,
    error_message,
    message_in,
    quotation,
)


class TooLargeError(Exception):
    """Amplitude or this machine cannot export a window at once; a smaller one may work."""


class DamagedArchiveError(Exception):
    """A response that is an archive and is not whole; a retry may bring a whole one."""


class NoArchiveError(Exception):
    """A response of 200 that is no archive: its text says why, where Amplitude gave one."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        """Say what came, and how long a limit that it names needs; 0 where it names none."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


@dataclass
class ExportErrorHandler(AmplitudeErrorHandler):
    """Turn an error response of the Export API into what to do about it.

    - 404 with Amplitude's "Raw data files were not found": a window without events
    - 404 with other words of Amplitude: system_error; without any: retried, as 5xx is
    - 413, a second 504, and a 400 that names no other cause, since Amplitude documents 400 as
      "over 4 GB": TooLargeError

    See: https://amplitude.com/docs/apis/analytics/export#status-codes
    """

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            TooLargeError: a smaller window may work.
            AirbyteTracedException: a retry is no use.
        """
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return super().interpret_response(response)
        if response.ok:  # before anything reads the body, which is streamed
            return SUCCESS_RESOLUTION
        status, words = response.status_code, error_message(response)
        if status == 404:
            if re.search("raw data.*not found", words, re.IGNORECASE):
                message = "The export has no events in this window (404)."
                return ErrorResolution(ResponseAction.IGNORE, None, message)
            if not words:
                return self.retry(response)
        elif status == 413 or (status == 400 and not _names_another_cause(words)):
            raise TooLargeError(f"{status}{quotation(response)}")
        elif status == 504:
            if self.attempts:
                raise TooLargeError(f"504, twice{quotation(response)}")
        elif status == 400:
            raise self.failure(
                FailureType.config_error,
                f"Amplitude refused the export ({status}{quotation(response)}). Correct the dates or options"
                " it names.",
            )
        return super().interpret_response(response)


def _names_another_cause(words: str) -> bool:
    """Whether the text of a 400 plainly names another cause than the export's size."""
    text = words.lower()
    if re.search(r"too large|too big|4 ?gb|size|exceed", text):
        return False
    return bool(
        re.search(r"date|param|argument|format|start|end|range|credential|api key|secret", text)
    )


class BadLineError(Exception):
    """A line of a member that is not an event."""


class RestartError(Exception):
    """A download must give its disk space to those before it, and start again."""


def no_archive(response: requests.Response, beginning: bytes) -> NoArchiveError:
    """What to say of a response of 200 that is no archive."""
    try:
        body = json.loads(beginning)
        words = body if isinstance(body, str) else message_in(body)
    except (ValueError, RecursionError):
        words = ""
    if not QUOTABLE.fullmatch(words):
        words = ""
    kind = "empty" if not beginning else "a page" if beginning.lstrip()[:1] == b"<" else "no zip"
    status = response.status_code
    return NoArchiveError(
        f"{status}: {words}" if words else f"{status}, but its body is {kind}",
        next((seconds for limit, (seconds, _) in LIMITS.items() if limit in words.lower()), 0),
    )
