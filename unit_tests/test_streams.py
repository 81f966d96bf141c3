"""Every stream through the protocol: catalog, records, states and the requests that were made for them."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from emulator import Emulator, Fault, Project
from source_amplitude.extensions.export.events import TIMESTAMP_FIELDS
from source_amplitude.extensions.export.windows import parse_hour
from source_amplitude.process.source import SourceAmplitude
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.archives import archive
from unit_tests.support.protocol import STREAMS, catalog

SCHEMAS = Path(__file__).parent.parent / "source_amplitude" / "schemas"


def schema(stream: str) -> dict[str, Any]:
    return dict(json.loads((SCHEMAS / f"{stream}.json").read_text()))


@pytest.mark.parametrize("selected", [("events",), ("charts", "event_properties"), tuple(STREAMS)])
def test_only_the_streams_that_are_read_are_built(selected: tuple[str, ...]) -> None:
    config = {"api_key": "a-key", "secret_key": "a-secret"}
    configured = ConfiguredAirbyteCatalogSerializer.load(catalog(*selected))

    streams = SourceAmplitude(configured, config, None).streams(config)

    assert {stream.name for stream in streams} == {*selected}


def test_discover_lists_every_stream_with_key_cursor_and_full_schema(
    run: Run, config: dict[str, Any]
) -> None:
    (message,) = (m for m in run("discover", config).messages if m["type"] == "CATALOG")

    streams = {stream["name"]: stream for stream in message["catalog"]["streams"]}
    assert list(streams) == list(STREAMS)
    for name, (key, cursor) in STREAMS.items():
        assert streams[name]["source_defined_primary_key"] == [[field] for field in key]
        assert streams[name].get("default_cursor_field") == ([cursor] if cursor else None)
        assert streams[name]["json_schema"] == schema(name)
    assert len(streams["events"]["json_schema"]["properties"]) == 55


@pytest.mark.parametrize("stream", STREAMS)
def test_every_property_is_nullable_and_described_and_key_and_cursor_are_there(stream: str) -> None:
    properties = schema(stream)["properties"]

    key, cursor = STREAMS[stream]
    assert {*key, *([cursor] if cursor else [])} <= set(properties)
    assert list(properties) == sorted(properties)
    for rule in properties.values():
        assert "null" in rule["type"]
        assert rule["description"]
    assert schema(stream)["additionalProperties"] is True


@pytest.mark.parametrize("stream", STREAMS)
def test_a_full_refresh_gives_records_whose_fields_the_schema_declares_and_takes(
    run: Run, config: dict[str, Any], stream: str
) -> None:
    output = run("read", config, (stream,))

    records = output.records(stream)
    validator = jsonschema.Draft7Validator(
        schema(stream), format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    assert records
    for record in records:
        assert list(validator.iter_errors(record)) == []
        assert set(record) <= set(schema(stream)["properties"])
    keys = [tuple(record[field] for field in STREAMS[stream][0]) for record in records]
    assert len(set(keys)) == len(keys)
    assert output.statuses(stream) == ["STARTED", "RUNNING", "COMPLETE"]
    assert output.error is None
    assert output.states(stream)


def test_events_are_amplitudes_own_but_for_seven_times(
    run: Run, config: dict[str, Any], project: Project
) -> None:
    hour = datetime.fromisoformat("2024-01-01T05:00:00+00:00")
    expected = {event["uuid"]: event for event in project.events(hour)}

    read = {event["uuid"]: event for event in run("read", config, ("events",)).records("events")}

    for uuid, event in expected.items():
        for key, value in event.items():
            if key not in TIMESTAMP_FIELDS or value is None:
                assert read[uuid][key] == value
            else:
                assert read[uuid][key][:10] == value[:10]
                assert len(read[uuid][key]) == len("2025-03-04T09:14:08.911000+00:00")
                assert read[uuid][key].endswith("+00:00")


def test_events_asks_for_complete_hours_in_windows_and_for_no_others(
    run: Run, config: dict[str, Any], amplitude: Emulator, project: Project
) -> None:
    output = run("read", config, ("events",))

    windows = sorted((r.query["start"][0], r.query["end"][0]) for r in amplitude.requests)
    assert windows == [
        ("20240101T00", "20240101T23"),
        ("20240102T00", "20240102T23"),
        ("20240103T00", "20240103T09"),
    ]
    assert len(output.records("events")) == 58 * 3
    assert output.states("events")[-1]["server_upload_time"] == "20240103T10"


def test_a_second_sync_of_events_emits_only_what_is_new(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    first = run("read", config, ("events",))
    clock.set(NOW + timedelta(hours=2))
    amplitude.requests.clear()

    second = run("read", config, ("events",), first.state)

    assert [(r.query["start"][0], r.query["end"][0]) for r in amplitude.requests] == [
        ("20240103T04", "20240103T11")
    ]
    assert len(second.records("events")) == 2 * 3
    assert second.states("events")[-1]["server_upload_time"] == "20240103T12"


@pytest.mark.parametrize("hours", [1, 5, 8760])
def test_the_request_time_range_is_the_widest_window(
    run: Run, config: dict[str, Any], amplitude: Emulator, hours: int
) -> None:
    output = run("read", {**config, "request_time_range": hours}, ("events",))

    spans = [
        (parse_hour(r.query["end"][0]) - parse_hour(r.query["start"][0])) // timedelta(hours=1) + 1
        for r in amplitude.requests
    ]
    assert max(spans) == min(hours, 58)
    assert sum(spans) == 58
    assert len(output.records("events")) == 58 * 3


def test_state_messages_count_the_records_before_them(run: Run, config: dict[str, Any]) -> None:
    output = run("read", config, ("events",))

    counts = [
        m["state"]["sourceStats"]["recordCount"] for m in output.messages if m["type"] == "STATE"
    ]
    assert sum(counts) == 58 * 3


@pytest.mark.parametrize("stream", [name for name, (_, cursor) in STREAMS.items() if not cursor])
def test_a_stream_without_a_cursor_is_read_whole_each_time(
    run: Run, config: dict[str, Any], stream: str
) -> None:
    first = run("read", config, (stream,))
    second = run("read", config, (stream,), first.state)

    assert first.records(stream)
    assert first.records(stream) == second.records(stream)


RECORDED = (Path(__file__).parent / "live" / "recorded_events.ndjson").read_bytes()
"""Three events of a public test account, as the Export API served them in 2023."""


def test_events_that_amplitude_really_sent_pass_through_whole_and_fit_the_schema(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    name = "434735/434735_2023-08-25_11#0.json.gz"
    sent = [json.loads(line) for line in RECORDED.splitlines()]
    body = archive({name: RECORDED})
    amplitude.faults = [Fault(status=200, body=body, content_type="application/zip", times=None)]

    day = {"start_date": "2023-08-25T00:00:00Z", "end_date": "2023-08-26T00:00:00Z"}

    records = run("read", {**config, **day}, ("events",)).records("events")

    assert [record["uuid"] for record in records] == [event["uuid"] for event in sent]
    for record, event in zip(records, sent, strict=True):
        assert list(jsonschema.Draft7Validator(schema("events")).iter_errors(record)) == []
        assert {k: v for k, v in record.items() if k not in TIMESTAMP_FIELDS} == {
            k: v for k, v in event.items() if k not in TIMESTAMP_FIELDS
        }
        for key in TIMESTAMP_FIELDS:
            if event[key]:
                assert record[key] == event[key].replace(" ", "T") + "+00:00"


@pytest.mark.parametrize(
    "value",
    [
        "20240101T20",
        "2024-01-01 20:15:30.123456",
        "2024-01-01 20:15:30",
        "2024-01-01T20:15:30.123456+00:00",
        "2024-01-01T20:15:30+00:00",
        "2024-01-01T20:15:30Z",
    ],
)
def test_a_state_of_airbytes_connector_is_accepted_and_its_hours_are_read_again_once(
    run: Run, config: dict[str, Any], amplitude: Emulator, value: str
) -> None:
    descriptor = {"name": "events"}
    state = [
        {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": descriptor,
                "stream_state": {"server_upload_time": value},
            },
        }
    ]

    first = run("read", config, ("events",), state)
    second = run("read", config, ("events",), first.state)

    assert min(r.query["start"] for r in amplitude.requests) == ["20240101T14"]
    assert len(first.records("events")) == (58 - 14) * 3
    assert second.records("events") == []


@pytest.mark.parametrize("lookback", [0, 6])
@pytest.mark.parametrize(
    "ends",
    [
        ("2024-01-01T17:30:00Z", "2024-01-02T11:00:00Z"),
        ("2024-01-01T17:30:00Z", "2024-01-01T17:30:00Z", None),
        ("2024-01-01T17:10:00Z", "2024-01-01T17:30:00Z", "2024-01-01T17:50:00Z", None),
        ("2024-01-01T17:30:00Z", "2024-01-01T17:10:00Z", None),
    ],
)
def test_an_end_date_that_is_moved_loses_nothing_and_repeats_nothing(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    project: Project,
    ends: tuple[str | None, ...],
    lookback: int,
) -> None:
    project.events_per_hour = 20
    config["lookback_hours"] = lookback
    outputs, state = [], None
    for end in ends:
        outputs.append(run("read", {**config, "end_date": end or ""}, ("events",), state))
        state = outputs[-1].state
        amplitude.requests.clear()

    read = [event["uuid"] for output in outputs for event in output.records("events")]
    assert len(read) == len(set(read))
    bound = ends[-1] or "2024-01-03T10:00:00Z"
    hours = [project.start + timedelta(hours=n) for n in range(58)]
    expected = {
        event["uuid"]
        for hour in hours
        for event in project.events(hour)
        if event["server_upload_time"] < bound.replace("T", " ").replace("Z", ".000000")
    }
    assert set(read) >= expected
    if ends[-1] is None or ends[-1] == max(filter(None, ends)):
        assert set(read) == expected


def test_the_rest_of_a_cut_hour_is_read_after_a_failure_too(
    run: Run, config: dict[str, Any], amplitude: Emulator, project: Project
) -> None:
    project.events_per_hour = 20
    first = run("read", {**config, "end_date": "2024-01-01T17:30:00Z"}, ("events",))
    amplitude.faults.append(Fault(status=500, hour="20240101T17", times=None))
    second = run("read", config, ("events",), first.state)
    assert second.error is not None
    amplitude.faults.clear()
    third = run("read", config, ("events",), second.state)

    read = [e["uuid"] for output in (first, second, third) for e in output.records("events")]
    assert len(read) == len(set(read)) == 58 * 20


def test_a_state_later_than_now_loses_nothing_that_comes(
    run: Run, config: dict[str, Any], clock: Clock
) -> None:
    state = [
        {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": {"name": "events"},
                "stream_state": {"server_upload_time": "20300101T00"},
            },
        }
    ]
    first = run("read", config, ("events",), state)
    clock.set(NOW + timedelta(hours=5))

    second = run("read", config, ("events",), first.state)

    assert first.states("events")[-1]["server_upload_time"] == "20240103T10"
    assert len(second.records("events")) == 5 * 3
