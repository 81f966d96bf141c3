"""What goes wrong on purpose: an error, a delay, or a body that arrives damaged."""

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
"""Kinds that the server acts out; the others are in `DAMAGES`."""


@dataclass
class Fault:
    """What goes wrong, where, and how often.

    Args:
        path: the path it strikes, exactly.
        times: how often, counted down as it strikes; None is always.
        status, body, content_type: the response in place of the true one.
        headers: headers in place of those of the response, true or not; one without a value is left out.
        query: strikes only requests with these parameters.
        hour: strikes only windows of the export that hold this hour (`20240101T05`).
        only_longer_than: strikes only windows of the export of more hours.
        kind: `html`, `empty`, `short`, `bit_flip`, `bad_crc`, `gzip_cut`, `bad_line`: a 200 with a bad body;
            `cut`, `cut_chunked`: the connection ends within the body; `close`, `hang`: without any response.
        delay: seconds to wait before.
        replace: makes the body from the true one.
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
        """Strike a request if it is its turn, and count that."""
        if not self._strikes(request.path, request.query):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def give_back(self) -> None:
        """Take back a strike that found no body to damage."""
        if self.times is not None and self.needs_body:
            self.times += 1

    def _strikes(self, path: str, query: dict[str, list[str]]) -> bool:
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
        """Whether it damages a true body, and so waits for a request that has one."""
        return self.replace is not None or self.kind in {"cut", "cut_chunked", *DAMAGES} - MADE_UP

    def spoil(self, response: Response) -> Response:
        """The response that is sent in place of the true one."""
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
    # Where the directory begins, from the end record (APPNOTE 4.3.16); the CRC is 16 bytes into an entry.
    end = body.rindex(b"PK\x05\x06")
    at = int.from_bytes(body[end + 16 : end + 20], "little") + 16
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _gzip_cut(body: bytes) -> bytes:
    (name, data), *rest = _members(body)
    return _zip_like(body, [(name, data[: len(data) // 2]), *rest])


def _bad_line(body: bytes) -> bytes:
    (name, data), *rest = _members(body)
    first, *lines = gzip.decompress(data).splitlines(keepends=True)
    # In place of the second line, or after the only one.
    spoilt = b"".join([first, b'{"user_id": "ana@example.com", \n', *lines[1:]])
    return _zip_like(body, [(name, gzip_stream(spoilt)), *rest])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda _: b"<html><body>One moment, please</body></html>",
    "empty": lambda _: b"",
    "short": lambda body: body[: len(body) // 2],
    "bit_flip": _bit_flip,
    "bad_crc": _bad_crc,
    "gzip_cut": _gzip_cut,
    "bad_line": _bad_line,
}
MADE_UP = {"html", "empty"}
"""Kinds whose body does not come from a true one."""

EMPTY = Response(b"", 200, ZIP)
