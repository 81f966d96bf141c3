"""Ask Amplitude what its documentation leaves open, and compare with the emulator. `make verify` runs this.

With AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY set it asks about that project (AMPLITUDE_DATA_REGION:
`EU Residency Server` for the EU server; AMPLITUDE_API_URL: another root of the API), else another emulator.
AMPLITUDE_VERIFY_HOUR (`20240131T23`, UTC) is an hour with a few events; without it the hour 24 hours ago is
taken.

Prints a table that can be pasted into an issue: it has no keys, records, names or ids.
Cost: about twenty requests, one at a time; six are exports of one hour, one is a cohort's download (Amplitude
allows 500 a month). Memory: twice the hour's archive, of at most `MOST_BYTES`.
"""

import gzip
import io
import os
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from emulator import Emulator, Project

HOSTS = {True: "https://analytics.eu.amplitude.com", False: "https://amplitude.com"}
NO_DATA = "20120101T00"
"""An hour before the data of any project."""
MOST_BYTES = 100_000_000
TIMEOUT_SECONDS = 600
PAUSE_SECONDS = 10
STATUS_REQUESTS = 60
GZIP = b"\x1f\x8b"
CLOCK_SECONDS = 5
"""Clocks that differ by less agree."""
HOUR = timedelta(hours=1)


class NotAskedError(Exception):
    """The service lacks what a question is about; the message says what is missing."""


