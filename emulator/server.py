"""The HTTP server of the emulator: connections, faults, requests in flight and the log of requests."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from emulator import routes
from emulator.api import Api
from emulator.faults import EMPTY, SYNTHETIC, Fault
from emulator.limits import REQUESTS_IN_FLIGHT, too_many
from emulator.messages import ApiError, Request, Response
from emulator.project import Project

CLOSING_SECONDS = 5


class Emulator:
    """A server of a project on 127.0.0.1: a context manager, or `start` and `stop`.

    Args:
        project: the data, and the clock of the `Date` of every response.
        faults: the faults; the list may be changed while the server runs.
        plan: `enterprise` has all, `growth` lacks the taxonomy, `starter` lacks cohorts and annotations too.
        budget: whether limits are enforced.
        export_limit_bytes: the size of an export, unzipped, over which the response is 400.
        retry_after: the seconds in the header of a 429; no header if None.
        first_byte_delay: seconds before the response to an export.
        port: 0 for a free one.
        log: called with each request once it has its status, in the thread of the request.
    """

    def __init__(
        self,
        project: Project | None = None,
        faults: list[Fault] | None = None,
        plan: str = "enterprise",
        budget: bool = True,
        export_limit_bytes: int | None = None,
        *,
        retry_after: int | None = None,
        first_byte_delay: float = 0.0,
        port: int = 0,
        log: Callable[[Request], None] | None = None,
    ) -> None:
        self.faults = faults if faults is not None else []
        self.retry_after = retry_after
        self.log = log
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self._in_flight: list[str] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self.api = Api(
            project or Project(),
            plan,
            budget=budget,
            export_limit_bytes=export_limit_bytes,
            first_byte_delay=first_byte_delay,
            # The same server under another name, because Amplitude keeps files on another host.
            files_url=f"http://localhost:{self._server.server_port}",
            wait=self._wait,
        )

    @property
    def url(self) -> str:
        """The root of the API."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def project(self) -> Project:
        """The project that is served."""
        return self.api.project

    @property
    def api_key(self) -> str:
        """The project's API key."""
        return self.api.api_key

    @property
    def secret_key(self) -> str:
        """The project's secret key."""
        return self.api.secret_key

    def start(self) -> "Emulator":
        """Start responding."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop, and close every socket."""
        self._stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait(self, seconds: float) -> None:
        # Real time, even if a test has replaced `time.sleep`; `stop` ends the wait.
        if seconds:
            self._stopping.wait(seconds)

    def begin(self, request: Request) -> tuple[Fault | None, bool]:
        """Log a request; return the fault that affects it, and whether too many requests are in flight."""
        with self._lock:
            self.requests.append(request)
            self._in_flight.append(request.path)
            self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
            over_limit = self.api.budget and any(
                request.path.startswith(paths)
                and sum(path.startswith(paths) for path in self._in_flight) > most
                for paths, most in REQUESTS_IN_FLIGHT.items()
            )
            return next((fault for fault in self.faults if fault.take(request)), None), over_limit

    def finish(self, request: Request) -> None:
        """Stop counting a request as in flight."""
        with self._lock:
            self._in_flight.remove(request.path)
        if self.log:
            self.log(request)

    def respond(self, request: Request, fault: Fault | None, over_limit: bool) -> Response:
        """Return the response to a request; it may be an error or have a fault."""
        if fault and fault.status is not None:
            return Response(fault.body, fault.status, fault.content_type, dict(fault.headers))
        try:
            if fault and fault.kind in SYNTHETIC:
                return fault.damage(EMPTY)
            if over_limit:
                raise too_many("concurrent", 1)
            response = routes.respond(self.api, request)
        except ApiError as error:
            if fault:
                with self._lock:
                    fault.undo()
            response = error.response
            if response.status == 429 and self.retry_after is not None:
                response.headers["Retry-After"] = str(self.retry_after)
            return response
        return fault.damage(response) if fault else response


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    emulator: Emulator

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def hang_up(self) -> None:
        """Close connections that clients keep alive, and wait for their threads."""
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # the client has closed it already
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, CLOSING_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client may close its connection at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; to wait and join them costs 40 ms per request.
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        if "Transfer-Encoding" in self.headers:
            # No client of Amplitude needs it, and a body that is not read would become the next request.
            self.send_error(411)
            return
        emulator = self.server.emulator
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            url.path,
            parse_qs(url.query, keep_blank_values=True),
            0,
            emulator.project.now(),
            form=parse_qs(self.rfile.read(length).decode("utf-8", "replace")),
            authorization=self.headers.get("Authorization"),
        )
        fault, over_limit = emulator.begin(request)
        finished = False
        try:
            if fault:
                emulator.api.wait(fault.delay)
            if fault and fault.kind in ("close", "hang"):
                self.close_connection = True
                return
            response = emulator.respond(request, fault, over_limit)
            request.status = response.status
            if fault and fault.kind in ("cut", "cut_chunked") and response.status == 200:
                self._cut(response, chunked=fault.kind == "cut_chunked")
                return
            headers = {"Content-Length": str(len(response.body))}
            body = b"" if self.command == "HEAD" else response.body
            # A client that has the last byte may send another request: this one must not be in flight then.
            if body:
                self._head(response, headers)
                self.wfile.write(body[:-1])
            emulator.finish(request)
            finished = True
            if body:
                self.wfile.write(body[-1:])
            else:
                self._head(response, headers)
        finally:
            if not finished:
                emulator.finish(request)

    def _head(self, response: Response, more: dict[str, str]) -> None:
        # The project's clock, not the host's: a client may compare it with its own.
        now = self.server.emulator.project.now().astimezone(timezone.utc)
        own = {
            "Date": format_datetime(now, usegmt=True),
            "Content-Type": response.content_type,
            **more,
        }
        self.send_response_only(response.status)
        for name, value in {**own, **response.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _cut(self, response: Response, *, chunked: bool) -> None:
        half = response.body[: len(response.body) // 2]
        if chunked:
            self._head(response, {"Transfer-Encoding": "chunked"})
            half = f"{len(half):x}\r\n".encode() + half + b"\r\n"
        else:
            self._head(response, {"Content-Length": str(len(response.body))})
        self.wfile.write(half)
        self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        # http.server looks for `do_<method>`; one function responds to every method.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log: `Emulator.requests` is one."""
