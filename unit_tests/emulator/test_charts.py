"""Saved charts: the recorded form of their CSV, what is not there, and what they cost."""

import csv

import pytest

from emulator import Emulator
from emulator.charts import CHARTS
from unit_tests.emulator.conftest import details, get

RECORDED = (
    '"\tWeekly players"\r\n"\tFor the weekly review."\r\n\r\n"\tUniques"\r\n"\tsong_played"\r\n\r\n'
)
"""The lines above the table, in the form of a live response."""


def test_a_chart_has_the_recorded_form(amplitude: Emulator) -> None:
    response = get(amplitude, "/api/3/chart/wk3pl4y/csv")
    text = response.json()["data"]
    header, row, end = text.removeprefix(RECORDED).split("\r\n")

    assert list(response.json()) == ["data"]
    assert response.headers["Content-Type"].startswith("application/json")
    assert text.startswith(RECORDED)
    assert end == ""
    assert header.startswith('"\tSegment","\t20')
    assert row.startswith('"\tAll Users","')
    assert "\t" not in row.removeprefix('"\tAll Users"')


@pytest.mark.parametrize("chart", CHARTS)
def test_a_charts_table_has_rows_of_one_length(amplitude: Emulator, chart: str) -> None:
    text = get(amplitude, f"/api/3/chart/{chart}/csv").json()["data"]
    lengths = [len(row) for row in csv.reader(text.splitlines()) if len(row) > 1]

    assert len(lengths) >= 2
    assert len(set(lengths)) == 1
    assert amplitude.requests[-1].cost == CHARTS[chart].days * CHARTS[chart].cost


def test_an_unknown_chart_is_404(amplitude: Emulator) -> None:
    response = get(amplitude, "/api/3/chart/nope/csv")

    assert response.status_code == 404
    assert details(response) == "Chart not found"
