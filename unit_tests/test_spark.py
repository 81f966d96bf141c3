"""The data source of Spark, on a cluster of two executor processes that read from the emulator."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Export, Fault, Project
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.protocol import STREAMS, config_for, error_body

ROOT = Path(__file__).parent.parent
SPARK = ROOT / ".cache" / "envs" / "spark"
PYTHON = SPARK / "bin" / "python"
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
COMPLETE = datetime(2024, 1, 3, 10, tzinfo=timezone.utc)
"""The end of the newest complete hour at `NOW`."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="Spark is not installed: make .cache/envs/spark/ready"
    ),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java 17: install a JRE"),
]


class SparkError(Exception):
    """What Spark has said to a driver's program."""


class Cluster:
    """A driver and two executors, and all that they wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = folder / "clock"
        self.set(NOW)
        self.log = folder / "driver.log"
        with Emulator() as amplitude:
            self.keys = [amplitude.api_key, amplitude.secret_key]
        path = f"{ROOT / 'unit_tests' / 'spark'}{os.pathsep}{ROOT}"
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYSPARK_PYTHON": str(PYTHON),
            "PYSPARK_DRIVER_PYTHON": str(PYTHON),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TEST_CLOCK": str(self.clock),
            "AMPLITUDE_API_KEY": self.keys[0],
            "AMPLITUDE_SECRET_KEY": self.keys[1],
        }
        (folder / "events").mkdir()
        command = [str(PYTHON), "-m", "unit_tests.spark.driver", "local-cluster[2,1,1024]"]
        with self.log.open("wb") as log:
            self._driver = subprocess.Popen(
                [*command, str(folder / "events")],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.session = self.do("session")
        (home,) = SPARK.glob("lib/python3*/site-packages/pyspark")
        self.work = home / "work" / self.session["id"]

    def do(self, command: str, **arguments: Any) -> Any:
        """Have the driver carry out a command.

        Raises:
            SparkError: it has failed.
        """
        assert self._driver.stdin
        assert self._driver.stdout
        print(json.dumps([command, arguments]), file=self._driver.stdin, flush=True)
        for line in self._driver.stdout:
            if line.startswith("ANSWER "):
                answer = json.loads(line.removeprefix("ANSWER "))
                if "error" in answer:
                    raise SparkError(answer["error"])
                return answer["result"]
        raise AssertionError(f"the driver has ended: {self.log.read_text()[-2000:]}")

    def set(self, now: datetime) -> None:
        """Move the clock of all processes."""
        new = self.folder / "new"
        new.write_text(now.isoformat())
        new.replace(self.clock)

    def executors(self) -> list[int]:
        """The process ids of the executors."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it has ended
                continue
            if b"CoarseGrainedExecutorBackend" in words and int(parent) == self.session["jvm"]:
                found.append(int(process.name))
        return sorted(found)

    def written(self) -> str:
        """All files of driver and executors: their logs, and Spark's event log."""
        files = [*self.folder.rglob("*"), *self.work.rglob("*")]
        return "".join(file.read_text("utf-8", "replace") for file in files if file.is_file())

    def stop(self) -> None:
        """End the driver, and with it the cluster."""
        self._driver.communicate()
        shutil.rmtree(self.work)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        yield cluster
        cluster.stop()


@pytest.fixture
def spark(cluster: Cluster) -> Cluster:
    cluster.set(NOW)
    cluster.do("register", keys=None)
    return cluster


@pytest.fixture
def project() -> Project:
    return Project(start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=20)


@pytest.fixture
def amplitude(project: Project) -> Iterator[Emulator]:
    with Emulator(project, budget=False) as amplitude:
        yield amplitude


def options(amplitude: Emulator, **more: Any) -> dict[str, str]:
    config = config_for(amplitude, **more)
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
        if name not in ("api_key", "secret_key")
    }


def uuids(project: Project, start: datetime, end: datetime) -> Counter[str]:
    hours = (end - start) // timedelta(hours=1)
    return Counter(
        event["uuid"]
        for n in range(hours)
        for event in project.events(start + n * timedelta(hours=1))
    )


