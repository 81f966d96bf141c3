"""Build export archives, good and bad, for the tests of the decoder."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import requests


def archive(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of the given members, each gzipped, in the given order."""
    return zipped({name: gzip.compress(data, mtime=0) for name, data in members.items()}, method)


def zipped(
    members: Mapping[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip of the given members as they are; a list may have a name twice."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as zip_file:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            zip_file.writestr(zipfile.ZipInfo(name), data, method)
    return body.getvalue()


def lines(*events: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


class Body(io.RawIOBase):
    """A body that arrives `step` bytes at a time and knows how much of it was asked for."""

    def __init__(self, content: bytes, step: int) -> None:
        self._content, self._step, self.sent = content, step, 0

    def stream(self, _size: int, decode_content: bool = True) -> Iterator[bytes]:
        while self.sent < len(self._content):
            chunk = self._content[self.sent : self.sent + self._step]
            self.sent += len(chunk)
            yield chunk


def response(content: bytes, step: int = 65536) -> requests.Response:
    answer = requests.Response()
    answer.status_code = 200
    answer.headers["Content-Type"] = "application/zip"
    answer.raw = Body(content, step)
    return answer
