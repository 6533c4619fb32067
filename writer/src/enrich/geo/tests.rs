//! Both layouts, damaged files, and the cache against the database.
//!
//! The databases come from `tests/data/make_geo_databases.py`.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const CITY: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/geo-city.mmdb"));
const ASN: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/geo-asn.mmdb"));
const FLAT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/geo-flat.mmdb"));

fn open(bytes: &'static [u8]) -> GeoDatabase {
    GeoDatabase::open(bytes).expect("a good database")
}

fn city() -> Arc<GeoDatabase> {
    Arc::new(open(CITY))
}

fn source(database: &Arc<GeoDatabase>) -> Arc<GeoSource> {
    let source = GeoSource::default();
    source.replace(GeoKind::Place, Arc::clone(database));
    Arc::new(source)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// One line for a place: `country region city | latitude longitude | asn organization`, `-` for null.
fn line(geo: &Geo) -> String {
    let show = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    let number = |number: Option<f64>| number.map_or("-".to_owned(), |n| n.to_string());
    let place = format!("{} {} {}", show(&geo.country), show(&geo.region), show(&geo.city));
    let degrees = format!("{} {}", number(geo.latitude), number(geo.longitude));
    let asn = geo.asn.map_or("-".to_owned(), |asn| asn.to_string());
    format!("{place} | {degrees} | {asn} {}", show(&geo.as_organization))
}

const UNKNOWN: &str = "- - - | - - | - -";

#[test]
fn the_layout_of_maxmind_is_read() {
    let mut cache = GeoCache::new(source(&city()));
    for (address, expected) in [
        ("192.0.2.1", "DE BE Berlin | 52.52 13.38 | - -"),
        ("198.51.100.127", "US CA Mountain View | 37.39 -122.08 | - -"),
        ("198.51.100.128", "US - - | - - | - -"),
        ("203.0.113.1", "- Bretagne - | - - | - -"),
        ("2001:db8::1", "FR IDF Paris | 48.85 2.35 | - -"),
        ("8.8.8.8", "US VA Reston | 38.97 -77.34 | - -"),
        ("::ffff:8.8.8.8", "US VA Reston | 38.97 -77.34 | - -"),
        ("10.0.0.1", UNKNOWN),
        ("::1", UNKNOWN),
    ] {
        assert_eq!(line(cache.geo(ip(address)).expect("open")), expected, "{address}");
    }
}

#[test]
fn networks_are_read() {
    let asn = open(ASN);
    assert_eq!(line(&asn.lookup(ip("1.1.1.1"))), "- - - | - - | 13335 CLOUDFLARENET");
    assert_eq!(line(&asn.lookup(ip("2001:db8::1"))), "- - - | - - | 4200000000 -");
}

#[test]
fn the_flat_layout_is_read_and_nonsense_is_null() {
    let flat = open(FLAT);
    assert_eq!(line(&flat.lookup(ip("192.0.2.1"))), "DE - - | - - | - -");
    assert_eq!(line(&flat.lookup(ip("198.51.100.1"))), "AU Queensland Brisbane | -27.47 153.03 | - -");
    assert_eq!(line(&flat.lookup(ip("203.0.113.1"))), UNKNOWN);
    assert_eq!(line(&flat.lookup(ip("2001:db8::1"))), UNKNOWN, "a database of version 4 knows no version 6");
}

#[test]
fn the_version_names_type_and_time() {
    assert_eq!(&**open(CITY).version(), "Test-City/1762300000");
    assert_eq!(&**open(FLAT).version(), "Test-Flat/1762300000");
}

#[test]
fn bytes_that_are_no_whole_database_are_an_error_with_a_remedy() {
    let cut_off = &CITY[..CITY.len() / 2];
    let from_the_middle = &CITY[CITY.len() / 2..];
    for bytes in [&b""[..], b"<html>not found</html>", &[0x1f, 0x8b, 8, 0], cut_off, from_the_middle] {
        let error = GeoDatabase::open(bytes).expect_err("no database");
        assert!(error.message().contains("fetch it again"), "{error}");
    }
    for length in 0..CITY.len() {
        // Nothing cut off may pass for whole and panic later.
        if let Ok(database) = GeoDatabase::open(&CITY[..length]) {
            ask_everything(&database);
        }
    }
}

#[test]
fn a_tree_that_leads_back_to_itself_is_an_error() {
    let nodes = CITY.len().min(60);
    let mut bytes = CITY.to_vec();
    bytes[..nodes].fill(0);
    assert!(GeoDatabase::open(bytes).is_err());
}

fn ask_everything(database: &GeoDatabase) {
    for address in ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "8.8.8.8", "0.0.0.0", "::", "ffff::"] {
        database.lookup(ip(address));
    }
}

