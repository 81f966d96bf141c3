"""The stock connector's transformation: seven times through the CDK's datetime parser."""

from typing import Any

from airbyte_cdk.sources.declarative.transformations import RecordTransformation
from airbyte_cdk.utils.datetime_helpers import ab_datetime_parse

TIMES = (
    "client_event_time",
    "client_upload_time",
    "event_time",
    "processed_time",
    "server_received_time",
    "server_upload_time",
    "user_creation_time",
)


class Rfc3339(RecordTransformation):
    """Turn the export's times into RFC 3339."""

    def transform(
        self,
        record: dict[str, Any],
        config: Any = None,
        stream_state: Any = None,
        stream_slice: Any = None,
    ) -> None:
        for key in TIMES:
            if record.get(key):
                record[key] = ab_datetime_parse(record[key]).isoformat(timespec="microseconds")
