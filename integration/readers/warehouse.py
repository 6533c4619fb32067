"""A local warehouse as other engines find it: the SQLite catalog and the metadata files that it points to."""

import json
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

CATALOG = "icefold"
NAMESPACE = "icefold"


class Warehouse:
    """A folder with `catalog.db`; it is opened read-only, as a reader should."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.catalog_file = self.folder / "catalog.db"
        if not self.catalog_file.is_file():
            raise FileNotFoundError(f"`{self.catalog_file}` is missing; is `{folder}` an icefold warehouse?")

    def metadata_location(self, table: str) -> str:
        """Returns the URI of the table's current metadata file."""
        with sqlite3.connect(f"file:{self.catalog_file}?mode=ro", uri=True) as catalog:
            row = catalog.execute(
                "SELECT metadata_location FROM iceberg_tables"
                " WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
                (CATALOG, NAMESPACE, table),
            ).fetchone()
        if row is None:
            raise LookupError(f"no table `{NAMESPACE}.{table}` in catalog `{CATALOG}` of `{self.catalog_file}`")
        return row[0]

    def metadata(self, table: str) -> dict:
        """Reads the table's current metadata."""
        return json.loads(local_path(self.metadata_location(table)).read_text())

    def current_snapshot(self, table: str) -> int | None:
        """Returns the id of the current snapshot, if there is one yet."""
        snapshot = self.metadata(table).get("current-snapshot-id")
        return None if snapshot in (None, -1) else snapshot

    def snapshots(self, table: str) -> list[int]:
        """Returns the ids of the snapshots that are kept, oldest first."""
        kept = sorted(self.metadata(table).get("snapshots", []), key=lambda s: s["sequence-number"])
        return [snapshot["snapshot-id"] for snapshot in kept]

    def columns(self, table: str, snapshot: int | None) -> set[str]:
        """Returns the columns that a reader of a snapshot sees, or for None one who names no snapshot."""
        metadata = self.metadata(table)
        schema_id = metadata["current-schema-id"]
        if snapshot is not None:
            kept = {s["snapshot-id"]: s for s in metadata.get("snapshots", [])}
            if snapshot not in kept:
                raise LookupError(f"no snapshot {snapshot} in `{NAMESPACE}.{table}`")
            schema_id = kept[snapshot].get("schema-id", schema_id)
        (schema,) = (schema for schema in metadata["schemas"] if schema["schema-id"] == schema_id)
        return {field["name"] for field in schema["fields"]}


def local_path(uri: str) -> Path:
    """Turns a URI into a path; Hadoop writes `file:/x` where others write `file:///x`."""
    return Path(unquote(urlsplit(uri).path))
