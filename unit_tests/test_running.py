"""The commands of docs/running.md, as the page prints them, on an emulated project."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from emulator import Emulator
from unit_tests.conftest import NOW

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "running.md").read_text()
EVENTS = "from 'events/*/*.parquet'"

pytestmark = pytest.mark.integration

Shell = Callable[[str], int]


def block(begin: str) -> str:
    """Return the page's block of code that begins so."""
    blocks = re.findall(r"^```\w+\n(.+?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = (code for code in blocks if code.startswith(begin))
    return str(found)


@pytest.fixture
def shell(tmp_path: Path, amplitude: Emulator, config: dict[str, Any]) -> Shell:
    """Run a script where the config and the catalog of the examples are, and return its exit code."""
    if not shutil.which("jq"):
        pytest.skip("jq is not installed (Debian: apt-get install jq)")
    # The process has the real clock.
    amplitude.project.now = lambda: NOW + timedelta(days=900)
    config = {**config, "end_date": "2024-01-02T00:00:00Z"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copy(ROOT / "examples" / "catalog.json", tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def shell(script: str) -> int:
        return subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment).returncode

    return shell


def records(path: Path) -> list[str]:
    """Return the uuids of the events that were read."""
    messages = [json.loads(line) for line in (path / "messages.ndjson").read_text().splitlines()]
    return [m["record"]["data"]["uuid"] for m in messages if m["type"] == "RECORD"]


def test_a_script_sees_whether_the_check_succeeded(shell: Shell, tmp_path: Path) -> None:
    (check,) = re.findall(r"^ +(source-amplitude check .+)$", PAGE, re.MULTILINE)
    config = json.loads((tmp_path / "config.json").read_text())

    assert shell(check) == 0
    (tmp_path / "config.json").write_text(json.dumps({**config, "secret_key": "another"}))
    assert shell(check) == 1


def test_a_catalog_is_made_of_the_streams_that_are_named(shell: Shell, tmp_path: Path) -> None:
    assert shell(block("source-amplitude discover")) == 0

    streams = json.loads((tmp_path / "catalog.json").read_text())["streams"]
    assert {stream["stream"]["name"]: stream["sync_mode"] for stream in streams} == {
        "events": "incremental",
        "active_users": "incremental",
        "cohorts": "full_refresh",
    }
    # Days up to the real one would wait for Amplitude's budget.
    fast = [stream for stream in streams if stream["stream"]["name"] != "active_users"]
    (tmp_path / "catalog.json").write_text(json.dumps({"streams": fast}))
    assert shell("source-amplitude read --config config.json --catalog catalog.json") == 0


def test_a_state_that_is_passed_on_repeats_nothing(shell: Shell, tmp_path: Path) -> None:
    assert shell(block("[ -s state.json ]")) == 0
    first = records(tmp_path)
    assert shell(block("[ -s state.json ]")) == 0

    assert len(first) == len(set(first)) > 0
    assert records(tmp_path) == []
    (state,) = json.loads((tmp_path / "state.json").read_text())
    assert state["type"] == "STREAM"
    assert state["stream"]["stream_state"]["export"]["windows_read"]


def test_parquet_has_each_event_once_whatever_failed(
    shell: Shell, tmp_path: Path, amplitude: Emulator
) -> None:
    (tmp_path / "events.sql").write_text(block("copy ("))
    (tmp_path / "sync.sh").write_text(block("#!/bin/sh"))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "secret_key": "another"}))
    assert shell("sh sync.sh") == 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shell("sh sync.sh") == 0
    uuids = records(tmp_path)
    assert shell("sh sync.sh") == 0

    with duckdb.connect() as connection:
        connection.execute(f"set file_search_path = '{tmp_path}'")
        count, distinct = connection.execute(
            f"select count(*), count(distinct uuid) {EVENTS}"
        ).fetchall()[0]
        assert count == distinct == len(uuids) > 0
        types = dict(
            connection.execute(
                f"select column_name, column_type from (describe {EVENTS})"
            ).fetchall()
        )
        assert types["server_upload_time"] == "TIMESTAMP"
        assert types["event_properties"] == "JSON"
