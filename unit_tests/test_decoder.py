"""The export's decoder: archives into events, or a clear error."""

import gzip
import json
import random
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.sources.streams.http.request_window_split_exception import (
    RequestWindowSplitRequiredException,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from source_amplitude import components
from source_amplitude.components import ExportDecoder, rfc3339
from unit_tests.archives import archive, lines, response, zipped

NAME = "481920/481920_2024-01-01_5#0.json.gz"
EVENTS = [{"uuid": str(number), "event_properties": {"é": number}} for number in range(5)]


def decode(content: bytes, step: int = 65536, **options: Any) -> list[Any]:
    config = options.pop("config", {})
    return list(ExportDecoder(config=config, **options).decode(response(content, step)))


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
    "no gzip in a folder of no bytes": zipped({NAME: gzip.compress(lines(*EVENTS)), "x/": b""}),
    "names that climb": archive({"../../etc/x": lines(*EVENTS[:2]), "/abs": lines(*EVENTS[2:])}),
}


@pytest.mark.parametrize("step", [1, 7, 65536])
@pytest.mark.parametrize("case", GOOD)
def test_every_form_of_archive_gives_its_events_whatever_the_chunks(case: str, step: int) -> None:
    assert decode(GOOD[case], step) == EVENTS


def test_an_empty_zip_has_no_events() -> None:
    assert decode(zipped({})) == []


@pytest.mark.parametrize("case", GOOD)
def test_the_extra_fast_changes_no_record(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    for library in (zlib, isal_zlib):
        monkeypatch.setattr(components, "decompressobj", library.decompressobj)
        read.append(decode(GOOD[case]))

    assert read[0] == read[1] == EVENTS


def test_lines_longer_than_a_chunk_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "CHUNK_BYTES", 8)

    assert decode(GOOD["two members"]) == EVENTS


WHOLE = GOOD["stored"]
MEMBER = gzip.compress(lines(*EVENTS), mtime=0)
BAD = {
    "empty body": b"",
    "a page": b"<html><body>Please wait</body></html>",
    "cut in half": WHOLE[: len(WHOLE) // 2],
    "the last byte missing": WHOLE[:-1],
    "a flipped bit": WHOLE.replace(MEMBER, MEMBER[:30] + bytes([MEMBER[30] ^ 4]) + MEMBER[31:]),
    "not gzip": zipped({NAME: lines(*EVENTS)}),
    "gzip cut short": zipped({NAME: MEMBER[:-9]}),
    "gzip with a wrong checksum": zipped({NAME: MEMBER[:-8] + b"\0\0\0\0" + MEMBER[-4:]}),
    "rubbish after gzip": zipped({NAME: MEMBER + b"rubbish"}),
}


@pytest.mark.parametrize("step", [1, 7, 65536])
@pytest.mark.parametrize("case", BAD)
def test_a_damaged_archive_is_refused_before_an_event_is_emitted(case: str, step: int) -> None:
    events: list[Any] = []

    with pytest.raises(RequestWindowSplitRequiredException):
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
    except (RequestWindowSplitRequiredException, AirbyteTracedException):
        assert events == []
    else:
        assert [json.dumps(event) for event in events] == [json.dumps(event) for event in EVENTS]


def test_events_come_one_by_one_and_the_archive_is_not_read_ahead() -> None:
    decoder = ExportDecoder(config={})
    member = lines(
        *[{"uuid": str(n), "padding": random.Random(n).randbytes(300).hex()} for n in range(9000)]
    )
    archive_on_disk = decoder.opened(decoder.spooled(response(archive({NAME: member}))))
    read = 0
    chunks = archive_on_disk._chunks

    def counted(info: zipfile.ZipInfo) -> Iterator[bytes]:
        nonlocal read
        for chunk in chunks(info):
            read += len(chunk)
            yield chunk

    archive_on_disk._chunks = counted  # type: ignore[assignment,method-assign]
    events = archive_on_disk.records(archive_on_disk.members[0])
    next(events)
    archive_on_disk.close()

    assert 0 < read <= components.CHUNK_BYTES < len(member)


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

    assert max(peaks) < 8 * components.CHUNK_BYTES


def test_no_temporary_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    events = ExportDecoder(config={}).decode(response(WHOLE))
    next(events)

    assert list(tmp_path.iterdir()) == []
    events.close()


@pytest.mark.parametrize(
    ("option", "value", "content"),
    [
        ("max_line_bytes", 100, archive({NAME: lines({"a": "x" * 200})})),
        ("max_members", 1, GOOD["two members"]),
        ("max_expansion", 100, archive({NAME: lines({"a": "x" * 4_000_000})})),
    ],
)
def test_a_limit_that_is_passed_names_its_option(option: str, value: int, content: bytes) -> None:
    words = f"over the limit of the decoder's option `{option}`"
    with pytest.raises(AirbyteTracedException, match=words):
        decode(content, **{option: value})


def test_a_bad_line_fails_with_its_member_and_number_and_without_its_text() -> None:
    content = archive({NAME: lines(EVENTS[0]) + b'{"secret": \n' + lines(EVENTS[1])})

    with pytest.raises(AirbyteTracedException) as failure:
        decode(content)

    assert failure.value.message is not None
    assert "Line 2" in failure.value.message
    assert NAME in failure.value.message
    assert "secret" not in failure.value.message


def test_bad_lines_are_skipped_and_counted_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    content = archive({NAME: lines(EVENTS[0]) + b"{\n[1]\nNaN\n" + lines(EVENTS[1])})
    warned: list[str] = []
    decoder = ExportDecoder(config={"on_bad_record": "skip"})
    decoder.warn = warned.append  # type: ignore[assignment,method-assign]

    assert list(decoder.decode(response(content))) == EVENTS[:2]
    assert warned == [f"Skipped 3 bad lines of the member {NAME!r}."]


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
    ],
)
def test_a_time_is_repaired_where_its_meaning_is_plain(came: Any, becomes: Any) -> None:
    event = {"event_time": came, "event_properties": {"event_time": came}}

    assert rfc3339(came) == becomes
    assert decode(archive({NAME: lines(event)})) == [
        {"event_time": becomes, "event_properties": {"event_time": came}}
    ]


def test_everything_but_the_times_is_untouched() -> None:
    event = {"n": 2**53 + 1, "f": 0.1, "s": "\ud800 \u2028", "o": {"a": [None, {}, True]}, "": 1}

    assert decode(archive({NAME: lines(event)})) == [event]


def test_a_start_and_an_end_within_an_hour_leave_out_what_lies_outside() -> None:
    events = [
        {"server_upload_time": f"2024-01-01 05:{minute}:00.000000"} for minute in (10, 20, 30, 40)
    ]
    config = {"start_date": "2024-01-01T05:20:00Z", "end_date": "2024-01-01T05:40:00Z"}

    read = decode(archive({NAME: lines(*events)}), config=config)

    assert [event["server_upload_time"][14:16] for event in read] == ["20", "30"]
