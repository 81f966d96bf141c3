"""Turn amplitude.duckdb into one page, report.html. `make report` runs this.

Everything is counted in SQL, so neither memory nor the page grows with the events. The page holds its own
charts and JavaScript, and a policy that forbids it every request and every other script.

Usage: report.py [DATABASE [PAGE]], by default in the current folder.
"""

import base64
import hashlib
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import vl_convert
from charts import hours_chart, sessions_chart, users_chart
from jinja2 import Environment

DAYS = 90  # of the daily charts
HOUR_DAYS = 14  # of the hourly charts
COUNTRY_DAYS = 28
WEEKS = 13
TOP_TYPES, TOP_COUNTRIES, TOP_COHORTS, TOP_NOTES = 6, 8, 12, 20
TOP_CHARTS, TOP_CELLS = 8, 12

# A day that was read before it was over lacks some of its users; by UTC, as the project's own time zone is
# not in the data.
USERS = f"""
select date as day, coalesce(list_sum(map_values(statistics::map(varchar, double))), 0) as users,
  _airbyte_extracted_at < date + interval 1 day as unfinished,
  case when count(*) filter (where not unfinished) over week = 7 then avg(users) over week end as mean
from active_users
where statistics is not null and date > (select max(date) from active_users) - {DAYS} - 6
window week as (order by date range between interval 6 days preceding and current row)
qualify date > max(date) over () - {DAYS}
order by day"""
COUNTRIES = f"""
with complete as (
  select date, statistics::map(varchar, double) as users from active_users
  where _airbyte_extracted_at >= date + interval 1 day
  qualify date > max(date) over () - {COUNTRY_DAYS}),
each as (select date, unnest(map_entries(users)) as entry from complete),
ranked as (
  select entry.key as name, sum(entry.value) / (select count(*) from complete) as size,
    row_number() over (order by sum(entry.value) desc, entry.key) as rank
  from each group by entry.key having sum(entry.value) > 0)
select case when place > {TOP_COUNTRIES} then count(*) || ' more countries' when any_value(name) = '(none)'
    then 'Country unknown' when any_value(name) = 'all' then 'All, not grouped'
    else any_value(name) end as name,
  sum(size) as size, printf('%.0f %%', 100 * sum(size) / sum(sum(size)) over ()) as more
from (select *, least(rank, {TOP_COUNTRIES + 1}) as place from ranked) group by place order by place"""
WEEKLY = f"""
select strftime(date, 'week of %-d %b %Y') as name,
  coalesce(list_sum(map_values(statistics::map(varchar, double))), 0) as size,
  case when _airbyte_extracted_at < date + interval 7 days then 'so far' else '' end as more
from active_users_weekly where statistics is not null
qualify row_number() over (order by date desc) <= {WEEKS} order by date desc"""
SAVED = f"""
with cells as (
  select coalesce(nullif(title, ''), chart_id) as chart, chart_id, coalesce(series, '') as series,
    coalesce(x, '') as x, value::double as size, coalesce(text, '') as said
  from charts where value is not null
  qualify row_number() over (partition by chart_id order by series, x desc) <= {TOP_CELLS}
    and dense_rank() over (order by chart_id) <= {TOP_CHARTS})
select chart, list({{'name': x, 'size': size, 'said': said, 'more': series}} order by series, x desc) as cells
from cells group by chart_id, chart order by chart_id"""
SESSIONS = f"""
with days as (select unnest(generate_series(max(date) - {DAYS - 1}, max(date), interval 1 day))::date as day
  from average_session_length)
select day, length::double as seconds, _airbyte_extracted_at < day + interval 1 day as unfinished
from days left join average_session_length on date = day
where day >= (select min(date) from average_session_length) order by day"""
NOTES = """
select coalesce(label, '') as label, date as first, coalesce(greatest("end"::date, date), date) as last
from annotations where date is not null order by first, id"""
COHORTS = """
select coalesce(name, id) as name, size, coalesce(archived, false) as archived,
  concat_ws(', ', case when archived then 'archived' end,
    strftime(make_timestamp(lastcomputed * 1000000), 'computed %Y-%m-%d')) as more
from cohorts order by size desc nulls last, name, id"""
HOURS = f"""
with newest as (select date_trunc('hour', max(server_upload_time)) as hour from events),
counted as (
  select date_trunc('hour', server_upload_time) as hour, coalesce(event_type, '(no type)') as type,
    count(*) as n
  from events, newest
  where server_upload_time >= greatest(date_trunc('day', newest.hour) - interval {HOUR_DAYS - 1} days,
    (select date_trunc('hour', min(server_upload_time)) from events))
  group by all),
ranked as (select type, row_number() over (order by sum(n) desc, type) as rank from counted group by type),
placed as (
  select hour, least(rank, {TOP_TYPES + 1}) as place, sum(n) as n, any_value(type) as type
  from counted join ranked using (type) group by all),
grid as (
  select unnest(generate_series((select min(hour) from counted), newest.hour, interval 1 hour)) as hour, place
  from newest, (select place, from placed group by place))
select place, list(coalesce(n, 0)::bigint order by hour) as hours,
  min(hour) as first, max(hour) + interval 1 hour as until,
  case when place > {TOP_TYPES} then (select count(*) - {TOP_TYPES} || ' more types' from ranked)
    else any_value(type) end as name
from grid left join placed using (hour, place) group by place order by place"""


