"""Events a second and memory: this connector, the CDK's stock parts, and the floor, on the same archives.

`make bench` prints a section for `benchmarks/README.md`. Every contender is a process of its own that writes
to a pipe; its time is from start to end, start-up included. Only ratios within one run mean anything.
"""

import gzip
import io
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from emulator import Emulator, Project
from source_amplitude.source import DOWNLOADS

HERE = Path(__file__).parent
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
EVENTS_A_DAY = 24_000
DAY_HOURS = 24


@dataclass
class Result:
    """What one process needed."""

    seconds: float
    events: int
    peak_mib: float


class Archives(Project):
    """A project whose days are archives on disk, built before the clock starts."""

    def __init__(self, folder: str, days: int) -> None:
        super().__init__(seed=1, start=f"{START:%Y-%m-%dT%H:%M:%SZ}")
        self.folder, self.days = folder, days

    def archive(self, start: datetime, end: datetime, now: datetime) -> bytes | None:
        day = (start - START).days
        if day >= self.days:
            return None
        return Path(self.folder, f"{day}.zip").read_bytes()


def build(folder: str, days: int, events_a_day: int) -> tuple[int, int]:
    """Write the archives in a process of its own: a child's peak RSS includes its parent's at the fork."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(write, (folder, days, events_a_day))


def write(folder: str, days: int, events_a_day: int) -> tuple[int, int]:
    """Write a zip a day; the raw and the zipped bytes. Days differ in their names and uuids only."""
    source = Project(seed=1, start=f"{START:%Y-%m-%dT%H:%M:%SZ}", events_per_hour=250)
    samples = [
        orjson.dumps(event) for h in range(4) for event in source.events(START + timedelta(hours=h))
    ]
    chance = random.Random(1)
    raw = zipped = 0
    for day in range(days):
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for hour in range(DAY_HOURS):
                lines = []
                for _ in range(events_a_day // DAY_HOURS):
                    event = orjson.loads(samples[chance.randrange(len(samples))])
                    event["uuid"] = f"{chance.getrandbits(128):032x}"
                    event["device_id"] = f"{chance.getrandbits(64):016x}"
                    event["user_properties"]["tokens"] = f"{chance.getrandbits(512):0128x}"
                    lines.append(orjson.dumps(event))
                data = b"\n".join(lines) + b"\n"
                raw += len(data)
                name = f"1/1_{START + timedelta(days=day):%Y-%m-%d}_{hour}#0.json.gz"
                archive.writestr(name, gzip.compress(data, 6, mtime=0))
        Path(folder, f"{day}.zip").write_bytes(body.getvalue())
        zipped += len(body.getvalue())
    return raw, zipped


def serve(folder: str, days: int, delay: float, ready: Any, stop: Any) -> None:
    """The emulator in a process of its own, so that it takes no time from the contender's."""
    with Emulator(Archives(folder, days), first_byte_delay=delay) as amplitude:
        ready.put((amplitude.url, amplitude.api_key, amplitude.secret_key))
        stop.wait()


@contextmanager
def served(folder: str, days: int, delay: float = 0) -> Iterator[dict[str, Any]]:
    """A config whose `api_url` serves the archives."""
    context = get_context("spawn")
    ready, stop = context.Queue(), context.Event()
    process = context.Process(target=serve, args=(folder, days, delay, ready, stop))
    process.start()
    url, api_key, secret_key = ready.get()
    try:
        yield {
            "api_key": api_key,
            "secret_key": secret_key,
            "api_url": url,
            "start_date": f"{START:%Y-%m-%dT%H:%M:%SZ}",
            "end_date": f"{START + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
        }
    finally:
        stop.set()
        process.join()


def timed(command: list[str], environment: dict[str, str] | None = None) -> Result:
    """Run a process to its end; count the records it writes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    assert process.stdout
    count = subprocess.run(
        ["grep", "-c", '^{"type":"RECORD"'], stdin=process.stdout, capture_output=True, check=False
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{command[:3]} ended with {process.returncode}")
    return Result(time.perf_counter() - began, int(count.stdout), usage.ru_maxrss / 1024)


def arguments(folder: str, config: dict[str, Any]) -> list[str]:
    """The read command's options."""
    catalog = {
        "streams": [
            {
                "stream": {
                    "name": "events",
                    "json_schema": {},
                    "supported_sync_modes": ["incremental"],
                },
                "sync_mode": "incremental",
                "destination_sync_mode": "append",
            }
        ]
    }
    for name, content in (("config", config), ("catalog", catalog)):
        Path(folder, f"{name}.json").write_text(json.dumps(content))
    return ["--config", f"{folder}/config.json", "--catalog", f"{folder}/catalog.json"]


