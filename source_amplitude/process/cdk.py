"""What the connector takes from the CDK that has no public form.

For each, a test in unit_tests/test_cdk.py fails when the CDK changes it.
"""

from airbyte_cdk.utils.traced_exception import AirbyteTracedException


def sums_up_failed_streams(error: Exception) -> bool:
    """Whether a read ends with this error only because streams have failed, each with its own error."""
    return (
        isinstance(error, AirbyteTracedException)
        and error.internal_message == "Concurrent read failure"
    )
