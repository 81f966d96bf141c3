"""A member: a file of events, its bytes in blocks of lines, and the hours that its name tells."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from source_amplitude.extensions.export.inflate import crc32
from source_amplitude.extensions.export.windows import Window
from source_amplitude.extensions.times import HOUR

BLOCK_LINES = 1_000
"""Lines of a block at most: a state can only be emitted between two blocks, and short lines are many."""
MEMBER_NAME = re.compile(r"_(\d{4}-\d{2}-\d{2})(?:_(\d{1,2}))?(?:#\d+)?\.json(?:\.gz)?$", re.ASCII)


class Block(NamedTuple):
    """Whole lines of a member, as one piece.

    `data` is None for a line that is too long. `end` and `crc32` are the length and the checksum of the
    member's bytes up to the end of the block.
    """

    data: bytes | None
    end: int
    crc32: int

    @property
    def lines(self) -> list[bytes] | list[None]:
        """The lines without their ends."""
        if self.data is None:
            return [None]
        lines = self.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines


class Member(ABC):
    """A file of newline-separated JSON, known by the length and checksum of its inflated bytes.

    `window` is an hour; a day for the daily files of before 2014-11-12; None for a name of neither form.
    Memory: a chunk and a line.
    """

    def __init__(self, name: str, max_line_bytes: int) -> None:
        """Take a name, which is only a label and never used as a path."""
        self.name = name
        self.window = window_of_name(name)
        self.length = self.crc32 = 0
        self._max_line_bytes = max_line_bytes

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """Yield the inflated bytes, from the first one, as often as it is called."""

    def measure(self) -> None:
        """Read the member to its end, and note its length and checksum."""
        self.length = self.crc32 = 0
        for chunk in self.chunks():
            self.length += len(chunk)
            self.crc32 = crc32(chunk, self.crc32)

    def blocks(self) -> Iterator[Block]:
        """Yield the lines in blocks of about a chunk, and of `BLOCK_LINES` at most."""
        parts: list[bytes] = []
        held = end = crc = 0
        dropping = False
        for chunk in self.chunks():
            if dropping:  # the rest of a line that is too long
                rest = chunk.find(b"\n") + 1
                dropped = chunk[:rest] if rest else chunk
                end, crc = end + len(dropped), crc32(dropped, crc)
                if not rest:
                    continue
                yield Block(None, end, crc)
                chunk, dropping = chunk[rest:], False
            cut = chunk.rfind(b"\n") + 1
            if cut:
                for data in pieces_of_lines(b"".join([*parts, chunk[:cut]])):
                    end, crc = end + len(data), crc32(data, crc)
                    yield Block(data, end, crc)
                parts, held = [], 0
            parts.append(chunk[cut:])
            held += len(chunk) - cut
            if held > self._max_line_bytes:
                dropped = b"".join(parts)
                end, crc = end + len(dropped), crc32(dropped, crc)
                parts, held, dropping = [], 0, True
        if dropping:
            yield Block(None, end, crc)
        elif data := b"".join(parts):  # a last line without an end
            yield Block(data, end + len(data), crc32(data, crc))

    def prefix_crc32s(self, lengths: Iterable[int]) -> dict[int, int]:
        """Return the checksum of the first bytes for each of `lengths`, none over the member's own."""
        crcs: dict[int, int] = {}
        position = crc = 0
        chunks = self.chunks()
        chunk = b""
        for length in sorted(set(lengths)):
            while length > position + len(chunk):
                crc, position = crc32(chunk, crc), position + len(chunk)
                chunk = next(chunks)
            crc = crc32(chunk[: length - position], crc)
            chunk, position = chunk[length - position :], length
            crcs[length] = crc
        return crcs


def pieces_of_lines(data: bytes) -> list[bytes]:
    """Cut whole lines into pieces of at most `BLOCK_LINES`, nearly always one."""
    if data.count(b"\n") <= BLOCK_LINES:
        return [data]
    lines = re.findall(rb"[^\n]*\n", data)
    return [b"".join(lines[at : at + BLOCK_LINES]) for at in range(0, len(lines), BLOCK_LINES)]


def window_of_name(name: str) -> Window | None:
    """Return the hour, or the day, that a member's name ends with; None if it ends with neither.

    `481920/481920_2024-01-01_5#0.json.gz` is the hour from 5 am, UTC; `481920_2014-11-01.json` is that day.
    """
    if match := MEMBER_NAME.search(name):
        try:
            day = datetime.strptime(match[1], "%Y-%m-%d").replace(tzinfo=timezone.utc)
            if match[2] is None:
                return Window(day, day + 24 * HOUR)
            start = day + int(match[2]) * HOUR
            return Window(start, start + HOUR) if start.date() == day.date() else None
        except (ValueError, OverflowError):
            pass
    return None
