"""The taxonomy's lists and items."""

from emulator import Emulator
from unit_tests.emulator.conftest import get


def test_taxonomy_lists_are_wrapped_and_their_items_found(amplitude: Emulator) -> None:
    for kind, count in {
        "category": 2,
        "event": 6,
        "event-property": 1,
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


def test_an_event_type_comes_as_a_form_and_in_the_query_it_is_not_seen(amplitude: Emulator) -> None:
    wanted = {"event_type": "revenue_amount"}
    form = get(amplitude, "/api/2/taxonomy/event-property", data=wanted).json()["data"]
    query = get(amplitude, "/api/2/taxonomy/event-property", params=wanted).json()["data"]

    assert [item["event_property"] for item in form] == ["$price"]
    assert [item["event_property"] for item in query] == ["coupon"]


def test_one_group_property_takes_its_type_from_the_query_too(amplitude: Emulator) -> None:
    path = "/api/2/taxonomy/group-property/grp:tier"

    assert get(amplitude, path, params={"group_type": "org"}).json()["data"]["type"] == "string"
    assert get(amplitude, path).status_code == 400
