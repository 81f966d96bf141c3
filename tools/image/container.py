"""A connection's files, and the image's commands on them in a container."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools.image.engine import Engine

TERMINATED = 128 + 15
MOUNTED = {"/data", "/etc", "/run", "/tmp"}
"""Folders that docker and podman change themselves."""
Messages = list[dict[str, Any]]


def must(kept: bool, promise: str) -> None:
    """Go on when a promise is kept, or end the test with it."""
    if not kept:
        sys.exit(f"image-test: it is NOT so that {promise}.")
    print(f"- {promise}", flush=True)


class Job:
    """A connection's files, and the commands of the container that reads them."""

    def __init__(self, engine: Engine, folder: Path, config: dict[str, Any]) -> None:
        """Lay the folder out: the container's user may read it all, and write to `tmp`."""
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
        """The command line of a command and the files that it takes."""
        files = {"spec": [], "read": ["config", "catalog", "state"]}.get(command, ["config"])
        options = [part for name in files for part in (f"--{name}", f"/data/{name}.json")]
        return self.engine.command(self.folder, command, *options)

    def run(self, command: str) -> Messages:
        """The messages of a command."""
        process = subprocess.run(self.line(command), stdout=subprocess.PIPE, text=True)
        if process.returncode:
            print(process.stdout[-2_000:])
        must(process.returncode == 0, f"`{command}` ends with 0")
        return parsed(process.stdout.rstrip("\n").split("\n"))

    def stop(self, states: int) -> tuple[Messages, float]:
        """The messages of a `read` that is asked to end after some states, and how long it took to."""
        lines = []
        with subprocess.Popen(self.line("read"), stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                lines.append(line)
                states -= line.startswith('{"type":"STATE"')
                if not states:
                    break
            process.terminate()  # docker and podman hand it on
            began = time.monotonic()
            lines += process.stdout or ()
            code = process.wait()
        must(code == TERMINATED, f"SIGTERM ends the container with {TERMINATED}")
        return parsed(lines), time.monotonic() - began

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """What the image's Python says in the place of the connector."""
        line = self.engine.command(self.folder, "-c", code, options=("--entrypoint=python",))
        # Where a container is killed for its memory, podman's monitor leaves a file in its own folder.
        return subprocess.run(line, stdout=subprocess.PIPE, text=True, cwd=self.folder)

    def changes(self) -> set[str]:
        """What a `read` changes in the file system where nothing prevents it."""
        name = f"source-amplitude-{self.folder.name}"
        lax = {"--rm": f"--name={name}", "--read-only": "--read-only=false"}
        line = [lax.get(part, part) for part in self.line("read")]
        subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
        runner = self.engine.runner
        diff = subprocess.run([*runner, "diff", name], stdout=subprocess.PIPE, text=True)
        subprocess.run([*runner, "rm", name], stdout=subprocess.DEVNULL, check=True)
        return {line.split(maxsplit=1)[1] for line in diff.stdout.splitlines()} - MOUNTED


def parsed(lines: list[str]) -> Messages:
    """The messages of an output that holds nothing else."""
    return [json.loads(line) for line in lines]
