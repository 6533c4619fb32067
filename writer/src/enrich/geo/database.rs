//! One `.mmdb` file: opened only when it is whole, and asked for addresses.
//!
//! Two layouts are read, field by field, so that one file may also hold only some of them: the nested one of MaxMind's
//! City, Country and ASN databases, and the flat one of `ip-location-db`. A field of another type than expected is
//! null.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Geo;
use icefold_core::{Error, Result};

/// Decimals of latitude and longitude that are kept: two are about 1 km. Databases place an address at the middle of
/// its city or postal area, so more digits would promise a place that nobody knows.
pub const COORDINATE_DECIMALS: i32 = 2;

/// Steps from the top of a record to a field.
type Path = [PathElement<'static>];

const COUNTRY: &[&Path] = &[&[key("country"), key("iso_code")], &[key("country_code")]];
const REGION: &[&Path] = &[
    &[key("subdivisions"), PathElement::Index(0), key("iso_code")],
    &[key("subdivisions"), PathElement::Index(0), key("names"), key("en")],
    &[key("state1")],
];
const CITY: &[&Path] = &[&[key("city"), key("names"), key("en")], &[key("city")]];
const LATITUDE: &[&Path] = &[&[key("location"), key("latitude")], &[key("latitude")]];
const LONGITUDE: &[&Path] = &[&[key("location"), key("longitude")], &[key("longitude")]];
const AS_NUMBER: &[&Path] = &[&[key("autonomous_system_number")]];
const AS_ORGANIZATION: &[&Path] = &[&[key("autonomous_system_organization")]];

const fn key(name: &'static str) -> PathElement<'static> {
    PathElement::Key(name)
}

/// A geo database in memory.
#[derive(Debug)]
pub struct GeoDatabase {
    reader: Reader<Bytes>,
    version: Arc<str>,
}

impl GeoDatabase {
    /// Opens the bytes of an `.mmdb` file and reads every record of it once, which takes some 50 ms for 10 MB.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when the file is cut off, damaged or of another format.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let size = bytes.len();
        let reader = Reader::from_source(bytes).map_err(|e| damaged(size, e))?;
        check(&reader).map_err(|e| damaged(size, e))?;
        let version = format!("{}/{}", reader.metadata().database_type, reader.metadata().build_epoch).into();
        Ok(GeoDatabase { reader, version })
    }

    /// Returns the version that rows name: type and time of building, such as `GeoLite2-City/1762300000`.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Returns what the database holds about `ip`; takes some 1 to 2 µs.
    pub fn lookup(&self, ip: IpAddr) -> Geo {
        // The only error that an open database can give is an address of version 6 in a database of version 4.
        match self.reader.lookup(ip) {
            Ok(found) if found.has_data() => geo(&found),
            _ => Geo::default(),
        }
    }
}

type Found<'a> = LookupResult<'a, Bytes>;

fn geo(found: &Found<'_>) -> Geo {
    Geo {
        country: text(found, COUNTRY).filter(|code| is_country(code)),
        region: text(found, REGION),
        city: text(found, CITY),
        latitude: degrees(found, LATITUDE, 90.0),
        longitude: degrees(found, LONGITUDE, 180.0),
        asn: first::<i64>(found, AS_NUMBER).filter(|number| u32::try_from(*number).is_ok()),
        as_organization: text(found, AS_ORGANIZATION),
    }
}

/// Returns the first of `paths` that leads to a value of type `T`.
fn first<'a, T: Deserialize<'a>>(found: &Found<'a>, paths: &[&Path]) -> Option<T> {
    paths.iter().find_map(|path| found.decode_path(path).ok().flatten())
}

fn text(found: &Found<'_>, paths: &[&Path]) -> Option<Arc<str>> {
    first::<&str>(found, paths).filter(|text| !text.is_empty()).map(Arc::from)
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}

fn degrees(found: &Found<'_>, paths: &[&Path], limit: f64) -> Option<f64> {
    let scale = 10_f64.powi(COORDINATE_DECIMALS);
    first::<f64>(found, paths).filter(|degrees| degrees.abs() <= limit).map(|degrees| (degrees * scale).round() / scale)
}

/// Walks the whole tree and reads each record once. The crate's own `verify` does so too, but refuses databases
/// without a description, such as those of `ip-location-db`.
fn check(reader: &Reader<Bytes>) -> Result<(), MaxMindDbError> {
    // A tree of n nodes has n + 1 ends; more mean that nodes lead back to one another.
    let mut ends_left = u64::from(reader.metadata().node_count) + 1;
    let mut records = HashSet::new();
    for network in reader.networks(Default::default())? {
        let found = network?;
        if found.offset().is_some_and(|offset| records.insert(offset)) {
            found.decode::<IgnoredAny>()?;
        }
        ends_left = ends_left
            .checked_sub(1)
            .ok_or_else(|| MaxMindDbError::invalid_database("the search tree has more ends than nodes"))?;
    }
    Ok(())
}

fn damaged(size: usize, cause: MaxMindDbError) -> Error {
    Error::corrupt("the geo database is no whole `.mmdb` file: fetch it again, unpacked, and compare its checksum")
        .with("bytes", size)
        .because(cause)
}
