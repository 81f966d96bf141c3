"""Downloads: a window becomes a verified archive on disk, in as many attempts as that may take."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import requests
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.http_logger import format_http_message

from source_amplitude.extensions.error_handler import LONGEST_SILENCE_SECONDS, growing_seconds
from source_amplitude.extensions.export.archive import count_members
from source_amplitude.extensions.export.decoder import ExportDecoder
from source_amplitude.extensions.export.disk import Space
from source_amplitude.extensions.export.errors import (
    DamagedArchiveError,
    NotAnArchiveError,
    TooLargeError,
)
from source_amplitude.extensions.export.member import Member
from source_amplitude.extensions.export.windows import Window, complete_until
from source_amplitude.extensions.responses import date_of

LOGGER = logging.getLogger("airbyte")
MAX_MEMBERS = 10_000
"""Files of one export, over which a smaller window is requested: about 7 MB of memory."""
MAX_MEMBERS_OF_AN_HOUR = 200_000
"""Files of an hour: an archive that claims more is damaged, since an hour has a few hundred at most."""
DOWNLOAD_ATTEMPTS = 3
"""Downloads of a window whose archive arrives damaged, before it is halved: a connection rarely breaks
three times, and a file that is damaged at Amplitude stays so."""
ANSWER_ATTEMPTS = 5
"""Requests for a window whose response of 200 is not an archive."""
BEGINNING_OF_HISTORY = datetime(2012, 1, 1, tzinfo=timezone.utc)
"""Amplitude's first data: a clock before that is not set."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Difference of two clocks that is not worth a warning."""


def count_hours(members: Sequence[Member], window: Window) -> tuple[int, int]:
    """Return how many files may be of the window, and how many are of other hours."""
    others = sum(
        member.window is not None
        and not (member.window.start < window.end and window.start < member.window.end)
        for member in members
    )
    return len(members) - others, others


class Download(NamedTuple):
    """The members of a window, none if it has no events, and the end of the hours that are complete."""

    members: Sequence[Member]
    complete: datetime


class Downloads:
    """Turn windows into archives, each verified whole, and keep the lists of their members in bounds.

    Several threads may download at once. `slot` gives what a request and its download hold, so that not too
    many are in flight.
    """

    def __init__(
        self,
        requester: HttpRequester,
        decoder: ExportDecoder,
        name: str,
        slot: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        """Send requests for the stream `name`."""
        requester.stream_response = True
        self._requester, self._decoder = requester, decoder
        self._name, self._slot = name, slot
        self._many_members = threading.Lock()
        self._warned_of_clock = False

    def open(
        self, window: Window, space: Space, stack: ExitStack, stopped: Callable[[], bool]
    ) -> Download:
        """Download and verify a window's archive, which `stack` closes.

        Nothing is tried again once the stream has `stopped`.

        Raises:
            RestartError: other archives take the room on the disk.
            TooLargeError, DamagedArchiveError, NotAnArchiveError: after the last attempt.
            AirbyteTracedException: an error response.
        """
        attempts: Counter[type] = Counter()
        waited = 0.0
        while True:
            try:
                with ExitStack() as attempt:
                    last = attempts[NotAnArchiveError] == ANSWER_ATTEMPTS - 1
                    download = self._attempt(window, space, attempt, last)
                    stack.push(attempt.pop_all())
                    return download
            except DamagedArchiveError as error:
                attempts[type(error)] += 1
                if attempts[type(error)] >= DOWNLOAD_ATTEMPTS or stopped():
                    raise
                self._wait(window, error, 2 ** attempts[type(error)])
            except NotAnArchiveError as error:
                attempts[type(error)] += 1
                seconds = error.wait_seconds or growing_seconds(attempts[type(error)])
                waited += seconds
                too_long = waited > LONGEST_SILENCE_SECONDS
                if attempts[type(error)] >= ANSWER_ATTEMPTS or too_long or stopped():
                    raise
                self._wait(window, error, seconds)

    def _wait(self, window: Window, error: Exception, seconds: float) -> None:
        LOGGER.info(f"{self._name}: {window} is requested again in {seconds:.0f} s ({error}).")
        time.sleep(seconds)

    def _attempt(self, window: Window, space: Space, stack: ExitStack, last: bool) -> Download:
        """Send one request and open its response.

        A cache between here and Amplitude may answer with the archive of another request. Files of other
        hours beside the window's own are believed at the `last` attempt alone.
        """
        with self._slot():
            stack.callback(space.clear)
            response = self._requester.send_request(
                stream_slice=window.as_slice(), log_formatter=self._describe
            )
            if response is None or response.status_code == 404:
                return Download([], self._complete_until(response, BEGINNING_OF_HISTORY))
            file = self._decoder.spool(response, space.write)
        stack.callback(file.close)
        count = count_members(file)
        if count > MAX_MEMBERS:
            if window.hours > 1:
                raise TooLargeError(f"its archive has {count:,} files")
            if count > MAX_MEMBERS_OF_AN_HOUR:
                raise DamagedArchiveError(f"it claims {count:,} files")
            # Their list takes much memory, so one thread at a time may have such an archive.
            stack.enter_context(self._many_members)
        archive = self._decoder.open(file)
        stack.callback(archive.close)
        own, others = count_hours(archive.members, window)
        if others and not (own and last):
            raise NotAnArchiveError("its files are of other hours")
        newest = max((m.window.start for m in archive.members if m.window), default=window.start)
        return Download(archive.members, self._complete_until(response, newest))

    def _complete_until(self, response: requests.Response | None, newest: datetime) -> datetime:
        """Return the end of the newest complete hour, by the earlier one of this clock and Amplitude's.

        A response that names a time before the hours of its own files, which begin with `newest`, comes
        through a proxy without a clock.
        """
        now = datetime.now(timezone.utc)
        theirs = date_of(response) if response is not None else None
        if theirs is None or theirs < newest:
            return complete_until(now)
        if abs(now - theirs) > CLOCK_TOLERANCE and not self._warned_of_clock:
            self._warned_of_clock = True
            LOGGER.warning(
                f"This machine's clock differs from Amplitude's by {abs(now - theirs)}: the earlier"
                " one decides which hours of events are complete. Set the clock."
            )
        return complete_until(min(now, theirs))

    def _describe(self, response: requests.Response) -> Any:
        """What the Connector Builder shows of a request: all but the body, which is an archive."""
        shown = requests.Response()
        shown.status_code, shown.headers = response.status_code, response.headers
        shown.request = response.request
        return format_http_message(shown, "Export of events", "Request a window", self._name)
