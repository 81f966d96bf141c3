"""Behavioral cohorts: the list and the download of members (apis/analytics/behavioral-cohorts)."""

import csv
import io
import random
from typing import Any

from emulator import catalogue
from emulator.answers import Answer, RefusedError, Request, answer
from emulator.api import Api
from emulator.limits import COHORT_JOBS, too_many

SIGNED_SECONDS = 60


def cohorts(api: Api, request: Request) -> Answer:
    """The discoverable cohorts."""
    api.require("cohorts")
    found = catalogue.cohorts(api.project.app)
    if request.value("includeSyncInfo") != "true":
        found = [{k: v for k, v in item.items() if k != "syncMetadata"} for item in found]
    return answer({"cohorts": found})


def request_download(api: Api, request: Request, cohort: str) -> Answer:
    """Start a job that writes a cohort's members."""
    api.require("cohorts")
    _cohort(api, cohort)
    if api.budget and sum(asked < 2 for _, asked in api.jobs.values()) >= COHORT_JOBS:
        raise too_many("concurrent", 1)
    api.spend(request, "cohorts", 1)
    props = request.value("props") == "1"
    number = random.Random(f"{cohort} {props} {request.query.get('propKeys')} {len(api.jobs)}")
    job = f"{number.getrandbits(40):010x}"
    api.jobs[job] = (cohort, 0)
    api.job_properties[job] = request.query.get("propKeys", ["plan"]) if props else []
    return answer({"request_id": job, "cohort_id": cohort}, 202)


def download_status(api: Api, _request: Request, job: str) -> Answer:
    """Unfinished when first asked, finished from then on, so that no test needs to wait."""
    api.require("cohorts")
    cohort, asked = _job(api, job)
    api.jobs[job] = (cohort, asked + 1)
    state, status = ("JOB COMPLETED", 200) if asked else ("JOB INPROGRESS", 202)
    return answer({"request_id": job, "cohort_id": cohort, "async_status": state}, status)


def download_file(api: Api, _request: Request, job: str) -> Answer:
    """Redirect to a signed address of another host, which holds for a minute."""
    api.require("cohorts")
    _, asked = _job(api, job)
    if asked < 2:
        raise RefusedError(400, "The job is not completed")
    token = f"{job}-{len(api.signed)}"
    api.signed[token] = (job, api.project.now().timestamp() + SIGNED_SECONDS)
    location = f"{api.files_url}/signed/cohorts/{token}.csv"
    return Answer(b"", 302, "text/plain", {"Location": location})


def signed_file(api: Api, request: Request, token: str) -> Answer:
    """The members; as S3 does, refuse a second kind of credentials and an address that has ended."""
    job, ends = api.signed.get(token, ("", 0.0))
    if request.authorization is not None:
        return _s3(400, "InvalidArgument", "Only one auth mechanism allowed")
    if api.project.now().timestamp() >= ends:
        return _s3(403, "AccessDenied", "Request has expired")
    properties = api.job_properties[job]
    body = io.StringIO()
    table = csv.writer(body)
    table.writerow(["amplitude_id", "user_id", *properties])
    for number in range(_cohort(api, api.jobs[job][0])["size"]):
        user = "" if number % 4 == 0 else f"user-{number}@example.com"
        table.writerow([731_550_000_000 + number, user, *("team, yearly" for _ in properties)])
    return Answer(body.getvalue().encode(), 200, "text/csv")


def _cohort(api: Api, name: str) -> dict[str, Any]:
    for cohort in catalogue.cohorts(api.project.app):
        if cohort["id"] == name:
            return cohort
    raise RefusedError(404, f"No such cohort: {name}")


def _job(api: Api, job: str) -> tuple[str, int]:
    if job not in api.jobs:
        raise RefusedError(404, f"No such request: {job}")
    return api.jobs[job]


def _s3(status: int, code: str, message: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(body.encode(), status, "application/xml")
