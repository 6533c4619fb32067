"""icefold itself reads its tables, through `icefold query`, so that it answers the very questions that others answer."""

import json
import os
import subprocess

from figures import Dialect, JsonNumber, Source, Table, from_sql
from warehouse import Warehouse

DIALECT = Dialect(
    micros=lambda time: f"CAST({time} AS BIGINT)",
    day=lambda time: f"to_char({time}, '%Y-%m-%d')",
    days_since_1970=lambda day: f"CAST({day} AS INT)",
    text_bytes=lambda text: f"octet_length({text})",
    # DataFusion's octet_length takes texts only, and a payload need not be one.
    binary_bytes=None,
    # DataFusion has no JSON functions; the key must not stand inside a nested object too.
    json_decimal=lambda column, key: (
        f"CAST((regexp_match({column}, '\"{key}\": *(-?[0-9]+([.][0-9]+)?)'))[1] AS DECIMAL(18, 6))"
    ),
    timestamp=lambda micros: f"to_timestamp_micros({micros})",
    literal=lambda text: "'" + text.replace("'", "''") + "'",
)

# Far more than any of the questions takes.
TIMEOUT_SECONDS = 120


class Reader:
    """The binary that READERS_ICEFOLD names."""

    def __init__(self) -> None:
        self.binary = os.environ.get("READERS_ICEFOLD")
        if not self.binary:
            raise RuntimeError("name the binary with --icefold")

    def figures(self, warehouse: Warehouse, table: Table, snapshot: int | None, json_number: JsonNumber | None) -> dict:
        """Computes the figures; `snapshot` is None for the current one."""
        at = ["--snapshot", f"{table.name}={snapshot}"] if snapshot is not None else []
        command = [self.binary, "query", "--warehouse", str(warehouse.folder), "--format", "json", *at]

        def query(sql: str, columns: int) -> list[tuple]:
            ran = subprocess.run([*command, sql], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
            if ran.returncode != 0:
                raise RuntimeError(f"`icefold query` ended with {ran.returncode}: {ran.stderr.strip()}\n{sql}")
            return [tuple(row.get(f"c{i}") for i in range(columns)) for row in map(json.loads, ran.stdout.splitlines())]

        return from_sql(table, Source(table.name, query), DIALECT, json_number)

    def close(self) -> None:
        """Nothing stays open."""
