"""The job that writes the members of a cohort to a file."""

import logging
import math
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any
from urllib.parse import quote

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.http_logger import format_http_message
from airbyte_cdk.sources.streams.http.error_handlers.response_models import ErrorResolution
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.error_handler import (
    AmplitudeBackoff,
    AmplitudeErrorHandler,
    describe,
)
from source_amplitude.extensions.errors import transient_error
from source_amplitude.extensions.responses import date_of, error_message, quotation

LOGGER = logging.getLogger("airbyte")

POLL_PAUSES = (1, 2, 3, 5, 10, 20, 30)
"""Seconds between the first polls; small cohorts take 30 to 60 s too."""

LONGEST_POLL_PAUSE = 60
"""Seconds between all later polls."""

LONGEST_JOB_SECONDS = 90 * 60

LONGEST_COHORT_SECONDS = 100 * 60
"""Until when all waits of a cohort end: its limits, retries, polls, downloads. A platform may end a sync that
is silent for two hours (`maxSecondsBetweenMessages` of metadata.yaml), and the last request takes minutes."""


@dataclass
class CohortBackoff(AmplitudeBackoff):
    """How long to wait before a failed request for a cohort is sent again, within `LONGEST_COHORT_SECONDS`.

    The time is that of the thread's cohort, from `begin_cohort` on.
    """

    _thread: threading.local = field(default_factory=threading.local)

    def begin_cohort(self) -> float:
        """Return when the waits of the cohort that begins must end, in seconds since 1970."""
        self._thread.deadline = deadline = time.time() + LONGEST_COHORT_SECONDS
        return deadline

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """Return the number of seconds to wait.

        Raises:
            AirbyteTracedException: transient_error, the wait would be too long.
        """
        seconds = super().backoff_time(response_or_exception, attempt_count)
        if time.time() + seconds > getattr(self._thread, "deadline", math.inf):
            raise transient_error(
                f"A request for {self.name} would have to wait {seconds:,.0f} s"
                f" ({describe(response_or_exception)}), and a cohort may take {LONGEST_COHORT_SECONDS // 60}"
                " minutes in all. The next sync requests it again; if the error persists, sync less often,"
                " or look for what else uses Amplitude's limits.",
                self.name,
            )
        return seconds


STATUSES_OF_THE_PROJECT = (401, 403, 407, 408, 429)
"""Statuses that do not concern one cohort, but keys, plan, proxy, network and limits."""


@dataclass
class CohortErrorHandler(AmplitudeErrorHandler):
    """Leave the 4xx that concern one cohort to `CohortApi`, which knows its id."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._backoff = CohortBackoff(self.name)
        self.backoff_strategies = [self._backoff]

    def begin_cohort(self) -> float:
        """Return when the waits of the cohort that begins must end, in seconds since 1970."""
        self.accept()
        return self._backoff.begin_cohort()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do."""
        response = response_or_exception
        if (
            isinstance(response, requests.Response)
            and 400 <= response.status_code < 500
            # After a redirect the response is the file server's, which knows neither project nor keys.
            and (response.history or response.status_code not in STATUSES_OF_THE_PROJECT)
            # A 404 without Amplitude's message is a gateway's, and says nothing of the cohort.
            and (response.history or response.status_code != 404 or error_message(response))
        ):
            return self.accept()
        return super().interpret_response(response)


