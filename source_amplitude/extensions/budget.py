"""The rate limit of the dashboards, which counts days."""

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
"""Shorter waits are not worth a line in the log."""


class DailyBudget(APIBudget):
    """The manifest's budget for one stream: a weight is the cost of a day, and waits are in the log.

    The CDK knows one weight for all requests of a kind, and waits without a word.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
    """

    def __init__(self, budget: APIBudget, name: str) -> None:
        """Share `budget` with the other streams."""
        super().__init__(policies=[])
        self._budget, self._name = budget, name

    def acquire_call(self, request: Any, block: bool = True, timeout: float | None = None) -> None:
        """Return once the budget has room for the request.

        Raises:
            CallRateLimitHit: it has none, and the caller does not `block`, or for less than it takes.
        """
        policy = self._budget.get_matching_policy(request)
        if not isinstance(policy, BaseCallRatePolicy):
            self._budget.acquire_call(request, block, timeout)
            return
        cost = policy.get_weight(request) * days_of(request)
        while True:
            try:
                policy.try_acquire(request, weight=cost)
            except CallRateLimitHit as hit:
                seconds = hit.time_to_wait.total_seconds()
                if not block or (timeout is not None and timeout < seconds):
                    raise
                if seconds >= NAMED_WAIT_SECONDS:
                    LOGGER.info(
                        f"{self._name} waits {seconds:.0f} s: until then Amplitude would refuse its next"
                        " request."
                    )
                time.sleep(max(seconds, 0))
            else:
                return

    def update_from_response(self, request: Any, response: Any) -> None:
        """Tell the budget what Amplitude says of it."""
        self._budget.update_from_response(request, response)


def days_of(request: requests.PreparedRequest) -> int:
    """The days that a request asks for, from `start` to `end`; 1 if it names none."""
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
    """The requester of the stream `name` with a budget by days."""
    assert isinstance(requester, HttpRequester)
    budget = DailyBudget(requester.api_budget or APIBudget(policies=[]), name)
    return replace(requester, api_budget=budget, parameters=parameters or {})


@dataclass
class BudgetRetriever(SimpleRetriever):
    """Read as the CDK does, with a budget by days."""

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self.requester = with_daily_budget(self.requester, self.name, parameters)
