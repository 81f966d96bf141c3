"""Inflate gzip, by zlib or, where the extra `fast` is installed, by isal: the same bytes, faster."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from source_amplitude.extensions.files import CHUNK_BYTES

fastest: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    fastest = isal_zlib
crc32 = fastest.crc32
decompressobj = fastest.decompressobj
InflateError: Any = fastest.error

GZIP_WBITS = 31
"""zlib's number for a stream with the header and trailer of gzip."""
GZIP_BEGINNING = b"\x1f\x8b"
BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first object of a plain file: a byte order mark and blanks."""


class NotEventsError(Exception):
    """Bytes that are neither gzip nor lines of JSON objects: another compression, or an error of a server."""


def crc32_of_both(first: int, second: int, second_length: int) -> int:
    """Return the checksum of two pieces as one, from the checksum of each and the length of the second.

    CRC-32 is linear: a beginning and an end each change the checksum of as many zeros in their own way.
    """
    shifted, zeros = first, 0
    for start in range(0, second_length, CHUNK_BYTES):
        block = bytes(min(CHUNK_BYTES, second_length - start))
        shifted, zeros = crc32(block, shifted), crc32(block, zeros)
    return int(shifted ^ zeros ^ second)


def inflate(read: Callable[[int], bytes], decompressor: Callable[..., Any]) -> Iterator[bytes]:
    """Yield the inflated bytes of gzip streams that follow each other, or plain bytes as they are.

    Memory: two chunks.

    Raises:
        InflateError, zlib.error: the bytes are damaged.
        EOFError: the last stream is cut short.
        NotEventsError: the bytes are of another kind.
    """
    data = read(CHUNK_BYTES)
    if data[:2] != GZIP_BEGINNING:
        if data.lstrip(BEFORE_JSON)[:1] not in (b"", b"{"):
            raise NotEventsError
        while data:
            yield data
            data = read(CHUNK_BYTES)
        return
    stream, chunk = decompressor(wbits=GZIP_WBITS), b""
    while True:
        # A quarter, since gzip makes at least four of a byte: then one call inflates what one has read.
        data = data or read(CHUNK_BYTES // 4)
        if not (data or chunk):
            break
        if stream.eof:
            # Zeros may follow a stream, and another stream may follow them.
            data = data.lstrip(b"\0")
            if not data:
                chunk = b""
                continue
            stream = decompressor(wbits=GZIP_WBITS)
        # After the last input, b"" brings out what the inflater still holds, until it returns nothing.
        chunk = stream.decompress(data, CHUNK_BYTES)
        if chunk:
            yield chunk
        data = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise EOFError("a gzip stream is cut short")
