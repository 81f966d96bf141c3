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
    page = b"<html>" + b"x" * 40_000_000
    path = {"events": "/api/2/export", "cohorts": "/api/3/cohorts"}[stream]
    amplitude.faults = [Fault(path=path, status=status, body=page, times=None)]
    tracemalloc.start()
    read(hour, stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # The emulator, in this process, copies the page once; the connector does not hold it too.
    assert peak < 60_000_000


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
