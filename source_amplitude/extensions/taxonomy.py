"""The taxonomy: event types and their properties."""

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any

from airbyte_cdk.sources.declarative.partition_routers import SubstreamPartitionRouter
from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.lists import unlike_list

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
