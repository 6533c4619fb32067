//! What the processes of a simulation share: objects, pointers, and how likely each fault is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use icefold_catalog::{Pointer, PointerStore, Settings, Store, SwapError, TableName, Warehouse, lineage};
use icefold_core::Clock;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::faults::{Faults, FaultyPointers, FaultyStore, Rates, Service};
use super::mutation::Mutation;
use super::strangers::Acts;

/// Milliseconds since 1970 when every simulation begins.
const BEGINNING_MS: i64 = 1_700_000_000_000;
/// How far a clock may be off, fast or slow: not at all, minutes, hours. Which it is changes with each life of a process.
const SKEW_MS: [i64; 4] = [1, 90_000, 1_800_000, 5 * 3_600_000];

/// Every process has its own clock, which moves each time somebody looks.
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
    pub(super) mutation: Option<Mutation>,
    rates: Rates,
    store: Store,
    pub(super) service: Arc<Service>,
    settings: Settings,
    /// What was done by others than the writers.
    pub(super) acts: Acts,
}

impl Lake {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, rates: Rates, settings: Settings) -> Self {
        let service = Arc::new(Service::new(mutation == Some(Mutation::BlindPointerSwap)));
        Lake { seed, mutation, rates, store: Store::in_memory(), service, settings, acts: Acts::default() }
    }

    /// The warehouse as a process sees it that is started for the `life`-th time.
    pub(super) fn process(&self, process: u64, life: u32) -> (Warehouse, Arc<Faults>) {
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (process << 32) ^ u64::from(life);
        self.with_faults(Faults::new(seed, self.rates), skewed(seed))
    }

    /// The same without faults, for those who are no process of ours.
    pub(super) fn calm(&self, seed: u64) -> (Warehouse, Arc<Faults>) {
        let warehouse = self.with_faults(Faults::new(seed, Rates::default()), skewed(seed));
        (warehouse.0.with_decider(lineage::decide), warehouse.1)
    }

    fn with_faults(&self, faults: Arc<Faults>, now_ms: i64) -> (Warehouse, Arc<Faults>) {
        let store = self.store.wrapped(|inner| Arc::new(FaultyStore { inner, faults: faults.clone() }));
        let pointers = Arc::new(FaultyPointers { service: self.service.clone(), faults: faults.clone() });
        let warehouse = self.assemble(store, pointers, now_ms).with_decider(Mutation::decider(self.mutation));
        (warehouse.with_components(faults.clone(), Mutation::resolver(self.mutation)), faults)
    }

    /// The warehouse without faults, for the oracle.
    pub(super) fn truth(&self) -> Warehouse {
        let pointers = FaultyPointers { service: self.service.clone(), faults: Faults::new(0, Rates::default()) };
        self.assemble(self.store.clone(), Arc::new(pointers), BEGINNING_MS)
    }

    /// Swaps a pointer as another engine does.
    pub(super) async fn swap(&self, table: &TableName, expected: &Pointer, new: &str) -> Result<(), SwapError> {
        let pointers = FaultyPointers { service: self.service.clone(), faults: Faults::new(0, Rates::default()) };
        pointers.swap(table, expected, new).await
    }

    fn assemble(&self, store: Store, pointers: Arc<FaultyPointers>, now_ms: i64) -> Warehouse {
        let clock = Arc::new(SkewedClock(AtomicI64::new(now_ms)));
        Warehouse::from_parts(store, "memory:///w".into(), pointers, self.settings.clone(), clock)
    }
}

fn skewed(seed: u64) -> i64 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let most = SKEW_MS[rng.random_range(0..SKEW_MS.len())];
    BEGINNING_MS + rng.random_range(-most..=most)
}
