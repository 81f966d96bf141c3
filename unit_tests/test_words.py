"""What goes wrong on every stream but the events: what is said of it, and that no table is emptied by it."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from source_amplitude.source import CHECK_STREAMS
from unit_tests.conftest import DAILY, STREAMS, Clock, Run, catalog, config_for
from unit_tests.test_options import check_by_the_manifest
from unit_tests.test_states import read_by_the_manifest

PATHS = {
    "active_users": "/api/2/users",
    "average_session_length": "/api/2/sessions/average",
    "charts": "/api/3/chart/wk3pl4y/csv",
    "cohorts": "/api/3/cohorts",
    "annotations": "/api/3/annotations",
    "events_list": "/api/2/events/list",
    "new_users": "/api/2/users",
    "average_sessions_per_user": "/api/2/sessions/peruser",
    "session_length_distribution": "/api/2/sessions/length",
    "active_users_by_segment": "/api/2/users",
    "active_users_weekly": "/api/2/users",
    "active_users_monthly": "/api/2/users",
    "event_segmentation": "/api/2/events/segmentation",
    "annotation_categories": "/api/3/annotation-categories",
    "event_types": "/api/2/taxonomy/event",
    "event_categories": "/api/2/taxonomy/category",
    "event_properties": "/api/2/taxonomy/event-property",
    "user_properties": "/api/2/taxonomy/user-property",
    "group_properties": "/api/2/taxonomy/group-property",
    "cohort_members": "/api/5/cohorts/request/p81xq0z",
    "deleted_users": "/api/2/deletions/users",
}
LISTS = [
    name
    for name, (_, cursor) in STREAMS.items()
    if not cursor and name not in ("cohort_members", "charts")
]


def envelope(message: str, details: str) -> bytes:
    return json.dumps({"error": {"message": message, "metadata": {"details": details}}}).encode()


def test_every_stream_but_the_events_has_its_path_here() -> None:
    assert set(PATHS) == set(STREAMS) - {"events"}


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("stream", [name for name in PATHS if name != "charts"])
def test_an_error_is_never_an_empty_table_and_carries_amplitudes_words(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    body = envelope("Not here", "Moved away")
    amplitude.faults.append(Fault(path=PATHS[stream], status=status, body=body, times=None))

    output = run("read", config, (stream,))

    assert output.error is not None
    assert output.statuses(stream)[-1] == "INCOMPLETE"
    assert "Not here (Moved away)" in output.text
    plan_gated = status == 404 and "taxonomy" in PATHS[stream]
    unknown_id = status in (400, 404) and stream == "cohort_members"
    by_option = status == 400 and stream in ("active_users_by_segment", "event_segmentation")
    if by_option:
        assert f"Amplitude refuses {stream}" in output.text
    elif not plan_gated and not unknown_id:
        assert f"could not answer the request for {stream}" in output.text
    kinds = {error.get("failure_type") for error in output.errors}
    assert ("config_error" if plan_gated or unknown_id or by_option else "system_error") in kinds


@pytest.mark.parametrize("stream", PATHS)
def test_keys_that_are_refused_are_said_with_the_hint_to_the_region(
    run: Run, config: dict[str, Any], stream: str
) -> None:
    output = run("read", {**config, "api_key": "of-another-region"}, (stream,))

    assert output.error is not None
    assert "Amplitude refused the keys" in output.text
    assert "Invalid API" in output.text
    assert "key of the other region" in output.text
    assert "of-another-region" not in output.text


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        (
            "growth",
            [
                "event_types",
                "event_categories",
                "event_properties",
                "user_properties",
                "group_properties",
            ],
        ),
        (
            "starter",
            [name for name in PATHS if re.search("cohort|annot|_properties|event_(?!segm)", name)],
        ),
    ],
)
def test_a_small_plan_delivers_the_rest_and_names_what_it_could_not_read(
    run: Run, project: Project, plan: str, refused: list[str]
) -> None:
    with Emulator(project, plan=plan) as amplitude:
        output = run("read", config_for(amplitude))

    for stream in STREAMS:
        complete = stream not in refused
        assert output.statuses(stream)[-1] == ("COMPLETE" if complete else "INCOMPLETE"), stream
        assert bool(output.records(stream)) is complete, stream
    for stream in set(refused) - {"event_properties"}:
        said = [
            e for e in output.errors if f"does not let this project read {stream} " in e["message"]
        ]
        assert said
        assert said[0]["failure_type"] == "config_error"
        assert "its plan may not include it" in said[0]["message"]


@pytest.mark.parametrize("stream", [*DAILY[:1], "cohorts"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_server_is_asked_again(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    amplitude.faults.append(Fault(path=PATHS[stream], status=status, body=b"<html>", times=3))

    output = run("read", config, (stream,))

    assert output.error is None
    assert output.records(stream)


@pytest.mark.parametrize("stream", PATHS)
@pytest.mark.parametrize(
    "fault", [Fault(status=503, times=None), Fault(kind="close", times=None)], ids=["503", "closed"]
)
def test_a_server_that_never_answers_is_transient(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock, stream: str, fault: Fault
) -> None:
    fault = Fault(PATHS[stream], status=fault.status, kind=fault.kind, times=None)
    amplitude.faults.append(fault)

    output = run("read", {**config, "cohort_ids": ["p81xq0z"]}, (stream,))

    assert output.error is not None
    assert f"did not answer for {stream} in 7 attempts" in output.text
    assert "transient_error" in {error.get("failure_type") for error in output.errors}
    waits = [seconds for seconds in clock.slept if seconds > 1]
    assert waits == sorted(waits)


@pytest.mark.parametrize("stream", LISTS)
@pytest.mark.parametrize(
    "body",
    [b"<html>One moment</html>", b"{}", b'{"data": null}', b'{"data": {"a": 1}}', b"", b"null"],
    ids=["a page", "empty", "null", "an object", "nothing", "nil"],
)
def test_a_malformed_list_fails_its_stream(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, body: bytes
) -> None:
    amplitude.faults.append(Fault(path=PATHS[stream], replace=lambda _: body, times=None))

    output = run("read", config, (stream,))

    assert output.error is not None
    assert output.records(stream) == []
    assert any(
        f"answer for {stream} is not the list that its documentation promises" in error["message"]
        for error in output.errors
    )


def test_a_country_that_is_no_property_names_the_option_to_turn_off(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = envelope("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    output = run("read", config, ("active_users",))

    error = next(e for e in output.errors if "cannot group active_users by country" in e["message"])
    assert error["failure_type"] == "config_error"
    assert "Invalid user property country" in error["message"]
    assert "`active_users_group_by_country`" in error["message"]


@pytest.mark.parametrize("stream", [*LISTS, "average_session_length", "deleted_users"])
def test_a_stream_that_is_not_grouped_gives_no_advice_on_the_grouping(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str
) -> None:
    body = envelope("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path=PATHS[stream], status=400, body=body, times=None))

    output = run("read", config, (stream,))

    assert f"could not answer the request for {stream} (400" in output.text
    assert "active_users_group_by_country" not in output.text


def test_users_that_are_not_grouped_get_no_advice_on_the_grouping(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = envelope("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    output = run("read", {**config, "active_users_group_by_country": False}, ("active_users",))

    assert "could not answer the request for active_users (400" in output.text
    assert "cannot group" not in output.text


def test_a_secret_key_that_does_not_fit_is_told_from_an_unknown_key(
    run: Run, config: dict[str, Any]
) -> None:
    output = run("read", {**config, "secret_key": "another"}, ("cohorts",))

    said = "(403: Unspecified Error (Invalid API/Secret Key combination)). The secret key does not"
    assert any(said in error["message"] for error in output.errors)
    assert "data region" not in output.text


BODIES: dict[str, bytes] = {
    "a record": envelope("Bad event", '{"user_id": "MARK", "event_type": "paid"}'),
    "an address": envelope("Unknown user MARK@example.com", ""),
    "a key": envelope("Invalid API Key 0123456789abcdefMARK0123456789ab", ""),
    "a header": envelope("", "Authorization: Basic MARKMDAwMDAwMDAwMDAwMDAwMDA6MTIzNDU2Nzg5MA=="),
    "a long text": envelope("MARK " * 100, ""),
    "a long detail": envelope("Bad Request", "MARK " * 100),
    "signs that a terminal obeys": envelope("\x1b[31mMARK", ""),
    "lines": envelope("MARK\nMARK", ""),
    "other letters": envelope("MARK \u202e", ""),
    "half a letter": envelope("MARK \ud83d", ""),
    "an object": json.dumps({"error": {"message": {"user": "MARK"}}}).encode(),
    "a list": json.dumps({"errors": [["MARK"]]}).encode(),
    "a text": b'"MARK"',
    "a page": b"<html>MARK</html>",
    "other bytes": b"\xff\xfe MARK \x00",
    "a deep body": b"[" * 100_000 + b'"MARK"',
}


@pytest.mark.parametrize("status", [200, 400, 403, 503])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("stream", ["cohorts", "active_users"])
def test_nothing_of_a_body_is_printed_but_a_short_sentence(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, body: bytes, status: int
) -> None:
    amplitude.faults.append(Fault(path=PATHS[stream], status=status, body=body, times=None))

    output = run("read", config, (stream,))

    assert output.statuses(stream)[-1] == "INCOMPLETE"
    assert any(stream in error["message"] for error in output.errors)
    assert "MARK" not in output.text


def test_no_message_and_no_log_holds_a_body_or_a_header(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = b'{"error": {"message": "No"}, "more": "leaked body"}'
    for path in set(PATHS.values()):
        amplitude.faults.append(
            Fault(path=path, status=400, body=body, headers={"X-More": "leaked header"}, times=None)
        )

    for output in (run("read", config), run("check", config)):
        assert "leaked" not in output.text
        assert "Response (body)" not in output.text


def test_the_debug_log_of_a_process_holds_no_body_and_no_header_either(
    config: dict[str, Any], amplitude: Emulator, tmp_path: Path
) -> None:
    files = []
    for name, content in (("config", config), ("catalog", catalog("cohorts"))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        files.append(f"--{name}={tmp_path / name}.json")

    done = subprocess.run(
        [sys.executable, "-m", "source_amplitude", "read", "--debug", *files],
        capture_output=True,
        text=True,
        check=True,
    )

    lines = done.stdout.splitlines()
    said = "\n".join(line for line in lines if '"type":"RECORD"' not in line)
    assert "ana@example.com" in done.stdout
    assert "DEBUG" in said
    for leaked in ("ana@example.com", "Authorization", "Content-Type"):
        assert leaked not in said


def test_no_status_is_of_a_stream_that_the_catalog_has_not(
    run: Run, config: dict[str, Any], amplitude: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (PATHS["cohort_members"], PATHS["event_types"]):
        amplitude.faults.append(Fault(path=path, status=429, times=2))

    run("read", config, ("cohort_members", "event_properties"))
    read_by_the_manifest(config, [], "cohort_members", "event_properties")

    assert all(fault.times == 0 for fault in amplitude.faults)
    # The CDK prints the status of a rate limit itself, past all other messages.
    assert "RATE_LIMITED" not in capsys.readouterr().out


# -- check -----------------------------------------------------------------------------------------


def checked(run: Run, config: dict[str, Any]) -> tuple[str, str]:
    status = run("check", config).messages[-1]["connectionStatus"]
    return status["status"], status.get("message", "")


def test_good_keys_pass_the_check_at_the_cost_of_three_cheap_requests(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    assert checked(run, config) == ("SUCCEEDED", "")
    paths = sorted(request.path for request in amplitude.requests)
    assert paths == ["/api/2/events/list", "/api/3/annotations", "/api/3/cohorts"]
    assert sum(request.cost for request in amplitude.requests) == 1


def test_the_check_passes_on_the_smallest_plan_and_says_what_is_missing(
    run: Run, project: Project
) -> None:
    with Emulator(project, plan="starter") as amplitude:
        status, message = checked(run, config_for(amplitude))

    assert status == "SUCCEEDED"
    assert "annotations" in message
    assert "cohorts" in message


@pytest.mark.parametrize("stream", ["events_list", "annotations", "cohorts"])
@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_the_check_passes_when_one_stream_is_unavailable_and_says_which(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    body = envelope("No", "Not for you")
    amplitude.faults.append(Fault(path=PATHS[stream], status=status, body=body, times=None))

    output = run("check", config)

    result = output.messages[-1]["connectionStatus"]
    assert result["status"] == "SUCCEEDED"
    assert stream in result["message"]
    assert any(stream in line for line in output.logs)


def test_the_check_does_not_depend_on_grouping_by_country(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = envelope("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    assert checked(run, config)[0] == "SUCCEEDED"


def test_the_check_names_wrong_keys_with_the_region(run: Run, config: dict[str, Any]) -> None:
    status, message = checked(run, {**config, "api_key": "another-api-key"})

    assert status == "FAILED"
    assert "Invalid API" in message
    assert "data region" in message


def test_the_check_names_a_host_that_cannot_be_reached_without_waiting(
    run: Run, clock: Clock
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    status, message = checked(
        run, {"api_key": "a-key", "secret_key": "a-secret", "api_url": f"http://127.0.0.1:{port}"}
    )

    assert status == "FAILED"
    assert f"cannot be reached at 127.0.0.1:{port}" in message
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(429, "takes no more requests of this project"), (503, "Test again in a few minutes")],
)
def test_the_check_says_what_passes_without_waiting_for_it(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock, status: int, words: str
) -> None:
    body = envelope("Unspecified Error", "Too Many Requests: Exceeded rate limit")
    for stream in CHECK_STREAMS:
        amplitude.faults.append(Fault(PATHS[stream], status=status, body=body, times=None))

    result, message = checked(run, config)

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
    assert check_by_the_manifest(config)[0] in ("SUCCEEDED", "FAILED")


# -- tables of days --------------------------------------------------------------------------------


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
    body = json.dumps({"data": data}).encode()
    amplitude.faults.append(Fault(path="/api/2/users", replace=lambda _: body, times=None))

    output = run("read", config, ("active_users",))

    assert output.records("active_users") == []
    promised = "is not the table of days that its documentation promises"
    assert any(words in e["message"] and promised in e["message"] for e in output.errors)


def test_labels_may_come_as_the_documentation_has_them(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    data = {"series": [[5], [7]], "seriesMeta": ["US", "DE"], "xValues": ["2024-01-01T00:00:00"]}
    body = json.dumps({"data": data}).encode()
    amplitude.faults.append(Fault(path="/api/2/users", replace=lambda _: body, times=None))

    output = run("read", config, ("active_users",))

    assert output.records("active_users") == [
        {"date": "2024-01-01", "statistics": {"US": 5, "DE": 7}}
    ]
