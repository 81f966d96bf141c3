"""Partitions that Amplitude does not return: gone by its own word, or an error.

A full refresh replaces a table. What a stream leaves out is therefore either gone by Amplitude's own word,
or the stream ends with an error once the other partitions are read, so that the destination keeps its table.
No retriever is told the sync mode: a partition without a saved state is what a full refresh reads.
"""

import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import requests
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.streams.http.error_handlers.response_models import ErrorResolution
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.budget import BudgetRetriever
from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.errors import config_error
from source_amplitude.extensions.responses import error_message, quotation, refuses_keys

LOGGER = logging.getLogger("airbyte")


@dataclass(kw_only=True)
class PartitionErrorHandler(AmplitudeErrorHandler):
    """Skip a partition that is gone by Amplitude's own word, such as a deleted chart, with a warning.

    A partition is gone if the response's status is in `statuses`, Amplitude's message contains `words` (in
    lower case), and `partition`, a regular expression, finds the partition in the request's address.
    `warning` is the line for the log. `error_message` is that of the config_error for any other message of
    Amplitude with one of these statuses. `{partition}` and `{response}` are filled in. A response without
    Amplitude's message, and any where there is no `error_message`, is an error as of any other stream.
    """

    partition: str
    statuses: list[int]
    words: str
    warning: str
    error_message: str = ""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self.gone: set[str] = set()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; a partition that is gone gives no records.

        Raises:
            AirbyteTracedException: as of any other stream; config_error, the partition is refused.
        """
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and response.status_code in self.statuses
            and (words := error_message(response).lower())
            and not refuses_keys(response)
            and (partition := self.partition_of(response)) is not None
        ):
            said = {
                "partition": repr(partition),
                "response": f"{response.status_code}{quotation(response)}",
            }
            if self.words in words:
                self.gone.add(partition)
                LOGGER.warning(self.warning.format(**said))
                return self.accept()
            if self.error_message:
                raise self.give_up(config_error(self.error_message.format(**said), self.name))
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


@dataclass
class ChartRetriever(BudgetRetriever):
    """Read the charts of `chart_ids`, of which some may be gone, but not all: that would empty the table."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._lock, self._unread = threading.Lock(), len(self.config.get("chart_ids") or [])

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterable[StreamData]:
        """Yield the records of a chart.

        Raises:
            AirbyteTracedException: config_error, the chart is the last one, and all are gone.
        """
        yield from super().read_records(records_schema, stream_slice)
        assert isinstance(self.requester, HttpRequester)
        handler = self.requester.error_handler
        assert isinstance(handler, PartitionErrorHandler)
        with self._lock:
            self._unread -= 1
            if not self._unread and handler.gone >= set(self.config["chart_ids"]):
                raise config_error(
                    "Amplitude finds none of the charts of `chart_ids`: correct the ids, or deselect the"
                    " stream charts. Check that the keys are those of the charts' project, too.",
                    self.name,
                )
