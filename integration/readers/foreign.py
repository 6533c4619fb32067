"""Commits to icefold's tables as other engines do, through the same SQLite catalog.

    foreign.py WAREHOUSE ACT...

    set-properties       PyIceberg sets a property of its own on every table
    check-properties     fails when a table has lost that property
    append-and-delete    PyIceberg appends rows to every table and deletes them again: two snapshots, the same rows
    compact              Spark rewrites the data files and manifests of `events`
    delete-rows          Spark deletes the events of one type with position deletes
    expire               PyIceberg expires every snapshot but the current one of every table

Acts run in the order given; those of PyIceberg must come before those of Spark, whose connection to SQLite keeps a read
lock as long as the process lives (run twice for another order). Prints {table: id of its current snapshot} when done. All but `delete-rows` leave the rows
as they were.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from figures import TABLES
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table
from read_with_pyiceberg import open_catalog
from read_with_spark import start_spark
from warehouse import CATALOG, NAMESPACE, Warehouse

PROPERTY = ("foreign.owner", "analytics")
FOREIGN_SHARD = "foreign"
FOREIGN_ROWS = 10
DELETED_TYPE = "identify"


def main(folder: Path, acts: list[str]) -> None:
    """Does the acts in order."""
    warehouse = Warehouse(folder)
    with Spark(warehouse) as spark:
        for act in acts:
            ACTS[act](warehouse, spark)
    json.dump({table: warehouse.current_snapshot(table) for table in TABLES}, sys.stdout)
    print()


def set_properties(warehouse: Warehouse, _spark: "Spark") -> None:
    """Commits a property that icefold knows nothing of."""
    for table in with_pyiceberg(warehouse):
        with table.transaction() as transaction:
            transaction.set_properties(dict([PROPERTY]))


def check_properties(warehouse: Warehouse, _spark: "Spark") -> None:
    """Looks whether the property is still there."""
    key, value = PROPERTY
    for table in with_pyiceberg(warehouse):
        if table.properties.get(key) != value:
            sys.exit(f"`{'.'.join(table.name())}` has lost the property `{key}`; it has {table.properties}")


def append_and_delete(warehouse: Warehouse, _spark: "Spark") -> None:
    """Puts snapshots on top that leave the rows as they were."""
    for table in with_pyiceberg(warehouse):
        rows = table.scan(limit=FOREIGN_ROWS).to_arrow()
        shard = rows.schema.get_field_index("shard")
        foreign = pa.array([FOREIGN_SHARD] * rows.num_rows, rows.schema.field(shard).type)
        table.append(rows.set_column(shard, rows.schema.field(shard), foreign))
        table.delete(EqualTo("shard", FOREIGN_SHARD))


def expire(warehouse: Warehouse, _spark: "Spark") -> None:
    """Leaves each table with nothing but its current snapshot."""
    for table in with_pyiceberg(warehouse):
        current = table.metadata.current_snapshot_id
        older = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != current]
        if older:
            table.maintenance.expire_snapshots().by_ids(older).commit()


def compact(_warehouse: Warehouse, spark: "Spark") -> None:
    """Rewrites files and manifests, as a nightly job of a data team might."""
    # With the catalog before it: its name is that of the namespace, and Spark looks for a catalog first.
    table = f"{CATALOG}.{NAMESPACE}.events"
    options = "options => map('rewrite-all', 'true')"
    spark.run(f"CALL {CATALOG}.system.rewrite_data_files(table => '{table}', {options})")
    spark.run(f"CALL {CATALOG}.system.rewrite_manifests(table => '{table}')")


def delete_rows(_warehouse: Warehouse, spark: "Spark") -> None:
    """Deletes by position, which is what `write.delete.mode` of icefold's tables asks of Spark."""
    spark.run(f"DELETE FROM {CATALOG}.{NAMESPACE}.events WHERE event_type = '{DELETED_TYPE}'")


ACTS = {
    "set-properties": set_properties,
    "check-properties": check_properties,
    "append-and-delete": append_and_delete,
    "compact": compact,
    "delete-rows": delete_rows,
    "expire": expire,
}


def with_pyiceberg(warehouse: Warehouse) -> Iterator[Table]:
    """Opens the tables that have a snapshot, one after another."""
    catalog = open_catalog(warehouse)
    try:
        tables = (catalog.load_table(f"{NAMESPACE}.{name}") for name in TABLES)
        yield from (table for table in tables if table.current_snapshot() is not None)
    finally:
        catalog.close()


class Spark:
    """Spark with its JDBC catalog on the warehouse's SQLite file; it starts when it is first needed.

    There is one for all acts: its connection keeps a read lock, so a second one in the same process could not commit.
    """

    def __init__(self, warehouse: Warehouse):
        self.warehouse = warehouse
        self.scratch = tempfile.TemporaryDirectory(prefix="icefold-spark-")
        self.session = None

    def __enter__(self) -> "Spark":
        return self

    def __exit__(self, *_error) -> None:
        if self.session is not None:
            self.session.stop()
        self.scratch.cleanup()

    def run(self, sql: str) -> None:
        """Runs a statement to its end."""
        if self.session is None:
            self.session = start_spark(self.scratch.name, self.settings())
        self.session.sql(sql).collect()

    def settings(self) -> dict[str, str]:
        """Names the catalog to Spark."""
        catalog = f"spark.sql.catalog.{CATALOG}"
        return {
            catalog: "org.apache.iceberg.spark.SparkCatalog",
            f"{catalog}.type": "jdbc",
            f"{catalog}.uri": f"jdbc:sqlite:{self.warehouse.catalog_file}",
            f"{catalog}.jdbc.schema-version": "V1",
            f"{catalog}.clients": "1",
            f"{catalog}.warehouse": self.warehouse.folder.as_uri(),
            # Other engines commit between our statements.
            f"{catalog}.cache-enabled": "false",
        }


if __name__ == "__main__":
    if len(sys.argv) < 3 or any(act not in ACTS for act in sys.argv[2:]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
