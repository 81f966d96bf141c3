"""Speed and memory of the connector, the CDK's built-in components and a bare loop, on the same archives.

`make bench` prints a section for a file in `benchmarks/results`. Every contender is a process of its own that
writes to a pipe. Its time is from start to end, with start-up. Compare only figures of one run.
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
from source_amplitude.process.source import DOWNLOADS

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "source_amplitude"
ENVIRONMENT = {**os.environ, "AIRBYTE_ENABLE_UNSAFE_CODE": "true"}
MEMBERS_PER_HOUR = 3_000
LONG_LINE_BYTES = 20_000_000
STALL_SECONDS = 15
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
EVENTS_A_DAY = 24_000
DAY_HOURS = 24


@dataclass
class Result:
    """Time, events and peak memory of one process."""

    seconds: float
    events: int
    peak_mib: float


class Archives(Project):
    """A project whose days are archives on disk, built before the clock starts."""

    def __init__(self, folder: str, days: int) -> None:
        super().__init__(seed=1, start=f"{START:%Y-%m-%dT%H:%M:%SZ}")
        self.folder, self.days = folder, days

    def archive(self, start: datetime, end: datetime, now: datetime) -> bytes | None:
        hours = [
            divmod(int((start - START).total_seconds()) // 3600 + n, DAY_HOURS)
            for n in range(int((end - start).total_seconds()) // 3600 + 1)
        ]
        hours = [(day, hour) for day, hour in hours if day < self.days]
        if hours and hours == [(hours[0][0], hour) for hour in range(DAY_HOURS)]:
            return Path(self.folder, f"{hours[0][0]}.zip").read_bytes()
        return cut(self.folder, hours) if hours else None


def cut(folder: str, hours: list[tuple[int, int]]) -> bytes:
    """Return an archive of some hours, each a day and an hour of it."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for day, hour in hours:
            with zipfile.ZipFile(Path(folder, f"{day}.zip")) as whole:
                info = whole.infolist()[hour]
                archive.writestr(info, whole.read(info))
    return body.getvalue()


def build(folder: str, days: int, events_a_day: int) -> tuple[int, int]:
    """Write the archives in another process: a child's peak RSS includes its parent's at the fork."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(write, (folder, days, events_a_day))


def write(folder: str, days: int, events_a_day: int) -> tuple[int, int]:
    """Write a zip for each day, and return the raw and the zipped bytes."""
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
    """Run the emulator in a process of its own, so that it takes no time from the contender.

    Without a folder it serves a day of hours with `MEMBERS_PER_HOUR` files of one event each.
    """
    per_hour = MEMBERS_PER_HOUR
    project = (
        Archives(folder, days)
        if folder
        else Project(events_per_hour=per_hour, members_per_hour=per_hour)
    )
    with Emulator(project, first_byte_delay=delay) as amplitude:
        ready.put((amplitude.url, amplitude.api_key, amplitude.secret_key))
        stop.wait()


@contextmanager
def served(folder: str, days: int, delay: float = 0) -> Iterator[dict[str, Any]]:
    """Serve the archives, and yield a config for them."""
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


def timed(command: list[str]) -> Result:
    """Run a process to its end, and count the records that it writes."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
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
    """Return the options of the command `read`."""
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


def package(folder: str, config: dict[str, Any]) -> list[str]:
    """Return the command of the connector's own process."""
    return [sys.executable, "-m", "source_amplitude", "read", *arguments(folder, config)]


def declarative(folder: str, config: dict[str, Any], manifest: Path, code: Path) -> list[str]:
    """Return the command of `source-declarative-manifest`."""
    return [
        str(Path(sys.executable).with_name("source-declarative-manifest")),
        "read",
        *arguments(folder, config),
        "--manifest-path",
        str(manifest),
        "--components-path",
        str(code),
    ]


def alone(folder: str, config: dict[str, Any]) -> list[str]:
    """Return the command of the same manifest and components without the package."""
    return declarative(folder, config, PACKAGE / "manifest.yaml", PACKAGE / "components.py")


def ours(folder: str, days: int, delay: float = 0) -> Result:
    """Time the connector's own process, with its default options."""
    with served(folder, days, delay) as config:
        return timed(package(folder, config))


def manifest(folder: str, days: int) -> Result:
    """Time the manifest and its components in `source-declarative-manifest`."""
    with served(folder, days) as config:
        return timed(alone(folder, config))


