"""The built wheel in a fresh environment, synced through PyAirbyte into real databases."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from emulator import Emulator, Export, Project
from tools.docs import in_database
from unit_tests.conftest import Clock, Run
from unit_tests.support.protocol import STREAMS, config_for

ROOT = Path(__file__).parents[2]
PYAIRBYTE = ROOT / ".cache" / "envs" / "sync" / "bin" / "python"
COMMENTS = ROOT / "docs" / "columns.sql"
TODAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - timedelta(days=10)
"""By the real clock, which PyAirbyte runs the connector by: few days, so that no budget is waited for."""
NOW = START + timedelta(days=2, hours=12, minutes=30)
"""By the emulator's clock, which stands still."""
ENDS = (START + timedelta(hours=53), START + timedelta(hours=58))
"""Where the events of the first and of the second sync end."""
LATE = (f"{START + timedelta(hours=50):%Y%m%dT%H}", 1)
"""A member within the look-back that Amplitude adds between the two syncs."""

pytestmark = pytest.mark.integration

Select = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script of the wheel, beside nothing but what the runtime's lock names."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "bin" / "python"
    build = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "wheel").iterdir()
    uv("venv", "--allow-existing", "--python", sys.executable, str(folder))
    lock = str(ROOT / "requirements" / "runtime.txt")
    uv("pip", "sync", "--python", str(python), "--require-hashes", lock)
    uv("pip", "install", "--python", str(python), "--no-deps", str(wheel))
    return folder / "bin" / "source-amplitude"


def uv(*command: str) -> None:
    """Run uv on its cache, and on the package index only for what the cache has not."""
    environment = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ}
    path = str(Path(sys.executable).with_name("uv"))
    for offline in (["--offline"], []):
        result = subprocess.run(
            [path, *command, "--quiet", *offline], env=environment, capture_output=True, text=True
        )
        if result.returncode == 0:
            return
    raise AssertionError(result.stderr)


@pytest.fixture
def project() -> Project:
    return Project(
        start=f"{START:%Y-%m-%dT%H:%M:%SZ}",
        events_per_hour=3,
        export=Export(late_members={LATE: 9}),
    )


@pytest.fixture
def amplitude(project: Project) -> Iterator[Emulator]:
    # Its clock stands still, and so would what was spent of its budgets.
    with Emulator(project, budget=False) as amplitude:
        yield amplitude


@pytest.fixture
def config(amplitude: Emulator, clock: Clock) -> dict[str, Any]:
    clock.set(NOW)
    return config_for(
        amplitude,
        start_date=f"{START:%Y-%m-%dT%H:%M:%SZ}",
        # Less than the budget of five minutes: the connector's process really waits for it.
        active_users_group_by_country=False,
        chart_ids=["wk3pl4y"],
    )


Sync = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, int]]


