"""The options and every bad input: one sentence that names the field or the cause, and never a secret."""

import base64
import json
import re
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import pytz
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from emulator import Emulator, Fault
from source_amplitude.process.entrypoint import source_for
from source_amplitude.process.source import MANIFEST_PATH
from unit_tests.conftest import Clock, Run
from unit_tests.support.protocol import STREAMS, error_body

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
KEYS = {"api_key": "key-of-project-1", "secret_key": "secret-of-project-1"}


def spec(run: Run) -> dict[str, Any]:
    message = next(m for m in run("spec").messages if m["type"] == "SPEC")
    return dict(message["spec"]["connectionSpecification"])


def failure(run: Run, config: dict[str, Any]) -> str:
    status, message = run("check", config).connection
    assert status == "FAILED"
    return message


@pytest.mark.parametrize(
    ("option", "kind", "default", "secret"),
    [
        ("api_key", "string", None, True),
        ("secret_key", "string", None, True),
        ("start_date", "string", None, False),
        ("end_date", "string", None, False),
        ("data_region", "string", "Standard Server", False),
        ("request_time_range", "integer", 24, False),
        ("active_users_group_by_country", "boolean", True, False),
        ("lookback_hours", "integer", 6, False),
        ("on_bad_record", "string", "fail", False),
        ("project_timezone", "string", "UTC", False),
        ("daily_lookback_days", "integer", 3, False),
        ("cohort_ids", "array", None, False),
        ("chart_ids", "array", None, False),
        ("segment_property", "string", "country", False),
        ("segmentations", "array", None, False),
        ("api_url", "string", None, False),
    ],
)
def test_every_option_has_a_form_a_default_and_words_for_a_person(
    run: Run, option: str, kind: str, default: Any, secret: bool
) -> None:
    rule = spec(run)["properties"][option]

    assert rule["type"] == kind
    assert rule.get("default") == default
    assert rule.get("airbyte_secret", False) is secret
    assert rule["title"]
    assert rule["description"].endswith(".")
    assert rule["examples"]


