"""The HTTP side of the emulator: routes, authentication, limits, faults and a log of requests."""

import base64
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from emulator import bodies
from emulator.project import COUNTRIES, Project

HOUR = timedelta(hours=1)
COST_IN_FIVE_MINUTES = 1_000
COST_IN_AN_HOUR = 108_000
REQUESTS_IN_FLIGHT = 5
LONGEST_EXPORT = timedelta(days=365)


@dataclass
class Request:
    """One request as it arrived, and the status that answered it."""

    method: str
    path: str
    query: dict[str, list[str]]
    at: datetime
    status: int = 0
    cost: int = 0


@dataclass
class Fault:
    """What goes wrong, where, and how often.

    `status` with `body` and `headers` answers with that; `kind` sends a damaged body (see `bodies`), `close`
    ends the connection without an answer; `replace` maps the true body to another.
    `hour` strikes only exports whose window holds that hour; `only_longer_than` only wider windows.
    """

    path: str = "/api/2/export"
    times: int | None = 1
    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    kind: str | None = None
    replace: Callable[[bytes], bytes] | None = None
    hour: str | None = None
    only_longer_than: int | None = None

    def strikes(self, path: str, query: dict[str, list[str]]) -> bool:
        """Whether it is this request's turn."""
        if self.times == 0 or path != self.path:
            return False
        if self.hour or self.only_longer_than is not None:
            first, last = query["start"][0], query["end"][0]
            if self.hour and not first <= self.hour <= last:
                return False
            if self.only_longer_than is not None:
                return _hour(last) - _hour(first) + HOUR > self.only_longer_than * HOUR
        return True


class RefusedError(Exception):
    """An answer that is no data: a status and Amplitude's envelope."""

    def __init__(self, status: int, message: str, details: str, kind: str = "invalid") -> None:
        super().__init__(details)
        self.status = status
        error = {
            "http_code": status,
            "type": kind,
            "message": message,
            "metadata": {"details": details},
        }
        self.body = json.dumps({"error": error}).encode()


