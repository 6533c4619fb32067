"""DuckDB reads a table from its metadata file."""

import importlib.util
from pathlib import Path

import duckdb
from figures import Dialect, JsonNumber, Source, Table, from_sql
from warehouse import Warehouse

DIALECT = Dialect(
    micros=lambda time: f"epoch_us({time})",
    day=lambda time: f"strftime({time}, '%Y-%m-%d')",
    days_since_1970=lambda day: f"{day} - DATE '1970-01-01'",
    text_bytes=lambda text: f"strlen({text})",
    binary_bytes=lambda binary: f"octet_length({binary})",
    json_decimal=lambda column, key: f"try_cast(json_extract_string({column}, '$.{key}') AS DECIMAL(18, 6))",
    timestamp=lambda micros: f"make_timestamptz({micros})",
    literal=lambda text: "'" + text.replace("'", "''") + "'",
)


class Reader:
    """A DuckDB in memory with the Iceberg extension of its own version."""

    def __init__(self) -> None:
        # Extensions come from PyPI packages; DuckDB must not fetch others by itself.
        config = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        self.connection = duckdb.connect(config=config)
        for name in ("avro", "iceberg"):
            self.connection.load_extension(str(extension_file(name)))
        self.connection.execute("SET TimeZone = 'UTC'")

    def figures(self, warehouse: Warehouse, table: Table, snapshot: int | None, json_number: JsonNumber | None) -> dict:
        """Computes the figures; `snapshot` is None for the current one."""
        at = f", snapshot_from_id => {snapshot}" if snapshot is not None else ""
        source = f"iceberg_scan('{warehouse.metadata_location(table.name)}'{at})"
        return from_sql(table, Source(source, self.query), DIALECT, json_number)

    def query(self, sql: str, _columns: int) -> list[tuple]:
        """Runs a statement."""
        return self.connection.execute(sql).fetchall()

    def close(self) -> None:
        """Ends the database."""
        self.connection.close()


def extension_file(name: str) -> Path:
    """Finds the extension inside the package that carries it; its version must equal DuckDB's."""
    package = Path(importlib.util.find_spec(f"duckdb_extension_{name}").origin).parent
    return package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
