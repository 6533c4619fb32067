"""Answers questions over plain Parquet files: what DuckDB or Spark say, for a test that compares it with what icefold says.

    answer.py duckdb|spark ROWS < QUESTIONS > ANSWERS

ROWS holds a folder for each state of the tables (`now`, `then`) with one Parquet file a table. QUESTIONS has a JSON object a line:
{"at": a state, "sql": the question}. ANSWERS has for each one, in order: a byte, `a` or `e`, the length of what follows as four
bytes (little end first), and a stream of Arrow IPC or the message of an error.
"""

import json
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa


def main(engine: str, rows: Path) -> None:
    """Answers until there are no more questions."""
    answer = ENGINES[engine](rows)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            kind, body = b"a", ipc(answer(question["at"], question["sql"]))
        except Exception as error:  # noqa: BLE001: whatever the engine says is its answer
            kind, body = b"e", str(error).encode()
        sys.stdout.buffer.write(kind + struct.pack("<I", len(body)) + body)
        sys.stdout.buffer.flush()


def tables(rows: Path) -> Iterator[tuple[str, str, Path]]:
    """Finds state, table and file of all tables."""
    for file in sorted(rows.glob("*/*.parquet")):
        yield file.parent.name, file.stem, file


def duckdb(rows: Path) -> Callable[[str, str], pa.Table]:
    """A DuckDB in memory; each state is a schema."""
    import duckdb as engine

    connection = engine.connect(config={"threads": "1"})
    connection.execute("SET TimeZone = 'UTC'")
    for state, table, file in tables(rows):
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{state}"')
        connection.execute(f'CREATE TABLE "{state}".{table} AS FROM read_parquet(?)', [str(file)])

    def answer(state: str, sql: str) -> pa.Table:
        connection.execute(f'USE "{state}"')
        return connection.execute(sql).to_arrow_table()

    return answer


def spark(rows: Path) -> Callable[[str, str], pa.Table]:
    """Spark by the rules of ANSI, as the others are; each state is a set of views."""
    from pyspark.sql.pandas.types import to_arrow_schema
    from read_with_spark import start_spark

    settings = {
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        # By bounds, which leave NaN out, it skips files that have one.
        "spark.sql.parquet.filterPushdown": "false",
    }
    scratch = tempfile.mkdtemp(prefix="icefold-spark-")
    session = start_spark(scratch, settings)
    frames = {(state, table): session.read.parquet(str(file)) for state, table, file in tables(rows)}

    def answer(state: str, sql: str) -> pa.Table:
        for (of, table), frame in frames.items():
            if of == state:
                frame.createOrReplaceTempView(table)
        # Its casts know no VARCHAR, and its doubles are written D.
        result = session.sql(re.sub(r"\bAS VARCHAR\)", "AS STRING)", sql))
        # Columns of one name are no columns for it.
        result = result.toDF(*(f"c{place}" for place in range(len(result.columns))))
        return pa.Table.from_batches(result._collect_as_arrow(), schema=to_arrow_schema(result.schema))

    return answer


ENGINES = {"duckdb": duckdb, "spark": spark}


def ipc(table: pa.Table) -> bytes:
    """Serializes a table."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ENGINES:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
