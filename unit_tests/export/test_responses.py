"""Responses of the export that are no archive, or a damaged one.

Each in the package and in the manifest alone.
"""

import json
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest

from emulator import Emulator, Fault, Project
from unit_tests.conftest import Clock, Run
from unit_tests.support.events import asked, messages, uuids
from unit_tests.support.protocol import config_for, error_body


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404, body=b"<html>Not found</html>", content_type="text/html"),
        Fault(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>"),
        Fault(status=404),
    ],
    ids=["a page", "S3", "empty"],
)
def test_a_404_that_is_not_amplitudes_is_asked_again_and_is_never_no_data(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, fault: Fault
) -> None:
    amplitude.faults = [fault]
    passed = run("read", config, ("events",), runtime=runtime)
    amplitude.faults = [
        Fault(status=404, body=fault.body, hour="20240102T05", times=None, content_type="text/html")
    ]
    failed = run("read", config, ("events",), runtime=runtime)
    amplitude.faults = []
    healed = run("read", config, ("events",), failed.state, runtime=runtime)

    assert passed.error is None
    assert len(passed.records("events")) == 58 * 3
    assert failed.statuses("events")[-1] == "INCOMPLETE"
    assert "20240102T00 to 20240102T23" in messages(failed)
    assert set(Counter(uuids(failed, healed)).values()) == {1}
    assert len(uuids(failed, healed)) == 58 * 3


def test_a_404_with_other_words_of_amplitude_fails_that_window_with_them(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    body = error_body("Not Found", "The project was archived", http_code=404)
    amplitude.faults = [Fault(status=404, body=body, hour="20240102T05", times=None)]

    output = run("read", config, ("events",), runtime=runtime)

    assert "The project was archived" in messages(output)
    assert len([r for r in amplitude.requests if r.status == 404]) == 1
    assert len(output.records("events")) == 34 * 3


@pytest.mark.parametrize("words", ["RAW DATA FILES WERE NOT FOUND.", "raw data file not found"])
def test_amplitudes_own_404_is_no_data_whatever_its_case_and_envelope(
    run: Run, config: dict[str, Any], amplitude: Emulator, runtime: str, words: str
) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    amplitude.faults = [Fault(status=404, body=body, hour="20240102T05", times=None)]

    output = run("read", config, ("events",), runtime=runtime)

    assert output.error is None
    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=200, body=b'{"error": "Too Many Requests for your plan"}'), "Too Many Req"),
        (Fault(status=200, body=error_body("Slow down", "Exceeded rate limit")), "Slow down"),
        (Fault(status=200, body=b'"Too Many Requests"'), "Too Many Requests"),
        (Fault(status=200, body=b"<html>wait</html>", content_type="text/html"), "a page"),
        (Fault(status=204), "empty"),
        (Fault(status=200, body=b"\xff\xfe secret"), "not a zip"),
    ],
    ids=["text", "envelope", "string", "a page", "204", "bytes"],
)
def test_a_200_that_is_no_archive_is_never_a_matter_of_size(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    runtime: str,
    fault: Fault,
    words: str,
    components: Any,
) -> None:
    fault.times = None
    amplitude.faults = [fault]
    long = {**config, "start_date": "2023-01-01T00:00:00Z"}

    output = run("read", long, ("events",), runtime=runtime)

    assert {end[:8] for _, end in asked(amplitude)} == {start[:8] for start, _ in asked(amplitude)}
    # Windows that were begun before the last of these failed end with their attempts.
    windows = components.FAILED_WINDOWS + components.ExportRetriever.max_archives_on_disk - 1
    assert len(amplitude.requests) <= windows * components.ANSWER_ATTEMPTS
    assert words in messages(output)
    assert "secret" not in output.text
    assert "S3" not in messages(output)
    failure_types = {e["failure_type"] for e in output.errors if "were not read" in e["message"]}
    assert failure_types == {"transient_error"}
    if "rate limit" in str(fault.body):
        assert max(clock.slept) >= 3600
    assert output.states("events")[-1]["server_upload_time"] == "20230101T00"


def test_an_archive_that_is_cut_each_time_shrinks_no_other_window(
    run: Run, config: dict[str, Any], clock: Clock, runtime: str
) -> None:
    with Emulator(Project(start="2024-01-01T00:00:00Z", events_per_hour=1)) as amplitude:
        clock.set(datetime(2024, 4, 30, 3, 30, tzinfo=timezone.utc))
        amplitude.faults = [Fault(kind="cut", hour="20240110T05", times=None)]
        output = run("read", config_for(amplitude), ("events",), runtime=runtime)

        assert "20240110T05 to 20240110T05" in messages(output)
        assert len(amplitude.requests) <= 120 + 3 * 6 + 6
        assert len(output.records("events")) == 120 * 24
