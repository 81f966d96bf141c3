"""Chart annotations and those of a project (apis/analytics/chart-annotations)."""

from datetime import date, datetime
from typing import Any

from emulator.api import Api
from emulator.messages import ApiError, Request, Response, json_response, parse_moment

CATEGORIES = [
    {"id": 1, "category": "Uncategorized"},
    {"id": 3107, "category": "Releases"},
    {"id": 3108, "category": "Marketing"},
]
"""As recorded; the documentation has `name` instead of `category`."""

ANNOTATIONS: list[dict[str, Any]] = [
    {
        "id": 88_102,
        "start": "2023-11-01T07:00:00+00:00",
        "label": "Feature X",
        "details": "Rolled out to everyone.",
        "category": CATEGORIES[1],
        "end": "2023-11-10T07:00:00+01:00",
        "chart_id": None,
    },
    {
        "id": 88_103,
        "start": "2024-01-01T23:30:00-08:00",
        "label": "New Year's sale 🎉",
        "details": None,
        "category": CATEGORIES[0],
        "end": None,
        "chart_id": "xy12ab3",
    },
    {
        "id": 88_107,
        "start": "2024-01-02T09:00:00+05:30",
        "label": "Release 4.7",
        "details": "",
        "category": CATEGORIES[1],
        "end": None,
        "chart_id": None,
    },
]
"""In the form of version 3; version 2 has `date` instead of the times."""


FIRST = date(2024, 1, 1)


def make_annotations(start: date) -> list[dict[str, Any]]:
    """Return the annotations of a project that starts on a day."""
    return [{**a, **{key: _moved(a[key], start) for key in ("start", "end")}} for a in ANNOTATIONS]


def _moved(text: str | None, start: date) -> str | None:
    return text and (datetime.fromisoformat(text) + (start - FIRST)).isoformat()


def annotations(api: Api, request: Request) -> Response:
    """Respond with the annotations that match the filters, in version 3."""
    api.require("annotations")
    category, chart = request.value("category"), request.value("chart_id")
    if category and chart:
        raise ApiError(400, "category and chart_id exclude each other")
    found = make_annotations(api.project.start.date())
    if category:
        found = [a for a in found if category in map(str, a["category"].values())]
    if chart:
        found = [a for a in found if a["chart_id"] == chart]
    for name in ("start", "end"):
        if text := request.value(name):
            try:
                bound = parse_moment(text)
            except ValueError:
                raise ApiError(400, f"{name} must be YYYY-MM-DDThh:mm with its zone") from None
            if name == "start":
                found = [a for a in found if parse_moment(a["start"]) > bound]
            else:
                found = [a for a in found if parse_moment(a["end"] or a["start"]) < bound]
    return json_response({"data": found})


def annotation(api: Api, _request: Request, number: str) -> Response:
    """Respond with one annotation by its id."""
    api.require("annotations")
    return json_response({"data": _one(make_annotations(api.project.start.date()), number)})


def annotations_v2(api: Api, request: Request) -> Response:
    """Respond with the list of version 2, which was documented until December 2025 and still works."""
    api.require("annotations")
    number = request.value("id")
    found = make_annotations(api.project.start.date())
    if number:
        found = [_one(found, number)]
    data = [
        {"id": a["id"], "date": a["start"][:10], "label": a["label"], "details": a["details"]}
        for a in found
    ]
    return json_response({"data": data})


def annotation_categories(api: Api, request: Request) -> Response:
    """Respond with the categories of annotations."""
    api.require("annotations")
    name = request.value("category")
    return json_response({"data": [c for c in CATEGORIES if name in (None, c["category"])]})


def annotation_category(api: Api, _request: Request, number: str) -> Response:
    """Respond with one category by its id."""
    api.require("annotations")
    return json_response(_one(CATEGORIES, number))


def _one(items: list[dict[str, Any]], number: str) -> dict[str, Any]:
    for item in items:
        if str(item["id"]) == number:
            return item
    raise ApiError(404, f"No such id: {number}")
