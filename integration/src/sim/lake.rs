//! What the processes of a simulation share: objects, pointers, and how likely each fault is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use icefold_catalog::{Settings, Store, Warehouse};
use icefold_core::Clock;

use super::faults::{Faults, FaultyPointers, FaultyStore, Rates, Service};
use super::mutation::Mutation;

/// Milliseconds since 1970 when every simulation begins.
const BEGINNING_MS: i64 = 1_700_000_000_000;
/// How far each process's clock is behind that of the one before.
const SKEW_MS: i64 = 90_000;

/// Every process has its own clock, some of them minutes behind; a clock moves each time somebody looks.
#[derive(Debug)]
struct SkewedClock(AtomicI64);

impl Clock for SkewedClock {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(7, Ordering::Relaxed)
    }
}

/// A store and a catalog service.
pub struct Lake {
    pub(super) seed: u64,
    mutation: Option<Mutation>,
    rates: Rates,
    store: Store,
    pub(super) service: Arc<Service>,
    settings: Settings,
}

impl Lake {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, rates: Rates, settings: Settings) -> Self {
        let service = Arc::new(Service::new(mutation == Some(Mutation::BlindPointerSwap)));
        Lake { seed, mutation, rates, store: Store::in_memory(), service, settings }
    }

    /// The warehouse as a process sees it that is started for the `life`-th time.
    pub(super) fn process(&self, process: u64, life: u32) -> (Warehouse, Arc<Faults>) {
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (process << 32) ^ u64::from(life);
        let faults = Faults::new(seed, self.rates);
        let store = self.store.wrapped(|inner| Arc::new(FaultyStore { inner, faults: faults.clone() }));
        let pointers = Arc::new(FaultyPointers { service: self.service.clone(), faults: faults.clone() });
        let warehouse = self.assemble(store, pointers, process);
        (warehouse.with_components(faults.clone(), Mutation::resolver(self.mutation)), faults)
    }

    /// The warehouse without faults, for the oracle.
    pub(super) fn truth(&self) -> Warehouse {
        let pointers = FaultyPointers { service: self.service.clone(), faults: Faults::new(0, Rates::default()) };
        self.assemble(self.store.clone(), Arc::new(pointers), 0)
    }

    fn assemble(&self, store: Store, pointers: Arc<FaultyPointers>, process: u64) -> Warehouse {
        let clock = Arc::new(SkewedClock(AtomicI64::new(BEGINNING_MS - (process as i64) * SKEW_MS)));
        Warehouse::from_parts(store, "memory:///w".into(), pointers, self.settings.clone(), clock)
    }
}
