"""A response becomes an archive on disk."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from dataclasses import InitVar, dataclass
from itertools import chain
from typing import IO, Any

import requests
from airbyte_cdk.sources.declarative.decoders.decoder import Decoder

from source_amplitude.extensions.authenticator import ERROR_BYTES
from source_amplitude.extensions.export.archive import ZIP_BEGINNINGS, ExportArchive
from source_amplitude.extensions.export.error_handler import not_an_archive
from source_amplitude.extensions.export.errors import DamagedArchiveError
from source_amplitude.extensions.export.events import parse_event
from source_amplitude.extensions.files import CHUNK_BYTES, temporary_file, write_whole


def first_bytes(chunks: Iterator[bytes], size: int) -> bytes:
    """Return the next chunks, until there are `size` bytes."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= size:
            break
    return data


@dataclass
class ExportDecoder(Decoder):
    """Turn a response of the Export API into an archive on disk, and an archive into events.

    Input: a zip archive; each member is gzip of newline-separated JSON objects, UTF-8, in one or several gzip
    streams, or such lines as they are.
    Output: one dict per line, in the archive's order; the seven times become RFC 3339 (UTC, six decimals).
    Memory: a chunk and a line. The body lies in an unnamed temporary file until it has been read.
    Nothing is emitted of an archive that is not whole.

    `max_line_bytes`, 64 MiB, bounds a line; a longer one counts as a bad line.

    See: https://amplitude.com/docs/apis/analytics/export
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None
    max_line_bytes: int = 64 * 1024 * 1024

    def is_stream_response(self) -> bool:
        """Have the body left unread, for `spool`."""
        return True

    def decode(
        self, response: requests.Response
    ) -> Generator[MutableMapping[str, Any], None, None]:
        """Yield the events of a response.

        The retriever calls `spool` and `open` instead; this is for whoever uses the decoder alone.

        Raises:
            DamagedArchiveError: the archive is not whole.
            NotAnArchiveError: the response is not an archive.
            BadLineError: a line is not an event.
        """
        archive = self.open(self.spool(response))
        try:
            for member in archive.members:
                for block in member.blocks():
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
        """Write the body of a response to disk in chunks, through `write` if it is given.

        Raises:
            DamagedArchiveError: the connection ended early.
            NotAnArchiveError: the body is not a zip.
        """
        with response:
            file = temporary_file(buffering=0)
            try:
                chunks = response.iter_content(CHUNK_BYTES)
                beginning = first_bytes(chunks, 4)
                if beginning[:4] not in ZIP_BEGINNINGS:
                    raise not_an_archive(response, beginning + first_bytes(chunks, ERROR_BYTES))
                for chunk in chain([beginning], chunks):
                    (write or write_whole)(file, chunk)
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
