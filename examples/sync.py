"""Sync into amplitude.duckdb through PyAirbyte. `make sync` runs this.

With AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY set it reads the five core streams of that project, or the
comma-separated streams of AMPLITUDE_STREAMS, with AMPLITUDE_START_DATE, AMPLITUDE_DATA_REGION and
AMPLITUDE_PROJECT_TIMEZONE as options; without keys it reads the streams of an emulated project that need
not wait.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATABASE = ROOT / "amplitude.duckdb"
CACHE = ROOT / ".cache" / "sync"
PIPE = CACHE / "progress"
DAYS = timedelta(days=18)
LOOSE = "Could not determine airbyte type from JSON schema"
CORE = ["events", "active_users", "average_session_length", "cohorts", "annotations"]
BEYOND_BUDGET = ("new_users_weekly", "new_users_monthly")
"""Streams with which a first sync would wait five minutes for Amplitude's budget."""


def confine(folder: Path) -> None:
    """Keep PyAirbyte offline and its files within a folder; it reads all of this when it is imported."""
    os.environ.update(
        AIRBYTE_OFFLINE_MODE="1",
        DO_NOT_TRACK="1",
        NO_LIVE_PROGRESS="1",  # progress.py shows it, on a terminal and elsewhere
        TMPDIR=str(folder),
        HOME=str(folder),
        AIRBYTE_PROJECT_DIR=str(folder),
        AIRBYTE_CACHE_ROOT=str(folder),
        AIRBYTE_LOGGING_ROOT=str(folder),
    )
    tempfile.tempdir = str(folder)
    os.chdir(folder)
    # Google's libraries, which PyAirbyte imports, announce when they will drop this Python.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")


def executable() -> Path:
    """Write a program that PyAirbyte can start: the connector, with its progress in PIPE."""
    path = CACHE / "source-amplitude-with-progress"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{ROOT}/examples/progress.py" "$@"\n')
    path.chmod(0o755)
    return path


def config(stack: ExitStack) -> dict[str, Any]:
    """Return the config of the environment's project, or of one emulated until the stack is closed."""
    keys = {name: os.environ.get(f"AMPLITUDE_{name.upper()}") for name in ("api_key", "secret_key")}
    if all(keys.values()):
        options = {
            name: os.environ.get(f"AMPLITUDE_{name.upper()}")
            for name in ("start_date", "data_region", "project_timezone")
        }
        print("Reading your Amplitude project.", flush=True)
        return {name: value for name, value in {**keys, **options}.items() if value}
    from emulator import Emulator, Project

    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    # As many days as Amplitude's budget allows the daily streams without a wait. An hour of the emulator
    # holds the same events wherever the project starts, so a sync on another day continues this one.
    start = f"{today - DAYS:%Y-%m-%dT%H:%M:%SZ}"
    print(
        "AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY are not set: reading generated data from a local"
        " emulator.",
        flush=True,
    )
    amplitude = stack.enter_context(Emulator(Project(start=start, events_per_hour=60)))
    return {
        "api_key": amplitude.api_key,
        "secret_key": amplitude.secret_key,
        "api_url": amplitude.url,
        "start_date": start,
        "cohort_ids": ["p81xq0z", "zz7a1b2"],
    }


def choose_streams(options: dict[str, Any], available: list[str]) -> list[str]:
    """Return the streams to read: of an emulated project what need not wait, else those named or the core."""
    if "api_url" in options:
        return [name for name in available if name not in BEYOND_BUDGET]
    named = os.environ.get("AMPLITUDE_STREAMS")
    return [name.strip() for name in named.split(",")] if named else CORE


class Follower(threading.Thread):
    """Prints the progress of a read, and keeps what the connector counted."""

    def __init__(self) -> None:
        """Run until the connector has ended."""
        super().__init__(daemon=True)
        self.counted: dict[str, int] = {}

    def run(self) -> None:
        """Read the pipe to its end."""
        with PIPE.open() as lines:
            for content in map(json.loads, lines):
                if isinstance(content, str):
                    print(content, flush=True)
                else:
                    self.counted = content


