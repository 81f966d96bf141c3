"""Dashboard REST: figures by day of the project's time zone (apis/analytics/dashboard-rest)."""

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from emulator.api import Api
from emulator.event import EVENT_TYPES
from emulator.limits import GROUPS
from emulator.messages import ApiError, Request, Response, json_response, parse_day

GROUP_BY_COST = 4
SESSIONS_COST = 4
BINS_MS = (0, 3_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000, 3_600_000, 86_400_000)
UNITS_MS = {"hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def users(api: Api, request: Request) -> Response:
    """Active or new users, by country or not, by day, week or month.

    A user in two countries counts in both, so that groups add up to more than the ungrouped figure; the 100
    largest groups are answered.
    """
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
    final: dict[Any, list[int]] = {0: [api.project.active_users(day) for day in days]}
    if groups:
        by_day = [api.project.statistics(day) for day in days]
        final = {country: [figures[country] for figures in by_day] for country in by_day[0]}
        largest = sorted(final, key=lambda country: sum(final[country]), reverse=True)[:GROUPS]
        final = {country: final[country] for country in largest}
    series = []
    for totals in final.values():
        reported = [
            int(api.project.reported(day, n // share)) for day, n in zip(days, totals, strict=True)
        ]
        # No source describes wider buckets: here a bucket is its best day, under its first.
        step = int(interval)
        series.append([max(reported[at : at + step]) for at in range(0, len(reported), step)])
    labels = [*final]
    buckets = [str(day) for day in days[:: int(interval)]]
    if not any(api.project.has_data(day) for day in days):
        series, labels = [], []
        buckets = [] if api.project.empty_tables == "bare" else buckets
    data = {
        "xValues": buckets,
        "series": series,
        # Beside real figures too, as recorded.
        "seriesCollapsed": [[0] for _ in series],
        "seriesLabels": labels,
        "seriesMeta": [{"segmentIndex": 0} for _ in series],
    }
    return json_response({"data": data})


def average_length(api: Api, request: Request) -> Response:
    """Average session length, seconds."""
    return _averages(api, request, api.project.session_length, 1)


def per_user(api: Api, request: Request) -> Response:
    """Average sessions of a user."""
    return _averages(api, request, api.project.sessions_per_user, 2)


def _averages(
    api: Api, request: Request, final: Callable[[date], float], decimals: int
) -> Response:
    days = _days(api, request, SESSIONS_COST)
    project = api.project
    values = [round(project.reported(day, final(day), 10**-decimals), decimals) for day in days]
    data: dict[str, Any] = {
        "series": [values],
        "seriesCollapsed": [[{"setId": "", "value": sum(values) / len(values)}]],
        "seriesMeta": [{"segmentIndex": 0, "sessionIndex": 0}],
        "xValues": [f"{day}T00:00:00" for day in days],
    }
    if project.empty_tables and not any(project.has_sessions(day) for day in days):
        data.update(series=[], seriesCollapsed=[], seriesMeta=[])
        if project.empty_tables == "bare":
            data["xValues"] = []
    return json_response({"data": data, **_query_data(api)})


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
    if any(api.project.has_sessions(day) for day in days):
        data = {
            "series": [counts],
            "seriesMeta": [{"segmentIndex": 0, "sessionIndex": 0}],
            "xValues": labels,
            "seriesLabels": [0],
            "seriesCollapsed": [[{"setId": "", "value": sum(counts)}]],
        }
    else:
        bins = labels if api.project.empty_tables == "days" else []
        data = {
            "series": [],
            "seriesMeta": [],
            "xValues": bins,
            "seriesLabels": [],
            "seriesCollapsed": [],
        }
    return json_response({"withSets": False, "data": data, **_query_data(api)})


def event_list(api: Api, request: Request) -> Response:
    """The event types with this week's totals."""
    api.spend(request, "dashboard", 1)
    query = {name: _query_data(api)[name] for name in EVENT_LIST_QUERY_DATA}
    return json_response({"data": _event_list(), **query})


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
    return ApiError(400, details, kind="invalid", message="Invalid chart definition")


EVENT_LIST_QUERY_DATA = (
    "timeComputed",
    "wasCached",
    "cacheFreshness",
    "novaRuntime",
    "novaRequestDuration",
    "novaCost",
    "throttleTime",
    "transformationIds",
)


def _query_data(api: Api) -> dict[str, Any]:
    """What Amplitude sends beside `data`: how a query was computed; it differs at each request."""
    now = int(api.project.now().timestamp() * 1000)
    query = {
        "cacheFreshness": "FRESH",
        "throttleTime": 0,
        "novaCost": 12,
        "minSampleRate": 1.0,
        "realtimeDataMissing": False,
        "missedCacheAndNotComputed": False,
        "prunedResult": False,
        "hitChunkGroupByLimit": False,
        "novaRequestDuration": 30,
        "novaRuntime": 10,
        "costMetadata": {"eventsInTimeRange": 8, "cpuTime": 20_000},
        "qtsMetadata": {"qtsRate": 1, "numUsers": 0},
    }
    number = f"{now % 36**6:010x}"
    return {
        "timeComputed": now - 12_000,
        "wasCached": True,
        "allQueriesCached": True,
        "wasDatasetCacheHit": False,
        **query,
        "transformationIds": [],
        "backend": "novaV2",
        "timedOutRealtimeData": False,
        "realtimeProcessLag": {
            "min": 330_000,
            "max": 350_000,
            "p50": 339_000.1234567891,
            "p75": 340_000.1234567891,
            "p95": 345_000.1234567891,
            "count": 150,
        },
        "partialMergedAndNewUserInformation": False,
        "subcluster": 4,
        "millisSinceComputed": 12_000,
        "earliestServerReceivedTime": 2**63 - 1,
        "queryIds": [number],
        "numQueries": 1,
        "numDistinctQueries": 1,
        "novaRequestStartAndEndTimes": [[now, now + 30]],
        "perQueryMetadata": [
            {
                "queryId": number,
                "queryType": "QUERY_GRAPH",
                "cached": True,
                **query,
                "externalDataMissing": False,
                "timedOutRealtime": False,
                "requestFreshness": "FRESH",
            }
        ],
        "prunedAmpIds": [],
        "prunedApps": [],
        "potentialCacheMissAnomaly": False,
        "dacResolutionStartAndEndTimes": [],
        "dacResolutionDuration": 0,
        "crossCacheMetadata": {"crossCache": False, "offset": 0, "cdcRunTime": 0},
        "potentialCDCHit": False,
        "longTimeRangeQuery": False,
        "timeRangeSplitCount": 0,
        "isPeriodOverPeriod": False,
        "wasStreamed": False,
        "datasetPhaseTimings": {
            "single time range": {"max_time": 400, "min_time": 400, "all_timings": [400]}
        },
        "containsCohorts": False,
    }


def _event_list() -> list[dict[str, Any]]:
    """The visible event types, with the current week's totals."""
    off = "autohidden hidden deleted flow_hidden timeline_hidden non_active in_waitroom"
    return [
        {
            "id": 20_417_733 + number,
            "value": name,
            "display": name,
            **dict.fromkeys(off.split(), False),
            "waitroom_approved": None,
            "name": name,
            "totals": 1934 - number,
            "totals_delta": number - 12,
        }
        for number, name in enumerate(EVENT_TYPES)
    ]
