"""Python imports this at its start: each process of the cluster goes by the clock in the file TEST_CLOCK."""

import os
import threading
import time
from datetime import datetime
from pathlib import Path

import time_machine

CLOCK = Path(os.environ["TEST_CLOCK"])


def follow(clock: time_machine.Traveller) -> None:
    """Move the clock whenever the file does."""
    seen = ""
    while True:
        if (now := CLOCK.read_text()) != seen:
            clock.move_to(datetime.fromisoformat(now))
            seen = now
        time.sleep(0.05)


def start() -> None:
    """Follow the file, in a thread that does not outlive a fork."""
    threading.Thread(target=follow, args=(clock,), daemon=True).start()


clock = time_machine.travel(datetime.fromisoformat(CLOCK.read_text()), tick=True).start()
start()
os.register_at_fork(after_in_child=start)
