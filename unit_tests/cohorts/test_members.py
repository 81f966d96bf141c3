"""Members of cohorts: the job, the file in every form that it may come in, and its rows."""

import csv
import errno
import gzip
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor

from emulator import Emulator, Fault, Project, cohorts
from emulator.messages import Request, Response
from unit_tests.conftest import Clock, Read, Run
from unit_tests.support.protocol import Output, config_for, error_body

FIRST, SECOND = "p81xq0z", "zz7a1b2"
HEADER = b'"amplitude_id","user_id"\n'
ROWS = b'"amplitude_id","user_id","plan"\n"1","","team"\n"2","ana",""\n'
READ = [
    {"cohort_id": FIRST, "amplitude_id": 1, "user_id": None, "properties": {"plan": "team"}},
    {"cohort_id": FIRST, "amplitude_id": 2, "user_id": "ana", "properties": {"plan": None}},
]

REFUSALS = [400, 404, 405, 409, 410, 413, 422, 451]
"""Statuses of 4xx that may concern one cohort: not those of keys, plan, proxy, time-out and limits."""

Change = Callable[[Request, Response], None]


@pytest.fixture
def config(amplitude: Emulator) -> dict[str, Any]:
    """One cohort alone."""
    return config_for(amplitude, cohort_ids=[FIRST])


def change(amplitude: Emulator, *parts: str, times: int = 1_000) -> Callable[[Change], None]:
    """Have responses changed whose path has all `parts`."""
    original = amplitude.respond
    left = iter(range(times))

    def with_change(apply: Change) -> None:
        def respond(request: Request, fault: Fault | None, over_limit: bool) -> Response:
            response = original(request, fault, over_limit)
            if all(part in request.path for part in parts) and next(left, None) is not None:
                apply(request, response)
            return response

        amplitude.respond = respond  # type: ignore[method-assign]

    return with_change


def serve(amplitude: Emulator, *bodies: bytes, **headers: str) -> None:
    """Have the file served with other bodies, one after another and the last from then on."""
    remaining = list(bodies)

    def replace(_: Request, response: Response) -> None:
        response.body = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        response.headers = {**response.headers, "Content-Encoding": "", **headers}

    change(amplitude, "/signed/")(replace)


def members(output: Output) -> list[dict[str, Any]]:
    """The members that were read, without the time at which their cohort was computed."""
    # The CDK's own serializer leaves out what is null.
    rows = [{"user_id": None, **row} for row in output.records("cohort_members")]
    return [{name: row[name] for name in row if name != "computed_at"} for row in rows]


