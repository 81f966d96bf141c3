"""The taxonomy: event types and their properties."""

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any

from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.lists import unlike_list

SHARED_EVENT_TYPE = ""
"""The event type of properties that all event types share; Amplitude has null."""


@dataclass
class EventTypeRouter(SubstreamPartitionRouter):
    """Turn the event types into a slice each, after one for the properties that all share.

    A deleted event type, whose properties Amplitude never lists, and one without a name have none.
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices; the first knows the event types of the others."""
        slices = [
            each
            for each in super().stream_slices()
            if each["event_type"] != SHARED_EVENT_TYPE and not each.extra_fields.get("deleted")
        ]
        yield StreamSlice(
            partition={"event_type": SHARED_EVENT_TYPE},
            cursor_slice={},
            extra_fields={"listed": [each["event_type"] for each in slices]},
        )
        yield from slices


@dataclass
class AddEventType(RecordTransformation):
    """Give an event property the event type that it was asked for by; shared ones have `SHARED_EVENT_TYPE`.

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
        requested = (stream_slice or {}).get("event_type")
        event_type = record.get("event_type", requested)
        if requested and event_type not in (None, requested):
            raise unlike_list("event_properties", "it has properties of another event type")
        record["event_type"] = SHARED_EVENT_TYPE if event_type is None else event_type
