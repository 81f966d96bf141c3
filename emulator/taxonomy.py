"""Taxonomy: the five lists and their items, and those of a project (apis/analytics/taxonomy)."""

from typing import Any
from urllib.parse import unquote

from emulator.api import Api
from emulator.event import EVENT_TYPES
from emulator.messages import ApiError, Request, Response, json_response

NOT_FOUND = {"success": False, "errors": [{"message": "Not found"}]}


def _property(kind: str, name: str, value_type: str | None, **more: Any) -> dict[str, Any]:
    return {
        kind: name,
        "description": "",
        "type": value_type,
        "enum_values": None,
        "regex": None,
        "is_array_type": False,
        "is_hidden": False,
        "classifications": [],
        **more,
    }


def _event(name: str, number: int, deleted: bool | None) -> dict[str, Any]:
    return {
        "event_type": name,
        "description": None,
        "display_name": name if number % 2 else None,
        "category": None if number % 2 else {"name": "Checkout"},
        "deleted": deleted,
        "tags": ["core"] if number == 0 else [],
        "is_active": True,
        "owner": None,
        "is_hidden_from_dropdowns": False,
        "is_hidden_from_persona_results": False,
        "is_hidden_from_pathfinder": False,
        "is_hidden_from_timeline": False,
    }


TAXONOMY: dict[str, list[dict[str, Any]]] = {
    "category": [{"id": 1, "name": "Checkout"}, {"id": 2, "name": "A/B tests"}],
    "event": [
        *(_event(name, number, None) for number, name in enumerate(EVENT_TYPES)),
        _event("old_checkout", 1, deleted=True),
    ],
    "event-property": [
        _property("event_property", "coupon", "string", event_type=None, is_required=False),
        _property("event_property", "utm_source", "any", event_type=None, is_required=False),
        _property(
            "event_property", "$price", "number", event_type="revenue_amount", is_required=True
        ),
    ],
    "user-property": [
        _property("user_property", "gp:plan", "enum", enum_values="trial, team", deleted=False),
        _property("user_property", "gp:old", None, deleted=True),
    ],
    "group-property": [
        _property("group_property", "grp:seats", "number", group_type=None),
        _property("group_property", "grp:tier", "string", group_type="org"),
    ],
}


def taxonomy(api: Api, request: Request, kind: str, name: str | None = None) -> Response:
    """Respond with one of the five lists, or with one item of it."""
    api.require("taxonomy")
    api.spend(request, "taxonomy", 1)
    found = TAXONOMY[kind]
    if request.value("showDeleted") != "true":
        found = [item for item in found if not item.get("deleted")]
    # Documented as a form in the body of a GET, and for one group property in the query too. Without it the
    # list has the shared properties and, as recorded, one of an event type: here the last.
    axis = {"event-property": "event_type", "group-property": "group_type"}.get(kind)
    if axis:
        places = {"form": request.form, "query": request.query}
        where = {*api.project.event_type_in, *(["query"] if name else [])}
        wanted = next((places[place][axis][0] for place in where if places[place].get(axis)), None)
        shared = [item for item in found if item[axis] is None]
        others = [item for item in found if item[axis] is not None]
        if wanted is not None:
            if kind == "event-property" and wanted not in _event_types():
                raise ApiError(400, "Not found", body=NOT_FOUND)
            found = [item for item in others if item[axis] == wanted]
        else:
            found = shared + (others[-1:] if kind == "event-property" and name is None else [])
    if name is None:
        return json_response({"success": True, "data": found})
    key = {"category": "name", "event": "event_type"}.get(kind, kind.replace("-", "_"))
    for item in found:
        if item[key] == unquote(name):
            return json_response({"success": True, "data": item})
    raise ApiError(404 if kind == "user-property" else 400, "Not found", body=NOT_FOUND)


def _event_types() -> set[str]:
    return {item["event_type"] for item in TAXONOMY["event"] if not item["deleted"]}