def table(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def paths(amplitude: Emulator) -> list[str]:
    return [request.path for request in amplitude.requests]


# -- the way of a cohort ---------------------------------------------------------------------------


def test_the_members_of_the_named_cohorts_are_read_a_row_each(
    read: Read, amplitude: Emulator
) -> None:
    output = read(config_for(amplitude), "cohort_members")

    records = members(output)
    assert output.statuses("cohort_members")[-1] == "COMPLETE"
    assert {row["cohort_id"] for row in records} == {FIRST, SECOND}
    assert len(records) == 120 + 240
    assert [row for row in records if row["cohort_id"] == FIRST][:2] == [
        {
            "cohort_id": FIRST,
            "amplitude_id": 731_550_000_000,
            "user_id": None,
            "properties": {"plan": "team, yearly"},
        },
        {
            "cohort_id": FIRST,
            "amplitude_id": 731_550_000_001,
            "user_id": "user-1@example.com",
            "properties": {"plan": "team, yearly"},
        },
    ]
    created = [
        r for r in amplitude.requests if r.path.startswith(f"/api/5/cohorts/request/{FIRST}")
    ]
    assert [request.query.get("props") for request in created] == [["1"]]


def test_properties_are_left_out_when_their_option_is_off(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    output = read({**config, "cohort_member_properties": False}, "cohort_members")

    (created,) = [r for r in amplitude.requests if r.path == f"/api/5/cohorts/request/{FIRST}"]
    assert created.query == {"props": ["0"]}
    assert {json.dumps(row["properties"]) for row in members(output)} == {"{}"}


def test_a_cohort_without_members_is_an_empty_table_and_no_error(
    read: Read, config: dict[str, Any]
) -> None:
    output = read({**config, "cohort_ids": ["k3v9t2a"]}, "cohort_members")

    assert output.statuses("cohort_members")[-1] == "COMPLETE"
    assert members(output) == []


@pytest.mark.parametrize("ids", [[], None])
def test_no_cohort_is_downloaded_unless_it_is_named(
    run: Run, config: dict[str, Any], amplitude: Emulator, ids: Any
) -> None:
    output = run("read", {**config, "cohort_ids": ids}, ("cohort_members",))

    assert output.error is None
    assert amplitude.requests == []


def test_the_keys_are_not_sent_on_to_the_host_that_keeps_the_file(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    read(config, "cohort_members")

    signed = [r for r in amplitude.requests if r.path.startswith("/signed/")]
    assert [(request.status, request.authorization) for request in signed] == [(200, None)]


def test_seven_cohorts_keep_within_four_jobs_at_once(
    read: Read, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seven = [{**cohorts.make_cohorts(1)[1], "id": f"cohort{n}"} for n in range(7)]
    monkeypatch.setattr(cohorts, "make_cohorts", lambda _: seven)
    with Emulator(project) as amplitude:
        ids = [str(cohort["id"]) for cohort in seven]
        output = read(config_for(amplitude, cohort_ids=ids), "cohort_members")

    assert len(members(output)) == 7 * 120
    assert 429 not in {request.status for request in amplitude.requests}


# -- the job ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["JOB QUEUED", "running", "", "Bitte warten", "IN PROGRESS"])
def test_a_status_that_is_not_known_is_a_job_at_work(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock, status: str
) -> None:
    amplitude.project.cohorts.status = status

    output = read(config, "cohort_members")

    assert len(members(output)) == 120
    assert [pause for pause in clock.slept if pause >= 1] == [1, 2]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b"", b'{"async_status": null}'])
def test_a_status_without_its_word_is_a_job_at_work(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock, body: bytes
) -> None:
    @change(amplitude, "/request-status/", times=3)
    def _(request: Request, response: Response) -> None:
        response.body, response.status = body, 200

    output = read(config, "cohort_members")

    assert len(members(output)) == 120
    assert [pause for pause in clock.slept if pause >= 1] == [1, 2, 3, 5]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_status_fails_its_cohort_at_once(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock, status: int
) -> None:
    @change(amplitude, "/request-status/")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = error_body("Gone", "No such request"), status

    output = read(config, "cohort_members")

    assert members(output) == []
    assert len([path for path in paths(amplitude) if "request-status" in path]) == 1
    assert "system_error" in {error["failure_type"] for error in output.errors}
    assert (
        f"does not return the status of the job for the members of the cohort {FIRST!r}"
        in output.text
    )
    assert "Gone (No such request)" in output.text


def test_a_job_that_never_ends_is_given_up_after_ninety_minutes_with_signs_of_life(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    @change(amplitude, "/request-status/")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = b'{"async_status": "JOB INPROGRESS"}', 202

    output = read(config, "cohort_members")

    pauses = [pause for pause in clock.slept if pause >= 1]
    assert pauses[:8] == [1, 2, 3, 5, 10, 20, 30, 60]
    assert 89 * 60 <= sum(pauses) <= 91 * 60
    assert len([line for line in output.logs if "so far" in line]) == len(pauses)
    assert len([path for path in paths(amplitude) if "request/" in path]) == 1
    error = next(
        e for e in output.errors if f"the members of the cohort {FIRST!r} within" in e["message"]
    )
    assert error["failure_type"] == "transient_error"
    assert "`cohort_member_properties`" in error["message"]


def test_a_job_that_fails_is_not_asked_for_again_in_the_same_sync(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    @change(amplitude, "/request-status/")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = b'{"async_status": "JOB FAILED"}', 200

    output = read(config, "cohort_members")

    assert len([path for path in paths(amplitude) if "/request/" in path]) == 1
    assert f"could not write the members of the cohort {FIRST!r}" in output.text


@pytest.mark.parametrize("status", [200, 202])
def test_the_creations_request_id_serves_for_all_that_follows(
    read: Read, config: dict[str, Any], amplitude: Emulator, status: int
) -> None:
    @change(amplitude, f"/request/{FIRST}")
    def _(request: Request, response: Response) -> None:
        response.status = status

    @change(amplitude, "/request-status/")
    def _(request: Request, response: Response) -> None:
        body = json.loads(response.body)
        response.body = json.dumps({"async_status": body["async_status"]}).encode()

    assert len(members(read(config, "cohort_members"))) == 120


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b'{"request_id": null}', b"<html>"])
def test_a_job_without_a_request_id_names_its_cohort(
    read: Read, config: dict[str, Any], amplitude: Emulator, body: bytes
) -> None:
    @change(amplitude, f"/request/{FIRST}")
    def _(request: Request, response: Response) -> None:
        response.body = body

    output = read(config, "cohort_members")

    assert f"the cohort {FIRST!r} (202) does not have a `request_id`" in output.text


@pytest.mark.parametrize("status", [400, 404])
def test_an_id_that_does_not_exist_is_named_once_and_the_others_are_read(
    read: Read, amplitude: Emulator, status: int
) -> None:
    body = error_body("Unspecified Error", "No such cohort")
    for name in ("nobody", "nothing"):
        amplitude.faults.append(
            Fault(f"/api/5/cohorts/request/{name}", status=status, body=body, times=None)
        )
    ids = ["nobody", FIRST, "nothing", SECOND]

    output = read(config_for(amplitude, cohort_ids=ids), "cohort_members")

    assert {row["cohort_id"] for row in members(output)} == {FIRST, SECOND}
    assert len(members(output)) == 120 + 240
    assert output.statuses("cohort_members")[-1] == "INCOMPLETE"
    assert sorted(path for path in paths(amplitude) if "/no" in path) == [
        "/api/5/cohorts/request/nobody",
        "/api/5/cohorts/request/nothing",
    ]
    for name in ("nobody", "nothing"):
        errors = [e for e in output.errors if f"does not know the cohort {name!r}" in e["message"]]
        assert [error["failure_type"] for error in errors] == ["config_error"]
        assert "`cohort_ids`" in errors[0]["message"]
        assert "No such cohort" in errors[0]["message"]


@pytest.mark.parametrize("status", sorted({*REFUSALS} - {400, 404, 413}))
def test_a_cohort_that_is_refused_otherwise_is_named_once_and_the_others_are_read(
    read: Read, amplitude: Emulator, status: int
) -> None:
    path, body = f"/api/5/cohorts/request/{FIRST}", error_body("No", "Not this one")
    amplitude.faults.append(Fault(path, status=status, body=body, times=None))

    output = read(config_for(amplitude), "cohort_members")

    assert {row["cohort_id"] for row in members(output)} == {SECOND}
    assert paths(amplitude).count(path) == 1
    message = f"request for cohort_members of the cohort {FIRST!r} ({status}: No (Not this one)). "
    errors = [error for error in output.errors if message in error["message"]]
    assert [error["failure_type"] for error in errors] == ["system_error"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Amplitude refused the keys for cohort_members"),
        (403, "Amplitude does not let this project read cohort_members"),
        (407, "The proxy between this machine and Amplitude asks for a user and a password"),
    ],
)
@pytest.mark.parametrize("path", [f"/request/{FIRST}", "/request-status/", "/file"])
def test_a_refusal_of_the_project_is_not_an_error_of_one_cohort(
    read: Read, config: dict[str, Any], amplitude: Emulator, path: str, status: int, message: str
) -> None:
    @change(amplitude, path)
    def _(request: Request, response: Response) -> None:
        response.body, response.status, response.headers = error_body("No"), status, {}

    output = read(config, "cohort_members")

    errors = [error for error in output.errors if message in error["message"]]
    assert [error["failure_type"] for error in errors] == ["config_error"]
    assert FIRST not in errors[0]["message"]


def test_no_status_is_reported_of_a_stream_that_no_catalog_has(
    read: Read, config: dict[str, Any], amplitude: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    body = error_body("Unspecified Error", "Too Many Requests: Exceeded rate limit")
    amplitude.faults.append(Fault(f"/api/5/cohorts/request/{FIRST}", status=429, body=body))

    output = read(config, "cohort_members")

    assert len(members(output)) == 120
    assert "job creation" not in output.text + capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "status", "body", "headers"),
    [
        ("/request-status/", 200, b'{"async_status": "JOB INPROGRESS"}', {}),
        ("/request-status/", 429, error_body("Exceeded hourly rate limit"), {}),
        ("/cohorts/request/", 429, error_body("Exceeded hourly rate limit"), {}),
        ("/cohorts/request/", 429, b"", {"Retry-After": "86400"}),
        ("/cohorts/request/", 503, b"", {"Retry-After": "3000"}),
        ("/file", 429, error_body("Exceeded hourly rate limit"), {}),
        ("/signed/", 403, b"", {}),
    ],
)
def test_no_wait_for_cohorts_is_longer_than_the_metadata_promises(
    read: Read,
    amplitude: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    @change(amplitude, path)
    def _(request: Request, response: Response) -> None:
        response.status, response.body, response.headers = status, body, headers

    moments = [time.time()]
    emit = ConcurrentPerPartitionCursor._emit_state_message

    def noted(cursor: Any, *arguments: Any, **more: Any) -> None:
        moments.append(time.time())
        emit(cursor, *arguments, **more)

    monkeypatch.setattr(ConcurrentPerPartitionCursor, "_emit_state_message", noted)
    output = read(config_for(amplitude, cohort_ids=[FIRST, SECOND, "k3v9t2a"]), "cohort_members")

    metadata = yaml.safe_load(Path("metadata.yaml").read_text())
    moments.append(time.time())
    silences = [later - earlier for earlier, later in pairwise(moments)]
    assert len(silences) >= 4
    assert max(silences) < metadata["data"]["maxSecondsBetweenMessages"]
    assert output.statuses("cohort_members")[-1] == "INCOMPLETE"
    assert all("cohort" in error["message"] for error in output.errors)


def test_a_limit_that_needs_longer_than_a_cohort_may_take_is_said_at_once(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    limit = {"Retry-After": "86400"}  # `urllib3` takes it for six hours
    amplitude.faults.append(
        Fault(f"/api/5/cohorts/request/{FIRST}", status=429, headers=limit, times=None)
    )

    output = read(config, "cohort_members")

    (error,) = [e for e in output.errors if "would have to wait 21,600 s" in e["message"]]
    assert error["failure_type"] == "transient_error"
    assert max(clock.slept, default=0) < 10


@pytest.mark.parametrize("body", [b"", error_body("Too large")])
def test_a_cohort_that_is_too_large_is_named_with_its_options(
    read: Read, amplitude: Emulator, body: bytes
) -> None:
    path = f"/api/5/cohorts/request/{FIRST}"
    amplitude.faults.append(Fault(path, status=413, body=body, times=None))

    output = read(config_for(amplitude), "cohort_members")

    assert {row["cohort_id"] for row in members(output)} == {SECOND}
    (error,) = [e for e in output.errors if f"The cohort {FIRST!r}" in e["message"]]
    assert error["failure_type"] == "config_error"
    assert "`cohort_member_properties`" in error["message"]


# -- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["gzip", "unlabelled", "plain"])
def test_the_file_is_read_in_gzip_with_and_without_its_label_and_plain(
    read: Read, config: dict[str, Any], amplitude: Emulator, form: Any
) -> None:
    amplitude.project.cohorts.files = form

    assert len(members(read(config, "cohort_members"))) == 120


def test_a_plain_file_with_the_label_of_gzip_is_read(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, ROWS, **{"Content-Encoding": "gzip"})

    assert members(read(config, "cohort_members")) == READ


def test_several_gzip_streams_are_one_file(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, gzip.compress(ROWS[:40]) + gzip.compress(ROWS[40:]))

    assert members(read(config, "cohort_members")) == READ


def test_the_file_may_come_inline_without_a_redirect(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    @change(amplitude, "/file")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = gzip.compress(ROWS), 200
        response.headers = {"Content-Encoding": "gzip"}

    assert members(read(config, "cohort_members")) == READ


@pytest.mark.parametrize(
    "broken",
    [b"", gzip.compress(ROWS)[:-9], gzip.compress(b""), b"\x1f\x8b\x08junk"],
    ids=["empty", "gzip cut short", "gzip of nothing", "damaged gzip"],
)
def test_a_file_that_is_not_whole_is_downloaded_again(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock, broken: bytes
) -> None:
    serve(amplitude, broken, broken, ROWS)

    output = read(config, "cohort_members")

    assert members(output) == READ
    assert [path.rpartition("/")[2] for path in paths(amplitude)].count("file") == 3
    assert [pause for pause in clock.slept if pause >= 1] == [1, 2, 10, 20]


@pytest.mark.parametrize(
    "broken",
    [b"", gzip.compress(ROWS)[:-9], gzip.compress(b"")],
    ids=["empty", "gzip cut short", "gzip of nothing"],
)
def test_a_file_that_is_never_whole_is_an_error_and_no_empty_table(
    read: Read, config: dict[str, Any], amplitude: Emulator, broken: bytes
) -> None:
    serve(amplitude, broken)

    output = read(config, "cohort_members")

    assert members(output) == []
    assert output.statuses("cohort_members")[-1] == "INCOMPLETE"
    error = next(
        e for e in output.errors if "could not be downloaded in 5 attempts" in e["message"]
    )
    assert f"the cohort {FIRST!r}" in error["message"]
    assert error["failure_type"] == "transient_error"


@pytest.mark.parametrize("kind", ["cut", "cut_chunked", "close"])
def test_a_download_that_breaks_off_is_started_again_and_no_row_is_repeated(
    read: Read, config: dict[str, Any], amplitude: Emulator, kind: str
) -> None:
    begin = amplitude.begin
    left = iter([Fault(kind=kind)])

    def broken(request: Request) -> tuple[Fault | None, bool]:
        fault, over_limit = begin(request)
        return (next(left, fault) if "/signed/" in request.path else fault), over_limit

    amplitude.begin = broken  # type: ignore[method-assign]

    output = read(config, "cohort_members")

    assert [row["amplitude_id"] for row in members(output)] == [
        731_550_000_000 + n for n in range(120)
    ]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("rows", [2, 20_000], ids=["at its end", "within it"])
def test_a_file_that_the_disk_does_not_take_is_named_with_the_folder_and_the_way_out(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
    rows: int,
    components: Any,
) -> None:
    class Full(io.FileIO):
        def write(self, _data: Any) -> int:
            raise OSError(code, os.strerror(code))

    def full(**_: Any) -> IO[bytes]:
        return io.BufferedRandom(Full(tmp_path / "file", "w+"))

    serve(amplitude, table([["amplitude_id", "user_id"], *([["1", "a"]] * rows)]))
    monkeypatch.setattr(components, "TemporaryFile", full)

    output = read(config, "cohort_members")

    assert {error["failure_type"] for error in output.errors} == {"config_error"}
    assert f"({os.strerror(code)})" in output.errors[0]["message"]
    for words in ("the cohort 'p81xq0z'", "TMPDIR", tempfile.gettempdir()):
        assert words in output.errors[0]["message"]
    assert members(output) == []


def test_a_folder_that_takes_no_file_of_members_is_named(
    read: Read, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, components: Any
) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(components, "TemporaryFile", refuse)

    output = read(config, "cohort_members")

    assert "Cannot create a file in the folder for temporary files" in output.errors[0]["message"]


def test_the_time_of_a_response_is_utc_wherever_the_machine_stands(
    read: Read, config: dict[str, Any], amplitude: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_zone(_: Request, response: Response) -> None:
        response.headers = {**response.headers, "Date": "Wed, 03 Jan 2024 12:31:00 -0000"}

    change(amplitude, "/5/cohorts/request")(without_zone)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        output = read(config, "cohort_members")
    time.tzset()

    assert output.error is None
    computed = datetime.fromtimestamp(amplitude.project.computed[FIRST], timezone.utc)
    moments = {row["computed_at"] for row in output.records("cohort_members")}
    assert moments == {f"{computed:%Y-%m-%dT%H:%M:%SZ}"}


@pytest.mark.parametrize("sent", ["", "soon"])
def test_a_job_without_a_date_of_use_is_dated_by_this_clock(
    read: Read, config: dict[str, Any], amplitude: Emulator, sent: str
) -> None:
    amplitude.faults.append(
        Fault(
            "/api/5/cohorts/request/p81xq0z",
            headers={"Date": sent},
            replace=lambda b: b,
            times=None,
        )
    )

    output = read(config, "cohort_members")

    assert output.error is None
    assert {row["cohort_id"] for row in members(output)} >= {"p81xq0z"}


def test_a_plain_file_without_a_length_that_ends_within_a_line_is_downloaded_again(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, ROWS[:-3], ROWS, **{"Content-Length": "", "Connection": "close"})

    assert members(read(config, "cohort_members")) == READ


def test_a_last_line_may_lack_its_end_where_the_length_says_that_it_is_whole(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, ROWS.rstrip(b"\n"))

    assert members(read(config, "cohort_members")) == READ


def test_a_link_that_is_refused_is_asked_for_anew(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    @change(amplitude, "/signed/", times=2)
    def _(request: Request, response: Response) -> None:
        response.body, response.status = b"<Error><Code>AccessDenied</Code></Error>", 403

    assert len(members(read(config, "cohort_members"))) == 120


def test_a_refusal_of_the_host_of_files_is_said_to_be_its_own(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    @change(amplitude, "/signed/")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = b"<Error><Code>AccessDenied</Code></Error>", 403

    output = read(config, "cohort_members")

    assert "the file server refused the download link (403)" in output.text
    assert "plan" not in next(e["message"] for e in output.errors if "refused" in e["message"])
    assert "AccessDenied" not in output.text


@pytest.mark.parametrize("status", REFUSALS)
def test_a_file_that_amplitude_does_not_return_names_its_cohort(
    read: Read, config: dict[str, Any], amplitude: Emulator, status: int
) -> None:
    @change(amplitude, "/file")
    def _(request: Request, response: Response) -> None:
        response.body, response.status = error_body("No", "Link expired"), status
        response.headers = {}

    output = read(config, "cohort_members")

    assert "system_error" in {error["failure_type"] for error in output.errors}
    assert f"does not return the file with the members of the cohort {FIRST!r}" in output.text
    assert "No (Link expired)" in output.text


# -- the rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<html>One moment</html>\n<p>\n",
        b"user_id\nana\n",
        b"amplitude_id\nx\n",
        b"amplitude_id,user_id\n1\n",
        b"amplitude_id,user_id\n1,a,b\n",
        b"amplitude_id,user_id\n,a\n",
        b'amplitude_id,user_id\n1,"a\n',
        b'amplitude_id,user_id\n1,"a"b\n',
        b"amplitude_id\n1\x00\n",
        b"\n",
    ],
)
def test_a_file_that_is_no_table_of_members_fails_the_stream_and_shows_nothing_of_it(
    read: Read, config: dict[str, Any], amplitude: Emulator, body: bytes
) -> None:
    serve(amplitude, body)

    output = read(config, "cohort_members")

    assert output.statuses("cohort_members")[-1] == "INCOMPLETE"
    assert members(output) == []
    message = next(
        e["message"] for e in output.errors if "number as `amplitude_id`" in e["message"]
    )
    assert f"the cohort {FIRST!r}" in message
    assert "One moment" not in output.text


def test_bytes_that_are_no_utf_8_are_replaced_and_counted_and_never_shown(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, HEADER + b'"1","J\xf6rg"\n"2","ana"\n"3","\xff"\n')

    output = read(config, "cohort_members")

    assert [row["user_id"] for row in members(output)] == ["J\ufffdrg", "ana", "\ufffd"]
    warnings = [line for line in output.logs if "invalid UTF-8" in line]
    assert len(warnings) == 1
    assert "in 2 lines" in warnings[0]
    assert "ana" not in "".join(output.logs)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf" + ROWS, READ),
        (ROWS.replace(b'"1"', b'" 1 "'), READ),
        (ROWS.replace(b'"amplitude_id"', b'" amplitude_id "'), READ),
        (ROWS.replace(b"\n", b"\r\n"), READ),
        (ROWS.replace(b'"', b""), READ),
        (ROWS + b"\n\n", READ),
        (b"plan,user_id,amplitude_id\nteam,,1\n,ana,2\n", READ),
    ],
    ids=["BOM", "blanks", "blanks in the header", "CRLF", "no quotes", "blank lines", "order"],
)
def test_a_file_of_another_form_gives_the_same_members(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    body: bytes,
    expected: list[dict[str, Any]],
) -> None:
    serve(amplitude, body)

    assert members(read(config, "cohort_members")) == expected


def test_cells_may_be_long_and_hold_quotes_commas_and_line_ends(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    cells = ["x" * 200_000, 'a "quoted", b', "two\nlines", "\u2028", "[1, 2]", "NULL", " "]
    serve(amplitude, table([["amplitude_id", "user_id", "plan"], *(["1", "", c] for c in cells)]))

    records = members(read(config, "cohort_members"))

    assert [row["properties"]["plan"] for row in records] == cells


@pytest.mark.parametrize(
    ("header", "row", "user_id", "properties"),
    [
        ("amplitude_id,user_id,plan,plan", "1,a,x,y", "a", {"plan": "x", "plan_2": "y"}),
        (
            "amplitude_id,user_id,plan,plan,plan_2,plan",
            "1,a,x,y,z,w",
            "a",
            {"plan": "x", "plan_2": "y", "plan_2_2": "z", "plan_3": "w"},
        ),
        ("amplitude_id,user_id,user_id", "1,a,b", "a", {"user_id": "b"}),
        ("amplitude_id,user_id,amplitude_id,plan", "1,a,1,x", "a", {"plan": "x"}),
        ("amplitude_id,user_id,amplitude_id", "1,a,2", "a", {"amplitude_id": "2"}),
        ("amplitude_id,cohort_id,", "1,a,b", None, {"cohort_id": "a", "": "b"}),
    ],
)
def test_no_column_overwrites_another_of_its_name(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    header: str,
    row: str,
    user_id: str | None,
    properties: dict[str, str],
) -> None:
    serve(amplitude, f"{header}\n{row}\n".encode())

    output = read(config, "cohort_members")

    assert members(output) == [
        {"cohort_id": FIRST, "amplitude_id": 1, "user_id": user_id, "properties": properties}
    ]
    renamed = any("_2" in name for name in properties)
    assert any("whose name occurs before" in line for line in output.logs) is renamed


def test_ids_are_exact_however_long(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    serve(amplitude, HEADER + b'"9223372036854775807",""\n"1000000000000000000001",""\n')

    records = members(read(config, "cohort_members"))

    assert [row["amplitude_id"] for row in records] == [2**63 - 1, 10**21 + 1]