class Export(NamedTuple):
    """An hour's archive and the headers that it came with."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Service:
    """Amplitude, or an emulator instead.

    `hour` is one with events, `20240131T23`; `pause` is the time between two requests for a job's status,
    in seconds.
    """

    url: str
    keys: tuple[str, str]
    hour: str
    pause: float
    downloads: list[Export] = field(default_factory=list)

    def get(
        self, path: str, query: Mapping[str, str] | None = None, **more: Any
    ) -> requests.Response:
        """Send one request; `more` are options of `requests`."""
        address = f"{self.url}/api/{path}"
        return requests.get(address, params=query, auth=self.keys, timeout=TIMEOUT_SECONDS, **more)

    def get_hour(self, hour: str, **more: Any) -> requests.Response:
        """Request the export of one hour."""
        return self.get("2/export", {"start": hour, "end": hour}, **more)

    def rows(self, path: str, name: str) -> list[dict[str, Any]]:
        """Return the rows of a list.

        Raises:
            NotAskedError: the plan has no such list, or it is empty.
        """
        response = self.get(path)
        if not response.ok:
            raise NotAskedError(f"no such list on this plan ({response.status_code})")
        if rows := response.json().get(name):
            return list(rows)
        raise NotAskedError("the list is empty")

    def exports(self) -> list[Export]:
        """Return the archive of the hour with events, downloaded twice.

        Raises:
            NotAskedError: the hour has none, or too many.
        """
        while len(self.downloads) < 2:
            response = self.get_hour(self.hour, stream=True)
            if not response.ok:
                raise NotAskedError(
                    f"no events in that hour ({response.status_code}); name another in AMPLITUDE_VERIFY_HOUR"
                )
            body = b""
            for chunk in response.iter_content(1024 * 1024):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise NotAskedError(
                        "too many events in that hour; name another in AMPLITUDE_VERIFY_HOUR"
                    )
            self.downloads.append(Export(response.headers, body))
        return self.downloads


# -- the questions ---------------------------------------------------------------------------------


def words_without_data(service: Service) -> str:
    """Return the response to an hour without data."""
    response = service.get_hour(NO_DATA)
    error = response.json()["error"]
    words = [error["type"], error["message"], error["metadata"]["details"]]
    return f"{response.status_code}: {', '.join(map(masked, words))}"


def redirect(service: Service) -> str:
    """Return whether an export is sent at once or as a redirect."""
    with service.get_hour(service.hour, allow_redirects=False, stream=True) as response:
        return how_sent(response, service)


def same_members(service: Service) -> str:
    """Return what two exports of one hour have in common, whenever their members were packed."""
    first, second = (members_of(export.body) for export in service.exports())
    if first == second:
        return "the same members"
    if lines_of(first) == lines_of(second):
        return "the same lines in other members"
    return "other lines"


def container(service: Service) -> str:
    """Return how an archive and its members are packed."""
    with archive_of(service) as archive:
        member = archive.infolist()[0]
        data = archive.read(member)
    stored = "stored" if member.compress_type == zipfile.ZIP_STORED else "compressed"
    descriptor = "a data descriptor" if member.flag_bits & 8 else "no data descriptor"
    time_of = "no time" if data[4:8] == bytes(4) else "a time"
    return f"{stored}, {descriptor}; gzip: {time_of}, system {data[9]}, flags {data[3]}"


def member_name(service: Service) -> str:
    """Return the name of a member, with N for each number."""
    with archive_of(service) as archive:
        return re.sub(r"\d+", "N", archive.namelist()[0])


def member_time(service: Service) -> str:
    """Return whether a member was packed for the response or before."""
    with archive_of(service) as archive:
        packed = datetime(*archive.infolist()[0].date_time, tzinfo=timezone.utc)
    before = parsedate_to_datetime(service.exports()[0].headers["Date"]) - packed
    return "for this response" if abs(before) <= timedelta(minutes=1) else "before"


def export_headers(service: Service) -> str:
    """Return how an archive is sent: its type, its encoding, and whether its length is known."""
    headers = service.exports()[0].headers
    sent = "in chunks" if "Transfer-Encoding" in headers else "with its length"
    return (
        f"{headers.get('Content-Type')}, {headers.get('Content-Encoding', 'not encoded')}, {sent}"
    )


def clock(service: Service) -> str:
    """Return whether a response has the server's time, and how far it is from this machine's."""
    response = service.get("2/events/list")
    if "Date" not in response.headers:
        return "no `Date`"
    apart = parsedate_to_datetime(response.headers["Date"]) - datetime.now(timezone.utc)
    if abs(apart) <= timedelta(seconds=CLOCK_SECONDS):
        return "`Date`, which agrees with this machine's clock"
    return f"`Date`, {apart.total_seconds():+.0f} s from this machine's clock"


def limit_headers(service: Service) -> str:
    """Return the names of the headers about limits."""
    headers = [service.exports()[0].headers, service.get("2/events/list").headers]
    names = {name.lower() for each in headers for name in each}
    found = sorted(name for name in names if re.search("limit|remaining|reset|retry", name))
    return ", ".join(found) or "none"


def last_hours(service: Service) -> str:
    """Return the statuses of the exports of two recent hours."""
    now = datetime.now(timezone.utc)
    statuses = []
    for hours in (2, 3):
        hour = f"{now - hours * HOUR:%Y%m%dT%H}"
        with service.get_hour(hour, stream=True) as response:
            statuses.append(f"H+{hours}: {response.status_code}")
    return ", ".join(statuses)


def event_type(service: Service) -> str:
    """Return where a request for the properties of an event type must name the type."""
    kinds = service.rows("2/taxonomy/event", "data")
    path = "2/taxonomy/event-property"
    shared = service.get(path).text
    for kind in kinds[:10]:
        name = kind["event_type"]
        by_form = service.get(path, data={"event_type": name}).text != shared
        by_query = service.get(path, {"event_type": name}).text != shared
        if by_form or by_query:
            return " and ".join(["a form"] * by_form + ["the query"] * by_query)
    raise NotAskedError("no type has properties of its own among the first ten")


def cohort_file(service: Service) -> str:
    """Return the statuses of a cohort's job, and the form of its file."""
    cohorts = service.rows("3/cohorts", "cohorts")
    smallest = min(cohorts, key=lambda cohort: cohort.get("size") or sys.maxsize)
    job = service.get(f"5/cohorts/request/{smallest['id']}").json()["request_id"]
    words = ""
    statuses: list[str] = []
    while not re.search("COMPLETE|FAIL", words) and len(statuses) < STATUS_REQUESTS:
        time.sleep(service.pause if statuses else 0)
        status = service.get(f"5/cohorts/request-status/{job}")
        words = status.json()["async_status"]
        statuses.append(f"{masked(words)} ({status.status_code})")
    response = service.get(f"5/cohorts/request/{job}/file", allow_redirects=False)
    sent = how_sent(response, service)
    if response.is_redirect:
        response = requests.get(response.headers["Location"], timeout=TIMEOUT_SECONDS)
    body, encoding = response.content, response.headers.get("Content-Encoding", "no encoding")
    if body.startswith(GZIP):
        body, encoding = gzip.decompress(body), f"{encoding}, gzip within"
    header = body.partition(b"\n")[0].decode("utf-8-sig").strip()
    columns = header.replace('"', "").split(",")
    known = [name for name in columns if name in ("amplitude_id", "user_id")]
    more = " and more" if len(known) < len(columns) else ""
    quotes = "quoted" if header.startswith('"') else "not quoted"
    return (
        f"{', then '.join(dict.fromkeys(statuses))}; {sent}; {encoding};"
        f" columns {', '.join(known)}{more}, {quotes}"
    )


