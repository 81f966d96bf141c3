"""Record messages as the bytes that are written, one by one or in batches."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from airbyte_cdk.models import AirbyteMessage, Type
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor


class RecordBatch(AirbyteMessage):
    """Many record messages of one stream, serialized: `payload` is whole lines, ready to be written."""

    def __init__(self, stream: str, records: Sequence[Mapping[str, Any]], emitted_at: int) -> None:
        """Serialize the records as `serialize_record` does; `emitted_at` is in milliseconds since 1970."""
        super().__init__(type=Type.RECORD)
        self.stream = HashableStreamDescriptor(name=stream, namespace=None)
        self.count = len(records)
        # Everything but the data is the same in each record, so it is serialized once.
        shared = to_json({"stream": stream, "emitted_at": emitted_at})[:-1]
        start, end = b'{"type":"RECORD","record":' + shared + b',"data":', b"}}\n"
        self.payload = start + (end + start).join(map(to_json, records)) + end


def serialize_record(stream: str, data: Mapping[str, Any], emitted_at: int) -> bytes:
    """Return a record message as one line of JSON, without the line end.

    Null values are kept, integers are exact, and half a surrogate pair becomes U+FFFD. `emitted_at` is in
    milliseconds since 1970.
    """
    message = {
        "type": "RECORD",
        "record": {"stream": stream, "data": data, "emitted_at": emitted_at},
    }
    return to_json(message)


def to_json(value: Any) -> bytes:
    """Return a value as one line of JSON, with exact integers."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits, or half a surrogate pair
        return valid(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def valid(text: str) -> str:
    """Replace half a surrogate pair by U+FFFD: JSON can spell it, but UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
