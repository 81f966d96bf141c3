"""The export: windows, availability, sizes, and events that look like real ones."""

import gzip
import io
import json
import zipfile
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from emulator import Emulator, Export, Project
from unit_tests.emulator.conftest import DAY, HOUR, START, WINDOW, Clock, details, events, get


def names(project: Project, now: datetime, hours: int = 6) -> set[str]:
    body = project.archive(START, START + (hours - 1) * HOUR, now)
    return set(zipfile.ZipFile(io.BytesIO(body)).namelist()) if body else set()


def test_an_export_is_a_zip_of_the_windows_hours_both_ends_included(
    amplitude: Emulator, project: Project
) -> None:
    response = get(amplitude, "/api/2/export", params=WINDOW)

    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["Content-Length"] == str(len(response.content))
    expected = [event for n in range(6) for event in project.events(START + n * HOUR)]
    found = {event["uuid"]: event for event in events(response.content)}
    assert found == {event["uuid"]: event for event in expected}
    assert len(expected) == 30
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        members = archive.namelist()
    assert f"{project.app}/{project.app}_2024-01-01_0#0.json.gz" in members
    assert members != sorted(members)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "start must have the format"),
        ({"start": "20240101T00"}, "end must have the format"),
        ({"start": "2024-01-01", "end": "20240101T00"}, "start must have the format"),
        ({"start": "20240101T1", "end": "20240101T05"}, "start must have the format"),
        ({"start": "20240101T05", "end": "20240101T24"}, "end must have the format"),
        ({"start": "20240101T05", "end": "20240101T04"}, "start must be before end"),
        ({"start": "20230101T00", "end": "20240101T00"}, "365 days"),
    ],
)
def test_a_bad_window_is_400_and_says_why(
    amplitude: Emulator, query: dict[str, str], words: str
) -> None:
    response = get(amplitude, "/api/2/export", params=query)

    assert response.status_code == 400
    assert words in details(response)


def test_a_window_of_365_days_is_answered(amplitude: Emulator) -> None:
    query = {"start": "20240101T00", "end": "20241230T23"}
    assert get(amplitude, "/api/2/export", params=query).status_code == 200


def test_a_window_without_data_is_404(amplitude: Emulator) -> None:
    response = get(
        amplitude, "/api/2/export", params={"start": "20230101T00", "end": "20230101T05"}
    )

    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "http_code": 404,
            "type": "unspecified",
            "message": "Unspecified Error",
            "metadata": {"details": "Raw data files were not found."},
        }
    }


def test_an_hour_is_exportable_from_three_hours_after_it_began(
    amplitude: Emulator, time_of: Clock
) -> None:
    query = {"start": "20240101T05", "end": "20240101T05"}
    time_of.now = START + 8 * HOUR - timedelta(seconds=1)
    assert get(amplitude, "/api/2/export", params=query).status_code == 404

    time_of.now = START + 8 * HOUR
    assert get(amplitude, "/api/2/export", params=query).status_code == 200


def test_a_late_hour_and_a_late_member_come_later() -> None:
    project = Project(
        export=Export(late_hours={"20240101T05": 4}, late_members={("20240101T02", 1): 3})
    )
    late = f"{project.app}/{project.app}_2024-01-01_2#1.json.gz"

    assert len(names(project, START + 8 * HOUR - timedelta(seconds=1))) == 9
    assert late not in names(project, START + 8 * HOUR - timedelta(seconds=1))
    assert late in names(project, START + 8 * HOUR)
    assert len(names(project, START + 12 * HOUR - timedelta(seconds=1))) == 10
    assert len(names(project, START + 12 * HOUR)) == 12


def test_an_empty_hour_has_no_member_and_neither_has_one_before_the_start() -> None:
    project = Project(start="2024-01-01T01:00:00Z", export=Export(empty_hours={"20240101T02"}))

    hours = {name.split("_")[2].split("#")[0] for name in names(project, START + DAY)}

    assert hours == {"1", "3", "4", "5"}


def test_an_archive_has_the_recorded_form(amplitude: Emulator, time_of: Clock) -> None:
    body = get(amplitude, "/api/2/export", params=WINDOW).content

    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        members = archive.infolist()
        headers = {archive.read(member)[:10] for member in members}
    # A second before the response, in the zip's steps of two.
    assert {member.date_time for member in members} == {(2024, 1, 30, 23, 59, 58)}
    for member in members:
        assert (member.compress_type, member.flag_bits) == (zipfile.ZIP_STORED, 8)
        assert (member.extract_version, member.create_version) == (20, 20)
        # Neither checksum nor sizes in front: they follow, signed.
        assert body[member.header_offset + 14 :][:12] == bytes(12)
        after = member.header_offset + 30 + len(member.filename) + member.compress_size
        assert body[after:][:4] == b"PK\x07\x08"
    assert headers == {b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"}
    time_of.now += timedelta(seconds=2)
    assert get(amplitude, "/api/2/export", params=WINDOW).content != body


def contents(project: Project, start: datetime, end: datetime, now: datetime) -> dict[str, bytes]:
    """What each member inflates to."""
    body = project.archive(start, end, now)
    assert body is not None
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: gzip.decompress(archive.read(name)) for name in archive.namelist()}


