"""The error that names the hours that were not read: who can help is told by its class, not by its words."""

from datetime import datetime, timezone

import pytest
from airbyte_cdk.models import FailureType

from source_amplitude.extensions.export.errors import (
    BadLineError,
    DamagedArchiveError,
    NoRoomError,
    NotAnArchiveError,
    TooLargeError,
    unread_hours,
)
from source_amplitude.extensions.export.windows import Window
from source_amplitude.extensions.times import HOUR

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("cause", "failure_type"),
    [
        (NoRoomError("any words"), FailureType.config_error),
        (TooLargeError("TMPDIR and max_bytes_on_disk"), FailureType.transient_error),
        (DamagedArchiveError("any words"), FailureType.transient_error),
        (NotAnArchiveError("any words"), FailureType.transient_error),
        (BadLineError("any words"), FailureType.system_error),
    ],
)
def test_the_failure_type_is_that_of_the_cause(cause: Exception, failure_type: FailureType) -> None:
    error = unread_hours("events", [(Window(START, START + HOUR), cause)], stopped=False)

    assert error.failure_type == failure_type
    assert str(cause) in str(error.message)
    assert "20240101T00 to 20240101T00" in str(error.message)


def test_five_windows_are_named_and_the_others_counted() -> None:
    windows = list(Window(START, START + 12 * HOUR).pieces(1))
    failures = [(window, DamagedArchiveError("cut")) for window in windows]

    message = str(unread_hours("events", list(failures), stopped=True).message)

    assert "20240101T04 to 20240101T04 and 7 more. " in message
    assert message.endswith(" No further requests were made.")