@pytest.mark.parametrize(("most", "in_flight"), [("1", 1), ("4", 2)])
def test_each_event_is_read_once_and_no_more_requests_are_in_flight_than_partitions_are_read(
    spark: Cluster, amplitude: Emulator, project: Project, tmp_path: Path, most: str, in_flight: int
) -> None:
    amplitude.api.first_byte_delay = 1
    chosen = options(amplitude, request_time_range=6, max_partitions=most, cohort_ids="a1,b2")

    spark.do("write", options=chosen, out=str(tmp_path / "out"))

    assert Counter(spark.do("uuids", out=str(tmp_path / "out"))) == uuids(project, START, COMPLETE)
    assert len(amplitude.requests) == 10
    assert amplitude.most_in_flight == in_flight


def test_events_of_a_file_by_day_are_read_once_by_the_windows_that_share_it(
    spark: Cluster, tmp_path: Path
) -> None:
    project = Project(start=f"{START:%Y-%m-%dT%H:%M:%SZ}", export=Export(hourly_from="2024-01-03"))
    with Emulator(project, budget=False) as amplitude:
        chosen = options(amplitude, request_time_range=7, start_date="2024-01-01T02:00:00Z")

        spark.do("write", options=chosen, out=str(tmp_path / "out"))

    found = Counter(spark.do("uuids", out=str(tmp_path / "out")))
    assert found == uuids(project, START + timedelta(hours=2), COMPLETE)


def test_an_executor_that_is_killed_loses_and_repeats_nothing(
    spark: Cluster, amplitude: Emulator, project: Project, tmp_path: Path
) -> None:
    killed = []

    def kill(body: bytes) -> bytes:
        killed.append(spark.executors()[0])
        os.kill(killed[0], signal.SIGKILL)
        return body

    amplitude.faults.append(Fault(hour="20240102T03", replace=kill))
    chosen = options(amplitude, request_time_range=6)

    spark.do("write", options=chosen, out=str(tmp_path / "out"))

    assert killed
    assert killed[0] not in spark.executors()
    assert len(amplitude.requests) > 10
    assert Counter(spark.do("uuids", out=str(tmp_path / "out"))) == uuids(project, START, COMPLETE)


def test_only_the_part_of_an_hour_between_the_dates_is_read(
    spark: Cluster, amplitude: Emulator, run: Run
) -> None:
    dates = {"start_date": "2024-01-01T05:30:00Z", "end_date": "2024-01-02T07:20:00Z"}

    rows = spark.do("rows", options=options(amplitude, **dates), columns="uuid string")

    events = run("read", config_for(amplitude, **dates), ("events",)).records("events")
    assert Counter(row["uuid"] for row in rows) == Counter(event["uuid"] for event in events)


def test_columns_hold_what_the_records_hold(spark: Cluster, amplitude: Emulator, run: Run) -> None:
    end = {"end_date": "2024-01-01T05:00:00Z"}
    kinds = spark.do("types", options=options(amplitude, **end))

    rows = {row["uuid"]: row for row in spark.do("rows", options=options(amplitude, **end))}

    for event in run("read", config_for(amplitude, **end), ("events",)).records("events"):
        row = rows.pop(event["uuid"])
        assert {
            name: kinds[name]
            for name in (
                "event_time",
                "amplitude_id",
                "groups",
                "paying",
                "amplitude_attribution_ids",
            )
        } == {
            "event_time": "timestamp",
            "amplitude_id": "bigint",
            "groups": "variant",
            "paying": "boolean",
            "amplitude_attribution_ids": "string",
        }
        for name, value in event.items():
            if kinds[name] == "timestamp" and value:
                assert datetime.fromisoformat(f"{row[name]}+00:00") == datetime.fromisoformat(value)
            elif kinds[name] == "string" and not isinstance(value, str | None):
                assert json.loads(row[name]) == value
            else:
                assert row[name] == value
    assert not rows


