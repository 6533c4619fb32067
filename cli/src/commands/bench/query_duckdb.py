"""Asks DuckDB over `iceberg_scan`, for `icefold bench query`: a task as JSON on standard input, times as JSON on standard output."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import duckdb

task = json.load(sys.stdin)
connection = duckdb.connect(config={"threads": str(task["threads"])})
for name in ("avro", "iceberg"):
    package = Path(importlib.util.find_spec(f"duckdb_extension_{name}").origin).parent
    connection.load_extension(str(package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"))
connection.execute("SET TimeZone = 'UTC'")
for table, location in task["tables"].items():
    connection.execute(f"CREATE VIEW {table} AS FROM iceberg_scan('{location}')")
answers = []
for question in task["questions"]:
    seconds, rows = [], 0
    for _ in range(task["runs"]):
        started = time.perf_counter()
        rows = connection.execute(question).to_arrow_table().num_rows
        seconds.append(time.perf_counter() - started)
    answers.append({"seconds": seconds, "rows": rows})
json.dump({"version": duckdb.__version__, "answers": answers}, sys.stdout)
