"""Makes `web-access-2015-countries.mmdb`: the countries of the sample log's client addresses, for the demo.

    pip install maxminddb==3.2.0 mmdb-writer==0.2.7 netaddr==1.3.0
    npm pack @ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719
    tar -xzf ip-location-db-geo-whois-asn-country-mmdb-2.3.2026061719.tgz
    python make_countries.py package/geo-whois-asn-country-ipv4.mmdb        # writes beside itself

For each client address of the log the one network is taken that the source answers with, as wide as the source has it.
The record is that of MaxMind's country databases, of which only `country.iso_code` is filled. The time of building is
the source's, so running this again gives the same bytes; another source is refused.
"""

import gzip
import hashlib
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import maxminddb
from mmdb_writer import MMDBWriter
from netaddr import IPSet

HERE = Path(__file__).parent
LOG = HERE / "web-access-2015.log.gz"
COUNTRIES = HERE / "web-access-2015-countries.mmdb"
DATABASE_TYPE = "icefold-demo-country"

SOURCE = "@ip-location-db/geo-whois-asn-country-mmdb 2.3.2026061719"
SOURCE_SHA256 = "05aee73a6616c32a3074fcfc82ebab8a31ed1cf1f052c7251db52a0916f1138a"
# The package calls itself CC0, but its README and `NRO_LICENSE` name registry data that asks for this attribution.
DESCRIPTION = (
    f"Countries of the client addresses in web-access-2015.log, an extract of npm {SOURCE}"
    " (CC0-1.0 by its package.json); registry data by the Number Resource Organization, nro.net (CC BY 4.0)"
)


class Writer(MMDBWriter):
    """A writer that does not look at the clock."""

    def __init__(self, build_epoch: int):
        super().__init__(ip_version=4, database_type=DATABASE_TYPE, languages=["en"], description={"en": DESCRIPTION})
        self.build_epoch = build_epoch

    def _build_meta(self) -> dict:
        return super()._build_meta() | {"build_epoch": self.build_epoch}


def main(source_file: Path) -> None:
    """Writes the extract, reads it back, and says what is in it."""
    check_source(source_file)
    addresses = sorted(set(client_addresses(LOG)))
    with maxminddb.open_database(source_file) as source:
        networks = networks_of(source, addresses)
        write(networks, source.metadata().build_epoch)
        with maxminddb.open_database(COUNTRIES) as extract:
            check_extract(source, extract, addresses)
    known = sum(any(address in network for network in networks) for address in addresses)
    print(
        f"{COUNTRIES.name}: {COUNTRIES.stat().st_size} bytes, {len(networks)} networks in {len(set(networks.values()))}"
        f" countries, {known} of {len(addresses)} addresses"
    )


def check_source(file: Path) -> None:
    """Refuses another source than the one that is named in the extract."""
    if hashlib.sha256(file.read_bytes()).hexdigest() != SOURCE_SHA256:
        raise SystemExit(f"`{file}` is not geo-whois-asn-country-ipv4.mmdb of {SOURCE}: see the top of this script")


def client_addresses(log: Path) -> Iterator[IPv4Address]:
    """Reads the first word of each line; host names are passed over."""
    with gzip.open(log, "rt", encoding="utf-8") as lines:
        for line in lines:
            try:
                yield IPv4Address(line.split(" ", 1)[0])
            except ValueError:
                continue


def networks_of(source: maxminddb.Reader, addresses: list[IPv4Address]) -> dict[IPv4Network, str]:
    """Looks up the network and the country of each address; those that the source does not have are left out."""
    networks = {}
    for address in addresses:
        record, prefix_length = source.get_with_prefix_len(address)
        if record is not None:
            networks[IPv4Network((address, prefix_length), strict=False)] = record["country_code"]
    return networks


def write(networks: dict[IPv4Network, str], build_epoch: int) -> None:
    """Writes the extract in the order of addresses."""
    writer = Writer(build_epoch)
    for network in sorted(networks):
        writer.insert_network(IPSet([str(network)]), {"country": {"iso_code": networks[network]}})
    writer.to_db_file(str(COUNTRIES))


def check_extract(source: maxminddb.Reader, extract: maxminddb.Reader, addresses: list[IPv4Address]) -> None:
    """Compares what both databases say, country and width of the network, of every address."""
    for address in addresses:
        (expected, expected_bits), (found, found_bits) = (d.get_with_prefix_len(address) for d in (source, extract))
        if expected is None:
            same = found is None
        else:
            same = (found, found_bits) == ({"country": {"iso_code": expected["country_code"]}}, expected_bits)
        if not same:
            raise SystemExit(f"{address} is {found} in the extract, {expected} in the source")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
