"""Makes an access log whose sessions are hard to tell, of the addresses and user agents of another one.

    python made_log.py web-access-2015.log.gz made.log.gz --seed 7

Devices pause for just under, just and just over the gap, go on for days so that sessions reach their longest length,
or come in bursts; lines are late by up to 50 minutes, so that many are out of order, and some before the start of the
session that they join. A lag of more than window minus open-for, an hour by default, is left out: beyond that the rule
of sessions alone does not decide.
"""

import argparse
import gzip
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2024, 2, 28, tzinfo=timezone.utc)
DEVICES = 60
MOST_EVENTS = 800
DAYS = 5
# Seconds between two events of a device; 1800 is the gap.
PACES = ((0, 1, 5, 30), (60, 1500, 1799, 1800, 1801, 3600, 5000), (200, 300, 400, 500))
LATENESS = (*(0,) * 9, 30, 600, 1799, 1800, 1801, 3000)
ZONES = (timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-7)))
CLIENT = re.compile(r'(\S+) .* ("(?:[^"\\]|\\.)*")$')


def main() -> None:
    """Reads the one log and writes the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="an access log in combined format, packed with gzip")
    parser.add_argument("made", type=Path, help="where to write")
    parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same log")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    clients = sorted(set(clients_of(arguments.log)))
    made = (event for client in chance.sample(clients, DEVICES) for event in events_of(client, chance))
    # In the order of arrival; a line itself tells only when it happened.
    with gzip.open(arguments.made, "wt", encoding="utf-8") as out:
        for _arrival, time, (host, agent) in sorted(made):
            written = (START + timedelta(seconds=time)).astimezone(chance.choice(ZONES))
            out.write(f'{host} - - [{written:%d/%b/%Y:%H:%M:%S %z}] "GET / HTTP/1.1" 200 5 "-" {agent}\n')


def clients_of(log: Path) -> Iterator[tuple[str, str]]:
    """Yields the address and the quoted user agent of each line that has both."""
    with gzip.open(log, "rt", encoding="utf-8") as lines:
        yield from (match.groups() for match in map(CLIENT.match, lines) if match)


def events_of(client: tuple[str, str], chance: random.Random) -> Iterator[tuple[int, int, tuple[str, str]]]:
    """Yields (arrival, time, client), times in seconds from the start."""
    pace = chance.choice(PACES)
    time = chance.randrange(DAYS * 86_400)
    for _ in range(chance.randrange(MOST_EVENTS)):
        yield time + chance.choice(LATENESS), time, client
        time += chance.choice(pace)


if __name__ == "__main__":
    main()
