"""The emulated Amplitude through HTTP: every route, limit, plan and fault, and that it stays the same."""

import gzip
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from emulator import Emulator, Fault, Project

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WINDOW = {"start": "20240101T00", "end": "20240101T05"}


class Clock:
    def __init__(self) -> None:
        self.now = START + 30 * DAY

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time_of() -> Clock:
    return Clock()


@pytest.fixture
def project(time_of: Clock) -> Project:
    return Project(clock=time_of)


@pytest.fixture
def amplitude(project: Project) -> Iterator[Emulator]:
    with Emulator(project) as amplitude:
        yield amplitude


def get(amplitude: Emulator, path: str, **more: Any) -> requests.Response:
    more.setdefault("auth", (amplitude.api_key, amplitude.secret_key))
    return requests.request(more.pop("method", "GET"), amplitude.url + path, timeout=10, **more)


def details(response: requests.Response) -> str:
    error = response.json()["error"]
    assert error["http_code"] == response.status_code
    assert set(error) == {"http_code", "type", "message", "metadata"}
    return str(error["metadata"]["details"])


def events(body: bytes) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        lines = [
            line
            for n in archive.namelist()
            for line in gzip.decompress(archive.read(n)).split(b"\n")
        ]
    return [json.loads(line) for line in lines if line]


def names(project: Project, now: datetime, hours: int = 6) -> set[str]:
    body = project.archive(START, START + (hours - 1) * HOUR, now)
    return set(zipfile.ZipFile(io.BytesIO(body)).namelist()) if body else set()


# -- who may ask -----------------------------------------------------------------------------------


def test_without_credentials_the_answer_is_401_and_with_wrong_ones_403(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/2/export", auth=None).status_code == 401
    wrong = get(amplitude, "/api/2/export", auth=("a", "b"))
    assert (wrong.status_code, details(wrong)) == (403, "Invalid API Key")


def test_an_unknown_path_is_404_and_another_method_405(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/9/nothing").status_code == 404
    for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
        assert get(amplitude, "/api/2/export", method=method, data=b"x=1").status_code == 405


@pytest.mark.parametrize(
    ("plan", "path", "status"),
    [
        ("growth", "/api/2/taxonomy/event", 404),
        ("growth", "/api/3/cohorts", 200),
        ("starter", "/api/2/taxonomy/event", 404),
        ("starter", "/api/3/cohorts", 403),
        ("starter", "/api/3/annotations", 403),
        ("starter", "/api/2/annotations", 403),
    ],
)
def test_a_plan_has_only_its_parts(project: Project, plan: str, path: str, status: int) -> None:
    with Emulator(project, plan=plan) as amplitude:
        response = get(amplitude, path)

    assert response.status_code == status
    if status == 403:
        assert "starter" in details(response)


# -- the export ------------------------------------------------------------------------------------


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


# -- the dashboards --------------------------------------------------------------------------------


def test_users_are_a_matrix_by_label_and_day(amplitude: Emulator, project: Project) -> None:
    query = {"start": "20240101", "end": "20240102"}
    plain = get(amplitude, "/api/2/users", params=query).json()["data"]
    grouped = get(amplitude, "/api/2/users", params={**query, "g": "country"}).json()["data"]

    final = [project.statistics(date(2024, 1, n)) for n in (1, 2)]
    assert plain == {
        "xValues": ["2024-01-01", "2024-01-02"],
        "series": [[sum(figures.values()) for figures in final]],
        "seriesLabels": [0],
        "seriesCollapsed": [[0]],
        "seriesMeta": [{"segmentIndex": 0}],
    }
    assert grouped["seriesLabels"] == list(final[0])
    assert grouped["series"] == [[figures[name] for figures in final] for name in final[0]]
    assert len(grouped["seriesMeta"]) == len(grouped["seriesCollapsed"]) == len(final[0])


def test_new_users_are_fewer_and_weeks_are_fewer_than_days(amplitude: Emulator) -> None:
    query = {"start": "20240101", "end": "20240114"}
    active = get(amplitude, "/api/2/users", params=query).json()["data"]["series"][0]
    new = get(amplitude, "/api/2/users", params={**query, "m": "new"}).json()["data"]["series"][0]
    weeks = get(amplitude, "/api/2/users", params={**query, "i": "7"}).json()["data"]

    assert all(n < a for n, a in zip(new, active, strict=True))
    assert weeks["xValues"] == ["2024-01-01", "2024-01-08"]
    assert len(weeks["series"][0]) == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"start": "2024-01-01"}, "start must have the format YYYYMMDD"),
        ({"end": ""}, "end must have the format YYYYMMDD"),
        ({"start": "20240103"}, "start must be before end"),
        ({"m": "old"}, "m must be"),
        ({"i": "2"}, "i must be"),
        ({"g": "planet"}, "Invalid user property planet"),
        ({"s": "{"}, "s must be JSON"),
    ],
)
def test_a_bad_dashboard_query_is_400(
    amplitude: Emulator, query: dict[str, str], words: str
) -> None:
    query = {"start": "20240101", "end": "20240102", **query}

    assert words in details(get(amplitude, "/api/2/users", params=query))


