//! The geo database in use, shared by all workers and replaced while they run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::GeoDatabase;

/// Holds the database in use, or none. Each replacement starts a new generation.
#[derive(Debug, Default)]
pub struct GeoSource {
    current: RwLock<Option<Arc<GeoDatabase>>>,
    /// Changes only while `current` is locked for writing; 0 before the first replacement.
    generation: AtomicU64,
}

impl GeoSource {
    /// Makes a source that holds `database`, or none: then every address is unknown.
    pub fn new(database: Option<Arc<GeoDatabase>>) -> Self {
        GeoSource { current: RwLock::new(database), generation: AtomicU64::new(0) }
    }

    /// Puts `database` in the place of the former one, which goes when the last worker has let go of it.
    pub fn replace(&self, database: Arc<GeoDatabase>) {
        // A lock is poisoned by a panic inside of it; the database is put there whole or not at all.
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(database);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns the generation, to tell cheaply whether [`GeoSource::current`] has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the database in use and its generation.
    pub fn current(&self) -> (u64, Option<Arc<GeoDatabase>>) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (self.generation(), current.clone())
    }
}
