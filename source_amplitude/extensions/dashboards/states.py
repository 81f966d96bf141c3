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
class DailyStateMigration(StateMigration):
    """Turn the saved state of a daily stream into days of the form `YYYY-MM-DD`, none later than today.

    It reads days and times in the forms that versions of this connector and of others have saved, and the
    CDK's date ranges; a state without a day becomes an empty state. A state of a stream with partitions has a
    cursor for each of them. Any other state is kept under the key `unreadable`, for which `DailyRetriever`
    raises.

    Today is the project's (`project_timezone`): a day that has not begun there cannot have been read.
    Within a sync, `DailyRetriever` and the `record_filter` of the manifest keep the state to that.

    `measure` and `option` are the stream's parameters in the manifest. The state of a stream with a `measure`
    has `group_by_country: false` while the stream is not grouped. The log warns of a switch, because grouped
    and ungrouped days do not add up. A stream with an `option` has partitions.
    """

    config: Mapping[str, Any]
    name: str = ""
    measure: str | None = None
    option: str = ""
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Return whether the state has another form, a day that has not begun, or another grouping."""
        return stream_state != self._migrated(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state as this version saves it."""
        migrated = self._migrated(stream_state)
        grouped = migrated.get("group_by_country", True)
        if stream_state.get("date") and grouped != stream_state.get("group_by_country", True):
            LOGGER.warning(
                f"`active_users_group_by_country` is now {'on' if grouped else 'off'}. Earlier days of"
                f" {self.name} may be grouped differently, and sums over both kinds count users twice:"
                f" clear the stream {self.name} to read all its days again."
            )
        return migrated

    def _migrated(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        try:
            state = self._days(stream_state)
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {"unreadable": dict(stream_state)}
            # A per-partition cursor drops unknown keys, except under `parent_state`.
            return {"states": [], "parent_state": kept} if self.option else kept
        if self.measure and not self.config.get("active_users_group_by_country", True):
            return {**state, "group_by_country": False}
        return state

    def _days(self, stream_state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state with its days, by its form: per partition, date ranges, or one day.

        Raises:
            ValueError, AttributeError, TypeError, KeyError: the state has another form.
        """
        if "states" in stream_state:
            # Drop the CDK's global `state`: a new partition would start from it instead of from the start
            # date.
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
        """Return the day of a saved date or time, or today if that is earlier.

        Raises:
            ValueError: the value does not begin with a day.
        """
        match = re.match(r"(\d{4})-?(\d\d)-?(\d\d)(?=[T ]|$)", str(value))
        if match is None:
            raise ValueError(f"{field} is not a day")
        return min(str(date(*map(int, match.groups()))), today_of(self.config))
