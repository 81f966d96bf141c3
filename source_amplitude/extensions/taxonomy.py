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
    """Make a slice of each event type, after a slice for the properties that all event types share.

    Deleted event types, whose properties Amplitude never lists, and event types without a name are left out.
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices; the first has the event types of the others as `listed` of its extra fields."""
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
    """Set `event_type` to the type that was requested; properties shared by all types get an empty string.

    Raises:
        AirbyteTracedException: system_error if the property belongs to another event type.
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
