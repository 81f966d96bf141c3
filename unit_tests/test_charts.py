"""Saved charts: every table in one form, whatever its kind, and nothing lost of what is no table."""

import doctest
import json
from collections.abc import Sequence
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from emulator.charts import CHARTS
from source_amplitude.extensions import charts
from unit_tests.conftest import Sync
from unit_tests.support.protocol import Output, config_for, error_body, logged

RECORDED = (
    '"\tWeekly players"\r\n"\tChart made for the weekly review."\r\n\r\n'
    '"\tUniques"\r\n"\tsong_played"\r\n\r\n'
    '"\tSegment","\t2026-06-01","\t2026-06-02","\t2026-06-03"\r\n"\tAll Users","0","3","0"\r\n'
)
"""The `data` of a live response."""


@pytest.fixture
def config(amplitude: Emulator) -> dict[str, Any]:
    return config_for(amplitude, chart_ids=["wk3pl4y"])


def answer(amplitude: Emulator, body: bytes, chart: str = "wk3pl4y", **more: Any) -> None:
    """Have the emulator respond to the request for a chart."""
    amplitude.faults.append(
        Fault(path=f"/api/3/chart/{chart}/csv", body=body, **{"status": 200, "times": None, **more})
    )


def with_nulls(output: Output) -> list[dict[str, Any]]:
    """The records, with the nulls that the CDK's serializer leaves out."""
    nulls = dict.fromkeys(("title", "description", "value"))
    return [{**nulls, **row} for row in output.records("charts")]


def rows(config: dict[str, Any], sync: Sync) -> list[dict[str, Any]]:
    output = sync(config, ("charts",), [])
    assert not output.errors
    found = with_nulls(output)
    keys = [(row["chart_id"], row["series"], row["x"]) for row in found]
    assert len(set(keys)) == len(keys)
    assert all(all(key) for key in keys)
    return found


def test_a_recorded_chart_is_one_row_for_each_day(
    config: dict[str, Any], amplitude: Emulator, sync: Sync
) -> None:
    answer(amplitude, json.dumps({"data": RECORDED}).encode())

    found = rows(config, sync)

    about = {
        "chart_id": "wk3pl4y",
        "title": "Weekly players",
        "description": "Chart made for the weekly review.\nUniques\nsong_played",
        "series": "All Users",
    }
    assert found == [
        {**about, "x": "2026-06-01", "value": 0, "text": "0"},
        {**about, "x": "2026-06-02", "value": 3, "text": "3"},
        {**about, "x": "2026-06-03", "value": 0, "text": "0"},
    ]


@pytest.mark.parametrize(
    ("chart", "count", "series", "x", "value", "text"),
    [
        ("wk3pl4y", 30, "All Users", "2024-01-02", None, None),
        ("cn7try2", 6 * 14, "All Users / (none)", "2024-01-02", None, None),
        ("fn5stp3", 4, "All Users", "Conversion", 0.2, "0.2"),
        ("rt9nday", 30 * 9, "Jan 02, 2024", "Day 7", None, ""),
        ("cm2pos8", 6, "Germany", "Users", None, None),
        ("dt4tab1", 2 * 3, "Web / (none)", "Share", None, "90%"),
    ],
)
def test_a_chart_of_any_kind_is_rows_of_one_form(
    config: dict[str, Any],
    sync: Sync,
    chart: str,
    count: int,
    series: str,
    x: str,
    value: float | None,
    text: str | None,
) -> None:
    found = rows({**config, "chart_ids": [chart]}, sync)

    assert len(found) == count
    assert {row["title"] for row in found} == {CHARTS[chart].lines[0]}
    (row,) = (row for row in found if (row["series"], row["x"]) == (series, x))
    if text is None:
        assert isinstance(row["value"], int | float)
        assert row["text"] == str(row["value"])
    else:
        assert (row["value"], row["text"]) == (value, text)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("3", 3),
        ("-2.5", -2.5),
        ("1e3", 1000.0),
        ("9007199254740993", 9007199254740993),
        ("1E400", None),
        ("9" * 5000, None),
        ("1,234", None),
        ("12%", None),
        ("NaN", None),
        ("Infinity", None),
        ("٣", None),
        ("", None),
        ("\t7", 7),
        ("\t", None),
        ('a ""quoted"", text\nof two lines', None),
    ],
)
def test_a_cell_is_a_number_where_it_is_one_and_its_text_always(
    config: dict[str, Any], amplitude: Emulator, sync: Sync, cell: str, value: Any
) -> None:
    table = f'"\tSegment","\tx","\ty"\r\n"\tA","{cell}","1"\r\n"\tB","2","1"\r\n'
    answer(amplitude, json.dumps({"data": table}).encode())

    (row,) = (row for row in rows(config, sync) if (row["series"], row["x"]) == ("A", "x"))

    assert row["value"] == value
    assert type(row["value"]) is type(value)
    assert row["text"] == cell.removeprefix("\t").replace('""', '"')
    assert row["title"] is row["description"] is None


