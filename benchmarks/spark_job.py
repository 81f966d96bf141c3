"""Read all events into Parquet, and say what came of it: `benchmarks.spark_job MASTER OUT OPTIONS`."""

import json
import sys
import time

from pyspark.sql import SparkSession

from source_amplitude.spark import AmplitudeDataSource


def main(master: str, out: str, options: str) -> None:
    """Print the seconds of the session's start and of the read, the rows and the uuids."""
    began = time.perf_counter()
    spark = (
        SparkSession.builder.master(master)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "512m")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.dataSource.register(AmplitudeDataSource)
    started = time.perf_counter()
    spark.read.format("amplitude").options(**json.loads(options)).load().write.parquet(out)
    seconds = time.perf_counter() - started
    rows = spark.read.parquet(out)
    answer = {
        "start": started - began,
        "seconds": seconds,
        "rows": rows.count(),
        "uuids": rows.select("uuid").distinct().count(),
    }
    print(json.dumps(answer))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
