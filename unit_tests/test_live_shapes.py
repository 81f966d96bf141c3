"""Every form in which Amplitude is known to answer, read by the whole connector.

The files in `live` have the keys, types, nulls and formats of recorded responses; their values are made up.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from emulator import Emulator, Fault
from emulator.messages import Request, Response
from unit_tests.conftest import Read
from unit_tests.support.protocol import config_for

LIVE = Path(__file__).with_name("live")
SCHEMAS = Path(__file__).parent.parent / "source_amplitude" / "schemas"
MADE = {
    "annotations": {"date", "category.name"},
    "annotation_categories": {"name"},
    "event_properties": {"event_type"},  # empty where Amplitude has null
    "cohort_members": {"computed_at"},
}
"""Fields that the connector makes or fills."""


def rows_of(stream: str, body: Any) -> list[dict[str, Any]]:
    """The rows of a response, as Amplitude sends them."""
    if stream == "cohort_members":
        lines = [line.split(",") for line in body.replace('"', "").splitlines()[1:]]
        return [
            {
                "cohort_id": "p81xq0z",
                "amplitude_id": int(number),
                "user_id": user or None,
                "properties": {},
            }
            for number, user in lines
        ]
    if stream == "deleted_users":
        return [
            {**{k: v for k, v in job.items() if k != "amplitude_ids"}, **user}
            for job in body
            for user in job["amplitude_ids"]
        ]
    return list(body["cohorts" if stream == "cohorts" else "data"])


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """A record's fields by their paths, as deep as the schema has names for them; nulls are left out."""
    if not isinstance(value, dict) or (place and "." in place):
        return {} if value is None else {place: value}
    fields = {}
    for name, part in value.items():
        fields.update(flat(part, f"{place}.{name}".lstrip(".")))
    return fields


def undeclared(record: Any, schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """The fields of a record that its schema does not name, where it names any."""
    properties = schema.get("properties")
    if not isinstance(record, dict) or properties is None:
        return
    for name, value in record.items():
        if name not in properties:
            yield f"{place}.{name}".lstrip(".")
        else:
            yield from undeclared(value, properties[name], f"{place}.{name}")


@pytest.mark.parametrize("file", sorted(LIVE.glob("*.json")), ids=lambda file: file.stem)
def test_every_live_shape_is_declared_and_passes_through_unchanged(
    read: Read, amplitude: Emulator, file: Path
) -> None:
    live = json.loads(file.read_text())
    stream, body = live["stream"], live["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    respond = amplitude.respond

    def with_live(request: Request, fault: Fault | None, over_limit: bool) -> Response:
        if not request.path.endswith(live["path"]) or (
            # The shared properties alone; those of an event type are none.
            live.get("shared") and request.form
        ):
            return respond(request, fault, over_limit)
        return Response(text.encode())

    amplitude.respond = with_live  # type: ignore[method-assign]
    config = config_for(amplitude, start_date="2022-01-01T00:00:00Z", cohort_ids=["p81xq0z"])
    if stream == "deleted_users":
        config["start_date"] = "2023-12-30T00:00:00Z"  # one window

    output = read(config, stream)

    schema = json.loads((SCHEMAS / f"{stream}.json").read_text())
    checker = jsonschema.FormatChecker()
    records = output.records(stream)
    assert output.statuses(stream)[-1] == "COMPLETE"
    expected = rows_of(stream, body)
    if live.get("shared"):
        records = [record for record in records if record["event_property"] != "$price"]
    assert len(records) == len(expected)
    for record, row in zip(records, expected, strict=True):
        assert list(undeclared(record, schema)) == []
        jsonschema.validate(record, schema, format_checker=checker)
        sent, read_fields = flat(row), flat(record)
        made = MADE.get(stream, set())
        assert {k: v for k, v in read_fields.items() if k not in made} == {
            k: v for k, v in sent.items() if k not in made
        }
        assert set(read_fields) - set(sent) <= made


@pytest.mark.parametrize("file", sorted(LIVE.glob("figures/*.json")), ids=lambda file: file.stem)
def test_every_live_shape_of_figures_gives_the_records_beside_it(
    read: Read, amplitude: Emulator, file: Path
) -> None:
    live = json.loads(file.read_text())
    stream = live["stream"]
    amplitude.faults = [
        Fault(path=live["path"], status=200, body=json.dumps(live["body"]).encode(), times=None)
    ]
    config = config_for(
        amplitude,
        active_users_group_by_country=False,
        segmentations=[{"name": "Any", "event": "_active"}],
    )

    output = read(config, stream)

    schema = json.loads((SCHEMAS / f"{stream}.json").read_text())
    assert output.statuses(stream)[-1] == "COMPLETE"
    assert output.records(stream) == live["records"]
    for record in output.records(stream):
        assert list(undeclared(record, schema)) == []
        jsonschema.validate(record, schema, format_checker=jsonschema.FormatChecker())
