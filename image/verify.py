"""Test the image against an emulated Amplitude, as on a strict cluster. `make image-test` runs this.

Exit with 1 at the first promise that is not kept; print a section for a file in benchmarks/results.
"""

import json
import re
import shlex
import statistics
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emulator import Cohorts, Emulator, Fault, Project
from image import stand_in
from image.container import Job, Messages, must
from image.engine import IMAGE, MEMORY_MIB, ROOT, Engine

NOW = datetime.now(timezone.utc)
FIRST = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=10)
HOURS, EVENTS_PER_HOUR = 48, 150
STUCK = FIRST + timedelta(hours=4)
"""The hour whose export is in flight when the process gets SIGTERM."""
STOP_SECONDS = 5
KILLED = 128 + 9
STARTS = 5
PROBE = """
import importlib.util, json, os, pathlib, platform, shutil
def can_write(folder):
    try:
        pathlib.Path(folder, "probe").touch()
    except OSError:
        return False
    return True
print(json.dumps({
    "python": platform.python_version(),
    "user": [os.getuid(), os.getgid()],
    "modules": [name for name in ("isal", "pip", "hatchling") if importlib.util.find_spec(name)],
    "compilers": [name for name in ("cc", "gcc", "clang") if shutil.which(name)],
    "writable": [folder for folder in ("/", "/airbyte", "/venv", "/var/tmp") if can_write(folder)],
}))
"""
GREEDY = "b'x' * (600 << 20)"


def records(messages: Messages) -> dict[str, Messages]:
    """Group the records by stream."""
    streams: dict[str, Messages] = {}
    for message in messages:
        if message["type"] == "RECORD":
            streams.setdefault(message["record"]["stream"], []).append(message["record"]["data"])
    return streams


def uuids(messages: Messages) -> list[str]:
    """Return the ids of the events, sorted."""
    return sorted(event["uuid"] for event in records(messages).get("events", []))


def state(messages: Messages) -> Messages:
    """Return the last state of each stream, as a platform passes it to the next read."""
    states = [message["state"] for message in messages if message["type"] == "STATE"]
    last = {state["stream"]["stream_descriptor"]["name"]: state["stream"] for state in states}
    return [{"type": "STREAM", "stream": stream} for stream in last.values()]


def configure(streams: Messages) -> dict[str, Any]:
    """Configure the discovered streams, incremental where possible."""
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": stream["supported_sync_modes"][-1],
                "destination_sync_mode": "append",
            }
            for stream in streams
        ]
    }


def seconds(*line: str) -> float:
    """Return the seconds that a command takes, the median of several runs."""
    took = []
    for _ in range(STARTS):
        began = time.monotonic()
        subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
        took.append(time.monotonic() - began)
    return statistics.median(took)


def check_image(job: Job) -> str:
    """Check the image's configuration and what a process finds inside; return its Python's version."""
    configuration = job.engine.inspect(IMAGE)["Config"]
    environment = dict(variable.split("=", 1) for variable in configuration["Env"])
    command = shlex.split(environment.get("AIRBYTE_ENTRYPOINT", ""))
    must(command == configuration["Entrypoint"], "AIRBYTE_ENTRYPOINT and ENTRYPOINT are the same")
    version = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    labels = {"io.airbyte.name": IMAGE.split(":")[0], "io.airbyte.version": version[0]}
    must(labels.items() <= configuration["Labels"].items(), "the labels say the name and version")
    found = json.loads(job.python(PROBE).stdout)
    must(found["user"] == [1000, 1000], "the process is user 1000 of group 1000")
    must(found["modules"] == ["isal"], "isal is installed, pip and hatchling are not")
    must(not found["compilers"], "there is no compiler")
    must(not found["writable"], "the root file system is read-only")
    must(
        job.python(GREEDY).returncode == KILLED,
        f"a process that takes over {MEMORY_MIB} MiB is killed",
    )
    return str(found["python"])


