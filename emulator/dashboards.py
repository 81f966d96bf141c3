"""Dashboard REST API: figures by day of the project's time zone (apis/analytics/dashboard-rest)."""

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from emulator.api import Api
from emulator.event import EVENT_TYPES
from emulator.limits import GROUPS, MOST_GROUPS
from emulator.messages import ApiError, Request, Response, json_response, parse_day

GROUP_BY_COST = 4
SESSIONS_COST = 4
EVENT_PROPERTIES = ("screen", "step", "coupon", "$revenue")
BINS_MS = (0, 3_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000, 3_600_000, 86_400_000)
QUERY_DATA = Path(__file__).with_name("query.json").read_text()
UNITS_MS = {"hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def users(api: Api, request: Request) -> Response:
    """Respond with active or new users by day, week or month, grouped by a user property if requested.

    A user in two countries counts in both, so the groups add up to more than the ungrouped figure. The
    response has the 100 largest groups.
    """
    measure, interval = request.value("m") or "active", request.value("i") or "1"
    if measure not in ("active", "new"):
        raise _invalid("m must be active or new")
    if interval not in ("1", "7", "30"):
        raise _invalid("i must be 1, 7 or 30")
    groups = _groups(api, request)
    days = _days(api, request, 1 + GROUP_BY_COST * len(groups))
    share = 1 if measure == "active" else 5
    final = {label: [n // share for n in row] for label, row in _users(api, days, groups).items()}
    data = _table(api, days, interval, largest(final, GROUPS))
    data["seriesLabels"] = [label or 0 for label in data["seriesLabels"]]
    # Zeros even where there are figures, as recorded.
    data["seriesCollapsed"] = [[0] for _ in data["series"]]
    data["seriesMeta"] = [{"segmentIndex": 0} for _ in data["series"]]
    return json_response({"data": data})


MEASURES = {"uniques": 1, "totals": 3, "pct_dau": 0.01, "average": 1.5}
PROPERTY_MEASURES = ("sums", "value_avg", "histogram")
INTERVALS = ("-300000", "-3600000", "1", "7", "30")


def segmentation(api: Api, request: Request) -> Response:
    """Respond with figures of one or two events by day, week or month, grouped by a property if requested.

    *Recorded*: a mistyped event has zeros, and `Any Active Event`, a label of the interface, is refused.
    Without data there is no series. The label of a group is `[index, name]`. No source shows real time,
    hours, histograms, formulas or the effect of segments on figures: segments only cost, the others are
    refused.
    """
    events = []
    for text in [*request.query.get("e", []), *request.query.get("e2", [])]:
        try:
            event = json.loads(text)
            events.append((event["event_type"], event.get("group_by") or []))
        except (ValueError, TypeError, KeyError):
            raise _invalid("e must be an event in JSON") from None
    if not 1 <= len(events) <= 2:
        raise _invalid("e must be given once, and e2 at most once")
    measure, interval = request.value("m") or "uniques", request.value("i") or "1"
    within = [group["value"] for _, groups in events for group in groups]
    if measure not in (*MEASURES, *PROPERTY_MEASURES) or measure == "histogram":
        raise _invalid("m is not a measure")
    if measure in PROPERTY_MEASURES and not within:
        raise _invalid(f"m={measure} needs a group_by in e")
    if interval not in ("1", "7", "30"):
        raise _invalid(f"i must be one of {', '.join(INTERVALS)}")
    most = int(request.value("limit") or GROUPS)
    if not 1 <= most <= MOST_GROUPS:
        raise _invalid("limit must be from 1 to 1000")
    if any(name == "Any Active Event" for name, _ in events):
        raise _invalid("Unable to create definition from arguments")
    for _, groups in events:
        for group in groups:
            known = (
                EVENT_PROPERTIES
                if group.get("type") == "event"
                else api.project.dashboards.properties
            )
            if group["value"] not in known:
                raise _invalid(f"Invalid {group.get('type')} property {group['value']}")
    groups = _groups(api, request)
    cost = len(events) * (1 + GROUP_BY_COST * (len(groups) + len(within)))
    days = _days(api, request, cost)
    if len(days) > 365:
        raise _invalid("The range must not be longer than 365 days")
    final: dict[str, list[float]] = {}
    for name, _ in events:
        factor = MEASURES.get(measure, 20) if name in (*EVENT_TYPES, "_active", "_all") else 0
        for label, row in _users(api, days, groups or within).items():
            key = label if len(events) == 1 else f"{name}; {label}"
            final[key] = [n * factor for n in row]
    data = _table(api, days, interval, largest(final, most))
    named = enumerate(data["seriesLabels"])
    data["seriesLabels"] = [[0, name] if groups or within else n for n, name in named]
    data["seriesCollapsed"] = [[{"setId": "", "value": sum(row)}] for row in data["series"]]
    data["seriesMeta"] = [{"segmentIndex": 0, "eventIndex": 0} for _ in data["series"]]
    return json_response({"data": data, **_query_data(api)})


def largest(figures: dict[str, list[Any]], most: int) -> dict[str, list[Any]]:
    """Return the groups with the largest sums."""
    ordered = sorted(figures, key=lambda label: sum(figures[label]), reverse=True)
    return {label: figures[label] for label in ordered[:most]}


def _groups(api: Api, request: Request) -> list[str]:
    groups = request.query.get("g", [])
    for group in groups:
        if group not in api.project.dashboards.properties:
            raise _invalid(f"Invalid user property {group}")
    return groups


def _users(api: Api, days: list[date], groups: list[str]) -> dict[str, list[int]]:
    """Return the final numbers of users by value of a property, or under an empty label."""
    if not groups:
        return {"": [api.project.active_users(day) for day in days]}
    by_day = [api.project.statistics(day, groups[0]) for day in days]
    return {label: [figures[label] for figures in by_day] for label in by_day[0]}


def _table(
    api: Api, days: list[date], interval: str, figures: dict[str, list[Any]]
) -> dict[str, Any]:
    """Return the figures of days, weeks or months as Amplitude shows them now, labelled with their first day.

    Weeks begin on the project's first day of the week. No source shows a bucket that the request cuts: here
    it has the requested days only, and its label is the first of them if the project has `cut_buckets`. A
    bucket has fewer users than its days together.
    """
    project = api.project
    labels = [project.bucket(day, interval) for day in days]
    buckets = list(dict.fromkeys(labels))
    series = []
    for row in figures.values():
        shown: dict[date, list[float]] = {bucket: [] for bucket in buckets}
        for day, label, figure in zip(days, labels, row, strict=True):
            step = 1 if isinstance(figure, int) else 0.01
            shown[label].append(round(project.reported(day, figure, step), 2))
        rows = shown.values()
        series.append([max(values) + (sum(values) - max(values)) // 3 for values in rows])
    names = [*figures]
    if project.dashboards.cut_buckets:
        buckets[0] = days[0]
    texts = [str(bucket) for bucket in buckets]
    if not any(project.has_data(day) for day in days):
        series, names = [], []
        texts = [] if project.dashboards.empty_tables == "bare" else texts
    return {"xValues": texts, "series": series, "seriesLabels": names}


def average_length(api: Api, request: Request) -> Response:
    """Respond with the average session length in seconds."""
    return _averages(api, request, api.project.session_length, 1)


def per_user(api: Api, request: Request) -> Response:
    """Respond with the average number of sessions per user."""
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
    if project.dashboards.empty_tables and not any(project.has_sessions(day) for day in days):
        data.update(series=[], seriesCollapsed=[], seriesMeta=[])
        if project.dashboards.empty_tables == "bare":
            data["xValues"] = []
    return json_response({"data": data, **_query_data(api)})


def lengths(api: Api, request: Request) -> Response:
    """Respond with the number of sessions by length, over all days."""
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
        bins = labels if api.project.dashboards.empty_tables == "days" else []
        data = {
            "series": [],
            "seriesMeta": [],
            "xValues": bins,
            "seriesLabels": [],
            "seriesCollapsed": [],
        }
    return json_response({"withSets": False, "data": data, **_query_data(api)})


def event_list(api: Api, request: Request) -> Response:
    """Respond with the event types and their totals of this week."""
    api.spend(request, "dashboard", 1)
    query = _query_data(api)
    query = {name: query[name] for name in EVENT_LIST_QUERY_DATA}
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
    """Return the number of segments and their conditions; 1 if none is requested."""
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
    """Return what Amplitude sends beside `data`, about the computation; it differs in each response."""
    now = int(api.project.now().timestamp() * 1000)
    number = f"{now % 36**6:010x}"
    data: dict[str, Any] = json.loads(QUERY_DATA)
    data["timeComputed"] = now - data["millisSinceComputed"]
    data["novaRequestStartAndEndTimes"] = [[now, now + data["novaRequestDuration"]]]
    data["queryIds"] = [number]
    data["perQueryMetadata"][0]["queryId"] = number
    return data


def _event_list() -> list[dict[str, Any]]:
    """Return the visible event types with their totals of the current week."""
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
