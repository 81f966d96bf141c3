"""Build export archives like a recorded one: gzip streams, stored in a zip."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

FNAME = 8
"""The flag of gzip for a file name after the header (RFC 1952, 2.3.1)."""


def gzip_stream(data: bytes, *, level: int = 6, mtime: int = 0, name: str = "") -> bytes:
    """Return one gzip stream with the recorded header: no time, no name, an unknown system (255)."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = b"\x1f\x8b\x08" + bytes([FNAME if name else 0]) + mtime.to_bytes(4, "little")
    trailer = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    file_name = name.encode() + b"\0" if name else b""
    body = deflate.compress(data) + deflate.flush()
    return header + b"\0\xff" + file_name + body + trailer


def gzip_member(lines: Sequence[bytes], streams: int = 1, **form: Any) -> bytes:
    """Return the lines as `streams` gzip streams, one after the other."""
    size = -(-len(lines) // streams)
    parts = [lines[at : at + size] for at in range(0, len(lines), size)]
    return b"".join(gzip_stream(b"".join(line + b"\n" for line in part), **form) for part in parts)


def zip_archive(members: Iterable[tuple[str, bytes]], at: datetime) -> bytes:
    """Return a zip of stored members; sizes and checksum follow each in a signed data descriptor (flag 8)."""
    body = _Pipe()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, at.timetuple()[:6]), data)
    return body.getvalue()


class _Pipe(io.BytesIO):
    """A file that cannot seek, so that zipfile writes data descriptors."""

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")
