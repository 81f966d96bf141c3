"""The report's charts: numbers in, Vega-Lite out. The colours are those of page.html's style sheet."""

from datetime import timezone
from typing import Any

import altair as alt

# Day labels that fit: every other one until none touches, and none beyond the chart's edge.
WITHIN: dict[str, Any] = {
    "labelOverlap": "parity",
    "labelSeparation": 16,
    "labelFlush": True,
    "labelBound": True,
}


def daily(data: list[dict[str, Any]], value: str, title: str, form: str) -> alt.Chart:
    """Chart a value by day, with its figure in a tooltip."""
    day = alt.X(
        "day:T",
        timeUnit="utcyearmonthdate",
        bandPosition=0.5,
        title=None,
        axis=alt.Axis(format="%-d %b", grid=False, ticks=False, tickCount="day", **WITHIN),
    )
    tips = [
        alt.Tooltip("day:T", timeUnit="utcyearmonthdate", title="day", format="%a %-d %b %Y"),
        alt.Tooltip(f"{value}:Q", title=title, format=form),
    ]
    count = alt.Y(f"{value}:Q", title=None, axis=alt.Axis(tickCount=4), scale=alt.Scale(zero=True))
    values = [{**row, "day": str(row["day"])} for row in data]
    return alt.Chart(alt.InlineData(values=values)).encode(x=day, y=count, tooltip=tips)


def users_chart(days: list[dict[str, Any]], notes: list[dict[str, Any]]) -> alt.LayerChart:
    """Chart one bar per day, hollow if unfinished, the mean of seven days, and a line per annotation."""
    finished = daily([d for d in days if not d["unfinished"]], "users", "active users", ",d")
    unfinished = daily([d for d in days if d["unfinished"]], "users", "so far", ",d")
    values = [{k: n[k] for k in ("number", "label", "day", "until", "height")} for n in notes]
    marks = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("day:T", timeUnit="utcyearmonthdate", bandPosition=0.5),
        tooltip=["number:N", "label:N"],
    )
    spans = marks.mark_rect(color="var(--note)", opacity=0.12).encode(
        x=alt.X("day:T", timeUnit="utcyearmonthdate"),
        x2=alt.X2("until:T", timeUnit="utcyearmonthdate"),
    )
    rules = marks.mark_rule(color="var(--note)", strokeWidth=1.5, strokeDash=[4, 3])
    numbers = marks.mark_text(color="var(--note)", fontWeight=600, fontSize=12).encode(
        text="number:N", y=alt.Y("height:Q", scale=None)
    )
    bars = finished.mark_bar(color="var(--bar)")
    hollow = unfinished.mark_bar(
        fill="var(--paper)", stroke="var(--accent)", strokeDash=[3, 2], strokeWidth=1
    )
    mean = finished.mark_line(color="var(--accent)", strokeWidth=2.5, strokeJoin="round").encode(
        y="mean:Q"
    )
    return drawn(spans, bars, hollow, mean, rules, numbers, height=240)


def drawn(*layers: alt.Chart, height: int) -> alt.LayerChart:
    """Combine the layers that have something to draw: Vega warns of scales without values."""
    return alt.LayerChart(layer=[layer for layer in layers if layer.data.values], height=height)


def sessions_chart(days: list[dict[str, Any]]) -> alt.LayerChart:
    """Chart minutes as a line, broken at missing days and dashed to an unfinished day."""
    data = [{**d, "minutes": None if d["seconds"] is None else d["seconds"] / 60} for d in days]
    last = max((i for i, d in enumerate(data) if not d["unfinished"]), default=-1)
    finished, rest = data[: last + 1], data[max(last, 0) :]
    line = daily(finished, "minutes", "minutes", ".1f")
    dashed = daily(rest if any(d["unfinished"] for d in rest) else [], "minutes", "so far", ".1f")
    open_end = daily([d for d in rest if d["unfinished"]], "minutes", "so far", ".1f")
    return drawn(
        dashed.mark_line(color="var(--accent)", strokeWidth=1.5, strokeDash=[3, 3]),
        line.mark_line(color="var(--accent)", strokeWidth=2, strokeJoin="round"),
        line.mark_point(color="var(--accent)", filled=True, size=16, opacity=1),
        open_end.mark_point(
            fill="var(--paper)", stroke="var(--accent)", size=40, strokeWidth=1.5, opacity=1
        ),
        height=180,
    )


def hours_chart(row: dict[str, Any], last: bool) -> alt.Chart:
    """Chart one type's events, one bar per hour; the last chart has the days below it."""
    top = max(row["hours"])
    start = row["first"].replace(tzinfo=timezone.utc).timestamp() * 1000
    values = [{"hour": int(start) + i * 3_600_000, "n": n} for i, n in enumerate(row["hours"])]
    hour = alt.X(
        "hour:T",
        timeUnit="utcyearmonthdatehours",
        title=None,
        axis=alt.Axis(format="%-d %b", tickCount="day", labels=last, ticks=False, **WITHIN),
    )
    count = alt.Y(
        "n:Q",
        title=None,
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(values=[0, top], format=".3~s", minExtent=36, maxExtent=36),
    )
    tips = [
        alt.Tooltip(
            "hour:T", timeUnit="utcyearmonthdatehours", title="UTC", format="%a %-d %b %H:%M"
        ),
        alt.Tooltip("n:Q", title="events", format=",d"),
    ]
    chart = alt.Chart(alt.InlineData(values=values), height=48)
    bars = chart.mark_bar(color="var(--accent)", binSpacing=0)
    encoded: alt.Chart = bars.encode(x=hour, y=count, tooltip=tips)
    return encoded