def test_a_days_figures_grow_until_two_days_after_its_end(
    amplitude: Emulator, project: Project, time_of: Clock
) -> None:
    query = {"start": "20240105", "end": "20240105"}
    begins = START + 4 * DAY
    seen = []
    for age in (-1, 0, 12, 24, 48, 71, 72):
        time_of.now = begins + age * HOUR
        users = get(amplitude, "/api/2/users", params=query).json()["data"]["series"][0][0]
        length = get(amplitude, "/api/2/sessions/average", params=query).json()
        seen.append((users, length["data"]["series"][0][0]))

    assert seen[0] == (0, 0)
    assert seen == sorted(set(seen))
    day = date(2024, 1, 5)
    assert seen[-1] == (sum(project.statistics(day).values()), project.session_length(day))


def test_days_are_those_of_the_projects_time_zone(time_of: Clock) -> None:
    project = Project(timezone="America/Los_Angeles", start="2023-12-01T00:00:00Z", clock=time_of)
    day = date(2024, 1, 5)

    time_of.now = datetime(2024, 1, 5, 7, 59, tzinfo=timezone.utc)
    assert project.ripeness(day) == 0
    time_of.now = datetime(2024, 1, 5, 8, 0, tzinfo=timezone.utc)
    assert project.ripeness(day) == 0.6
    # The day on which clocks go forward has 23 hours.
    time_of.now = datetime(2024, 3, 13, 6, 59, tzinfo=timezone.utc)
    assert project.ripeness(date(2024, 3, 10)) < 1
    time_of.now = datetime(2024, 3, 13, 7, 0, tzinfo=timezone.utc)
    assert project.ripeness(date(2024, 3, 10)) == 1


@pytest.mark.parametrize("path", ["users", "sessions/average", "sessions/peruser"])
def test_a_range_before_the_project_has_days_but_no_series(amplitude: Emulator, path: str) -> None:
    query = {"start": "20220101", "end": "20220102"}
    data = get(amplitude, f"/api/2/{path}", params=query).json()["data"]

    assert data["xValues"] == ["2022-01-01", "2022-01-02"]
    assert data["series"] == data["seriesLabels"] == data["seriesMeta"] == []


def test_sessions_are_counted_by_user_and_by_length(amplitude: Emulator, project: Project) -> None:
    query = {"start": "20240101", "end": "20240101"}
    rate = get(amplitude, "/api/2/sessions/peruser", params=query).json()["data"]["series"]
    default = get(amplitude, "/api/2/sessions/length", params=query).json()["data"]
    bins = {"TimeUnit": "minutes", "Min": "0", "Max": "3", "Size": "1"}
    named = {f"timeHistogramConfigBin{name}": value for name, value in bins.items()}
    asked = get(amplitude, "/api/2/sessions/length", params={**query, **named}).json()["data"]

    assert rate == [[project.sessions_per_user(date(2024, 1, 1))]]
    assert default["xValues"][:2] == ["0s-3s", "3s-10s"]
    assert len(default["series"][0]) == len(default["xValues"]) == 9
    assert asked["xValues"] == ["0s-60s", "60s-120s", "120s-180s"]


