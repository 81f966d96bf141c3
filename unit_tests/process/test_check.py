"""The check: three cheap requests, and what it says of keys, plans, limits and networks."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from source_amplitude.process.source import CHECK_STREAMS
from unit_tests.conftest import Clock, Run
from unit_tests.support.protocol import PATHS, config_for, error_body


def test_good_keys_pass_the_check_at_the_cost_of_three_cheap_requests(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    assert run("check", config).connection == ("SUCCEEDED", "")
    paths = sorted(request.path for request in amplitude.requests)
    assert paths == ["/api/2/events/list", "/api/3/annotations", "/api/3/cohorts"]
    assert sum(request.cost for request in amplitude.requests) == 1


def test_the_check_passes_on_the_smallest_plan_and_says_what_is_missing(
    run: Run, project: Project
) -> None:
    with Emulator(project, plan="starter") as amplitude:
        status, message = run("check", config_for(amplitude)).connection

    assert status == "SUCCEEDED"
    assert "annotations" in message
    assert "cohorts" in message


@pytest.mark.parametrize("stream", ["events_list", "annotations", "cohorts"])
@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_the_check_passes_when_one_stream_is_unavailable_and_says_which(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    body = error_body("No", "Not for you")
    amplitude.faults.append(Fault(path=PATHS[stream], status=status, body=body, times=None))

    output = run("check", config)

    result = output.messages[-1]["connectionStatus"]
    assert result["status"] == "SUCCEEDED"
    assert stream in result["message"]
    assert any(stream in line for line in output.logs)


def test_the_check_does_not_depend_on_grouping_by_country(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = error_body("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    assert run("check", config).connection[0] == "SUCCEEDED"


def test_the_check_names_wrong_keys_with_the_region(run: Run, config: dict[str, Any]) -> None:
    status, message = run("check", {**config, "api_key": "another-api-key"}).connection

    assert status == "FAILED"
    assert "Invalid API" in message
    assert "data region" in message


def test_the_check_names_a_host_that_cannot_be_reached_without_waiting(
    run: Run, clock: Clock
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    config = {"api_key": "a-key", "secret_key": "a-secret", "api_url": f"http://127.0.0.1:{port}"}
    status, message = run("check", config).connection

    assert status == "FAILED"
    assert f"cannot be reached at 127.0.0.1:{port}" in message
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(429, "is rate-limiting this project"), (503, "Test again in a few minutes")],
)
def test_the_check_says_what_passes_without_waiting_for_it(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock, status: int, words: str
) -> None:
    body = error_body("Unspecified Error", "Too Many Requests: Exceeded rate limit")
    for stream in CHECK_STREAMS:
        amplitude.faults.append(Fault(PATHS[stream], status=status, body=body, times=None))

    result, message = run("check", config).connection

    assert result == "FAILED"
    assert words in message
    assert clock.slept == []


ODD: dict[str, Callable[[bytes], bytes]] = {
    "no list": lambda _: b'{"data": null}',
    "a page": lambda _: b"<html>",
    "nothing": lambda _: b"",
    "numbers": lambda _: b'{"data": [1], "cohorts": [1]}',
    "nulls": lambda _: b'{"data": [null], "cohorts": [null]}',
    "empty objects": lambda _: b'{"data": [{}], "cohorts": [{}]}',
    "texts": lambda _: b'{"data": ["x"], "cohorts": ["x"]}',
    "no UTF-8": lambda _: b'{"data": [{"id": "\xff"}]}',
}


@pytest.mark.parametrize("oddity", ODD.values(), ids=ODD)
@pytest.mark.parametrize("odd", [CHECK_STREAMS, *((stream,) for stream in CHECK_STREAMS)], ids=str)
def test_a_check_ends_with_a_status_whatever_the_lists_hold(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    odd: tuple[str, ...],
    oddity: Callable[[bytes], bytes],
) -> None:
    for stream in odd:
        amplitude.faults.append(Fault(path=PATHS[stream], replace=oddity, times=None))

    output = run("check", config)

    assert output.error is None
    assert [m["type"] for m in output.messages if m["type"] != "LOG"] == ["CONNECTION_STATUS"]
    if len(odd) == 1:
        assert output.messages[-1]["connectionStatus"]["status"] == "SUCCEEDED"
    assert run("check", config, runtime="manifest").connection[0] in ("SUCCEEDED", "FAILED")
