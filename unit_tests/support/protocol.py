"""What the tests know of Airbyte's protocol: the streams, what goes into a command, what comes out of it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from emulator import Emulator, Fault, Request

STREAMS: dict[str, tuple[list[str], str | None]] = {
    "events": (["uuid"], "server_upload_time"),
    "active_users": (["date"], "date"),
    "new_users": (["date"], "date"),
    "active_users_by_segment": (["date", "property", "segment"], "date"),
    "active_users_weekly": (["date"], "date"),
    "active_users_monthly": (["date"], "date"),
    "new_users_weekly": (["date"], "date"),
    "new_users_monthly": (["date"], "date"),
    "average_session_length": (["date"], "date"),
    "average_sessions_per_user": (["date"], "date"),
    "session_length_distribution": (["date", "bin"], "date"),
    "event_segmentation": (["name", "date", "segment"], "date"),
    "charts": (["chart_id", "series", "x"], None),
    "cohorts": (["id"], None),
    "cohort_members": (["cohort_id", "amplitude_id"], "computed_at"),
    "annotations": (["id"], None),
    "annotation_categories": (["id"], None),
    "events_list": (["id"], None),
    "event_categories": (["id"], None),
    "event_types": (["event_type"], None),
    "event_properties": (["event_type", "event_property"], None),
    "user_properties": (["user_property"], None),
    "group_properties": (["group_property"], None),
    "deleted_users": (["day", "amplitude_id"], "day"),
}
"""Every stream's key and cursor."""
DAILY = (
    "active_users",
    "new_users",
    "average_session_length",
    "average_sessions_per_user",
    "session_length_distribution",
)
"""The figures by day that need no option."""
PATHS = {
    "active_users": "/api/2/users",
    "average_session_length": "/api/2/sessions/average",
    "charts": "/api/3/chart/wk3pl4y/csv",
    "cohorts": "/api/3/cohorts",
    "annotations": "/api/3/annotations",
    "events_list": "/api/2/events/list",
    "new_users": "/api/2/users",
    "average_sessions_per_user": "/api/2/sessions/peruser",
    "session_length_distribution": "/api/2/sessions/length",
    "active_users_by_segment": "/api/2/users",
    "active_users_weekly": "/api/2/users",
    "active_users_monthly": "/api/2/users",
    "new_users_weekly": "/api/2/users",
    "new_users_monthly": "/api/2/users",
    "event_segmentation": "/api/2/events/segmentation",
    "annotation_categories": "/api/3/annotation-categories",
    "event_types": "/api/2/taxonomy/event",
    "event_categories": "/api/2/taxonomy/category",
    "event_properties": "/api/2/taxonomy/event-property",
    "user_properties": "/api/2/taxonomy/user-property",
    "group_properties": "/api/2/taxonomy/group-property",
    "cohort_members": "/api/5/cohorts/request/p81xq0z",
    "deleted_users": "/api/2/deletions/users",
}
"""The path of every stream but the events."""
LISTS = {
    "cohorts": ("cohorts", "id"),
    "annotations": ("data", "id"),
    "annotation_categories": ("data", "id"),
    "events_list": ("data", "id"),
    "event_categories": ("data", "id"),
    "event_types": ("data", "event_type"),
    "event_properties": ("data", "event_property"),
    "user_properties": ("data", "user_property"),
    "group_properties": ("data", "group_property"),
    "deleted_users": ("", "amplitude_ids"),
}
"""Each list: where its rows are, and a field that each row must have."""
FIGURES = tuple(
    name
    for name, path in PATHS.items()
    if re.match("/api/2/(users|sessions|events/segmentation)", path)
)
"""The streams that spend the budget of the dashboards by the day."""
BY_COUNTRY = tuple(
    name for name in FIGURES if re.fullmatch("(active|new)_users(_weekly|_monthly)?", name)
)
"""The streams that `active_users_group_by_country` groups."""
INTERVALS = {
    name: interval
    for name in FIGURES
    for ending, interval in (("weekly", "7"), ("monthly", "30"))
    if name.endswith(ending)
}
"""The streams of weeks and months, and how a request asks for them."""