def test_an_archive_that_is_packed_again_holds_the_same_lines_in_another_form() -> None:
    project = Project(export=Export(repack=True))
    bodies = [project.archive(START, START + 5 * HOUR, START + DAY) for _ in range(4)]
    found = [contents(project, START, START + 5 * HOUR, START + DAY) for _ in range(4)]

    assert len(set(bodies)) == 4
    assert len({frozenset(members) for members in found}) == 4
    assert len({frozenset(members.values()) for members in found}) == 1


def test_a_member_that_grows_keeps_its_beginning() -> None:
    project = Project(events_per_hour=8, export=Export(grow={("20240101T02", 1): 3}))
    hour, due = START + 2 * HOUR, START + 5 * HOUR
    name = f"{project.app}/{project.app}_2024-01-01_2#1.json.gz"

    before = contents(project, hour, hour, due + 3 * HOUR - timedelta(seconds=1))
    after = contents(project, hour, hour, due + 3 * HOUR)

    assert (before[name].count(b"\n"), after[name].count(b"\n")) == (2, 4)
    assert after[name].startswith(before[name])
    assert {n: b for n, b in before.items() if n != name} == {
        n: b for n, b in after.items() if n != name
    }


def test_a_member_that_is_rewritten_has_the_same_events_with_one_changed() -> None:
    project = Project(export=Export(rewrite={("20240101T02", 0): 3}))
    hour, due = START + 2 * HOUR, START + 5 * HOUR
    name = f"{project.app}/{project.app}_2024-01-01_2#0.json.gz"

    before = contents(project, hour, hour, due)[name].splitlines()
    after = contents(project, hour, hour, due + 3 * HOUR)[name].splitlines()

    assert before[1:] == after[1:]
    assert before[0] != after[0]
    assert json.loads(before[0])["uuid"] == json.loads(after[0])["uuid"]


def test_a_member_may_consist_of_several_gzip_streams() -> None:
    one, three = (Project(events_per_hour=8, export=Export(gzip_streams=n)) for n in (1, 3))
    window = (START, START + HOUR, START + DAY)

    body = three.archive(*window)
    assert body is not None
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        counts = {archive.read(name).count(b"\x1f\x8b\x08\x00") for name in archive.namelist()}
    assert counts == {2}  # three streams of four lines: two, two, none
    assert contents(one, *window) == contents(three, *window)


def test_an_hour_may_have_many_members() -> None:
    project = Project(events_per_hour=3_000, members_per_hour=3_000)

    assert len(contents(project, START, START, START + DAY)) == 3_000


def test_files_of_before_november_2014_hold_whole_days_whatever_hours_are_asked_for() -> None:
    start = datetime(2014, 11, 11, tzinfo=timezone.utc)
    project = Project(start="2014-11-11T00:00:00Z")
    now = start + 30 * DAY

    one = contents(project, start + 12 * HOUR, start + 12 * HOUR, now)
    both = contents(project, start + 23 * HOUR, start + DAY, now)

    names = [f"{project.app}/{project.app}_2014-11-11#{n}.json.gz" for n in (0, 1)]
    assert sorted(one) == names
    assert {name: both[name] for name in names} == one
    assert sorted(set(both) - set(names)) == [
        f"{project.app}/{project.app}_2014-11-12_0#{n}.json.gz" for n in (0, 1)
    ]
    uuids = [json.loads(line)["uuid"] for text in one.values() for line in text.splitlines()]
    expected = [e["uuid"] for n in range(24) for e in project.events(start + n * HOUR)]
    assert Counter(uuids) == Counter(expected)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def body(seed: int) -> bytes | None:
        return Project(seed).archive(START, START + 5 * HOUR, START + DAY)

    assert body(1) == body(1)
    assert body(1) != body(2)
    alone, among = Project(), Project()
    for n in range(5):
        among.events(START + n * HOUR)
    assert alone.events(START + 5 * HOUR) == among.events(START + 5 * HOUR)


def test_events_have_the_form_and_the_variety_of_real_ones() -> None:
    project = Project(events_per_hour=2_000)
    hours = [START, START + HOUR]
    found = [event for hour in hours for event in project.events(hour)]
    lines = [line for part in project.members(START) for line in part]

    assert len({event["uuid"] for event in found}) == len(found)
    assert {len(event) for event in found} == {55}
    assert all(list(event) == sorted(event) for event in found)
    assert all(event["server_upload_time"][:13] == "2024-01-01 00" for event in found[:2_000])
    assert {len(event["server_upload_time"]) for event in found} == {26}
    assert {len(event["client_event_time"]) for event in found} == {19, 26}
    assert any(event["server_upload_time"].endswith(".000000") for event in found)
    assert any(event["user_id"] is None for event in found)
    assert any(event["session_id"] == -1 for event in found)
    assert any(event["event_properties"].get("invoice_id") == 2**53 + 1 for event in found)
    assert any("名前" in line.decode() for line in lines)
    assert all(b": " not in line[:20] and b"\n" not in line for line in lines)
    assert 1_500 < sum(map(len, lines)) / len(lines) < 2_600


def test_an_export_over_the_size_limit_is_400_and_names_the_size(project: Project) -> None:
    with Emulator(project, export_limit_bytes=20_000) as amplitude:
        wide = get(amplitude, "/api/2/export", params=WINDOW)
        narrow = get(amplitude, "/api/2/export", params={**WINDOW, "end": WINDOW["start"]})

    size = sum(
        len(line) + 1
        for n in range(6)
        for part in project.members(START + n * HOUR)
        for line in part
    )
    assert wide.status_code == 400
    assert "over the 4 GB" in details(wide)
    assert str(size) in details(wide)
    assert narrow.status_code == 200
