"""What keeps a window from being read: the errors of the export, and the message that names its hours."""

from collections.abc import Sequence
from typing import cast

from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.export.windows import Window


class TooLargeError(Exception):
    """Amplitude or this machine cannot export a window at once; a smaller one may work."""


class UnansweredWindowError(Exception):
    """A server or gateway has failed at each attempt, with its cause; a smaller window is tried once."""


class NoRoomError(TooLargeError):
    """The archive does not fit on this machine's disk."""


class RestartError(Exception):
    """A download found no room on the disk and must start again, when no other archive is there."""


class DamagedArchiveError(Exception):
    """A response that is an archive and is not whole; a retry may bring a whole one."""


class NotAnArchiveError(Exception):
    """A response of 200 that is not an archive: its text says why, where Amplitude gave one."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        """Say what the response was, and how long a limit that it names needs; 0 if it names none."""
        super().__init__(message)
        self.wait_seconds = wait_seconds


class BadLineError(Exception):
    """A line of a member that is not an event."""


class NotJsonError(BadLineError):
    """A line that is not JSON, at least not to its end."""


Failures = list[tuple[Window, Exception]]
"""Windows that were not read, each with its cause."""


def unread_hours(name: str, failures: Failures, stopped: bool) -> AirbyteTracedException:
    """Return the error that names the hours that were not read, and the cause of the first."""
    hours = ", ".join(str(window) for window, _ in failures[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    cause = failures[0][1]
    failure_type, reason = explain(cause)
    end = " No further requests were made." if stopped else ""
    return AirbyteTracedException(
        message=f"These hours (UTC) of {name} were not read, and the next sync reads them: {hours}{more}."
        f" {reason.rstrip('.')}.{end}",
        internal_message=f"{len(failures)} windows failed, the first: {type(cause).__name__}",
        failure_type=failure_type,
    )


def explain(cause: Exception) -> tuple[FailureType, str]:
    """Return who can help, and a sentence on what happened and what to do."""
    if isinstance(cause, UnansweredWindowError) and cause.__cause__:
        cause = cast("AirbyteTracedException", cause.__cause__)
    if isinstance(cause, AirbyteTracedException):
        return cause.failure_type, cause.message or ""
    rules: Sequence[tuple[type[Exception], FailureType, str]] = (
        (
            NotAnArchiveError,
            FailureType.transient_error,
            "Amplitude's response is not the archive of these hours ({})",
        ),
        (
            BadLineError,
            FailureType.system_error,
            "{}: set `on_bad_record` to `skip` to leave out such lines",
        ),
        (
            DamagedArchiveError,
            FailureType.transient_error,
            "The archive is not whole ({}); if the error persists, use Amplitude's S3 export",
        ),
        (NoRoomError, FailureType.config_error, "The export of this hour does not fit on disk: {}"),
        (
            TooLargeError,
            FailureType.transient_error,
            "Amplitude does not export even a single hour ({}); if the error persists, use Amplitude's"
            " S3 export",
        ),
    )
    return next(
        (failure_type, sentence.format(cause))
        for kind, failure_type, sentence in rules
        if isinstance(cause, kind)
    )
