"""The taxonomy: event types, categories and properties."""

import json
from typing import Any

import pytest

from emulator import Emulator, Fault, taxonomy
from emulator.event import EVENT_TYPES
from emulator.messages import Request
from unit_tests.conftest import Read
from unit_tests.support.protocol import answer, config_for, error_body, without_nulls

PATH = "/api/2/taxonomy/event-property"
NOT_FOUND = json.dumps(taxonomy.NOT_FOUND).encode()


def requests_of_properties(amplitude: Emulator) -> list[Request]:
    return [request for request in amplitude.requests if request.path == PATH]


def property_of(event_type: str | None, name: str = "plan") -> dict[str, Any]:
    return {"event_type": event_type, "event_property": name}


class Properties:
    """Have event types listed, and their properties answered by `respond`."""

    def __init__(self, amplitude: Emulator, *event_types: Any) -> None:
        answer(amplitude, "event_types", [{"event_type": name} for name in event_types])
        self.asked: list[str | None] = []
        self.rows: dict[str | None, Any] = {}
        self.refusal = (400, NOT_FOUND)
        original = amplitude.respond

        def respond(request: Request, fault: Fault | None, over_limit: bool) -> Any:
            response = original(request, fault, over_limit)
            if request.path == PATH:
                form, query = (part.get("event_type", []) for part in (request.form, request.query))
                assert form == query
                event_type = form[0] if form else None
                self.asked.append(event_type)
                rows = self.rows.get(event_type, [property_of(event_type)])
                response.status, response.body = self.refusal
                if isinstance(rows, list):
                    response.body = json.dumps({"success": True, "data": rows}).encode()
                    response.status = 200
            return response

        amplitude.respond = respond  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("event_categories", "category"),
        ("event_types", "event"),
        ("user_properties", "user-property"),
    ],
)
def test_the_taxonomy_passes_through_whole_with_what_was_deleted(
    read: Read, config: dict[str, Any], stream: str, kind: str
) -> None:
    records = read(config, stream).records(stream)

    assert without_nulls(records) == without_nulls(taxonomy.TAXONOMY[kind])


@pytest.mark.parametrize("where", [("form",), ("query",), ("form", "query")])
def test_event_properties_are_asked_for_by_event_type_in_the_form_and_in_the_query(
    read: Read, amplitude: Emulator, where: tuple[str, ...]
) -> None:
    amplitude.project.event_type_in = where  # type: ignore[assignment]

    records = read(config_for(amplitude), "event_properties").records("event_properties")

    requests = requests_of_properties(amplitude)
    event_types = [request.form.get("event_type") for request in requests]
    assert sorted(map(str, event_types)) == sorted(map(str, [None, *([n] for n in EVENT_TYPES)]))
    assert [request.query.get("event_type") for request in requests] == event_types
    assert {request.method for request in requests} == {"GET"}
    keys = sorted((row["event_type"], row["event_property"]) for row in records)
    assert keys == [("", "coupon"), ("", "utm_source"), ("revenue_amount", "$price")]


def test_properties_of_event_types_among_the_shared_ones_are_read_once(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    source = Properties(amplitude, "listed")
    source.rows[None] = [property_of(None), property_of("listed"), property_of("not listed")]

    records = read(config, "event_properties").records("event_properties")

    assert sorted(row["event_type"] for row in records) == ["", "listed", "not listed"]


@pytest.mark.parametrize(
    "event_type",
    [
        "'Purchase'",
        '"quoted"',
        "[1]",
        "(none)",
        "None",
        "1",
        "{{ 1 + 1 }}",
        "a&b=c d",
        "Kauf 🎉",
        " x ",
    ],
)
def test_an_event_type_is_sent_as_it_is(
    read: Read, config: dict[str, Any], amplitude: Emulator, event_type: str
) -> None:
    source = Properties(amplitude, event_type)

    records = read(config, "event_properties").records("event_properties")

    assert sorted(map(str, source.asked)) == sorted(["None", event_type])
    assert sorted(row["event_type"] for row in records) == sorted(["", event_type])


def test_an_event_type_without_a_name_or_deleted_has_no_request_of_its_own(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    source = Properties(amplitude)
    rows = [{"event_type": ""}, {"event_type": "gone", "deleted": True}, {"event_type": "here"}]
    answer(amplitude, "event_types", rows)
    amplitude.faults.reverse()

    output = read(config, "event_properties")

    assert output.statuses("event_properties")[-1] == "COMPLETE"
    assert sorted(map(str, source.asked)) == ["None", "here"]


@pytest.mark.parametrize("status", [400, 404])
def test_an_event_type_that_is_not_found_is_skipped_with_a_warning_that_names_it(
    read: Read, config: dict[str, Any], amplitude: Emulator, status: int
) -> None:
    source = Properties(amplitude, "a", "b", "c", "d", "e")
    source.rows["b"] = "not found"
    source.refusal = (status, NOT_FOUND)

    output = read(config, "event_properties")

    assert output.statuses("event_properties")[-1] == "COMPLETE"
    assert sorted(row["event_type"] for row in output.records("event_properties")) == [
        *("", "a", "c", "d", "e")
    ]
    warnings = [line for line in output.logs if "was skipped" in line]
    assert len(warnings) == 1
    assert "The event type 'b'" in warnings[0]
    assert f"{status}: Not found" in warnings[0]


@pytest.mark.parametrize(
    ("status", "failure_type", "message"),
    [
        *(
            (status, "system_error", "rejected the request for event_properties of 'b'")
            for status in (400, 405, 409, 410, 413, 422, 451)
        ),
        (401, "config_error", "refused the keys for event_properties"),
        (403, "config_error", "does not let this project read event_properties"),
        (404, "config_error", "does not let this project read event_properties"),
        (407, "config_error", "asks for a user and a password"),
    ],
)
def test_an_event_type_that_is_refused_otherwise_is_named_unless_the_project_is_refused(
    read: Read,
    config: dict[str, Any],
    amplitude: Emulator,
    status: int,
    failure_type: str,
    message: str,
) -> None:
    source = Properties(amplitude, "a", "b", "c")
    source.rows["b"] = "refused"
    source.refusal = (status, error_body("No", "Not this one"))

    output = read(config, "event_properties")

    assert output.statuses("event_properties")[-1] == "INCOMPLETE"
    errors = [error for error in output.errors if message in error["message"]]
    assert [error["failure_type"] for error in errors] == [failure_type]
    assert not [line for line in output.logs if "was skipped" in line]


def test_shared_properties_that_are_refused_are_not_skipped(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    source = Properties(amplitude, "a")
    source.rows[None] = "not found"

    output = read(config, "event_properties")

    assert output.statuses("event_properties")[-1] == "INCOMPLETE"
    assert "rejected the request for event_properties (400: Not found)" in output.text


def test_a_property_of_another_event_type_than_asked_for_is_an_error(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    source = Properties(amplitude, "a")
    source.rows["a"] = [property_of("b")]

    output = read(config, "event_properties")

    assert output.statuses("event_properties")[-1] == "INCOMPLETE"
    assert "it has properties of another event type" in output.text
    assert [row["event_type"] for row in output.records("event_properties")] == [""]


def test_a_shared_property_is_never_given_the_event_type_that_was_asked_for(
    read: Read, config: dict[str, Any], amplitude: Emulator
) -> None:
    source = Properties(amplitude, "a")
    source.rows[None] = []
    source.rows["a"] = [property_of(None), {"event_property": "size"}]

    records = read(config, "event_properties").records("event_properties")

    assert records == [
        {"event_type": "", "event_property": "plan"},
        {"event_property": "size", "event_type": "a"},
    ]
