"""Record messages as the bytes that are written, many of them in one message."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from airbyte_cdk.models import AirbyteMessage, Type
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor


class RecordBatch(AirbyteMessage):
    """Serialized records of one stream: many messages in one."""

    def __init__(self, stream: str, records: Sequence[Mapping[str, Any]], emitted_at: int) -> None:
        """Serialize the records as `serialize_record` does, with what they share only once."""
        super().__init__(type=Type.RECORD)
        self.stream = HashableStreamDescriptor(name=stream, namespace=None)
        self.count = len(records)
        shared = to_json({"stream": stream, "emitted_at": emitted_at})[:-1]
        start, end = b'{"type":"RECORD","record":' + shared + b',"data":', b"}}\n"
        self.payload = start + (end + start).join(map(to_json, records)) + end


def serialize_record(stream: str, data: Mapping[str, Any], emitted_at: int) -> bytes:
    """A record message as JSON in one line without its end; nulls are kept, and integers are exact.

    Half a surrogate pair becomes U+FFFD.
    `emitted_at` is in milliseconds since 1970.
    """
    message = {
        "type": "RECORD",
        "record": {"stream": stream, "data": data, "emitted_at": emitted_at},
    }
    return to_json(message)


def to_json(value: Any) -> bytes:
    """A value as JSON in one line; integers are exact."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits, or half a surrogate pair
        return valid(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def valid(text: str) -> str:
    """A text with U+FFFD for half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
