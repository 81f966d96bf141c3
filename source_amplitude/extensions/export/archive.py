"""A verified archive on disk: members, and their lines in blocks."""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any, NamedTuple

from source_amplitude.extensions.export.errors import DamagedArchiveError
from source_amplitude.extensions.export.inflate import InflateError, crc32, decompressobj
from source_amplitude.extensions.export.windows import Window
from source_amplitude.extensions.files import CHUNK_BYTES
from source_amplitude.extensions.times import HOUR

DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    InflateError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile and the inflater raise at bytes that are not what they should be."""

BLOCK_LINES = 1_000
"""A state lies between two blocks, so that many short lines are several."""

GZIP_WBITS = 31

DESCRIPTOR_BYTES = 24
"""What may lie between two members: a data descriptor (PKZIP application note, 4.3.9)."""

ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
"""A member; the end of an archive that has none; the same in zip64 form."""

MEMBER_NAME = re.compile(r"_(\d{4}-\d{2}-\d{2})(?:_(\d{1,2}))?(?:#\d+)?\.json(?:\.gz)?", re.ASCII)


@dataclass
class ArchiveMember:
    """A file of an archive: what it holds once inflated, and the hours its name speaks of.

    `length` and `crc32` are those of the inflated bytes, over all gzip streams.
    `window` is an hour; a day for the daily files of before 2014-11-12; None for any other name.
    """

    info: zipfile.ZipInfo
    window: Window | None
    length: int = 0
    crc32: int = 0
    inflate: Any = decompressobj

    @property
    def name(self) -> str:
        """The label in the archive; never used as a path."""
        return self.info.filename


class Block(NamedTuple):
    """Whole lines of a member, as one piece.

    `data` is None for a line that is too long. `end` and `crc32` are the length and the checksum
    of the member's bytes up to the end of the block.
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


