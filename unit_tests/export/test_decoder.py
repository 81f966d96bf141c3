"""The export's decoder: archives into events, or a clear error."""

import gzip
import json
import random
import tempfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from source_amplitude.extensions.export import archive as archives_room
from source_amplitude.extensions.export import decoder as decoders_room
from source_amplitude.extensions.export import inflate as inflate_room
from source_amplitude.extensions.export.decoder import ExportDecoder
from source_amplitude.extensions.export.errors import (
    BadLineError,
    DamagedArchiveError,
    NotAnArchiveError,
)
from source_amplitude.extensions.export.member import window_of_name
from source_amplitude.extensions.files import CHUNK_BYTES
from source_amplitude.extensions.times import rfc3339
from unit_tests.support.archives import archive, lines, response, zipped

NAME = "481920/481920_2024-01-01_5#0.json.gz"
EVENTS = [{"uuid": str(number), "event_properties": {"é": number}} for number in range(5)]


def decode(content: bytes, step: int = 65536, **options: Any) -> list[Any]:
    config = options.pop("config", {})
    return list(ExportDecoder(config=config, **options).decode(response(content, step)))


def named_gzip(data: bytes) -> bytes:
    """A gzip stream whose header has all optional fields (RFC 1952, 2.3.1), longer than one read."""
    plain = gzip.compress(data, mtime=0)
    header = b"\x1f\x8b\x08\x1f" + plain[4:10] + b"\x04\0abcd" + b"n" * 20_000 + b"\0comment\0"
    return header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + plain[10:]


GOOD = {
    "stored": archive({NAME: lines(*EVENTS)}),
    "deflated": archive({NAME: lines(*EVENTS)}, zipfile.ZIP_DEFLATED),
    "two members": archive({NAME: lines(*EVENTS[:2]), "b": lines(*EVENTS[2:])}),
    "an empty member": archive({"empty": b"", NAME: lines(*EVENTS)}),
    "a folder": zipped({"481920/": b"", NAME: gzip.compress(lines(*EVENTS))}),
    "no newline at the end": archive({NAME: lines(*EVENTS)[:-1]}),
    "blank lines": archive({NAME: lines(*EVENTS).replace(b"\n", b"\n\n")}),
    "windows line ends": archive({NAME: lines(*EVENTS).replace(b"\n", b"\r\n")}),
    "several gzip streams": zipped(
        {NAME: gzip.compress(lines(*EVENTS[:3])) + gzip.compress(lines(*EVENTS[3:]))}
    ),
    "plain lines": zipped({NAME: lines(*EVENTS)}),
    "zeros after gzip": zipped({NAME: gzip.compress(lines(*EVENTS)) + bytes(70_000)}),
    "zeros between gzip streams": zipped(
        {NAME: gzip.compress(lines(*EVENTS[:3])) + bytes(9) + gzip.compress(lines(*EVENTS[3:]))}
    ),
    "a gzip header with a name and a checksum": zipped({NAME: named_gzip(lines(*EVENTS))}),
    "many spaces": archive({NAME: lines(*EVENTS).replace(b'"uuid":', b'"uuid":' + b" " * 700_000)}),
    "names that climb": archive({"../../etc/x": lines(*EVENTS[:2]), "/abs": lines(*EVENTS[2:])}),
}


@pytest.mark.parametrize("step", [1, 7, 65536])
@pytest.mark.parametrize("case", GOOD)
def test_every_form_of_archive_gives_its_events_whatever_the_chunks(case: str, step: int) -> None:
    assert decode(GOOD[case], step) == EVENTS


@pytest.mark.parametrize("form", ["plain", "comment", "zip64"])
def test_an_empty_zip_has_no_events(form: str) -> None:
    body = zipped({})
    if form == "comment":
        body = body[:-2] + b"\x05\0empty"
    if form == "zip64":  # PKZIP application note, 4.3.14 and 4.3.15
        record = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(44)
        body = record + b"PK\x06\x07" + bytes(12) + b"\1\0\0\0" + body

    assert decode(body) == []


