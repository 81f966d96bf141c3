"""Tables of figures: the forms that were seen, and what is no table."""

import json
import math
from typing import Any

import pytest

from emulator import Dashboards, Emulator, Fault, Project
from unit_tests.conftest import Run, Sync
from unit_tests.support.protocol import PATHS, config_for, error_body, logged


def table_of(amplitude: Emulator, stream: str, data: Any) -> None:
    """Have Amplitude answer a stream with `data`, always."""
    body = json.dumps({"data": data}).encode()
    amplitude.faults.append(Fault(path=PATHS[stream], status=200, body=body, times=None))


@pytest.mark.parametrize(
    ("stream", "data", "records"),
    [
        (
            "active_users",
            {
                "xValues": ["2024-01-01", "2024-01-02", "2024-01-03"],
                "series": [[4, 13, 0]],
                "seriesCollapsed": [[0]],
                "seriesLabels": [0],
                "seriesMeta": [{"segmentIndex": 0}],
            },
            [("2024-01-01", {"all": 4}), ("2024-01-02", {"all": 13}), ("2024-01-03", {"all": 0})],
        ),
        (
            "average_session_length",
            {
                "series": [[0, 96.5]],
                "seriesCollapsed": [[{"setId": "", "value": 0}]],
                "seriesMeta": [{"segmentIndex": 0, "sessionIndex": 0}],
                "xValues": ["2024-01-01T00:00:00", "2024-01-02T00:00:00"],
            },
            [("2024-01-01", 0), ("2024-01-02", 96.5)],
        ),
        (
            "average_session_length",
            {"xValues": ["2024-01-01"], "series": [[216.66666666666666]], "seriesLabels": [0]},
            [("2024-01-01", 216.66666666666666)],
        ),
        ("average_session_length", {"xValues": ["2024-01-01"], "series": [["96.5"]]}, 96.5),
        ("average_session_length", {"xValues": ["2024-01-01"], "series": [["5"]]}, 5),
        ("average_session_length", {"xValues": ["2024-01-01"], "series": [[None]]}, None),
        (
            "active_users",
            {
                "xValues": ["2024-01-02", "2024-01-01"],
                "series": [[1, 2], ["3", 4]],
                "seriesLabels": [[0, "DE"], [1, "US"]],
            },
            [("2024-01-02", {"DE": 1, "US": 3}), ("2024-01-01", {"DE": 2, "US": 4})],
        ),
    ],
)
def test_a_table_is_read_in_every_form_it_was_seen_in(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, data: Any, records: Any
) -> None:
    table_of(amplitude, stream, data)

    output = run("read", config, (stream,))

    field = "statistics" if stream == "active_users" else "length"
    if not isinstance(records, list):
        records = [("2024-01-01", records)]
    assert output.records(stream) == [{"date": day, field: value} for day, value in records]
    assert output.error is None


DAYS = ["2024-01-01", "2024-01-02"]
MALFORMED: dict[str, Any] = {
    "no data": None,
    "a list": [],
    "no series": {"xValues": DAYS},
    "null series": {"xValues": DAYS, "series": None},
    "one null series": {"xValues": DAYS, "series": [None]},
    "series as object": {"xValues": DAYS, "series": {"a": [1, 2]}},
    "series as number": {"xValues": DAYS, "series": 5},
    "series too flat": {"xValues": DAYS, "series": [1, 2]},
    "series too deep": {"xValues": DAYS, "series": [[[1], [2]]]},
    "too short": {"xValues": DAYS, "series": [[1]]},
    "too long": {"xValues": DAYS, "series": [[1, 2, 3]]},
    "no days": {"xValues": [], "series": [[1]]},
    "null days": {"xValues": None, "series": [[1, 2]]},
    "null days without series": {"xValues": None, "series": []},
    "a null day": {"xValues": ["2024-01-01", None], "series": [[1, 2]]},
    "days without a year": {"xValues": ["Jan 1", "Jan 2"], "series": [[1, 2]]},
    "epoch days": {"xValues": [1704067200, 1704153600], "series": [[1, 2]]},
    "epoch days as text": {"xValues": ["1704067200", "1704153600"], "series": [[1, 2]]},
    "no such day": {"xValues": ["2024-01-01", "2024-02-30"], "series": [[1, 2]]},
    "hours": {"xValues": ["2024-01-01T00:00:00", "2024-01-01T01:00:00"], "series": [[1, 2]]},
    "a day twice": {"xValues": ["2024-01-01", "2024-01-01T00:00:00"], "series": [[1, 2]]},
    "a value as object": {"xValues": DAYS, "series": [[1, {"value": 5}]]},
    "a value as text": {"xValues": DAYS, "series": [[1, "many"]]},
    "a value as text NaN": {"xValues": DAYS, "series": [[1, "NaN"]]},
    "a value as text null": {"xValues": DAYS, "series": [[1, "null"]]},
    "an empty text": {"xValues": DAYS, "series": [[1, ""]]},
    "a deep text": {"xValues": DAYS, "series": [[1, "[" * 100_000]]},
    "a thousands separator": {"xValues": DAYS, "series": [[1, "5,000"]]},
    "a value that is true": {"xValues": DAYS, "series": [[1, True]]},
    "NaN": {"xValues": DAYS, "series": [[1, math.nan]]},
    "infinity": {"xValues": DAYS, "series": [[1, math.inf]]},
    "a null label": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": [None]},
    "a label as object": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": [True]},
    "an empty pair as label": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": [[]]},
    "a null in a pair": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": [[0, None]]},
    "labels as text": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": "x"},
    "labels as number": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": 7},
    "two labels for one": {"xValues": DAYS, "series": [[1, 2]], "seriesLabels": ["a", "b"]},
    "a label twice": {"xValues": DAYS, "series": [[1, 2], [3, 4]], "seriesLabels": ["a", "a"]},
    "no label": {"xValues": DAYS, "series": [[1, 2], [3, 4]]},
}


