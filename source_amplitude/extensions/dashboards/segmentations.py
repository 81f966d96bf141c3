"""The option `segmentations`: one slice per query."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from airbyte_cdk.sources.declarative.partition_routers import ListPartitionRouter
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.errors import config_error

SEGMENTATION = {"measure": "uniques", "group_by": "", "interval": "daily"}
"""What a segmentation is where the option does not say."""

INTERVALS = {"daily": "1", "weekly": "7", "monthly": "30"}

USER_PROPERTY = re.compile(
    "gp:.*|version|country|city|region|DMA|language|platform|os|device|device_type|start_version|paying"
)
"""Amplitude's own user properties, and those that a project sets, in the dashboards' spelling."""


@dataclass
class SegmentationRouter(ListPartitionRouter):
    """Turn the option `segmentations` into a slice each, whose state is its own.

    The partition is the segmentation with its defaults, so that one that is changed is read from the start
    date on. `extra_fields` are the parameters of its requests. A property is one of the user or, under any
    other name or where `measure` is a sum or an average of it, one of the event.

    Raises:
        AirbyteTracedException: config_error, two segmentations have one name.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices, in the order of the option."""
        segmentations = cast("list[dict[str, str]]", self.values)
        names = [segmentation["name"] for segmentation in segmentations]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise config_error(
                f"`segmentations` has the name {double!r} more than once: give each its own."
            )
        for given in segmentations:
            segmentation = {**SEGMENTATION, **given}
            group, measure = segmentation["group_by"], segmentation["measure"]
            event: dict[str, Any] = {"event_type": segmentation["event"]}
            of_event = measure in ("sums", "value_avg") or not USER_PROPERTY.fullmatch(group)
            if group and of_event:
                event["group_by"] = [{"type": "event", "value": group}]
            parameters = {
                "e": json.dumps(event),
                "m": measure,
                "i": INTERVALS[segmentation["interval"]],
                "g": "" if of_event else group,
                # The most that Amplitude allows, in place of 100.
                "limit": "1000" if group else "",
            }
            yield StreamSlice(
                partition={"segmentation": segmentation}, cursor_slice={}, extra_fields=parameters
            )
