"""Annotations and their categories."""

from typing import Any

import pytest

from emulator import Emulator, annotations
from unit_tests.conftest import Read
from unit_tests.support.protocol import answer, without_nulls


def test_annotations_pass_through_whole_with_their_day_and_the_name_of_their_category(
    read: Read, config: dict[str, Any]
) -> None:
    records = read(config, "annotations").records("annotations")

    days = ["2023-11-01", "2024-01-02", "2024-01-02"]
    expected = [
        {
            **sent,
            "date": day,
            "category": {**sent["category"], "name": sent["category"]["category"]},
        }
        for sent, day in zip(annotations.ANNOTATIONS, days, strict=True)
    ]
    assert without_nulls(records) == without_nulls(expected)


@pytest.mark.parametrize(
    ("start", "zone", "day"),
    [
        ("2024-01-04T15:00:00+00:00", "Asia/Tokyo", "2024-01-05"),
        ("2024-01-04T15:00:00Z", "Asia/Tokyo", "2024-01-05"),
        ("2024-01-04T15:00:00.123+0000", "Asia/Tokyo", "2024-01-05"),
        ("2024-01-04T07:59:59+00:00", "America/Los_Angeles", "2024-01-03"),
        ("2024-01-04T08:00:00+00:00", "America/Los_Angeles", "2024-01-04"),
        ("2024-01-04T23:30:00-08:00", None, "2024-01-05"),
        ("2024-01-04T15:00:00", "Asia/Tokyo", "2024-01-04"),
        ("2024-01-04", "Asia/Tokyo", "2024-01-04"),
        ("2024-01-04", "America/Los_Angeles", "2024-01-04"),
        ("2024-13-04T15:00:00Z", None, None),
        ("9999-12-31T23:00:00Z", "Asia/Tokyo", None),
        ("soon", None, None),
        ("", None, None),
        (None, None, None),
        (1704380400, None, None),
        ({}, None, None),
    ],
)
def test_an_annotations_day_is_that_of_its_start_in_the_projects_zone(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    start: Any,
    zone: str | None,
    day: str | None,
) -> None:
    answer(amplitude, "annotations", [{"id": 1, "start": start, "category": None}])

    output = read({**config, **({"project_timezone": zone} if zone else {})}, "annotations")

    expected = {"id": 1, "start": start, "category": None, "date": day}
    assert without_nulls(output.records("annotations")) == without_nulls([expected])


def test_an_annotation_without_a_start_has_no_day(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    answer(amplitude, "annotations", [{"id": 1, "label": "Sale"}])

    records = read(config, "annotations").records("annotations")

    assert without_nulls(records) == [{"id": 1, "label": "Sale"}]


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ({"id": 1, "category": "Releases"}, "Releases"),
        ({"id": 1, "name": "Releases"}, "Releases"),
        ({"id": 1, "name": None, "category": "Releases"}, "Releases"),
        ({"id": 1, "name": "Releases", "category": "releases"}, "Releases"),
        ({"id": 1}, None),
    ],
)
def test_a_categorys_name_is_read_from_whichever_field_has_it(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    category: dict[str, Any],
    name: str | None,
) -> None:
    answer(amplitude, "annotation_categories", [category])
    answer(amplitude, "annotations", [{"id": 7, "start": None, "category": category}])

    output = read(config, "annotation_categories", "annotations")

    expected = {**category, "name": name}
    assert without_nulls(output.records("annotation_categories")) == without_nulls([expected])
    assert output.records("annotations")[0]["category"] == expected
