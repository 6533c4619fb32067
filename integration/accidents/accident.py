"""Does to icefold's tables what other engines do for good reason or by accident, and makes damage that icefold no longer makes.

    accident.py WAREHOUSE ACT...

    forget:TABLE                            PyIceberg takes icefold's properties out of the table
    rewrite:TABLE                           PyIceberg writes the rows anew, as they are
    repeat:TABLE                            PyIceberg appends every row once more
    accept:TABLE:OFFSET                     PyIceberg appends the first row once more, as if it had been read at another offset
    roll-back:TABLE                         PyIceberg makes the oldest snapshot the current one
    expire:TABLE                            PyIceberg expires every snapshot but the current one
    expire-parent:TABLE                     PyIceberg expires the parent of the current snapshot and nothing else
    delete:TABLE:COLUMN=VALUE               PyIceberg deletes rows by writing anew what is left
    delete-by-position:TABLE:COLUMN=VALUE   Spark deletes rows with position deletes
    graft:TABLE:OTHER                       the table of another warehouse, which was made at the same path, takes this one's place
    set-back:TABLE:SECONDS                  the current metadata is dated before its newest snapshot, as by a clock set back

Acts run in the order given; as in `readers/foreign.py`, those of Spark come last.
"""

import json
import shutil
import sqlite3
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "readers"))

import pyarrow as pa
from pyiceberg.expressions import BooleanExpression, EqualTo
from pyiceberg.table import Table
from read_with_pyiceberg import open_catalog
from warehouse import CATALOG, NAMESPACE, Warehouse, local_path

OURS = "icefold."


def main(folder: Path, acts: list[str]) -> None:
    """Does the acts in order."""
    warehouse = Warehouse(folder)
    for act in acts:
        name, table, *arguments = act.split(":")
        if name in WITH_PYICEBERG:
            catalog = open_catalog(warehouse)
            WITH_PYICEBERG[name](catalog.load_table(f"{NAMESPACE}.{table}"), *arguments)
            catalog.close()
        else:
            OTHERWISE[name](warehouse, table, *arguments)


def forget(table: Table) -> None:
    """Removes what says where the table stands in the stream."""
    with table.transaction() as transaction:
        transaction.remove_properties(*(key for key in table.properties if key.startswith(OURS)))


def rewrite(table: Table) -> None:
    """Leaves the same rows in other files."""
    table.overwrite(table.scan().to_arrow())


def repeat(table: Table) -> None:
    """Doubles the rows."""
    table.append(table.scan().to_arrow())


def accept(table: Table, offset: str) -> None:
    """Accepts a repeat."""
    row = table.scan(limit=1).to_arrow()
    column = row.schema.get_field_index("source_offset")
    field = row.schema.field(column)
    table.append(row.set_column(column, field, pa.array([int(offset)], field.type)))


def roll_back(table: Table) -> None:
    """Takes back all commits but the first."""
    first = min(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number)
    table.manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()


def expire(table: Table) -> None:
    """Leaves the current snapshot only."""
    current = table.metadata.current_snapshot_id
    table.maintenance.expire_snapshots().by_ids([s for s in snapshot_ids(table) if s != current]).commit()


def expire_parent(table: Table) -> None:
    """Breaks the chain of parents in its youngest link."""
    parent = table.current_snapshot().parent_snapshot_id
    table.maintenance.expire_snapshots().by_ids([parent]).commit()


def delete(table: Table, predicate: str) -> None:
    """Copies on write, as PyIceberg always does."""
    table.delete(equal_to(predicate))


def delete_by_position(warehouse: Warehouse, table: str, predicate: str) -> None:
    """Merges on read, as the property `write.delete.mode` of icefold's tables asks of Spark."""
    from foreign import Spark

    column, value = predicate.split("=")
    with Spark(warehouse) as spark:
        spark.run(f"DELETE FROM {CATALOG}.{NAMESPACE}.{table} WHERE {column} = '{value}'")


def graft(warehouse: Warehouse, table: str, other: str) -> None:
    """Copies all objects of the other warehouse that are not there yet, and lets the catalog point to its table."""
    source = Path(other)
    shutil.copytree(source, warehouse.folder, dirs_exist_ok=True, ignore=lambda _, names: {"catalog.db"} & set(names))
    location = Warehouse(source).metadata_location(table)
    with sqlite3.connect(warehouse.catalog_file) as catalog:
        statement = "UPDATE iceberg_tables SET metadata_location = ? WHERE table_namespace = ? AND table_name = ?"
        catalog.execute(statement, (location, NAMESPACE, table))


def set_back(warehouse: Warehouse, table: str, seconds: str) -> None:
    """Changes the metadata file in its place."""
    path = local_path(warehouse.metadata_location(table))
    metadata = json.loads(path.read_text())
    newest = max(snapshot["timestamp-ms"] for snapshot in metadata["snapshots"])
    metadata["last-updated-ms"] = newest - 1000 * int(seconds)
    path.write_text(json.dumps(metadata))


def snapshot_ids(table: Table) -> list[int]:
    """Returns the snapshots that are kept."""
    return [snapshot.snapshot_id for snapshot in table.metadata.snapshots]


def equal_to(predicate: str) -> BooleanExpression:
    """Reads `COLUMN=VALUE`."""
    return EqualTo(*predicate.split("="))


WITH_PYICEBERG = {
    "forget": forget,
    "rewrite": rewrite,
    "repeat": repeat,
    "accept": accept,
    "roll-back": roll_back,
    "expire": expire,
    "expire-parent": expire_parent,
    "delete": delete,
}

OTHERWISE = {
    "delete-by-position": delete_by_position,
    "graft": graft,
    "set-back": set_back,
}

if __name__ == "__main__":
    known = {**WITH_PYICEBERG, **OTHERWISE}
    if len(sys.argv) < 3 or any(act.split(":")[0] not in known for act in sys.argv[2:]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
