"""Spark with Iceberg Java, the reference implementation, reads a table from its metadata file."""

import os
import tempfile

from figures import Dialect, JsonNumber, Source, Table, from_sql
from pyspark.sql import SparkSession
from warehouse import Warehouse

DIALECT = Dialect(
    micros=lambda time: f"unix_micros({time})",
    day=lambda time: f"date_format({time}, 'yyyy-MM-dd')",
    days_since_1970=lambda day: f"unix_date({day})",
    text_bytes=lambda text: f"octet_length({text})",
    binary_bytes=lambda binary: f"octet_length({binary})",
    json_decimal=lambda column, key: f"cast(get_json_object({column}, '$.{key}') AS DECIMAL(18, 6))",
    timestamp=lambda micros: f"timestamp_micros({micros})",
    literal=lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'",
)


class Reader:
    """A Spark in this process, on loopback, without its web page."""

    def __init__(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="icefold-spark-")
        self.spark = start_spark(self.scratch.name)

    def figures(self, warehouse: Warehouse, table: Table, snapshot: int | None, json_number: JsonNumber | None) -> dict:
        """Computes the figures; `snapshot` is None for the current one."""
        reader = self.spark.read.format("iceberg")
        if snapshot is not None:
            reader = reader.option("snapshot-id", snapshot)
        view = f"{table.name}_at_{snapshot or 'current'}"
        reader.load(warehouse.metadata_location(table.name)).createOrReplaceTempView(view)
        return from_sql(table, Source(view, self.query), DIALECT, json_number)

    def query(self, sql: str, _columns: int) -> list[tuple]:
        """Runs a statement."""
        return [tuple(row) for row in self.spark.sql(sql).collect()]

    def close(self) -> None:
        """Ends Spark and removes its scratch files."""
        self.spark.stop()
        self.scratch.cleanup()


def start_spark(scratch: str, settings: dict[str, str] | None = None) -> SparkSession:
    """Starts Spark with the Iceberg runtime that `setup` prepared."""
    classpath = os.environ.get("READERS_CLASSPATH")
    if not classpath:
        raise RuntimeError("run this with the launcher that `integration/readers/setup` prints")
    sqlite_folder, sqlite_library = os.path.split(os.environ["READERS_SQLITE_LIBRARY"])
    builder = SparkSession.builder.master("local[2]").appName("icefold-readers")
    settings = {
        "spark.driver.extraClassPath": classpath,
        "spark.driver.extraJavaOptions": (
            f"-Duser.timezone=UTC -Dorg.sqlite.lib.path={sqlite_folder} -Dorg.sqlite.lib.name={sqlite_library}"
        ),
        "spark.driver.memory": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": scratch,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        # Our questions are wide and small: compiling each one to Java costs more than it saves.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        **(settings or {}),
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