def test_the_options_are_ordered_and_only_the_keys_are_required(run: Run) -> None:
    specification = spec(run)

    assert specification["required"] == ["api_key", "secret_key"]
    orders = [rule["order"] for rule in specification["properties"].values()]
    assert orders == list(range(len(orders)))
    assert specification["additionalProperties"] is True
    assert specification["properties"]["api_url"]["airbyte_hidden"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"api_key": None}, "`api_key` is missing"),
        ({"secret_key": None}, "`secret_key` is missing"),
        ({"api_key": ""}, "`api_key` must be letters A to Z, digits, - and _."),
        ({"start_date": "2024-01-01"}, "`start_date` must be YYYY-MM-DDTHH:mm:ssZ"),
        ({"start_date": "2024-13-01T00:00:00Z"}, "`start_date` is not a valid date"),
        ({"start_date": "2024-01-03T13:00:00Z"}, "`start_date` is in the future"),
        ({"end_date": "tomorrow"}, "`end_date` must be YYYY-MM-DDTHH:mm:ssZ"),
        (
            {"start_date": "2024-01-02T00:00:00Z", "end_date": "2024-01-01T00:00:00Z"},
            "`start_date` is not before `end_date`",
        ),
        (
            {"data_region": "Mars"},
            "`data_region` must be one of 'Standard Server', 'EU Residency Server'",
        ),
        ({"request_time_range": 0}, "`request_time_range` must be a whole number from 1 to 8760"),
        (
            {"request_time_range": 8761},
            "`request_time_range` must be a whole number from 1 to 8760",
        ),
        (
            {"request_time_range": "24"},
            "`request_time_range` must be a whole number from 1 to 8760",
        ),
        ({"lookback_hours": -1}, "`lookback_hours` must be a whole number from 0 to 168"),
        ({"lookback_hours": 169}, "`lookback_hours` must be a whole number from 0 to 168"),
        (
            {"active_users_group_by_country": "yes"},
            "`active_users_group_by_country` must be a boolean",
        ),
        ({"on_bad_record": "ignore"}, "`on_bad_record` must be one of 'fail', 'skip'"),
        ({"daily_lookback_days": 91}, "`daily_lookback_days` must be a whole number from 0 to 90"),
        ({"project_timezone": "Mars/Olympus"}, "`project_timezone` is not an IANA time zone"),
        ({"cohort_ids": "k3v9t2a"}, "`cohort_ids` must be a list"),
        ({"cohort_ids": ["k3", "k3"]}, "`cohort_ids` must be a list"),
        (
            {"cohort_ids": ["../x"]},
            '`cohort_ids` has "../x" as element 1: each element must be like "k3v9t2a".',
        ),
        ({"cohort_ids": ["k3", "k4 "]}, '`cohort_ids` has "k4 " as element 2'),
        ({"cohort_ids": ["k3\n"]}, '`cohort_ids` has "k3\\n" as element 1'),
        ({"cohort_ids": ["k3", 4, "k5"]}, "`cohort_ids` has 4 as element 2"),
        ({"cohort_ids": [None]}, "`cohort_ids` has null as element 1"),
        ({"chart_ids": ["a", "b/c"]}, '`chart_ids` has "b/c" as element 2'),
        ({"segment_property": ""}, "`segment_property` must be country or gp:name"),
        ({"segmentations": [{"name": "A"}]}, '`segmentations` has {"name": "A"} as element 1'),
        (
            {"segmentations": [{"name": "A", "event": "_all", "interval": "yearly"}]},
            '`segmentations` has "yearly" as element 1',
        ),
        ({"api_url": "http://example.com"}, "`api_url` must be an https address"),
        ({"api_url": "http://127.0.0.1@example.com"}, "`api_url` must be an https address"),
        ({"api_url": "http://localhost.example.com"}, "`api_url` must be an https address"),
    ],
)
def test_a_bad_option_fails_the_check_in_one_sentence_that_names_it(
    run: Run, change: dict[str, Any], words: str
) -> None:
    config = {key: value for key, value in {**KEYS, **change}.items() if value is not None}

    message = failure(run, config)

    assert message.startswith(words)
    assert "Traceback" not in message
    assert KEYS["secret_key"] not in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"startdate": "2024"}, "`startdate` is not an option: did you mean `start_date`?"),
        ({"lookback_hour": 3}, "`lookback_hour` is not an option: did you mean `lookback_hours`?"),
        ({"x": 3}, "`x` is not an option: the options are api_key, secret_key, start_date, "),
        (
            {"segmentations": [{"name": "A", "event": "_all", "groupby": "country"}]},
            "`groupby` is not an option of a segmentation: did you mean `group_by`?",
        ),
    ],
    ids=str,
)
def test_an_option_that_does_not_exist_is_refused_with_the_nearest_name(
    run: Run, config: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    assert failure(run, {**config, **change}).startswith(words)
    (name,) = re.findall("`([a-z_]+)` is not", words)
    alone = run("check", {**config, **change}, runtime="manifest").connection
    assert alone[0] == "FAILED"
    assert name in alone[1]


def test_the_manifest_knows_all_options_and_all_time_zones(run: Run) -> None:
    used = YamlDeclarativeSource(str(MANIFEST_PATH), config=dict.fromkeys(spec(run)["properties"]))

    assert used.configure({}, tempfile.gettempdir())["__mistakes"] == []
    zones = used.configure({}, tempfile.gettempdir())["__time_zones"].split()
    assert set(zones) <= pytz.all_timezones_set
    assert set(pytz.common_timezones) <= set(zones)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"project_timezone": "America/Los_Angeles"}, True),
        ({"project_timezone": "Asia/Calcutta"}, True),
        ({"project_timezone": ""}, True),
        ({"project_timezone": "GMT+5"}, False),
        ({"project_timezone": "PST"}, False),
        ({"project_timezone": "america/los_angeles"}, False),
        ({"project_timezone": "Mars/Olympus"}, False),
        ({"start_date": "2024-01-01T00:00:00Z"}, True),
        ({"start_date": "2020-02-29T23:59:59Z"}, True),
        ({"start_date": "2000-02-29T00:00:00Z"}, True),
        ({"end_date": "2100-02-29T00:00:00Z"}, False),
        ({"start_date": "2023-02-29T00:00:00Z"}, False),
        ({"start_date": "2024-01-01T24:00:00Z"}, False),
        ({"start_date": "2024-01-01T23:59:60Z"}, False),
        ({"start_date": "2024-01-01T23:60:00Z"}, False),
        ({"start_date": "2023-04-31T00:00:00Z"}, False),
        ({"start_date": "2023-13-01T00:00:00Z"}, False),
        ({"start_date": "2023-00-10T00:00:00Z"}, False),
        ({"start_date": "2023-01-00T00:00:00Z"}, False),
        ({"start_date": "0000-01-01T00:00:00Z"}, True),  # before Amplitude's first data
        ({"start_date": "\uff12\uff10\uff12\uff14-01-01T00:00:00Z"}, False),
        ({"start_date": "2024-01-03T13:00:00Z"}, False),
        ({"start_date": "2024-01-02T00:00:00Z", "end_date": "2024-01-03T00:00:00Z"}, True),
        ({"end_date": "2023-02-29T00:00:00Z", "start_date": "2020-01-01T00:00:00Z"}, False),
        ({"start_date": "2024-01-02T00:00:00Z", "end_date": "2024-01-02T00:00:00Z"}, False),
        ({"startdate": "2024-01-01T00:00:00Z"}, False),
        ({"lookback_hour": 3}, False),
        ({"_limit": 3, "__airbyte": "the platform's"}, True),
        ({"segmentations": [{"name": "A", "event": "_all", "group_by": "country"}]}, True),
        ({"segmentations": [{"name": "A", "event": "_all", "groupby": "country"}]}, False),
    ],
    ids=str,
)
def test_both_runtimes_take_and_refuse_the_same_in_check_and_read(
    run: Run,
    config: dict[str, Any],
    amplitude: Emulator,
    runtime: str,
    change: dict[str, Any],
    good: bool,
) -> None:
    config |= change

    status, message = run("check", config, runtime=runtime).connection

    assert status == ("SUCCEEDED" if good else "FAILED")
    if not good:
        assert amplitude.requests == []
        assert message
        with suppress(ValueError):  # as the CDK's validations raise it
            assert run("read", config, ("annotations",), runtime=runtime).error is not None
        assert amplitude.requests == []


