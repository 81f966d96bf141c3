"""What goes wrong on every stream but the events: what is said of it, and that no table is emptied by it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from unit_tests.conftest import Clock, Run
from unit_tests.support.protocol import (
    DAILY,
    LISTS,
    PATHS,
    STREAMS,
    catalog,
    config_for,
    error_body,
)


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("stream", [name for name in PATHS if name != "charts"])
def test_an_error_is_never_an_empty_table_and_carries_amplitudes_words(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    body = error_body("Not here", "Moved away")
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
        assert f"the request for {stream}" in output.text
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
    assert f"The request for {stream} failed in 7 attempts" in output.text
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
    body = error_body("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    output = run("read", config, ("active_users",))

    error = next(e for e in output.errors if "cannot group active_users by country" in e["message"])
    assert error["failure_type"] == "config_error"
    assert "Invalid user property country" in error["message"]
    assert "`active_users_group_by_country`" in error["message"]


@pytest.mark.parametrize("stream", [*LISTS, "average_session_length"])
def test_a_stream_that_is_not_grouped_gives_no_advice_on_the_grouping(
    run: Run, config: dict[str, Any], amplitude: Emulator, stream: str
) -> None:
    body = error_body("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path=PATHS[stream], status=400, body=body, times=None))

    output = run("read", config, (stream,))

    assert f"rejected the request for {stream} (400" in output.text
    assert "active_users_group_by_country" not in output.text


def test_users_that_are_not_grouped_get_no_advice_on_the_grouping(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = error_body("Invalid chart definition", "Invalid user property country")
    amplitude.faults.append(Fault(path="/api/2/users", status=400, body=body, times=None))

    output = run("read", {**config, "active_users_group_by_country": False}, ("active_users",))

    assert "rejected the request for active_users (400" in output.text
    assert "cannot group" not in output.text


def test_a_secret_key_that_does_not_fit_is_told_from_an_unknown_key(
    run: Run, config: dict[str, Any]
) -> None:
    output = run("read", {**config, "secret_key": "another"}, ("cohorts",))

    said = "(403: Unspecified Error (Invalid API/Secret Key combination)). The secret key does not"
    assert any(said in error["message"] for error in output.errors)
    assert "data region" not in output.text


BODIES: dict[str, bytes] = {
    "a record": error_body("Bad event", '{"user_id": "MARK", "event_type": "paid"}'),
    "an address": error_body("Unknown user MARK@example.com", ""),
    "a key": error_body("Invalid API Key 0123456789abcdefMARK0123456789ab", ""),
    "a header": error_body("", "Authorization: Basic MARKMDAwMDAwMDAwMDAwMDAwMDA6MTIzNDU2Nzg5MA=="),
    "a long text": error_body("MARK " * 100, ""),
    "a long detail": error_body("Bad Request", "MARK " * 100),
    "signs that a terminal obeys": error_body("\x1b[31mMARK", ""),
    "lines": error_body("MARK\nMARK", ""),
    "other letters": error_body("MARK \u202e", ""),
    "half a letter": error_body("MARK \ud83d", ""),
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
    run("read", config, ("cohort_members", "event_properties"), runtime="manifest")

    assert all(fault.times == 0 for fault in amplitude.faults)
    # The CDK prints the status of a rate limit itself, past all other messages.
    assert "RATE_LIMITED" not in capsys.readouterr().out