@pytest.fixture
def sync(executable: Path, tmp_path: Path) -> Sync:
    if not PYAIRBYTE.exists():
        pytest.skip("PyAirbyte is not installed: make .cache/envs/sync/ready")

    def sync(cache: str, database: dict[str, Any], config: dict[str, Any]) -> dict[str, int]:
        job = {
            "executable": str(executable),
            "streams": list(STREAMS),
            "config": config,
            "cache": cache,
            "database": database,
        }
        (tmp_path / "job.json").write_text(json.dumps(job))
        process = subprocess.run(
            [str(PYAIRBYTE), "-m", "unit_tests.support.pyairbyte_sync", str(tmp_path / "job.json")],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        return dict(json.loads(process.stdout.splitlines()[-1]))

    return sync


def ending(config: dict[str, Any], end: datetime) -> dict[str, Any]:
    return {**config, "end_date": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def shown(project: Project, end: datetime) -> dict[str, dict[str, Any]]:
    """The events before `end` that the export shows by now, by uuid."""
    events = {}
    hour = project.start
    while hour < end:
        late = f"{hour:%Y%m%dT%H}" == LATE[0] and project.now() < hour + timedelta(hours=3 + 9)
        for number, event in enumerate(project.events(hour)):
            if not (late and number % project.members_per_hour == LATE[1]):
                events[event["uuid"]] = event
        hour += timedelta(hours=1)
    return events


def test_a_second_sync_into_duckdb_reads_only_what_is_new(
    run: Run,
    sync: Sync,
    config: dict[str, Any],
    project: Project,
    clock: Clock,
    tmp_path: Path,
) -> None:
    database = {"db_path": str(tmp_path / "project.duckdb"), "schema_name": "amplitude"}

    first = sync("DuckDBCache", database, ending(config, ENDS[0]))
    before = shown(project, ENDS[0])
    clock.set(NOW + timedelta(hours=9))
    second = sync("DuckDBCache", database, ending(config, ENDS[1]))
    after = shown(project, ENDS[1])

    assert first["events"] == len(before)
    assert second["events"] == len(after) - len(before)
    assert len(after.keys() - before.keys()) == 5 * 3 + 1
    for stream in (name for name, (_, cursor) in STREAMS.items() if cursor == "date"):
        # A week or a month that is running is read again whole.
        most = first[stream] if stream.endswith(("weekly", "monthly")) else first[stream] / 2
        assert 0 < second[stream] <= most, stream
    with duckdb.connect(database["db_path"]) as connection:

        def select(query: str) -> list[tuple[Any, ...]]:
            return list(connection.execute(query).fetchall())

        connection.execute("use amplitude")
        connection.execute(COMMENTS.read_text())
        holds_the_events(select, after)
        holds_every_stream(select, run, ending(config, ENDS[1]))


def test_a_sync_into_postgresql_has_every_record_with_its_types(
    run: Run, sync: Sync, config: dict[str, Any], project: Project, clock: Clock, server: int
) -> None:
    clock.set(NOW + timedelta(hours=9))
    database = {
        "host": "127.0.0.1",
        "port": server,
        "username": "postgres",
        "password": "unused",
        "database": "postgres",
        "schema_name": "amplitude",
    }

    records = sync("PostgresCache", database, ending(config, ENDS[1]))

    events = shown(project, ENDS[1])
    assert records["events"] == len(events)
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{server}/postgres") as connection:

        def select(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        connection.execute("set search_path to amplitude")
        connection.execute(COMMENTS.read_bytes())
        holds_the_events(select, events)
        holds_every_stream(select, run, ending(config, ENDS[1]))


def holds_the_events(select: Select, events: dict[str, dict[str, Any]]) -> None:
    """Compare the table with the events: the columns, their types, and every time and object."""
    schema = json.loads((ROOT / "source_amplitude" / "schemas" / "events.json").read_text())
    properties = schema["properties"]
    types = {
        name: kind.lower()
        for name, kind in select(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'amplitude' and table_name = 'events'"
        )
    }
    own = {"_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta"}
    assert set(types) == {*map(in_database, properties), *own}
    assert {"_insert_id", "_insert_key", "_schema"} <= set(types)
    times = [name for name, rule in properties.items() if rule.get("format") == "date-time"]
    assert "server_upload_time" in times
    # PyAirbyte declares a time zone and writes a type without one; the values are UTC.
    assert {types[name] for name in times} <= {"timestamp", "timestamp without time zone"}
    objects = [name for name, rule in properties.items() if rule["type"] == ["null", "object"]]
    assert "event_properties" in objects
    assert {types[name] for name in objects} == {"json"}

    texts = ["$insert_id", "amplitude_id", "event_type", "city"]
    columns = [*map(in_database, ["uuid", *texts, *times])]
    columns += [f"cast({in_database(name)} as varchar)" for name in objects]
    rows = select(f"select {', '.join(columns)} from amplitude.events")
    assert len(rows) == len(events)
    for uuid, *values in rows:
        event = events.pop(uuid)
        expected = [event[name] for name in texts]
        expected += [event[name] and datetime.fromisoformat(event[name]) for name in times]
        expected += [event[name] for name in objects]
        found = values[: -len(objects)]
        found += [
            value and json.loads(value, parse_float=near) for value in values[-len(objects) :]
        ]
        assert found == expected


def near(number: str) -> float:
    """A number of a JSON column: on its way to PostgreSQL pandas reads 6.56 as 6.5600000000000005."""
    return round(float(number), 9)


def holds_every_stream(select: Select, run: Run, config: dict[str, Any]) -> None:
    """Compare the keys of each table with those that the connector reads in this process.

    This process stands at the emulator's time; by the real clock streams with a cursor have more days.
    """
    (discovered,) = [m for m in run("discover", config).messages if m["type"] == "CATALOG"]
    output = run("read", config)
    for stream in discovered["catalog"]["streams"]:
        name = stream["name"]
        if name not in STREAMS:
            continue
        key = [path[0] for path in stream["source_defined_primary_key"]]
        rows = select(f"select {', '.join(map(in_database, key))} from amplitude.{name}")
        keys = {tuple(map(plain, row)) for row in rows}
        expected = {tuple(str(record[part]) for part in key) for record in output.records(name)}
        assert len(rows) == len(keys), name
        assert expected, name
        assert expected <= keys if STREAMS[name][1] else expected == keys, name


def plain(value: Any) -> str:
    """A cell as text; a whole number in a column of numbers has no decimals."""
    whole = isinstance(value, (float, Decimal)) and value == int(value)
    return str(int(value) if whole else value)


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a PostgreSQL that ends with the test and keeps nothing."""
    programs = [Path(path) for path in (shutil.which("postgres"),) if path]
    programs += sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # It refuses to be root, and root's `tmp_path` is closed to all others.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if user:
            shutil.chown(folder, user)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )

        def control(*arguments: str) -> None:
            command = [
                str(programs[-1].with_name("pg_ctl")),
                "-D",
                f"{folder}/data",
                "-s",
                *arguments,
            ]
            subprocess.run(command, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL)

        control("init", "-o", "--username=postgres --auth=trust --encoding=UTF8 --no-sync")
        control("start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield port
        finally:
            control("stop", "-m", "immediate")