class ExportArchive:
    """A verified export on disk, whose members are read line by line, any number of times.

    The file has no name, so that it is gone with the process however that ends.
    Memory: a chunk, a line, and about 700 bytes per member that is not empty.
    """

    def __init__(self, file: IO[bytes], max_line_bytes: int) -> None:
        """Open and verify the zip in `file`, which the archive closes.

        Raises:
            DamagedArchiveError: it is not whole.
        """
        self._file = file
        self._max_line_bytes = max_line_bytes
        try:
            self._zip = zipfile.ZipFile(file)
            self._verify_directory()
        except DAMAGE as error:
            raise DamagedArchiveError("its directory cannot be read") from error
        self.members = [
            ArchiveMember(info, window_of_name(info.filename))
            for info in self._zip.infolist()
            if info.file_size
        ]
        # Empty members may be many, and none is looked up by its name.
        self._zip.filelist.clear()
        self._zip.NameToInfo.clear()
        for member in self.members:
            self._verify(member)

    def close(self) -> None:
        """Close the file, which frees its disk space."""
        self._zip.close()
        self._file.close()

    def blocks(self, member: ArchiveMember) -> Iterator[Block]:
        """Yield a member's lines in blocks of about a chunk, and of `BLOCK_LINES` at most."""
        parts: list[bytes] = []
        held = end = crc = 0
        dropping = False
        for chunk in self._chunks(member):
            if dropping:
                rest = chunk.find(b"\n") + 1
                end, crc = end + (rest or len(chunk)), crc32(chunk[: rest or len(chunk)], crc)
                if not rest:
                    continue
                yield Block(None, end, crc)
                chunk, dropping = chunk[rest:], False
            cut = chunk.rfind(b"\n") + 1
            if cut:
                for data in whole_lines(b"".join([*parts, chunk[:cut]])):
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
        elif data := b"".join(parts):
            yield Block(data, end + len(data), crc32(data, crc))

    def prefix_crc32s(self, member: ArchiveMember, lengths: Iterable[int]) -> dict[int, int]:
        """The checksums of a member's first bytes, for each of `lengths`."""
        crcs: dict[int, int] = {}
        position = crc = 0
        chunks = self._chunks(member)
        chunk = b""
        for length in sorted(set(lengths)):
            while length > position + len(chunk):
                crc, position = crc32(chunk, crc), position + len(chunk)
                chunk = next(chunks)
            crc = crc32(chunk[: length - position], crc)
            chunk, position = chunk[length - position :], length
            crcs[length] = crc
        return crcs

    def _verify_directory(self) -> None:
        """Check that every byte before the directory belongs to a member that it lists.

        A damaged directory may leave members out.
        """
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if not 0 <= info.header_offset - end <= DESCRIPTOR_BYTES:
                raise DamagedArchiveError("its directory does not fit its members")
            self._file.seek(info.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<HH", self._file.read(4).ljust(4, b"\0"))
            end = info.header_offset + 30 + name_bytes + extra_bytes + info.compress_size
        if not 0 <= self._zip.start_dir - end <= DESCRIPTOR_BYTES:
            raise DamagedArchiveError("its directory does not fit its members")

    def _verify(self, member: ArchiveMember) -> None:
        """Read a member to its end and note its length and checksum."""
        try:
            self._measure(member)
        except DamagedArchiveError:
            # isal refuses a few headers that gzip allows.
            member.inflate = zlib.decompressobj
            self._measure(member)

    def _measure(self, member: ArchiveMember) -> None:
        member.length = member.crc32 = 0
        for chunk in self._chunks(member):
            member.length += len(chunk)
            member.crc32 = crc32(chunk, member.crc32)

    def _chunks(self, member: ArchiveMember) -> Iterator[bytes]:
        """Inflate a member, whose gzip streams follow each other, or read it as plain text."""
        try:
            with self._zip.open(member.info) as packed:
                data = packed.read(CHUNK_BYTES)
                if data[:2] != b"\x1f\x8b":
                    while data:
                        yield data
                        data = packed.read(CHUNK_BYTES)
                    return
                stream, chunk = member.inflate(wbits=GZIP_WBITS), b""
                # Once all is read, an empty input brings out what the inflater still holds.
                while (data := data or packed.read(CHUNK_BYTES // 4)) or chunk:
                    if stream.eof:
                        # Zeros may follow a stream, and another stream may follow them.
                        if not (data := data.lstrip(b"\0")):
                            chunk = b""
                            continue
                        stream = member.inflate(wbits=GZIP_WBITS)
                    if chunk := stream.decompress(data, CHUNK_BYTES):
                        yield chunk
                    data = stream.unused_data if stream.eof else stream.unconsumed_tail
                if not stream.eof:
                    raise DamagedArchiveError(f"its member {member.name!r} is cut short")
        except DAMAGE as error:
            raise DamagedArchiveError(f"its member {member.name!r} is damaged") from error


def whole_lines(data: bytes) -> list[bytes]:
    """Lines in pieces of at most `BLOCK_LINES`, nearly always one."""
    if data.count(b"\n") <= BLOCK_LINES:
        return [data]
    lines = re.findall(rb"[^\n]*\n", data)
    return [b"".join(lines[at : at + BLOCK_LINES]) for at in range(0, len(lines), BLOCK_LINES)]


def window_of_name(name: str) -> Window | None:
    """The hour, or the day, that a member's name ends with; None where it has neither."""
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


def count_members(file: IO[bytes]) -> int:
    """The number of members that a zip's end record states, before any of them is listed.

    See: PKZIP application note, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 22 - 0xFFFF))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return 0
    (count,) = struct.unpack_from("<H", tail, at + 10)
    if count == 0xFFFF and tail[at - 20 : at - 16] == b"PK\x06\x07":
        (offset,) = struct.unpack_from("<Q", tail, at - 12)
        file.seek(min(offset, size))
        record = file.read(40)
        if len(record) == 40:
            (count,) = struct.unpack_from("<Q", record, 32)
    return int(count)
