"""Files that are not what they seem: of other hours or another kind, put together, cut, or unfinished."""

import gzip
import json
import zipfile
from typing import Any

import pytest

from emulator import Emulator, Fault
from unit_tests.conftest import Read
from unit_tests.support.archives import archive, lines, zipped
from unit_tests.support.events import event, messages, raw, serve, uuids
from unit_tests.support.protocol import logged

NAME = "1/1_2024-01-01_5#{}.json.gz"
FIVE = [event(f"{n}") for n in range(5)]


def answer(amplitude: Emulator, body: bytes, times: int | None = None) -> None:
    fault = Fault(status=200, body=body, content_type="application/zip", times=times)
    amplitude.faults = [fault]


# -- whose answer is this? -----------------------------------------------------------------------


def test_an_archive_of_other_hours_is_not_an_answer_and_is_requested_again(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    config = {**config, "request_time_range": 24}
    first = read({**config, "end_date": "2024-01-02T00:00:00Z"}, "events")
    body = archive({f"1/1_2024-01-01_{n}#0.json.gz": lines(event(f"x{n}")) for n in range(24)})
    amplitude.faults = [
        Fault(status=200, body=body, content_type="application/zip", hour="20240102T00"),
        Fault(status=200, body=body, content_type="application/zip", hour="20240103T01"),
    ]

    second = read(config, "events", state=first.state)

    assert second.error is None
    assert len(set(uuids(first, second))) == len(uuids(first, second)) == 58 * 3
    assert not [uuid for uuid in uuids(second) if uuid[0] == "x"]


def test_a_window_that_is_always_answered_with_other_hours_fails_and_stays_unread(
    read: Read, hour: dict[str, Any], amplitude: Emulator
) -> None:
    answer(amplitude, archive({"1/1_2023-12-31_7#0.json.gz": lines(*FIVE)}))

    failed = read(hour, "events")
    amplitude.faults = []
    later = read(hour, "events", state=failed.state)

    assert uuids(failed) == []
    assert "20240101T05 to 20240101T05" in messages(failed)
    assert "its files are of other hours" in messages(failed)
    assert len(uuids(later)) == 3


# -- files that are not finished, or not events --------------------------------------------------


def test_a_last_line_that_is_not_finished_is_read_when_it_is(
    read: Read, hour: dict[str, Any], amplitude: Emulator
) -> None:
    whole = lines(*FIVE)
    config = {**hour, "on_bad_record": "skip"}
    serve(amplitude, whole[:-20])
    first = read(config, "events")
    serve(amplitude, whole)

    second = read(config, "events", state=first.state)
    third = read(config, "events", state=second.state)

    assert uuids(first) == ["0", "1", "2", "3"]
    assert logged(first, "1 unfinished last lines were left for the next sync")
    assert uuids(second) == ["4"]
    assert uuids(third) == []


@pytest.mark.parametrize(
    "part",
    [
        b"BZh91AY&SY" + bytes(50),
        b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>',
        b"\x28\xb5\x2f\xfd" + bytes(40),
        b"Bad Gateway\n",
        b'["an array"]\n',
    ],
    ids=["bzip2", "xml", "zstd", "text", "array"],
)
@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_file_of_another_kind_is_damage_and_never_skipped(
    read: Read, hour: dict[str, Any], amplitude: Emulator, part: bytes, policy: str
) -> None:
    good = gzip.compress(lines(*FIVE))
    answer(amplitude, zipped({NAME.format(0): good, NAME.format(1): part}))
    config = {**hour, "on_bad_record": policy}

    failed = read(config, "events")
    requests = len(amplitude.requests)
    serve(amplitude, lines(*FIVE), lines(event("whole")))
    later = read(config, "events", state=failed.state)

    assert uuids(failed) == []
    assert requests == 3
    assert "is damaged" in messages(failed)
    assert "on_bad_record" not in messages(failed)
    assert uuids(later) == ["0", "1", "2", "3", "4", "whole"]


def lying(size: int, crc: int | None = None) -> bytes:
    """An archive whose directory states a size, and maybe a checksum, for a member that has bytes."""
    body = bytearray(zipped({NAME.format(0): gzip.compress(lines(event("a")), mtime=0)}))
    at = body.rindex(b"PK\x01\x02")
    body[at + 24 : at + 28] = size.to_bytes(4, "little")
    if crc is not None:
        body[at + 16 : at + 20] = crc.to_bytes(4, "little")
    return bytes(body)


@pytest.mark.parametrize("crc", [None, 0])
def test_a_member_whose_size_is_zero_in_the_directory_alone_is_damage(
    read: Read, hour: dict[str, Any], amplitude: Emulator, crc: int | None
) -> None:
    answer(amplitude, lying(0, crc))

    failed = read(hour, "events")

    assert uuids(failed) == []
    assert "no size for the member" in messages(failed)


def test_members_without_bytes_are_empty_however_they_are_packed(
    read: Read, hour: dict[str, Any], amplitude: Emulator
) -> None:
    files = {NAME.format(0): b"", NAME.format(1): gzip.compress(lines(event("a")))}
    answer(amplitude, zipped(files, zipfile.ZIP_DEFLATED))

    assert uuids(read(hour, "events")) == ["a"]


def test_a_file_that_an_archive_has_twice_is_read_once(
    read: Read, hour: dict[str, Any], amplitude: Emulator
) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        body = zipped([(NAME.format(0), gzip.compress(lines(*FIVE)))] * 2)
    answer(amplitude, body)

    first = read(hour, "events")
    second = read(hour, "events", state=first.state)

    assert uuids(first) == ["0", "1", "2", "3", "4"]
    assert uuids(second) == []


@pytest.mark.parametrize("other", [{"files": 3, "version": 1}, {"error": "no"}, {}, {"data": []}])
def test_an_object_that_is_not_an_event_is_a_bad_line(
    read: Read, hour: dict[str, Any], amplitude: Emulator, other: dict[str, Any]
) -> None:
    files = {NAME.format(0): gzip.compress(lines(*FIVE)), "manifest.json": lines(other)}
    answer(amplitude, zipped(files))

    failed = read(hour, "events")
    skipped = read({**hour, "on_bad_record": "skip"}, "events")

    assert "'manifest.json' has none of the fields of an event" in messages(failed)
    assert uuids(skipped) == ["0", "1", "2", "3", "4"]
    assert logged(skipped, "1 invalid lines were skipped")


# -- characters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_a_byte_order_mark_is_not_part_of_the_first_event(
    read: Read, hour: dict[str, Any], amplitude: Emulator, packed: Any
) -> None:
    answer(amplitude, zipped({NAME.format(0): packed(b"\xef\xbb\xbf" + lines(*FIVE))}))

    assert uuids(read(hour, "events")) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("came", "becomes", "replaced"),
    [
        (b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600", False),
        (b"\xed\xa0\xbd", "\ufffd", True),
        (b"\xed\xb8\x80\xed\xa0\xbd", "\ufffd\ufffd", True),
        ("é\U0001f600".encode() + b"\xed\xa0\xbd\xed\xb8\x80", "é\U0001f600\U0001f600", False),
    ],
)
def test_surrogates_of_three_bytes_each_are_read_as_java_writes_them(
    read: Read,
    hour: dict[str, Any],
    amplitude: Emulator,
    came: bytes,
    becomes: str,
    replaced: bool,
) -> None:
    serve(amplitude, raw("a", '{"v": "@"}').replace(b"@", came))

    output = read(hour, "events")

    assert output.error is None
    assert output.records("events")[0]["event_properties"] == {"v": becomes}
    assert bool(logged(output, "unpaired surrogates were replaced by U+FFFD")) == replaced


