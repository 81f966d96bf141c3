"""What the retriever of the export expects of the CDK, which promises none of it in words."""

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.message import InMemoryMessageRepository
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor, CursorField
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.state_converters.datetime_stream_state_converter import (
    CustomFormatConcurrentStreamStateConverter,
)
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from emulator import Emulator, Fault
from source_amplitude.process import cdk
from source_amplitude.process.sequential import SequentialStream
from source_amplitude.process.source import SourceAmplitude
from unit_tests.conftest import Run


def test_what_is_put_into_a_cursors_state_is_emitted_when_a_slice_closes() -> None:
    repository = InMemoryMessageRepository()
    start: Any = datetime(2024, 1, 1, tzinfo=timezone.utc)
    cursor = ConcurrentCursor(
        stream_name="events",
        stream_namespace=None,
        stream_state={},
        message_repository=repository,
        connector_state_manager=ConnectorStateManager(),
        connector_state_converter=CustomFormatConcurrentStreamStateConverter("%Y%m%dT%H"),
        cursor_field=CursorField("server_upload_time"),
        slice_boundary_fields=("start_time", "end_time"),
        start=start,
        end_provider=lambda: start,
    )
    bounds = {"start_time": "20240101T00", "end_time": "20240101T00"}
    read = StreamSlice(partition={}, cursor_slice=bounds)

    cursor.state["export"] = {"kept": True}
    data = {"server_upload_time": "20240101T05"}
    cursor.observe(Record(data, "events", associated_slice=read))
    cursor.close_partition(cast(Partition, SimpleNamespace(to_slice=lambda: read)))

    (message,) = repository.consume_queue()
    assert message.state is not None
    assert message.state.stream is not None
    assert vars(message.state.stream.stream_state) == {**data, "export": {"kept": True}}


def test_a_stream_that_is_built_in_another_way_is_an_error(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = SourceAmplitude(None, config, None).streams(config)
    other = next(stream for stream in streams if isinstance(stream, SequentialStream))
    monkeypatch.setattr(ConcurrentDeclarativeSource, "streams", lambda *_: [other])

    with pytest.raises(TypeError, match="as SequentialStream"):
        SourceAmplitude(None, config, None).streams(config)


def test_a_read_with_failed_streams_ends_with_an_error_that_only_sums_up(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(Fault(path="/api/3/cohorts", status=403, times=None))

    failed = run("read", config, ("cohorts",)).error

    assert failed is not None
    assert cdk.sums_up_failed_streams(failed)
    assert not cdk.sums_up_failed_streams(AirbyteTracedException("another"))
