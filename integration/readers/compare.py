"""Asks icefold, DuckDB, PyIceberg and Spark the same questions of a warehouse's tables and compares the answers.

Prints what they said as JSON, {engine: {table: {snapshot: figures}}}; `figures.py` explains the figures. The current
snapshot of each table is always asked for, older ones by `--snapshot`. Engines must agree with one another in everything,
and with the figures in `--expect` ({table: {snapshot: some of the figures}}; `current` may stand for a snapshot) in all
that stands there.

Exit status: 0 they agree, 1 they differ (a line for each difference on standard error), 2 something failed.
"""

import argparse
import importlib
import json
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from figures import CANNOT, TABLES, JsonNumber
from warehouse import Warehouse

ICEFOLD = "icefold"
OTHERS = ("duckdb", "pyiceberg", "spark")
CURRENT = "current"
NOTHING = "nothing"
AGREE, DIFFER, FAILED = 0, 1, 2
# Enough to see a pattern; a table that is wrong altogether differs in every figure.
MAX_DIFFERENCES_SHOWN = 40


def main() -> int:
    """Asks, prints, compares."""
    arguments = parse_arguments()
    warehouse = Warehouse(arguments.warehouse)
    questions = list(plan_questions(warehouse, arguments))
    with ThreadPoolExecutor(len(arguments.engine)) as pool:
        asked = [pool.submit(ask, engine, warehouse, questions, arguments.json_number) for engine in arguments.engine]
        answers = dict(zip(arguments.engine, (future.result() for future in asked), strict=True))
    failed = [f"{engine}: {answer}" for engine, answer in answers.items() if isinstance(answer, str)]
    if failed:
        print("\n".join(failed), file=sys.stderr)
        return FAILED
    json.dump(answers, sys.stdout, indent=2)
    print()
    found = list(compare(answers, with_ids(arguments.expect, warehouse)))
    for line in found[:MAX_DIFFERENCES_SHOWN]:
        print(line, file=sys.stderr)
    if len(found) > MAX_DIFFERENCES_SHOWN:
        print(f"… and {len(found) - MAX_DIFFERENCES_SHOWN} more differences", file=sys.stderr)
    return DIFFER if found else AGREE


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warehouse", type=Path, help="folder that holds catalog.db")
    parser.add_argument("--table", action="append", choices=TABLES, help="ask only this table; may be repeated")
    parser.add_argument("--snapshot", action="append", default=[], metavar="TABLE=ID", help="ask an older snapshot too")
    parser.add_argument("--oldest", action="store_true", help="ask the oldest snapshot kept of each table too")
    parser.add_argument("--engine", action="append", choices=OTHERS, help="ask only this engine; may be repeated")
    parser.add_argument("--icefold", metavar="BINARY", help="ask icefold too, through this binary; the others are measured by it")
    parser.add_argument("--expect", type=read_json, default={}, metavar="FILE", help="figures that must come out")
    parser.add_argument(
        "--json-number", type=JsonNumber.parse, metavar="TABLE.COLUMN.KEY", help="add up this number inside a JSON column"
    )
    arguments = parser.parse_args()
    arguments.engine = arguments.engine or list(OTHERS)
    if arguments.icefold:
        os.environ["READERS_ICEFOLD"] = arguments.icefold
        arguments.engine.insert(0, ICEFOLD)
    arguments.table = arguments.table or list(TABLES)
    return arguments


def read_json(file: str) -> dict:
    """Reads a file given on the command line."""
    return json.loads(Path(file).read_text())


def plan_questions(warehouse: Warehouse, arguments: argparse.Namespace):
    """Lists (table, key in the answer, snapshot to ask for or None for the current one)."""
    current = {table: warehouse.current_snapshot(table) for table in arguments.table}
    for table, snapshot in current.items():
        if snapshot is not None:
            yield TABLES[table].at(warehouse.columns(table, None)), str(snapshot), None
    older = {(table, int(snapshot)) for table, snapshot in (text.split("=", 1) for text in arguments.snapshot)}
    if arguments.oldest:
        older |= {(table, warehouse.snapshots(table)[0]) for table in arguments.table if current[table] is not None}
    for table, snapshot in sorted(older - set(current.items())):
        yield TABLES[table].at(warehouse.columns(table, snapshot)), str(snapshot), snapshot


def ask(engine: str, warehouse: Warehouse, questions: list, json_number: JsonNumber | None) -> dict | str:
    """Asks one engine everything; returns its answers, or in words what went wrong."""
    answers: dict = {}
    doing = "start"
    try:
        reader = importlib.import_module(f"read_with_{engine}").Reader()
        try:
            for table, key, snapshot in questions:
                doing = f"read `{table.name}` at snapshot {key}"
                figures = reader.figures(warehouse, table, snapshot, json_number)
                answers.setdefault(table.name, {})[key] = figures
        finally:
            reader.close()
    except Exception:  # noqa: BLE001 - engines raise their own kinds; all of them are answers worth showing
        lines = traceback.format_exc().splitlines()
        # Spark's Java frames bury the message.
        return "\n".join([f"could not {doing}", *(line for line in lines if not line.startswith("\tat "))])
    return answers


def with_ids(expect: dict, warehouse: Warehouse) -> dict:
    """Puts the id of a table's current snapshot where the expectation says `current`."""
    return {
        table: {
            str(warehouse.current_snapshot(table)) if snapshot == CURRENT else snapshot: figures
            for snapshot, figures in snapshots.items()
        }
        for table, snapshots in expect.items()
    }


def compare(answers: dict[str, dict], expect: dict):
    """Yields a line for each figure that is not the same everywhere."""
    said = {engine: flat(answer) for engine, answer in answers.items()}
    expected = flat(expect)
    for path in sorted(set(expected).union(*said.values())):
        values = {engine: figures.get(path, NOTHING) for engine, figures in said.items()}
        if path in expected:
            values = {"expected": expected[path], **values}
        given = [value for value in values.values() if value != CANNOT]
        if any(value != given[0] for value in given):
            yield f"{' / '.join(path)}: " + ", ".join(f"{who} {value}" for who, value in values.items())


def flat(answer, path: tuple = ()) -> dict[tuple, object]:
    """Turns nested figures into {path: figure}."""
    if not isinstance(answer, dict):
        return {path: answer}
    figures = {}
    for key, value in answer.items():
        figures |= flat(value, (*path, key))
    return figures


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, LookupError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(FAILED)
