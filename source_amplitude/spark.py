"""The manifest's streams as a data source of Apache Spark: its tasks read windows of events, or a whole list.

    spark.dataSource.register(AmplitudeDataSource.with_keys(api_key, secret_key))
    spark.read.format("amplitude").option("start_date", "2024-01-01T00:00:00Z").load()

Nothing is downloaded or decoded here: a task builds the manifest's own stream and reads its partitions.
See: https://spark.apache.org/docs/latest/api/python/tutorial/sql/python_data_source.html
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from pyspark.sql import types
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
)

from source_amplitude.columns import columns_of, record_batch
from source_amplitude.extensions.errors import config_error
from source_amplitude.extensions.export.windows import complete_until, format_hour, parse_hour
from source_amplitude.extensions.times import HOUR
from source_amplitude.process.config import validate_config
from source_amplitude.process.source import load_manifest
from source_amplitude.task import TaskSource, end_of, read_whole, read_windows, start_of

try:
    from pyspark.sql.streaming import datasource as limits

    AvailableNow: Any = limits.SupportsTriggerAvailableNow
except ImportError:  # Spark before 4.2, which reads all that is settled in one batch
    limits, AvailableNow = None, object
KEYS = ("api_key", "secret_key")
OPTIONS = {
    "stream": "events",
    "max_partitions": "4",
    "objects": "variant",
    "settle_hours": "24",
    "maxHoursPerTrigger": "0",
}
"""The options that only Spark has, with their defaults."""


class AmplitudeDataSource(DataSource):
    """One stream: `events`, in partitions of windows or as a stream of hours, or another, read whole.

    Options are those of the connector, but for the keys, and `OPTIONS`. The keys come from
    `with_keys`, or from AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY in the driver's environment.
    """

    keys: Mapping[str, str] | None = None

    @classmethod
    def with_keys(cls, api_key: str, secret_key: str) -> type["AmplitudeDataSource"]:
        """The data source with the keys of a project, which Spark shows nowhere."""
        keys = {"api_key": api_key, "secret_key": secret_key}
        # Spark pickles a class that no module has with all that it holds.
        return type(cls.__name__, (cls,), {"keys": keys, "__module__": "__main__"})

    @classmethod
    def name(cls) -> str:
        """What `format` takes."""
        return "amplitude"

    def __init__(self, options: Any) -> None:
        """Check the options.

        Raises:
            RuntimeError: one cannot work; the message names it.
        """
        super().__init__(options)
        try:
            self._configure(options)
        except AirbyteTracedException as error:
            raise RuntimeError(error.message) from None

    def _configure(self, options: Mapping[str, str]) -> None:
        specification = load_manifest()["spec"]["connection_specification"]
        properties = {k: v for k, v in specification["properties"].items() if k not in KEYS}
        known = {name.lower() for name in (*properties, *OPTIONS)}
        if unknown := [option for option in options if option.lower() not in known]:
            raise config_error(
                f"`{unknown[0]}` is no option of the data source: leave it out. Keys come from"
                " `AmplitudeDataSource.with_keys` or the environment, since Spark shows options."
            )
        own = self.own = {name: options.get(name, default) for name, default in OPTIONS.items()}
        for name, least in (("max_partitions", 1), ("settle_hours", 0), ("maxHoursPerTrigger", 0)):
            if not own[name].isdecimal() or int(own[name]) < least:
                raise config_error(f"`{name}` must be a whole number from {least}: change it.")
        if own["objects"] not in ("variant", "json"):
            raise config_error("`objects` is none of 'variant', 'json': choose one of them.")
        keys = self.keys or {key: os.environ.get(f"AMPLITUDE_{key.upper()}", "") for key in KEYS}
        config: dict[str, Any] = {
            name: parse_option(options[name], option["type"])
            for name, option in properties.items()
            if name in options
        }
        config |= {name: key for name, key in keys.items() if key}
        source = TaskSource(config)
        self.config = source.configure(config, "")
        validate_config(self.config, specification)
        streams = {stream.name: stream for stream in source.streams(self.config)}
        if own["stream"] not in streams:
            raise config_error(f"`stream` is none of {', '.join(streams)}: choose one of them.")
        self._json_schema = streams[own["stream"]].get_json_schema()

    def schema(self) -> types.StructType:
        """The columns of the stream's JSON schema."""
        objects = types.VariantType() if self.own["objects"] == "variant" else types.StringType()
        return columns_of(self._json_schema, objects)

    def reader(self, schema: types.StructType) -> "Reader":
        """Read what there is now, in the columns of `schema` alone."""
        return Reader(self.config, self.own, schema)

    def streamReader(self, schema: types.StructType) -> "StreamReader":
        """Read hour after hour, in the columns of `schema` alone.

        Raises:
            RuntimeError: the stream is not `events`.
        """
        if (stream := self.own["stream"]) != "events":
            raise RuntimeError(
                f"The stream {stream} has no hours: read it with `spark.read` in place of `readStream`."
            )
        return StreamReader(self.config, self.own, schema)


