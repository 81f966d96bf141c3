"""A Spark driver that does what it is told: lines of JSON in, one answer each.

`python -m unit_tests.spark.driver MASTER FOLDER`, with an environment as `test_spark.py` gives it.
"""

import json
import sys
import time
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import VariantVal

from source_amplitude.spark import AmplitudeDataSource


class Driver:
    """One session; each method is a command."""

    def __init__(self, master: str, folder: str) -> None:
        self.spark = (
            SparkSession.builder.master(master)
            .config("spark.ui.enabled", "false")
            .config("spark.driver.memory", "512m")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.eventLog.enabled", "true")
            .config("spark.eventLog.dir", folder)
            .config("spark.eventLog.compress", "false")
            .getOrCreate()
        )
        self.query: Any = None

    def session(self) -> dict[str, Any]:
        """The application's id, and the process id of its JVM."""
        context = self.spark.sparkContext
        jvm = context._jvm.java.lang.ProcessHandle.current().pid()
        return {"id": context.applicationId, "jvm": jvm}

    def register(self, keys: list[str] | None) -> None:
        """Read with these keys, or with those of the environment."""
        source = AmplitudeDataSource.with_keys(*keys) if keys else AmplitudeDataSource
        self.spark.dataSource.register(source)

    def load(self, options: dict[str, str], columns: str | None = None) -> DataFrame:
        reader = self.spark.read.format("amplitude").options(**options)
        return (reader.schema(columns) if columns else reader).load()

    def plan(self, options: dict[str, str]) -> str:
        """Every plan of a read, and of a stream, as Spark prints them."""
        stream = self.spark.readStream.format("amplitude").options(**options).load()
        frames = [self.load(options), *([stream] if "stream" not in options else [])]
        return "".join(frame._jdf.queryExecution().toString() for frame in frames)

    def types(self, options: dict[str, str]) -> dict[str, str]:
        """The type of each column."""
        return {field.name: field.dataType.simpleString() for field in self.load(options).schema}

    def rows(
        self, options: dict[str, str], columns: str | None = None, select: tuple[str, ...] = ("*",)
    ) -> list[dict[str, Any]]:
        """The rows of a read."""
        return [row.asDict() for row in self.load(options, columns).selectExpr(*select).collect()]

    def write(self, options: dict[str, str], out: str, columns: str | None = None) -> None:
        """Write a read into Parquet."""
        self.load(options, columns).write.parquet(out)

    def uuids(self, out: str) -> list[str]:
        """What is in the Parquet files, by Spark's own list of them."""
        return [row.uuid for row in self.spark.read.parquet(out).select("uuid").collect()]

    def start(self, options: dict[str, str], out: str, checkpoint: str, **trigger: Any) -> None:
        """Start a query from its checkpoint."""
        frame = self.spark.readStream.format("amplitude").options(**options).load()
        writer = frame.writeStream.format("parquet").option("checkpointLocation", checkpoint)
        self.query = writer.trigger(**(trigger or {"processingTime": "1 second"})).start(out)

    def reach(self, hour: str) -> list[int]:
        """Wait until the query has written all before an hour; the rows of its batches so far."""
        while True:
            if error := self.query.exception():
                raise error
            written = [p for p in self.query.recentProgress if p.numInputRows]
            if written and hour in str(written[-1].sources[0].endOffset):
                return [progress.numInputRows for progress in written]
            time.sleep(0.1)

    def wait(self) -> None:
        """Wait until the query has ended by itself."""
        self.query.awaitTermination()

    def stop(self) -> None:
        """Stop the query."""
        self.query.stop()


def plain(value: Any) -> Any:
    """A value of a row as JSON has it."""
    if isinstance(value, VariantVal):
        return json.loads(value.toJson())
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def main(master: str, folder: str) -> None:
    """Answer until the input ends."""
    driver = Driver(master, folder)
    for line in sys.stdin:
        command, arguments = json.loads(line)
        try:
            answer = {"result": getattr(driver, command)(**arguments)}
        except Exception as error:
            answer = {"error": str(error)}
        print(f"\nANSWER {json.dumps(answer, default=plain)}", flush=True)
    driver.spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