def test_the_list_of_events_has_every_field(amplitude: Emulator) -> None:
    data = get(amplitude, "/api/2/events/list").json()["data"]

    assert {len(item) for item in data} == {15}
    assert data[0]["value"] == "[Amplitude] Page Viewed"


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "a_day"),
    [
        ("users", {}, 1),
        ("users", {"g": "country"}, 5),
        ("users", {"s": '[{"prop":"country"}]'}, 2),
        ("sessions/average", {}, 4),
        ("sessions/peruser", {}, 4),
        ("sessions/length", {}, 4),
    ],
)
def test_a_query_costs_its_days_times_its_conditions(
    amplitude: Emulator, path: str, query: dict[str, str], a_day: int
) -> None:
    get(amplitude, f"/api/2/{path}", params={"start": "20240101", "end": "20240110", **query})

    assert amplitude.requests[-1].cost == 10 * a_day


def test_over_1000_within_five_minutes_is_429_until_they_have_passed(
    project: Project, time_of: Clock
) -> None:
    query = {"start": "20240101", "end": "20240718", "g": "country"}
    with Emulator(project, retry_after=7) as amplitude:
        assert get(amplitude, "/api/2/users", params=query).status_code == 200
        refused = get(amplitude, "/api/2/sessions/average", params={**query, "end": "20240101"})
        time_of.now += timedelta(minutes=5)
        later = get(amplitude, "/api/2/sessions/average", params={**query, "end": "20240101"})

    assert refused.status_code == 429
    assert details(refused) == "Too Many Requests: Exceeded concurrent limit with query of cost 4"
    assert refused.headers["Retry-After"] == "7"
    assert later.status_code == 200


def test_a_query_that_alone_costs_over_1000_is_429_without_a_header(amplitude: Emulator) -> None:
    query = {"start": "20240101", "end": "20240719", "g": "country"}
    refused = get(amplitude, "/api/2/users", params=query)

    assert refused.status_code == 429
    assert details(refused).endswith("cost 1005")
    assert "Retry-After" not in refused.headers


def test_the_hourly_limit_has_its_own_text(amplitude: Emulator, time_of: Clock) -> None:
    # Five minutes allow 1,000 and an hour twelve times that: only a smaller budget is ever reached.
    amplitude._budgets["dashboard"]._limits = {
        "concurrent": (1_000, timedelta(minutes=5)),
        "rate": (1_500, HOUR),
    }
    query = {"start": "20240101", "end": "20240718", "g": "country"}
    assert get(amplitude, "/api/2/users", params=query).status_code == 200
    time_of.now += timedelta(minutes=6)

    refused = get(amplitude, "/api/2/users", params=query)

    assert details(refused) == "Too Many Requests: Exceeded rate limit with query of cost 1000"


def test_without_a_budget_nothing_is_refused(project: Project) -> None:
    with Emulator(project, budget=False) as amplitude:
        query = {"start": "20200101", "end": "20241231", "g": "country"}
        assert get(amplitude, "/api/2/users", params=query).status_code == 200


