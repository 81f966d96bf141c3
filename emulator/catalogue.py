"""What an emulated project holds beside its events: fixed, in the forms that were recorded.

Times are those of a project that starts in 2024; another's are moved by as many days.
"""

from datetime import date, datetime, timedelta
from typing import Any

from emulator.event import EVENT_TYPES

CATEGORIES = [{"id": 3107, "name": "Releases"}, {"id": 3108, "name": "Marketing"}]

ANNOTATIONS: list[dict[str, Any]] = [
    {
        "id": 88_102,
        "start": "2023-11-01T07:00:00+00:00",
        "end": "2023-11-10T07:00:00+01:00",
        "label": "Feature X",
        "details": "Rolled out to everyone.",
        "category": CATEGORIES[0],
        "chart_id": None,
    },
    {
        "id": 88_103,
        "start": "2024-01-01T23:30:00-08:00",
        "end": None,
        "label": "New Year's sale 🎉",
        "details": None,
        "category": None,
        "chart_id": "xy12ab3",
    },
    {
        "id": 88_107,
        "start": "2024-01-02T09:00:00+05:30",
        "end": None,
        "label": "Release 4.7",
        "details": "",
        "category": CATEGORIES[0],
        "chart_id": None,
    },
]
"""In the form of version 3; version 2 has `date` instead of the times."""


FIRST = date(2024, 1, 1)


def annotations(start: date) -> list[dict[str, Any]]:
    """The annotations of a project that starts on a day."""
    return [{**a, **{key: _moved(a[key], start) for key in ("start", "end")}} for a in ANNOTATIONS]


def _moved(text: str | None, start: date) -> str | None:
    return text and (datetime.fromisoformat(text) + (start - FIRST)).isoformat()


def cohorts(app: int) -> list[dict[str, Any]]:
    """The discoverable cohorts, with every field that was recorded."""
    return [
        _cohort(app, 0, "k3v9t2a", "Nobody yet"),
        _cohort(app, 1, "p81xq0z", "Paying"),
        _cohort(app, 2, "zz7a1b2", "Paying"),  # names are not unique
    ]


def _cohort(app: int, number: int, name: str, title: str) -> dict[str, Any]:
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
        "chart_id": None,
        "createdAt": 1_665_697_229 if number else None,
        "definition": {
            "version": 3,
            "countGroup": {"name": "User", "is_computed": False},
            "cohortType": "UNIQUES",
            "andClauses": [clause],
            "referenceFrameTimeParams": {},
        },
        "description": "People who paid" if number else None,
        "edit_id": None,
        "finished": True,
        "hidden": False,
        "id": name,
        "is_official_content": False,
        "is_predictive": False,
        "lastComputed": 1_684_000_000 + number,
        "lastMod": 1_679_000_000 + number,
        "last_viewed": 1_684_100_000 if number else None,
        "location_id": None,
        "metadata": ["growth"] if number else None,
        "name": title,
        "owners": ["ana@example.com"],
        "popularity": number if number else None,
        "published": True,
        "shortcut_ids": [],
        "size": 120 * number,
        "syncMetadata": [sync] if number else [],
        "type": "redshift",
        "view_count": 3 if number else None,
        "viewers": [],
    }


def event_list() -> list[dict[str, Any]]:
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


def deletions(app: int, start: date) -> list[dict[str, Any]]:
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