class Emulator:
    """Serve a project on 127.0.0.1; a context manager, or `start` and `stop`.

    Args:
        project: the data.
        faults: what goes wrong; the list may be changed while the server runs.
        plan: `enterprise` answers everything, `starter` neither cohorts nor annotations.
        budget: whether the cost limits hold.
        export_limit_bytes: the export size, unzipped members included, over which the answer is 400.
        retry_after: seconds that a 429 names in its header.
        first_byte_delay: seconds before an export answers.
    """

    def __init__(
        self,
        project: Project | None = None,
        faults: list[Fault] | None = None,
        *,
        plan: str = "enterprise",
        budget: bool = True,
        export_limit_bytes: int | None = None,
        retry_after: int | None = None,
        first_byte_delay: float = 0,
        port: int = 0,
    ) -> None:
        self.project = project or Project()
        self.faults = faults or []
        self.plan = plan
        self.budget = budget
        self.export_limit_bytes = export_limit_bytes
        self.retry_after = retry_after
        self.first_byte_delay = first_byte_delay
        self.api_key = f"{self.project.seed:032x}"
        self.secret_key = f"{self.project.seed + 0xABCDEF:032x}"
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._spent: deque[tuple[datetime, int]] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        """The root of the API."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> "Emulator":
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, and close every socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- answers -----------------------------------------------------------------------------------

    def answer(self, request: Request, authorization: str | None) -> tuple[bytes, str]:
        """The body and content type for a request.

        Raises:
            RefusedError: the answer is an error.
        """
        pair = base64.b64encode(f"{self.api_key}:{self.secret_key}".encode()).decode()
        if authorization is None:
            raise RefusedError(401, "Unauthorized", "Missing credentials")
        if authorization != f"Basic {pair}":
            raise RefusedError(403, "Forbidden", "Invalid API Key")
        route = ROUTES.get(request.path)
        if route is None:
            raise RefusedError(404, "Not Found", "No such endpoint", "not_found")
        return route(self, request)

    def _export(self, request: Request) -> tuple[bytes, str]:
        try:
            first, last = (_hour(request.query[name][0]) for name in ("start", "end"))
        except (KeyError, ValueError):
            raise RefusedError(
                400, "Bad Request", "start and end must have the format YYYYMMDDTHH"
            ) from None
        if first > last:
            raise RefusedError(400, "Bad Request", "start must not be after end")
        if last - first >= LONGEST_EXPORT:
            raise RefusedError(400, "Bad Request", "the date range is longer than 365 days")
        if self.first_byte_delay:
            time.sleep(self.first_byte_delay)
        body = self.project.archive(first, last, self.project.now())
        if body is None:
            raise RefusedError(404, "Not Found", "Raw data files were not found.", "not_found")
        if self.export_limit_bytes and len(body) > self.export_limit_bytes:
            raise RefusedError(400, "Bad Request", "The export is too large: it is over 4 GB.")
        return body, "application/zip"

    def _days(self, request: Request, cost_a_day: int) -> list[date]:
        try:
            first, last = (
                datetime.strptime(request.query[name][0], "%Y%m%d").date()  # noqa: DTZ007
                for name in ("start", "end")
            )
        except (KeyError, ValueError):
            raise RefusedError(
                400, "Invalid chart definition", "start and end must have the format YYYYMMDD"
            ) from None
        if first > last:
            raise RefusedError(400, "Invalid chart definition", "start must not be after end")
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        self._spend(request, len(days) * cost_a_day)
        return days

    def _spend(self, request: Request, cost: int) -> None:
        request.cost = cost
        if not self.budget:
            return
        now = self.project.now()
        with self._lock:
            while self._spent and self._spent[0][0] <= now - HOUR:
                self._spent.popleft()
            hourly = sum(spent for _, spent in self._spent)
            recent = sum(spent for at, spent in self._spent if at > now - timedelta(minutes=5))
            limit = ""
            if hourly + cost > COST_IN_AN_HOUR:
                limit = "rate"
            elif recent + cost > COST_IN_FIVE_MINUTES:
                limit = "concurrent"
            if limit:
                raise RefusedError(
                    429,
                    "Unspecified Error",
                    f"Too Many Requests: Exceeded {limit} limit with query of cost {cost}",
                    "unspecified",
                )
            self._spent.append((now, cost))

    def _users(self, request: Request) -> tuple[bytes, str]:
        grouped = request.query.get("g") == ["country"]
        days = self._days(request, 5 if grouped else 1)
        figures = [
            [
                int(self.project.statistics(day)[country] * self.project.ripeness(day))
                if self.project.has_data(day)
                else 0
                for day in days
            ]
            for country in COUNTRIES
        ]
        if grouped:
            return self._series(days, figures, list(COUNTRIES))
        return self._series(days, [[sum(values) for values in zip(*figures, strict=True)]], [0])

    def _sessions(self, request: Request) -> tuple[bytes, str]:
        days = self._days(request, 4)
        figures = [
            round(self.project.session_length(day) * self.project.ripeness(day), 1)
            if self.project.has_data(day)
            else 0
            for day in days
        ]
        return self._series(days, [figures], [0])

    def _series(
        self, days: list[date], series: list[list[Any]], labels: list[Any]
    ) -> tuple[bytes, str]:
        if not any(self.project.has_data(day) for day in days):
            series, labels = [], []
        data = {
            "xValues": [str(day) for day in days],
            "series": series,
            "seriesLabels": labels,
            "seriesCollapsed": [[0] for _ in series],
            "seriesMeta": [{"segmentIndex": 0} for _ in series],
        }
        return json.dumps({"data": data}).encode(), "application/json"

    def _gated(self, what: str) -> None:
        if self.plan == "starter":
            raise RefusedError(403, "Forbidden", f"Your plan does not include {what}")

    def _cohorts(self, request: Request) -> tuple[bytes, str]:
        self._gated("cohorts")
        cohorts = self.project.cohorts()
        if request.query.get("includeSyncInfo") != ["true"]:
            cohorts = [
                {k: v for k, v in cohort.items() if k != "syncMetadata"} for cohort in cohorts
            ]
        return json.dumps({"cohorts": cohorts}).encode(), "application/json"

    def _annotations(self, _request: Request) -> tuple[bytes, str]:
        self._gated("annotations")
        return json.dumps({"data": self.project.annotations()}).encode(), "application/json"

    def _annotations_v2(self, _request: Request) -> tuple[bytes, str]:
        self._gated("annotations")
        fields = ("id", "label", "details")
        data = [
            {"date": a["start"][:10], **{name: a[name] for name in fields}}
            for a in self.project.annotations()
        ]
        return json.dumps({"data": data}).encode(), "application/json"


ROUTES: dict[str, Callable[[Emulator, Request], tuple[bytes, str]]] = {
    "/api/2/export": Emulator._export,
    "/api/2/users": Emulator._users,
    "/api/2/sessions/average": Emulator._sessions,
    "/api/3/cohorts": Emulator._cohorts,
    "/api/3/annotations": Emulator._annotations,
    "/api/2/annotations": Emulator._annotations_v2,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    emulator: Emulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that goes away is a test's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        emulator = self.server.emulator
        url = urlsplit(self.path)
        request = Request("GET", url.path, parse_qs(url.query), emulator.project.now())
        with emulator._lock:
            emulator.requests.append(request)
            emulator._in_flight += 1
            emulator.most_in_flight = max(emulator.most_in_flight, emulator._in_flight)
            crowded = emulator._in_flight > REQUESTS_IN_FLIGHT
            fault = next(
                (f for f in emulator.faults if f.strikes(request.path, request.query)), None
            )
            if fault and fault.times:
                fault.times -= 1
        try:
            self._respond(emulator, request, fault, crowded)
        finally:
            with emulator._lock:
                emulator._in_flight -= 1

    def _respond(
        self, emulator: Emulator, request: Request, fault: Fault | None, crowded: bool
    ) -> None:
        if fault and fault.kind == "close":
            self.close_connection = True
            return
        if fault and fault.status:
            request.status = fault.status
            self._send(fault.status, fault.body, "application/json", fault.headers)
            return
        try:
            if crowded:
                raise RefusedError(
                    429,
                    "Unspecified Error",
                    "Too Many Requests: Exceeded concurrent limit",
                    "unspecified",
                )
            body, content_type = emulator.answer(request, self.headers.get("Authorization"))
        except RefusedError as refused:
            request.status = refused.status
            headers = {}
            if refused.status == 429 and emulator.retry_after is not None:
                headers["Retry-After"] = str(emulator.retry_after)
            self._send(refused.status, refused.body, "application/json", headers)
            return
        request.status = 200
        if fault and fault.replace:
            body = fault.replace(body)
        if fault and fault.kind in ("cut", "cut_chunked"):
            self._cut(body, chunked=fault.kind == "cut_chunked")
            return
        if fault and fault.kind:
            body, content_type = bodies.KINDS[fault.kind](body)
        self._send(200, body, content_type, {})

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _cut(self, body: bytes, *, chunked: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        half = body[: len(body) // 2]
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
            half = f"{len(half):x}\r\n".encode() + half + b"\r\n"
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(half)
        self.close_connection = True

    def do_POST(self) -> None:
        self._send(
            405, RefusedError(405, "Method Not Allowed", "GET only").body, "application/json", {}
        )

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no access log: `Emulator.requests` is one."""


def _hour(text: str) -> datetime:
    if not re.fullmatch(r"\d{8}T\d{2}", text):
        raise ValueError(text)
    return datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=timezone.utc)