def test_a_sixth_request_in_flight_is_429(amplitude: Emulator) -> None:
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def hold(body: bytes) -> bytes:
        arrived.release()
        go_on.wait(10)
        return body

    amplitude.faults.append(Fault(path="/api/3/cohorts", times=5, replace=hold))
    threads = [threading.Thread(target=get, args=(amplitude, "/api/3/cohorts")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)

    sixth = get(amplitude, "/api/3/annotations")
    go_on.set()
    for thread in threads:
        thread.join()

    assert sixth.status_code == 429
    assert "Exceeded concurrent limit" in details(sixth)
    assert get(amplitude, "/api/3/annotations").status_code == 200
    assert amplitude.most_in_flight == 6


def test_taxonomy_and_cohort_downloads_have_budgets_of_their_own(amplitude: Emulator) -> None:
    with requests.Session() as session:
        session.auth = (amplitude.api_key, amplitude.secret_key)
        downloads = []
        for _ in range(61):
            asked = session.get(f"{amplitude.url}/api/5/cohorts/request/p81xq0z")
            downloads.append(asked.status_code)
            for job in list(amplitude.jobs):
                amplitude.jobs[job] = ("p81xq0z", 2)
    amplitude._budgets["taxonomy"].spend(7_200)

    assert downloads == [202] * 60 + [429]
    assert get(amplitude, "/api/2/taxonomy/event").status_code == 429


def test_four_cohort_downloads_are_at_work_at_once(amplitude: Emulator) -> None:
    answers = [get(amplitude, "/api/5/cohorts/request/p81xq0z") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [202] * 4 + [429]
    job = answers[0].json()["request_id"]
    for _ in range(2):
        get(amplitude, f"/api/5/cohorts/request-status/{job}")
    assert get(amplitude, "/api/5/cohorts/request/p81xq0z").status_code == 202


def test_the_deletions_are_answered_once_a_second(amplitude: Emulator, time_of: Clock) -> None:
    query = {"start_day": "2024-01-01", "end_day": "2024-01-02"}
    first, second = (get(amplitude, "/api/2/deletions/users", params=query) for _ in range(2))
    time_of.now += timedelta(seconds=1)
    third = get(amplitude, "/api/2/deletions/users", params=query)

    assert [answer.status_code for answer in (first, second, third)] == [200, 429, 200]


# -- cohorts, annotations, taxonomy, deletions -----------------------------------------------------


def test_cohorts_have_every_recorded_field(amplitude: Emulator) -> None:
    plain = get(amplitude, "/api/3/cohorts").json()["cohorts"]
    synced = get(amplitude, "/api/3/cohorts", params={"includeSyncInfo": "true"}).json()["cohorts"]

    fields = (
        "appId archived chart_id createdAt definition description edit_id finished hidden id"
        " is_official_content is_predictive lastComputed lastMod last_viewed location_id metadata"
        " name owners popularity published shortcut_ids size type view_count viewers"
    )
    assert [" ".join(cohort) for cohort in plain] == [fields] * 3
    assert all("syncMetadata" not in cohort for cohort in plain)
    assert synced[1]["syncMetadata"][0]["frequency"] == "hourly"
    assert [cohort["archived"] for cohort in plain] == [False, False, True]


def test_a_cohorts_members_are_downloaded_in_three_steps(
    amplitude: Emulator, time_of: Clock
) -> None:
    asked = get(
        amplitude, "/api/5/cohorts/request/p81xq0z", params={"props": 1, "propKeys": ["a", "b"]}
    )
    job = asked.json()["request_id"]
    early = get(amplitude, f"/api/5/cohorts/request/{job}/file")
    first, second = (get(amplitude, f"/api/5/cohorts/request-status/{job}") for _ in range(2))
    moved = get(amplitude, f"/api/5/cohorts/request/{job}/file", allow_redirects=False)
    signed = moved.headers["Location"]

    assert (asked.status_code, early.status_code) == (202, 400)
    assert (first.status_code, first.json()["async_status"]) == (202, "JOB INPROGRESS")
    assert (second.status_code, second.json()["async_status"]) == (200, "JOB COMPLETED")
    assert moved.status_code == 302
    assert signed.startswith(amplitude.files_url)
    both = requests.get(signed, auth=(amplitude.api_key, amplitude.secret_key), timeout=10)
    assert both.status_code == 400
    rows = requests.get(signed, timeout=10).text.splitlines()
    assert rows[0] == "amplitude_id,user_id,a,b"
    assert len(rows) == 121
    time_of.now += timedelta(minutes=1)
    assert requests.get(signed, timeout=10).status_code == 403


def test_an_unknown_cohort_and_an_unknown_job_are_404(amplitude: Emulator) -> None:
    for path in ("request/none", "request-status/none", "request/none/file"):
        assert get(amplitude, f"/api/5/cohorts/{path}").status_code == 404


def test_annotations_of_version_2_are_those_of_version_3_with_a_date(amplitude: Emulator) -> None:
    new = get(amplitude, "/api/3/annotations").json()["data"]
    old = get(amplitude, "/api/2/annotations").json()["data"]
    one = get(amplitude, "/api/2/annotations", params={"id": new[1]["id"]}).json()["data"]

    assert {len(item) for item in new} == {7}
    assert [sorted(item) for item in old] == [["date", "details", "id", "label"]] * len(new)
    assert [item["date"] for item in old] == [item["start"][:10] for item in new]
    assert one == [old[1]]
    assert get(amplitude, f"/api/3/annotations/{new[0]['id']}").json() == {"data": new[0]}
    assert get(amplitude, "/api/3/annotations/1").status_code == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"category": "Releases"}, [88102, 88107]),
        ({"chart_id": "xy12ab3"}, [88103]),
        ({"start": "2024-01-01T00:00+00:00"}, [88103, 88107]),
        ({"end": "2024-01-02T04:00Z"}, [88102, 88107]),
        ({"end": "2023-11-05T00:00Z"}, []),
    ],
)
def test_annotations_can_be_narrowed(
    amplitude: Emulator, query: dict[str, str], ids: list[int]
) -> None:
    data = get(amplitude, "/api/3/annotations", params=query).json()["data"]
    assert [item["id"] for item in data] == ids


