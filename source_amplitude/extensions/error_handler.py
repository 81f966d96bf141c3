"""Failed requests: retry, or raise an error that quotes Amplitude's message."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
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

from source_amplitude.extensions.errors import config_error, system_error, transient_error
from source_amplitude.extensions.responses import (
    HOUR_SECONDS,
    error_message,
    is_from_gateway,
    quotation,
    rate_limit,
    refuses_keys,
)

LOGGER = logging.getLogger("airbyte")

LONGEST_SILENCE_SECONDS = 1.5 * HOUR_SECONDS
"""How long one request may be retried in all, since the platform ends a sync that is silent for two hours."""
TRANSIENT_CODES = (408, 421, 425, 429, 499)
"""Codes of 4xx that say nothing of the request: a retry may help, as after any 5xx."""

FIRST_WAIT_SECONDS = 10

AnyError = TypeVar("AnyError", bound=Exception)


def growing_seconds(attempt: int) -> float:
    """Return how many seconds to wait after the given failed attempt: 10, 20, 40, ..."""
    return float(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))


@dataclass
class AmplitudeBackoff(BackoffStrategy):
    """How long to wait before a failed request is sent again.

    As long as the header `Retry-After` says, in seconds or as a date; otherwise as long as the rate limit
    needs that a 429 names; otherwise 10, 20, 40, ... seconds.
    """

    name: str

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float:
        """Return the number of seconds to wait, and log the reason after a 429."""
        seconds, reason = wait_after(response_or_exception, attempt_count)
        if reason:
            LOGGER.info(
                f"Amplitude is rate-limiting {self.name} (429): waiting {seconds:.0f} s, {reason}."
            )
        return seconds


def wait_after(response: requests.Response | Exception | None, attempt: int) -> tuple[float, str]:
    """Return the seconds to wait after a failed attempt and, after a 429, the reason."""
    if not isinstance(response, requests.Response):
        return growing_seconds(attempt), ""
    seconds = _retry_after(response.headers.get("Retry-After"))
    if response.status_code != 429:
        return seconds or growing_seconds(attempt), ""
    if seconds:
        return seconds, "as its response says"
    seconds, span = rate_limit(error_message(response))
    if seconds:
        return seconds, f"for its limit of {span}"
    return growing_seconds(attempt), "because its response names no limit"


def _retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` header; 0 without one, or if it cannot be parsed."""
    try:
        return Retry().parse_retry_after(value or "0")
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


