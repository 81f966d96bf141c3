"""Saved charts as CSV inside JSON (apis/analytics/dashboard-rest#get-results-from-an-existing-chart).

*Recorded*: every cell is quoted and lines end with CRLF; text follows a tab, figures do not. The title, the
description, the measure and the event each have a line before the table. Only a chart of event segmentation
was recorded: tables of other kinds have the same form, and their columns are invented.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from emulator.api import Api
from emulator.messages import ApiError, Request, Response, json_response
from emulator.project import Project

Row = Sequence[str | float]


class Chart(NamedTuple):
    """A saved chart: the lines above its table, the days that it covers, the cost of a day, its table."""

    lines: tuple[str, ...]
    days: int
    cost: int
    table: Callable[[Project, list[date]], list[Row]]


def chart_csv(api: Api, request: Request, number: str) -> Response:
    """Respond with a chart's table; it costs as much as its query."""
    if number not in CHARTS:
        raise ApiError(404, "Chart not found")
    chart = CHARTS[number]
    api.spend(request, "dashboard", chart.days * chart.cost)
    today = api.project.now().astimezone(api.project.timezone).date()
    days = [today - timedelta(days=chart.days - n) for n in range(chart.days)]
    title, description, *lines = chart.lines
    above: list[Row] = [[title], [description], [], *([line] for line in lines), []]
    return json_response({"data": csv_text([*above, *chart.table(api.project, days)])})


def csv_text(rows: Iterable[Row]) -> str:
    """Return rows as CSV in the recorded form."""
    return "".join(",".join(map(_cell, row)) + "\r\n" for row in rows)


def _cell(value: str | float) -> str:
    text = "\t" + value.replace('"', '""') if isinstance(value, str) else f"{value}"
    return f'"{text}"'


def _segmentation(project: Project, days: list[date]) -> list[Row]:
    figures: Row = [project.reported(day, project.active_users(day)) for day in days]
    return [["Segment", *map(str, days)], ["All Users", *figures]]


def _segmentation_by_country(project: Project, days: list[date]) -> list[Row]:
    rows: list[Row] = [
        ["All Users", country, *(project.statistics(day)[country] for day in days)]
        for country in project.dashboards.countries
    ]
    return [["Segment", "country", *map(str, days)], *rows]


def _funnel(project: Project, days: list[date]) -> list[Row]:
    users = project.active_users(days[0])
    steps: Row = ["Segment", "Home viewed", "Cart viewed", "Order placed", "Conversion"]
    return [steps, ["All Users", users, users // 2, users // 5, 0.2]]


def _retention(project: Project, days: list[date]) -> list[Row]:
    chance = random.Random(f"{project.seed} retention")
    rows: list[Row] = []
    for age, day in enumerate(reversed(days)):
        # Cells of days that have not passed are empty text.
        shares: Row = [round(chance.random(), 4) if n <= age else "" for n in range(8)]
        rows.append([f"{day:%b %d, %Y}", project.active_users(day), *shares])
    return [["Cohort", "Users", *(f"Day {n}" for n in range(8))], *rows]


def _composition(project: Project, days: list[date]) -> list[Row]:
    rows: list[Row] = [[name, n] for name, n in project.statistics(days[-1]).items()]
    return [["country", "Users"], *rows]


def _data_table(project: Project, days: list[date]) -> list[Row]:
    rows: list[Row] = [
        [platform, "(none)", project.active_users(days[-1]) // n, 1.5 * n, f"{90 // n}%"]
        for n, platform in enumerate(("Web", "iOS"), start=1)
    ]
    return [["platform", "version", "Uniques", "Average", "Share"], *rows]


CHARTS = {
    "wk3pl4y": Chart(
        ("Weekly players", "For the weekly review.", "Uniques", "song_played"), 30, 1, _segmentation
    ),
    "cn7try2": Chart(
        ("Players by country", "", "Uniques", "song_played"), 14, 5, _segmentation_by_country
    ),
    "fn5stp3": Chart(("Checkout", "", "Conversion"), 30, 6, _funnel),
    "rt9nday": Chart(("Who comes back", "", "N-day retention"), 30, 8, _retention),
    "cm2pos8": Chart(("Where users are", "", "Composition"), 30, 1, _composition),
    "dt4tab1": Chart(("Platforms", "All measures"), 30, 2, _data_table),
}
