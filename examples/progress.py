"""Run the connector with the arguments given, pass its messages on, and tell how far a read is.

`make sync` gives this to PyAirbyte in the connector's place: PyAirbyte shows progress on a terminal only, and
drops the connector's stderr. The pipe that SYNC_PROGRESS names receives JSON lines: strings to show, and at
the end an object with the records that the connector counted in its states, by stream.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

CONNECTOR = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "source-amplitude"
EVERY_SECONDS = 5
RECORD = re.compile(rb'\{"type":"RECORD","record":\{"stream":"(\w+)"')


class Progress:
    """What has been read so far: records by stream as they pass, and as the connector's states count them."""

    def __init__(self, pipe: IO[str]) -> None:
        """Tell it to `pipe`."""
        self._pipe = pipe
        self.passed: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self._said = time.monotonic()

    def see(self, line: bytes) -> None:
        """Take note of a message; say something when a stream ends, on a warning, and from time to time."""
        if record := RECORD.match(line):
            self.passed[record[1].decode()] += 1
            return
        message = json.loads(line)
        match message["type"]:
            case "RECORD":
                self.passed[message["record"]["stream"]] += 1
            case "STATE":
                self._see_state(message["state"])
            case "TRACE" if status := message["trace"].get("stream_status"):
                if status["status"] in ("COMPLETE", "INCOMPLETE"):
                    name = status["stream_descriptor"]["name"]
                    self._say(f"{name}: {self._records(name)}, {status['status'].lower()}")
            case "LOG" if message["log"]["level"] in ("WARN", "ERROR", "FATAL"):
                self._say(f"{message['log']['level']}: {message['log']['message']}")

    def _see_state(self, state: dict[str, Any]) -> None:
        name = state["stream"]["stream_descriptor"]["name"]
        self.counted[name] += int(state.get("sourceStats", {}).get("recordCount", 0))
        if time.monotonic() - self._said >= EVERY_SECONDS:
            saved = (state["stream"].get("stream_state") or {}).values()
            until = next((f", up to {value}" for value in saved if isinstance(value, str)), "")
            self._say(f"{name}: {self._records(name)}{until}")

    def _records(self, name: str) -> str:
        count = self.passed[name]
        return f"{count:,} record{'' if count == 1 else 's'}"

    def _say(self, words: str) -> None:
        self._said = time.monotonic()
        self.write(words)

    def write(self, content: str | dict[str, int]) -> None:
        """Write one line of JSON."""
        print(json.dumps(content), file=self._pipe, flush=True)


def main(*arguments: str) -> int:
    """Run one command of the connector; its exit code."""
    if arguments[0] != "read":
        os.execv(CONNECTOR, [str(CONNECTOR), *arguments])
    with (
        Path(os.environ["SYNC_PROGRESS"]).open("w") as pipe,
        subprocess.Popen([CONNECTOR, *arguments], stdout=subprocess.PIPE) as process,
    ):
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        progress = Progress(pipe)
        for line in process.stdout or ():
            progress.see(line)
            sys.stdout.buffer.write(line)
            if not RECORD.match(line):
                sys.stdout.buffer.flush()
        sys.stdout.buffer.flush()
        code = process.wait()
        progress.write(progress.counted)
    if code < 0:  # ended by a signal: so does this process
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
