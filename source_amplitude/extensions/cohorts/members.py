"""The members of cohorts: which cohorts have changed, what the month's limit leaves, and the state."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, replace
from typing import Any, NamedTuple

from airbyte_cdk.sources.declarative.incremental import ConcurrentPerPartitionCursor
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.declarative.retrievers import Retriever
from airbyte_cdk.sources.streams.core import StreamData
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_amplitude.extensions.budget import with_daily_budget
from source_amplitude.extensions.cohorts.file import CohortFile
from source_amplitude.extensions.cohorts.job import CohortApi, OnceErrorHandler, UnansweredError
from source_amplitude.extensions.cohorts.states import epoch_of, moment_of
from source_amplitude.extensions.cohorts.times import epoch_seconds
from source_amplitude.extensions.errors import UnreadableStateError, config_error
from source_amplitude.extensions.times import BEGINNING_OF_DATA

LOGGER = logging.getLogger("airbyte")


class LastChange(NamedTuple):
    """When a cohort was last computed (None if unknown) and edited, in seconds since 1970."""

    computed: int | None = None
    edited: int = 0


def last_change_of(row: Mapping[str, Any]) -> LastChange:
    """Return when a cohort of the list last changed, by its times in any form that `epoch_seconds` knows.

    Raises:
        ValueError, OverflowError: one of them is not a time.
    """
    computed, edited = (
        None if row.get(field) is None else epoch_seconds(row[field])
        for field in ("lastComputed", "lastMod")
    )
    return LastChange(computed, edited or 0)


@dataclass
class CohortMembersRetriever(Retriever):
    """Read the members of a cohort, whose id is the slice, unless the state has them already.

    The list of cohorts says when a cohort was computed and edited. A cohort that was neither since the
    state's `computed_at` is not requested. A job computes its cohort, so its time is looked up again once
    the file is there; a time after the job's end means that the cohort has changed again.
    Amplitude limits the jobs of a month: the number of jobs that are left is requested first. Once they are
    spent, a cohort that was read before stays as it is, with a warning. One that was never read ends the
    stream with an error: a full refresh would delete its members. A cohort that fails fails alone.

    There is a state after each cohort, read or failed: a request that is spent is not spent again, and no
    wait for a cohort adds to that for the one before.

    The CDK's AsyncRetriever is not used, because it does not look at the list before it creates a job, has
    no quota, does not verify a file on disk, and does not notice a gzip that urllib3 inflates only in part.

    Raises:
        AirbyteTracedException: see `CohortApi` and `CohortFile`; config_error, once, the month's jobs are
            spent, and cohorts are left that were never read.
    """

    requester: HttpRequester
    cursor: ConcurrentPerPartitionCursor
    name: str
    config: Mapping[str, Any]
    parameters: InitVar[Mapping[str, Any] | None] = None

    def __post_init__(self, parameters: Mapping[str, Any] | None) -> None:
        self.requester = with_daily_budget(self.requester, self.name, parameters)
        self.requester.stream_response = True
        handler = OnceErrorHandler(parameters={}, config=self.config, name=self.name)
        once = replace(self.requester, error_handler=handler, parameters=parameters or {})
        self._api = CohortApi(self.requester, once, self.name, self.config)
        self._readable = "unreadable" not in (self.cursor.state.get("parent_state") or {})
        # The CDK emits the state of a stream with partitions once in ten minutes: this says when it may.
        self.cursor._throttle_state_message = time.time  # type: ignore[method-assign]
        self._lock = threading.Lock()
        self._cohorts: dict[str, LastChange] | None = None
        self._requests_left, self._resets_on = sys.maxsize, ""
        self._refused = False
        self._is_listed = True
        self._untold: set[str] = set()

    def read_records(
        self, records_schema: Mapping[str, Any], stream_slice: StreamSlice | None = None
    ) -> Iterator[StreamData]:
        """Yield the members of the slice's cohort, if they have changed."""
        assert stream_slice is not None
        if not self._readable:
            raise UnreadableStateError(self.name)
        try:
            yield from self._read_cohort(stream_slice)
        except AirbyteTracedException:
            with self.cursor._lock:
                self.cursor._emit_state_message(throttle=False)
            raise

    def _read_cohort(self, stream_slice: StreamSlice) -> Iterator[StreamData]:
        cohort, since = str(stream_slice["cohort_id"]), epoch_of(stream_slice["start_time"])
        computed, edited = self._last_change_of(cohort)
        if computed is not None and max(computed, edited) <= since:
            LOGGER.info(f"{self.name}: the cohort {cohort!r} has not changed since it was read.")
            self._observe(stream_slice, since)
            return
        if not self._spend_request(cohort, is_new=moment_of(since) == BEGINNING_OF_DATA):
            return
        job = self._api.create_job(cohort)
        completed = self._api.wait_for(job)
        computed_by_job = self._read_cohorts().get(cohort, LastChange()).computed
        if computed_by_job is not None and computed_by_job <= completed:
            computed = computed_by_job
        elif not computed:
            computed = job.created
        for member in CohortFile(self._api, job).read_members():
            yield {"cohort_id": cohort, **member, "computed_at": moment_of(computed)}
        self._observe(stream_slice, max(computed, edited))

    def _last_change_of(self, cohort: str) -> LastChange:
        """Look a cohort up in the list, which the first slice requests together with the quota."""
        with self._lock:
            if self._cohorts is None:
                self._cohorts = self._read_cohorts()
                self._requests_left, self._resets_on = self._read_usage()
        return self._cohorts.get(cohort, LastChange())

    def _observe(self, stream_slice: StreamSlice, epoch: int) -> None:
        """Move the state of the slice's cohort, even if the cohort does not have members."""
        moved = {"computed_at": moment_of(epoch)}
        self.cursor.observe(Record(moved, self.name, associated_slice=stream_slice))

    def _read_cohorts(self) -> dict[str, LastChange]:
        """Request when each cohort last changed; without those of which the response does not tell.

        A warning names them. A list that could not be read is not requested again.
        """
        if not self._is_listed:
            return {}
        try:
            rows = [row for row in self._api.get_json("3/cohorts")["cohorts"] if "id" in row]
        except (UnansweredError, LookupError, TypeError) as error:
            self._is_listed = False
            why = str(error) if isinstance(error, UnansweredError) else "it is not a list"
            LOGGER.warning(
                f"{self.name}: the list of cohorts could not be read ({why}), so this sync requests every"
                " cohort of `cohort_ids`, whether it has changed or not."
            )
            return {}
        cohorts = {}
        for row in rows:
            try:
                cohorts[row["id"]] = last_change_of(row)
            except (ValueError, OverflowError, TypeError, AttributeError):
                self._warn_of_row(row["id"])
        return cohorts

    def _warn_of_row(self, cohort: Any) -> None:
        """Warn once of a cohort of `cohort_ids` whose row in the list has times that cannot be read."""
        if cohort in self.config["cohort_ids"] and cohort not in self._untold:
            self._untold.add(cohort)
            LOGGER.warning(
                f"{self.name}: the list of cohorts has a time of the cohort {cohort!r} that cannot be read,"
                " so each sync requests it, whether it has changed or not."
            )

    def _read_usage(self) -> tuple[int, str]:
        """Request how many jobs are left of this month's, and when their number is reset, if known."""
        try:
            usage = self._api.get_json("3/cohorts/usage")
            usage = usage.get("rest_download", usage)
            used = usage["usage"] if "usage" in usage else usage["count"]
            return int(usage["limit"]) - int(used), str(usage.get("resets_at") or "")
        except (UnansweredError, ValueError, LookupError, TypeError, AttributeError) as error:
            why = str(error) if isinstance(error, UnansweredError) else "it is not a number"
            LOGGER.warning(
                f"{self.name}: the number of cohort requests that are left of this month's could not be read"
                f" ({why}), so this sync does not spare any."
            )
            return sys.maxsize, ""

    def _spend_request(self, cohort: str, is_new: bool) -> bool:
        """Take one of the jobs that are left of this month's; False, with a warning, if there is none.

        Raises:
            AirbyteTracedException: config_error, there is none for a new cohort; once for all of them, and
                the warnings name the others.
        """
        with self._lock:
            self._requests_left -= 1
            if self._requests_left >= 0:
                return True
            is_first, self._refused = is_new and not self._refused, is_new or self._refused
        resets = f"on {self._resets_on}" if self._resets_on else "at the start of the next month"
        LOGGER.warning(
            f"{self.name}: the members of the cohort {cohort!r} were not read, because Amplitude's limit"
            f" of cohort requests for this month is reached. It is reset {resets}; a sync after that"
            " reads them. Take ids out of `cohort_ids`, or sync less often."
        )
        if is_first:
            raise config_error(
                f"Amplitude's limit of cohort requests for this month is reached, and {self.name} has never"
                f" read the cohort {cohort!r}, or others that the log names. The limit is reset {resets}; a"
                " sync after that reads them. Take ids out of `cohort_ids`, or sync less often.",
                self.name,
            )
        return False
