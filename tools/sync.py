"""All streams into amplitude.duckdb, through PyAirbyte and the console script: what `make sync` runs.

With AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY set it reads the five core streams of that project, or those
that AMPLITUDE_STREAMS names with commas between, from AMPLITUDE_START_DATE, AMPLITUDE_DATA_REGION and
AMPLITUDE_PROJECT_TIMEZONE when they are set; without keys it reads all streams of an emulated one.
"""

import os
import signal
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATABASE = ROOT / "amplitude.duckdb"
CACHE = ROOT / ".cache" / "sync"
DAYS = timedelta(days=18)
CORE = ["events", "active_users", "average_session_length", "cohorts", "annotations"]


def prepare() -> None:
    """Keep PyAirbyte offline and within the clone; it reads all of this when it is imported."""
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        AIRBYTE_OFFLINE_MODE="1",
        DO_NOT_TRACK="1",
        NO_LIVE_PROGRESS="1",
        TMPDIR=str(CACHE),
        HOME=str(CACHE),
        AIRBYTE_PROJECT_DIR=str(CACHE),
        AIRBYTE_CACHE_ROOT=str(CACHE),
        AIRBYTE_LOGGING_ROOT=str(CACHE),
    )
    tempfile.tempdir = str(CACHE)
    os.chdir(CACHE)
    # Its Google libraries warn of the end of a Python in a year to come.
    warnings.simplefilter("ignore", FutureWarning)
    # It ends `discover` as soon as it has the catalog, and then complains that it was ended.
    sys.unraisablehook = lambda _: None


def config(stack: ExitStack) -> dict[str, Any]:
    """The environment's project, or an emulated one that runs until the stack is closed."""
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
    # As many days as Amplitude's budget gives to all daily streams without a wait. An emulated hour holds the
    # same events whatever the first one is, so that a sync of another day goes on where this one was.
    start = f"{today - DAYS:%Y-%m-%dT%H:%M:%SZ}"
    print(
        "AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY are not set: reading an emulated project instead,"
        " made up and on this machine.",
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


def selected(options: dict[str, Any], available: list[str]) -> list[str]:
    """The streams to read, in the manifest's order: all of an emulated project, of another the named ones."""
    if "api_url" in options:
        return available
    named = os.environ.get("AMPLITUDE_STREAMS")
    return [name.strip() for name in named.split(",")] if named else CORE


def table(source: Any, result: Any, seconds: float) -> str:
    """What is in the file, a line a stream that was read."""
    from sqlalchemy import text

    rows = [("stream", "rows", "new", "newest")]
    for stream in source.discovered_catalog.streams:
        if stream.name not in source.get_selected_streams():
            continue
        newest = f"max({stream.default_cursor_field[0]})" if stream.default_cursor_field else "'-'"
        with result.cache.get_sql_engine().connect() as connection:
            query = f"select count(*), {newest} from {result.cache.schema_name}.{stream.name}"
            count, last = connection.execute(text(query)).one()
        new = result._progress_tracker.stream_read_counts.get(stream.name, 0)
        rows.append((stream.name, f"{count:,}", f"{new:,}", str(last)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {count:>{widths[1]}}  {new:>{widths[2]}}  {last}"
        for name, count, new, last in rows
    ]
    return "\n".join([*lines, f"{seconds:.1f} seconds, into {DATABASE.name}"])


def main() -> int:
    """Sync once; 1 when that failed, after one sentence that says why."""
    prepare()
    import airbyte as ab
    from airbyte.exceptions import PyAirbyteError

    # It prints each loosely typed property for each batch; those become text, as they should.
    sys.modules["airbyte.types"].print = lambda *_: None  # type: ignore[attr-defined]

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            options = config(stack)
            source = ab.get_source(
                "source-amplitude",
                config=options,
                local_executable=str(ROOT / ".venv" / "bin" / "source-amplitude"),
            )
            source.select_streams(selected(options, source.get_available_streams()))
            source.check()
            cache = ab.caches.DuckDBCache(db_path=str(DATABASE), schema_name="main")
            result = source.read(cache=cache)
        except PyAirbyteError as error:
            sys.stderr.write(f"\nThe sync failed: {reason(error)}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\nStopped; the next sync goes on where this one was.\n")
            return 130
        print("\n" + table(source, result, time.monotonic() - began), flush=True)
    return 0


def reason(error: BaseException) -> str:
    """The connector's own sentence, from wherever PyAirbyte keeps it."""
    context = getattr(error, "context", None) or {}
    words = context.get("failure_reason") or getattr(error, "message", None)
    lines = getattr(error, "log_text", None) or []
    for line in reversed(lines if isinstance(lines, list) else str(lines).splitlines()):
        if '"message"' in line and '"ERROR"' in line:
            return str(line)
    return str(words or error)


if __name__ == "__main__":
    sys.exit(main())
