"""The connector as a process: what it says last, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Fault
from source_amplitude.process.run import OUTPUT_FAILED
from unit_tests.conftest import NOW, Run
from unit_tests.support.protocol import Output, answer, catalog, error_body, options

Start = Callable[..., "subprocess.Popen[str]"]
RESULTS = {"spec": "SPEC", "check": "CONNECTION_STATUS", "discover": "CATALOG"}


@pytest.fixture
def start(tmp_path: Path, amplitude: Emulator) -> Start:
    """Start a command of the connector as a process of its own, with the time of this machine."""
    amplitude.project.now = lambda: NOW + timedelta(days=900)

    def start(
        command: str,
        config: dict[str, Any],
        *streams: str,
        stdout: Any = subprocess.PIPE,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        files = {"config": config, "catalog": catalog(*streams)}
        needed = {"spec": (), "read": files}.get(command, ("config",))
        line = options(tmp_path, **{name: files[name] for name in needed})
        arguments = [sys.executable, "-m", "source_amplitude", command, *line]
        return subprocess.Popen(
            arguments,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **environment},
        )

    return start


def finish(process: "subprocess.Popen[str]") -> tuple[Output, int, str]:
    printed, complaints = process.communicate()
    output = Output([json.loads(line) for line in printed.split("\n") if line])
    return output, process.returncode, complaints


def fatal(output: Output) -> list[Any]:
    logs = [message["log"] for message in output.messages if message["type"] == "LOG"]
    return [log for log in logs if log["level"] == "FATAL"]


# -- the last words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            Fault(path="/api/3/cohorts", status=403, body=error_body("Not in plan"), times=None),
            "config_error",
            "Amplitude does not let this project read cohorts",
        ),
        (
            Fault(path="/api/3/cohorts", status=400, times=None),
            "system_error",
            "Amplitude rejected the request for cohorts",
        ),
        (
            Fault(path="/api/3/cohorts", replace=lambda _: b"{}", times=None),
            "system_error",
            "Amplitude's answer for cohorts is not the list",
        ),
    ],
    ids=["403", "400", "no list"],
)
def test_a_failed_sync_ends_with_its_streams_own_sentence_said_once(
    start: Start, config: dict[str, Any], amplitude: Emulator, fault: Fault, kind: str, words: str
) -> None:
    amplitude.faults.append(fault)

    output, code, complaints = finish(start("read", config, "cohorts", "annotations"))

    (error,) = output.errors
    assert error["message"].startswith(words)
    assert error["failure_type"] == kind
    assert error["stream_descriptor"]["name"] == "cohorts"
    assert fatal(output) == []
    assert output.records("annotations")
    assert (code, complaints) == (1, "")


def test_requests_in_flight_that_fail_alike_are_one_failure_of_each_stream(
    run: Run, config: dict[str, Any]
) -> None:
    output = run("read", {**config, "secret_key": "another"}, ("events", "cohorts"))

    streams = [error["stream_descriptor"]["name"] for error in output.errors]
    assert sorted(streams) == ["cohorts", "events"]
    assert all("refused the keys" in error["message"] for error in output.errors)


@pytest.mark.parametrize("command", ["discover", "read"])
def test_a_config_that_cannot_work_is_said_once_and_last(
    start: Start, config: dict[str, Any], command: str
) -> None:
    output, code, complaints = finish(start(command, {**config, "lookback_hours": -1}, "cohorts"))

    (error,) = output.errors
    assert output.messages[-1]["trace"]["error"] == error
    assert error["message"].startswith("`lookback_hours` must be a whole number")
    assert error["failure_type"] == "config_error"
    assert fatal(output) == []
    assert (code, complaints) == (1, "")


@pytest.mark.parametrize("content", ["{", '["a list"]'])
def test_a_check_ends_with_a_status_whatever_its_config_file_holds(
    start: Start, config: dict[str, Any], tmp_path: Path, content: str
) -> None:
    process = start("spec", config)
    process.communicate()
    (tmp_path / "config.json").write_text(content)

    done = subprocess.run(
        [sys.executable, "-m", "source_amplitude", "check", f"--config={tmp_path}/config.json"],
        capture_output=True,
        text=True,
        check=True,
    )

    status = json.loads(done.stdout.split("\n")[-2])["connectionStatus"]
    assert status["status"] == "FAILED"
    assert "Cannot read a file given on the command line" in status["message"]


def test_streams_that_are_not_in_the_manifest_are_an_error_that_names_them(
    run: Run, config: dict[str, Any], start: Start
) -> None:
    alone, code, _ = finish(start("read", config, "chorts"))
    output = run("read", config, ("chorts", "annotations", "old"))

    (error,) = alone.errors
    assert error["message"] == (
        "The catalog has streams that this source does not have: chorts. Refresh the connection's schema,"
        " or deselect them."
    )
    assert error["failure_type"] == "config_error"
    assert code == 1
    assert output.records("annotations")
    assert output.error is not None
    assert "does not have: chorts, old." in str(output.error.message)


def test_a_sync_with_a_failed_and_an_unknown_stream_says_both(
    start: Start, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(
        Fault(path="/api/3/cohorts", status=403, body=error_body("Not in plan"), times=None)
    )

    output, code, _ = finish(start("read", config, "cohorts", "chorts"))

    first, second = output.errors
    assert "does not let this project read cohorts" in first["message"]
    assert "chorts" in second["message"]
    assert code == 1


# -- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", RESULTS)
def test_a_command_is_done_when_its_result_is_out_and_no_signal_makes_it_fail(
    start: Start, config: dict[str, Any], command: str
) -> None:
    process = start(command, config)
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["type"] == RESULTS[command]:
            break
    process.send_signal(signal.SIGTERM)

    assert process.stdout.read() == ""
    assert finish(process)[1:] == (0, "")


def test_a_read_whose_reader_has_had_enough_ends_without_a_word(
    start: Start, config: dict[str, Any]
) -> None:
    process = start("read", config, "events", "cohorts")
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait() == 128 + signal.SIGPIPE
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_read_that_waits_at_once_and_quietly(
    start: Start, config: dict[str, Any], amplitude: Emulator, number: signal.Signals
) -> None:
    amplitude.faults.append(Fault(path="/api/3/cohorts", status=503, times=None))
    process = start("read", config, "cohorts")
    assert process.stdout
    for line in process.stdout:
        if "again" in line or "Retrying" in line:
            break
    process.send_signal(number)

    assert process.wait(timeout=10) == 128 + number
    assert finish(process)[2] == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_messages_are_utf_8_whatever_the_encoding_of_the_terminal(
    start: Start, config: dict[str, Any], amplitude: Emulator, encoding: str
) -> None:
    answer(amplitude, "annotations", [{"id": 1, "label": "東京"}])

    process = start("read", config, "annotations", PYTHONIOENCODING=encoding, PYTHONUTF8="0")

    output, code, complaints = finish(process)
    assert [record["label"] for record in output.records("annotations")] == ["東京"]
    assert (code, complaints) == (0, "")


@pytest.mark.parametrize("command", ["spec", "read"])
def test_a_full_disk_ends_a_command_at_once_in_one_sentence(
    start: Start, config: dict[str, Any], command: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(command, config, "events", "cohorts", stdout=full)
        _, complaints = process.communicate(timeout=60)

    assert complaints == (
        "Standard output cannot be written to (No space left on device): free some space.\n"
    )
    assert process.returncode == OUTPUT_FAILED


# What process 1 of a container is: no signal has a default action.
CONTAINER = """
import importlib.abc, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Early(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "airbyte_cdk":
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Early())
"""


def test_sigterm_is_heeded_before_the_cdk_is_imported(
    start: Start, config: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(CONTAINER)

    output, code, complaints = finish(start("spec", config, PYTHONPATH=str(tmp_path / "first")))

    assert (output.messages, code, complaints) == ([], 128 + signal.SIGTERM, "")
