"""Behavioral cohorts: the list and the download of members (apis/analytics/behavioral-cohorts)."""

import csv
import gzip
import io
import random
from datetime import timedelta
from typing import Any

from emulator.api import Api, CohortJob
from emulator.limits import COHORT_DOWNLOADS, COHORT_JOBS, too_many
from emulator.messages import ApiError, Request, Response, json_response

SIGNED_SECONDS = 60


def cohorts(api: Api, request: Request) -> Response:
    """The discoverable cohorts."""
    api.require("cohorts")
    found = [_with_times(api, cohort) for cohort in make_cohorts(api.project.app)]
    if request.value("includeSyncInfo") != "true":
        found = [{k: v for k, v in item.items() if k != "syncMetadata"} for item in found]
    return json_response({"cohorts": found})


def usage(api: Api, _request: Request) -> Response:
    """The downloads of this month, as a public client reads them; the documentation has no body."""
    api.require("cohorts")
    most, _ = COHORT_DOWNLOADS["monthly"]
    now = api.project.now()
    month = (now.replace(day=1) + timedelta(days=31)).replace(day=1)
    resets = f"{month:%Y-%m-%d}T00:00:00Z"
    used = api.budgets["cohorts"].spent("monthly")
    return json_response({"rest_download": {"limit": most, "usage": used, "resets_at": resets}})


def request_download(api: Api, request: Request, cohort: str) -> Response:
    """Start a job that writes a cohort's members."""
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
    """Unfinished when first asked, finished from then on, so that no test needs to wait."""
    api.require("cohorts")
    job = _find_job(api, number)
    job.polls += 1
    if job.completed and api.project.downloads_compute:
        api.project.computed[job.cohort] = int(api.project.now().timestamp())
    state, status = ("JOB COMPLETED", 200) if job.completed else (api.project.cohort_status, 202)
    data = {"request_id": job.id, "cohort_id": job.cohort, "async_status": state}
    return json_response(data, status)


def download_file(api: Api, _request: Request, number: str) -> Response:
    """Redirect to a signed address of another host, which holds for a minute."""
    api.require("cohorts")
    job = _find_job(api, number)
    if not job.completed:
        raise ApiError(400, "The job is not completed")
    job.links.append(api.project.now().timestamp() + SIGNED_SECONDS)
    location = f"{api.files_url}/signed/cohorts/{job.id}-{len(job.links)}.csv"
    return Response(b"", 302, "text/plain", {"Location": location})


def signed_file(api: Api, request: Request, number: str, link: str) -> Response:
    """The members; as S3 does, refuse a second kind of credentials and an address that has ended."""
    job = api.cohort_jobs.get(number)
    if request.authorization is not None:
        return _s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    ends = job.links[int(link) - 1 : int(link)] if job else []
    if not job or not ends or api.project.now().timestamp() >= ends[0]:
        return _s3_error(403, "AccessDenied", "Request has expired")
    body = io.StringIO()
    # As recorded: every cell in quotes, lines that end in LF. With properties, a client met the id twice.
    table = csv.writer(body, quoting=csv.QUOTE_ALL, lineterminator="\n")
    again = job.properties[:1] and ["amplitude_id"]
    table.writerow(["amplitude_id", "user_id", *again, *job.properties])
    for row in range(_find_cohort(api, job.cohort)["size"] or 0):
        user = "" if row % 4 == 0 else f"user-{row}@example.com"
        identity = 731_550_000_000 + row
        values = ("team, yearly" for _ in job.properties)
        table.writerow([identity, user, *(identity for _ in again), *values])
    content = body.getvalue().encode()
    if api.project.cohort_files == "plain":
        return Response(content, 200, "text/csv")
    labels = {"Content-Encoding": "gzip"} if api.project.cohort_files == "gzip" else {}
    return Response(gzip.compress(content, mtime=0), 200, "text/csv", labels)


def _with_times(api: Api, cohort: dict[str, Any]) -> dict[str, Any]:
    """A cohort with the times at which it was computed and edited since."""
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
    """The discoverable cohorts, with every field that was recorded."""
    return [
        _make_cohort(app, 0, "k3v9t2a", "Nobody yet"),
        _make_cohort(app, 1, "p81xq0z", "Paying"),
        _make_cohort(app, 2, "zz7a1b2", "Paying"),  # names are not unique
    ]


def _make_cohort(app: int, number: int, name: str, title: str) -> dict[str, Any]:
    sync: dict[str, Any] = {
        "target": "Braze",
        "frequency": "hourly",
        "last_successful": "2023-05-01T10:00:00+00:00",
        "last_failure": None,
        "params": {},
    }
    clause = {"negated": False, "orClauses": [{"type": "event", "type_value": "_active"}]}
    return {
        "appId": app,
        "archived": number == 2,
        "definition": {
            "version": 3,
            "countGroup": {"name": "User", "is_computed": False},
            "cohortType": "UNIQUES",
            "andClauses": [clause],
            "referenceFrameTimeParams": {},
            "orClauses": [[clause]],
        },
        "description": "People who paid" if number else None,
        "finished": number > 0,
        "id": name,
        "name": title,
        "published": True,
        "type": "redshift",
        "lastMod": 1_679_000_000 + number,
        "createdAt": 1_665_697_229 if number else None,
        "lastComputed": 1_684_000_000 + number if number else None,
        "hidden": False,
        "metadata": ["growth"] if number else None,
        "view_count": 3 if number else None,
        "popularity": number if number else None,
        "last_viewed": 1_684_100_000 if number else None,
        "chart_id": None,
        "edit_id": None,
        "is_predictive": False,
        "is_official_content": False,
        "location_id": None,
        "shortcut_ids": [],
        "per_app_metadata": None,
        "cohort_definition_type": None,
        "cohort_output_type": "UNIQUES",
        "is_generated_content": False,
        "owners": ["ana@example.com"] if number else ["amp"],
        "viewers": [],
        # Null until it has been computed.
        "size": 120 * number if number else None,
        "syncMetadata": [sync] if number else [],
    }
