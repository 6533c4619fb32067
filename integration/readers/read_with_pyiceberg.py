"""PyIceberg opens the SQLite catalog itself and reads tables into Arrow."""

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from figures import HUNDREDTHS, MICROS_PER_DAY, JsonNumber, Table, asked, day_start, decimal_text, middle_day
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, IsNull, LessThan
from warehouse import CATALOG, NAMESPACE, Warehouse


class Reader:
    """PyIceberg with one catalog per warehouse."""

    def figures(self, warehouse: Warehouse, table: Table, snapshot: int | None, json_number: JsonNumber | None) -> dict:
        """Computes the figures; `snapshot` is None for the current one."""
        catalog = open_catalog(warehouse)
        try:
            iceberg = catalog.load_table(f"{NAMESPACE}.{table.name}")
            return Scan(iceberg, table, snapshot).figures(json_number)
        finally:
            catalog.close()

    def close(self) -> None:
        """Nothing stays open."""


def open_catalog(warehouse: Warehouse) -> SqlCatalog:
    """Opens the warehouse's own catalog file."""
    return SqlCatalog(CATALOG, uri=f"sqlite:///{warehouse.catalog_file}", warehouse=warehouse.folder.as_uri())


class Scan:
    """One table at one snapshot."""

    def __init__(self, iceberg, table: Table, snapshot: int | None):
        self.iceberg = iceberg
        self.table = table
        self.snapshot = snapshot
        self.arrow = self.scan().to_arrow()

    def scan(self, **how):
        """Plans a scan at the snapshot."""
        return self.iceberg.scan(snapshot_id=self.snapshot, **how)

    def figures(self, json_number: JsonNumber | None) -> dict:
        """Computes the figures of `figures.py`."""
        table, by_day = self.table, value_counts(pc.strftime(self.arrow[self.table.time], format="%Y-%m-%d"))
        return {
            "rows": self.arrow.num_rows,
            "distinct_ids": pc.count_distinct(self.arrow[table.id]).as_py(),
            "min_time": pc.min(self.micros(table.time)).as_py(),
            "max_time": pc.max(self.micros(table.time)).as_py(),
            "sums": self.sums(),
            "non_null": {c: pc.count(self.arrow[c]).as_py() for c in table.columns},
            "bytes": {c: total(pc.binary_length(self.arrow[c])) for c in table.texts + table.binaries},
            "json_number": self.json_sum(json_number) if asked(json_number, table) else None,
            "by_group": value_counts(self.arrow[table.group]),
            "by_day": by_day,
            "promoted": {c: self.by_contract(c) for c in table.promoted},
            "aggregates_alone": self.aggregates_alone(),
            "filtered": self.filtered(by_day),
        }

    def sums(self) -> dict[str, int]:
        """Adds up what is or can be made whole numbers."""
        table = self.table
        sums = {c: total(self.arrow[c]) for c in table.integers + table.booleans}
        sums |= {c: self.day_micros(c) for c in table.timestamps}
        sums |= {c: total(pc.cast(self.arrow[c], pa.int32())) for c in table.days}
        return sums | {c: self.hundredths(c) for c in table.fractions}

    def hundredths(self, column: str) -> int:
        """Adds up a fraction, in hundredths."""
        return total(pc.cast(pc.round(pc.multiply(self.arrow[column], HUNDREDTHS)), pa.int64()))

    def micros(self, column: str) -> pa.ChunkedArray:
        """Returns a time column as microseconds since 1970."""
        return pc.cast(self.arrow[column], pa.int64())

    def day_micros(self, column: str) -> int:
        """Adds up the microseconds since midnight."""
        return sum(abs(m) % MICROS_PER_DAY for m in self.micros(column).to_pylist() if m is not None)

    def json_sum(self, number: JsonNumber) -> str | None:
        """Adds up a number inside a JSON column."""
        texts = (text for text in self.arrow[number.column].to_pylist() if text is not None)
        objects = (json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in texts)
        numbers = [o[number.key] for o in objects if isinstance(o.get(number.key), Decimal)]
        return decimal_text(sum(numbers)) if numbers else None

    def by_contract(self, column: str) -> dict[str, int]:
        """Counts, for each contract, the rows that have a column."""
        counted = self.arrow.group_by("contract").aggregate([(column, "count")])
        return {row["contract"]: row[f"{column}_count"] for row in counted.to_pylist()}

    def aggregates_alone(self) -> dict:
        """Takes counts and bounds from the manifests; with deletes in force bounds are loose, so rows are read then."""
        files = [task.file for task in self.scan().plan_files() if not task.delete_files]
        all_exact = len(files) == len(list(self.scan().plan_files()))
        figures = {"rows": self.scan().count()}
        for name, column in (("time", self.table.time), ("source_offset", "source_offset")):
            if all_exact:
                least, greatest = self.bounds(files, column)
            else:
                values = pc.cast(self.arrow[column], pa.int64())
                least, greatest = pc.min(values).as_py(), pc.max(values).as_py()
            figures |= {f"min_{name}": least, f"max_{name}": greatest}
        return figures

    def bounds(self, files, column: str) -> tuple[int | None, int | None]:
        """Returns the least lower and the greatest upper bound of a required column."""
        field = self.iceberg.schema().find_field(column)
        lower = [from_bytes(field.field_type, file.lower_bounds[field.field_id]) for file in files]
        upper = [from_bytes(field.field_type, file.upper_bounds[field.field_id]) for file in files]
        return min(lower, default=None), max(upper, default=None)

    def filtered(self, by_day: dict[str, int]) -> dict:
        """Counts under filters that let PyIceberg skip partitions, files and row groups."""
        figures = {}
        for column in self.table.looked_up:
            greatest = greatest_value(self.arrow[column])
            if greatest is not None:
                figures[f"{column} at its greatest"] = self.count(EqualTo(column, greatest))
        figures |= {f"{column} is true": self.count(EqualTo(column, True)) for column in self.table.booleans}
        figures |= {f"{column} is null": self.count(IsNull(column)) for column in self.table.nullables}
        if by_day:
            start, time = day_start(middle_day(by_day)), self.table.time
            end = start + MICROS_PER_DAY
            within = And(GreaterThanOrEqual(time, iso(start)), LessThan(time, iso(end)))
            figures["on the middle day"] = self.count(within)
        return figures

    def count(self, row_filter) -> int:
        """Counts the rows under a filter."""
        return self.scan(row_filter=row_filter, selected_fields=("source_offset",)).to_arrow().num_rows


def iso(micros: int) -> str:
    """Writes a time as PyIceberg's filters take it."""
    return pa.scalar(micros, pa.timestamp("us", "UTC")).as_py().isoformat()


def greatest_value(column: pa.ChunkedArray):
    """Returns the greatest value; texts by their bytes, as SQL engines order them."""
    values = [value for value in column.unique().to_pylist() if value is not None]
    return max(values, key=lambda value: value.encode() if isinstance(value, str) else value, default=None)


def total(column: pa.ChunkedArray) -> int:
    """Adds up a column; of nothing the sum is 0."""
    return pc.sum(column).as_py() or 0


def value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Counts the rows of each value."""
    return {str(pair["values"]): pair["counts"] for pair in pc.value_counts(column).to_pylist()}
