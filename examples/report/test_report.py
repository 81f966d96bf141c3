"""The page of `make report`: its numbers, what it says of what is not there, and how Chromium draws it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
from browser import Browser

SCRIPT = Path(__file__).with_name("report.py")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOSTILE = (
    "</script><script>document.title = 'owned'</script><img src=x onerror=document.title='owned'>"
)
SCHEMA = """
create table active_users (date date, statistics json, _airbyte_extracted_at timestamp);
create table average_session_length (date date, length decimal(38, 9), _airbyte_extracted_at timestamp);
create table annotations (id bigint, label varchar, date date, "end" timestamp,
  _airbyte_extracted_at timestamp);
create table cohorts (id varchar, name varchar, size bigint, archived boolean, lastcomputed bigint,
  _airbyte_extracted_at timestamp);
create table active_users_weekly (date date, statistics json, _airbyte_extracted_at timestamp);
create table charts (chart_id varchar, title varchar, series varchar, x varchar, value decimal(38, 9),
  text varchar, _airbyte_extracted_at timestamp);
create table events (uuid varchar, event_type varchar, server_upload_time timestamp,
  _airbyte_extracted_at timestamp);
"""
# 30 days, the last of them read at 06:00 on that day; 1,000 users by country, one more each day.
DAILY = """
insert into active_users select day,
  json_object('Norway', 600 + i, '(none)', 300, ?, 100, 'Chad', null), '2026-11-24 06:00'
  from (select i, date '2026-10-26' + i::int as day from range(30) as r(i));
insert into average_session_length select date, 60 + 2 * (date - date '2026-10-25'), _airbyte_extracted_at
  from active_users where date <> '2026-11-10';
insert into active_users_weekly values
  ('2026-11-16', json_object('Norway', 2100, 'Chad', null), '2026-11-24 06:00'),
  ('2026-11-23', json_object('Norway', 700), '2026-11-24 06:00');
insert into charts select 'e1', ?, 'Sign up', '2026-11-' || d, 100 + d, 100 + d, '2026-11-24 06:00'
  from range(10, 24) as r(d);
insert into charts values ('f2', 'Checkout', 'Paid', 'Step 2', 0.31, '0.31', '2026-11-24 06:00'),
  ('f2', 'Checkout', 'Paid', 'Step 3', null, '', '2026-11-24 06:00');
insert into cohorts values ('a', 'Paying', 1200, false, 1800000000, '2026-11-24 06:00'),
  ('b', ?, 300, true, null, '2026-11-24 06:00');
insert into annotations values (1, ?, '2026-11-02', null, '2026-11-24 06:00'),
  (2, 'Sale', '2026-11-12', '2026-11-15 00:00', '2026-11-24 06:00'),
  (3, 'Release 5', '2026-11-13', null, '2026-11-24 06:00'),
  (4, 'Long ago', '2024-01-01', null, '2026-11-24 06:00');
"""
# Twenty days of nine types up to 03:59; type k comes k times an hour.
HOURLY = """
insert into events select uuid(), if(k = 9, ?, 'type ' || k), hour + interval 59 minutes, '2026-11-24 06:00'
  from range(timestamp '2026-11-05 04:00', timestamp '2026-11-24 04:00', interval 1 hour) as h(hour),
    range(1, 10) as t(k), range(k);
