"""Cohorts: the list, and the download of members with its limits."""

import gzip
from datetime import timedelta

import requests

from emulator import Emulator
from emulator.api import POLLS
from unit_tests.emulator.conftest import Clock, get


def test_cohorts_have_every_recorded_field(amplitude: Emulator) -> None:
    plain = get(amplitude, "/api/3/cohorts").json()["cohorts"]
    synced = get(amplitude, "/api/3/cohorts", params={"includeSyncInfo": "true"}).json()["cohorts"]

    fields = (
        "appId archived definition description finished id name published type lastMod createdAt"
        " lastComputed hidden metadata view_count popularity last_viewed chart_id edit_id"
        " is_predictive is_official_content location_id shortcut_ids per_app_metadata"
        " cohort_definition_type cohort_output_type is_generated_content owners viewers size"
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
    file = requests.get(signed, timeout=10)
    assert file.headers["Content-Encoding"] == "gzip"
    header, row, *others = file.text.split("\n")
    assert header == '"amplitude_id","user_id","amplitude_id","a","b"'
    assert row == '"731550000000","","731550000000","team, yearly","team, yearly"'
    assert len(others) == 120
    time_of.now += timedelta(minutes=1)
    assert requests.get(signed, timeout=10).status_code == 403


def test_files_and_statuses_of_cohorts_have_options(amplitude: Emulator) -> None:
    amplitude.project.cohorts.status = "JOB QUEUED"
    bodies = {}
    for form in ("gzip", "unlabelled", "plain"):
        amplitude.project.cohorts.files = form
        job = get(amplitude, "/api/5/cohorts/request/p81xq0z").json()["request_id"]
        first, _ = (get(amplitude, f"/api/5/cohorts/request-status/{job}") for _ in range(POLLS))
        assert first.json()["async_status"] == "JOB QUEUED"
        bodies[form] = get(amplitude, f"/api/5/cohorts/request/{job}/file").content

    assert gzip.decompress(bodies["unlabelled"]) == bodies["plain"] == bodies["gzip"]


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
