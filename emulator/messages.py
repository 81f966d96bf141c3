"""Requests, responses and Amplitude's error envelope, and how every route reads and writes them."""

import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any

ZIP = "application/zip"
JSON = "application/json; charset=utf-8"


@dataclass
class Request:
    """A request as it arrived, and the status of its response; 0 if there was none."""

    method: str
    path: str
    query: dict[str, list[str]]
    status: int
    at: datetime
    cost: int = 0
    form: dict[str, list[str]] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)

    def value(self, name: str) -> str | None:
        """Return a parameter of the query, or else of the form in the body."""
        values = self.query.get(name) or self.form.get(name)
        return values[0] if values else None


@dataclass
class Response:
    """A response with its body."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def json_response(data: Any, status: int = 200) -> Response:
    """Return a response with a body of JSON."""
    return Response(json.dumps(data).encode(), status)


class ApiError(Exception):
    """A response without data: a status and Amplitude's envelope, or another body.

    The envelope is that of a recorded 404 of the export; only a 400 of a dashboard has a type of its own.
    """

    def __init__(
        self,
        status: int,
        details: str,
        *,
        kind: str = "unspecified",
        message: str = "Unspecified Error",
        body: Any = None,
    ) -> None:
        super().__init__(details)
        error = {
            "http_code": status,
            "type": kind,
            "message": message,
            "metadata": {"details": details},
        }
        self.response = json_response({"error": error} if body is None else body, status)


def parse_hour(text: str) -> datetime:
    """Parse an hour of the export, `YYYYMMDDTHH`, UTC.

    Raises:
        ValueError: the text is not such an hour.
    """
    if not re.fullmatch(r"[0-9]{8}T[0-9]{2}", text):
        raise ValueError(text)
    return datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=timezone.utc)


def parse_day(text: str) -> date:
    """Parse a day of the dashboards, `YYYYMMDD`.

    Raises:
        ValueError: the text is not such a day.
    """
    if not re.fullmatch(r"[0-9]{8}", text):
        raise ValueError(text)
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=timezone.utc).date()


def parse_moment(text: str) -> datetime:
    """Parse a time in ISO 8601 with its zone.

    Raises:
        ValueError: the text is not such a time.
    """
    # A plus sign that was not encoded arrives as a space.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