@pytest.mark.parametrize(
    "query", [{"start": "2024-01-01"}, {"end": "soon"}, {"category": "Releases", "chart_id": "x"}]
)
def test_a_bad_filter_of_annotations_is_400(amplitude: Emulator, query: dict[str, str]) -> None:
    assert get(amplitude, "/api/3/annotations", params=query).status_code == 400


def test_annotation_categories_are_listed_and_found(amplitude: Emulator) -> None:
    path = "/api/3/annotation-categories"
    both = get(amplitude, path).json()["data"]

    assert [item["name"] for item in both] == ["Releases", "Marketing"]
    assert get(amplitude, path, params={"category": "Releases"}).json()["data"] == both[:1]
    assert get(amplitude, f"{path}/3108").json() == both[1]


def test_taxonomy_lists_are_wrapped_and_their_items_found(amplitude: Emulator) -> None:
    for kind, count in {
        "category": 2,
        "event": 6,
        "event-property": 1,
        "user-property": 1,
        "group-property": 1,
    }.items():
        answer = get(amplitude, f"/api/2/taxonomy/{kind}").json()
        assert (answer["success"], len(answer["data"])) == (True, count)
    one = get(amplitude, "/api/2/taxonomy/category/A%2FB%20tests").json()
    assert one["data"]["name"] == "A/B tests"
    missing = get(amplitude, "/api/2/taxonomy/event/none")
    assert missing.status_code == 400
    assert missing.json() == {"success": False, "errors": [{"message": "Not found"}]}
    assert get(amplitude, "/api/2/taxonomy/user-property/none").status_code == 404
    shown = get(amplitude, "/api/2/taxonomy/user-property", params={"showDeleted": "true"}).json()
    assert len(shown["data"]) == 2


def test_an_event_type_comes_as_a_form_and_in_the_query_it_is_not_seen(amplitude: Emulator) -> None:
    wanted = {"event_type": "revenue_amount"}
    form = get(amplitude, "/api/2/taxonomy/event-property", data=wanted).json()["data"]
    query = get(amplitude, "/api/2/taxonomy/event-property", params=wanted).json()["data"]

    assert [item["event_property"] for item in form] == ["$price"]
    assert [item["event_property"] for item in query] == ["coupon"]


def test_one_group_property_takes_its_type_from_the_query_too(amplitude: Emulator) -> None:
    path = "/api/2/taxonomy/group-property/grp:tier"

    assert get(amplitude, path, params={"group_type": "org"}).json()["data"]["type"] == "string"
    assert get(amplitude, path).status_code == 400


def test_deletions_are_a_bare_list_within_their_days(amplitude: Emulator) -> None:
    query = {"start_day": "2024-01-01", "end_day": "2024-01-02"}
    jobs = get(amplitude, "/api/2/deletions/users", params=query).json()

    assert [job["status"] for job in jobs] == ["done", "submitted"]
    assert get(amplitude, "/api/2/deletions/users").status_code == 400


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_answers_in_place_of_the_truth_and_counts_down(amplitude: Emulator) -> None:
    fault = Fault(
        times=2, status=503, body=b"<html>", headers={"X-A": "b"}, content_type="text/html"
    )
    amplitude.faults.append(fault)

    answers = [get(amplitude, "/api/2/export", params=WINDOW) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].content == b"<html>"
    assert answers[0].headers["X-A"] == "b"
    assert answers[0].headers["Content-Type"] == "text/html"
    assert fault.times == 0
    assert get(amplitude, "/api/3/cohorts").status_code == 200


def test_a_fault_may_strike_always_or_only_some_windows(amplitude: Emulator) -> None:
    def statuses(fault: Fault) -> list[int]:
        amplitude.faults[:] = [fault]
        ends = ("20240101T00", "20240101T01", "20240101T05")
        return [
            get(amplitude, "/api/2/export", params={**WINDOW, "end": end}).status_code
            for end in ends
        ]

    assert statuses(Fault(status=500, times=None)) == [500, 500, 500]
    assert statuses(Fault(status=500, times=None, hour="20240101T01")) == [200, 500, 500]
    assert statuses(Fault(status=504, times=None, only_longer_than=2)) == [200, 200, 504]
    assert statuses(Fault(status=504, times=1, only_longer_than=1)) == [200, 504, 200]


