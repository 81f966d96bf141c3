"""JSON values in the binary form of Spark's variants.

See: https://github.com/apache/parquet-format/blob/master/VariantEncoding.md
"""

import struct
from functools import lru_cache
from itertools import accumulate
from typing import Any

from source_amplitude.process.messages import valid

NULL, TRUE, FALSE = b"\x00", b"\x04", b"\x08"
INTEGERS = {1: b"\x0c", 2: b"\x10", 4: b"\x14", 8: b"\x18"}
"""The headers of integers, by their bytes."""
DOUBLE, DECIMAL, LONG_STRING = b"\x1c", b"\x28\x00", b"\x40"
MOST_DECIMAL = 10**38


def encode_variant(value: Any) -> tuple[bytes, bytes]:
    """The value and the metadata, which holds the names of all objects within; memory: twice the text.

    Numbers are exact: an integer of more than 64 bits is a decimal.

    Raises:
        ValueError: an integer of more than 38 digits.
    """
    names: dict[str, int] = {}
    data = _encode(value, names)
    return data, _metadata(*names)


@lru_cache(1_024)
def _metadata(*names: str) -> bytes:
    width, offsets, content = _joined([_text(name) for name in names])
    return bytes([1 | width - 1 << 6]) + _packed([len(names)], width) + offsets + content


def _encode(value: Any, names: dict[str, int]) -> bytes:
    if isinstance(value, str):
        text = _text(value)
        if len(text) < 64:
            return bytes([len(text) << 2 | 1]) + text
        return LONG_STRING + len(text).to_bytes(4, "little") + text
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int):
        for width, header in INTEGERS.items():
            if -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
                return header + value.to_bytes(width, "little", signed=True)
        if abs(value) >= MOST_DECIMAL:
            raise ValueError("an integer has more than 38 digits")
        return DECIMAL + value.to_bytes(16, "little", signed=True)
    if isinstance(value, float):
        return DOUBLE + struct.pack("<d", value)
    if isinstance(value, list):
        width, offsets, content = _joined([_encode(item, names) for item in value])
        large = len(value) > 255
        size = _packed([len(value)], 4 if large else 1)
        return bytes([(large << 2 | width - 1) << 2 | 3]) + size + offsets + content
    # Spark looks names up in the order of Java's strings, which is that of UTF-16.
    order = None if "".join(value).isascii() else _utf_16
    ids = {name: names.setdefault(name, len(names)) for name in sorted(value, key=order)}
    width, offsets, content = _joined([_encode(value[name], names) for name in ids])
    large = len(ids) > 255
    id_width = _width(max(ids.values(), default=0))
    header = bytes([(large << 4 | id_width - 1 << 2 | width - 1) << 2 | 2])
    return b"".join(
        [
            header,
            _packed([len(ids)], 4 if large else 1),
            _packed(list(ids.values()), id_width),
            offsets,
            content,
        ]
    )


def _joined(parts: list[bytes]) -> tuple[int, bytes, bytes]:
    """The bytes of an offset, the offsets, and the parts that they point into."""
    offsets = [0, *accumulate(map(len, parts))]
    width = _width(max(offsets[-1], len(parts)))
    return width, _packed(offsets, width), b"".join(parts)


def _packed(numbers: list[int], width: int) -> bytes:
    if width == 1:
        return bytes(numbers)
    return b"".join([number.to_bytes(width, "little") for number in numbers])


def _width(number: int) -> int:
    return (number.bit_length() + 7) // 8 or 1


def _text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return valid(text).encode()


def _utf_16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")
