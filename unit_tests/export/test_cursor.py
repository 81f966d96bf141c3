"""The cursor of the export: what it expects of the CDK's cursor, which promises none of it in words."""

import threading
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, cast

from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.message import InMemoryMessageRepository
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor, CursorField
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.state_converters.datetime_stream_state_converter import (
    CustomFormatConcurrentStreamStateConverter,
)
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.export.cursor import ExportCursor
from source_amplitude.extensions.export.ledger import ExportLedger
from source_amplitude.extensions.export.windows import NO_END, Window, format_hour
from source_amplitude.extensions.times import HOUR

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def partition(read: StreamSlice) -> Partition:
    return cast(Partition, SimpleNamespace(to_slice=lambda: read))


def test_a_state_has_the_ledger_and_no_other_thread_emits_until_a_slices_state_is_out() -> None:
    repository = InMemoryMessageRepository()
    start: Any = START
    cdk_cursor = ConcurrentCursor(
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
    ledger = ExportLedger({}, START, START, NO_END, 6)
    cursor = ExportCursor(cdk_cursor, "events")
    waiting, order = threading.Event(), []

    def emit() -> None:
        waiting.set()
        with cursor.turn():
            order.append("another thread emits")

    def states() -> list[dict[str, Any]]:
        messages = [message.state for message in repository.consume_queue()]
        return [vars(state.stream.stream_state) for state in messages if state and state.stream]

    for hours in (1, 2):
        window = Window(START, START + hours * HOUR)
        with cursor.turn():
            ledger.note_window(window)
            cursor.emit_state(ledger)  # between two events
        (state,) = states()
        assert state["export"] == ledger.state
        assert state["server_upload_time"] == format_hour(window.end)

    read = Window(START, START + 2 * HOUR).as_slice()
    cursor.finish(read)
    thread = threading.Thread(target=emit)
    thread.start()
    assert waiting.wait(60)
    order.append("the state of the slice")
    cdk_cursor.close_partition(partition(read))
    thread.join()

    (state,) = states()
    assert state["export"] == ledger.state
    assert order == ["the state of the slice", "another thread emits"]
