"""Behavioral cohorts: the list and the download of members (apis/analytics/behavioral-cohorts)."""

import csv
import gzip
import io
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from emulator.api import Api, CohortJob
from emulator.limits import COHORT_DOWNLOADS, COHORT_JOBS, too_many
from emulator.messages import ApiError, Request, Response, json_response

COHORTS = Path(__file__).with_name("cohorts.json").read_text()
SIGNED_SECONDS = 60


def cohorts(api: Api, request: Request) -> Response:
    """Respond with the discoverable cohorts."""
    api.require("cohorts")
    found = [_with_times(api, cohort) for cohort in make_cohorts(api.project.app)]
    if request.value("includeSyncInfo") != "true":
        found = [{k: v for k, v in item.items() if k != "syncMetadata"} for item in found]
    return json_response({"cohorts": found})


def usage(api: Api, _request: Request) -> Response:
    """Respond with the downloads of this month, as a public client reads them; no body is documented."""
    api.require("cohorts")
    most, _ = COHORT_DOWNLOADS["monthly"]
    now = api.project.now()
    month = (now.replace(day=1) + timedelta(days=31)).replace(day=1)
    resets = f"{month:%Y-%m-%d}T00:00:00Z"
    used = api.budgets["cohorts"].spent("monthly")
    return json_response({"rest_download": {"limit": most, "usage": used, "resets_at": resets}})


def request_download(api: Api, request: Request, cohort: str) -> Response:
    """Start a job that writes the members of a cohort to a file."""
    api.require("cohorts")
    _find_cohort(api, cohort)
    if api.budget and sum(not job.completed for job in api.cohort_jobs.values()) >= COHORT_JOBS:
        raise too_many("concurrent", 1)
    api.spend(request, "cohorts", 1)
    props = request.value("props") == "1"
    keys = request.query.get("propKeys", ["plan"]) if props else []
    chance = random.Random(f"{cohort} {props} {keys} {len(api.cohort_jobs)}")
    job = CohortJob(f"{chance.getrandbits(40):010x}", cohort, keys)
    api.cohort_jobs[job.id] = job
    return json_response({"request_id": job.id, "cohort_id": cohort}, 202)


def download_status(api: Api, _request: Request, number: str) -> Response:
    """Respond with the status of a job: at work for the first request, completed for later ones."""
    api.require("cohorts")
    job = _find_job(api, number)
    job.polls += 1
    if job.completed and api.project.cohorts.downloads_compute:
        api.project.computed[job.cohort] = int(api.project.now().timestamp())
    state, status = ("JOB COMPLETED", 200) if job.completed else (api.project.cohorts.status, 202)
    data = {"request_id": job.id, "cohort_id": job.cohort, "async_status": state}
    return json_response(data, status)


def download_file(api: Api, _request: Request, number: str) -> Response:
    """Redirect to a signed address on another host, which is valid for a minute."""
    api.require("cohorts")
    job = _find_job(api, number)
    if not job.completed:
        raise ApiError(400, "The job is not completed")
    job.links.append(api.project.now().timestamp() + SIGNED_SECONDS)
    location = f"{api.files_url}/signed/cohorts/{job.id}-{len(job.links)}.csv"
    return Response(b"", 302, "text/plain", {"Location": location})


def signed_file(api: Api, request: Request, number: str, link: str) -> Response:
    """Respond with the members; like S3, refuse credentials beside the signature, and an expired address."""
    job = api.cohort_jobs.get(number)
    if request.authorization is not None:
        return _s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    ends = job.links[int(link) - 1 : int(link)] if job else []
    if not job or not ends or api.project.now().timestamp() >= ends[0]:
        return _s3_error(403, "AccessDenied", "Request has expired")
    body = io.StringIO()
    # As recorded: every cell is quoted, lines end with LF. With properties, a client found the id twice.
    table = csv.writer(body, quoting=csv.QUOTE_ALL, lineterminator="\n")
    again = job.properties[:1] and ["amplitude_id"]
    table.writerow(["amplitude_id", "user_id", *again, *job.properties])
    for row in range(_find_cohort(api, job.cohort)["size"] or 0):
        user = "" if row % 4 == 0 else f"user-{row}@example.com"
        identity = 731_550_000_000 + row
        values = ("team, yearly" for _ in job.properties)
        table.writerow([identity, user, *(identity for _ in again), *values])
    content = body.getvalue().encode()
    if api.project.cohorts.files == "plain":
        return Response(content, 200, "text/csv")
    labels = {"Content-Encoding": "gzip"} if api.project.cohorts.files == "gzip" else {}
    return Response(gzip.compress(content, mtime=0), 200, "text/csv", labels)


def _with_times(api: Api, cohort: dict[str, Any]) -> dict[str, Any]:
    """Return a cohort with the times at which it was last computed and edited."""
    times = {
        "lastComputed": api.project.computed.get(cohort["id"], cohort["lastComputed"]),
        "lastMod": api.project.edited.get(cohort["id"], cohort["lastMod"]),
    }
    return {**cohort, **times}


def _find_cohort(api: Api, name: str) -> dict[str, Any]:
    for cohort in make_cohorts(api.project.app):
        if cohort["id"] == name:
            return cohort
    raise ApiError(404, f"No such cohort: {name}")


def _find_job(api: Api, number: str) -> CohortJob:
    if number not in api.cohort_jobs:
        raise ApiError(404, f"No such request: {number}")
    return api.cohort_jobs[number]


def _s3_error(status: int, code: str, message: str) -> Response:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(body.encode(), status, "application/xml")


def make_cohorts(app: int) -> list[dict[str, Any]]:
    """Return the discoverable cohorts of a project, with every field that was recorded.

    One has not been computed yet, and two have the same name.
    """
    return [{"appId": app, **cohort} for cohort in json.loads(COHORTS)]