def ours(folder: str, days: int, delay: float = 0) -> Result:
    """This connector's own process, with its default options."""
    with served(folder, days, delay) as config:
        return timed([sys.executable, "-m", "source_amplitude", "read", *arguments(folder, config)])


def stock(folder: str, days: int, delay: float = 0) -> Result:
    """The same work with what the CDK has: ZipfileDecoder, its datetime parser, a look-back of two hours."""
    with served(folder, days, delay) as config:
        return timed(
            [
                str(Path(sys.executable).with_name("source-declarative-manifest")),
                "read",
                *arguments(folder, config),
                "--manifest-path",
                str(HERE / "stock.yaml"),
                "--components-path",
                str(HERE / "stock_components.py"),
            ],
            {"AIRBYTE_ENABLE_UNSAFE_CODE": "true"},
        )


def floor(folder: str, days: int) -> Result:
    """A bare loop over the files: unzip, gunzip, `orjson.loads`, `orjson.dumps`."""
    return timed(
        [sys.executable, str(HERE / "floor.py"), *(f"{folder}/{d}.zip" for d in range(days))]
    )


def row(name: str, result: Result, raw: int) -> str:
    """One line of the table."""
    return (
        f"| {name} | {result.events:,} | {result.seconds:.1f} | {result.events / result.seconds:,.0f}"
        f" | {raw / result.seconds / 1e6:.0f} | {result.peak_mib:.0f} |"
    )


def main() -> None:
    """Run everything; exit with 1 when a promise is not kept."""
    kept = True

    def promise(text: str, holds: bool) -> None:
        nonlocal kept
        kept = kept and holds
        print(f"- {'kept' if holds else '**NOT KEPT**'}: {text}", flush=True)

    print(
        f"## {datetime.now(timezone.utc):%Y-%m-%d}\n\n"
        f"`make bench`, Python {platform.python_version()}, {os.cpu_count()} cores.\n\n"
        "| process | events | seconds | events/s | MB/s | peak RSS, MiB |\n|---|--:|--:|--:|--:|--:|"
    )
    runs: dict[tuple[str, int], Result] = {}
    contenders: dict[str, Callable[[str, int], Result]] = {
        "ours": ours,
        "floor": floor,
        "stock": stock,
    }
    for days in (1, 10, 40):
        with tempfile.TemporaryDirectory() as folder:
            raw, zipped = build(folder, days, EVENTS_A_DAY)
            for name, contender in contenders.items():
                if name == "stock" and days == 40:
                    continue
                runs[name, days] = result = contender(folder, days)
                print(row(name, result, raw), flush=True)
    mine, floor_, stock_ = (runs[name, 10] for name in contenders)
    print(
        f"\nAn event is {raw / days / EVENTS_A_DAY:,.0f} bytes of JSON,"
        f" {raw / zipped:.1f} times less when zipped.\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        _, small = build(folder, 1, 120_000)
        light = ours(folder, 1)
        _, large = build(folder, 1, 1_200_000)
        heavy = ours(folder, 1)
    for size, result in ((small, light), (large, heavy)):
        print(f"One export of {size / 1e6:.0f} MB: peak RSS {result.peak_mib:.0f} MiB.\n")
    windows, delay = 20, 2.0
    with tempfile.TemporaryDirectory() as folder:
        build(folder, windows, EVENTS_A_DAY // 2)
        started = timed([sys.executable, "-m", "source_amplitude", "spec"]).seconds
        parse = ours(folder, windows).seconds - started
        late = ours(folder, windows, delay).seconds - started
    best = max(parse, math.ceil(windows / DOWNLOADS) * delay)
    print(
        f"{windows} windows, {delay:.0f} s to the first byte, {DOWNLOADS} in flight: {late:.1f} s;"
        f" without the wait {parse:.1f} s; start-up, {started:.1f} s, left out of both.\n"
    )
    promise(
        f"ten times the stock parts ({stock_.seconds / mine.seconds:.1f})",
        stock_.seconds / mine.seconds >= 10,
    )
    promise(
        f"at most three times the floor ({mine.seconds / floor_.seconds:.1f})",
        mine.seconds <= 3 * floor_.seconds,
    )
    peak = max(result.peak_mib for result in (runs["ours", 40], light, heavy))
    promise(f"at most 200 MiB ({peak:.0f})", peak <= 200)
    promise(f"downloads overlap ({late / best:.2f} of the best)", late <= 1.3 * best)
    sys.exit(not kept)


if __name__ == "__main__":
    main()