def stock(folder: str, days: int) -> Result:
    """Time the CDK's built-in components: ZipfileDecoder, its datetime parser, a look-back of two hours."""
    with served(folder, days) as config:
        command = declarative(folder, config, HERE / "stock.yaml", HERE / "stock_components.py")
        return timed(command)


def many_members(command: Callable[[str, dict[str, Any]], list[str]]) -> Result:
    """Time a command with a day of hours of `MEMBERS_PER_HOUR` files each."""
    with tempfile.TemporaryDirectory() as folder, served("", 1) as config:
        return timed(command(folder, config))


def long_line(command: Callable[[str, dict[str, Any]], list[str]]) -> Result:
    """Time a command with a day whose only event is a line of `LONG_LINE_BYTES`."""
    with tempfile.TemporaryDirectory() as folder:
        line = orjson.dumps({"uuid": "1", "event_properties": {"text": "x" * LONG_LINE_BYTES}})
        with zipfile.ZipFile(Path(folder, "0.zip"), "w") as archive:
            archive.writestr("1/1_2024-01-01_0#0.json.gz", gzip.compress(line + b"\n", 6, mtime=0))
        with served(folder, 1) as config:
            return timed(command(folder, config))


def stalled(command: Callable[[str, dict[str, Any]], list[str]]) -> float:
    """Return the peak RSS, in MiB, of a process with a day of large events whose output is not read."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"name": str(n), "text": "x" * 70} for n in range(1_000)]
        with zipfile.ZipFile(Path(folder, "0.zip"), "w") as archive:
            for hour in range(DAY_HOURS):
                events = [{"uuid": f"{hour}-{n}", "data": {"rows": rows}} for n in range(200)]
                data = b"".join(orjson.dumps(event) + b"\n" for event in events)
                name = f"1/1_2024-01-01_{hour}#0.json.gz"
                archive.writestr(name, gzip.compress(data, 6, mtime=0))
        with served(folder, 1) as config:
            process = subprocess.Popen(
                command(folder, config), stdout=subprocess.PIPE, env=ENVIRONMENT
            )
            time.sleep(STALL_SECONDS)
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            assert process.stdout
            process.stdout.close()
    return usage.ru_maxrss / 1024


def killed(
    folder: str, days: int, command: Callable[[str, dict[str, Any]], list[str]]
) -> tuple[int, int, int]:
    """Kill a read after half of its events, and continue from its last state.

    Return the number of events read, of events read twice, and of events after the last state.
    """
    with served(folder, days) as config:
        first = subprocess.Popen(command(folder, config), stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert first.stdout
        uuids: list[str] = []
        state: list[Any] = []
        after = 0
        for line in first.stdout:
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                uuids.append(message["record"]["data"]["uuid"])
                after += 1
            elif message["type"] == "STATE":
                state, after = [{"type": "STREAM", "stream": message["state"]["stream"]}], 0
            if len(uuids) >= days * EVENTS_A_DAY // 2 + 1_234:
                first.kill()
                break
        first.stdout.close()
        first.wait()
        Path(folder, "state.json").write_text(json.dumps(state))
        second = subprocess.run(
            [*command(folder, config), "--state", f"{folder}/state.json"],
            capture_output=True,
            env=ENVIRONMENT,
            check=True,
        )
    for line in second.stdout.splitlines():
        if line.startswith(b'{"type":"RECORD"'):
            uuids.append(orjson.loads(line)["record"]["data"]["uuid"])
    return len(set(uuids)), len(uuids) - len(set(uuids)), after


def floor(folder: str, days: int) -> Result:
    """Time a bare loop over the files: unzip, gunzip, `orjson.loads`, `orjson.dumps`."""
    return timed(
        [sys.executable, str(HERE / "floor.py"), *(f"{folder}/{d}.zip" for d in range(days))]
    )


def seconds(result: Result) -> float:
    """Return the time by which results are sorted."""
    return result.seconds


def cells(values: list[float]) -> str:
    """Return the rest of a table's row."""
    return "".join(f" {value:.0f} |" for value in values)


def row(name: str, result: Result, raw: int) -> str:
    """Return one line of the table."""
    return (
        f"| {name} | {result.events:,} | {result.seconds:.1f} | {result.events / result.seconds:,.0f}"
        f" | {raw / result.seconds / 1e6:.0f} | {result.peak_mib:.0f} |"
    )


