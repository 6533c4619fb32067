"""The rows of `events` that an access log should become, as far as enrichment has a part in them."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import maxminddb

from enrichment import access_log, devices, sessions
from enrichment.access_log import Line

# A log has no users, and a database of countries nothing but countries.
EMPTY = (
    *("geo_region", "geo_city", "geo_latitude", "geo_longitude", "geo_asn", "geo_as_organization"),
    *("resolved_user_id", "resolved_by", "user_plan", "user_signup_date", "user_consent"),
)
# Names that both sides give as they like; only which rows have the same one can be compared.
NAMES = ("anonymous_id", "session_id")
KEPT_BITS = {4: 24, 6: 48}


@dataclass(frozen=True)
class Enriched:
    """What should come out: rows by their offset in the log, and the offsets of lines that are no rows."""

    rows: dict[int, dict[str, object]]
    refused: list[int]


def compute(log: Path, geo_database: Path) -> Enriched:
    """Computes all rows of a log."""
    lines, refused = access_log.read(log)
    steps = sessions.steps((line.device, line.time, line.time) for line in lines)
    with maxminddb.open_database(geo_database, maxminddb.MODE_MEMORY) as geo:
        rows = {line.offset: row(line, step, geo) for line, step in zip(lines, steps, strict=True)}
    return Enriched(rows, refused)


def row(line: Line, step: sessions.Step, geo: maxminddb.Reader) -> dict[str, object]:
    """Computes one row."""
    return {
        "event_time": line.time,
        "arrival_time": line.time,
        "anonymous_id": line.device,
        "ip": network(line.host),
        "user_agent": line.user_agent,
        **devices.columns(line.user_agent),
        "geo_country": country(line.host, geo),
        "session_id": step.session,
        "session_start": step.start,
        "session_latest": step.latest,
        "session_event_number": step.event_number,
        **dict.fromkeys(EMPTY),
    }


def network(host: str) -> str | None:
    """Returns what the table keeps of an address: its network."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return str(ip_network((address, KEPT_BITS[address.version]), strict=False).network_address)


def country(host: str, geo: maxminddb.Reader) -> str | None:
    """Looks up the country of an address."""
    try:
        record = geo.get(ip_address(host))
    except ValueError:
        return None
    return record["country"]["iso_code"] if record else None
