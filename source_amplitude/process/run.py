"""The connector's process: heed SIGTERM, then run the command."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGTERM_GRACE_SECONDS = 4
"""How long after SIGTERM the process may still write what it has begun; platforms kill after ten or more."""


class Terminated(SystemExit):
    """SIGTERM has arrived."""


class Termination:
    """SIGTERM ends the process between two messages: never within one, nor after half of it was written."""

    def __init__(self) -> None:
        """Take the signal over from Python."""
        self._deferred = False
        self._requested = False
        signal.signal(signal.SIGTERM, self._on_signal)
        # In a container this is process 1, for which a signal has no default action.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signal.SIGTERM))

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let what is within be finished first."""
        self._deferred = True
        yield
        self._deferred = False
        if self._requested:
            raise Terminated

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._requested = True
        # Whoever reads the messages may have stopped: then a write never returns.
        signal.alarm(SIGTERM_GRACE_SECONDS)
        if not self._deferred:
            raise Terminated


def main() -> None:
    """Run `spec`, `check`, `discover` or `read`, see `--help`; with `--version` alone print the version."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        print(f"source-amplitude {version('amplitude-source-connector')}")
        return
    termination = Termination()
    # Nearly all that start-up makes stays to the end: nothing is there to collect.
    gc.disable()
    try:
        # Not before the signal is heeded: to import the CDK takes a second.
        from source_amplitude.process.entrypoint import launch

        launch(sys.argv[1:], termination.deferred)
    except Terminated:
        # Workers may still wait for Amplitude; what they hold on disk has no name and goes with them.
        os._exit(128 + signal.SIGTERM)
    except BrokenPipeError:
        # Whoever read the messages has had enough of them: the end that a shell knows from any other program.
        os._exit(128 + signal.SIGPIPE)