ODD: dict[str, Any] = {
    "": {"": [[], {}, [None, True, False]]},
    "integers": [0, -1, 127, -128, 128, 2**15, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**64, 10**37],
    "floats": [0.1, -1.5, 1e300, 5e-324],
    "texts": ["x" * 63, "x" * 64, "é" * 40, "\U0001f331"],
    "long": ["y" * 70_000, *range(300)],
    "many": {f"{n}": n for n in range(300)},
    "\U0001f331": 1,
    "\uffee": 2,
}


class Odd(Project):
    """A project whose events have properties of all kinds."""

    def events(self, hour: datetime) -> list[dict[str, Any]]:
        return [{**event, "event_properties": ODD} for event in super().events(hour)]


def test_a_variant_is_what_spark_makes_of_the_same_json(spark: Cluster) -> None:
    project = Odd(start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=1)
    with Emulator(project, budget=False) as amplitude:
        (row,) = spark.do(
            "rows",
            options=options(amplitude, end_date="2024-01-01T01:00:00Z"),
            select=[
                "to_json(event_properties) AS written",
                "schema_of_variant(event_properties) AS type",
                "variant_get(event_properties, '$.many.299', 'int') AS field",
                "try_variant_get(event_properties, '$.\U0001f331', 'int') AS last",
            ],
        )

    assert json.loads(row["written"]) == ODD
    assert row["type"].startswith("OBJECT<")
    assert (row["field"], row["last"]) == (299, 1)


def test_objects_are_json_on_demand_and_only_the_columns_of_a_given_schema_are_filled(
    spark: Cluster, amplitude: Emulator, project: Project
) -> None:
    end = options(amplitude, end_date="2024-01-01T01:00:00Z", objects="json")
    assert spark.do("types", options=end)["event_properties"] == "string"

    rows = spark.do("rows", options=end, columns="uuid string, event_properties string, new string")

    events = {event["uuid"]: event for event in project.events(START)}
    assert {row["uuid"]: json.loads(row["event_properties"]) for row in rows} == {
        uuid: event["event_properties"] for uuid, event in events.items()
    }
    assert {row["new"] for row in rows} == {None}


@pytest.mark.parametrize("stream", ["cohorts", "active_users", "event_properties", "deleted_users"])
def test_every_other_stream_is_a_table_that_one_task_reads(
    spark: Cluster, amplitude: Emulator, run: Run, stream: str
) -> None:
    rows = spark.do("rows", options=options(amplitude, stream=stream))

    assert amplitude.most_in_flight == 1
    key = STREAMS[stream][0]
    records = run("read", config_for(amplitude), (stream,)).records(stream)
    assert records
    assert sorted([str(row[field]) for field in key] for row in rows) == sorted(
        [str(record[field]) for field in key] for record in records
    )


def test_a_window_that_fails_ends_the_job_with_the_connectors_sentence(
    spark: Cluster, amplitude: Emulator, tmp_path: Path
) -> None:
    refused = error_body("Forbidden")
    amplitude.faults.append(Fault(hour="20240102T03", status=403, body=refused, times=None))

    with pytest.raises(SparkError) as failed:
        spark.do("write", options=options(amplitude), out=str(tmp_path / "out"))

    sentence = "RuntimeError: Amplitude does not let this project read events"
    assert sentence in str(failed.value)


def test_a_batch_ends_where_late_files_are_in_and_a_query_goes_on_from_its_checkpoint(
    spark: Cluster, clock: Clock, tmp_path: Path
) -> None:
    late = {(f"{START + timedelta(hours=n):%Y%m%dT%H}", 1): 1 + n % 20 for n in range(0, 72, 5)}
    project = Project(
        start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=8, export=Export(late_members=late)
    )
    out, checkpoint = str(tmp_path / "out"), str(tmp_path / "checkpoint")
    with Emulator(project, budget=False) as amplitude:
        for trigger, hours in enumerate((0, 10, 20, 29, 38, 48)):
            clock.set(NOW + timedelta(hours=hours))
            spark.set(NOW + timedelta(hours=hours))
            if trigger % 2 == 0:
                spark.do("start", options=options(amplitude), out=out, checkpoint=checkpoint)
            settled = COMPLETE + timedelta(hours=hours - 24)
            batches = spark.do("reach", hour=f"{settled:%Y%m%dT%H}")
            assert len(batches) == 1 + trigger % 2
            if trigger % 2:
                spark.do("stop")
            found = Counter(spark.do("uuids", out=out))
            assert found == uuids(project, START, settled)


