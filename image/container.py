"""Run the image's commands in a container on a connection's files."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from image.engine import Engine

TERMINATED = 128 + 15
MOUNTED = {"/data", "/etc", "/run", "/tmp"}
"""Folders that docker and podman change themselves."""
Messages = list[dict[str, Any]]


def must(kept: bool, promise: str) -> None:
    """Print a promise that is kept; exit if it is not."""
    if not kept:
        sys.exit(f"image-test: NOT KEPT: {promise}.")
    print(f"- {promise}", flush=True)


class Job:
    """A connection's files, and the commands of the container that reads them."""

    def __init__(self, engine: Engine, folder: Path, config: dict[str, Any]) -> None:
        """Create the folder's layout: the container's user may read all of it and write to `tmp`."""
        self.engine, self.folder, self.tmp = engine, folder, folder / "tmp"
        self.tmp.mkdir()
        folder.chmod(0o755)
        self.tmp.chmod(0o1777)
        self.write(config=config, state=[])

    def write(self, **files: Any) -> None:
        """Write files of JSON."""
        for name, content in files.items():
            (self.folder / f"{name}.json").write_text(json.dumps(content))

    def line(self, command: str) -> list[str]:
        """Return the command line of a command with the files that it takes."""
        files = {"spec": [], "read": ["config", "catalog", "state"]}.get(command, ["config"])
        options = [part for name in files for part in (f"--{name}", f"/data/{name}.json")]
        return self.engine.command(self.folder, command, *options)

    def run(self, command: str) -> Messages:
        """Return the messages of a command."""
        process = subprocess.run(self.line(command), stdout=subprocess.PIPE, text=True)
        if process.returncode:
            print(process.stdout[-2_000:])
        must(process.returncode == 0, f"`{command}` ends with 0")
        return parse(process.stdout.rstrip("\n").split("\n"))

    def stop(self, states: int) -> tuple[Messages, float]:
        """Return the messages of a `read` that gets SIGTERM after some states, and the seconds to its end."""
        lines = []
        with subprocess.Popen(self.line("read"), stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                lines.append(line)
                states -= line.startswith('{"type":"STATE"')
                if not states:
                    break
            process.terminate()  # docker and podman pass it on
            began = time.monotonic()
            lines += process.stdout or ()
            code = process.wait()
        must(code == TERMINATED, f"SIGTERM ends the container with {TERMINATED}")
        return parse(lines), time.monotonic() - began

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code with the image's Python instead of the connector."""
        line = self.engine.command(self.folder, "-c", code, options=("--entrypoint=python",))
        # When a container is killed for its memory, podman's monitor leaves a file in its working folder.
        return subprocess.run(line, stdout=subprocess.PIPE, text=True, cwd=self.folder)

    def changes(self) -> set[str]:
        """Return what a `read` changes in a file system that is writable."""
        name = f"source-amplitude-{self.folder.name}"
        lax = {"--rm": f"--name={name}", "--read-only": "--read-only=false"}
        line = [lax.get(part, part) for part in self.line("read")]
        subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
        runner = self.engine.runner
        diff = subprocess.run([*runner, "diff", name], stdout=subprocess.PIPE, text=True)
        subprocess.run([*runner, "rm", name], stdout=subprocess.DEVNULL, check=True)
        return {line.split(maxsplit=1)[1] for line in diff.stdout.splitlines()} - MOUNTED


def parse(lines: list[str]) -> Messages:
    """Parse an output that consists of messages alone."""
    return [json.loads(line) for line in lines]