def main() -> None:
    """Run everything; exit with 1 if a promise is not kept."""
    kept = True

    def promise(text: str, holds: bool) -> None:
        nonlocal kept
        kept = kept and holds
        print(f"- {'kept' if holds else '**NOT KEPT**'}: {text}", flush=True)

    print(
        "## Speed and memory\n\n"
        f"`make bench`, Python {platform.python_version()}, {os.cpu_count()} cores.\n\n"
        "| process | events | seconds | events/s | MB/s | peak RSS, MiB |\n|---|--:|--:|--:|--:|--:|"
    )
    runs: dict[tuple[str, int], Result] = {}
    contenders: dict[str, Callable[[str, int], Result]] = {
        "package": ours,
        "manifest alone": manifest,
        "floor": floor,
        "stock": stock,
    }
    peaks: list[float] = []
    for days in (1, 10, 40):
        with tempfile.TemporaryDirectory() as folder:
            raw, zipped = build(folder, days, EVENTS_A_DAY)
            for name, contender in contenders.items():
                if days == 40 and name in ("stock", "manifest alone"):
                    continue
                # Runs of a few seconds differ by a tenth, so take the median of three.
                times = 3 if days == 10 and name != "stock" else 1
                tries = sorted((contender(folder, days) for _ in range(times)), key=seconds)
                runs[name, days] = result = tries[times // 2]
                peaks += [each.peak_mib for each in tries if name in ("package", "manifest alone")]
                print(row(name, result, raw), flush=True)
    mine, its, floor_, stock_ = (runs[name, 10] for name in contenders)
    print(
        f"\nAn event is {raw / days / EVENTS_A_DAY:,.0f} bytes of JSON,"
        f" {raw / zipped:.1f} times less when zipped.\n\n"
        "| one day of | package, peak RSS, MiB | manifest alone |\n|---|--:|--:|"
    )
    for events in (120_000, 1_200_000):
        with tempfile.TemporaryDirectory() as folder:
            _, size = build(folder, 1, events)
            pair = [ours(folder, 1).peak_mib, manifest(folder, 1).peak_mib]
        peaks += pair
        print(
            f"| {events:,} events, an export of {size / 2**20:.0f} MiB |{cells(pair)}", flush=True
        )
    pair = [many_members(command).peak_mib for command in (package, alone)]
    peaks += pair
    print(f"| 24 hours of {MEMBERS_PER_HOUR:,} files each |{cells(pair)}", flush=True)
    pair = [stalled(command) for command in (package, alone)]
    peaks += pair
    print(f"| 4,800 events of 100 kB, which nothing reads |{cells(pair)}", flush=True)
    pair = [long_line(command).peak_mib for command in (package, alone)]
    print(f"| one event of {LONG_LINE_BYTES / 1e6:.0f} MB |{cells(pair)}\n", flush=True)
    kills: list[tuple[int, int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        build(folder, 4, EVENTS_A_DAY)
        for name, command in (("package", package), ("manifest alone", alone)):
            kills.append(killed(folder, 4, command))
            came, twice, after = kills[-1]
            print(
                f"{name}: killed after half of {4 * EVENTS_A_DAY:,} events, {after:,} of them after"
                f" the last state. With the next read, {came:,} were read, {twice:,} of them twice.\n",
                flush=True,
            )
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
        f"the package is 13 times the stock parts ({stock_.seconds / mine.seconds:.1f})",
        stock_.seconds / mine.seconds >= 13,
    )
    promise(
        f"the manifest alone is 5 times the stock parts ({stock_.seconds / its.seconds:.1f})",
        stock_.seconds / its.seconds >= 5,
    )
    promise(
        f"the package is at most 1.5 times the floor ({mine.seconds / floor_.seconds:.1f})",
        mine.seconds <= 1.5 * floor_.seconds,
    )
    promise(f"at most 200 MiB ({max(peaks):.0f})", max(peaks) <= 200)
    promise(
        "a kill loses no event, and only events after the last state are repeated",
        all(came == 4 * EVENTS_A_DAY and twice <= after <= 5_000 for came, twice, after in kills),
    )
    promise(f"downloads overlap ({late / best:.2f} of the best)", late <= 1.3 * best)
    sys.exit(not kept)


if __name__ == "__main__":
    main()