def rows_of(cache: Any, stream: str, began: datetime, newest: str = "'-'") -> tuple[int, int, Any]:
    """Return a stream's rows in the cache, those of them extracted since `began` (UTC), and the newest."""
    from sqlalchemy import text

    query = (
        f"select count(*), count(*) filter (where _airbyte_extracted_at >= :began), {newest}"
        f" from {cache.schema_name}.{stream}"
    )
    with cache.get_sql_engine().connect() as connection:
        count, new, last = connection.execute(text(query), {"began": began}).one()
    return count, new, last


def table(source: Any, cache: Any, began: datetime, counted: dict[str, int]) -> str:
    """Word one line per stream with its rows, and each disagreement with the connector's count."""
    rows, remarks = [("stream", "rows", "new", "newest")], []
    for stream in source.discovered_catalog.streams:
        name = stream.name
        if name not in source.get_selected_streams():
            continue
        newest = f"max({stream.default_cursor_field[0]})" if stream.default_cursor_field else "'-'"
        count, new, last = rows_of(cache, name, began, newest)
        rows.append((name, f"{count:,}", f"{new:,}", str(last)))
        if new != counted.get(name, 0):
            remarks.append(
                f"{name}: the connector counted {counted.get(name, 0):,} records, and the file has"
                f" {new:,} rows of this sync. Records with the same key become one row."
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {count:>{widths[1]}}  {new:>{widths[2]}}  {last}"
        for name, count, new, last in rows
    ]
    agreed = "The file has every record that the connector counted."
    return "\n".join([*lines, *(remarks or [agreed])])


def main() -> int:
    """Sync once; print one sentence and return 1 if that fails."""
    CACHE.mkdir(parents=True, exist_ok=True)
    PIPE.unlink(missing_ok=True)
    os.mkfifo(PIPE)
    os.environ["SYNC_PROGRESS"] = str(PIPE)
    confine(CACHE)
    import airbyte as ab
    import airbyte.types
    from airbyte.exceptions import PyAirbyteError

    # It announces each property of several types for each batch; those become text, as they should.
    announce = airbyte.types.print
    airbyte.types.print = lambda words: LOOSE in words or announce(words)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    with ExitStack() as stack:
        try:
            options = config(stack)
            source = ab.get_source(
                "source-amplitude", config=options, local_executable=str(executable())
            )
            source.select_streams(choose_streams(options, source.get_available_streams()))
            source.check()
            cache = ab.caches.DuckDBCache(db_path=str(DATABASE), schema_name="main")
            # PyAirbyte's times have no zone; they are UTC.
            began = datetime.now(timezone.utc).replace(tzinfo=None)
            reading = time.monotonic()
            follower = Follower()
            follower.start()
            # The connector checks its options itself.
            source.read(cache=cache, skip_validation=True)
            follower.join()
            read = time.monotonic() - reading
        except PyAirbyteError as error:
            sys.stderr.write(f"\nThe sync failed: {reason(error)}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\nStopped; the next sync continues where this one ended.\n")
            return 130
        print("\n" + table(source, cache, began, follower.counted))
    seconds = time.monotonic() - started
    print(f"{seconds:.1f} seconds, {read:.1f} of them reading, into {DATABASE.name}", flush=True)
    return 0


def reason(error: BaseException) -> str:
    """Return the connector's own sentence, from wherever PyAirbyte keeps it."""
    context = getattr(error, "context", None) or {}
    words = context.get("failure_reason") or getattr(error, "message", None)
    lines = getattr(error, "log_text", None) or []
    for line in reversed(lines if isinstance(lines, list) else str(lines).splitlines()):
        if '"message"' in line and '"ERROR"' in line:
            return str(line)
    return str(words or error)


if __name__ == "__main__":
    sys.exit(main())