@dataclass
class OnceErrorHandler(AmplitudeErrorHandler):
    """Take each response as it is, without a retry: for requests that need not be answered."""

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: transient_error, there is no response; the message says why in a clause.
        """
        if isinstance(response_or_exception, requests.Response):
            return self.accept()
        raise transient_error(describe(response_or_exception), self.name)


class UnansweredError(Exception):
    """A request that need not be answered was not; the message says why, in a clause."""


@dataclass(frozen=True)
class CohortJob:
    """A job that Amplitude has accepted: for which cohort, its id, and its time by Amplitude's clock.

    `created` and `deadline`, until when it is waited for by this machine's clock, are in seconds since 1970.
    """

    cohort: str
    request_id: str
    created: int
    deadline: float


@dataclass
class CohortApi:
    """Send the requests for cohorts, and turn refusals into errors that name the cohort.

    `once` sends those that need not be answered, and does not retry them.

    See: https://amplitude.com/docs/apis/analytics/behavioral-cohorts#get-one-cohort
    """

    requester: HttpRequester
    once: HttpRequester
    name: str
    config: Mapping[str, Any]

    def create_job(self, cohort: str) -> CohortJob:
        """Have Amplitude write the members of a cohort to a file.

        Raises:
            AirbyteTracedException: config_error if Amplitude does not know the cohort, or it is too large;
                system_error if it refuses the cohort in another way or does not return the job's id.
        """
        assert isinstance(self.requester.error_handler, CohortErrorHandler)
        deadline = self.requester.error_handler.begin_cohort()
        properties = self.config.get("cohort_member_properties", True)
        with self._send(
            f"5/cohorts/request/{quote(cohort, safe='')}",
            "ASYNC_CREATE",
            {"props": "1" if properties else "0"},
        ) as response:
            if response.status_code in (400, 404):
                raise self.error(
                    FailureType.config_error,
                    f"Amplitude does not know the cohort {cohort!r} of `cohort_ids`"
                    f" ({response.status_code}{quotation(response)}): correct the id or remove it;"
                    " the stream cohorts lists all ids. The other cohorts are read.",
                )
            if response.status_code == 413:
                raise self.error(
                    FailureType.config_error,
                    f"The cohort {cohort!r} of `cohort_ids` is too large for Amplitude to return"
                    f" (413{quotation(response)}): turn off `cohort_member_properties`, or remove the id."
                    " The other cohorts are read.",
                )
            if not response.ok:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude rejected the request for {self.name} of the cohort {cohort!r}"
                    f" ({response.status_code}{quotation(response)}). The next sync sends it again; if the"
                    " error persists, open an issue.",
                )
            request_id = text_field_of(response, "request_id")
            if not request_id:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude's response for {self.name} of the cohort {cohort!r}"
                    f" ({response.status_code}{quotation(response)}) does not have a `request_id`. The next"
                    " sync sends the request again; if the error persists, open an issue.",
                )
            created = epoch_of_response(response)
            return CohortJob(cohort, quote(request_id, safe=""), created, deadline)

    def wait_for(self, job: CohortJob) -> int:
        """Return when the job was completed, in seconds since 1970; the log has a line for each poll.

        An unknown status counts as still running.

        Raises:
            AirbyteTracedException: transient_error if the job failed or took longer than
                `LONGEST_JOB_SECONDS` or its `deadline`, system_error if Amplitude does not know it any more.
        """
        waited = 0
        for pause in chain(POLL_PAUSES, repeat(LONGEST_POLL_PAUSE)):
            LOGGER.info(
                f"Amplitude is preparing the members of the cohort {job.cohort!r}: {waited} s so far."
            )
            time.sleep(pause)
            waited += pause
            status, sent = self._poll(job)
            if "COMPLETED" in status:
                return sent
            if re.search("FAIL|ERROR|CANCEL", status):
                raise self.error(
                    FailureType.transient_error,
                    f"Amplitude could not write the members of the cohort {job.cohort!r}. The next sync"
                    " requests them again; if the error persists, turn off `cohort_member_properties`.",
                )
            if waited >= LONGEST_JOB_SECONDS or time.time() >= job.deadline:
                break
        raise self.error(
            FailureType.transient_error,
            f"Amplitude has not written the members of the cohort {job.cohort!r} within"
            f" {waited // 60} minutes. Turn off `cohort_member_properties`, which makes the file"
            " smaller, or remove the id from `cohort_ids`; the next sync requests them again.",
        )

    def _poll(self, job: CohortJob) -> tuple[str, int]:
        """Return the job's status in capitals, and when Amplitude sent it, in seconds since 1970."""
        with self._send(f"5/cohorts/request-status/{job.request_id}", "ASYNC_POLL") as response:
            if not response.ok:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude does not return the status of the job for the members of the cohort"
                    f" {job.cohort!r} ({response.status_code}{quotation(response)}). The next sync creates a"
                    " new job; if the error persists, open an issue.",
                )
            return text_field_of(response, "async_status").upper(), epoch_of_response(response)

    def send_file_request(self, job: CohortJob) -> requests.Response:
        """Return the response with the file of a completed job, whose body has not been read.

        A refusal of the host that keeps the file is a response too; it has a `history`.

        Raises:
            AirbyteTracedException: system_error if Amplitude refuses it.
        """
        response = self._send(f"5/cohorts/request/{job.request_id}/file", "HTTP", is_file=True)
        if not response.ok and not response.history:
            with response:
                raise self.error(
                    FailureType.system_error,
                    f"Amplitude does not return the file with the members of the cohort {job.cohort!r}"
                    f" ({response.status_code}{quotation(response)}). The next sync creates a new job; if the"
                    " error persists, open an issue.",
                )
        return response

    def get_json(self, path: str) -> Any:
        """Request JSON that is helpful but not required, once.

        Raises:
            UnansweredError: it did not come.
        """
        try:
            with self._send(path, "HTTP", is_required=False) as response:
                if response.ok:
                    return response.json()
                why = describe(response)
        except AirbyteTracedException as error:
            why = str(error.message)
        except (ValueError, RecursionError):
            why = "it is not JSON"
        except requests.RequestException as error:
            why = describe(error)
        raise UnansweredError(why)

    def error(self, kind: FailureType, message: str) -> AirbyteTracedException:
        """Return an error of the stream."""
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )

    def _send(
        self,
        path: str,
        kind: str,
        parameters: Mapping[str, str] | None = None,
        is_file: bool = False,
        is_required: bool = True,
    ) -> requests.Response:
        """Send a request; the Connector Builder shows it as one of `kind`."""
        if is_file:
            description = "Read the members"
        else:
            description = "Request what has changed" if kind == "HTTP" else "Create or poll the job"

        def describe(response: requests.Response) -> Any:
            return format_http_message(
                response,
                "Cohort members",
                description,
                self.name if is_file else None,
                is_auxiliary=not is_file or None,
                type=kind,
            )

        requester = self.requester if is_required else self.once
        response = requester.send_request(
            path=path,
            request_params=parameters,
            request_headers={"Accept-Encoding": "gzip"},
            log_formatter=describe,
        )
        assert response is not None  # the error handler ignores none
        return response


def epoch_of_response(response: requests.Response) -> int:
    """Return when a response was sent, in seconds since 1970, or the present time if it does not say."""
    moment = date_of(response)
    return int(moment.timestamp() if moment else time.time())


def text_field_of(response: requests.Response, name: str) -> str:
    """Return a field of a response as text, empty if the response does not have it."""
    try:
        value = response.json()[name]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return str(value) if isinstance(value, str | int) else ""