"""


def write(folder: Path, *statements: tuple[str, int]) -> Path:
    """A database of the statements, each with so many hostile names put in, and the page of it."""
    with duckdb.connect(str(folder / "amplitude.duckdb")) as db:
        for statement, names in statements:
            for part in filter(str.strip, statement.split(";")):
                db.execute(part, [HOSTILE] * part.count("?"))
            assert statement.count("?") == names
    page = folder / "report.html"
    done = report(folder / "amplitude.duckdb", page)
    assert done.returncode == 0, done.stderr
    return page


def report(*arguments: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True
    )


def text(page: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split()).translate(
        {0x202F: " ", 0x2013: "-"}
    )


def charts(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("full"), (SCHEMA, 0), (DAILY, 4), (HOURLY, 1))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = SCHEMA + "drop table cohorts; drop table annotations"
    return write(tmp_path_factory.mktemp("empty"), (tables, 0))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    browser = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def test_the_last_finished_day_is_the_headline_and_a_sum_of_countries_is_called_one(
    full: Path,
) -> None:
    seen = text(full.read_text())

    assert "Active users, countries added up 1,028 on Mon 23 Nov 2026" in seen
    assert (
        "1,028 on Mon 23 Nov 2026, the last finished day; the mean of seven days is 1,025" in seen
    )
    assert "Average session 1 min 58 s on Mon 23 Nov 2026" in seen
    assert "Tue 24 Nov 2026 1,029 so far" in seen
    assert f"Norway 614 61 % Country unknown 300 30 % {HOSTILE} 100 10 %" in seen


def test_annotations_are_numbered_and_those_of_other_days_are_counted(full: Path) -> None:
    seen = text(full.read_text())

    assert f"1 {HOSTILE} Mon 2 Nov 2026" in seen
    assert "2 Sale Thu 12 Nov 2026 to Sun 15 Nov 2026" in seen
    assert "3 Release 5 Fri 13 Nov 2026" in seen
    assert (
        "1 annotation is not shown here; the last of them is “Long ago” on Mon 1 Jan 2024" in seen
    )


def test_events_are_counted_by_hour_and_the_rarest_types_are_one(full: Path) -> None:
    page = full.read_text()
    seen = text(page)

    assert "from 2026-11-11 00:00 UTC to 2026-11-24 04:00 UTC" in seen
    assert f"{45 * 316:,} events" in seen
    assert f"{HOSTILE} 9.0 an hour, {9 * 316:,} in all" in seen
    assert f"type 4 4.0 an hour, {4 * 316:,} in all 3 more types 6.0 an hour" in seen
    assert f"Events in 24 hours {45 * 24:,} to 2026-11-24 04:00 UTC" in seen
    assert [len(data) for data in charts(page)["hours-1"]["datasets"].values()] == [316]


def test_cohorts_stand_by_size_with_what_makes_a_size_old(full: Path) -> None:
    seen = text(full.read_text())

    assert f"Paying 1,200 computed 2027-01-15 {HOSTILE} 300 archived" in seen


def test_the_page_does_not_grow_with_the_events(full: Path, tmp_path: Path) -> None:
    tenfold = "insert into events select e.* from events as e, range(9)"
    more = write(tmp_path, (SCHEMA, 0), (DAILY, 4), (HOURLY, 1), (tenfold, 0))

    assert abs(more.stat().st_size - full.stat().st_size) < 10_000
    assert full.stat().st_size < 1_100_000


def test_every_stream_is_listed_with_its_newest_record_and_its_last_sync(tmp_path: Path) -> None:
    others = """
    create table new_users (date date, _airbyte_extracted_at timestamp);
    insert into new_users values ('2026-11-23', '2026-11-24 06:00'), ('2026-11-22', '2026-11-24 05:00');
    create table members (id varchar, _airbyte_extracted_at timestamp);
    create table _airbyte_state (table_name varchar, last_updated timestamptz);
    insert into _airbyte_state values ('members', '2026-11-24 09:30:00+02')"""
    seen = text(write(tmp_path, (SCHEMA, 0), (HOURLY, 1), (others, 0)).read_text())

    assert "events 20,520 2026-11-24 03:59 UTC 2026-11-24 06:00 UTC" in seen
    assert "new_users 2 2026-11-23 2026-11-24 06:00 UTC" in seen
    assert "members empty - 2026-11-24 07:30 UTC" in seen
    assert "_airbyte_state" not in seen


def test_a_table_that_is_missing_or_empty_is_said_so_in_its_place(empty: Path) -> None:
    page = empty.read_text()
    seen = text(page)

    assert "Daily active users The table active_users is empty" in seen
    assert "Average session length The table average_session_length is empty" in seen
    assert "Events an hour, by type The table events is empty" in seen
    assert "Cohort sizes There is no table cohorts in amplitude.duckdb yet" in seen
    assert charts(page) == {}


def test_weeks_stand_beside_days_and_a_saved_chart_under_its_name(full: Path) -> None:
    seen = text(full.read_text())

    assert "By week A person counts once in a week and country" in seen
    assert "week of 23 Nov 2026 700 so far week of 16 Nov 2026 2,100" in seen
    assert f"{HOSTILE} Name Number Remark 2026-11-23 123 Sign up 2026-11-22 122" in seen
    assert "2026-11-12 112 Sign up Checkout" in seen
    assert "Step 2 0.31 Paid" in seen
    assert "111 Sign up" not in seen


def test_users_that_are_not_grouped_have_no_countries(tmp_path: Path) -> None:
    one = "insert into active_users values ('2026-11-23', '{\"all\": 7}', '2026-11-24 06:00')"
    seen = text(write(tmp_path, (SCHEMA, 0), (one, 0)).read_text())

    assert "Active users 7 on Mon 23 Nov 2026" in seen
    assert "added up" not in seen
    assert "7 on Mon 23 Nov 2026, the last finished day." in seen
    assert "The users are not grouped by country." in seen


def test_without_a_database_one_sentence_says_what_to_run(tmp_path: Path) -> None:
    done = report(tmp_path / "amplitude.duckdb", tmp_path / "report.html")

    assert done.returncode == 1
    assert done.stderr == "There is no amplitude.duckdb yet: run `make sync` first.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "amplitude.duckdb").write_text("not a database" * 1000)
    done = report(tmp_path / "amplitude.duckdb", tmp_path / "report.html")

    assert done.returncode == 1
    assert done.stderr.startswith("amplitude.duckdb cannot be read")
    assert "Traceback" not in done.stderr


DRAWN = """
new Promise(resolve => {
  const wanted = Object.keys(JSON.parse(document.getElementById("charts").textContent));
  const look = () => {
    const svgs = wanted.map(name => document.querySelector(`#${name} svg`));
    if (svgs.includes(null)) return setTimeout(look, 50);
    const style = getComputedStyle(document.body);
    const note = document.querySelector("#users .mark-text.role-mark text");
    note?.dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
    const tip = document.getElementById("vg-tooltip-element");
    resolve({
      title: document.title,
      scripts: document.scripts.length,
      images: document.images.length,
      tip: tip?.textContent,
      overflow: document.documentElement.scrollWidth - innerWidth,
      paper: style.backgroundColor,
      marks: svgs.map(svg => [...svg.querySelectorAll(".role-mark path")].filter(path =>
        path.getBBox().height > 0 || path.getBBox().width > 0).length),
      clipped: svgs.flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter(text => {
          const box = text.getBoundingClientRect();
          const drawn = text.getAttribute("opacity") !== "0";
          return drawn && (box.left < frame.left || box.right > frame.right || box.top < frame.top);
        }).map(text => text.textContent);
      }),
    });
  };
  look();
})
"""


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize(
    ("scheme", "paper"), [("light", "rgb(252, 252, 250)"), ("dark", "rgb(20, 24, 27)")]
)
def test_chromium_draws_every_chart_and_asks_for_nothing(
    full: Path, browser: Browser, scheme: str, paper: str, width: int
) -> None:
    opened = browser.open(full, DRAWN, scheme, width)

    assert opened.complaints == []
    assert opened.requests == [full.as_uri()]
    assert opened.seen["paper"] == paper
    assert opened.seen["title"] == "A look at the data: amplitude.duckdb"
    assert (opened.seen["scripts"], opened.seen["images"]) == (2, 0)
    assert opened.seen["tip"] == f"number1label{HOSTILE}"
    assert opened.seen["overflow"] <= 0
    assert opened.seen["clipped"] == []
    assert len(opened.seen["marks"]) == 9
    assert min(opened.seen["marks"]) >= 25
    assert len(opened.picture) > 20_000


def test_chromium_opens_a_page_without_figures_as_quietly(empty: Path, browser: Browser) -> None:
    opened = browser.open(empty, DRAWN)

    assert opened.complaints == []
    assert opened.requests == [empty.as_uri()]
    assert opened.seen["marks"] == []
