"""Archives and configs for the tests of events."""

from typing import Any

from emulator import Emulator, Fault
from unit_tests.support.archives import archive, lines
from unit_tests.support.protocol import Output

HOUR = "2024-01-01_5"
UPLOADED = "2024-01-01 05:30:00.000000"


def serve(amplitude: Emulator, *members: bytes, name: str = HOUR) -> None:
    """Answer every export with these members, each lines of JSON."""
    body = archive({f"1/1_{name}#{n}.json.gz": data for n, data in enumerate(members)})
    amplitude.faults = [Fault(status=200, body=body, content_type="application/zip", times=None)]


def event(uuid: str, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "server_upload_time": UPLOADED, **more}


def raw(uuid: str, properties: str) -> bytes:
    """A line whose `event_properties` are this JSON."""
    return lines(event(uuid))[:-2] + b', "event_properties": ' + properties.encode() + b"}\n"


def properties(output: Output) -> dict[str, Any]:
    return {e["uuid"]: e.get("event_properties") for e in output.records("events")}


def uuids(*outputs: Output) -> list[str]:
    return sorted(e["uuid"] for output in outputs for e in output.records("events"))


def asked(amplitude: Emulator) -> list[tuple[str, str]]:
    return [(r.query["start"][0], r.query["end"][0]) for r in amplitude.requests]


def messages(output: Output) -> str:
    return " ".join(error["message"] for error in output.errors)
