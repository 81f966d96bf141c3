"""The taxonomy: event types and their properties."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
)
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.lists import unlike_list
from source_amplitude.extensions.responses import error_message, quotation

LOGGER = logging.getLogger("airbyte")

SHARED = ""
"""The event type of properties that all event types share; Amplitude has null."""


@dataclass
class EventTypeRouter(SubstreamPartitionRouter):
    """Turn the event types into a slice each, after one for the properties that all share.

    A deleted event type, whose properties Amplitude never lists, and one without a name have none.
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices; the first knows the event types of the others."""
        slices = [
            one
            for one in super().stream_slices()
            if one["event_type"] != SHARED and not one.extra_fields.get("deleted")
        ]
        listed = {"listed": [one["event_type"] for one in slices]}
        yield StreamSlice(partition={"event_type": SHARED}, cursor_slice={}, extra_fields=listed)
        yield from slices


@dataclass
class EventPropertyErrorHandler(AmplitudeErrorHandler):
    """Skip an event type that Amplitude lists and does not know, with a warning that names it."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do; an unsuccessful response gives no records."""
        response = response_or_exception
        if isinstance(response, requests.Response) and response.status_code in (400, 404):
            event_type = parse_qs(urlsplit(response.url).query).get("event_type")
            if event_type and "not found" in error_message(response).lower():
                LOGGER.warning(
                    f"Amplitude lists the event type {event_type[0]!r} and does not find it when asked"
                    f" for {self.name} ({response.status_code}{quotation(response)}): it was skipped."
                )
                self._thread.attempts = 0
                return SUCCESS_RESOLUTION
        return super().interpret_response(response)


@dataclass
class EventPropertyType(RecordTransformation):
    """Give an event property the event type that it was asked for by; shared ones have `SHARED`.

    Raises:
        AirbyteTracedException: system_error when the property is of another event type.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place."""
        asked = (stream_slice or {}).get("event_type")
        own = record.get("event_type", asked)
        if asked and own not in (None, asked):
            raise unlike_list("event_properties", "it has properties of another event type")
        record["event_type"] = SHARED if own is None else own
