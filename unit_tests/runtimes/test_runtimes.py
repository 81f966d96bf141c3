"""The manifest and `components.py` as they lie in the repository, in every runtime but the package.

Each is a process of its own that cannot import the package, started as its users start it.
What the package reads is what each must read, less the nulls that the CDK leaves out.
"""

import ast
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from airbyte_cdk.cli.source_declarative_manifest import _run

from emulator import Emulator, Project
from source_amplitude.extensions.times import HOUR
from unit_tests.conftest import NOW, Clock, Run
from unit_tests.support.protocol import STREAMS, Output, catalog

PACKAGE = Path(__file__).parents[2] / "source_amplitude"
MANIFEST = (PACKAGE / "manifest.yaml").read_text()
COMPONENTS = (PACKAGE / "components.py").read_text()
UNSAFE = {"AIRBYTE_ENABLE_UNSAFE_CODE": "true"}
SERVER_SECONDS = 60

# What each process runs first: it takes the package away and sets the clock, which a wait moves, of seconds
# for a cohort's job and of minutes for the budget.
STRANGER = """
import datetime, os, sys, time, time_machine
from pyrate_limiter import BucketFactory
sys.modules["source_amplitude"] = None
clock = time_machine.travel(datetime.datetime.fromisoformat(os.environ["NOW"])).start()
sleep = time.sleep
def wait(seconds):
    sleep(min(seconds, 0.05))
    clock.shift(max(seconds - 0.05, 0))
time.sleep = wait
BucketFactory.schedule_leak = lambda *_: None  # its threads wait for hours
"""
# The Builder's main function once for each line: what it costs to start is paid once.
BUILDER = """
import json, sys
from airbyte_cdk.connector_builder.main import handle_request
for line in sys.stdin:
    print(handle_request(json.loads(line)))
"""

Config = Mapping[str, Any]
Records = dict[str, list[dict[str, Any]]]


def manifest() -> dict[str, Any]:
    return dict(yaml.load(MANIFEST, yaml.CSafeLoader))


def injected(config: Config) -> dict[str, Any]:
    """A config as the platform hands it to what the Connector Builder has published."""
    digests = {name: hashlib.new(name, COMPONENTS.encode()) for name in ("md5", "sha256")}
    return {
        **config,
        "__injected_declarative_manifest": manifest(),
        "__injected_components_py": COMPONENTS,
        "__injected_components_py_checksums": {k: v.hexdigest() for k, v in digests.items()},
    }


def environment(folder: Path, now: datetime = NOW, more: Mapping[str, str] = UNSAFE) -> Any:
    first = folder / "first"
    first.mkdir(exist_ok=True)
    (first / "sitecustomize.py").write_text(STRANGER)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(first), "NOW": now.isoformat(), **more}


def arguments(folder: Path, **files: Any) -> list[str]:
    """The options of a command line, each with a file that holds its content."""
    options = []
    for option, content in files.items():
        path = folder / f"{option}-{len(list(folder.iterdir()))}.json"
        path.write_text(json.dumps(content))
        options += [f"--{option}", str(path)]
    return options


