"""Saved states as a platform hands them over."""

import json
from pathlib import Path
from typing import Any

from airbyte_cdk.models import AirbyteStateMessage, AirbyteStateMessageSerializer

CURSOR_FIELDS = {"events": "server_upload_time", "deleted_users": "day"}
"""The cursor fields of the streams that have another one than `date`."""


def read_states(path: str) -> list[AirbyteStateMessage]:
    """The messages of a state file; a bare value in place of a state is taken for its cursor field's.

    Raises:
        ValueError: the file is not a list of state messages.
    """
    content = json.loads(Path(path).read_text("utf-8").strip() or "[]") or []
    if not isinstance(content, list) or not all(isinstance(message, dict) for message in content):
        raise ValueError("the state is not a list of messages")
    for message in content:
        for stream in [
            message.get("stream"),
            *(message.get("global") or {}).get("stream_states", []),
        ]:
            value: Any = (stream or {}).get("stream_state")
            if value is not None and not isinstance(value, dict):
                field = CURSOR_FIELDS.get(stream["stream_descriptor"]["name"], "date")
                stream["stream_state"] = {field: value}
    messages = [AirbyteStateMessageSerializer.load(message) for message in content]
    if not all(message.stream or message.global_ for message in messages):
        raise ValueError("a message of the state has no stream")
    return messages
