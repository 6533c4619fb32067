"""Compares the enriched columns of an ingested access log with an independent computation, row by row.

    icefold ingest LOG --format combined --warehouse WAREHOUSE --set enrich.geo_database=GEO
    compare_enrichment.py WAREHOUSE --log LOG --geo GEO

`enrichment/` computes every column anew from the log itself; icefold's rows are read through PyIceberg. Each difference
must be one that `enrichment/explanations.py` lists. Prints a report as JSON:

    rows           how many were compared, and the offsets that only one side has
    columns        column -> how many rows are equal, and how many differ
    explained      explanation -> column -> differing rows, and how many user agents they are of
    unexplained    what nothing explains: how many, column -> how many, and the first of them in full
    totals         figures that both sides count in their own way, and whether they are the same

The warehouse must have been written with default settings but for `enrich.geo_database`, which is the file given here.
In the sample log all times are within minute 5 of their hour, so it says little about sessions; the log that
`enrichment/made_log.py` makes of its addresses and user agents says more.

Exit status: 0 nothing is unexplained and all totals agree, 1 something is, 2 something failed.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from enrichment import devices, enriched
from enrichment.explanations import Difference, explain
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import EqualTo
from read_with_pyiceberg import open_catalog
from warehouse import NAMESPACE, Warehouse

AGREE, DIFFER, FAILED = 0, 1, 2
PLACE = ("source_offset", "sub_offset")
MAX_UNEXPLAINED_SHOWN = 20
TOP_COUNTRIES = 10

Rows = dict[int, dict[str, object]]


def main() -> int:
    """Computes, reads, compares, prints."""
    arguments = parse_arguments()
    expected = enriched.compute(arguments.log, arguments.geo)
    segment = arguments.segment or arguments.log.name
    found, quarantined = read_tables(Warehouse(arguments.warehouse), segment)
    report = compare(expected, found, quarantined)
    json.dump(report, sys.stdout, indent=2, default=str)
    print()
    complaints = list(complaints_of(report))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return DIFFER if complaints else AGREE


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warehouse", type=Path, help="folder that holds catalog.db")
    parser.add_argument("--log", type=Path, required=True, help="the access log, packed with gzip")
    parser.add_argument("--geo", type=Path, required=True, help="the database of countries, in MaxMind's format")
    parser.add_argument("--segment", help="name of the log in the tables; default the log's file name")
    return parser.parse_args()


def read_tables(warehouse: Warehouse, segment: str) -> tuple[Rows, list[int]]:
    """Reads the log's rows of `events`, and where those of `quarantine` begin."""
    catalog = open_catalog(warehouse)
    try:
        of_log = EqualTo("segment", segment)
        events = catalog.load_table(f"{NAMESPACE}.events").scan(row_filter=of_log).to_arrow().to_pylist()
        quarantine = catalog.load_table(f"{NAMESPACE}.quarantine").scan(row_filter=of_log, selected_fields=PLACE)
        refused = [row["source_offset"] for row in quarantine.to_arrow().to_pylist()]
    finally:
        catalog.close()
    rows = {row["source_offset"]: row for row in sorted(events, key=lambda row: row["source_offset"])}
    if len(rows) != len(events) or any(row["sub_offset"] != 0 for row in events):
        raise ValueError(f"`{segment}` has more than one row for a line: was it ingested from two places?")
    return rows, sorted(refused)


