"""What the connector takes from the CDK that has no public name, one function each.

For each, a test in unit_tests/test_cdk.py fails when the CDK changes it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.declarative.retrievers import SimpleRetriever
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor, CursorField
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream


def retriever(stream: DefaultStream) -> SimpleRetriever:
    """What reads a stream's windows."""
    found = stream._stream_partition_generator._partition_factory._retriever  # type: ignore[attr-defined]
    assert isinstance(found, SimpleRetriever)
    return found


def primary_key(stream: DefaultStream) -> list[str]:
    """The fields of a stream's key."""
    return stream._primary_key


def cursor_field(stream: DefaultStream) -> CursorField | None:
    """A stream's cursor field."""
    return stream._cursor_field


def windows(cursor: ConcurrentCursor) -> tuple[datetime, datetime, timedelta, timedelta]:
    """First and last moment of what is to be read, the width of a window, and the look-back."""
    start, last = cursor._start, cursor._end_provider()
    step, lookback = cursor._slice_range, cursor._lookback_window
    assert isinstance(start, datetime)
    assert isinstance(last, datetime)
    assert isinstance(step, timedelta)
    assert isinstance(lookback, timedelta)
    return start, last, step, lookback


def emitter(source: ConcurrentDeclarativeSource) -> Callable[[AirbyteMessage], None]:
    """The way of a message to the output from any thread."""
    return source._message_repository.emit_message