class Early(Project):
    """A project whose files have an event that was uploaded before their hour."""

    def events(self, hour: datetime) -> list[dict[str, Any]]:
        first, *others = super().events(hour)
        minute = timedelta(minutes=1)
        return [
            {**first, "server_upload_time": f"{hour - minute:%Y-%m-%d %H:%M:%S}.000000"},
            *others,
        ]


def test_a_batch_has_at_most_so_many_hours_and_all_that_the_files_of_its_hours_have(
    spark: Cluster, tmp_path: Path
) -> None:
    project = Early(start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=20)
    begin, end = START + timedelta(hours=3), COMPLETE - timedelta(hours=12)
    out, checkpoint = str(tmp_path / "out"), str(tmp_path / "checkpoint")
    with Emulator(project, budget=False) as amplitude:
        dates = {"start_date": f"{begin:%Y-%m-%dT%H:%M:%SZ}"}
        chosen = options(amplitude, **dates, maxHoursPerTrigger=10, settle_hours=12)

        spark.do("start", options=chosen, out=out, checkpoint=checkpoint, availableNow=True)
        spark.do("wait")

    assert spark.do("reach", hour=f"{end:%Y%m%dT%H}") == [200, 200, 200, 200, 60]
    assert Counter(spark.do("uuids", out=out)) == uuids(project, begin, end)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"secret_key": "of-a-project"}, "`secret_key` is no option of the data source"),
        ({"start_dat": "2024-01-01T00:00:00Z"}, "`start_dat` is no option of the data source"),
        ({"request_time_range": "day"}, "`request_time_range` must be a whole number"),
        ({"max_partitions": "0"}, "`max_partitions` must be a whole number from 1"),
        ({"stream": "event"}, "`stream` is none of"),
        ({"project_timezone": "Nowhere"}, "`project_timezone` is not an IANA time zone"),
        ({"objects": "xml"}, "`objects` is none of"),
    ],
)
def test_an_option_that_cannot_work_is_named(
    spark: Cluster, amplitude: Emulator, chosen: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SparkError) as failed:
        spark.do("types", options={**options(amplitude), **chosen})

    assert sentence in str(failed.value)
    assert "of-a-project" not in str(failed.value)


def test_the_log_of_an_executor_counts_the_events_of_each_window(spark: Cluster) -> None:
    project = Project(start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=13)
    with Emulator(project, budget=False) as amplitude:
        spark.do("rows", options=options(amplitude), columns="uuid string")

    written = spark.written()
    for hours in (24, 10):
        assert f"events: {13 * hours} events of 2024010" in written


def test_no_plan_log_event_log_or_error_has_a_key(spark: Cluster) -> None:
    project = Project(seed=7, start=f"{START:%Y-%m-%dT%H:%M:%SZ}")
    with Emulator(project, budget=False) as amplitude:
        keys = [amplitude.api_key, amplitude.secret_key]
        spark.do("register", keys=keys)
        assert spark.do("rows", options=options(amplitude), columns="uuid string")
        shown = [spark.do("plan", options=options(amplitude))]
        refused = error_body("Invalid API key: " + keys[0])
        amplitude.faults.append(Fault(status=400, body=refused, times=None))
        with pytest.raises(SparkError) as failed:
            spark.do("rows", options=options(amplitude))
        shown.append(str(failed.value))

    shown.append(spark.written())
    assert "RelationV2" in shown[0]
    assert "SparkListenerTaskEnd" in shown[2]
    for key in [*keys, *spark.keys]:
        assert not any(key in text for text in shown)