@dataclass
class AmplitudeErrorHandler(DefaultErrorHandler):
    """Decide what to do after a failed request: retry, or raise an error that quotes Amplitude's message.

    - 5xx, `TRANSIENT_CODES`, time-outs and lost connections are retried (`AmplitudeBackoff`) for at most
      `LONGEST_SILENCE_SECONDS`, then transient_error; so is a refusal without Amplitude's envelope, which a
      gateway has sent
    - any other 4xx is never retried: `CLIENT_ERRORS` has the failure type and the message
    - an untrusted certificate, or a proxy that cannot be used, is never retried: config_error

    It raises errors itself, because the CDK writes the header and the body of a failed response to the log.
    While `check` runs (`ask_again: false` in the config), no request is retried.

    `measure` and `option` are parameters of the stream in the manifest: what it counts by country, and the
    option that its requests are made of. They decide which option an error names.
    """

    name: str = ""
    measure: str | None = None
    option: str = ""
    max_time: int = int(LONGEST_SILENCE_SECONDS)

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self.backoff_strategies = [AmplitudeBackoff(self.name)]
        # Attempts are counted per thread: the CDK does not pass the count, and a redirect changes the
        # request, but each thread sends one request at a time.
        self._thread = threading.local()

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        """Tell the requester what to do.

        Raises:
            AirbyteTracedException: a retry cannot help, or the last one has failed.
        """
        response = response_or_exception
        if isinstance(response, requests.Response):
            if response.ok:
                return self.accept()
            is_transient = response.status_code in TRANSIENT_CODES or response.status_code >= 500
            if not (is_transient or is_from_gateway(response)):
                raise self.client_error(response)
        elif cause := permanent_cause(response):
            raise self.give_up(config_error(cause, self.name))
        return self.retry(response)

    @property
    def attempts(self) -> int:
        """How often the request that this thread is sending has failed so far."""
        return getattr(self._thread, "attempts", 0)

    def accept(self) -> ErrorResolution:
        """Take the response as it is, and forget the failed attempts of its request."""
        self._thread.attempts = 0
        return SUCCESS_RESOLUTION

    def give_up(self, error: AnyError) -> AnyError:
        """Return the error to raise, and forget the failed attempts of its request."""
        self._thread.attempts = 0
        return error

    def retry(self, response: requests.Response | Exception | None) -> ErrorResolution:
        """Have the request sent again.

        Raises:
            AirbyteTracedException: transient_error, it has failed too often, or is in a redirect loop.
        """
        self._thread.attempts = attempts = self.attempts + 1
        if attempts == 1:
            self._thread.began = time.time()
        seconds, _ = wait_after(response, attempts)
        is_loop = isinstance(response, requests.TooManyRedirects)
        is_last = attempts > int(self.max_retries or 0) or not self.config.get("ask_again", True)
        if is_loop or is_last:
            raise self.give_up(
                transient_error(self._failed_attempts(response, attempts), self.name)
            )
        if time.time() - self._thread.began + seconds > LONGEST_SILENCE_SECONDS:
            raise self.give_up(
                transient_error(
                    f"The next request for {self.name} would have to wait {seconds:,.0f} s"
                    f" ({describe(response)}), longer than a sync may be silent. The next sync continues from"
                    " here; if the error persists, sync less often, or look for what else uses Amplitude's"
                    " limits.",
                    self.name,
                )
            )
        # Use RETRY instead of RATE_LIMITED: for the latter the CDK emits a stream status, and the "stream"
        # may be a job or a parent that is not in the catalog.
        return replace(super().interpret_response(response), response_action=ResponseAction.RETRY)

    def _failed_attempts(
        self, response: requests.Response | Exception | None, attempts: int
    ) -> str:
        """Return the message after the last attempt; a `check` has only one, and is run by a person."""
        last = describe(response)
        if isinstance(response, requests.TooManyRedirects):
            return (
                f"The request for {self.name} ended in a redirect loop. The next sync continues from here;"
                " check the proxies between this machine and Amplitude."
            )
        if isinstance(response, requests.Response) and is_from_gateway(response):
            return (
                f"A gateway between this machine and Amplitude refused the request for {self.name} ({last})."
                " The next sync continues from here; if the error persists, check proxies and firewalls."
            )
        if attempts > 1:
            unreached = not isinstance(response, requests.Response)
            hint = "check the network" if unreached else "look at Amplitude's status page"
            return (
                f"The request for {self.name} failed in {attempts} attempts (the last: {last}). The next"
                f" sync continues from here; if the error persists, {hint}."
            )
        if not isinstance(response, requests.Response):
            return (
                f"Amplitude cannot be reached at {_host(response)} ({last}). Check the network and the data"
                " region, then test again."
            )
        if response.status_code == 429:
            return (
                f"Amplitude is rate-limiting this project ({last}, reading {self.name}). The limits reset"
                " within an hour; test again then."
            )
        return f"The request for {self.name} failed ({last}). Test again in a few minutes."

    def client_error(self, response: requests.Response) -> AirbyteTracedException:
        """Return the error for a response of 4xx, by the first of `CLIENT_ERRORS` that matches."""
        rule = next(rule for rule in CLIENT_ERRORS if rule.matches(self, response))
        message = rule.message.format(
            name=self.name,
            subject=self.subject(response),
            response=describe(response),
            option=self.option,
            query=_query_of(str(response.url)) if self.option else "",
        )
        return self.give_up(rule.make_error(message, self.name))

    def subject(self, response: requests.Response) -> str:
        """Return what was requested: the stream, and in a subclass that knows it the partition."""
        return self.name


PROXY_WANTS_PASSWORD = (
    "The proxy between this machine and Amplitude asks for a user and a password (407): put them into its"
    " address (HTTPS_PROXY=http://user:password@host:port)."
)


@dataclass(frozen=True)
class ClientError:
    """What a response of 4xx means: the first rule that `matches` a handler's response has the error.

    The message is filled in with `{name}`, the stream; `{subject}`, the stream and the partition if that is
    known; `{response}`, its status and Amplitude's message; `{option}`, the option that the request is made
    of; and `{query}`, what the request asked for by it.
    """

    matches: Callable[[AmplitudeErrorHandler, requests.Response], bool]
    make_error: Callable[[str, str], AirbyteTracedException]
    message: str


def _keys_differ(_: AmplitudeErrorHandler, response: requests.Response) -> bool:
    return refuses_keys(response) and "combination" in error_message(response).lower()


