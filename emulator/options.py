"""Options of a project, for what the documentation of Amplitude leaves open; by the API that they concern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

PROPERTIES = (
    *("version", "country", "city", "region", "DMA", "language", "platform", "os", "device"),
    *("device_type", "start_version", "paying", "gp:plan"),
)
"""User properties that a dashboard groups by."""
COUNTRIES = ("Germany", "India", "Japan", "United Kingdom", "United States", "(none)")


@dataclass
class Export:
    """When the files of the export are complete, and how they are packed.

    An hour is named as in a request, `20240101T05` (UTC), a member by its hour and its number.

    Args:
        late_hours: the hours by which an hour is late.
        late_members: the hours by which one member is late.
        empty_hours: hours without events.
        grow: the hours for which a member, once exportable, holds only the first half of its lines.
        rewrite: the hours after which a member is changed: its first event gets another property.
        repack: whether each request packs the same lines in another form: gzip level, time and file name,
            order of the members, and the numbers in their names.
        gzip_streams: the number of gzip streams in a member.
        hourly_from: the first day (YYYY-MM-DD) whose files are by hour. Before it, a file holds a whole day,
            whatever hours are requested, and its name has no hour.
    """

    late_hours: Mapping[str, int] = field(default_factory=dict)
    late_members: Mapping[tuple[str, int], int] = field(default_factory=dict)
    empty_hours: set[str] = field(default_factory=set)
    grow: Mapping[tuple[str, int], int] = field(default_factory=dict)
    rewrite: Mapping[tuple[str, int], int] = field(default_factory=dict)
    repack: bool = False
    gzip_streams: int = 1
    hourly_from: str = "2014-11-12"


@dataclass
class Dashboards:
    """What the dashboards count, and the form of their tables.

    Args:
        countries: the countries of the users.
        sessions: whether users have sessions; without, averages are zeros.
        properties: user properties that a query can group by; some projects have no country.
        week_begins: the first day of a week, 0 for Monday to 6 for Sunday.
        cut_buckets: whether the label of a week or month that a query cuts is its first day in the query.
        empty_tables: the response to a range without data. `days` has all days (or bins) and no series,
            `bare` has neither; None is as recorded: users with days, averages with zeros, lengths bare.
    """

    countries: Sequence[str] = COUNTRIES
    sessions: bool = True
    properties: Sequence[str] = PROPERTIES
    week_begins: int = 0
    cut_buckets: bool = False
    empty_tables: Literal["days", "bare"] | None = None


@dataclass
class Cohorts:
    """How the members of a cohort are downloaded.

    Args:
        files: the form of a file: `gzip` with its `Content-Encoding`, `unlabelled` gzip without it, `plain`.
        status: the status of a job that is not completed.
        downloads_compute: whether a download computes its cohort, as it seems to do in Amplitude.
    """

    files: Literal["gzip", "unlabelled", "plain"] = "gzip"
    status: str = "JOB INPROGRESS"
    downloads_compute: bool = True
