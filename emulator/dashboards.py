"""Dashboard REST: figures by day of the project's time zone (apis/analytics/dashboard-rest)."""

import json
import random
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from emulator.api import Api
from emulator.event import EVENT_TYPES
from emulator.messages import ApiError, Request, Response, json_response, parse_day
from emulator.project import COUNTRIES

GROUP_BY_COST = 4
SESSIONS_COST = 4
BINS_MS = (0, 3_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000, 3_600_000, 86_400_000)
UNITS_MS = {"hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def users(api: Api, request: Request) -> Response:
    """Active or new users, by country or not, by day, week or month."""
    measure, interval = request.value("m") or "active", request.value("i") or "1"
    if measure not in ("active", "new"):
        raise _invalid("m must be active or new")
    if interval not in ("1", "7", "30"):
        raise _invalid("i must be 1, 7 or 30")
    groups = request.query.get("g", [])
    for group in groups:
        if group != "country":
            raise _invalid(f"Invalid user property {group}")
    days = _days(api, request, 1 + GROUP_BY_COST * len(groups))
    share = 1 if measure == "active" else 5
    labels = [*COUNTRIES] if groups else [0]
    final = [api.project.statistics(day) for day in days]
    series = []
    for label in labels:
        totals = [f[label] if isinstance(label, str) else sum(f.values()) for f in final]
        shown = [
            int(api.project.reported(day, n // share)) for day, n in zip(days, totals, strict=True)
        ]
        # No source describes wider buckets: here a bucket is its best day, under its first.
        step = int(interval)
        series.append([max(shown[at : at + step]) for at in range(0, len(shown), step)])
    return _series(api, days, days[:: int(interval)], series, labels)


def average_length(api: Api, request: Request) -> Response:
    """Average session length, seconds."""
    days = _days(api, request, SESSIONS_COST)
    values = [
        round(api.project.reported(day, api.project.session_length(day), 0.1), 1) for day in days
    ]
    return _series(api, days, days, [values], [0])


def per_user(api: Api, request: Request) -> Response:
    """Average sessions of a user."""
    days = _days(api, request, SESSIONS_COST)
    values = [
        round(api.project.reported(day, api.project.sessions_per_user(day), 0.01), 2)
        for day in days
    ]
    return _series(api, days, days, [values], [0])


def lengths(api: Api, request: Request) -> Response:
    """Sessions by length, over all days."""
    days = _days(api, request, SESSIONS_COST)
    unit, low, high, size = (
        request.value(f"timeHistogramConfigBin{name}")
        for name in ("TimeUnit", "Min", "Max", "Size")
    )
    edges = list(BINS_MS)
    if unit and low and high:
        try:
            scale = UNITS_MS[unit]
            width = int(size) if size else max(1, (int(high) - int(low)) // 10)
            edges = [n * scale for n in range(int(low), int(high) + 1, width)]
        except (KeyError, ValueError):
            raise _invalid("timeHistogramConfig is not a histogram") from None
    labels = [f"{a // 1000}s-{b // 1000}s" for a, b in pairwise(edges)]
    chance = random.Random(f"{api.project.seed} lengths {days[0]}")
    counts = [chance.randrange(500) for _ in labels]
    shown = any(api.project.has_data(day) for day in days)
    series = [counts] if shown else []
    return json_response({"data": {"series": series, "xValues": labels}})


def event_list(api: Api, request: Request) -> Response:
    """The event types with this week's totals."""
    api.spend(request, "dashboard", 1)
    return json_response({"data": _event_list()})


def _days(api: Api, request: Request, cost: int) -> list[date]:
    bounds = []
    for name in ("start", "end"):
        try:
            bounds.append(parse_day(request.value(name) or ""))
        except ValueError:
            raise _invalid(f"{name} must have the format YYYYMMDD") from None
    first, last = bounds
    if first > last:
        raise _invalid("start must be before end")
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    api.spend(request, "dashboard", len(days) * _conditions(request) * cost)
    return days


def _conditions(request: Request) -> int:
    """Segments and their conditions; one when none is asked for."""
    count = 0
    for text in request.query.get("s", []):
        try:
            conditions = json.loads(text)
        except ValueError:
            raise _invalid("s must be JSON") from None
        count += 1 + (len(conditions) if isinstance(conditions, list) else 0)
    return max(1, count)


def _invalid(details: str) -> ApiError:
    return ApiError(400, details, message="Invalid chart definition")


def _series(
    api: Api, days: list[date], buckets: list[date], series: list[list[Any]], labels: list[Any]
) -> Response:
    if not any(api.project.has_data(day) for day in days):
        series, labels = [], []
    data = {
        "xValues": [str(bucket) for bucket in buckets],
        "series": series,
        "seriesLabels": labels,
        "seriesCollapsed": [[0] for _ in series],
        "seriesMeta": [{"segmentIndex": 0} for _ in series],
    }
    return json_response({"data": data})


def _event_list() -> list[dict[str, Any]]:
    """The visible event types, with the current week's totals."""
    off = "hidden deleted non_active flow_hidden autohidden clusters_hidden timeline_hidden"
    return [
        {
            "id": 20_417_733 + number,
            "name": name,
            "value": name,
            "display": name,
            "totals": 1934 - number,
            "totals_delta": number - 12,
            **dict.fromkeys(off.split(), False),
            "in_waitroom": False,
            "waitroom_approved": None,
        }
        for number, name in enumerate(EVENT_TYPES)
    ]
