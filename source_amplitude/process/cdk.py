"""What the connector relies on in the CDK that is not public.

A test in unit_tests/test_cdk.py fails if the CDK changes it.
"""

from airbyte_cdk.utils.traced_exception import AirbyteTracedException


def sums_up_failed_streams(error: Exception) -> bool:
    """Return whether this is the CDK's last error of a read, which sums up the errors of the streams."""
    return (
        isinstance(error, AirbyteTracedException)
        and error.internal_message == "Concurrent read failure"
    )
