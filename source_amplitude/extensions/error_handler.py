"""Failed requests: retry, or raise an error that quotes Amplitude's message."""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.requesters.error_handlers import DefaultErrorHandler
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy
from airbyte_cdk.sources.streams.http.error_handlers.response_models import (
    SUCCESS_RESOLUTION,
    ErrorResolution,
    ResponseAction,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from source_amplitude.extensions.responses import (
    HOUR_SECONDS,
    LIMITS,
    error_message,
    quotation,
    refuses_keys,
)

LOGGER = logging.getLogger("airbyte")

LONGEST_WAIT_SECONDS = 6 * HOUR_SECONDS


@dataclass
class Waits(BackoffStrategy):
    """Turn a failed request into the seconds to wait before it is sent again.

    What `Retry-After` says, in seconds or as a date; else what the limit that a 429 names needs; else 10, 20,
    40, ... seconds.
    """

    name: str

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """The seconds; the log says what a 429 is waited for."""
        growing = growing_seconds(attempt_count)
        response = response_or_exception
        if not isinstance(response, requests.Response):
            return growing
        seconds, why = _retry_after(response.headers.get("Retry-After")), "as Amplitude asks"
        if response.status_code != 429:
            return seconds or growing
        if not seconds:
            words = error_message(response).lower()
            seconds, why = growing, "since Amplitude names no limit"
            for limit, (needs, span) in LIMITS.items():
                if limit in words:
                    seconds, why = needs, f"for Amplitude's limit of {span}"
        LOGGER.info(
            f"Amplitude takes no more requests for {self.name} now (429): waiting {seconds:.0f} s, {why}."
        )
        return seconds


def growing_seconds(attempt: int) -> float:
    """Return how many seconds to wait after the given failed attempt: 10, 20, 40, ..."""
    return float(5 * 2**attempt)


def _retry_after(value: str | None) -> float:
    """The seconds of a `Retry-After` header, 0 where there is none that can be read."""
    try:
        return Retry().parse_retry_after(value or "0")
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


@dataclass
class AmplitudeErrorHandler(DefaultErrorHandler):
    """Turn an answer, or its absence, into what to do about it, in Amplitude's own words.

    - 429, 5xx, time-outs and lost connections are asked again (`Waits`), then transient_error
    - 401, 403, and 404 of the taxonomy: config_error, with the hint to the region or to the plan
    - 400 for the property that `measure` is grouped by, or for what `option` says: config_error
    - any other 4xx: system_error

    Raised here, since the CDK's own way writes header and body to the log.
    While `check` runs (`ask_again: false` in the config), nothing is asked twice.
    """

    name: str = ""
    measure: str | None = None
    option: str = ""
    max_time: int = LONGEST_WAIT_SECONDS

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:  # noqa: D105
        super().__post_init__(parameters)
        self.backoff_strategies = [Waits(self.name)]
        # A thread sends one request at a time, whatever it is redirected to.
        self._thread = threading.local()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: it is no use to ask again.
        """
        response = response_or_exception
        if isinstance(response, requests.Response):
            if response.ok:
                return self.accept()
            if response.status_code not in (408, 429) and response.status_code < 500:
                raise self.refusal(response)
        elif obstacle := _obstacle(response):
            raise self.failure(FailureType.config_error, obstacle)
        return self.retry(response)

    @property
    def attempts(self) -> int:
        """How often the request that this thread sends has failed before."""
        return getattr(self._thread, "attempts", 0)

    def accept(self) -> ErrorResolution:
        """Count the request as answered."""
        self._thread.attempts = 0
        return SUCCESS_RESOLUTION

    def retry(self, response: requests.Response | Exception | None) -> ErrorResolution:
        """Have a request sent again.

        Raises:
            AirbyteTracedException: transient_error, it has failed too often, or leads in a circle.
        """
        self._thread.attempts = tries = self.attempts + 1
        circle = isinstance(response, requests.TooManyRedirects)
        if circle or tries > int(self.max_retries or 0) or not self.config.get("ask_again", True):
            raise self.failure(FailureType.transient_error, self._passing(response, tries))
        # Nor RATE_LIMITED: the CDK then prints a status of what it calls the stream, which may be a job or
        # a parent that no catalog has. The log says what is waited for.
        return replace(super().interpret_response(response), response_action=ResponseAction.RETRY)

    def _passing(self, response: requests.Response | Exception | None, tries: int) -> str:
        """The message for a transient failure that outlived its retries."""
        if isinstance(response, requests.TooManyRedirects):
            return (
                f"Amplitude's answer to the request for {self.name} redirects in a circle. The next sync"
                " goes on from here; check proxies between here and Amplitude."
            )
        if tries > 1:
            last = _problem(response)
            if isinstance(response, requests.Response):
                last = f"{response.status_code}{quotation(response)}"
            return (
                f"Amplitude did not answer for {self.name} in {tries} attempts (the last: {last}). The next"
                " sync continues from here; if the error persists, look at Amplitude's status page."
            )
        if not isinstance(response, requests.Response):
            return (
                f"Amplitude cannot be reached at {_host(response)} ({_problem(response)}). Check the network"
                " and the data region, then test again."
            )
        if response.status_code == 429:
            return (
                f"Amplitude takes no more requests of this project at the moment (429{quotation(response)},"
                f" reading {self.name}). Its limits pass within the hour: test again then."
            )
        return (
            f"Amplitude could not answer for {self.name} ({response.status_code}{quotation(response)})."
            " Test again in a few minutes."
        )

    def refusal(self, response: requests.Response) -> AirbyteTracedException:
        """The error for an answer of 4xx."""
        status, said = response.status_code, quotation(response)
        words = said.lower()
        if status == 407:
            return self.failure(FailureType.config_error, PROXY_REFUSES)
        if refuses_keys(response):
            if "combination" in words:
                return self.failure(
                    FailureType.config_error,
                    f"Amplitude refused the keys when asked for {self.name} ({status}{said}). The secret key"
                    " does not belong to the API key: copy both from the same project.",
                )
            return self.failure(
                FailureType.config_error,
                f"Amplitude refused the keys when asked for {self.name} ({status}{said}). Check the API"
                " key, the secret key and the data region: a key of the other region looks like a wrong key.",
            )
        if status == 403 or (status == 404 and "/taxonomy/" in str(response.url)):
            return self.failure(
                FailureType.config_error,
                f"Amplitude does not let this project read {self.name} ({status}{said}): its plan may not"
                " include it. Leave the stream out; if no stream works, check the keys and the data region.",
            )
        query = parse_qs(urlsplit(str(response.url)).query)
        if status == 400 and self.option:
            events = [json.loads(event)["event_type"] for event in query.get("e", [])]
            of = "".join(f" of {event!r}" for event in events)
            by = "".join(f" by {group!r}" for group in query.get("g", []))
            return self.failure(
                FailureType.config_error,
                f"Amplitude refuses {self.name}{of}{by} ({status}{said}): correct `{self.option}`.",
            )
        grouped = self.measure and self.config.get("active_users_group_by_country", True)
        if status == 400 and grouped and "user property" in words:
            return self.failure(
                FailureType.config_error,
                f"Amplitude cannot group {self.name} by country ({status}{said}): turn off"
                " `active_users_group_by_country`.",
            )
        return self.failure(
            FailureType.system_error,
            f"Amplitude could not answer the request for {self.name} ({status}{said}). The next sync sends"
            " it again; open an issue if the error persists.",
        )

    def failure(self, kind: FailureType, message: str) -> AirbyteTracedException:
        """An error of this stream, which ends its request."""
        self._thread.attempts = 0
        return AirbyteTracedException(
            message=message, internal_message=f"{self.name}: {message}", failure_type=kind
        )


PROXY_REFUSES = (
    "The proxy between here and Amplitude asks for a user and a password (407): put them into its address"
    " (HTTPS_PROXY=http://user:password@host:port)."
)

PROBLEMS = {
    requests.exceptions.ProxyError: "a proxy that does not connect",
    requests.exceptions.SSLError: "a TLS connection that failed",
    requests.Timeout: "no response in time",
    requests.exceptions.ChunkedEncodingError: "a connection that broke off",
    requests.ConnectionError: "no connection",
}
"""What the exceptions of `requests` mean, the more special ones first."""


def _obstacle(error: Exception | None) -> str:
    """What keeps every request from Amplitude until somebody removes it; empty for what may pass."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {_host(error)} is not trusted, so nothing was requested. If a proxy of your"
            " network answers in its place, let REQUESTS_CA_BUNDLE name a file with the proxy's certificate."
        )
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return PROXY_REFUSES
    return ""


def _problem(error: Any) -> str:
    """Why there is no response, in words."""
    if "Failed to resolve" in str(error):
        return "a name that does not resolve"
    for kind, words in PROBLEMS.items():
        if isinstance(error, kind):
            return words
    return type(error).__name__


def _host(error: Any) -> str:
    """The host that was asked."""
    return urlsplit(str(getattr(getattr(error, "request", None), "url", ""))).netloc
