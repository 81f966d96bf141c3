"""What a response may bring before anything reads it: 1xx, errors of any size, the keys of others."""

import base64
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from emulator import Emulator, Fault
from emulator.messages import parse_hour
from unit_tests.conftest import Clock, Read, Run
from unit_tests.support.archives import archive, lines
from unit_tests.support.events import event, messages, uuids
from unit_tests.support.protocol import error_body


class Hinting(BaseHTTPRequestHandler):
    """Answers each export with an event an hour; every third response comes after one of 103."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        Hinting.count += 1
        if Hinting.count % 3 == 0:
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        query = parse_qs(urlsplit(self.path).query)
        first, last = (parse_hour(query[name][0]) for name in ("start", "end"))
        hours = [first + timedelta(hours=n) for n in range((last - first).seconds // 3600 + 1)]
        body = archive(
            {
                f"1/1_{hour:%Y-%m-%d}_{hour.hour}#0.json.gz": lines(event(f"{hour:%Y%m%dT%H}"))
                for hour in hours
            }
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def hinting() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hinting)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_response_of_1xx_is_not_an_answer_and_its_connection_is_not_used_again(
    read: Read, config: dict[str, Any], hinting: str, clock: Clock
) -> None:
    config = {**config, "api_url": hinting, "request_time_range": 4}

    output = read(config, "events")

    assert output.error is None
    assert len(uuids(output)) == len(set(uuids(output))) == 58
    assert max(clock.slept) <= 40


def test_the_keys_of_another_are_not_sent_after_a_redirect(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    path = "/api/3/cohorts"
    there = {"Location": f"{amplitude.url}{path}"}
    amplitude.faults = [Fault(path=path, status=302, headers=there)]

    output = read(config, "cohorts")

    assert output.error is None
    assert len(output.records("cohorts")) > 0


@pytest.mark.parametrize("streams", [("events",), ("cohorts", "active_users")])
def test_no_log_shows_the_keys_or_their_encoding_in_any_runtime(
    run: Run, config: dict[str, Any], runtime: str, streams: tuple[str, ...], capfd: Any
) -> None:
    pair = base64.b64encode(f"{config['api_key']}:{config['secret_key']}".encode()).decode()

    output = run("read", config, streams, debug=True, runtime=runtime)

    text = output.text + "".join(capfd.readouterr())
    assert output.error is None
    for secret in (pair, config["api_key"], config["secret_key"]):
        assert secret not in text


@pytest.mark.parametrize("status", [403, 404, 500])
@pytest.mark.parametrize("stream", ["events", "cohorts"])
def test_of_an_error_64_kib_are_read(
    read: Read, hour: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    page = b"<html>" + b"x" * 30_000_000
    path = {"events": "/api/2/export", "cohorts": "/api/3/cohorts"}[stream]
    amplitude.faults = [Fault(path=path, status=status, body=page, times=None)]
    tracemalloc.start()
    read(hour, stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # The emulator, in this process, copies the page; read whole, it would be there three times more.
    assert peak < 75_000_000


def test_the_first_bytes_of_a_200_decide_and_the_rest_is_not_downloaded(
    read: Read, hour: dict[str, Any], amplitude: Emulator, components: Any, monkeypatch: Any
) -> None:
    written = []
    monkeypatch.setattr(components, "write_whole", lambda *chunk: written.append(chunk))
    monkeypatch.setattr(components.Space, "write", lambda *chunk: written.append(chunk))
    amplitude.faults = [Fault(status=200, body=b"<html>" + b"x" * 5_000_000, times=None)]

    output = read(hour, "events")

    assert "its body is a page" in messages(output)
    assert written == []


@pytest.mark.parametrize(
    "body",
    [
        b"Raw data files were not found.",
        b'"Raw data files were not found."',
        b"<html><p>Raw data files were not found.</p></html>",
        b'{"message": "Raw data files were not found."}',
    ],
)
def test_amplitudes_word_that_there_are_no_events_counts_wherever_it_stands(
    read: Read, hour: dict[str, Any], amplitude: Emulator, body: bytes, clock: Clock
) -> None:
    amplitude.faults = [Fault(status=404, body=body, times=None, content_type="text/plain")]

    output = read(hour, "events")

    assert output.error is None
    assert len(amplitude.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    "words",
    [
        "Too much data requested. Please narrow the date range.",
        "Invalid start parameter",
        "The format of the argument is wrong",
        "",
    ],
)
def test_any_400_that_is_not_about_the_keys_halves_the_window_and_is_quoted(
    read: Read, config: dict[str, Any], amplitude: Emulator, words: str
) -> None:
    body = error_body(words, http_code=400)
    amplitude.faults = [Fault(status=400, body=body, times=None, only_longer_than=6)]
    halved = read(config, "events")
    amplitude.faults = [Fault(status=400, body=body, times=None)]
    refused = read(config, "events")

    assert halved.error is None
    assert len(set(uuids(halved))) == len(uuids(halved)) == 58 * 3
    assert words in messages(refused)
    assert {e["failure_type"] for e in refused.errors[:1]} == {"transient_error"}


def test_a_400_about_the_keys_ends_the_stream(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    body = error_body("Invalid API key", http_code=400)
    amplitude.faults = [Fault(status=400, body=body, times=None)]

    output = read({**config, "request_time_range": 1}, "events")

    assert "Invalid API key" in messages(output)
    assert len(amplitude.requests) <= 16  # one in flight for each worker


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 01 Jan 2011 05:00:00 GMT"])
def test_a_clock_from_before_the_archives_own_hours_is_not_a_clock(
    read: Read, config: dict[str, Any], amplitude: Emulator, date: str
) -> None:
    amplitude.faults = [Fault(headers={"Date": date}, times=None)]

    output = read(config, "events")

    assert output.error is None
    assert len(uuids(output)) == 58 * 3
    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"


# -- gateways, limits and proxies ----------------------------------------------------------------

CLOUDFRONT = b"<HTML><TITLE>ERROR: The request could not be satisfied</TITLE></HTML>"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("stream", ["events", "cohorts", "active_users"])
def test_a_refusal_without_amplitudes_envelope_says_nothing_of_keys_or_plan(
    read: Read, config: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    path = {"events": "/api/2/export", "cohorts": "/api/3/cohorts"}.get(stream, "/api/2/users")
    page = Fault(path=path, status=status, body=CLOUDFRONT, content_type="text/html")
    amplitude.faults = [page]
    passed = read(config, stream)
    amplitude.faults = [Fault(path=path, status=status, body=CLOUDFRONT, times=None)]
    failed = read(config, stream)

    assert passed.error is None
    assert "A gateway between this machine and Amplitude refused" in messages(failed)
    assert {e["failure_type"] for e in failed.errors[:1]} == {"transient_error"}


@pytest.mark.parametrize("status", [421, 425, 520, 524, 530])
@pytest.mark.parametrize("stream", ["events", "cohorts"])
def test_codes_of_gateways_are_transient(
    read: Read, hour: dict[str, Any], amplitude: Emulator, stream: str, status: int
) -> None:
    path = {"events": "/api/2/export", "cohorts": "/api/3/cohorts"}[stream]
    amplitude.faults = [Fault(path=path, status=status)]

    output = read(hour, stream)

    assert output.error is None
    assert len(output.records(stream)) > 0


def test_a_window_that_a_gateway_never_answers_is_halved_once(
    read: Read, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    config = {**config, "request_time_range": 12}
    amplitude.faults = [Fault(status=524, times=None, only_longer_than=6)]
    halved = read(config, "events")
    amplitude.requests.clear()
    amplitude.faults = [Fault(status=524, times=None, hour="20240101T00")]
    failed = read({**config, "end_date": "2024-01-01T12:00:00Z"}, "events")

    assert halved.error is None
    assert len(set(uuids(halved))) == len(uuids(halved)) == 58 * 3
    assert "20240101T00 to 20240101T05" in messages(failed)
    assert len(uuids(failed)) == 6 * 3
    assert len([r for r in amplitude.requests if r.status == 524]) == 14


@pytest.mark.parametrize("seconds", ["604800", "86400", "6000"])
@pytest.mark.parametrize("stream", ["events", "cohorts", "active_users"])
def test_a_wait_that_is_longer_than_a_sync_may_be_silent_ends_the_stream_in_a_sentence(
    read: Read,
    hour: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    stream: str,
    seconds: str,
) -> None:
    path = {"events": "/api/2/export", "cohorts": "/api/3/cohorts"}.get(stream, "/api/2/users")
    headers = {"Retry-After": seconds}
    amplitude.faults = [Fault(path=path, status=429, headers=headers, times=None)]

    output = read(hour, stream)

    assert "longer than a sync may be silent" in messages(output)
    assert sum(clock.slept) < 7_200


@pytest.mark.parametrize("body", ["rate limit", "concurrent limit", ""])
@pytest.mark.parametrize("status", [429, 200])
@pytest.mark.parametrize("stream", ["events", "cohorts", "active_users", "event_types"])
def test_no_stream_is_silent_for_two_hours_whatever_amplitude_answers(
    read: Read,
    hour: dict[str, Any],
    amplitude: Emulator,
    clock: Clock,
    stream: str,
    status: int,
    body: str,
) -> None:
    paths = {
        "events": "/api/2/export",
        "cohorts": "/api/3/cohorts",
        "active_users": "/api/2/users",
        "event_types": "/api/2/taxonomy/event",
    }
    answer = error_body(f"Exceeded {body}", http_code=429)
    amplitude.faults = [Fault(path=paths[stream], status=status, body=answer, times=None)]

    output = read(hour, stream)

    assert output.statuses(stream)[-1] == "INCOMPLETE"
    assert sum(clock.slept) < 7_200


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HTTPS_PROXY", "http://proxy:port", "its address is malformed"),
        ("HTTPS_PROXY", "http://", "its address is malformed"),
        ("ALL_PROXY", "socks5h://127.0.0.1:1", "SOCKS needs PySocks"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_at_once(
    read: Read,
    hour: dict[str, Any],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    reason: str,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    config = {**hour, "api_url": "https://amplitude.example"}

    output = read(config, "cohorts")

    assert f"The proxy that {variable} names cannot be used ({reason})" in messages(output)
    assert {e["failure_type"] for e in output.errors[:1]} == {"config_error"}
    assert clock.slept == []
