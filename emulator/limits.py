"""The limits of a project, by the emulator's clock."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from emulator.messages import ApiError

HOUR = timedelta(hours=1)
DASHBOARD = {"concurrent": (1_000, timedelta(minutes=5)), "rate": (108_000, HOUR)}
"""Limits on the cost of dashboard queries (apis/analytics/dashboard-rest#rate-limits), named as in a 429."""
TAXONOMY = {"rate": (7_200, HOUR)}
COHORT_DOWNLOADS = {"rate": (60, timedelta(minutes=10)), "monthly": (500, timedelta(days=30))}
COHORT_JOBS = 4
"""Downloads of cohorts that may be at work at once."""
DELETIONS = {"rate": (1, timedelta(seconds=1))}
REQUESTS_IN_FLIGHT = {"/": 5, "/api/2/taxonomy/": 4}
"""Requests that may be in flight at once, by the start of their paths."""
GROUPS = 100
"""Groups in the response to a dashboard query: the largest."""
MOST_GROUPS = 1_000
"""Groups that a query of events may request with `limit`."""


def too_many(limit: str, cost: int) -> ApiError:
    """Return the 429 of a limit."""
    details = f"Too Many Requests: Exceeded {limit} limit with query of cost {cost}"
    return ApiError(429, details)


class Budget:
    """The cost spent within trailing windows; a refused request costs nothing."""

    def __init__(
        self, limits: dict[str, tuple[int, timedelta]], now: Callable[[], datetime]
    ) -> None:
        self._limits = limits
        self._now = now
        self._spent: deque[tuple[datetime, int]] = deque()
        self._lock = threading.Lock()
        self._longest = max(span for _, span in limits.values())

    def spend(self, cost: int) -> None:
        """Spend the cost of a request.

        Raises:
            ApiError: 429, the request would exceed a limit.
        """
        now = self._now()
        with self._lock:
            while self._spent and self._spent[0][0] <= now - self._longest:
                self._spent.popleft()
            for word, (most, span) in self._limits.items():
                recent = sum(spent for at, spent in self._spent if at > now - span)
                if recent + cost > most:
                    raise too_many(word, cost)
            self._spent.append((now, cost))

    def spent(self, word: str) -> int:
        """Return the cost spent within the span of a limit."""
        _, span = self._limits[word]
        with self._lock:
            return sum(cost for at, cost in self._spent if at > self._now() - span)
