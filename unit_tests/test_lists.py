"""What all lists have in common: a row becomes a record whole, or the stream fails in a sentence."""

import json
from typing import Any

import pytest

from emulator import Emulator, Fault
from unit_tests.conftest import Read
from unit_tests.support.protocol import LISTS, PATHS, answer


@pytest.mark.parametrize("stream", LISTS)
@pytest.mark.parametrize("what", ["missing", "null", "a string", "null in place of it", "a list"])
def test_a_row_without_its_key_fails_its_stream(
    read: Read, config: dict[str, Any], amplitude: Emulator, stream: str, what: str
) -> None:
    key = LISTS[stream][1]
    rows = {"missing": {"label": 1}, "null": {key: None}, "a string": "odd", "a list": [1]}
    answer(amplitude, stream, [rows.get(what)])

    output = read(config, stream)

    assert output.records(stream) == []
    assert output.statuses(stream)[-1] == "INCOMPLETE"
    assert f"answer for {stream} is not the list" in output.text
    assert "system_error" in {error["failure_type"] for error in output.errors}


@pytest.mark.parametrize("stream", LISTS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"data": {}}', b'"Too Many Requests"'])
def test_what_is_no_list_fails_its_stream(
    read: Read, config: dict[str, Any], amplitude: Emulator, stream: str, body: bytes
) -> None:
    amplitude.faults.append(Fault(PATHS[stream], replace=lambda _: body, times=None))

    output = read(config, stream)

    assert output.records(stream) == []
    assert f"answer for {stream} is not the list" in output.text


@pytest.mark.parametrize("stream", LISTS)
def test_an_empty_list_is_an_empty_table(
    read: Read, config: dict[str, Any], amplitude: Emulator, stream: str
) -> None:
    answer(amplitude, stream, [])

    output = read(config, stream)

    assert output.statuses(stream)[-1] == "COMPLETE"
    assert output.records(stream) == []


def test_advice_on_grouping_is_given_to_streams_that_group_alone(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    error = {"message": "Invalid", "metadata": {"details": "Invalid user property country"}}
    body = json.dumps({"error": error}).encode()
    for path in ("/api/3/annotations", "/api/2/users"):
        amplitude.faults.append(Fault(path, status=400, body=body, times=None))

    grouped, annotations = (read(config, name) for name in ("active_users", "annotations"))

    assert "turn off `active_users_group_by_country`" in grouped.text
    assert "Invalid user property country" in annotations.text
    assert "active_users_group_by_country" not in annotations.text
