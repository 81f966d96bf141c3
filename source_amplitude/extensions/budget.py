"""The rate limit of the dashboards, which counts the days of a request."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from airbyte_cdk.sources.declarative.requesters import HttpRequester, Requester
from airbyte_cdk.sources.declarative.retrievers import SimpleRetriever
from airbyte_cdk.sources.streams.call_rate import APIBudget, BaseCallRatePolicy, CallRateLimitHit

LOGGER = logging.getLogger("airbyte")

NAMED_WAIT_SECONDS = 10
"""Waits of at least this long are logged."""


class DailyBudget(APIBudget):
    """The manifest's API budget, applied to one stream.

    A policy's weight is the cost of one day, multiplied here by the days of the request, as Amplitude does:
    the CDK has one weight for all requests of a kind. Waits of ten seconds or more are logged; the CDK logs
    its own waits at debug level only.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
    """

    def __init__(self, budget: APIBudget, name: str) -> None:
        """Spend from `budget`, which all streams share, and name the stream in the log."""
        # This object has no policies of its own: each call is counted by one of `budget`.
        super().__init__(policies=[])
        self._budget, self._name = budget, name

    def acquire_call(self, request: Any, block: bool = True, timeout: float | None = None) -> None:
        """Wait until the budget allows the request, and count its cost.

        Raises:
            CallRateLimitHit: the request must wait, and the caller does not `block`, or waits for less
                than that; `timeout` is in seconds.
        """
        policy = self._budget.get_matching_policy(request)
        if not isinstance(policy, BaseCallRatePolicy):
            self._budget.acquire_call(request, block, timeout)
            return
        cost = policy.get_weight(request) * days_of(request)
        # Ask again after a wait: another stream may have taken what became free.
        while True:
            try:
                policy.try_acquire(request, weight=cost)
            except CallRateLimitHit as hit:
                seconds = hit.time_to_wait.total_seconds()
                if not block or (timeout is not None and timeout < seconds):
                    raise
                if seconds >= NAMED_WAIT_SECONDS:
                    LOGGER.info(
                        f"{self._name}: waiting {seconds:.0f} s to stay within Amplitude's rate limit."
                    )
                time.sleep(max(seconds, 0))
            else:
                return

    def update_from_response(self, request: Any, response: Any) -> None:
        """Pass a response on to the shared budget."""
        self._budget.update_from_response(request, response)


def days_of(request: requests.PreparedRequest) -> int:
    """Return the number of days from `start` to `end` of a request; 1 if it does not have both."""
    query = parse_qs(urlsplit(request.url or "").query)
    try:
        days = [query[name][0] for name in ("start", "end")]
        start, end = (date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in days)
    except (LookupError, ValueError):
        return 1
    return (end - start).days + 1


def with_daily_budget(
    requester: Requester, name: str, parameters: Mapping[str, Any] | None
) -> HttpRequester:
    """Return the requester with a `DailyBudget` for the stream `name`."""
    assert isinstance(requester, HttpRequester)
    budget = DailyBudget(requester.api_budget or APIBudget(policies=[]), name)
    return replace(requester, api_budget=budget, parameters=parameters or {})


@dataclass
class BudgetRetriever(SimpleRetriever):
    """The CDK's retriever, with a budget that counts days and logs its waits."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        # The manifest can declare a budget, but not the class of it.
        self.requester = with_daily_budget(self.requester, self.name, parameters)