def check_reads(job: Job, amplitude: Emulator) -> float:
    """Run each command, and a second read with nothing to do; return the seconds of the first."""
    must(job.run("spec")[-1]["type"] == "SPEC", "`spec` prints the spec")
    connection = job.run("check")[-1]["connectionStatus"]["status"]
    must(connection == "SUCCEEDED", "`check` succeeds")
    catalog = configure(job.run("discover")[-1]["catalog"]["streams"])
    job.write(catalog=catalog)

    began = time.monotonic()
    full = job.run("read")
    took = time.monotonic() - began
    names = {stream["stream"]["name"] for stream in catalog["streams"]}
    must(set(records(full)) == names, f"a full read has records of {', '.join(sorted(names))}")
    must(uuids(full) == expected_uuids(amplitude.project), "it has each event once")

    job.write(state=state(full))
    again = records(job.run("read"))
    known = records(full)
    news = [record for name in again for record in again[name] if record not in known[name]]
    must("events" not in again and not news, "an incremental read has nothing new")
    changes = job.changes()
    must(not changes, f"a read changes nothing in the image{''.join(f', as {c}' for c in changes)}")
    return took


def check_end(job: Job, amplitude: Emulator, config: dict[str, Any]) -> float:
    """End a read with SIGTERM and continue from its state; return the seconds to its end."""
    catalog = json.loads((job.folder / "catalog.json").read_text())
    events = [stream for stream in catalog["streams"] if stream["stream"]["name"] == "events"]
    job.write(catalog={"streams": events}, state=[], config={**config, "request_time_range": 1})
    amplitude.faults.append(Fault(hour=f"{STUCK:%Y%m%dT%H}", delay=60, times=None))
    messages, took = job.stop(states=3)
    amplitude.faults.clear()
    must(took < STOP_SECONDS, f"that takes less than {STOP_SECONDS} s")
    must(not list(job.tmp.iterdir()), "it leaves no temporary file")
    last = max(n for n, message in enumerate(messages) if message["type"] == "STATE")
    kept = messages[: last + 1]  # what comes after a state is not promised
    job.write(state=state(kept))
    rest = job.run("read")
    must(
        uuids(kept + rest) == expected_uuids(amplitude.project),
        "the next read loses and repeats none",
    )
    return took


def expected_uuids(project: Project) -> list[str]:
    """Return the ids of the events that a read must emit."""
    hours = (FIRST + timedelta(hours=number) for number in range(HOURS))
    return sorted(event["uuid"] for hour in hours for event in project.events(hour))


def main() -> None:
    """Build, check, measure."""
    cache = ROOT / ".cache" / "image"
    cache.mkdir(parents=True, exist_ok=True)
    engine = Engine(cache)
    base = engine.base() or stand_in.build(engine)
    engine.build(ROOT, IMAGE, base)
    start, end = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (FIRST, FIRST + timedelta(hours=HOURS)))
    # The clock stands still, so that no figure grows between two reads; a budget would never refill.
    project = Project(
        start=start,
        events_per_hour=EVENTS_PER_HOUR,
        clock=lambda: NOW,
        cohorts=Cohorts(downloads_compute=False),  # the list of cohorts would say so
    )
    with TemporaryDirectory(dir=cache) as folder, Emulator(project, budget=False) as amplitude:
        config = {
            "api_key": amplitude.api_key,
            "secret_key": amplitude.secret_key,
            "api_url": amplitude.url,
            "start_date": start,
            "end_date": end,
            "cohort_ids": ["p81xq0z"],
            # One of each, and no groups: all together cost less than the budget of five minutes.
            "chart_ids": ["wk3pl4y"],
            "segmentations": [{"name": "Active", "event": "_active"}],
            "active_users_group_by_country": False,
        }
        job = Job(engine, Path(folder), config)
        python = check_image(job)
        read = check_reads(job, amplitude)
        stop = check_end(job, amplitude, config)
        spec = seconds(*job.line("spec"))
        bare = seconds(*engine.command(job.folder, "-c", "", options=("--entrypoint=python",)))
    sizes = [engine.inspect(image)["Size"] / 1e6 for image in (IMAGE, base)]
    print(f"""
## The image

`make image-test` with {engine.runner[0]}, on `{base}`, Python {python}.

| measure | |
|---|--:|
| size on disk, MB | {sizes[0]:.0f} |
| of that over the base, MB | {sizes[0] - sizes[1]:.0f} |
| seconds to the end of `spec` | {spec:.2f} |
| of that for a container with a Python that does nothing | {bare:.2f} |
| seconds of a full read of {HOURS * EVENTS_PER_HOUR:,} events and the other streams | {read:.1f} |
| seconds from SIGTERM to the container's end | {stop:.1f} |

A process was killed over {MEMORY_MIB} MiB of memory, had no capabilities, and could write to /tmp alone.""")


if __name__ == "__main__":
    main()
