"""User privacy: the jobs that remove users (apis/analytics/user-privacy)."""

from datetime import date, timedelta
from typing import Any

from emulator.api import Api
from emulator.messages import ApiError, Request, Response, json_response


def make_jobs(app: int, start: date) -> list[dict[str, Any]]:
    """The jobs that remove users, one a day."""
    jobs = []
    for number, status in enumerate(["done", "submitted", "staging"]):
        day = str(start + timedelta(days=number))
        user = {
            "amplitude_id": 731_550_000_000 + number,
            "requester": "ana@example.com",
            "requested_on_day": day,
        }
        done = str(start + timedelta(days=4)) if status == "done" else None
        jobs.append(
            {
                "day": day,
                "status": status,
                "amplitude_ids": [user],
                "app": str(app),
                "active_scrub_done_date": done,
            }
        )
    return jobs


def deletions(api: Api, request: Request) -> Response:
    """The jobs between two days."""
    bounds = []
    for name in ("start_day", "end_day"):
        try:
            bounds.append(str(date.fromisoformat(request.value(name) or "")))
        except ValueError:
            raise ApiError(400, f"{name} must have the format YYYY-MM-DD") from None
    first, last = bounds
    if first > last:
        raise ApiError(400, "start_day must be before end_day")
    api.spend(request, "deletions", 1)
    jobs = make_jobs(api.project.app, api.project.start.date())
    return json_response([job for job in jobs if first <= job["day"] <= last])
