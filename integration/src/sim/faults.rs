//! Storage and pointers that fail, from a seed.
//!
//! Each process of the simulation has its own [`Faults`], so that it can die alone: after its death nothing it started
//! is answered, and what it had sent may still land.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use icefold_catalog::pointer::memory::MemoryPointers;
use icefold_catalog::{Pointer, PointerStore, SwapError, TableName};
use icefold_core::{Error, ErrorKind, Ids};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use uuid::Uuid;

/// Longest pause of a slow answer, in turns of the scheduler.
const SLOWEST_TURNS: u32 = 60;

/// How likely each fault is, in percent of operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Answers that take long.
    pub slow: u32,
    /// Storage requests that are refused, and as many that are applied but never answered.
    pub storage: u32,
    /// Pointer requests that are refused before anything happened.
    pub refused: u32,
    /// Pointer requests that are applied but never answered.
    pub lost_reply: u32,
    /// Pointer swaps that are neither applied nor refused now, but land later if they still can.
    pub late: u32,
    /// Deaths of the process, in tenths of a percent.
    pub crash_permille: u32,
}

/// Faults of one process.
#[derive(Debug)]
pub struct Faults {
    rng: Mutex<SmallRng>,
    rates: Rates,
    dead: watch::Sender<bool>,
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Refused,
    LostReply,
    Late,
}

impl Faults {
    /// Makes the faults of one process.
    pub fn new(seed: u64, rates: Rates) -> Arc<Self> {
        let rng = Mutex::new(SmallRng::seed_from_u64(seed));
        Arc::new(Faults { rng, rates, dead: watch::channel(false).0 })
    }

