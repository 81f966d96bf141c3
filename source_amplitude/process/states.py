"""Saved states, as a platform passes them in a file."""

import json
from pathlib import Path
from typing import Any

from airbyte_cdk.models import AirbyteStateMessage, AirbyteStateMessageSerializer, Type

CURSOR_FIELDS = {"events": "server_upload_time", "deleted_users": "day"}
"""The cursor fields of incremental streams, where it is not `date`."""


def read_states(path: str) -> list[AirbyteStateMessage]:
    """Return the last state of each stream in a state file; an empty list if the file is empty.

    The file has states as a platform saves them (a JSON list of the `state` of STATE messages), or STATE
    messages as a read has written them: one, a JSON list, or one a line, with or without other messages.
    Where a stream's state is a bare value instead of an object, it becomes the value of the cursor field.

    Raises:
        ValueError: the file has something else.
    """
    states = [_state(item) for item in _items(Path(path).read_text("utf-8-sig"))]
    latest = {}
    for state in filter(None, states):
        for stream in [
            state.get("stream"),
            *(state.get("global") or {}).get("stream_states", []),
        ]:
            value: Any = (stream or {}).get("stream_state")
            if value is not None and not isinstance(value, dict):
                field = CURSOR_FIELDS.get(stream["stream_descriptor"]["name"], "date")
                stream["stream_state"] = {field: value}
        message = AirbyteStateMessageSerializer.load(state)
        if not (message.stream or message.global_):
            raise ValueError("a message of the state has no stream")
        latest[str(message.stream and message.stream.stream_descriptor)] = message
    if states and not latest:
        raise ValueError("none of its messages is a STATE message")
    return list(latest.values())


def _items(text: str) -> list[Any]:
    """Return the objects of a JSON list, of one object, or of lines of JSON; none of what is empty."""
    try:
        content = json.loads(text.strip() or "[]")
    except ValueError:
        content = [json.loads(line) for line in text.split("\n") if line.strip()]
    return content if isinstance(content, list) else [content] if content else []


def _state(item: Any) -> dict[str, Any] | None:
    """Return the state that an object of the file is or has; None for a message of another type."""
    message = item if isinstance(item, dict) else {}
    if {"stream", "global"} & message.keys():
        return message
    if message.get("type") in (kind.value for kind in Type):
        return message.get("state")
    raise ValueError("it has neither STATE messages nor a list of their `state`")
