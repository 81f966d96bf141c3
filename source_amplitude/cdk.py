"""What the connector takes from the CDK that has no public name or form, one function each.

For each, a test in unit_tests/test_cdk.py fails when the CDK changes it.
"""

from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException


def forget_state(source: ConcurrentDeclarativeSource, stream: str) -> None:
    """Build a stream as if it had no saved state."""
    states = source._connector_state_manager.per_stream_states
    del states[HashableStreamDescriptor(name=stream)]


def sums_up_failed_streams(error: Exception) -> bool:
    """Whether a read ends with this error only because streams have failed, each with its own error."""
    return (
        isinstance(error, AirbyteTracedException)
        and error.internal_message == "Concurrent read failure"
    )
