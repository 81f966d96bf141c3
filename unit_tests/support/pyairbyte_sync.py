"""One sync through PyAirbyte: `python -m unit_tests.support.pyairbyte_sync JOB`, in a process of its own.

PyAirbyte reads its settings when it is imported, prints as it goes, and keeps files in its folder.
JOB is a JSON file. The last line printed says how many rows each stream's records became.
"""

import json
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path

from examples.sync import confine, rows_of

LIMIT_SECONDS = 240


def main() -> None:
    """Sync the job's streams from its executable into its database."""
    signal.alarm(LIMIT_SECONDS)
    path = Path(sys.argv[1])
    confine(path.parent)
    import airbyte as ab

    job = json.loads(path.read_text())
    source = ab.get_source(
        "source-amplitude",
        config=job["config"],
        local_executable=job["executable"],
        streams=job["streams"],
    )
    cache = getattr(ab.caches, job["cache"])(**job["database"])
    began = datetime.now(timezone.utc).replace(tzinfo=None)
    source.read(cache=cache)
    print(json.dumps({stream: rows_of(cache, stream, began)[1] for stream in job["streams"]}))


if __name__ == "__main__":
    main()
