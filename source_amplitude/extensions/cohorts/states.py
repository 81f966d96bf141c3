"""Saved states of cohort members."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime, timezone
from typing import Any

from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration


@dataclass
class CohortStateMigration(StateMigration):
    """Keep each cohort's `computed_at`; drop a state of any other form, so that cohorts are read again."""

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Return whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state by cohort, or an empty state."""
        try:
            for each in stream_state["states"]:
                check_state_of_cohort(each)
            return {"states": stream_state["states"]}
        except (LookupError, TypeError, ValueError):
            return {}


def check_state_of_cohort(state: Mapping[str, Any]) -> None:
    """Check that the state of a cohort has the cohort's id and a time.

    Raises:
        LookupError, TypeError, ValueError: it does not.
    """
    str(state["partition"]["cohort_id"])
    epoch_of(state["cursor"]["computed_at"])


def epoch_of(moment: str) -> int:
    """Convert a timestamp such as `2024-01-31T05:00:00Z` to seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Convert seconds since 1970 to a timestamp such as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