@pytest.mark.parametrize("case", GOOD)
def test_the_extra_fast_changes_no_record(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, used = [], []
    for library in (zlib, isal_zlib):

        def decompressobj(library: Any = library, **options: Any) -> Any:
            used.append(library)
            return library.decompressobj(**options)

        monkeypatch.setattr(archives_room, "decompressobj", decompressobj)
        read.append(decode(GOOD[case]))

    assert read[0] == read[1] == EVENTS
    plain = case == "plain lines"
    assert set(used) == (set() if plain else {zlib, isal_zlib})


def test_lines_longer_than_a_chunk_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (decoders_room, inflate_room):
        monkeypatch.setattr(room, "CHUNK_BYTES", 8)

    assert decode(GOOD["two members"]) == EVENTS


WHOLE = GOOD["stored"]
DIRECTORY = WHOLE.index(b"PK\1\2")
"""Where the directory begins."""
MEMBER = gzip.compress(lines(*EVENTS), mtime=0)
BAD = {
    "empty body": b"",
    "a page": b"<html><body>Please wait</body></html>",
    "cut in half": WHOLE[: len(WHOLE) // 2],
    "the last byte missing": WHOLE[:-1],
    "a flipped bit": WHOLE.replace(MEMBER, MEMBER[:30] + bytes([MEMBER[30] ^ 4]) + MEMBER[31:]),
    "gzip cut short": zipped({NAME: MEMBER[:-9]}),
    "gzip with a wrong checksum": zipped({NAME: MEMBER[:-8] + b"\0\0\0\0" + MEMBER[-4:]}),
    "rubbish after gzip": zipped({NAME: MEMBER + b"rubbish"}),
    "bytes before the directory": b"".join(
        [
            WHOLE[:DIRECTORY],
            bytes(100),
            WHOLE[DIRECTORY:-6],
            (DIRECTORY + 100).to_bytes(4, "little"),
            WHOLE[-2:],
        ]
    ),
    "bytes before the first member": bytes(100) + WHOLE,
    "rubbish after zeros": zipped({NAME: MEMBER + bytes(9) + b"rubbish"}),
}


@pytest.mark.parametrize("step", [1, 7, 65536])
@pytest.mark.parametrize("case", BAD)
def test_a_damaged_archive_is_refused_before_an_event_is_emitted(case: str, step: int) -> None:
    events: list[Any] = []

    with pytest.raises((DamagedArchiveError, NotAnArchiveError)):
        events.extend(ExportDecoder(config={}).decode(response(BAD[case], step)))

    assert events == []


@given(seed=st.integers(0, 2**32))
def test_a_spoilt_archive_gives_all_events_or_an_error_and_never_some(seed: int) -> None:
    chance = random.Random(seed)
    body = bytearray(GOOD["two members"])
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] ^= 1 << chance.randrange(8)
            case 1:
                del body[at:]
                body = body or bytearray(b"P")
            case 2:
                body[at:at] = body[chance.randrange(len(body)) :][:40]
            case 3:
                del body[at : at + chance.randint(1, 30)]
                body = body or bytearray(b"P")

    events: list[Any] = []
    try:
        events.extend(ExportDecoder(config={}).decode(response(bytes(body))))
    except (DamagedArchiveError, NotAnArchiveError):
        assert events == []
    else:
        assert [json.dumps(event) for event in events] == [json.dumps(event) for event in EVENTS]


def test_a_member_is_read_a_chunk_at_a_time(tmp_path: Path) -> None:
    member = lines(
        *[{"uuid": str(n), "padding": random.Random(n).randbytes(300).hex()} for n in range(9000)]
    )
    path = tmp_path / "archive.zip"
    path.write_bytes(archive({NAME: member}))
    with path.open("rb", buffering=0) as file:
        opened = ExportDecoder(config={}).open(file)
        next(opened.members[0].blocks())

        assert file.tell() < len(path.read_bytes()) / 5
        opened.close()


def test_memory_is_bounded_by_a_chunk_whatever_the_size() -> None:
    peaks = []
    for count in (3_000, 30_000):
        padding = [random.Random(n).randbytes(200).hex() for n in range(100)]
        body = archive(
            {NAME: lines(*[{"uuid": str(n), "p": padding[n % 100]} for n in range(count)])}
        )
        answer = response(body)
        tracemalloc.start()
        for _ in ExportDecoder(config={}).decode(answer):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert max(peaks) < 8 * CHUNK_BYTES


def test_no_temporary_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    events = ExportDecoder(config={}).decode(response(WHOLE))
    next(events)

    assert list(tmp_path.iterdir()) == []
    events.close()


def test_a_bad_line_is_an_error_without_its_text() -> None:
    content = archive({NAME: lines(EVENTS[0]) + b'{"secret": \n' + lines(EVENTS[1])})

    with pytest.raises(BadLineError, match="is not a JSON object"):
        decode(content)


@pytest.mark.parametrize(
    ("came", "becomes"),
    [
        ("2025-03-04 09:14:08.911000", "2025-03-04T09:14:08.911000+00:00"),
        ("2025-03-04 09:14:08", "2025-03-04T09:14:08.000000+00:00"),
        ("2025-03-04 09:14:08.9", "2025-03-04T09:14:08.900000+00:00"),
        ("2025-03-04T09:14:08.911Z", "2025-03-04T09:14:08.911000+00:00"),
        ("2025-03-04T11:14:08+02:00", "2025-03-04T09:14:08.000000+00:00"),
        ("2022:05:27 05:59:45", "2022-05-27T05:59:45.000000+00:00"),
        ("", ""),
        (None, None),
        (17, 17),
        ("yesterday", "yesterday"),
        ("2025-13-04 09:14:08.911", "2025-13-04 09:14:08.911"),
        ("2025-13-04 09:14:08.911000", "2025-13-04 09:14:08.911000"),
        ("0000-00-00 00:00:00.000000", "0000-00-00 00:00:00.000000"),
        ("2024-01-01 05:59:45.abcdef", "2024-01-01 05:59:45.abcdef"),
        ("2024-W01-1 05:59:45.123456", "2024-W01-1 05:59:45.123456"),
        ("2024-01-01 05:59:45.12345Z", "2024-01-01T05:59:45.123450+00:00"),
        ("2024-01-01 05:59:45.123+00", "2024-01-01T05:59:45.123000+00:00"),
        ("2024-01-01 05:59:45.1+0200", "2024-01-01T03:59:45.100000+00:00"),
        ("2024-01-01 05:59:45-03", "2024-01-01T08:59:45.000000+00:00"),
        ("2021-01-01", "2021-01-01T00:00:00.000000+00:00"),
    ],
)
def test_a_time_is_repaired_where_its_meaning_is_plain(came: Any, becomes: Any) -> None:
    event = {"event_time": came, "event_properties": {"event_time": came}}

    assert rfc3339(came) == becomes
    assert decode(archive({NAME: lines(event)})) == [
        {"event_time": becomes, "event_properties": {"event_time": came}}
    ]


def test_everything_but_the_times_is_untouched() -> None:
    event = {
        "uuid": "a",
        "n": 2**53 + 1,
        "f": 0.1,
        "s": "\u2028 \U0001f600",
        "o": {"a": [None, {}, True]},
        "": 1,
    }

    assert decode(archive({NAME: lines(event)})) == [event]


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("481920/481920_2024-01-01_5#0.json.gz", "20240101T05 to 20240101T05"),
        ("481920_2024-01-01_23.json", "20240101T23 to 20240101T23"),
        ("481920_2014-11-01.json.gz", "20141101T00 to 20141101T23"),
        ("481920_2024-01-01_5#0.json.gz.part", "None"),
        ("481920_2024-01-01_5.json/readme", "None"),
        ("481920_2024-01-01_24.json.gz", "None"),
        ("481920_2024-02-30_1.json.gz", "None"),
    ],
)
def test_the_hour_or_day_of_a_member_is_what_its_name_ends_with(name: str, window: str) -> None:
    assert str(window_of_name(name)) == window
