"""Makes a small warehouse with PyIceberg: icefold's tables and catalog, written by somebody else.

With it the readers and the comparison can be tried without icefold: `sample.py FOLDER`, then `compare.py FOLDER`. Two
snapshots in each table, three days, nulls, long texts that share their first 40 characters, and bytes that are no text.
"""

import json
import random
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
from figures import TABLES, Table
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)
from warehouse import CATALOG, NAMESPACE

ROWS_PER_SNAPSHOT = 500
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAYS = 3
# Without it Spark would delete by rewriting files, which is no test of delete files.
PROPERTIES = {"write.delete.mode": "merge-on-read"}


def main(folder: Path) -> None:
    """Makes the warehouse and prints nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{folder.resolve()}/catalog.db", warehouse=folder.resolve().as_uri())
    catalog.create_namespace_if_not_exists(NAMESPACE)
    chance = random.Random(7)
    for table in TABLES.values():
        schema = iceberg_schema(table)
        time_id = schema.find_field(table.time).field_id
        day = PartitionField(source_id=time_id, field_id=1000, transform=DayTransform(), name=f"{table.time}_day")
        iceberg = catalog.create_table(
            f"{NAMESPACE}.{table.name}", schema, partition_spec=PartitionSpec(day), properties=PROPERTIES
        )
        for _ in range(2):
            iceberg.append(rows(table, iceberg.schema().as_arrow(), chance))


def iceberg_schema(table: Table) -> Schema:
    """Builds the schema from what `figures.py` knows of the table."""
    kinds = {c: LongType() if c == "source_offset" else IntegerType() for c in table.integers}
    kinds |= dict.fromkeys(table.timestamps, TimestamptzType())
    kinds |= dict.fromkeys(table.fractions, DoubleType())
    kinds |= dict.fromkeys(table.booleans, BooleanType())
    kinds |= dict.fromkeys(table.days, DateType())
    kinds |= dict.fromkeys(table.binaries, BinaryType())
    kinds |= dict.fromkeys(table.texts, StringType())
    required = {table.time, table.group, "source_offset", "sub_offset"}
    fields = [NestedField(i, name, kind, required=name in required) for i, (name, kind) in enumerate(kinds.items(), 1)]
    return Schema(*fields)


def rows(table: Table, schema: pa.Schema, chance: random.Random) -> pa.Table:
    """Draws rows; optional columns are null one time in five."""
    columns = {field.name: [draw(field, table, chance) for _ in range(ROWS_PER_SNAPSHOT)] for field in schema}
    return pa.table(columns, schema=schema)


def draw(field: pa.Field, table: Table, chance: random.Random):
    """Draws one value that fits a column."""
    if field.nullable and chance.random() < 0.2:
        return None
    if pa.types.is_timestamp(field.type):
        return START + timedelta(microseconds=chance.randrange(DAYS * 86_400_000_000))
    if pa.types.is_date(field.type):
        return START.date() - timedelta(days=chance.randrange(30_000))
    if pa.types.is_boolean(field.type):
        return chance.random() < 0.5
    if pa.types.is_floating(field.type):
        return chance.randrange(-18_000, 18_000) / 100
    if pa.types.is_integer(field.type):
        return chance.randrange(1 << 40 if field.name == "source_offset" else 4)
    if pa.types.is_large_binary(field.type) or pa.types.is_binary(field.type):
        return chance.randbytes(chance.randrange(1, 50))
    if field.name == table.group:
        return chance.choice(["track", "page", "identify"])
    if field.name == "properties":
        return json.dumps({"note": "it's \u00e4 \\ note", "revenue": chance.randrange(100_000) / 100})
    return "the same first forty characters, always " + chance.choice(["é", "z\U0001f9ca", "'", "\\"]) * chance.randrange(9)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
