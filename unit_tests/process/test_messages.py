"""Record messages: one line each, which every strict reader of JSON takes."""

import json
from typing import Any

import orjson
import pytest

from emulator import Emulator, Fault
from source_amplitude.process.messages import serialize_record
from unit_tests.conftest import Run
from unit_tests.support.archives import archive

SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ({"a": None}, {"a": None}),
        ({"a": SEPARATORS}, {"a": SEPARATORS}),
        ({"a": "ten points \ud83d"}, {"a": "ten points \ufffd"}),
        ({"\ude00": ["\ud83d\ud83d\ude00"]}, {"\ufffd": ["\ufffd\U0001f600"]}),
        ({"a": 2**64, "b": [-(2**63) - 1]}, {"a": 2**64, "b": [-(2**63) - 1]}),
        ({"a": 10**30, "b": "\ud83d"}, {"a": 10**30, "b": "\ufffd"}),
        ({"a": 0.1, "b": 1e22, "c": 5e-324}, {"a": 0.1, "b": 1e22, "c": 5e-324}),
    ],
)
def test_a_record_is_one_line_of_strict_json(data: dict[str, Any], written: dict[str, Any]) -> None:
    line = serialize_record("cohorts", data, 7)

    assert b"\n" not in line
    assert json.loads(line.decode()) == {
        "type": "RECORD",
        "record": {"stream": "cohorts", "data": written, "emitted_at": 7},
    }
    orjson.loads(line)  # it refuses what is no JSON, though it rounds integers of more than 64 bits


@pytest.mark.parametrize("stream", ["cohorts", "events"])
def test_a_separator_within_a_record_breaks_no_line(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str
) -> None:
    rows = [{"id": number, "uuid": str(number), "name": SEPARATORS} for number in range(2)]
    lists = json.dumps({"cohorts": rows}, ensure_ascii=False).encode()
    events = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    export = archive({"400001/400001_2024-01-03_4#1.json.gz": events})
    amplitude.faults += [
        Fault(path="/api/3/cohorts", replace=lambda _: lists),
        Fault(replace=lambda _: export, times=None),
    ]
    config |= {"start_date": "2024-01-03T04:00:00Z", "end_date": "2024-01-03T05:00:00Z"}

    output = run("read", config, (stream,))

    assert [record["name"] for record in output.records(stream)] == [SEPARATORS] * 2
