"""The rule of sessions, taken literally: every event is held against every session that its device ever had.

An event of time `t` fits a session if all of these hold:

* `t` is at most 30 minutes before the session's start or after its latest event time;
* with it, the session spans at most 24 hours;
* it arrived at most an hour after or before the session's latest arrival.

It joins, of those it fits, the one with the greatest start; else it begins one. The start is the time of the event that
began the session and stays. Numbers follow the order of the stream.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

GAP = timedelta(minutes=30)
LONGEST = timedelta(hours=24)
OPEN_FOR = timedelta(hours=1)


@dataclass
class Session:
    """A session; `number` is its place among all sessions, in the order of beginning."""

    number: int
    start: datetime
    latest: datetime
    latest_arrival: datetime
    events: int = 0

    def fits(self, time: datetime, arrival: datetime) -> bool:
        """Tells whether an event may join."""
        earliest, latest = min(time, self.start), max(time, self.latest)
        return (
            self.start - GAP <= time <= self.latest + GAP
            and latest - earliest <= LONGEST
            and abs(arrival - self.latest_arrival) <= OPEN_FOR
        )

    def add(self, time: datetime, arrival: datetime) -> None:
        """Takes an event in."""
        self.latest = max(self.latest, time)
        self.latest_arrival = max(self.latest_arrival, arrival)
        self.events += 1


@dataclass(frozen=True)
class Step:
    """What became of one event."""

    session: int
    start: datetime
    latest: datetime
    event_number: int


def steps(events: Iterable[tuple[Hashable, datetime, datetime]]) -> list[Step]:
    """Decides (device, event time, arrival) one after the other."""
    sessions: dict[Hashable, list[Session]] = defaultdict(list)
    begun = 0
    decided = []
    for device, time, arrival in events:
        fitting = [session for session in sessions[device] if session.fits(time, arrival)]
        if fitting:
            session = max(fitting, key=lambda session: session.start)
        else:
            session = Session(begun, start=time, latest=time, latest_arrival=arrival)
            sessions[device].append(session)
            begun += 1
        session.add(time, arrival)
        decided.append(Step(session.number, session.start, session.latest, session.events))
    return decided
