//! Where an IP address is, and whose network it belongs to.
//!
//! A [`GeoDatabase`] is one `.mmdb` file, held in memory. A [`GeoSource`] holds those in use and is shared: whoever
//! reloads calls [`GeoSource::replace`], every worker asks through its own [`GeoCache`], which learns of a new database
//! between two chunks ([`GeoCache::refresh`]), so that all rows of a chunk come from one. Files are watched
//! and fetched by the caller, wherever they are, and opened from their bytes.

mod cache;
mod database;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use cache::{GeoCache, MAX_CACHED_ADDRESSES};
pub use database::{COORDINATE_DECIMALS, GeoDatabase};
pub use source::{GeoDatabases, GeoKind, GeoSource};

/// What is known of an address; everything is null for one that the database does not hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Geo {
    /// Country, two capital letters of ISO 3166-1.
    pub country: Option<Arc<str>>,
    /// Largest part of the country: its code of ISO 3166-2 without the country where the database has one, else its
    /// English name.
    pub region: Option<Arc<str>>,
    /// English name of the city.
    pub city: Option<Arc<str>>,
    /// Degrees north, from -90 to 90, rounded to [`COORDINATE_DECIMALS`].
    pub latitude: Option<f64>,
    /// Degrees east, from -180 to 180, rounded likewise.
    pub longitude: Option<f64>,
    /// Number of the autonomous system, from 0 to 4,294,967,295.
    pub asn: Option<i64>,
    /// Who runs it.
    pub as_organization: Option<Arc<str>>,
}

impl Geo {
    /// Returns what is known here, and of the rest what another database knows. A place is taken as a whole, so that no city
    /// comes to lie in another country.
    fn or(self, other: Geo) -> Geo {
        let place = if self.has_place() { &self } else { &other };
        let network = if self.asn.is_some() { &self } else { &other };
        Geo {
            country: place.country.clone(),
            region: place.region.clone(),
            city: place.city.clone(),
            latitude: place.latitude,
            longitude: place.longitude,
            asn: network.asn,
            as_organization: network.as_organization.clone(),
        }
    }

    fn has_place(&self) -> bool {
        self.country.is_some() || self.region.is_some() || self.city.is_some() || self.latitude.is_some()
    }
}
