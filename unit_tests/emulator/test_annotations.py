"""Annotations and their categories, with their filters."""

import pytest

from emulator import Emulator
from unit_tests.emulator.conftest import get


def test_annotations_of_version_2_are_those_of_version_3_with_a_date(amplitude: Emulator) -> None:
    new = get(amplitude, "/api/3/annotations").json()["data"]
    old = get(amplitude, "/api/2/annotations").json()["data"]
    one = get(amplitude, "/api/2/annotations", params={"id": new[1]["id"]}).json()["data"]

    assert {len(item) for item in new} == {7}
    assert [sorted(item) for item in old] == [["date", "details", "id", "label"]] * len(new)
    assert [item["date"] for item in old] == [item["start"][:10] for item in new]
    assert one == [old[1]]
    assert get(amplitude, f"/api/3/annotations/{new[0]['id']}").json() == {"data": new[0]}
    assert get(amplitude, "/api/3/annotations/1").status_code == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"category": "Releases"}, [88102, 88107]),
        ({"chart_id": "xy12ab3"}, [88103]),
        ({"start": "2024-01-01T00:00+00:00"}, [88103, 88107]),
        ({"end": "2024-01-02T04:00Z"}, [88102, 88107]),
        ({"end": "2023-11-05T00:00Z"}, []),
    ],
)
def test_annotations_can_be_narrowed(
    amplitude: Emulator, query: dict[str, str], ids: list[int]
) -> None:
    data = get(amplitude, "/api/3/annotations", params=query).json()["data"]
    assert [item["id"] for item in data] == ids


@pytest.mark.parametrize(
    "query", [{"start": "2024-01-01"}, {"end": "soon"}, {"category": "Releases", "chart_id": "x"}]
)
def test_a_bad_filter_of_annotations_is_400(amplitude: Emulator, query: dict[str, str]) -> None:
    assert get(amplitude, "/api/3/annotations", params=query).status_code == 400


def test_annotation_categories_are_listed_and_found(amplitude: Emulator) -> None:
    path = "/api/3/annotation-categories"
    both = get(amplitude, path).json()["data"]

    assert [item["category"] for item in both] == ["Uncategorized", "Releases", "Marketing"]
    assert get(amplitude, path, params={"category": "Releases"}).json()["data"] == both[1:2]
    assert get(amplitude, f"{path}/3108").json() == both[2]
