//! The answers for the addresses that a worker has met of late.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Geo, GeoDatabases, GeoKind, GeoSource};
use crate::enrich::recent::Recent;

/// Addresses that a worker remembers; with some 250 bytes each that is 16 MB.
pub const MAX_CACHED_ADDRESSES: usize = 65_536;

/// Bits of an IPv6 address that are looked up: one line of a customer is a /64, and its devices change the rest.
const IPV6_PREFIX_BITS: u32 = 64;

/// Remembers the places of one worker. What it answers is what the database answers, for an IPv6 address that of the
/// first address in its /64.
#[derive(Debug)]
pub struct GeoCache {
    source: Arc<GeoSource>,
    generation: u64,
    databases: GeoDatabases,
    known: Recent<IpAddr, Geo>,
}

impl GeoCache {
    /// Makes an empty cache before `source`.
    pub fn new(source: Arc<GeoSource>) -> Self {
        let (generation, databases) = source.current();
        GeoCache { source, generation, databases, known: Recent::new(MAX_CACHED_ADDRESSES) }
    }

    /// Takes up the databases that the source holds now; called between chunks. Costs a few ns when they are the same.
    pub fn refresh(&mut self) {
        if self.source.generation() != self.generation {
            (self.generation, self.databases) = self.source.current();
            self.known.clear();
        }
    }

    /// Returns the version of a database in use; `None` without one.
    pub fn version(&self, kind: GeoKind) -> Option<&Arc<str>> {
        self.databases.get(kind).map(|database| database.version())
    }

    /// Returns whether there is no database.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Returns what is known of `ip`; `None` without a database.
    pub fn geo(&mut self, ip: IpAddr) -> Option<&Geo> {
        if self.databases.is_empty() {
            return None;
        }
        let ip = looked_up(ip);
        Some(self.known.get(hash(ip), |known| *known == ip, || (ip, self.databases.lookup(ip))))
    }

    /// Returns how many answers are remembered.
    pub fn cached(&self) -> usize {
        self.known.len()
    }
}

/// Returns the address that is looked up in place of `ip`.
fn looked_up(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - IPV6_PREFIX_BITS)))),
        },
    }
}

fn hash(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(v4) => xxh3_64(&v4.octets()),
        IpAddr::V6(v6) => xxh3_64(&v6.octets()),
    }
}
