"""Saved states: how they come in, and what becomes of a stream whose state cannot be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airbyte_cdk.models import AirbyteStateMessage, AirbyteStateMessageSerializer
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition

from source_amplitude.delegating import DelegatingCursor, DelegatingStream

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


class FailedStream(DelegatingStream):
    """The same stream, which fails with an error and emits no state, so that the saved one stays as it is."""

    def __init__(self, stream: AbstractStream, error: Exception) -> None:
        """Fail `stream` with `error`."""
        super().__init__(stream, _NoState(stream.cursor))
        self._error = error

    def generate_partitions(self) -> Iterator[Partition]:
        """Raise the error."""
        raise self._error


class _NoState(DelegatingCursor):
    def ensure_at_least_one_state_emitted(self) -> None:
        """Emit none."""
