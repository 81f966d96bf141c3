"""The export: windows, availability, sizes, and events that look like real ones."""

import io
import zipfile
from datetime import datetime, timedelta

import pytest

from emulator import Emulator, Project
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
    assert details(response) == "Raw data files were not found."


def test_an_hour_is_exportable_from_three_hours_after_it_began(
    amplitude: Emulator, time_of: Clock
) -> None:
    query = {"start": "20240101T05", "end": "20240101T05"}
    time_of.now = START + 8 * HOUR - timedelta(seconds=1)
    assert get(amplitude, "/api/2/export", params=query).status_code == 404

    time_of.now = START + 8 * HOUR
    assert get(amplitude, "/api/2/export", params=query).status_code == 200


def test_a_late_hour_and_a_late_member_come_later() -> None:
    project = Project(late_hours={"20240101T05": 4}, late_members={("20240101T02", 1): 3})
    late = f"{project.app}/{project.app}_2024-01-01_2#1.json.gz"

    assert len(names(project, START + 8 * HOUR - timedelta(seconds=1))) == 9
    assert late not in names(project, START + 8 * HOUR - timedelta(seconds=1))
    assert late in names(project, START + 8 * HOUR)
    assert len(names(project, START + 12 * HOUR - timedelta(seconds=1))) == 10
    assert len(names(project, START + 12 * HOUR)) == 12


def test_an_empty_hour_has_no_member_and_neither_has_one_before_the_start() -> None:
    project = Project(start="2024-01-01T01:00:00Z", empty_hours={"20240101T02"})

    hours = {name.split("_")[2].split("#")[0] for name in names(project, START + DAY)}

    assert hours == {"1", "3", "4", "5"}


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
    lines = [line for part in project.members(START).values() for line in part]

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
        for part in project.members(START + n * HOUR).values()
        for line in part
    )
    assert wide.status_code == 400
    assert "over the 4 GB" in details(wide)
    assert str(size) in details(wide)
    assert narrow.status_code == 200