def keys_of(found: Sequence[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [(row["series"], row["x"], row["value"]) for row in found]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            '"\tSegment","\tx","\tx"\r\n"\tA","1","2"\r\n"\tA","3","4"\r\n',
            [("A", "x", 1), ("A", "x (2)", 2), ("A (2)", "x", 3), ("A (2)", "x (2)", 4)],
        ),
        ('"\t","\t"\r\n"\t","5"\r\n', [("(none)", "(none)", 5)]),
        ("Segment,x\nA,1\nB,2\n", [("A", "x", 1), ("B", "x", 2)]),
        ('"\tSegment","\tx"\r\n"\tA","\tlow"\r\n', [("A", "x", None)]),
        ('"\tStep","\tx"\r\n"1","7"\r\n', [("1", "x", 7)]),
        (
            '"\tS","\tx"\r\n"\tA","1"\r\n\r\n"\tTotals"\r\n"\tplay"\r\n\r\n"\tS","\tx"\r\n"\tA","2"\r\n',
            [("A", "x", 1), ("Totals / play / A", "x", 2)],
        ),
        (
            '"\tS","\tx"\r\n"\tA","1"\r\n\r\n"\tS","\ty"\r\n"\tA","2"\r\n',
            [("A", "x", 1), ("A (2)", "y", 2)],
        ),
    ],
    ids=["doubles", "no labels", "plain CSV", "text", "figures", "two tables", "without lines"],
)
def test_keys_are_never_null_and_never_the_same(
    config: dict[str, Any],
    amplitude: Emulator,
    sync: Sync,
    table: str,
    expected: list[tuple[str, str, Any]],
) -> None:
    answer(amplitude, json.dumps({"data": table}).encode())

    assert keys_of(rows(config, sync)) == expected


@pytest.mark.parametrize(
    "data",
    [
        "",
        "42\r\n",
        '"\tTitle"\r\n\r\n"\tSegment","\tx"\r\n',
        '"\tS","\tx"\r\n"\tA","1","2"\r\n',
        '"\tS","\tx"\r\n"\tA","1',
        '"\tS","\tx"\r\n"\tA"1","2"\r\n',
        {"series": [[1]], "xValues": ["2024-01-01"]},
        [],
    ],
    ids=["empty", "figure", "header", "ragged", "cut", "quotes", "series", "list"],
)
def test_what_is_no_table_of_a_known_form_comes_whole_as_text_with_a_warning(
    config: dict[str, Any], amplitude: Emulator, sync: Sync, data: Any
) -> None:
    answer(amplitude, json.dumps({"data": data}).encode())
    output = sync(config, ("charts",), [])

    (row,) = with_nulls(output)
    assert row == {
        "chart_id": "wk3pl4y",
        "title": None,
        "description": None,
        "series": "(whole)",
        "x": "(whole)",
        "value": None,
        "text": data if isinstance(data, str) else json.dumps(data),
    }
    assert len(logged(output, "The chart 'wk3pl4y' has an unknown format")) == 1


def test_the_example_in_the_documentation_of_charts_is_true() -> None:
    failed, attempted = doctest.testmod(charts)

    assert (failed, attempted) == (0, 1)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_chart_that_amplitude_does_not_find_is_named_and_skipped(
    amplitude: Emulator, sync: Sync, status: int
) -> None:
    config = config_for(amplitude, chart_ids=["wk3pl4y", "g0n3", "fn5stp3"])
    answer(amplitude, error_body("Unspecified Error", "Chart not found"), "g0n3", status=status)
    output = sync(config, ("charts",), [])

    assert not output.errors
    assert output.statuses("charts")[-1] == "COMPLETE"
    assert {row["chart_id"] for row in output.records("charts")} == {"wk3pl4y", "fn5stp3"}
    (line,) = logged(output, "was skipped")
    assert "The chart 'g0n3' was skipped" in line
    assert f"({status}: Unspecified Error (Chart not found))" in line
    assert "`chart_ids`" in line