class ByPath:
    """`source-declarative-manifest` with both files beside it."""

    options: tuple[str, ...] = (
        "--manifest-path",
        "manifest.yaml",
        "--components-path",
        "components.py",
    )
    environment: Mapping[str, str] = UNSAFE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [str(Path(sys.executable).with_name("source-declarative-manifest"))]
        for name in ("manifest.yaml", "components.py"):
            (folder / name).write_text((PACKAGE / name).read_text())

    def configured(self, config: Config) -> Config:
        return config

    def run(self, command: str, config: Config, now: datetime = NOW, **files: Any) -> Output:
        done = subprocess.run(
            [
                *self.command,
                command,
                *self.options,
                *arguments(self.folder, config=self.configured(config), **files),
            ],
            cwd=self.folder,
            env=environment(self.folder, now, self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        output = Output([json.loads(line) for line in done.stdout.splitlines()])
        assert (done.returncode, output.errors) == (0, []), done.stdout + done.stderr
        return output

    def check(self, config: Config) -> Any:
        return self.run("check", config).messages[-1]["connectionStatus"]

    def discover(self, config: Config) -> Any:
        messages = self.run("discover", config).messages
        return next(m["catalog"] for m in messages if m["type"] == "CATALOG")

    def read(self, config: Config) -> Records:
        output = self.run("read", config, catalog=catalog(*STREAMS))
        return {stream: output.records(stream) for stream in STREAMS}


class ByConfig(ByPath):
    """`source-declarative-manifest` as the platform runs what the Connector Builder has published."""

    options = ()

    def configured(self, config: Config) -> Config:
        return injected(config)


class Image(ByPath):
    """A manifest-only image's files: theirs is the code that needs no leave to run.

    The CDK's entry point, a copy in such an image, looks for them at one place of the whole machine.
    The copy here looks in `folder`, since /airbyte is no test's to write to.
    """

    options = ()
    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        code = folder / "source_declarative_manifest"
        code.mkdir()
        super().__init__(code)
        self.folder = folder
        place, entry_point = "/airbyte/integration_code", Path(_run.__file__).read_text()
        assert entry_point.count(place) == 1
        (code / "run.py").write_text(entry_point.replace(place, str(folder)))
        (code / "__init__.py").touch()
        main = folder / "main.py"
        main.write_text("from source_declarative_manifest.run import run\n\nrun()\n")
        self.command = [sys.executable, str(main)]


class Builder:
    """`airbyte_cdk.connector_builder`, which answers each command line with one message."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, config: Config, *commands: tuple[str, str]) -> list[Any]:
        limits = {"max_records": 1000, "max_pages_per_slice": 20, "max_slices": 20}
        lines = []
        for command, stream in commands:
            asked = {**injected(config), "__command": command, "__test_read_config": limits}
            options = arguments(self.folder, config=asked, catalog=catalog(stream))
            lines.append(json.dumps(["read", *options]))
        done = subprocess.run(
            [sys.executable, "-c", BUILDER],
            input="\n".join(lines),
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        messages = [message for message in messages if message["type"] != "LOG"]
        assert [m["type"] for m in messages] == ["RECORD"] * len(lines), done.stdout + done.stderr
        return [message["record"]["data"] for message in messages]

    def read(self, config: Config) -> Records:
        answers = self.ask(config, *(("test_read", stream) for stream in STREAMS))
        return dict(zip(STREAMS, map(shown, answers), strict=True))

    def resolve(self, config: Config) -> list[Any]:
        commands = ("resolve_manifest", "full_resolve_manifest")
        answers = self.ask(config, *((command, next(iter(STREAMS))) for command in commands))
        return [answer["manifest"] for answer in answers]


class ManifestServer:
    """The Connector Builder's backend, over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, command: str, **body: Any) -> Any:
        answer = requests.post(
            f"{self.url}/v1/manifest/{command}",
            json={"manifest": manifest(), **body},
            timeout=SERVER_SECONDS,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_read(self, config: Config, stream: str) -> Any:
        return self.ask(
            "test_read",
            config=config,
            stream_name=stream,
            custom_components_code=COMPONENTS,
            record_limit=1000,
            page_limit=20,
            slice_limit=20,
        )

    def check(self, config: Config) -> Any:
        answer = self.ask("check", config=config)
        return {**answer, "status": "SUCCEEDED" if answer["success"] else "FAILED"}

    def discover(self, config: Config) -> Any:
        # Only a test read brings custom components; the server keeps them for what comes after.
        self.test_read(config, next(iter(STREAMS)))
        return self.ask("discover", config=config)["catalog"]

    def read(self, config: Config) -> Records:
        return {stream: shown(self.test_read(config, stream)) for stream in STREAMS}

    def resolve(self, config: Config) -> list[Any]:
        self.test_read(config, next(iter(STREAMS)))
        return [
            self.ask("resolve")["manifest"],
            self.ask("full_resolve", config=config)["manifest"],
        ]


def shown(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a test read shows of a stream, when it has nothing to complain of."""
    assert [log for log in answer["logs"] if log["level"] not in ("INFO", "DEBUG")] == []
    assert not answer["test_read_limit_reached"]
    return [
        record for part in answer["slices"] for page in part["pages"] for record in page["records"]
    ]


@contextmanager
def manifest_server(folder: Path) -> Iterator[ManifestServer]:
    """Serve as its image does; the socket is there before the server, so that nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "uvicorn", "airbyte_cdk.manifest_server.app:app"]
        server = subprocess.Popen(
            [*command, "--log-level", "warning", "--fd", str(listening.fileno())],
            cwd=folder,
            env=environment(folder),
            pass_fds=[listening.fileno()],
        )
        try:
            yield ManifestServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.kill()
            server.wait()


RUNTIMES = [ByPath, ByConfig, Image, Builder, ManifestServer]


def having(method: str) -> list[type]:
    return [runtime for runtime in RUNTIMES if hasattr(runtime, method)]


@pytest.fixture
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param is not ManifestServer:
        yield request.param(tmp_path)
        return
    with manifest_server(tmp_path) as server:
        yield server


@pytest.fixture
def recent(config: dict[str, Any]) -> dict[str, Any]:
    """A config with a small window, as a person sets it in the Connector Builder.

    Its streams together cost less than the budget of five minutes: another process really waits for it.
    """
    return {
        **config,
        "start_date": "2024-01-03T00:00:00Z",
        "active_users_group_by_country": False,
    }


def test_the_components_import_nothing_but_the_cdk_and_what_it_brings() -> None:
    brought = {re.split(r"\W", name.lower())[0] for name in metadata.requires("airbyte-cdk") or ()}
    allowed = {*sys.stdlib_module_names, *brought, "airbyte_cdk", "isal"}
    imports = [
        node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(COMPONENTS))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert "requests" in imports
    assert [name for name in imports if name.partition(".")[0] not in allowed] == []


@pytest.mark.parametrize("runtime", having("check"), indirect=True)
def test_the_check_succeeds(runtime: Any, config: Config) -> None:
    status = runtime.check(config)

    assert status["status"] == "SUCCEEDED", status


def test_the_check_warns_of_nothing(tmp_path: Path, config: Config) -> None:
    messages = ByPath(tmp_path).run("check", config).messages

    assert [m["log"] for m in messages if m["type"] == "LOG" and m["log"]["level"] == "WARN"] == []


@pytest.mark.parametrize("runtime", having("discover"), indirect=True)
def test_discover_gives_every_stream_with_its_full_schema(runtime: Any, config: Config) -> None:
    streams = runtime.discover(config)["streams"]

    assert [stream["name"] for stream in streams] == list(STREAMS)
    for stream in streams:
        path = PACKAGE / "schemas" / f"{stream['name']}.json"
        assert stream["json_schema"] == json.loads(path.read_text())


def plain(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Records to compare: without their nulls, and in one order."""
    return sorted(
        json.dumps({k: v for k, v in record.items() if v is not None}, sort_keys=True)
        for record in records
    )


@pytest.mark.parametrize("runtime", having("read"), indirect=True)
def test_every_stream_reads_what_the_package_reads(
    runtime: Any, recent: Config, run: Run, amplitude: Emulator
) -> None:
    # The other process's clock stands still, and so would what was spent. Here waits move the clock, and
    # figures grow with it.
    amplitude.api.budget = False
    amplitude.project.now = lambda: NOW
    amplitude.project.cohorts.downloads_compute = False
    package = run("read", recent)

    records = runtime.read(recent)

    for stream in STREAMS:
        assert records[stream], stream
        assert plain(records[stream]) == plain(package.records(stream)), stream


@pytest.mark.parametrize("runtime", having("resolve"), indirect=True)
def test_the_resolved_manifest_has_every_stream_and_no_reference(
    runtime: Any, config: Config
) -> None:
    for resolved in runtime.resolve(config):
        streams = {stream["name"]: stream for stream in resolved["streams"]}
        assert list(streams) == list(STREAMS)
        for name, stream in streams.items():
            assert stream["schema_loader"]["schema"] == manifest()["schemas"][name]["schema"]
            assert '"$ref"' not in (text := json.dumps(stream))
            assert '"#/' not in text


@pytest.mark.parametrize("runtime", [ByPath, ByConfig], indirect=True)
def test_syncs_of_events_lose_nothing_and_repeat_nothing_and_share_their_state_with_the_package(
    runtime: ByPath, project: Project, recent: dict[str, Any], clock: Clock, run: Run
) -> None:
    project.export.late_hours = {"20240103T07": 3}
    project.export.repack = True
    config = {**recent, "request_time_range": 4}
    moments = [NOW + timedelta(hours=2 * number) for number in range(4)]
    outputs: list[Output] = []
    for number, now in enumerate(moments):
        clock.set(now)
        state = outputs[-1].state if outputs else []
        if number == 2:
            outputs.append(run("read", config, ("events",), state))
        else:
            outputs.append(runtime.run("read", config, now, catalog=catalog("events"), state=state))

    midnight = datetime(2024, 1, 3, tzinfo=timezone.utc)
    uploaded = [e["uuid"] for n in range(16) for e in project.events(midnight + n * HOUR)]
    read = [record["uuid"] for output in outputs for record in output.records("events")]
    assert sorted(read) == sorted(uploaded)


def test_a_test_read_of_events_shows_its_slices_requests_and_records(
    tmp_path: Path, recent: Config
) -> None:
    config = {**recent, "request_time_range": 5}
    (answer,) = Builder(tmp_path).ask(config, ("test_read", "events"))

    pages = [page for part in answer["slices"] for page in part["pages"]]
    bounds = [part["slice_descriptor"]["start_time"] for part in answer["slices"]]
    assert bounds == ["20240103T00", "20240103T05"]
    assert [len(page["records"]) for page in pages] == [15, 15]
    for page, start in zip(pages, bounds, strict=True):
        assert f"/api/2/export?start={start}" in page["request"]["url"]
        assert page["response"]["status"] == 200


def test_a_test_read_of_cohort_members_shows_each_cohort_its_job_and_its_file(
    tmp_path: Path, config: Config
) -> None:
    (answer,) = Builder(tmp_path).ask(config, ("test_read", "cohort_members"))

    slices = answer["slices"]
    assert [part["slice_descriptor"]["cohort_id"] for part in slices] == ["p81xq0z", "zz7a1b2"]
    pages = [page for part in slices for page in part["pages"]]
    assert [(page["response"]["status"], len(page["records"])) for page in pages] == [
        (200, 120),
        (200, 240),
    ]
    jobs = [request["request"]["url"] for request in slices[0]["auxiliary_requests"]]
    assert any("/5/cohorts/request/p81xq0z?props=1" in url for url in jobs)
    assert any("/5/cohorts/request-status/" in url for url in jobs)
