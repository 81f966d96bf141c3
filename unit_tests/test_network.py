"""What keeps requests from Amplitude: said in words, and asked again only where that may help."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from source_amplitude.process import source
from unit_tests.conftest import Clock, Run

KEYS = {"api_key": "key-of-project-1", "secret_key": "secret-of-project-1"}
HOURS = {"start_date": "2024-01-03T00:00:00Z", "end_date": "2024-01-03T04:00:00Z"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def served(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve on a port of 127.0.0.1."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def error_without_waiting(
    run: Run, config: dict[str, Any], stream: str, clock: Clock
) -> dict[str, Any]:
    """The one error of a read that has waited for nothing."""
    output = run("read", config, (stream,))
    (error,) = output.errors
    assert [seconds for seconds in clock.slept if seconds >= 1] == []
    return dict(error)


@pytest.mark.parametrize("stream", ["cohorts", "events", "active_users", "events_list"])
def test_a_certificate_that_is_not_trusted_is_said_and_not_asked_again(
    run: Run, clock: Clock, self_signed: ssl.SSLContext, stream: str
) -> None:
    clock.set(
        datetime(2026, 1, 1, tzinfo=timezone.utc)
    )  # TLS warns of a clock that is years behind
    with served(BaseHTTPRequestHandler, self_signed) as port:
        config = {
            **KEYS,
            "api_url": f"https://localhost:{port}",
            **HOURS,
        }
        error = error_without_waiting(run, config, stream, clock)
        status = run("check", config).messages[-1]["connectionStatus"]

    assert error["failure_type"] == "config_error"
    for message in (error["message"], status["message"]):
        assert f"The certificate of localhost:{port} is not trusted" in message
        assert "REQUESTS_CA_BUNDLE" in message


class Proxy(BaseHTTPRequestHandler):
    """A proxy that wants a password."""

    def refuse(self) -> None:
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET = refuse  # noqa: N815 - the names are http.server's

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("stream", ["cohorts", "events", "active_users", "events_list"])
def test_a_proxy_that_wants_a_password_is_said_and_not_asked_again(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch, scheme: str, stream: str
) -> None:
    with served(Proxy) as port:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{port}")
        config = {
            **KEYS,
            "api_url": f"{scheme}://localhost:1",
            **HOURS,
        }
        error = error_without_waiting(run, config, stream, clock)
        status = run("check", config).messages[-1]["connectionStatus"]

    assert error["failure_type"] == "config_error"
    for message in (error["message"], status["message"]):
        assert "asks for a user and a password (407)" in message
        assert "HTTPS_PROXY" in message


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_names")
def test_a_name_that_does_not_resolve_is_said(run: Run) -> None:
    output = run("read", KEYS, ("cohorts",))
    status = run("check", KEYS).messages[-1]["connectionStatus"]

    (error,) = output.errors
    assert "in 7 attempts (the last: a name that does not resolve)" in error["message"]
    assert error["failure_type"] == "transient_error"
    assert status["message"] == (
        "Amplitude cannot be reached at amplitude.com (a name that does not resolve). Check the network and"
        " the data region, then test again."
    )


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_check_does_not_wait_longer_than_a_minute_for_a_host_that_never_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source.CHECK_SECONDS < 60
    monkeypatch.setattr(source, "CHECK_SECONDS", 0.2)

    with silent() as port:
        output = run("check", {**KEYS, "api_url": f"http://127.0.0.1:{port}"})

    status = output.messages[-1]["connectionStatus"]
    assert status["status"] == "FAILED"
    assert (
        "Amplitude did not respond to the request for events_list within 0.2 seconds"
        in status["message"]
    )


def test_outside_the_package_a_check_has_a_minute_too() -> None:
    declared = yaml.safe_load(source.MANIFEST_PATH.read_text())
    requester = declared["definitions"]["events_list"]["retriever"]["requester"]

    tries = 1 + requester["error_handler"]["max_retries"]
    longest = requester["connect_timeout_in_seconds"] + requester["read_timeout_in_seconds"]
    assert tries * longest <= 50
    assert declared["check"]["stream_names"] == ["events_list"]
    assert "retriever" not in source.load_manifest()["definitions"]["events_list"]


@pytest.mark.parametrize(
    ("scheme", "proxy", "words"),
    [
        ("http", False, "no connection"),
        ("https", False, "a TLS connection that failed"),
        ("https", True, "a proxy that does not connect"),
    ],
)
def test_the_check_says_in_words_why_nothing_can_be_reached(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: bool, words: str
) -> None:
    clock.set(datetime(2026, 1, 1, tzinfo=timezone.utc))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed}")

    with served(Proxy) as port:  # which speaks no TLS
        port = port if words.startswith("a TLS") else closed
        status = run("check", {**KEYS, "api_url": f"{scheme}://localhost:{port}"}).messages[-1]

    message = status["connectionStatus"]["message"]
    assert f"cannot be reached at localhost:{port} ({words})" in message
