"""Faults on purpose: an error, a delay, or a damaged body."""

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from emulator.archive import gzip_stream, zip_archive
from emulator.messages import ZIP, Request, Response, parse_hour

HOUR = timedelta(hours=1)
ON_THE_WIRE = {"close", "hang", "cut", "cut_chunked"}
"""Kinds that affect the connection; the other kinds, in `DAMAGES`, affect the body."""


@dataclass
class Fault:
    """A fault, the requests that it affects, and how often.

    Args:
        path: the path of the requests, exactly.
        times: the number of requests, counted down; None for all.
        status, body, content_type: a response instead of the real one.
        headers: headers instead of those of the response, real or not; one without a value is left out.
        query: affect only requests with these parameters.
        hour: affect only windows of the export that contain this hour (`20240101T05`).
        only_longer_than: affect only windows of the export of more hours than this.
        kind: `html`, `empty`, `short`, `bit_flip`, `bad_crc`, `gzip_cut`, `bad_line`: a 200 with a bad body;
            `cut`, `cut_chunked`: the connection ends within the body; `close`, `hang`: before any response.
        delay: seconds to wait before the response.
        replace: returns a body made from the real one.

    Raises:
        ValueError: there is no such kind.
    """

    path: str = "/api/2/export"
    times: int | None = 1
    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    hour: str | None = None
    only_longer_than: int | None = None
    kind: str | None = None
    delay: float = 0.0
    replace: Callable[[bytes], bytes] | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in ON_THE_WIRE | set(DAMAGES):
            raise ValueError(f"no such kind of fault: {self.kind}")

    def take(self, request: Request) -> bool:
        """Return whether the fault affects a request, and count it."""
        if not self._matches(request.path, request.query):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def undo(self) -> None:
        """Do not count a request that had no body to damage."""
        if self.times is not None and self.needs_body:
            self.times += 1

    def _matches(self, path: str, query: dict[str, list[str]]) -> bool:
        if self.times == 0 or path != self.path:
            return False
        if any(query.get(name) != [value] for name, value in self.query.items()):
            return False
        if self.hour is None and self.only_longer_than is None:
            return True
        try:
            first, last = (parse_hour(query[name][0]) for name in ("start", "end"))
        except (KeyError, ValueError):
            return False
        if self.hour is not None and not first <= parse_hour(self.hour) <= last:
            return False
        return self.only_longer_than is None or last - first + HOUR > self.only_longer_than * HOUR

    @property
    def needs_body(self) -> bool:
        """Whether the fault damages a real body, and so needs a request that has one."""
        return self.replace is not None or self.kind in {"cut", "cut_chunked", *DAMAGES} - SYNTHETIC

    def damage(self, response: Response) -> Response:
        """Return the response that is sent instead of the real one."""
        body = self.replace(response.body) if self.replace else response.body
        if self.kind in DAMAGES:
            body = DAMAGES[self.kind](body)
        content_type = "text/html" if self.kind == "html" else response.content_type
        return Response(body, response.status, content_type, {**response.headers, **self.headers})


def _members(body: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _zip_like(body: bytes, members: list[tuple[str, bytes]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        at = datetime(*archive.infolist()[0].date_time, tzinfo=timezone.utc)
    return zip_archive(members, at)


def _bit_flip(body: bytes) -> bytes:
    _, data = _members(body)[0]
    at = body.index(data) + len(data) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _bad_crc(body: bytes) -> bytes:
    # The end record says where the directory begins (APPNOTE 4.3.16); a CRC is at byte 16 of an entry.
    end = body.rindex(b"PK\x05\x06")
    at = int.from_bytes(body[end + 16 : end + 20], "little") + 16
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _gzip_cut(body: bytes) -> bytes:
    (name, data), *rest = _members(body)
    return _zip_like(body, [(name, data[: len(data) // 2]), *rest])


def _bad_line(body: bytes) -> bytes:
    (name, data), *rest = _members(body)
    first, *lines = gzip.decompress(data).splitlines(keepends=True)
    # Instead of the second line, or after the only one.
    damaged = b"".join([first, b'{"user_id": "ana@example.com", \n', *lines[1:]])
    return _zip_like(body, [(name, gzip_stream(damaged)), *rest])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda _: b"<html><body>One moment, please</body></html>",
    "empty": lambda _: b"",
    "short": lambda body: body[: len(body) // 2],
    "bit_flip": _bit_flip,
    "bad_crc": _bad_crc,
    "gzip_cut": _gzip_cut,
    "bad_line": _bad_line,
}
SYNTHETIC = {"html", "empty"}
"""Kinds whose body is not made from a real one."""

EMPTY = Response(b"", 200, ZIP)
