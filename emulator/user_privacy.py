"""User privacy: the jobs that remove users (apis/analytics/user-privacy)."""

from datetime import date, timedelta
from typing import Any

import pendulum

from emulator.api import Api
from emulator.messages import ApiError, Request, Response, json_response


def make_jobs(app: int, start: date) -> list[dict[str, Any]]:
    """Return the jobs that remove users: one on each of three days, and one planned 12 days ahead."""
    jobs = []
    for number, status in enumerate(["done", "submitted", "staging", "staging"]):
        asked = start + timedelta(days=min(number, 2))
        user = {
            "amplitude_id": 731_550_000_000 + number,
            "requested_on_day": str(asked),
            "requester": "ana@example.com",
        }
        jobs.append(
            {
                "active_scrub_done_date": str(start + timedelta(days=4)) if number == 0 else None,
                "amplitude_ids": [user],
                "app": str(app),
                "day": str(asked + timedelta(days=12 if number == 3 else 0)),
                "status": status,
            }
        )
    return jobs


def deletions(api: Api, request: Request) -> Response:
    """Respond with the jobs between two days, six months at most; *recorded*: JSON labelled as HTML."""
    bounds = []
    for name in ("start_day", "end_day"):
        try:
            bounds.append(date.fromisoformat(request.value(name) or ""))
        except ValueError:
            raise ApiError(400, f"{name} must have the format YYYY-MM-DD") from None
    first, last = bounds
    if first > last:
        raise ApiError(400, "start_day must be before end_day")
    if last > pendulum.date(first.year, first.month, first.day).add(months=6):
        raise ApiError(400, "the date range must not be longer than six months")
    api.spend(request, "deletions", 1)
    jobs = make_jobs(api.project.app, api.project.start.date())
    found = [job for job in jobs if str(first) <= job["day"] <= str(last)]
    return Response(json_response(found).body, content_type="text/html; charset=UTF-8")
