"""The taxonomy's lists and items."""

import pytest

from emulator import Emulator
from unit_tests.emulator.conftest import get


def test_taxonomy_lists_are_wrapped_and_their_items_found(amplitude: Emulator) -> None:
    for kind, count in {
        "category": 2,
        "event": 6,
        "event-property": 3,
        "user-property": 1,
        "group-property": 1,
    }.items():
        answer = get(amplitude, f"/api/2/taxonomy/{kind}").json()
        assert (answer["success"], len(answer["data"])) == (True, count)
    one = get(amplitude, "/api/2/taxonomy/category/A%2FB%20tests").json()
    assert one["data"]["name"] == "A/B tests"
    missing = get(amplitude, "/api/2/taxonomy/event/none")
    assert missing.status_code == 400
    assert missing.json() == {"success": False, "errors": [{"message": "Not found"}]}
    assert get(amplitude, "/api/2/taxonomy/user-property/none").status_code == 404
    shown = get(amplitude, "/api/2/taxonomy/user-property", params={"showDeleted": "true"}).json()
    assert len(shown["data"]) == 2
    events = get(amplitude, "/api/2/taxonomy/event", params={"showDeleted": "true"}).json()["data"]
    assert [event["deleted"] for event in events] == [None] * 6 + [True]


@pytest.mark.parametrize("place", ["form", "query"])
def test_an_event_type_is_seen_where_the_project_looks_for_it(
    amplitude: Emulator, place: str
) -> None:
    amplitude.project.event_type_in = (place,)  # type: ignore[assignment]
    wanted = {"event_type": "revenue_amount"}
    path = "/api/2/taxonomy/event-property"
    form = get(amplitude, path, data=wanted).json()["data"]
    query = get(amplitude, path, params=wanted).json()["data"]
    none = get(amplitude, path).json()["data"]

    seen, unseen = (form, query) if place == "form" else (query, form)
    assert [item["event_property"] for item in seen] == ["$price"]
    # Shared ones, and one of an event type.
    assert [item["event_type"] for item in none] == [None, None, "revenue_amount"]
    assert unseen == none
    assert (
        get(amplitude, path, data={"event_type": "x"}, params={"event_type": "x"}).status_code
        == 400
    )


def test_one_group_property_takes_its_type_from_the_query_too(amplitude: Emulator) -> None:
    path = "/api/2/taxonomy/group-property/grp:tier"

    assert get(amplitude, path, params={"group_type": "org"}).json()["data"]["type"] == "string"
    assert get(amplitude, path).status_code == 400