@pytest.mark.parametrize("stream", ["active_users", "active_users_by_segment"])
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_table_fails_its_stream_with_one_sentence(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, data: Any
) -> None:
    table_of(amplitude, stream, data)

    output = run("read", config, (stream,))

    assert output.records(stream) == []
    assert output.statuses(stream)[-1] == "INCOMPLETE"
    said = f"Amplitude's response for {stream} is not the table of days that its documentation promises"
    assert any(error["message"].startswith(said) for error in output.errors)
    assert {"date": "2024-01-03"} not in output.states(stream)


def test_an_error_in_place_of_a_table_is_quoted(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = error_body("Unspecified Error", "Too Many Requests")
    amplitude.faults.append(Fault(path="/api/2/users", status=200, body=body, times=None))

    output = run("read", config, ("active_users",))

    said = "no data.xValues and data.series: Unspecified Error (Too Many Requests)"
    assert any(said in error["message"] for error in output.errors)


@pytest.mark.parametrize(
    "data",
    [
        {"xValues": [None], "series": [[1]]},
        {"xValues": [3], "series": [[1]]},
        {"xValues": ["0s-3s", "0s-3s"], "series": [[1, 2]]},
        {"xValues": ["0s-3s"], "series": [["x"]]},
        {"xValues": ["0s-3s"], "series": [[1], [2]], "seriesLabels": ["a", "b"]},
    ],
)
def test_a_malformed_table_of_bins_is_one_too(
    sync: Sync, config: dict[str, Any], amplitude: Emulator, data: Any
) -> None:
    stream = "session_length_distribution"
    table_of(amplitude, stream, data)

    output = sync(config, (stream,), [])

    assert output.records(stream) == []
    assert any(f"response for {stream} is not the table" in e["message"] for e in output.errors)


@pytest.mark.parametrize(("countries", "warned"), [(99, 0), (100, 1), (101, 1)])
def test_the_log_says_that_more_than_100_countries_cannot_be_had(
    sync: Sync, countries: int, warned: int
) -> None:
    project = Project(dashboards=Dashboards(countries=[f"Country {n}" for n in range(countries)]))
    with Emulator(project) as amplitude:
        config = config_for(amplitude, start_date="2023-12-01T00:00:00Z")
        output = sync(config, ("active_users",), [])

    assert len(logged(output, "smaller groups may be missing")) == warned
    assert len(output.records("active_users")[-1]["statistics"]) == min(countries, 100)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"series": [[1]], "xValues": ["2024-01-01", "2024-01-02"]}, "1 values for 2 days or bins"),
        (
            {"series": [[1], [2]], "seriesLabels": ["US", "US"], "xValues": ["2024-01-01"]},
            "a label occurs more than once",
        ),
        (
            {"series": [[1], [2]], "seriesLabels": ["US"], "xValues": ["2024-01-01"]},
            "1 labels for 2",
        ),
        ({"xValues": ["2024-01-01"]}, "no data.xValues and data.series"),
    ],
)
def test_a_table_whose_parts_do_not_fit_is_an_error_that_names_them(
    run: Run, config: dict[str, Any], amplitude: Emulator, data: dict[str, Any], words: str
) -> None:
    table_of(amplitude, "active_users", data)

    output = run("read", config, ("active_users",))

    assert output.records("active_users") == []
    promised = "is not the table of days that its documentation promises"
    assert any(words in e["message"] and promised in e["message"] for e in output.errors)


def test_labels_may_come_as_the_documentation_has_them(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    data = {"series": [[5], [7]], "seriesMeta": ["US", "DE"], "xValues": ["2024-01-01T00:00:00"]}
    table_of(amplitude, "active_users", data)

    output = run("read", config, ("active_users",))

    assert output.records("active_users") == [
        {"date": "2024-01-01", "statistics": {"US": 5, "DE": 7}}
    ]
