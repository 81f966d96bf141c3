"""Annotations, taxonomy and deletions: whole lists, with their few filters."""

from datetime import date
from typing import Any
from urllib.parse import unquote

from emulator import catalogue
from emulator.answers import Answer, RefusedError, Request, answer, moment_of
from emulator.api import Api


def annotations(api: Api, request: Request) -> Answer:
    """Version 3 (apis/analytics/chart-annotations)."""
    api.require("annotations")
    category, chart = request.value("category"), request.value("chart_id")
    if category and chart:
        raise RefusedError(400, "category and chart_id exclude each other")
    found = catalogue.annotations(api.project.start.date())
    if category:
        found = [a for a in found if a["category"] and category in map(str, a["category"].values())]
    if chart:
        found = [a for a in found if a["chart_id"] == chart]
    for name in ("start", "end"):
        if text := request.value(name):
            try:
                bound = moment_of(text)
            except ValueError:
                raise RefusedError(400, f"{name} must be YYYY-MM-DDThh:mm with its zone") from None
            if name == "start":
                found = [a for a in found if moment_of(a["start"]) > bound]
            else:
                found = [a for a in found if moment_of(a["end"] or a["start"]) < bound]
    return answer({"data": found})


def annotation(api: Api, _request: Request, number: str) -> Answer:
    """One annotation by its id."""
    api.require("annotations")
    return answer({"data": _one(catalogue.annotations(api.project.start.date()), number)})


def annotations_v2(api: Api, request: Request) -> Answer:
    """The list as it was before December 2025, and still is."""
    api.require("annotations")
    number = request.value("id")
    found = catalogue.annotations(api.project.start.date())
    if number:
        found = [_one(found, number)]
    data = [
        {"id": a["id"], "date": a["start"][:10], "label": a["label"], "details": a["details"]}
        for a in found
    ]
    return answer({"data": data})


def annotation_categories(api: Api, request: Request) -> Answer:
    """The categories of annotations."""
    api.require("annotations")
    name = request.value("category")
    return answer({"data": [c for c in catalogue.CATEGORIES if name in (None, c["name"])]})


def annotation_category(api: Api, _request: Request, number: str) -> Answer:
    """One category by its id."""
    api.require("annotations")
    return answer(_one(catalogue.CATEGORIES, number))


def _one(items: list[dict[str, Any]], number: str) -> dict[str, Any]:
    for item in items:
        if str(item["id"]) == number:
            return item
    raise RefusedError(404, f"No such id: {number}")


def taxonomy(api: Api, request: Request, kind: str, name: str | None = None) -> Answer:
    """One of the five lists, or one item of it (apis/analytics/taxonomy)."""
    api.require("taxonomy")
    api.spend(request, "taxonomy", 1)
    found = catalogue.TAXONOMY[kind]
    if request.value("showDeleted") != "true":
        found = [item for item in found if not item.get("deleted")]
    # Documented as a form in the body of a GET, for one group property in the query too; without it only what
    # all types share is listed.
    axis = {"event-property": "event_type", "group-property": "group_type"}.get(kind)
    if axis:
        wanted = request.form.get(axis) or (request.query.get(axis, []) if name else [])
        found = [item for item in found if item[axis] == (wanted[0] if wanted else None)]
    if name is None:
        return answer({"success": True, "data": found})
    key = {"category": "name", "event": "event_type"}.get(kind, kind.replace("-", "_"))
    for item in found:
        if item[key] == unquote(name):
            return answer({"success": True, "data": item})
    body = {"success": False, "errors": [{"message": "Not found"}]}
    raise RefusedError(404 if kind == "user-property" else 400, "Not found", body=body)


def deletions(api: Api, request: Request) -> Answer:
    """The jobs that remove users (apis/analytics/user-privacy)."""
    bounds = []
    for name in ("start_day", "end_day"):
        try:
            bounds.append(str(date.fromisoformat(request.value(name) or "")))
        except ValueError:
            raise RefusedError(400, f"{name} must have the format YYYY-MM-DD") from None
    first, last = bounds
    if first > last:
        raise RefusedError(400, "start_day must be before end_day")
    api.spend(request, "deletions", 1)
    jobs = catalogue.deletions(api.project.app, api.project.start.date())
    return answer([job for job in jobs if first <= job["day"] <= last])
