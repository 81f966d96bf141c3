"""`python -m emulator`: serve a project until Ctrl-C."""

import argparse
import signal
import threading

from emulator import Emulator, Project
from emulator.api import PLANS


def main() -> None:
    """Start the server and say how to reach it."""
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port on 127.0.0.1 (8080)")
    parser.add_argument("--seed", type=int, default=1, help="which project (1)")
    parser.add_argument("--start", default="2024-01-01T00:00:00Z", help="first hour with data, UTC")
    parser.add_argument("--events-per-hour", type=int, default=5, help="size of the export (5)")
    parser.add_argument("--members-per-hour", type=int, default=2, help="members of an hour (2)")
    parser.add_argument("--timezone", default="UTC", help="the project's time zone (UTC)")
    parser.add_argument("--plan", choices=PLANS, default="enterprise", help="(enterprise)")
    parser.add_argument("--no-budget", action="store_true", help="no limits")
    options = parser.parse_args()
    project = Project(
        options.seed,
        start=options.start,
        events_per_hour=options.events_per_hour,
        members_per_hour=options.members_per_hour,
        timezone=options.timezone,
    )
    # A script's background job is started with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Emulator(
        project, plan=options.plan, budget=not options.no_budget, port=options.port
    ) as amplitude:
        print(f"api_url    {amplitude.url}\napi_key    {amplitude.api_key}")
        print(f"secret_key {amplitude.secret_key}\nCtrl-C ends.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
