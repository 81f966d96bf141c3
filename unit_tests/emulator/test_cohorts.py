"""Cohorts: the list, and the download of members with its limits."""

from datetime import timedelta

import requests

from emulator import Emulator
from emulator.cohorts import POLLS
from unit_tests.emulator.conftest import Clock, get


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
    assert signed.startswith(amplitude.api.files_url)
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


def test_taxonomy_and_cohort_downloads_have_budgets_of_their_own(amplitude: Emulator) -> None:
    with requests.Session() as session:
        session.auth = (amplitude.api_key, amplitude.secret_key)
        downloads = []
        for _ in range(61):
            asked = session.get(f"{amplitude.url}/api/5/cohorts/request/p81xq0z")
            downloads.append(asked.status_code)
            for job in amplitude.api.cohort_jobs.values():
                job.polls = POLLS
    amplitude.api.budgets["taxonomy"].spend(7_200)

    assert downloads == [202] * 60 + [429]
    assert get(amplitude, "/api/2/taxonomy/event").status_code == 429


def test_four_cohort_downloads_are_at_work_at_once(amplitude: Emulator) -> None:
    answers = [get(amplitude, "/api/5/cohorts/request/p81xq0z") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [202] * 4 + [429]
    job = answers[0].json()["request_id"]
    for _ in range(2):
        get(amplitude, f"/api/5/cohorts/request-status/{job}")
    assert get(amplitude, "/api/5/cohorts/request/p81xq0z").status_code == 202
