"""Saved states of cohort members."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime, timezone
from typing import Any

from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration


@dataclass
class CohortStateMigration(StateMigration):
    """Keep of a state when each cohort was computed; without that a cohort is read again."""

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state by cohort; of any other form, none."""
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
    """A moment such as `2024-01-31T05:00:00Z` in seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Seconds since 1970 as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