def _is_not_in_plan(_: AmplitudeErrorHandler, response: requests.Response) -> bool:
    # The taxonomy answers 404 where the other APIs answer 403.
    missing = response.status_code == 404 and "/taxonomy/" in str(response.url)
    return response.status_code in (402, 403) or missing


def _has_no_country(handler: AmplitudeErrorHandler, response: requests.Response) -> bool:
    grouped = handler.measure and handler.config.get("active_users_group_by_country", True)
    about_property = "user property" in error_message(response).lower()
    return bool(response.status_code == 400 and grouped and about_property)


CLIENT_ERRORS: Sequence[ClientError] = (
    ClientError(
        lambda _, response: response.status_code == 407, config_error, PROXY_WANTS_PASSWORD
    ),
    ClientError(
        _keys_differ,
        config_error,
        "Amplitude refused the keys for {name} ({response}). The secret key does not belong to the API key:"
        " copy both from the same project.",
    ),
    ClientError(
        lambda _, response: refuses_keys(response),
        config_error,
        "Amplitude refused the keys for {name} ({response}). Check the API key, the secret key and the data"
        " region: a key of the other region looks like a wrong key.",
    ),
    ClientError(
        _is_not_in_plan,
        config_error,
        "Amplitude does not let this project read {name} ({response}): its plan may not include it."
        " Deselect the stream; if no stream works, check the keys and the data region.",
    ),
    ClientError(
        lambda handler, response: response.status_code == 400 and bool(handler.option),
        config_error,
        "Amplitude refuses {name}{query} ({response}): correct `{option}`.",
    ),
    ClientError(
        _has_no_country,
        config_error,
        "Amplitude cannot group {name} by country ({response}): turn off"
        " `active_users_group_by_country`.",
    ),
    ClientError(
        lambda *_: True,
        system_error,
        "Amplitude rejected the request for {subject} ({response}). The next sync sends it again; if the"
        " error persists, open an issue.",
    ),
)


def _query_of(url: str) -> str:
    """Return what a request of the dashboards asks for: ` of 'Purchase' by 'country'`, or less."""
    query = parse_qs(urlsplit(url).query)
    events = [json.loads(event)["event_type"] for event in query.get("e", [])]
    return "".join(
        [f" of {event!r}" for event in events] + [f" by {group!r}" for group in query.get("g", [])]
    )


REASONS = {
    requests.exceptions.ProxyError: "a proxy that does not connect",
    requests.exceptions.SSLError: "a TLS connection that failed",
    requests.Timeout: "no response in time",
    requests.exceptions.ChunkedEncodingError: "a connection that broke off",
    requests.ConnectionError: "no connection",
}
"""What the exceptions of `requests` mean, a class before the classes that it is derived from."""


def describe(response_or_exception: requests.Response | Exception | None) -> str:
    """Return the status of a response with Amplitude's message, or why there is no response."""
    if isinstance(response_or_exception, requests.Response):
        return f"{response_or_exception.status_code}{quotation(response_or_exception)}"
    if "Failed to resolve" in str(response_or_exception):
        return "a name that does not resolve"
    for kind, reason in REASONS.items():
        if isinstance(response_or_exception, kind):
            return reason
    return type(response_or_exception).__name__


def permanent_cause(error: Exception | None) -> str:
    """Describe an error that no retry can fix, or return an empty string.

    Such are an untrusted certificate, and a proxy that wants a password or whose address cannot be used.
    """
    if isinstance(error, UNUSABLE_PROXY_ERRORS):
        reason = "SOCKS needs PySocks" if "SOCKS" in str(error) else "its address is malformed"
        return (
            f"The proxy that {_proxy_variable(reason)} names cannot be used ({reason}), so no request was"
            " sent. Set it to an address such as http://host:port."
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate of {_host(error)} is not trusted, so no request was sent. If a proxy of your"
            " network has replaced the certificate, set REQUESTS_CA_BUNDLE to a file with the proxy's own."
        )
    if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
        return PROXY_WANTS_PASSWORD
    return ""


UNUSABLE_PROXY_ERRORS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidURL,
)


def _proxy_variable(reason: str) -> str:
    """Return the environment variable that names the proxy: the one with a SOCKS proxy, or the first."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    values = {
        name: os.environ[name] for name in (*names, *map(str.lower, names)) if os.environ.get(name)
    }
    socks = [name for name, value in values.items() if value.startswith("socks")]
    return next(iter(socks if "SOCKS" in reason else values), names[0])


def _host(error: Any) -> str:
    """Return the host and port that a failed request was sent to."""
    return urlsplit(str(getattr(getattr(error, "request", None), "url", ""))).netloc
