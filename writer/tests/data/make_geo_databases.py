"""Makes the small geo databases of the tests, in the layouts that real ones have.

    pip install mmdb-writer netaddr
    python make_geo_databases.py        # writes beside itself

Most networks are those reserved for documentation; the few real ones belong to well-known operators. The places are
made up to try out values, and no entry was taken from another database. Integers and floats are written in more than
one width, as databases do. The time of building is fixed, so that running this again gives the same files.
"""

from pathlib import Path

from netaddr import IPSet
from mmdb_writer import MMDBWriter

HERE = Path(__file__).parent
BUILT = 1_762_300_000


def write(name, database_type, networks, ip_version=6, float_type="f64"):
    writer = MMDBWriter(
        ip_version=ip_version,
        ipv4_compatible=ip_version == 6,
        database_type=database_type,
        languages=["en"],
        description=f"{database_type} for tests of icefold",
        float_type=float_type,
    )
    for network, record in networks:
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(HERE / name))
    fix_build_time(HERE / name)


def fix_build_time(path):
    """Replaces the build time, an unsigned integer after its key in the metadata."""
    data = path.read_bytes()
    key = data.rindex(b"build_epoch") + len("build_epoch")
    size = data[key] & 0x1F
    start = key + 2 if data[key] >> 5 == 0 else key + 1
    path.write_bytes(data[:start] + BUILT.to_bytes(size, "big") + data[start + size :])


def city(country, region, city_name, latitude, longitude):
    return {
        "continent": {"code": "EU", "names": {"en": "Europe"}},
        "country": {"iso_code": country, "names": {"en": country}},
        "subdivisions": [{"iso_code": region, "names": {"en": f"{region} region"}}],
        "city": {"geoname_id": 1, "names": {"de": f"{city_name} (de)", "en": city_name}},
        "location": {"latitude": latitude, "longitude": longitude, "time_zone": "Europe/Berlin"},
    }


write(
    "geo-city.mmdb",
    "Test-City",
    [
        ("192.0.2.0/24", city("DE", "BE", "Berlin", 52.516266, 13.377775)),
        ("198.51.100.0/25", city("US", "CA", "Mountain View", 37.386051, -122.083855)),
        ("198.51.100.128/25", {"country": {"iso_code": "US"}}),
        ("203.0.113.0/24", {"subdivisions": [{"names": {"en": "Bretagne"}}], "city": {"names": {"fr": "Brest"}}}),
        ("2001:db8::/32", city("FR", "IDF", "Paris", 48.853409, 2.3488)),
        ("2001:db8:1:1:8000::/65", city("IT", "62", "Rome", 41.89193, 12.51133)),
        ("8.8.8.0/24", city("US", "VA", "Reston", 38.968532, -77.341103)),
    ],
)
write(
    "geo-asn.mmdb",
    "Test-ASN",
    [
        ("192.0.2.0/24", {"autonomous_system_number": 64496, "autonomous_system_organization": "Example Net"}),
        ("1.1.1.0/24", {"autonomous_system_number": 13335, "autonomous_system_organization": "CLOUDFLARENET"}),
        ("2001:db8::/32", {"autonomous_system_number": 4_200_000_000, "autonomous_system_organization": ""}),
    ],
)
write(
    "geo-flat.mmdb",
    "Test-Flat",
    [
        ("192.0.2.0/24", {"country_code": "DE"}),
        (
            "198.51.100.0/24",
            {
                "country_code": "AU",
                "state1": "Queensland",
                "city": "Brisbane",
                "latitude": -27.46794,
                "longitude": 153.02809,
            },
        ),
        ("203.0.113.0/24", {"country_code": "", "city": 7, "latitude": 1234.5, "longitude": "x"}),
    ],
    ip_version=4,
    float_type="f32",
)
