"""The cursor of the export: one thread emits at a time, and each state follows the events that it covers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record, StreamSlice

from source_amplitude.extensions.export.ledger import ExportLedger
from source_amplitude.extensions.export.windows import Window, format_hour
from source_amplitude.extensions.times import HOUR


class ExportCursor:
    """Put the ledger into the state of the CDK's cursor, and emit a state between any two events.

    Threads download in parallel and emit one at a time: a thread has the turn while it emits a window, and
    from the end of a slice until the CDK has emitted that slice's state, because otherwise events of another
    slice would precede a state that does not include them. Only the thread that has the turn may change the
    ledger.

    The CDK emits a state in `close_partition`, after `read_records` has ended, and has no hook after that. So
    `close_partition` of its cursor is replaced here by one that ends the turn. `state` is the cursor's own
    mapping, so what is put into it is part of every state message (unit_tests/export/test_cursor.py).
    """

    def __init__(self, cursor: ConcurrentCursor, name: str) -> None:
        """Take over the cursor of the stream `name`."""
        self._cursor, self._name = cursor, name
        self._field = cursor.cursor_field.cursor_field_key
        self.state = cursor.state
        self._turn = threading.Lock()
        self._closing: int | None = None
        self._close_partition = cursor.close_partition
        cursor.close_partition = self._close_slice  # type: ignore[method-assign]

    @property
    def value(self) -> str:
        """The hour that the state names: a start date or, in a state of another connector, a moment."""
        return str(self.state[self._field])

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the turn: emit events and states, and change the ledger."""
        with self._turn:
            yield

    def save(self, ledger: ExportLedger) -> None:
        """Put the ledger into the state, which another thread may emit at any time."""
        self._end = ledger.end
        self.state["export"] = (
            ledger.state
        )  # one assignment: the other thread sees all or nothing of it

    def emit_state(self, ledger: ExportLedger) -> None:
        """Emit a state that covers all events so far.

        State messages go through one lock, that of the cursor's `close_partition`. It needs a slice, and a
        slice of the first hour changes nothing when it is closed.
        """
        self.save(ledger)
        origin = Window(ledger.start, ledger.start + HOUR).as_slice()
        self._observe(origin)
        self._close_partition(cast(Partition, SimpleNamespace(to_slice=lambda: origin)))

    def finish(self, stream_slice: StreamSlice) -> None:
        """Note that a slice has been read, and keep the turn until the CDK has emitted its state."""
        self._turn.acquire()
        self._closing = threading.get_ident()
        self._observe(stream_slice)

    def end_turn(self) -> None:
        """End the turn that this thread has kept since the end of a slice."""
        if self._closing == threading.get_ident():
            self._closing = None
            self._turn.release()

    def _close_slice(self, partition: Partition) -> None:
        try:
            self._close_partition(partition)
        finally:
            self.end_turn()

    def _observe(self, stream_slice: StreamSlice) -> None:
        """Tell the CDK's cursor the hour before which all events have been emitted."""
        data: dict[str, Any] = {self._field: format_hour(self._end)}
        self._cursor.observe(Record(data, self._name, associated_slice=stream_slice))
