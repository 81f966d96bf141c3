"""A verified archive on disk, and its members."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from source_amplitude.extensions.export.errors import DamagedArchiveError
from source_amplitude.extensions.export.inflate import (
    InflateError,
    NotEventsError,
    decompressobj,
    inflate,
)
from source_amplitude.extensions.export.member import Member
from source_amplitude.extensions.files import unusable_folder

DAMAGED_MEMBER_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    InflateError,
    EOFError,
    NotEventsError,
    NotImplementedError,  # an encryption or compression that zipfile does not know
    UnicodeDecodeError,  # a name
    struct.error,
)
"""What zipfile and the inflater raise at bytes that are not what they should be."""
DAMAGED_DIRECTORY_ERRORS = (
    *DAMAGED_MEMBER_ERRORS,
    ValueError,  # an offset before the beginning of the file
    OverflowError,
    OSError,  # the same
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions of Amplitude's archives; bz2 and lzma would report damage as other errors."""
ENCRYPTED = 0x1
EMPTY_DEFLATED_BYTES = 2
DESCRIPTOR_BYTES = 24
"""What may lie between two members: a data descriptor (PKZIP application note, 4.3.9)."""
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
"""A member; the end of an archive that has none; the same in zip64 form."""


class ArchiveMember(Member):
    """A member of an archive on disk."""

    def __init__(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_line_bytes: int
    ) -> None:
        """Measure the member, and so verify it.

        Raises:
            DamagedArchiveError: it is not whole.
        """
        super().__init__(info.filename, max_line_bytes)
        self._archive, self._info = archive, info
        self._decompressor: Any = decompressobj
        try:
            self.measure()
        except DamagedArchiveError:
            # isal refuses a few headers that gzip allows.
            self._decompressor = zlib.decompressobj
            self.measure()

    def chunks(self) -> Iterator[bytes]:
        """Yield the inflated bytes.

        Raises:
            DamagedArchiveError: they are damaged or cut short.
            AirbyteTracedException: config_error, the folder for temporary files cannot be read.
        """
        try:
            with self._archive.open(self._info) as packed:
                yield from inflate(packed.read, self._decompressor)
        except DAMAGED_MEMBER_ERRORS as error:
            raise DamagedArchiveError(f"its member {self.name!r} is damaged") from error
        except OSError as error:
            raise unusable_folder("Cannot read from", error) from error


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
        try:
            self._zip = zipfile.ZipFile(file)
        except DAMAGED_DIRECTORY_ERRORS as error:
            raise DamagedArchiveError("its directory cannot be read") from error
        self._verify_directory()
        infos = [info for info in self._zip.infolist() if not is_empty(info)]
        # Empty members may be many, and none is looked up by its name.
        self._zip.filelist.clear()
        self._zip.NameToInfo.clear()
        self.members = [ArchiveMember(self._zip, info, max_line_bytes) for info in infos]

    def close(self) -> None:
        """Close the file, which frees its disk space."""
        self._zip.close()
        self._file.close()

    def _verify_directory(self) -> None:
        """Check that every byte before the directory belongs to a member that it lists.

        A damaged directory may leave members out.
        """
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if not 0 <= info.header_offset - end <= DESCRIPTOR_BYTES:
                raise DamagedArchiveError("its directory does not fit its members")
            if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
                raise DamagedArchiveError(f"its member {info.filename!r} is packed in another way")
            self._file.seek(info.header_offset + 26)
            lengths = self._file.read(4).ljust(4, b"\0")
            name_bytes, extra_bytes = struct.unpack("<HH", lengths)
            end = info.header_offset + 30 + name_bytes + extra_bytes + info.compress_size
        if not 0 <= self._zip.start_dir - end <= DESCRIPTOR_BYTES:
            raise DamagedArchiveError("its directory does not fit its members")


def is_empty(info: zipfile.ZipInfo) -> bool:
    """Whether a member has no bytes.

    Raises:
        DamagedArchiveError: its size and its packed bytes contradict each other; zipfile would read nothing.
    """
    if info.file_size:
        return False
    if info.CRC or info.compress_size > EMPTY_DEFLATED_BYTES:
        raise DamagedArchiveError(f"its directory has no size for the member {info.filename!r}")
    return True


def count_members(file: IO[bytes]) -> int:
    """Return the number of members that a zip's end record states, before any of them is listed.

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
