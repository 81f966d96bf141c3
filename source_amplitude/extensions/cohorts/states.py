"""Saved states of cohort members."""

import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime, timezone
from typing import Any

from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration

from source_amplitude.extensions.cohorts.times import epoch_seconds


@dataclass
class CohortStateMigration(StateMigration):
    """Keep each cohort's `computed_at`, rewritten as `2024-01-31T05:00:00Z`, and not later than now.

    A state of the CDK's own that knows no cohort is no state. What cannot be read is kept under `unreadable`.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Return whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state by cohort, or an empty state."""
        if all(key.startswith("__ab_") for key in stream_state):
            return {}
        try:
            if unreadable := (stream_state.get("parent_state") or {}).get("unreadable"):
                return unreadable_state(unreadable)
            return {"states": [state_of_cohort(each) for each in stream_state["states"]]}
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            return unreadable_state(stream_state)


def unreadable_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of partitions that keeps one that cannot be read, where the CDK's cursor keeps it."""
    return {"states": [], "parent_state": {"unreadable": dict(state)}}


def state_of_cohort(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a cohort in the saved form.

    Raises:
        LookupError, TypeError, ValueError, OverflowError: it does not have the cohort's id and a time.
    """
    cohort, computed = (
        state["partition"]["cohort_id"],
        epoch_seconds(state["cursor"]["computed_at"]),
    )
    if computed is None or not isinstance(cohort, str):
        raise ValueError("not the state of a cohort")
    moment = moment_of(max(0, min(computed, int(time.time()))))
    return {"partition": {"cohort_id": cohort}, "cursor": {"computed_at": moment}}


def epoch_of(moment: str) -> int:
    """Convert a timestamp such as `2024-01-31T05:00:00Z` to seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Convert seconds since 1970 to a timestamp such as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
