"""A line becomes an event."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from source_amplitude.extensions.export.errors import BadLineError
from source_amplitude.extensions.export.json import parse_json
from source_amplitude.extensions.times import rfc3339

TIMESTAMP_FIELDS = (
    "client_event_time",
    "client_upload_time",
    "event_time",
    "processed_time",
    "server_received_time",
    "server_upload_time",
    "user_creation_time",
)
EVENT_FIELDS = frozenset(
    (
        "$insert_id",
        "amplitude_id",
        "client_event_time",
        "device_id",
        "event_id",
        "event_properties",
        "event_time",
        "event_type",
        "server_upload_time",
        "session_id",
        "user_id",
        "user_properties",
    )
)
"""Fields of which every event has some, and which nothing else in an archive has."""


def parse_event(line: bytes, exact: bool, repairs: Counter[str]) -> dict[str, Any] | None:
    """Turn a line into an event, its times as RFC 3339; None for a blank line.

    `exact` and `repairs` are those of `parse_json`.

    Raises:
        BadLineError: the line is not a JSON object, has none of an event's fields, or is nested too deeply.
    """
    from_iso = datetime.fromisoformat
    try:
        event = parse_json(line, exact, repairs)
    except BadLineError:
        if not line.strip():
            return None
        raise
    if type(event) is not dict:
        raise BadLineError("is not a JSON object")
    if "uuid" not in event and EVENT_FIELDS.isdisjoint(event):
        raise BadLineError("has none of the fields of an event")
    if type(event.get("uuid")) is not str:
        repairs[
            "events do not have a `uuid`, without which a destination cannot tell them apart"
        ] += 1
    for field in TIMESTAMP_FIELDS:
        value = event.get(field)
        if value is None:
            continue
        # Nearly every time has this form, and the pattern would cost five times as much.
        if (
            type(value) is str
            and len(value) == 26
            and value[7] == "-"
            and value[10] == " "
            and value[19] == "."
        ):
            try:
                if from_iso(value).tzinfo is None:
                    event[field] = value.replace(" ", "T") + "+00:00"
                    continue
            except ValueError:
                pass
        event[field] = rfc3339(value)
    return event


def is_wanted(event: Mapping[str, Any], lower: str, upper: str, emitted: str) -> bool:
    """Whether an event was uploaded from `lower` to before `upper`, and not before `emitted`.

    Without a time that can be read, it is wanted when its line is first seen.
    """
    uploaded = event.get("server_upload_time")
    if not isinstance(uploaded, str) or rfc3339(uploaded) != uploaded or uploaded[-6:] != "+00:00":
        return not emitted
    return max(lower, emitted) <= uploaded < upper
