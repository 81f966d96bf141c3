"""A response becomes an archive on disk."""

import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping, MutableMapping
from dataclasses import InitVar, dataclass
from functools import partial
from typing import IO, Any

import requests
from airbyte_cdk.sources.declarative.decoders.decoder import Decoder

from source_amplitude.extensions.export.archive import ZIP_BEGINNINGS, ExportArchive
from source_amplitude.extensions.export.disk import DiskSpace
from source_amplitude.extensions.export.errors import DamagedArchiveError, no_archive
from source_amplitude.extensions.export.events import parse_event
from source_amplitude.extensions.files import CHUNK_BYTES, temporary_file


@dataclass
class ExportDecoder(Decoder):
    """Turn a response of the Export API into an archive on disk, and that into events.

    Input: a zip archive; each member is gzip of newline-separated JSON objects, UTF-8, in one or
    several gzip streams, or such lines as they are.
    Output: one dict per line, in the archive's order; the seven times become RFC 3339 (UTC, six
    decimals).
    Memory: a chunk and a line. The body lies in an unnamed temporary file until it has been read.
    Nothing is emitted of an archive that is not whole.

    `max_line_bytes`, 64 MiB, bounds a line; a longer one counts as a bad line.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_line_bytes: int = 64 * 1024 * 1024

    def is_stream_response(self) -> bool:  # noqa: D102
        return True

    def decode(
        self, response: requests.Response
    ) -> Generator[MutableMapping[str, Any], None, None]:
        """Yield the events of a response.

        Raises:
            DamagedArchiveError: the archive is not whole.
            NoArchiveError: the response is none.
            BadLineError: a line is no event.
        """
        archive = self.open(self.spool(response))
        try:
            for member in archive.members:
                for block in archive.blocks(member):
                    for line in (block.data or b"").split(b"\n"):
                        if event := parse_event(line, True, Counter()):
                            yield event
        finally:
            archive.close()

    def spool(
        self,
        response: requests.Response,
        write: Callable[[IO[bytes], bytes], None] | None = None,
    ) -> IO[bytes]:
        """Write the body of a response to disk in chunks, through `write` where it is given.

        Raises:
            DamagedArchiveError: the connection ended early.
            NoArchiveError: the body is no zip.
        """
        write = write or partial(DiskSpace(sys.maxsize).write, None)
        with response:
            file = temporary_file(buffering=0)
            try:
                for chunk in response.iter_content(CHUNK_BYTES):
                    write(file, chunk)
                file.seek(0)
                beginning = file.read(CHUNK_BYTES)
                if beginning[:4] not in ZIP_BEGINNINGS:
                    raise no_archive(response, beginning)
            except requests.RequestException as error:
                file.close()
                raise DamagedArchiveError("the connection ended early") from error
            except BaseException:
                file.close()
                raise
        return file

    def open(self, file: IO[bytes]) -> ExportArchive:
        """Open and verify a body on disk.

        Raises:
            DamagedArchiveError: its directory or checksums are wrong, or a member is cut short.
        """
        try:
            return ExportArchive(file, self.max_line_bytes)
        except BaseException:
            file.close()
            raise