proptest! {
    #[test]
    fn a_damaged_database_does_not_panic(
        which in 0..3_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        address in any::<[u8; 16]>(),
    ) {
        let mut bytes = [CITY, ASN, FLAT][which].to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(database) = GeoDatabase::open(bytes) {
            ask_everything(&database);
            database.lookup(IpAddr::from(address));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(GeoDatabase::open(bytes).is_err());
    }

    #[test]
    fn the_answer_does_not_depend_on_the_cache(last in proptest::collection::vec((0..5_usize, any::<u8>()), 1..50)) {
        let database = city();
        let mut cache = GeoCache::new(source(&database));
        for (network, last) in last.iter().chain(&last) {
            let start = ["192.0.2.", "198.51.100.", "203.0.113.", "8.8.8.", "9.9.9."][*network];
            let address = ip(&format!("{start}{last}"));
            prop_assert_eq!(cache.geo(address), Some(&database.lookup(address)));
        }
    }
}

#[test]
fn addresses_of_one_64_get_one_answer_whichever_comes_first() {
    // The database has another place for the upper half of this /64.
    let (lower, upper) = (ip("2001:db8:1:1::7"), ip("2001:db8:1:1:8000::7"));
    for order in [[lower, upper], [upper, lower]] {
        let mut cache = GeoCache::new(source(&city()));
        for address in order {
            assert_eq!(cache.geo(address).and_then(|geo| geo.city.as_deref()), Some("Paris"));
        }
        assert_eq!(cache.cached(), 1);
    }
}

#[test]
fn the_cache_is_bounded() {
    let mut cache = GeoCache::new(source(&Arc::new(open(FLAT))));
    for address in 0..3 * MAX_CACHED_ADDRESSES as u32 {
        cache.geo(IpAddr::V4(address.into()));
        assert!(cache.cached() <= MAX_CACHED_ADDRESSES);
    }
}

#[test]
fn a_new_database_is_taken_up_at_the_next_refresh() {
    let source = Arc::new(GeoSource::default());
    let mut cache = GeoCache::new(Arc::clone(&source));
    let address = ip("192.0.2.1");
    assert_eq!(cache.geo(address), None);
    assert!(cache.is_empty());

    source.replace(GeoKind::Place, city());
    assert_eq!(cache.geo(address), None, "a chunk keeps the database that it began with");
    cache.refresh();
    assert_eq!(cache.geo(address).and_then(|geo| geo.city.as_deref()), Some("Berlin"));

    source.replace(GeoKind::Place, Arc::new(open(ASN)));
    cache.refresh();
    assert_eq!(cache.geo(address).and_then(|geo| geo.asn), Some(64_496));
    assert_eq!(cache.version(GeoKind::Place).map(|v| &**v), Some("Test-ASN/1762300000"));
    assert_eq!(source.current().0, 2);
}

#[test]
fn a_second_database_says_what_the_first_does_not() {
    let source = source(&city());
    source.replace(GeoKind::Network, Arc::new(open(ASN)));
    let mut cache = GeoCache::new(Arc::clone(&source));
    for (address, expected) in [
        ("192.0.2.1", "DE BE Berlin | 52.52 13.38 | 64496 Example Net"),
        ("198.51.100.1", "US CA Mountain View | 37.39 -122.08 | - -"),
        ("1.1.1.1", "- - - | - - | 13335 CLOUDFLARENET"),
        ("10.0.0.1", UNKNOWN),
    ] {
        assert_eq!(line(cache.geo(ip(address)).expect("open")), expected, "{address}");
    }
    // Places of two databases are never mixed.
    source.replace(GeoKind::Network, Arc::new(open(FLAT)));
    cache.refresh();
    assert_eq!(line(cache.geo(ip("203.0.113.1")).expect("open")), "- Bretagne - | - - | - -");
}

#[test]
fn workers_share_the_source() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<GeoSource>();
    is_shared::<GeoDatabase>();
    fn moves_to_a_thread<T: Send>() {}
    moves_to_a_thread::<GeoCache>();
}