def rows(db: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[dict[str, Any]]:
    """Return a query's rows, by the names of its columns."""
    result = db.execute(query, values)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def streams(db: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    """Return each table that PyAirbyte filled: its rows, its newest cursor value and its last sync."""
    tables = rows(
        db,
        """select table_name as name, list(column_name) as columns from duckdb_columns()
        where schema_name = 'main' group by name having list_contains(columns, '_airbyte_extracted_at')
        order by name""",
    )
    states = {}
    if db.execute("select 1 from duckdb_tables() where table_name = '_airbyte_state'").fetchone():
        latest = "max(make_timestamp(epoch_us(last_updated)))"  # UTC, whatever this machine's zone
        query = f"select table_name, {latest} from _airbyte_state group by 1"
        states = dict(db.execute(query).fetchall())
    found = {}
    for table in tables:
        cursor = next(
            (c for c in ("server_upload_time", "date", "day") if c in table["columns"]), "null"
        )
        name = '"' + table["name"].replace('"', '""') + '"'
        query = f"""select count(*) as rows, max({cursor}) as newest, max(_airbyte_extracted_at) as synced
            from {name}"""
        row = rows(db, query)[0]
        known = [time for time in (row["synced"], states.get(table["name"])) if time]
        found[table["name"]] = {**row, "synced": max(known, default=None)}
    return found


def numbered(
    notes: list[dict[str, Any]], days: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Number the annotations of the days shown, close ones at different heights; return also the others."""
    if not days:
        return [], notes
    first, final = days[0]["day"], days[-1]["day"]
    shown = [n for n in notes if n["last"] >= first and n["first"] <= final][-TOP_NOTES:]
    level, before = 0, None
    for number, note in enumerate(shown, 1):
        day = max(note["first"], first)
        near = before is not None and (day - before) < timedelta(days=max(len(days) // 14, 1))
        level, before = (level + 1) % 4 if near else 0, day
        until = str(min(note["last"], final) + timedelta(days=1))
        note |= {"number": number, "height": -10 - 14 * level, "day": str(day), "until": until}
    return shown, [note for note in notes if note not in shown]


def figures(db: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return what the page says and draws; nothing for a table that is missing or empty."""
    found = streams(db)

    def read(table: str, query: str) -> list[dict[str, Any]]:
        return rows(db, query) if table in found and found[table]["rows"] else []

    users, hours = read("active_users", USERS), read("events", HOURS)
    sessions = read("average_session_length", SESSIONS)
    notes, elsewhere = numbered(read("annotations", NOTES), users)
    charts: dict[str, Any] = {}
    if users:
        charts["users"] = users_chart(users, notes)
    if sessions:
        charts["sessions"] = sessions_chart(sessions)
    for row in hours:
        charts[f"hours-{row['place']}"] = hours_chart(row, row is hours[-1])
    return {
        "streams": found,
        "synced": max((s["synced"] for s in found.values() if s["synced"]), default=None),
        "users": users,
        "notes": notes,
        "elsewhere": elsewhere,
        "countries": read("active_users", COUNTRIES),
        "weeks": read("active_users_weekly", WEEKLY),
        "saved": read("charts", SAVED),
        "sessions": [day for day in sessions if day["seconds"] is not None],
        "hours": hours,
        "day_of_events": sum(sum(row["hours"][-24:]) for row in hours),
        "cohorts": read("cohorts", COHORTS),
        "charts": {
            name: chart.properties(width="container").to_dict() for name, chart in charts.items()
        },
    }


def main(database: str = "amplitude.duckdb", page: str = "report.html") -> int:
    """Write the page; print one sentence and return 1 if there is nothing to read."""
    if not Path(database).exists():
        sys.stderr.write(f"There is no {Path(database).name} yet: run `make sync` first.\n")
        return 1
    try:
        with duckdb.connect(database, read_only=True) as db:
            found = figures(db)
    except duckdb.IOException as error:
        sys.stderr.write(
            f"{Path(database).name} cannot be read, perhaps while a sync runs: {error}\n"
        )
        return 1
    code = vl_convert.javascript_bundle(Path(__file__).with_name("page.js").read_text())
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_name("page.html").read_text()
    )
    html = template.render(
        found,
        code=code,
        digest=digest,
        database=Path(database).name,
        made=datetime.now(timezone.utc),
        limits={
            "days": DAYS,
            "hours": HOUR_DAYS,
            "countries": COUNTRY_DAYS,
            "cohorts": TOP_COHORTS,
            "cells": TOP_CELLS,
        },
    )
    Path(page).write_text(html)
    print(f"{Path(page).name}, {len(html.encode()) / 1e6:.1f} MB: open it in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
