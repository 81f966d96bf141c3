"""Taxonomy: the five lists and their items, with what a project has of them (apis/analytics/taxonomy)."""

from typing import Any
from urllib.parse import unquote

from emulator.api import Api
from emulator.event import EVENT_TYPES
from emulator.messages import ApiError, Request, Response, json_response


def _property(kind: str, name: str, value_type: str | None, **more: Any) -> dict[str, Any]:
    return {
        kind: name,
        "description": None,
        "type": value_type,
        "enum_values": None,
        "regex": None,
        "is_array_type": False,
        "is_hidden": False,
        "classifications": [],
        **more,
    }


TAXONOMY: dict[str, list[dict[str, Any]]] = {
    "category": [{"id": 1, "name": "Checkout"}, {"id": 2, "name": "A/B tests"}],
    "event": [
        {
            "event_type": name,
            "category": None if number % 2 else {"name": "Checkout"},
            "description": None,
            "display_name": name,
            "is_active": True,
            "is_hidden_from_dropdowns": False,
            "is_hidden_from_persona_results": False,
            "is_hidden_from_pathfinder": False,
            "is_hidden_from_timeline": False,
            "tags": ["core"] if number == 0 else [],
            "owner": None,
        }
        for number, name in enumerate(EVENT_TYPES)
    ],
    "event-property": [
        _property("event_property", "coupon", "string", event_type=None, is_required=False),
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
    """One of the five lists, or one item of it."""
    api.require("taxonomy")
    api.spend(request, "taxonomy", 1)
    found = TAXONOMY[kind]
    if request.value("showDeleted") != "true":
        found = [item for item in found if not item.get("deleted")]
    # Documented as a form in the body of a GET, for one group property in the query too; without it only what
    # all types share is listed.
    axis = {"event-property": "event_type", "group-property": "group_type"}.get(kind)
    if axis:
        wanted = request.form.get(axis) or (request.query.get(axis, []) if name else [])
        found = [item for item in found if item[axis] == (wanted[0] if wanted else None)]
    if name is None:
        return json_response({"success": True, "data": found})
    key = {"category": "name", "event": "event_type"}.get(kind, kind.replace("-", "_"))
    for item in found:
        if item[key] == unquote(name):
            return json_response({"success": True, "data": item})
    body = {"success": False, "errors": [{"message": "Not found"}]}
    raise ApiError(404 if kind == "user-property" else 400, "Not found", body=body)