def test_an_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such kind"):
        Fault(kind="fire")


@pytest.mark.parametrize("kind", ["html", "empty", "short", "bit_flip", "bad_crc"])
def test_a_damaged_body_has_a_fitting_length_and_is_no_archive(
    amplitude: Emulator, kind: str
) -> None:
    whole = get(amplitude, "/api/2/export", params=WINDOW).content
    amplitude.faults.append(Fault(kind=kind))

    response = get(amplitude, "/api/2/export", params=WINDOW)

    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(response.content))
    if kind in ("bit_flip", "bad_crc"):
        assert sum(a != b for a, b in zip(response.content, whole, strict=True)) == 1
    with pytest.raises(zipfile.BadZipFile):
        events(response.content)
    assert get(amplitude, "/api/2/export", params=WINDOW).content == whole


def test_a_cut_gzip_lies_in_a_whole_zip(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(kind="gzip_cut"))
    body = get(amplitude, "/api/2/export", params=WINDOW).content

    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    with pytest.raises(EOFError):
        events(body)


def test_a_bad_line_is_the_second_of_the_first_member(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(kind="bad_line"))
    body = get(amplitude, "/api/2/export", params=WINDOW).content

    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        first, *others = (
            gzip.decompress(archive.read(name)).splitlines() for name in archive.namelist()
        )
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(first[1])
    for line in [first[0], *first[2:], *(line for other in others for line in other)]:
        json.loads(line)


@pytest.mark.parametrize("kind", ["cut", "cut_chunked", "close", "hang"])
def test_a_connection_may_end_early(amplitude: Emulator, kind: str) -> None:
    amplitude.faults.append(Fault(kind=kind, delay=0.01))

    with pytest.raises(requests.ConnectionError if kind in ("close", "hang") else OSError):
        get(amplitude, "/api/2/export", params=WINDOW)

    assert amplitude.requests[-1].status == (0 if kind in ("close", "hang") else 200)
    assert get(amplitude, "/api/2/export", params=WINDOW).status_code == 200


def test_a_body_may_be_replaced(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(path="/api/3/cohorts", replace=lambda body: body[:2]))
    assert get(amplitude, "/api/3/cohorts").content == b'{"'


def test_damage_waits_for_a_request_that_has_a_body(amplitude: Emulator) -> None:
    fault = Fault(kind="short")
    amplitude.faults.append(fault)

    missing = {"start": "20230101T00", "end": "20230101T00"}
    assert get(amplitude, "/api/2/export", params=missing).status_code == 404
    assert fault.times == 1


# -- the server ------------------------------------------------------------------------------------


def test_requests_are_logged_in_order_of_arrival(amplitude: Emulator, time_of: Clock) -> None:
    get(amplitude, "/api/2/export", params=WINDOW)
    get(amplitude, "/api/3/cohorts", auth=None)

    first, second = amplitude.requests
    assert (first.method, first.path, first.status) == ("GET", "/api/2/export", 200)
    assert first.query == {"start": ["20240101T00"], "end": ["20240101T05"]}
    assert first.at == time_of.now
    assert (second.path, second.status) == ("/api/3/cohorts", 401)


def test_no_log_entry_shows_credentials(amplitude: Emulator) -> None:
    get(amplitude, "/api/3/cohorts")
    assert "Basic" not in repr(amplitude.requests)


def test_it_ends_at_once_while_clients_hold_connections_and_answers(project: Project) -> None:
    ended: list[Exception] = []

    def ask() -> None:
        try:
            get(emulator, "/api/2/export", params=WINDOW)
        except requests.ConnectionError as error:
            ended.append(error)

    with requests.Session() as session:
        with Emulator(project, [Fault(kind="hang", delay=600)]) as emulator:
            session.get(f"{emulator.url}/api/3/cohorts")
            waiting = threading.Thread(target=ask)
            waiting.start()
            while len(emulator.requests) < 2:
                pass
        waiting.join(10)

    assert len(ended) == 1


def test_it_can_be_stopped_without_having_been_started(project: Project) -> None:
    Emulator(project).stop()