def test_a_bad_option_fails_a_read_as_it_fails_the_check(run: Run) -> None:
    output = run("read", {**KEYS, "start_date": "2030-01-01T00:00:00Z"})

    assert output.error is not None
    assert output.error.failure_type is not None
    assert output.error.failure_type.value == "config_error"
    assert str(output.error.message).startswith("`start_date` is in the future")
    assert output.states("events") == []


INVISIBLE = ["\n", "\r\n", " ", "\t", "\u00a0", "\u200b", "\ufeff", " \u200d\n\u2060 "]


@pytest.mark.parametrize("around", INVISIBLE, ids=ascii)
def test_keys_are_used_without_what_came_along_when_they_were_copied(
    run: Run, config: dict[str, Any], around: str
) -> None:
    for key in ("api_key", "secret_key"):
        config[key] = f"{around}{config[key]}{around}"

    assert run("check", config).connection[0] == "SUCCEEDED"
    assert run("check", config, runtime="manifest").connection[0] == "SUCCEEDED"


@pytest.mark.parametrize("option", ["api_key", "secret_key"])
@pytest.mark.parametrize(
    "key", [*INVISIBLE, "ключ", "two keys", "key\nkey", "key:key", 5], ids=ascii
)
def test_what_cannot_be_a_key_is_refused_before_any_request(
    run: Run, config: dict[str, Any], amplitude: Emulator, option: str, key: Any
) -> None:
    message = failure(run, {**config, option: key})

    assert message == f"`{option}` must be letters A to Z, digits, - and _."
    assert run("check", {**config, option: key}, runtime="manifest").connection[0] == "FAILED"
    assert amplitude.requests == []


def test_null_is_the_same_as_an_option_left_out(run: Run, config: dict[str, Any]) -> None:
    options = {
        name: rule.get("default")
        for name, rule in spec(run)["properties"].items()
        if name not in ("api_key", "secret_key")
    }
    required = {key: value for key, value in config.items() if key not in options}
    used = YamlDeclarativeSource(
        str(MANIFEST_PATH), config={**required, **dict.fromkeys(options)}
    ).configure({}, tempfile.gettempdir())

    assert {key: used[key] for key, default in options.items() if default is not None} == {
        key: default for key, default in options.items() if default is not None
    }
    assert (used["start_date"], used["end_date"]) == ("2012-01-01T00:00:00Z", "")
    assert (used["cohort_ids"], used["api_url"]) == ([], "")
    nulls = {**config, **dict.fromkeys(set(options) - {"api_url", "start_date"})}
    assert run("check", nulls).connection[0] == "SUCCEEDED"
    assert run("check", nulls, runtime="manifest").connection[0] == "SUCCEEDED"
    output = run("read", nulls, ("cohorts", "cohort_members"))
    assert output.error is None
    assert output.records("cohorts")
    assert output.records("cohort_members") == []