@pytest.mark.parametrize(
    ("status", "details"),
    [(403, "No access to this chart"), (403, "Not included in your plan"), (400, "Invalid chart")],
)
def test_a_chart_that_is_refused_fails_by_name_and_the_others_are_read(
    amplitude: Emulator, sync: Sync, status: int, details: str
) -> None:
    config = config_for(amplitude, chart_ids=["g0n3", "wk3pl4y", "fn5stp3"])
    answer(amplitude, error_body("Unspecified Error", details), "g0n3", status=status)
    output = sync(config, ("charts",), [])

    assert output.statuses("charts")[-1] == "INCOMPLETE"
    assert {row["chart_id"] for row in output.records("charts")} == {"wk3pl4y", "fn5stp3"}
    (error,) = [e for e in output.errors if "the chart 'g0n3'" in e["message"]]
    assert f"({status}: Unspecified Error ({details}))" in error["message"]
    assert "`chart_ids`" in error["message"]
    assert error["failure_type"] == "config_error"


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("body", [b"<html>not found</html>", b""])
def test_a_refusal_that_is_not_amplitudes_own_is_no_chart_that_is_gone(
    amplitude: Emulator, sync: Sync, status: int, body: bytes
) -> None:
    config = config_for(amplitude, chart_ids=["g0n3", "wk3pl4y"])
    answer(amplitude, body, "g0n3", status=status)
    output = sync(config, ("charts",), [])

    assert output.statuses("charts")[-1] == "INCOMPLETE"
    assert {row["chart_id"] for row in output.records("charts")} == {"wk3pl4y"}
    assert not logged(output, "was skipped")


@pytest.mark.parametrize("charts", [["nope"], ["nope", "n0ne"]])
def test_charts_of_which_none_exists_do_not_empty_the_table(
    amplitude: Emulator, sync: Sync, charts: list[str]
) -> None:
    output = sync(config_for(amplitude, chart_ids=charts), ("charts",), [])

    assert output.statuses("charts")[-1] == "INCOMPLETE"
    (error,) = [e for e in output.errors if "none of the charts" in e["message"]]
    assert error["failure_type"] == "config_error"
    assert len(logged(output, "was skipped")) == len(charts)


@pytest.mark.parametrize("status", [405, 409, 413, 451])
def test_a_chart_that_is_refused_otherwise_is_named_and_the_others_are_read(
    amplitude: Emulator, sync: Sync, status: int
) -> None:
    config = config_for(amplitude, chart_ids=["wk3pl4y", "0dd1ty", "fn5stp3"])
    answer(amplitude, error_body("No", "Not this one"), "0dd1ty", status=status)

    output = sync(config, ("charts",), [])

    assert {row["chart_id"] for row in output.records("charts")} == {"wk3pl4y", "fn5stp3"}
    message = f"the request for charts of '0dd1ty' ({status}: No (Not this one))"
    errors = [error for error in output.errors if message in error["message"]]
    assert [error["failure_type"] for error in errors] == ["system_error"]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "refused the keys"), (407, "asks for a user and a password")]
)
def test_a_refusal_of_the_project_is_not_a_missing_chart(
    config: dict[str, Any], amplitude: Emulator, sync: Sync, status: int, words: str
) -> None:
    answer(amplitude, error_body("Unauthorized"), status=status)

    output = sync(config, ("charts",), [])

    errors = [error for error in output.errors if words in error["message"]]
    assert [error["failure_type"] for error in errors] == ["config_error"]
    assert logged(output, "was skipped") == []


def test_refused_keys_are_no_chart_that_is_gone(config: dict[str, Any], sync: Sync) -> None:
    config["secret_key"] = "0" * 32
    output = sync(config, ("charts",), [])

    assert any("refused the keys" in error["message"] for error in output.errors)


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"error": "x"}', b'{"data": null}', b"[]", b"[" * 100_000]
)
def test_a_response_without_data_fails_the_stream_in_one_sentence(
    config: dict[str, Any], amplitude: Emulator, sync: Sync, body: bytes
) -> None:
    answer(amplitude, body)
    output = sync(config, ("charts",), [])

    assert output.records("charts") == []
    words = "'wk3pl4y' is no chart: it has no `data`"
    assert any(words in error["message"] for error in output.errors)


def test_charts_cost_at_most_what_the_manifest_declares_and_wait_for_the_budget(sync: Sync) -> None:
    with Emulator(Project()) as amplitude:
        config = config_for(amplitude, chart_ids=[*CHARTS])
        output = sync(config, ("charts",), [])

    assert not output.errors
    assert {request.status for request in amplitude.requests} == {200}
    assert max(request.cost for request in amplitude.requests) <= 250
    assert len(amplitude.requests) == len(CHARTS)


@pytest.mark.parametrize("option", [{"chart_ids": []}, {"chart_ids": None}, {}])
def test_without_ids_no_chart_is_asked_for(
    config: dict[str, Any], amplitude: Emulator, sync: Sync, option: dict[str, Any]
) -> None:
    del config["chart_ids"]

    assert not sync({**config, **option}, ("charts",), []).errors
    assert amplitude.requests == []