QUESTIONS: Mapping[str, Callable[[Service], str]] = {
    "an hour without data": words_without_data,
    "an export": redirect,
    "two exports of an hour": same_members,
    "the container": container,
    "a member's name": member_name,
    "a member was packed": member_time,
    "the archive's headers": export_headers,
    "the server's time": clock,
    "headers of limits": limit_headers,
    "an hour, 2 and 3 hours after it began": last_hours,
    "an event type is named in": event_type,
    "a cohort's download": cohort_file,
}


def how_sent(response: requests.Response, service: Service) -> str:
    """Return whether a response is the requested content or a redirect, without the name of the host."""
    if not response.is_redirect:
        return "sent at once"
    host = urlsplit(response.headers["Location"]).netloc
    same = host in ("", urlsplit(service.url).netloc)
    return f"a redirect {'on the same host' if same else 'to another host'}"


def archive_of(service: Service) -> zipfile.ZipFile:
    """Open the archive of the hour with events."""
    return zipfile.ZipFile(io.BytesIO(service.exports()[0].body))


def members_of(body: bytes) -> dict[str, bytes]:
    """Return the members of an archive, still in gzip, by name."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines_of(members: Mapping[str, bytes]) -> list[bytes]:
    """Return the lines of all members, sorted."""
    parts = map(gzip.decompress, members.values())
    return sorted(line for part in parts for line in part.split(b"\n") if line)


def masked(text: Any) -> str:
    """Return a text of the service without words that may be ids."""
    return re.sub(r"\S*\d\S*", "…", str(text))[:120]


def table(service: Service, emulator: Service, name: str = "Amplitude") -> Iterator[str]:
    """Yield the lines of the table, each once its question is answered."""
    yield f"| question | the emulator says | {name} says | |"
    yield "| --- | --- | --- | --- |"
    for text, question in QUESTIONS.items():
        expected = question(emulator)
        try:
            said = question(service)
            verdict = "as expected" if said == expected else "**differs**"
        except NotAskedError as missing:
            said, verdict = str(missing), "not asked"
        except Exception as error:  # the response has a form that this question does not know
            said, verdict = f"another form ({type(error).__name__})", "**differs**"
        yield f"| {text} | {expected} | {said} | {verdict} |"


def service_of(environment: Mapping[str, str], now: datetime) -> Service | None:
    """Return the service that the environment has keys for."""
    keys = environment.get("AMPLITUDE_API_KEY", ""), environment.get("AMPLITUDE_SECRET_KEY", "")
    if not all(keys):
        return None
    url = HOSTS[environment.get("AMPLITUDE_DATA_REGION", "").startswith("EU")]
    hour = environment.get("AMPLITUDE_VERIFY_HOUR") or yesterday(now)
    return Service(environment.get("AMPLITUDE_API_URL") or url, keys, hour, PAUSE_SECONDS)


def emulated(emulator: Emulator) -> Service:
    """Return an emulator as a service."""
    keys = emulator.api_key, emulator.secret_key
    return Service(emulator.url, keys, yesterday(emulator.project.now()), pause=0)


def yesterday(now: datetime) -> str:
    """Return the hour 24 hours ago."""
    return f"{now - 24 * HOUR:%Y%m%dT%H}"


def report(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what `make verify` prints, line by line."""
    now = datetime.now(timezone.utc)
    start = f"{now - 72 * HOUR:%Y-%m-%dT00:00:00Z}"
    service = service_of(environment, now)
    with Emulator(Project(1, start=start)) as emulator, Emulator(Project(2, start=start)) as other:
        if service:
            yield from table(service, emulated(emulator))
        else:
            yield "AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY are not set: asking another emulator."
            yield ""
            yield from table(emulated(other), emulated(emulator), "another emulator")


def main() -> None:
    """Print the table."""
    for line in report(os.environ):
        print(line, flush=True)


if __name__ == "__main__":
    main()
