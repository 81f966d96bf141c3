"""Annotations and their categories."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any

import pytz
from airbyte_cdk.sources.declarative.transformations import RecordTransformation

from source_amplitude.extensions.times import rfc3339


@dataclass
class AddAnnotationDay(RecordTransformation):
    """Set `date` of an annotation to the day of its `start` in the project's time zone.

    A start without a zone is taken to be in the project's zone. If `start` cannot be read, `date` is null.
    """

    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the record in place."""
        start, day = str(record.get("start")), None
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(rfc3339(start))
            if re.search(r":\d\d.*([Zz]|[+-]\d\d:?(\d\d)?)$", start.strip()):
                zone = pytz.timezone(self.config.get("project_timezone") or "UTC")
                moment = moment.astimezone(zone)
            day = str(moment.date())
        record["date"] = day


@dataclass
class AddCategoryName(RecordTransformation):
    """Set `name` of an annotation's category, which live responses call `category`, unless it has a name.

    The category is the record, or the object under the record's `field`.
    """

    parameters: InitVar[Mapping[str, Any] | None] = None
    field: str = ""

    def transform(
        self,
        record: dict[str, Any],
        config: Mapping[str, Any] | None = None,
        stream_state: Mapping[str, Any] | None = None,
        stream_slice: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the category in place; without a category, do nothing."""
        category = record.get(self.field) if self.field else record
        if isinstance(category, dict) and category.get("name") is None:
            category["name"] = category.get("category")