class Reader(DataSourceReader):
    """A stream as it is now."""

    def __init__(
        self, config: Mapping[str, Any], own: Mapping[str, str], columns: types.StructType
    ) -> None:
        """Read with the connector's options in `config`, and Spark's in `own`."""
        self._config, self._stream, self._columns = config, own["stream"], columns
        self._step = int(config.get("request_time_range") or 24) * HOUR
        self._most = int(own["max_partitions"])

    def partitions(self) -> list[InputPartition]:
        """The windows up to the newest complete hour, or one partition for a stream that has none."""
        if self._stream != "events":
            return [InputPartition(None)]
        now = datetime.now(timezone.utc)
        return self.spread(start_of(self._config), end_of(self._config, complete_until(now)))

    def spread(self, start: datetime, end: datetime) -> list[InputPartition]:
        """The windows spread over partitions, neighbours apart, since a project's days grow with it."""
        windows = max(0, -(-(end - start) // self._step))
        parts = min(self._most, windows)
        return [InputPartition((start, end, part, parts)) for part in range(parts)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the records of a partition, on an executor.

        Raises:
            RuntimeError: what the connector says when it could not read them.
        """
        try:
            for records in self._records(partition):
                yield record_batch(self._stream, records, self._columns)
        except AirbyteTracedException as error:
            # Without its cause, which may quote what came.
            raise RuntimeError(error.message) from None
        except Exception as error:
            raise RuntimeError(
                f"The connector failed with {type(error).__name__}. If the error persists, open an issue."
            ) from None

    def _records(self, partition: InputPartition) -> Iterator[list[Mapping[str, Any]]]:
        if self._stream != "events":
            yield from read_whole(self._config, self._stream)
        elif partition.value:  # Spark reads one partition where there is none
            yield from read_windows(self._config, *partition.value)


class StreamReader(DataSourceStreamReader, AvailableNow):
    """Events hour after hour; an offset is the hour before which all events have been read.

    A batch ends `settle_hours` before the newest complete hour, since Amplitude still adds files to
    younger ones, and Spark reads no hour twice.
    """

    def __init__(
        self, config: Mapping[str, Any], own: Mapping[str, str], columns: types.StructType
    ) -> None:
        """Read with the connector's options in `config`, and Spark's in `own`."""
        self._reader = Reader(config, own, columns)
        self._config = config
        self._settle, self._most = int(own["settle_hours"]) * HOUR, int(own["maxHoursPerTrigger"])
        self._last: datetime | None = None
        if self._most and not limits:
            raise RuntimeError("`maxHoursPerTrigger` needs Spark 4.2: leave it out.")

    def initialOffset(self) -> dict[str, str]:
        """The hour of the start date."""
        return {"hour": format_hour(start_of(self._config))}

    def getDefaultReadLimit(self) -> Any:
        """At most `maxHoursPerTrigger`; Spark has no limit of hours, so one counts as a file."""
        return limits.ReadMaxFiles(self._most) if self._most else limits.ReadAllAvailable()

    def prepareForTriggerAvailableNow(self) -> None:
        """Read up to what is settled now."""
        self._last = self._settled()

    def latestOffset(
        self, start: dict[str, str] | None = None, limit: Any = None
    ) -> dict[str, str]:
        """The end of the next batch; Spark before 4.2 gives no start, and has no limit."""
        begin = parse_hour((start or self.initialOffset())["hour"])
        end = self._last or self._settled()
        if hours := getattr(limit, "max_files", 0):
            end = min(end, begin + hours * HOUR)
        return {"hour": format_hour(max(begin, end))}

    def partitions(self, start: dict[str, str], end: dict[str, str]) -> list[InputPartition]:
        """The windows of the hours between two offsets."""
        return self._reader.spread(parse_hour(start["hour"]), parse_hour(end["hour"]))

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the records of a partition, on an executor."""
        return self._reader.read(partition)

    def _settled(self) -> datetime:
        now = datetime.now(timezone.utc)
        return end_of(self._config, complete_until(now) - self._settle)


def parse_option(text: str, kind: str) -> Any:
    """The value of an option, which Spark gives as text; a list is one with commas, or in JSON."""
    text = text.strip()
    if kind == "array" and not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    with suppress(ValueError):
        return text if kind == "string" else json.loads(text.lower() if kind == "boolean" else text)
    return text  # which the check of the config refuses
