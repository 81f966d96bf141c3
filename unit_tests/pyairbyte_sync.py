"""One sync through PyAirbyte: `python pyairbyte_sync.py JOB`, in a process and a folder of its own.

PyAirbyte reads its settings when it is imported, prints as it goes, and keeps files where it stands.
JOB is a JSON file. The last line printed says how many records each stream gave.
"""

import json
import os
import signal
import sys
from pathlib import Path

LIMIT_SECONDS = 120


def main() -> None:
    """Sync the job's streams from its executable into its database."""
    signal.alarm(LIMIT_SECONDS)
    folder = str(Path.cwd())
    os.environ.update(
        AIRBYTE_OFFLINE_MODE="1",
        DO_NOT_TRACK="1",
        NO_LIVE_PROGRESS="1",
        TMPDIR=folder,
        HOME=folder,
        AIRBYTE_PROJECT_DIR=folder,
        AIRBYTE_CACHE_ROOT=folder,
        AIRBYTE_LOGGING_ROOT=folder,
    )
    import airbyte as ab

    job = json.loads(Path(sys.argv[1]).read_text())
    source = ab.get_source(
        "source-amplitude",
        config=job["config"],
        local_executable=job["executable"],
        streams=job["streams"],
    )
    cache = getattr(ab.caches, job["cache"])(**job["database"])
    counts = source.read(cache=cache)._progress_tracker.stream_read_counts
    print(json.dumps({stream: counts.get(stream, 0) for stream in job["streams"]}))


if __name__ == "__main__":
    main()