@dataclass
class Output:
    """What one command printed, and what ended it."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    error: AirbyteTracedException | None = None

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            m["record"]["data"]
            for m in self.messages
            if m["type"] == "RECORD" and m["record"]["stream"] == stream
        ]

    def states(self, stream: str) -> list[dict[str, Any]]:
        return [
            m["state"]["stream"]["stream_state"]
            for m in self.messages
            if m["type"] == "STATE" and m["state"]["stream"]["stream_descriptor"]["name"] == stream
        ]

    def statuses(self, stream: str) -> list[str]:
        return [
            m["trace"]["stream_status"]["status"]
            for m in self.messages
            if m["type"] == "TRACE"
            and m["trace"]["type"] == "STREAM_STATUS"
            and m["trace"]["stream_status"]["stream_descriptor"]["name"] == stream
        ]

    @property
    def state(self) -> list[dict[str, Any]]:
        """The last state of every stream, as a platform hands it back."""
        last = {
            m["state"]["stream"]["stream_descriptor"]["name"]: m["state"]
            for m in self.messages
            if m["type"] == "STATE"
        }
        return [{"type": "STREAM", "stream": state["stream"]} for state in last.values()]

    @property
    def connection(self) -> tuple[str, str]:
        """What a check ended with: its status and message."""
        status = self.messages[-1]["connectionStatus"]
        return status["status"], status.get("message", "")

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [
            m["trace"]["error"]
            for m in self.messages
            if m["type"] == "TRACE" and m["trace"]["type"] == "ERROR"
        ]

    @property
    def text(self) -> str:
        """Everything that a user could see."""
        error = self.error and f"{self.error.message} {self.error.internal_message}"
        return "\n".join([json.dumps(self.messages), *self.logs, error or ""])


def catalog(*streams: str) -> dict[str, Any]:
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": {},
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": "incremental" if STREAMS.get(name, ([], None))[1] else "full_refresh",
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }


def without_nulls(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Records as the CDK's own serializer leaves them, which the package does not use."""
    return [{k: v for k, v in record.items() if v is not None} for record in records]


def state_of(stream: str, **saved: Any) -> list[dict[str, Any]]:
    """One stream's state, as a platform hands it back."""
    content = {"stream_descriptor": {"name": stream}, "stream_state": saved}
    return [{"type": "STREAM", "stream": content}]


def config_for(amplitude: Emulator, **more: Any) -> dict[str, Any]:
    return {
        "api_key": amplitude.api_key,
        "secret_key": amplitude.secret_key,
        "api_url": amplitude.url,
        "start_date": "2024-01-01T00:00:00Z",
        "cohort_ids": ["p81xq0z", "zz7a1b2"],
        "chart_ids": ["wk3pl4y", "cn7try2"],
        "segmentations": [{"name": "Active", "event": "_active"}],
        **more,
    }


def answer(amplitude: Emulator, stream: str, rows: Any) -> None:
    """Have a list answered with other rows."""
    field, _ = LISTS[stream]
    body = json.dumps({field: rows} if field else rows).encode()
    amplitude.faults.append(Fault(PATHS[stream], replace=lambda _: body, times=None))


def most_in_five_minutes(requests: Iterable[Request]) -> int:
    """The most that was spent of the budget of the dashboards in any five minutes."""
    spent = [(request.at, request.cost) for request in requests if request.status == 200]
    span = timedelta(minutes=5)
    return max(sum(c for at, c in spent if t <= at < t + span) for t, _ in spent)


def options(folder: Path, **files: Any) -> list[str]:
    """The options of a command line, each naming a file in `folder` with its content as JSON."""
    line = []
    for option, content in files.items():
        path = folder / f"{option}.json"
        path.write_text(json.dumps(content))
        line += [f"--{option}", str(path)]
    return line


def error_body(message: str, details: str = "", **more: Any) -> bytes:
    """The body of an error as Amplitude's dashboard and export APIs write it."""
    error = {**more, "message": message, "metadata": {"details": details}}
    return json.dumps({"error": error}).encode()


def logged(output: Output, words: str) -> list[str]:
    """The lines of a command's log that have some words."""
    return [line for line in output.logs if words in line]