def compare(expected: enriched.Enriched, found: Rows, quarantined: list[int]) -> dict:
    """Makes the report."""
    both = sorted(expected.rows.keys() & found.keys())
    columns = list(next(iter(expected.rows.values()))) if expected.rows else []
    names = {column: Names() for column in enriched.NAMES}
    differing, explained, unexplained = Counter(), defaultdict(lambda: defaultdict(list)), []
    for offset in both:
        for column in columns:
            one, other = expected.rows[offset][column], found[offset][column]
            if names[column].same(one, other) if column in names else one == other:
                continue
            differing[column] += 1
            difference = Difference(column, one, other, found[offset])
            explanation = explain(difference)
            if explanation is None:
                unexplained.append({"source_offset": offset, **shown(difference)})
            else:
                explained[explanation][column].append(difference)
    return {
        "versions": versions(),
        "rows": {
            "compared": len(both),
            "not_in_events": sorted(expected.rows.keys() - found.keys()),
            "only_in_events": sorted(found.keys() - expected.rows.keys()),
        },
        "columns": {c: {"equal": len(both) - differing[c], "different": differing[c]} for c in columns},
        "explained": {name: counted(by_column) for name, by_column in sorted(explained.items())},
        "unexplained": {
            "differences": len(unexplained),
            "columns": dict(Counter(difference["column"] for difference in unexplained)),
            "first": unexplained[:MAX_UNEXPLAINED_SHOWN],
        },
        "totals": {
            **totals(expected.rows, found),
            "lines that are no rows": {"expected": expected.refused, "found": quarantined},
        },
    }


class Names:
    """Names that either side gives as it likes: the same things must have the same one, and others another."""

    def __init__(self) -> None:
        self.there: dict = {}
        self.back: dict = {}

    def same(self, one, other) -> bool:
        """Tells whether two names stand for one another, as far as is known by now."""
        return self.there.setdefault(one, other) == other and self.back.setdefault(other, one) == one


def versions() -> dict[str, str]:
    """Names what computed."""
    packages = ("ua-parser", "ua-parser-builtins", "maxminddb", "pyiceberg")
    return {"uap-core": devices.UAP_CORE} | {package: version(package) for package in packages}


def shown(difference: Difference) -> dict[str, object]:
    """Writes a difference for people."""
    keys = ("column", "expected", "found", "user_agent")
    return {key: getattr(difference, key) for key in keys}


def counted(by_column: dict[str, list[Difference]]) -> dict[str, dict]:
    """Counts the differences of an explanation, with one of them for a look."""
    return {
        column: {
            "rows": len(differences),
            "user_agents": len({d.user_agent for d in differences}),
            "example": shown(differences[0]),
        }
        for column, differences in by_column.items()
    }


def totals(expected: Rows, found: Rows) -> dict[str, dict]:
    """Counts both sides."""
    return {
        name: {"expected": count(expected.values()), "found": count(found.values())}
        for name, count in {
            "sessions": lambda rows: len({row["session_id"] for row in rows}),
            "sessions by number of events": sessions_by_events,
            "devices": lambda rows: len({row["anonymous_id"] for row in rows}),
            "countries": lambda rows: dict(Counter(row["geo_country"] for row in rows).most_common(TOP_COUNTRIES)),
            "robots": lambda rows: dict(Counter(str(row["is_bot"]) for row in rows)),
        }.items()
    }


def sessions_by_events(rows) -> dict[int, int]:
    """Counts sessions by how many events they have."""
    return dict(sorted(Counter(Counter(row["session_id"] for row in rows).values()).items()))


def complaints_of(report: dict) -> Iterator[str]:
    """Yields a line for each thing that must not be."""
    rows, unexplained = report["rows"], report["unexplained"]
    if not rows["compared"]:
        yield "no row was compared"
    for side in ("not_in_events", "only_in_events"):
        if rows[side]:
            yield f"{len(rows[side])} lines are {side.replace('_', ' ')}, the first at byte {rows[side][0]}"
    if unexplained["differences"]:
        columns = ", ".join(f"{column} {count}" for column, count in unexplained["columns"].items())
        yield f"{unexplained['differences']} differences are unexplained: {columns}"
    for difference in unexplained["first"]:
        yield "at byte {source_offset}: {column} is {found!r}, not {expected!r}: {user_agent}".format(**difference)
    for name, total in report["totals"].items():
        # Robots differ by the explained rows of `is_bot`.
        if name != "robots" and total["expected"] != total["found"]:
            yield f"{name}: expected {total['expected']}, found {total['found']}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, LookupError, ValueError, NoSuchTableError) as error:
        print(f"compare_enrichment: {error}", file=sys.stderr)
        sys.exit(FAILED)