def test_a_date_is_used_without_what_came_along_when_it_was_copied(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    config |= {"start_date": " 2024-01-03T00:00:00Z\n", "end_date": "2024-01-03T04:00:00Z\n"}

    output = run("read", config, ("events",))
    alone = run("read", config, ("events",), runtime="manifest")

    assert output.error is None
    assert len(output.records("events")) == len(alone.records("events")) == 4 * 3
    assert [r.query["start"] + r.query["end"] for r in amplitude.requests] == [
        ["20240103T00", "20240103T03"]
    ] * 2


def test_nothing_is_asked_for_before_amplitudes_first_data_and_the_log_says_so_once(
    run: Run, config: dict[str, Any], amplitude: Emulator, clock: Clock
) -> None:
    config |= {"start_date": "1970-01-01T00:00:00Z", "request_time_range": 8760}
    clock.set(datetime(2012, 3, 1, 12, tzinfo=timezone.utc))

    dated = [name for name, (_, cursor) in STREAMS.items() if cursor not in (None, "computed_at")]

    output = run("read", config, tuple(dated))
    run("read", config, tuple(dated), runtime="manifest")

    days = [
        day.replace("-", "")[:8]
        for request in amplitude.requests
        for name in ("start", "start_day")
        for day in request.query.get(name, [])
    ]
    assert min(days) == "20120101"
    assert len({request.path for request in amplitude.requests}) == 7
    assert output.error is None
    assert sum("reading from 2012-01-01" in line for line in output.logs) == 1


@pytest.mark.parametrize("blank", [{}, {"start_date": ""}])
def test_a_blank_start_date_asks_for_all_data_from_2012(
    run: Run, config: dict[str, Any], amplitude: Emulator, blank: dict[str, Any]
) -> None:
    del config["start_date"]

    run("read", {**config, **blank, "request_time_range": 8760}, ("events",))

    assert min(request.query["start"][0] for request in amplitude.requests) == "20120101T00"


def test_no_output_holds_a_key_or_the_header_made_of_them(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(
        Fault(path="/api/3/cohorts", status=403, body=error_body("Not in plan"), times=None)
    )
    pair = f"{config['api_key']}:{config['secret_key']}"

    for output in (run("check", config, debug=True), run("read", config, debug=True)):
        for secret in (*pair.split(":"), base64.b64encode(pair.encode()).decode()):
            assert secret not in output.text


def test_no_request_leaves_the_loopback_interface(
    run: Run, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        asked.append(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    for command in ("check", "discover", "read"):
        run(command, config)

    assert set(asked) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ({}, "amplitude.com"),
        ({"data_region": "Standard Server"}, "amplitude.com"),
        ({"data_region": "EU Residency Server"}, "analytics.eu.amplitude.com"),
    ],
)
def test_the_data_region_decides_the_host(
    run: Run, region: dict[str, Any], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(name: str, *_: Any, **__: Any) -> Any:
        asked.append(name)
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("NO_PROXY", "*")
    failure(run, {**KEYS, **region})

    assert set(asked) == {host}


def test_a_missing_config_file_is_said_in_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    for name in ("config.json", "nowhere.json"):
        with pytest.raises(AirbyteTracedException, match="Cannot read a file"):
            source_for(["check", "--config", str(tmp_path / name)])


def test_no_command_is_said_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "source_amplitude"], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert (
        done.stderr == "source-amplitude: choose spec, check, discover or read; --help says more\n"
    )


def test_the_version_is_that_of_the_project() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "source_amplitude", "--version"], capture_output=True, text=True
    )

    wanted = re.findall(r'^version = "(.+)"$', PYPROJECT.read_text(), re.MULTILINE)
    assert done.stdout == f"source-amplitude {wanted[0]}\n", "run `make setup`"
    assert (done.returncode, done.stderr) == (0, "")


def test_the_spec_is_printed_by_the_console_script_too(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "source_amplitude", "spec"], capture_output=True, check=True
    )

    assert json.loads(done.stdout.splitlines()[-1])["type"] == "SPEC"
