//! The geo databases in use, shared by all workers and replaced while they run.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Geo, GeoDatabase};

/// What a database is asked for. Vendors sell both in one file or, as MaxMind, in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoKind {
    /// Where an address is; and whose network it belongs to, where the database has it.
    Place,
    /// What the first database does not say: as a rule the network.
    Network,
}

impl GeoKind {
    /// Every kind, in the order in which they are asked.
    pub const ALL: [GeoKind; 2] = [GeoKind::Place, GeoKind::Network];
}

/// The databases in use at one time, by the place of their kind in [`GeoKind::ALL`].
#[derive(Debug, Clone, Default)]
pub struct GeoDatabases([Option<Arc<GeoDatabase>>; GeoKind::ALL.len()]);

impl GeoDatabases {
    /// Returns the database of a kind.
    pub fn get(&self, kind: GeoKind) -> Option<&Arc<GeoDatabase>> {
        self.0[kind as usize].as_ref()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Returns what they hold about `ip`: each field from the first that has it.
    pub fn lookup(&self, ip: IpAddr) -> Geo {
        let found = self.0.iter().flatten().map(|database| database.lookup(ip));
        found.reduce(Geo::or).unwrap_or_default()
    }
}

/// Holds the databases in use. Each replacement starts a new generation.
#[derive(Debug, Default)]
pub struct GeoSource {
    current: RwLock<GeoDatabases>,
    /// Changes only while `current` is locked for writing; 0 before the first replacement.
    generation: AtomicU64,
}

impl GeoSource {
    /// Puts `database` in the place of the former one, which goes when the last worker has let go of it.
    pub fn replace(&self, kind: GeoKind, database: Arc<GeoDatabase>) {
        // A lock is poisoned by a panic inside of it; the database is put there whole or not at all.
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.0[kind as usize] = Some(database);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns the generation, to tell cheaply whether [`GeoSource::current`] has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the databases in use and their generation.
    pub fn current(&self) -> (u64, GeoDatabases) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (self.generation(), current.clone())
    }
}
