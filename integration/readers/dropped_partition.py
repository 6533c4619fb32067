"""Makes a table of format 1 from whose partitioning a column was taken, by PyIceberg.

    dropped_partition.py WAREHOUSE

Table `dropped`: rows 1 to 3 under (kind, day), rows 4 and 5 under day alone. Format 1 keeps the field of `kind` in the partition
spec, with the transform `void` and the column's name. Prints nothing.
"""

import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, LongType, NestedField, StringType
from warehouse import CATALOG, NAMESPACE

NAME = f"{NAMESPACE}.dropped"


def main(folder: Path) -> None:
    """Makes the warehouse, and the table in it."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{folder.resolve()}/catalog.db", warehouse=folder.resolve().as_uri())
    catalog.create_namespace_if_not_exists(NAMESPACE)
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "kind", StringType()), NestedField(3, "day", DateType())
    )
    by_both = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "kind"), PartitionField(3, 1001, IdentityTransform(), "day")
    )
    table = catalog.create_table(NAME, schema, partition_spec=by_both, properties={"format-version": "1"})
    table.append(rows([1, 2, 3], ["a", "b", None], date(2026, 1, 1)))
    with table.update_spec() as update:
        update.remove_field("kind")
    catalog.load_table(NAME).append(rows([4, 5], ["c", None], date(2026, 1, 2)))


def rows(ids: list[int], kinds: list[str | None], day: date) -> pa.Table:
    """Makes rows of one day."""
    return pa.table({"id": ids, "kind": kinds, "day": [day] * len(ids)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
