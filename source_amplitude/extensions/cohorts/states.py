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
                _ = str(each["partition"]["cohort_id"]), epoch_of(each["cursor"]["computed_at"])
            return {"states": stream_state["states"]}
        except (LookupError, TypeError, ValueError):
            return {}


def epoch_of(moment: str) -> int:
    """A moment such as `2024-01-31T05:00:00Z` in seconds since 1970."""
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def moment_of(epoch: int) -> str:
    """Seconds since 1970 as `2024-01-31T05:00:00Z`."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
