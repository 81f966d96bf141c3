"""The errors that a sync ends with."""

from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException


class UnreadableStateError(AirbyteTracedException):
    """A saved state of no known form: config_error, since only its owner can decide what to do.

    A state migration keeps such a state under `unreadable`, and the stream's retriever raises: an
    error in the migration would end the streams that have nothing to do with it.
    """

    def __init__(self, stream: str) -> None:
        """Name the stream and the way out."""
        super().__init__(
            message=f"The saved state of {stream} cannot be read: it has no known form. Clear the"
            " stream's data, or its state, and the next sync reads it from the start date on.",
            internal_message=f"unreadable state of {stream}",
            failure_type=FailureType.config_error,
        )
