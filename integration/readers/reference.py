"""Makes reference data for the people of generated events.

    reference.py EVENTS_FOLDER people.parquet

One row for each `userId` in the folder's files, in the columns that `enrich.reference` knows. What a person is follows
from the id; of one in five no day is known, and one in five is left out.
"""

import json
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [("user_id", pa.string()), ("plan", pa.string()), ("signup_date", pa.date32()), ("consent", pa.string())]
)
PLANS = ("free", "team", "größer", None)
CONSENTS = ("all", "necessary")
FIRST_DAY, DAYS = date(1969, 12, 1), 20_000
# Of so many people one is left out, and of another the day is not known.
PERIOD = 5


def main(events: Path, reference: Path) -> None:
    """Writes the file."""
    people = [person(user) for user in sorted(set(users(events))) if crc32(user.encode()) % PERIOD]
    pq.write_table(pa.Table.from_pylist(people, SCHEMA), reference)


def users(folder: Path) -> Iterator[str]:
    """Yields the ids; lines that are no events are passed over."""
    for file in folder.glob("*.ndjson"):
        for line in file.read_bytes().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            user = event.get("userId") if isinstance(event, dict) else None
            if isinstance(user, str):
                yield user


def person(user: str) -> dict:
    """Makes the row of a person."""
    number = crc32(user.encode())
    day = FIRST_DAY + timedelta(days=number // PERIOD % DAYS)
    return {
        "user_id": user,
        "plan": PLANS[number % len(PLANS)],
        "signup_date": None if number % PERIOD == 1 else day,
        "consent": CONSENTS[number % len(CONSENTS)],
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
