"""Saved states of daily streams."""

import logging
import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import date
from typing import Any

from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration

from source_amplitude.extensions.times import today_of

LOGGER = logging.getLogger("airbyte")


@dataclass
class LatestDay(StateMigration):
    """Turn a daily state into days of the form `YYYY-MM-DD`, none of them later than today.

    Read are days and times in any form that a version of a connector has saved, and the CDK's date ranges;
    a state without a day is no state.
    Today is the project's (`project_timezone`): a day that has not begun there cannot have been read.
    The state of a stream that could be grouped by country has `group_by_country: false` while it is not.
    The log warns of a switch, since days of both kinds do not add up.
    The state of a stream of an `option` has a cursor for each partition.
    What has no known form is kept under `unreadable`.
    """

    config: Mapping[str, Any]
    name: str = ""
    measure: str | None = None
    option: str = ""
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form, a day to come or another grouping."""
        return stream_state != self._migrated(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state as this version saves it."""
        migrated = self._migrated(stream_state)
        grouped = migrated.get("group_by_country", True)
        if stream_state.get("date") and grouped != stream_state.get("group_by_country", True):
            LOGGER.warning(
                f"`active_users_group_by_country` is now {'on' if grouped else 'off'}. Earlier days of"
                f" {self.name} may be grouped otherwise, and sums over both kinds count users twice: clear"
                f" the stream {self.name} to read all its days again."
            )
        return migrated

    def _migrated(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        try:
            state = self._days(stream_state)
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {"unreadable": dict(stream_state)}
            # The CDK's cursor of partitions keeps nothing else that it does not know.
            return {"states": [], "parent_state": kept} if self.option else kept
        if self.measure and not self.config.get("active_users_group_by_country", True):
            return {**state, "group_by_country": False}
        return state

    def _days(self, stream_state: Mapping[str, Any]) -> dict[str, Any]:
        if "states" in stream_state:
            # Without the CDK's `state` of all partitions, from which it would start one that is new.
            states = [
                {"partition": {**saved["partition"]}, "cursor": self._days(saved["cursor"])}
                for saved in stream_state["states"] or []
            ]
            return {
                "states": states,
                **{k: v for k, v in stream_state.items() if k == "parent_state" and v},
            }
        if stream_state.get("state_type") == "date-range":
            ranges = [
                {field: self._day(field, value) for field, value in days.items() if value}
                for days in stream_state.get("slices") or []
            ]
            return {**stream_state, "slices": ranges} if ranges else {}
        cursor = next((field for field in ("date", "day") if stream_state.get(field)), None)
        return {cursor: self._day(cursor, stream_state[cursor])} if cursor else {}

    def _day(self, field: str, value: Any) -> str:
        """The day of a saved date or time, or today if that is earlier."""
        match = re.match(r"(\d{4})-?(\d\d)-?(\d\d)(?=[T ]|$)", str(value))
        if match is None:
            raise ValueError(f"{field} is no day")
        return min(str(date(*map(int, match.groups()))), today_of(self.config))
