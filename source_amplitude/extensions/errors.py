"""The errors that end a stream or a command: one sentence for the user, and who can help."""

from collections.abc import Sequence

from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException


def config_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that the user can fix: an option, a key, the network, the disk, the plan.

    `message` says what happened and what to do, in whole sentences, and never contains a record, a key, a
    header or a body. The internal message is the same, after the name of the `stream`.
    """
    return traced_error(FailureType.config_error, message, stream)


def transient_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that the next sync may not meet again; `message` as for `config_error`."""
    return traced_error(FailureType.transient_error, message, stream)


def system_error(message: str, stream: str = "") -> AirbyteTracedException:
    """Return an error that needs a change of the connector; `message` as for `config_error`."""
    return traced_error(FailureType.system_error, message, stream)


def traced_error(
    failure_type: FailureType, message: str, stream: str = ""
) -> AirbyteTracedException:
    """Return an error whose failure type is known only when it happens; else use one of the three above."""
    return AirbyteTracedException(
        message=message,
        internal_message=f"{stream}: {message}" if stream else message,
        failure_type=failure_type,
    )


def malformed(stream: str, expected: str, why: str) -> AirbyteTracedException:
    """Return the system_error for a response that is not as Amplitude documents it.

    `expected` is what should have come (`list`, `table of days`), and `why` a clause without a full stop.
    """
    return system_error(
        f"Amplitude's response for {stream} is not the {expected} that its documentation promises: {why}."
        " Nothing was read from it; the next sync requests it again. If the error persists, open an issue.",
        stream,
    )


def join_errors(errors: Sequence[AirbyteTracedException]) -> AirbyteTracedException:
    """Return one error with the messages of all, each once, and the failure type of the first."""
    messages = dict.fromkeys(str(error.message) for error in errors)
    return AirbyteTracedException(
        message=" ".join(messages),
        internal_message=errors[0].internal_message,
        failure_type=errors[0].failure_type,
    )


class UnreadableStateError(AirbyteTracedException):
    """The saved state of a stream cannot be read: a config_error, because only the user can clear it.

    A state migration that cannot read a state keeps it under the key `unreadable`, and the stream's
    retriever raises this error. The migration itself must not raise: the CDK would end every stream.
    """

    def __init__(self, stream: str) -> None:
        """Name the stream, and say what to do."""
        super().__init__(
            message=f"The saved state of {stream} cannot be read: its form is not known. Clear the stream's"
            " data, or its state, and the next sync reads it from the start date on.",
            internal_message=f"unreadable state of {stream}",
            failure_type=FailureType.config_error,
        )
