"""The connector's process: handle signals, open standard output, then run the command.

Only the standard library is imported here, because the CDK takes a second to import.
"""

import gc
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_SECONDS = 4
"""How long the process may finish a message after a signal; platforms kill it after ten seconds or more."""
OUTPUT_FAILED = 74
"""The exit code when standard output cannot be written to: EX_IOERR of sysexits.h."""


class Terminated(SystemExit):
    """SIGTERM or SIGINT has arrived."""


class Termination:
    """SIGTERM and SIGINT end the process between two messages, never in the middle of one.

    A platform cannot parse half a message, and a state that it cannot parse is lost.
    """

    def __init__(self) -> None:
        """Install the handlers of the signals."""
        self._deferred = False
        self.requested = 0
        """The signal that has arrived, or 0."""
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell starts `command &`
            signal.signal(signal.SIGINT, self._on_signal)
        # In a container this is process 1, for which the kernel has no default action on SIGALRM.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + self.requested))

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Finish the block before a signal ends the process."""
        self._deferred = True
        yield
        self._deferred = False
        if self.requested:
            raise Terminated

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.requested = self.requested or number
        # If the reader has stopped reading, a write blocks forever, and the block is never finished.
        signal.alarm(GRACE_SECONDS)
        if not self._deferred:
            raise Terminated


class Output(io.FileIO):
    """Standard output, which ends the process at once when it cannot be written to.

    Any thread may meet the error, and the CDK's log would drop it and continue.
    """

    def write(self, data: Any) -> int:
        """Write bytes, and return how many were written.

        Raises:
            BrokenPipeError: nobody reads the messages any more.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            sentence = f"Standard output cannot be written to ({error.strerror}): free some space."
            os.write(2, f"{sentence}\n".encode())
            os._exit(OUTPUT_FAILED)


def open_output() -> None:
    """Make standard output UTF-8, as the protocol is, whatever the locale or PYTHONIOENCODING says."""
    raw = io.BufferedWriter(Output(1, "w", closefd=False))
    # Half a surrogate pair becomes \\udxxx, which is JSON.
    sys.stdout = io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="\n")
    sys.__stdout__ = sys.stdout  # type: ignore[misc] # where the CDK's print buffer writes


def main() -> None:
    """Run `spec`, `check`, `discover` or `read`, see `--help`; with `--version` alone print the version."""
    open_output()
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        print(f"source-amplitude {version('amplitude-source-connector')}")
        return
    termination = Termination()
    # Almost everything that start-up allocates is kept, so garbage collection would be wasted.
    gc.disable()
    try:
        # Import the CDK after the handlers are installed: it takes a second, in which process 1 of a
        # container would ignore SIGTERM.
        from source_amplitude.process.entrypoint import launch

        launch(sys.argv[1:], termination.deferred)
    except Terminated:
        # Do not wait for workers that wait for Amplitude. Their temporary files have no name, so the kernel
        # frees them with the process.
        os._exit(128 + termination.requested)
    except BrokenPipeError:
        # The reader closed the pipe: exit like any program that gets SIGPIPE.
        os._exit(128 + signal.SIGPIPE)
