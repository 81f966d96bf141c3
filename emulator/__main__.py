"""Serve an emulated Amplitude project on 127.0.0.1 until Ctrl-C."""

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlencode

from emulator import Emulator, Export, Fault, Project, Request
from emulator.api import PLANS
from emulator.faults import DAMAGES, ON_THE_WIRE
from emulator.messages import ApiError, parse_hour, parse_moment
from emulator.project import utc_now

EXAMPLE = """\
example, an hour that is six hours late and an export that fails once:
  python -m emulator --clock 2024-01-02T00:30:00Z --late 20240101T18=6 --fault /api/2/export=503 --log

HOUR is an hour of the export in UTC, such as 20240101T18, and FILE the number of one of its files, from 0.
FAULT is the status of an error, or one of {kinds}.
It affects one request, or as many as TIMES says, or all.
"""
Delay = tuple[str, int | None, int]
"""An hour of the export, the number of one of its files or None for all, and a number of hours."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    kinds = ", ".join(sorted({*ON_THE_WIRE, *DAMAGES} - {"hang"}))
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description=__doc__,
        epilog=EXAMPLE.format(kinds=kinds),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=8080, help="port on 127.0.0.1, 0 for a free one (%(default)s)")
    add("--log", action="store_true", help="print each request with its status and cost")
    data = parser.add_argument_group("the project")
    add = data.add_argument
    add("--seed", type=int, default=1, help="same seed and start, same data (%(default)s)")
    add("--start", default="2024-01-01T00:00:00Z", help="first hour with data, UTC (%(default)s)")
    add("--events-per-hour", type=int, default=60, help="events of an hour (%(default)s)")
    add("--members-per-hour", type=int, default=2, help="files of an hour (%(default)s)")
    add("--timezone", default="UTC", help="the time zone in which days begin (%(default)s)")
    add(
        "--clock",
        type=clock,
        metavar="TIME",
        help="the time when the emulator starts; it continues from there (the time of this machine)",
    )
    export = parser.add_argument_group("the export")
    add = export.add_argument
    for option, effect in (
        ("--late", "add an hour, or one file of it, so many hours late"),
        ("--grow", "add half of the lines of the files so many hours after the others"),
    ):
        form = "HOUR[#FILE]=HOURS"
        add(option, metavar=form, type=delay, action="append", default=[], help=effect)
    add("--repack", action="store_true", help="pack the same lines in other files at each request")
    limits = parser.add_argument_group("limits and faults")
    add = limits.add_argument
    add(
        "--plan",
        choices=PLANS,
        default="enterprise",
        help="the parts of the API: enterprise has all, growth lacks the taxonomy, starter lacks cohorts"
        " and annotations too (%(default)s)",
    )
    add(
        "--no-budget",
        action="store_true",
        help="respond to every request; otherwise a request over one of Amplitude's limits gets a 429",
    )
    add(
        "--fault",
        metavar="PATH=FAULT[,TIMES]",
        type=fault,
        action="append",
        default=[],
        help="respond to a path with an error, or damage the response",
    )
    return parser


def clock(text: str) -> Callable[[], datetime]:
    """Return a clock that starts now at a time.

    Raises:
        ArgumentTypeError: the text is not a time.
    """
    try:
        ahead = parse_moment(text) - utc_now()
    except ValueError:
        message = f"{text} is not a time with its zone, such as 2024-01-31T12:30:00Z"
        raise argparse.ArgumentTypeError(message) from None
    return lambda: utc_now() + ahead


def delay(text: str) -> Delay:
    """Parse `HOUR[#FILE]=HOURS`.

    Raises:
        ArgumentTypeError: the text has another form.
    """
    if not (found := re.fullmatch(r"(\w+)(?:#(\d+))?=(\d+)", text)):
        raise argparse.ArgumentTypeError(f"{text} is not like 20240101T18=6 or 20240101T18#0=6")
    hour, number, hours = found.groups()
    try:
        parse_hour(hour)
    except ValueError:
        message = f"{hour} is not an hour such as 20240101T18"
        raise argparse.ArgumentTypeError(message) from None
    return hour, int(number) if number else None, int(hours)


def fault(text: str) -> Fault:
    """Parse `PATH=FAULT[,TIMES]`.

    Raises:
        ArgumentTypeError: the text has another form, or there is no such fault.
    """
    if not (found := re.fullmatch(r"(/[^=]*)=(\w+)(?:,(\d+|all))?", text)):
        raise argparse.ArgumentTypeError(
            f"{text} is not like /api/2/export=503 or /api/2/users=cut,2"
        )
    path, what, count = found.groups()
    times = None if count == "all" else int(count or 1)
    if what.isdecimal():
        response = ApiError(int(what), "This is a fault of the emulator").response
        return Fault(path, times, response.status, response.body)
    try:
        return Fault(path, times, kind=what)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def emulator(arguments: Sequence[str] | None = None) -> Emulator:
    """Return the emulator with the options of a command line, by default of this process."""
    options = parser().parse_args(arguments)
    files = range(options.members_per_hour)
    export = Export(
        late_hours={hour: hours for hour, number, hours in options.late if number is None},
        late_members={
            (hour, number): hours for hour, number, hours in options.late if number is not None
        },
        grow={
            (hour, each): hours
            for hour, number, hours in options.grow
            for each in (files if number is None else [number])
        },
        repack=options.repack,
    )
    project = Project(
        options.seed,
        start=options.start,
        events_per_hour=options.events_per_hour,
        members_per_hour=options.members_per_hour,
        timezone=options.timezone,
        clock=options.clock,
        export=export,
    )
    return Emulator(
        project,
        options.fault,
        options.plan,
        not options.no_budget,
        port=options.port,
        log=log if options.log else None,
    )


def log(request: Request) -> None:
    """Print a request: the project's time, the path and query, the status and the cost."""
    query = urlencode(request.query, doseq=True)
    address = f"{request.path}?{query}" if query else request.path
    cost = f", cost {request.cost}" if request.cost else ""
    status = request.status or "no response"
    sys.stdout.write(f"{request.at:%H:%M:%S} {request.method} {address} {status}{cost}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve, and print how to reach the server."""
    # A script's background job is started with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with emulator() as amplitude:
        print(f"api_url    {amplitude.url}\napi_key    {amplitude.api_key}")
        print(f"secret_key {amplitude.secret_key}\nCtrl-C ends.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
