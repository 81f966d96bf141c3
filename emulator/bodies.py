"""The ways in which an export's body arrives damaged."""

import gzip
import io
import zipfile
from collections.abc import Callable

ZIP = "application/zip"


def _members(body: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _zip(members: list[tuple[str, bytes]]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return body.getvalue()


def _bit_flip(body: bytes) -> tuple[bytes, str]:
    _, data = _members(body)[0]
    at = body.index(data) + len(data) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], ZIP


def _bad_crc(body: bytes) -> tuple[bytes, str]:
    at = body.index(b"PK\x01\x02") + 16
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], ZIP


def _gzip_cut(body: bytes) -> tuple[bytes, str]:
    (name, data), *rest = _members(body)
    return _zip([(name, data[: len(data) // 2]), *rest]), ZIP


def _bad_line(body: bytes) -> tuple[bytes, str]:
    (name, data), *rest = _members(body)
    first, *lines = gzip.decompress(data).splitlines(keepends=True)
    spoilt = b"".join([first, b'{"user_id": "ana@example.com", \n', *lines])
    return _zip([(name, gzip.compress(spoilt, mtime=0)), *rest]), ZIP


KINDS: dict[str, Callable[[bytes], tuple[bytes, str]]] = {
    "html": lambda _: (b"<html><body>One moment, please</body></html>", "text/html"),
    "empty": lambda _: (b"", ZIP),
    "short": lambda body: (body[: len(body) // 2], ZIP),
    "bit_flip": _bit_flip,
    "bad_crc": _bad_crc,
    "gzip_cut": _gzip_cut,
    "bad_line": _bad_line,
}