    fn draw<T>(&self, f: impl FnOnce(&mut SmallRng) -> T) -> T {
        f(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the process dies.
    pub async fn death(&self) {
        let mut dead = self.dead.subscribe();
        // The sender lives in self, so waiting can only end by death.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// Passes time, may kill the process, and tells what happens to a storage request.
    async fn storage_fate(&self) -> Fate {
        let n = self.roll().await;
        match n {
            n if n < self.rates.storage => Fate::Refused,
            n if n < 2 * self.rates.storage => Fate::LostReply,
            _ => Fate::Fine,
        }
    }

    /// Passes time, may kill the process, and tells what happens to a pointer request.
    async fn pointer_fate(&self) -> Fate {
        let r = &self.rates;
        match self.roll().await {
            n if n < r.refused => Fate::Refused,
            n if n < r.refused + r.lost_reply => Fate::LostReply,
            n if n < r.refused + r.lost_reply + r.late => Fate::Late,
            _ => Fate::Fine,
        }
    }

    /// Passes time, may kill the process, and rolls a hundred-sided die.
    async fn roll(&self) -> u32 {
        let (pause, crash, roll) = self.draw(|rng| {
            let slow = rng.random_range(0..100) < self.rates.slow;
            let pause = if slow { rng.random_range(1..=SLOWEST_TURNS) } else { rng.random_range(0..=2) };
            (pause, rng.random_range(0..1000) < self.rates.crash_permille, rng.random_range(0..100))
        });
        turns(pause).await;
        if crash {
            self.die().await;
        }
        roll
    }

    /// Between an operation and its answer the process may die too.
    async fn answer(&self) {
        if self.draw(|rng| rng.random_range(0..1000)) < self.rates.crash_permille {
            self.die().await;
        }
    }

    async fn die(&self) {
        self.dead.send_replace(true);
        std::future::pending::<()>().await;
    }
}

impl Ids for Faults {
    fn next(&self) -> Uuid {
        self.draw(|rng| uuid::Builder::from_random_bytes(rng.random()).into_uuid())
    }
}

/// Lets every other process take its turn, several times: the simulation's time.
pub async fn turns(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// An object store as one process sees it.
#[derive(Debug)]
pub struct FaultyStore {
    /// What is really stored.
    pub inner: Arc<dyn ObjectStore>,
    /// The process's faults.
    pub faults: Arc<Faults>,
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty store")
    }
}

fn unavailable() -> object_store::Error {
    object_store::Error::Generic { store: "simulation", source: "503 slow down".into() }
}

impl FaultyStore {
    async fn passes(&self) -> object_store::Result<bool> {
        match self.faults.storage_fate().await {
            Fate::Fine | Fate::Late => Ok(true),
            Fate::LostReply => Ok(false),
            Fate::Refused => Err(unavailable()),
        }
    }

    async fn reply<T>(&self, answered: bool, result: object_store::Result<T>) -> object_store::Result<T> {
        self.faults.answer().await;
        if answered { result } else { Err(unavailable()) }
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let answered = self.passes().await?;
        let result = self.inner.put_opts(at, payload, options).await;
        self.reply(answered, result).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let answered = self.passes().await?;
        let result = self.inner.get_opts(at, options).await;
        self.reply(answered, result).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The catalog service that all processes share: real pointers, swaps that are still on their way, and every version
/// that a pointer ever had, in order.
#[derive(Debug, Default)]
pub struct Service {
    pointers: MemoryPointers,
    on_their_way: Mutex<Vec<(TableName, Pointer, String)>>,
    versions: Mutex<Vec<(TableName, String)>>,
    blind: bool,
}

impl Service {
    /// Starts a service without tables; a `blind` one (a mutation) does not compare when it swaps.
    pub fn new(blind: bool) -> Self {
        Service { blind, ..Service::default() }
    }

    /// Returns every version that a pointer had so far, in order.
    pub fn versions(&self) -> Vec<(TableName, String)> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn apply(&self, table: &TableName, expected: &Pointer, new: &str) -> Result<(), SwapError> {
        let current = self.pointers.load(table).await.ok().flatten();
        let expected = if self.blind { current.unwrap_or_else(|| expected.clone()) } else { expected.clone() };
        self.pointers.swap(table, &expected, new).await?;
        self.record(table, new);
        Ok(())
    }

    fn record(&self, table: &TableName, new: &str) {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).push((table.clone(), new.to_owned()));
    }

    /// Lets the oldest swap that is still on its way arrive.
    async fn land_one(&self) {
        let next = {
            let mut waiting = self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.is_empty() { None } else { Some(waiting.remove(0)) }
        };
        if let Some((table, expected, new)) = next {
            // Nobody waits for the answer any more.
            let _ = self.apply(&table, &expected, &new).await;
        }
    }
}

/// The catalog service as one process sees it.
#[derive(Debug)]
pub struct FaultyPointers {
    /// The service.
    pub service: Arc<Service>,
    /// The process's faults.
    pub faults: Arc<Faults>,
}

fn lost() -> Error {
    Error::new(ErrorKind::Transient, "connection reset")
}

impl FaultyPointers {
    async fn arrive(&self) -> Fate {
        let fate = self.faults.pointer_fate().await;
        if self.faults.draw(|rng| rng.random_bool(0.3)) {
            self.service.land_one().await;
        }
        fate
    }
}

#[async_trait]
impl PointerStore for FaultyPointers {
    async fn load(&self, table: &TableName) -> icefold_core::Result<Option<Pointer>> {
        match self.arrive().await {
            Fate::Refused | Fate::LostReply => Err(lost()),
            Fate::Fine | Fate::Late => self.service.pointers.load(table).await,
        }
    }

    async fn list(&self, namespace: &str) -> icefold_core::Result<Vec<String>> {
        self.service.pointers.list(namespace).await
    }

    async fn create(&self, table: &TableName, metadata_location: &str) -> Result<(), SwapError> {
        let fate = self.arrive().await;
        if fate == Fate::Refused {
            return Err(SwapError::Transient(lost()));
        }
        let created = self.service.pointers.create(table, metadata_location).await;
        if created.is_ok() {
            self.service.record(table, metadata_location);
        }
        self.faults.answer().await;
        if fate == Fate::LostReply { Err(SwapError::Unknown(lost())) } else { created }
    }

    async fn swap(&self, table: &TableName, expected: &Pointer, new: &str) -> Result<(), SwapError> {
        match self.arrive().await {
            Fate::Refused => Err(SwapError::Transient(lost())),
            Fate::Late => {
                let swap = (table.clone(), expected.clone(), new.to_owned());
                self.service.on_their_way.lock().unwrap_or_else(PoisonError::into_inner).push(swap);
                Err(SwapError::Unknown(lost()))
            }
            fate => {
                let applied = self.service.apply(table, expected, new).await;
                self.faults.answer().await;
                if fate == Fate::LostReply { Err(SwapError::Unknown(lost())) } else { applied }
            }
        }
    }

    async fn drop_table(&self, table: &TableName, expected: &Pointer) -> Result<(), SwapError> {
        self.service.pointers.drop_table(table, expected).await
    }
}
