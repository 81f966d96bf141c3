"""Spark with one and with two executors against the connector alone, on the same archives, in one run.

`make bench-spark` prints a section for a file in `benchmarks/results`. An executor has one core.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench import START, Archives, arguments, build, timed
from emulator import Emulator, Fault

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".cache" / "envs" / "spark" / "bin" / "python"
DAYS = 60
EVENTS_A_DAY = 24 * 348
KINDS = {b"pyspark.daemon": "Python", b"CoarseGrainedExecutorBackend": "executor's JVM"}


@dataclass
class Memory:
    """The most memory that a process of each kind has held, MiB."""

    root: int
    peaks: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def watch(self, ended: threading.Event) -> None:
        """Look five times per second until the processes have ended."""
        while not ended.wait(0.2):
            for words, pid in descendants(self.root):
                for word, kind in KINDS.items():
                    if word in words:
                        self.peaks[kind] = max(self.peaks[kind], resident(pid))


def descendants(root: int) -> Iterator[tuple[bytes, int]]:
    """The command lines and ids of all processes below one."""
    children = defaultdict(list)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append((int(process.name), (process / "cmdline").read_bytes()))
        except OSError:  # it has ended
            continue
    waiting = [root]
    while waiting:
        for pid, words in children[waiting.pop()]:
            yield words, pid
            waiting.append(pid)


def resident(pid: int) -> float:
    """The most memory that a process has held, MiB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)


def spark(
    executors: int, amplitude: Emulator, config: dict[str, str], kill: bool = False
) -> tuple[dict[str, Any], Memory]:
    """Read into Parquet; with `kill`, an executor is killed half-way."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                *(str(PYTHON), "-m", "benchmarks.spark_job", f"local-cluster[{executors},1,1024]"),
                *(f"{folder}/out", json.dumps(config)),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYSPARK_PYTHON": str(PYTHON),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "AMPLITUDE_API_KEY": amplitude.api_key,
                "AMPLITUDE_SECRET_KEY": amplitude.secret_key,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        memory, ended = Memory(process.pid), threading.Event()
        watch = threading.Thread(target=memory.watch, args=(ended,))
        watch.start()

        def strike(body: bytes) -> bytes:
            found = [p for words, p in descendants(process.pid) if b"CoarseGrained" in words]
            os.kill(found[0], signal.SIGKILL)
            return body

        if kill:
            amplitude.faults.append(Fault(hour="20240131T00", replace=strike))
        written, _ = process.communicate()
        ended.set()
        watch.join()
        if process.returncode:
            raise SystemExit(f"Spark ended with {process.returncode}")
        return json.loads(written.splitlines()[-1]), memory


def main() -> None:
    """Run all; exit with 1 when a promise is not kept."""
    print(
        "## Spark\n\n`make bench-spark`, Python"
        f" {platform.python_version()}, {os.cpu_count()} cores.\n\n| contender | events | seconds |"
        " events/s | start-up, s | peak RSS of Python, MiB | of an executor's JVM, MiB |\n"
        "|---|--:|--:|--:|--:|--:|--:|",
        flush=True,
    )
    promises = []
    with tempfile.TemporaryDirectory() as folder:
        raw, _ = build(folder, DAYS, EVENTS_A_DAY)
        config = {
            "start_date": f"{START:%Y-%m-%dT%H:%M:%SZ}",
            "end_date": f"{START.replace(month=3, day=1):%Y-%m-%dT%H:%M:%SZ}",
        }
        with Emulator(Archives(folder, DAYS)) as amplitude:
            keys = {"api_key": amplitude.api_key, "secret_key": amplitude.secret_key}
            config["api_url"] = amplitude.url
            command = [sys.executable, "-m", "source_amplitude"]
            startup = timed([*command, "spec"]).seconds
            alone = timed([*command, "read", *arguments(folder, {**config, **keys})])
            row(
                "the connector alone",
                alone.events,
                alone.seconds - startup,
                startup,
                alone.peak_mib,
            )
            for name, executors, more, kill in (
                ("one executor", 1, {}, False),
                ("two executors", 2, {}, False),
                ("two executors, objects as text", 2, {"objects": "json"}, False),
                ("two executors, one killed half-way", 2, {}, True),
            ):
                amplitude.requests.clear()
                amplitude.most_in_flight = 0
                found, memory = spark(executors, amplitude, {**config, **more}, kill)
                row(
                    name,
                    found["rows"],
                    found["seconds"],
                    found["start"],
                    *(memory.peaks[kind] for kind in KINDS.values()),
                )
                promises += [
                    (f"{name}: each uuid once", found["rows"] == found["uuids"] == alone.events),
                    (
                        f"{name}: at most {executors} requests in flight"
                        f" ({amplitude.most_in_flight} of {len(amplitude.requests)})",
                        amplitude.most_in_flight <= executors + kill,
                    ),
                ]
    print(f"\nAn event is {raw / DAYS / EVENTS_A_DAY:,.0f} bytes of JSON.\n")
    for text, kept in promises:
        print(f"- {'kept' if kept else '**NOT KEPT**'}: {text}")
    sys.exit(not all(kept for _, kept in promises))


def row(name: str, events: int, seconds: float, start: float, *peaks: float) -> None:
    """Print one line of the table."""
    cells = [f"{events:,}", f"{seconds:.1f}", f"{events / seconds:,.0f}", f"{start:.1f}"]
    cells += [f"{peak:.0f}" for peak in peaks] + [""] * (2 - len(peaks))
    print(f"| {name} | {' | '.join(cells)} |".replace("|  |", "| |"), flush=True)


if __name__ == "__main__":
    main()
