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


def inflate(read: Callable[[int], bytes], decompressor: Callable[..., Any]) -> Iterator[bytes]:
    """Yield the inflated bytes of gzip streams that follow each other, or plain bytes as they are.

    Memory: two chunks.

    Raises:
        InflateError, zlib.error: the bytes are damaged.
        EOFError: the last stream is cut short.
    """
    data = read(CHUNK_BYTES)
    if data[:2] != GZIP_BEGINNING:
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
