"""The option `segmentations`: one slice per query."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from airbyte_cdk.sources.declarative.partition_routers import ListPartitionRouter
from airbyte_cdk.sources.types import StreamSlice

from source_amplitude.extensions.errors import config_error

SEGMENTATION_DEFAULTS = {"measure": "uniques", "group_by": "", "interval": "daily"}
"""The fields that an element of the option may leave out."""

USER_PROPERTY = re.compile(
    "gp:.*|version|country|city|region|DMA|language|platform|os|device|device_type|start_version|paying"
)
"""Amplitude's own user properties, and those that a project sets, in the dashboards' spelling."""

VALUES_OF_EVENT = ("sums", "value_avg")
"""Measures that are computed from a property of the event."""

MAX_GROUPS_OF_SEGMENTATION = "1000"
"""The most groups that Amplitude returns; without the parameter `limit` it returns 100."""


@dataclass
class SegmentationRouter(ListPartitionRouter):
    """Turn each element of the option `segmentations` into a slice with a state of its own.

    The partition is the segmentation with its defaults, so that a changed segmentation is read from the start
    date on. `extra_fields` has the parameters of its requests; `DailyRetriever` adds the interval.

    `group_by` is a user property if it has the name of one, and otherwise a property of the event. A measure
    that is a sum or an average of a property takes it from the event, whatever its name.

    Raises:
        AirbyteTracedException: config_error, two segmentations have the same name.

    See: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
    """

    def stream_slices(self) -> Iterator[StreamSlice]:
        """Yield the slices, in the order of the option."""
        segmentations = cast("list[dict[str, str]]", self.values)
        names = [segmentation["name"] for segmentation in segmentations]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise config_error(
                f"`segmentations` has the name {repeated!r} more than once: give each its own."
            )
        for given in segmentations:
            segmentation = {**SEGMENTATION_DEFAULTS, **given}
            group, measure = segmentation["group_by"], segmentation["measure"]
            event: dict[str, Any] = {"event_type": segmentation["event"]}
            of_event = measure in VALUES_OF_EVENT or not USER_PROPERTY.fullmatch(group)
            if group and of_event:
                event["group_by"] = [{"type": "event", "value": group}]
            parameters = {
                "e": json.dumps(event),
                "m": measure,
                "g": "" if of_event else group,
                # The manifest's budget also knows by this parameter that a query is grouped, and costs more.
                "limit": MAX_GROUPS_OF_SEGMENTATION if group else "",
            }
            yield StreamSlice(
                partition={"segmentation": segmentation}, cursor_slice={}, extra_fields=parameters
            )
