"""Partitions that Amplitude does not return: skipped with a warning."""

import logging
import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

import requests
from airbyte_cdk.sources.streams.http.error_handlers.response_models import ErrorResolution

from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.responses import error_message, quotation, refuses_keys

LOGGER = logging.getLogger("airbyte")


@dataclass(kw_only=True)
class PartitionErrorHandler(AmplitudeErrorHandler):
    """Skip a partition that Amplitude refuses by name, such as a deleted chart, with a warning.

    A response is such a refusal if its status is in `statuses`, Amplitude's message contains `words` (in
    lower case), and `partition`, a regular expression, finds the partition in the request's address.
    `warning` is the line for the log, in which `{partition}` and `{response}` are filled in.
    """

    partition: str
    statuses: list[int]
    warning: str
    words: str = ""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; a response that is skipped gives no records."""
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and response.status_code in self.statuses
            and self.words in error_message(response).lower()
            and not refuses_keys(response)
            and (partition := self.partition_of(response)) is not None
        ):
            LOGGER.warning(
                self.warning.format(
                    partition=repr(partition),
                    response=f"{response.status_code}{quotation(response)}",
                )
            )
            return self.accept()
        return super().interpret_response(response)

    def subject(self, response: requests.Response) -> str:
        """Return the stream, and the partition if the request was for one."""
        partition = self.partition_of(response)
        return self.name if partition is None else f"{self.name} of {partition!r}"

    def partition_of(self, response: requests.Response) -> str | None:
        """Return the partition that was requested, wherever the request was redirected to, or None."""
        requested = (response.history or [response])[0].url
        match = re.search(self.partition, str(requested))
        return unquote_plus(match[1]) if match else None