@pytest.mark.parametrize("uuid", [None, 7, "absent"])
def test_events_without_a_uuid_are_counted_in_the_log(
    read: Read, hour: dict[str, Any], amplitude: Emulator, uuid: Any
) -> None:
    one = {**event("a"), "uuid": uuid, "event_type": "Play"}
    if uuid == "absent":
        del one["uuid"]
    serve(amplitude, lines(event("b"), one, one))

    output = read(hour, "events")

    assert len(output.records("events")) == 3
    assert logged(output, "2 events do not have a `uuid`")


# -- files that are put together or cut ----------------------------------------------------------

PARTS = [lines(*[event(f"{name}{n}", padding=name * 40 * n) for n in range(4)]) for name in "abc"]
A, B, C = PARTS


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([A, B, C], [A + B, C]),
        ([A, B, C], [C, B + A]),
        ([A, B, C], [A + B + C]),
        ([A, B, C], [B, C + A]),
        ([A + B, C], [A, B, C]),
        ([A + B, C], [C, B, A]),
        ([A + B + C], [C, A, B]),
        ([A + B + C], [A + B, C]),
        ([A + B, C], [B + C, A]),
    ],
    ids=["ab,c", "c,ba", "abc", "b,ca", "a,b,c", "c,b,a", "c,a,b", "ab,c of abc", "bc,a of ab,c"],
)
def test_files_that_are_put_together_or_cut_are_known(
    read: Read, hour: dict[str, Any], amplitude: Emulator, before: list[bytes], after: list[bytes]
) -> None:
    serve(amplitude, *before)
    first = read(hour, "events")
    serve(amplitude, *after)
    second = read(hour, "events", state=first.state)
    third = read(hour, "events", state=second.state)
    again = uuids(second)

    assert len(uuids(first)) == 12
    if after == [B + C, A]:  # no row of known files: repeated, and said
        assert set(again) <= set(uuids(first))
        assert bool(again) == bool(logged(second, "has changed the export of 20240101T05"))
    else:
        assert again == []
        assert not logged(second, "has changed")
    assert uuids(third) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [([A, B], [A + B + C]), ([A + B], [A, B + C]), ([A, B], [B + A, C])],
    ids=["abc", "a,bc", "ba,c"],
)
def test_of_files_that_have_grown_beside_only_the_new_lines_are_emitted(
    read: Read, hour: dict[str, Any], amplitude: Emulator, before: list[bytes], after: list[bytes]
) -> None:
    serve(amplitude, *before)
    first = read(hour, "events")
    serve(amplitude, *after)
    second = read(hour, "events", state=first.state)

    assert uuids(second) == ["c0", "c1", "c2", "c3"]
    assert not logged(second, "has changed")


def test_lines_that_come_again_in_another_order_are_emitted_again_and_counted(
    read: Read, hour: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, A, B)
    first = read(hour, "events")
    mixed = b"".join(reversed(B.splitlines(keepends=True)))
    serve(amplitude, A + mixed)
    second = read(hour, "events", state=first.state)

    assert uuids(second) == ["b0", "b1", "b2", "b3"]
    assert logged(second, "4 events are emitted again")
    assert json.dumps(second.states("events")[-1]).count("[") < 20
