"""What the connector takes from the CDK without a public name is still where it expects it."""

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage, Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream

from source_amplitude import cdk
from source_amplitude.sequential import SequentialStream
from source_amplitude.source import SourceAmplitude, load_manifest


def declared(config: dict[str, Any], name: str) -> DefaultStream:
    source = ConcurrentDeclarativeSource(config=config, source_config=load_manifest())
    stream = next(stream for stream in source.streams(config) if stream.name == name)
    assert isinstance(stream, DefaultStream)
    return stream


def test_a_streams_retriever_has_its_requester_and_its_decoder(config: dict[str, Any]) -> None:
    retriever = cdk.retriever(declared(config, "events"))

    assert hasattr(retriever.requester, "send_request")
    assert hasattr(retriever.record_selector.extractor, "decoder")  # type: ignore[attr-defined]


def test_a_stream_says_its_key_and_its_cursor_field(config: dict[str, Any]) -> None:
    stream = declared(config, "events")
    field = cdk.cursor_field(stream)

    assert cdk.primary_key(stream) == ["uuid"]
    assert field is not None
    assert field.cursor_field_key == "server_upload_time"


def test_a_cursor_says_its_windows(config: dict[str, Any]) -> None:
    cursor = declared({**config, "lookback_hours": 5, "request_time_range": 7}, "events").cursor
    assert isinstance(cursor, ConcurrentCursor)

    assert cdk.windows(cursor) == (
        datetime(2024, 1, 1, tzinfo=timezone.utc),
        datetime(2024, 1, 3, 9, tzinfo=timezone.utc),
        timedelta(hours=7),
        timedelta(hours=5),
    )


def test_a_message_of_any_thread_comes_out_of_a_read(config: dict[str, Any]) -> None:
    source = SourceAmplitude(None, config, None)
    message = AirbyteMessage(type=Type.RECORD)

    cdk.emitter(source)(message)

    assert source._concurrent_source._queue.get_nowait() is message


def test_a_stream_that_is_built_in_another_way_is_an_error(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SequentialStream(declared(config, "cohorts"), threading.BoundedSemaphore())
    monkeypatch.setattr(ConcurrentDeclarativeSource, "streams", lambda *_: [other])

    with pytest.raises(TypeError, match="cohorts as SequentialStream"):
        SourceAmplitude(None, config, None).streams(config)
