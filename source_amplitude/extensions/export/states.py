"""Saved states of events."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime, timezone
from typing import Any

from airbyte_cdk.sources.declarative.migrations.state_migration import StateMigration

from source_amplitude.extensions.export.ledger import ExportLedger
from source_amplitude.extensions.export.windows import (
    complete_until,
    end_of_uploads,
    format_hour,
    parse_hour,
)


@dataclass
class ExportStateMigration(StateMigration):
    """Turn any state of the stream into this version's form; a state without a value becomes empty.

    All forms that Airbyte's connector has saved are read, and the CDK's own ranges of dates. An hour that is
    not complete yet cannot have been read, whatever the state says.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def should_migrate(self, stream_state: Mapping[str, Any]) -> bool:
        """Whether the state has another form."""
        return stream_state != self.migrate(stream_state)

    def migrate(self, stream_state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state as this version saves it; one that cannot be read is put under `unreadable`."""
        if "unreadable" in stream_state:
            return {"unreadable": stream_state["unreadable"]}
        complete = complete_until(datetime.now(timezone.utc))
        try:
            if export := stream_state.get("export"):
                windows = [
                    (start, min(end, format_hour(complete)))
                    for start, end in export["windows_read"]
                ]
                export = {**export, "windows_read": [list(w) for w in windows if w[0] < w[1]]}
                start = parse_hour(export["first_hour"])
                ledger = ExportLedger(export, start, start, end_of_uploads(self.config), 0)
                return {"server_upload_time": format_hour(ledger.end), "export": export}
            if slices := stream_state.get("slices"):
                first = min(slices, key=lambda each: str(each["start"]))
                value = first.get("most_recent_cursor_value") or first["end"]
            else:
                value = stream_state.get("server_upload_time")
            if value in (None, ""):
                return {}
            hour = min(parse_hour(str(value)), complete)
            if "cut" in stream_state:  # of version 1.0, which did not read that hour to its end
                hour = min(hour, parse_hour(stream_state["cut"]))
            return {"server_upload_time": format_hour(hour)}
        except (ValueError, LookupError, TypeError, AttributeError):
            return {"unreadable": dict(stream_state)}
