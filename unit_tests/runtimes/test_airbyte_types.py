"""The columns of Airbyte's connector keep their names and types, so that a table of its can be written on.

`airbyte_types.json` holds the types of its version 0.7.39, from its public manifest: a format where a text
has one, and several types in alphabetical order.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from unit_tests.conftest import Run
from unit_tests.support.protocol import STREAMS

TYPES: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("airbyte_types.json").read_text()
)
DIFFERENT = {("average_session_length", "date"): "date"}
"""What differs on purpose: a day is no moment. docs/amplitude.md says what to do."""


def type_of(column: dict[str, Any]) -> str:
    return str(column.get("format") or " ".join(sorted({*column["type"]} - {"null"})))


@pytest.mark.parametrize("stream", TYPES)
def test_every_column_has_the_type_that_it_has_in_airbytes_connector(
    run: Run, config: dict[str, Any], stream: str
) -> None:
    messages = run("discover", config).messages
    streams = next(m["catalog"]["streams"] for m in messages if m["type"] == "CATALOG")
    columns = next(s for s in streams if s["name"] == stream)["json_schema"]["properties"]

    ours = {name: type_of(columns[name]) for name in TYPES[stream]}

    assert ours == {
        name: DIFFERENT.get((stream, name), kind) for name, kind in TYPES[stream].items()
    }


def test_every_stream_of_airbytes_connector_is_held_to_its_types() -> None:
    assert set(TYPES) == {
        *(
            "active_users",
            "annotations",
            "average_session_length",
            "cohorts",
            "events",
            "events_list",
        )
    }
    assert set(TYPES) <= set(STREAMS)
