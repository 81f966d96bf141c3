"""Responses of the Export API that are not an archive."""

import json
import re
from dataclasses import dataclass

import requests
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    ErrorResolution,
    ResponseAction,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.export.errors import (
    NotAnArchiveError,
    TooLargeError,
    UnansweredWindowError,
)
from source_amplitude.extensions.responses import (
    QUOTABLE,
    error_message,
    mentions_keys,
    message_in,
    quotation,
    rate_limit,
)


@dataclass
class ExportErrorHandler(AmplitudeErrorHandler):
    """Turn an error response of the Export API into what to do about it.

    - 404 with Amplitude's "Raw data files were not found", wherever in its body: a window without events
    - 404 with another message of Amplitude: system_error; without a message: retried, as 5xx is
    - 413, a second 504, and a 400 that does not mention the keys, since Amplitude documents 400 as "over
      4 GB" and the connector writes the dates itself: TooLargeError

    See: https://amplitude.com/docs/apis/analytics/export#status-codes
    """

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            TooLargeError, UnansweredWindowError: a smaller window may work.
            AirbyteTracedException: a retry cannot help.
        """
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return super().interpret_response(response)
        if response.ok:  # before anything reads the body, which is streamed
            return self.accept()
        status = response.status_code
        if status == 404:
            if re.search("raw data.*not found", response.text, re.IGNORECASE):
                self.accept()
                reason = "The export has no events in this window (404)."
                return ErrorResolution(ResponseAction.IGNORE, None, reason)
            if not error_message(response):
                return self.retry(response)
        elif status == 413 or (status == 400 and not mentions_keys(error_message(response))):
            raise self.give_up(TooLargeError(f"{status}{quotation(response)}"))
        elif status == 504 and self.attempts:
            raise self.give_up(TooLargeError(f"504, twice{quotation(response)}"))
        try:
            return super().interpret_response(response)
        except AirbyteTracedException as error:
            if status >= 500:
                raise UnansweredWindowError from error
            raise


def not_an_archive(response: requests.Response, beginning: bytes) -> NotAnArchiveError:
    """Return the error for a response of 200 whose body, which begins like this, is not an archive."""
    try:
        body = json.loads(beginning)
        message = body if isinstance(body, str) else message_in(body)
    except (ValueError, RecursionError):
        message = ""
    if not QUOTABLE.fullmatch(message):
        message = ""
    kind = "empty" if not beginning else "a page" if beginning.lstrip()[:1] == b"<" else "not a zip"
    status = response.status_code
    return NotAnArchiveError(
        f"{status}: {message}" if message else f"{status}, but its body is {kind}",
        rate_limit(message)[0],
    )
