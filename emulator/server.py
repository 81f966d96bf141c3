"""The HTTP side of the emulator: connections, faults, requests in flight and the log of requests."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from emulator import routes
from emulator.answers import Answer, RefusedError, Request
from emulator.api import Api
from emulator.faults import NO_ANSWER, Fault
from emulator.limits import REQUESTS_IN_FLIGHT, too_many
from emulator.project import Project

CLOSING_SECONDS = 5


class Emulator(Api):
    """Serve a project on 127.0.0.1; a context manager, or `start` and `stop`.

    Args:
        project: the data.
        faults: what goes wrong; the list may be changed while the server runs.
        plan: `enterprise` has all, `growth` no taxonomy, `starter` neither cohorts nor annotations either.
        budget: whether the limits hold.
        export_limit_bytes: the export size, unzipped, over which the answer is 400.
        retry_after: seconds that a 429 names in its header; no header when None.
        first_byte_delay: seconds before an export answers.
        port: 0 takes a free one.
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
    ) -> None:
        super().__init__(
            project or Project(),
            plan,
            budget=budget,
            export_limit_bytes=export_limit_bytes,
            first_byte_delay=first_byte_delay,
        )
        self.faults = faults if faults is not None else []
        self.retry_after = retry_after
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        """The root of the API."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def files_url(self) -> str:
        """The same server by another name, as the files' host has a name of its own."""
        return f"http://localhost:{self._server.server_port}"

    def start(self) -> "Emulator":
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, and close every socket."""
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

    def wait(self, seconds: float) -> None:
        """Let real time pass, also when a test has replaced `time.sleep`; `stop` ends it."""
        if seconds:
            self._stopping.wait(seconds)

    def arrive(self, request: Request) -> tuple[Fault | None, bool]:
        """Note a request; the fault that strikes it, and whether too many are in flight."""
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            crowded = self.budget and self._in_flight > REQUESTS_IN_FLIGHT
            for fault in self.faults:
                if fault.strikes(request.path, request.query):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault, crowded
        return None, crowded

    def leave(self) -> None:
        """A request is no longer in flight."""
        with self._lock:
            self._in_flight -= 1

    def respond(self, request: Request, fault: Fault | None, crowded: bool) -> Answer:
        """The answer to a request, errors and faults included."""
        if fault and fault.status is not None:
            return Answer(fault.body, fault.status, fault.content_type, fault.headers)
        try:
            if fault and fault.kind in ("html", "empty"):
                return fault.spoil(NO_ANSWER)
            if crowded:
                raise too_many("concurrent", 1)
            answer = routes.respond(self, request)
        except RefusedError as refused:
            if fault and fault.needs_body and fault.times is not None:
                with self._lock:
                    fault.times += 1  # there was nothing to damage
            answer = refused.answer
            if answer.status == 429 and self.retry_after is not None:
                answer.headers["Retry-After"] = str(self.retry_after)
            return answer
        return fault.spoil(answer) if fault else answer


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
        """End connections that clients keep alive, and wait until their threads have closed them."""
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, CLOSING_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that goes away is a test's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; waiting to join them costs 40 ms a request.
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
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
        fault, crowded = emulator.arrive(request)
        left = False
        try:
            if fault:
                emulator.wait(fault.delay)
            if fault and fault.kind in ("close", "hang"):
                self.close_connection = True
                return
            answer = emulator.respond(request, fault, crowded)
            request.status = answer.status
            if fault and fault.kind in ("cut", "cut_chunked") and answer.status == 200:
                self._cut(answer, chunked=fault.kind == "cut_chunked")
                return
            self._head(answer, {"Content-Length": str(len(answer.body))})
            if self.command == "HEAD":
                return
            # Whoever has the last byte may ask again, and must not find this request still in flight.
            self.wfile.write(answer.body[:-1])
            emulator.leave()
            left = True
            self.wfile.write(answer.body[-1:])
        finally:
            if not left:
                emulator.leave()

    def _head(self, answer: Answer, more: dict[str, str]) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.content_type, **more, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _cut(self, answer: Answer, *, chunked: bool) -> None:
        half = answer.body[: len(answer.body) // 2]
        if chunked:
            self._head(answer, {"Transfer-Encoding": "chunked"})
            half = f"{len(half):x}\r\n".encode() + half + b"\r\n"
        else:
            self._head(answer, {"Content-Length": str(len(answer.body))})
        self.wfile.write(half)
        self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        # http.server looks for `do_<method>`; every method is answered in one place.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no access log: `Emulator.requests` is one."""
