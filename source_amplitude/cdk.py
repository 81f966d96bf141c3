"""What the connector takes from the CDK that has no public name, one function each.

For each, a test in unit_tests/test_cdk.py fails when the CDK changes it.
"""

from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)


def forget_state(source: ConcurrentDeclarativeSource, stream: str) -> None:
    """Build a stream as if it had no saved state."""
    states = source._connector_state_manager.per_stream_states
    del states[HashableStreamDescriptor(name=stream)]
