//! A run of the writer: from sources to committed snapshots of all tables.
//!
//! ```text
//!  Source ─▶ [feed] ─▶ [queue] ─▶ worker: decode, ─▶ [judge] ─▶ worker: [route] ─▶ [batch] ─▶ worker: [encoding] ─▶ publish
//!            permits    tickets            enrich   in order                      in order     row groups        one batch
//! ```
//!
//! Chunks get a ticket when they are read. Threads decode and enrich them in any order; `judge` and `batch` put them back
//! into the order of the tickets, so that events are folded in stream order and every batch holds one stretch of it. Nobody
//! waits for a turn: who comes early leaves the chunk there, and whoever brings the missing one does the work.
//!
//! | limit | setting |
//! |---|---|
//! | chunks between source and buffers | `chunks_in_flight_per_core` |
//! | rows that wait to be encoded | `max_buffer_bytes` |
//! | encoded bytes of a batch | `commit_bytes` |
//! | batches | one open, one on its way |
//! | remembered message ids | `dedup_max_ids` |
//! | sessions that may grow | `sessions.max_open` |
//! | devices whose person is known | `identity_max_devices` |
//!
//! When a run begins, all tables stand at the same place of each of its shards: what an earlier run had begun is rolled forward
//! first (`publish/forward.rs`), so that one decision makes the rows of all tables (W3). Kept here: W1 by the checks of
//! continuity, W2 by `route`, K3 by `Checkpoint::advance`.

mod batch;
mod encoding;
mod epoch;
mod feed;
mod floor;
mod judge;
mod order;
mod parents;
mod queue;
mod recover;
mod resume;
mod route;
mod run;
mod stages;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icefold_catalog::{LoadedTable, Progress, Retired, SchemaChange, Settled, TableDefinition, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Checkpoint, Error, Offset, Result, ShardId, ShardPosition};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use crate::chunk::{Chunk, DecodedChunk};
use crate::contracts::Active;
use crate::decode::Decoder;
use crate::encode::TableEncoder;
use crate::enrich::Enrichment;
use crate::failpoint::FailPoints;
use crate::fold::{self, Folds, Forgets, Stand, retired};
use crate::metrics::{IngestProgress, IngestReport};
use crate::publish::forward::{self, Blocked, Level};
use crate::publish::{Destination, Publisher, TableState};
use crate::settings::Settings;
use crate::source::Source;

pub(crate) use encoding::{BatchSummary, SealedBatch};
pub(crate) use epoch::Epoch;
use feed::Feeds;
use floor::Floor;
use judge::Judge;
use parents::{Declared, Parents};
use recover::Recovers;
pub use recover::{Evidence, Recovered, Recovery};
pub(crate) use resume::{TABLES, index_of};
use run::{Run, SHORTEST_LOOK};
use workers::Workers;

pub use workers::{Crew, Rest};

/// Turns chunks into rows; each worker thread has its own.
pub trait Decode: Send {
    /// Decodes a chunk. What is malformed becomes a row of `quarantine`, not an error.
    ///
    /// # Errors
    /// Only what no record can cause.
    fn decode(&mut self, chunk: &Chunk) -> Result<DecodedChunk>;

    /// Says which data contracts decide about the chunks from now on.
    ///
    /// # Errors
    /// Only what no record can cause.
    fn set_contracts(&mut self, contracts: Option<&Arc<Active>>) -> Result<()> {
        let _ = contracts;
        Ok(())
    }
}

impl<F: FnMut(&Chunk) -> Result<DecodedChunk> + Send> Decode for F {
    fn decode(&mut self, chunk: &Chunk) -> Result<DecodedChunk> {
        self(chunk)
    }
}

impl Decode for Decoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<DecodedChunk> {
        Decoder::decode(self, chunk)
    }

    fn set_contracts(&mut self, contracts: Option<&Arc<Active>>) -> Result<()> {
        Decoder::set_contracts(self, contracts)
    }
}

type MakeDecoder = Arc<dyn Fn() -> Result<Box<dyn Decode>> + Send + Sync>;

/// A run of the writer, to be given its sources and a decoder.
///
/// ```text
/// let ingest = Ingest::open(&warehouse, settings).await?;
/// let source = open_source(.., ingest.position(&shard)).await?;
/// let report = ingest.source(source).decoder(|| Decoder::new(..)).run().await?;
/// ```
pub struct Ingest {
    settings: Settings,
    tables: [TableState; TABLES],
    /// Shards that are not level in all tables and cannot be brought there, and why.
    blocked: BTreeMap<ShardId, Blocked>,
    closes: Vec<BatchId>,
    /// Redrives that cannot be finished as they were decided.
    unsettled: usize,
    /// Objects with the ids of rows whose data files are gone.
    retired: Vec<Retired>,
    /// Snapshots whose ids this run was the first to look for.
    settled: Vec<Settled>,
    destination: Arc<dyn Destination>,
    sources: Vec<Box<dyn Source>>,
    continues: Declared,
    /// Set in a recovery.
    recovers: Option<Recovers>,
    make_decoder: Option<MakeDecoder>,
    contract: String,
    enrichment: Enrichment,
    warehouse: Warehouse,
    progress: watch::Sender<IngestProgress>,
    fail_points: FailPoints,
    crew: Crew,
    forgets: Option<Forgets>,
}

impl Ingest {
    /// Loads the tables, creating those that are missing, and rolls forward what an earlier run has begun.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) for wrong settings and for tables that
    /// another program has changed beyond use; [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a table stands where
    /// no run brings it; errors of store and catalog.
    pub async fn open(warehouse: &Warehouse, settings: Settings) -> Result<Self> {
        settings.validate()?;
        let ingest = Self::over(warehouse, settings).await?;
        let unsettled = ingest.unsettled;
        if unsettled > 0 {
            tracing::warn!(unsettled, "redrives are not finished: run `icefold quarantine redrive`");
        }
        Ok(ingest)
    }

    /// Loads the tables and rolls forward.
    async fn over(warehouse: &Warehouse, settings: Settings) -> Result<Self> {
        for kind in TableKind::ALL {
            warehouse.create_table(&TableDefinition::built_in(kind)?).await?;
            // A table that an older version made gets the columns that have come since.
            warehouse.evolve(kind.name(), &SchemaChange::built_in(kind)).await?;
        }
        let Level { tables, blocked, closes, unsettled } = forward::roll_forward(warehouse).await?;
        let (events, progress) = &tables[index_of(TableKind::Events)];
        let settled = retired::settle(warehouse, events, progress, &settings).await?;
        let new = settled.iter().flat_map(|settled| &settled.objects);
        let retired = progress.retired.iter().chain(new).cloned().collect();
        let tables = states(tables, settings.compression_level)?;
        Ok(Ingest {
            warehouse: warehouse.clone(),
            settings,
            tables,
            blocked,
            closes,
            unsettled: unsettled.len(),
            retired,
            settled,
            destination: Arc::new(warehouse.clone()),
            sources: Vec::new(),
            continues: Declared::new(),
            recovers: None,
            make_decoder: None,
            contract: icefold_core::tables::BUILT_IN_CONTRACT.to_owned(),
            enrichment: Enrichment::default(),
            progress: watch::Sender::default(),
            fail_points: FailPoints::default(),
            crew: Crew::default(),
            forgets: None,
        })
    }

    /// Returns where a source of `shard` has to start. `None`: from the start.
    pub fn position(&self, shard: &ShardId) -> Option<ShardPosition> {
        self.tables[index_of(TableKind::RawEvents)].checkpoint.get(shard).cloned()
    }

    /// Adds a source, opened at its [`Ingest::position`]. Several are read at the same time.
    #[must_use]
    pub fn source(mut self, source: Box<dyn Source>) -> Self {
        self.sources.push(source);
        self
    }

    /// Says that a shard which has no position yet continues others: it begins with what was remembered of them. They are in
    /// the tables, or read to their end in this run before the shard's source hands over its first chunk. A shard that has
    /// begun keeps its parents; [`Ingest::run`] refuses others. An empty list says nothing.
    #[must_use]
    pub fn continues(mut self, shard: &ShardId, parents: &[ShardId]) -> Self {
        self.continues.insert(shard.clone(), parents.to_vec());
        self
    }

    /// Returns the `stream_time`, in microseconds since 1970, before which no record of a shard may lie: the latest one in the
    /// tables of the shards that it [continues](Ingest::continues). A source is opened with it. Where a parent is
    /// read in the same run, the source has to start at that one's end.
    pub fn floor_micros(&self, shard: &ShardId) -> Option<i64> {
        let events = self.events_checkpoint();
        let mut times = Vec::new();
        let mut open: Vec<&ShardId> = self.continues.get(shard).into_iter().flatten().collect();
        let mut seen = BTreeSet::new();
        while let Some(parent) = open.pop().filter(|parent| seen.insert(*parent)) {
            match events.get(parent) {
                Some(position) => times.extend(position.stream_time_micros),
                None => open.extend(self.continues.get(parent).into_iter().flatten()),
            }
        }
        times.into_iter().max()
    }

    /// Sets how chunks are decoded; `make` is called once for each worker thread.
    #[must_use]
    pub fn decoder<D: Decode + 'static>(mut self, make: impl Fn() -> Result<D> + Send + Sync + 'static) -> Self {
        self.make_decoder = Some(Arc::new(move || Ok(Box::new(make()?))));
        self
    }

    /// Sets the contract and version that snapshot summaries name. Default: the built-in one.
    #[must_use]
    pub fn contract(mut self, contract: impl Into<String>) -> Self {
        self.contract = contract.into();
        self
    }

    /// Sets what events are enriched with beside sessions and identities. Default: nothing.
    #[must_use]
    pub fn enrichment(mut self, enrichment: Enrichment) -> Self {
        self.enrichment = enrichment;
        self
    }

    /// Sets where progress is told: after every chunk and every commit.
    #[must_use]
    pub fn progress(mut self, progress: watch::Sender<IngestProgress>) -> Self {
        self.progress = progress;
        self
    }

    /// Arms a fail point, for crash tests.
    #[must_use]
    pub fn fail_points(mut self, fail_points: FailPoints) -> Self {
        self.fail_points = fail_points;
        self
    }

    /// Sets who decodes and encodes. Default: threads.
    #[must_use]
    pub fn crew(mut self, crew: Crew) -> Self {
        self.crew = crew;
        self
    }

    /// Breaks the run on purpose.
    #[doc(hidden)]
    #[must_use]
    pub fn forgets(mut self, forgets: Option<Forgets>) -> Self {
        self.forgets = forgets;
        self
    }

    /// Puts something between the writer and the warehouse, for tests and simulation.
    #[must_use]
    pub fn destination(mut self, destination: Arc<dyn Destination>) -> Self {
        self.destination = destination;
        self
    }

    /// Reads the sources to their end and commits everything.
    ///
    /// When the future is dropped, reading and the threads stop; a commit that was on its way may be in or not, and the
    /// next run finds out.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](icefold_core::ErrorKind::Fenced) when another writer has moved a table. Errors of a source,
    /// after what it had handed over is committed. Errors of store and catalog that last longer than `retry_seconds`.
    /// In every case nothing is lost: the next run continues at the tables' checkpoints.
    pub async fn run(self) -> Result<IngestReport> {
        let starts = self.starts()?;
        let make_decoder = self.make_decoder.clone().ok_or_else(|| Error::bug("an ingest without a decoder"))?;
        let read = starts.keys().cloned().collect();
        let parents = Parents::of(&self.continues, &read, self.events_checkpoint())?;
        let awaited = parents.awaited();
        if let Some((shard, why)) = awaited.iter().find_map(|shard| Some((shard, self.blocked.get(shard)?))) {
            return Err(forward::blocked(shard, why));
        }
        let folds = self.folds(read.union(&awaited)).await?;
        let stands = |shard: &ShardId| (shard.clone(), self.events_checkpoint().next(shard));
        let elsewhere = awaited.difference(&read).map(stands).collect();

        let (done, sealed) = unbounded_channel();
        let level = self.settings.compression_level;
        let epoch = Arc::new(Epoch::first(&self.warehouse, &self.tables, self.recovers.as_ref(), level).await?);
        let targets = self.recovers.as_ref().map_or([true; TABLES], |recovers| recovers.targets);
        let judge = Judge::new(folds, starts, parents, elsewhere);
        let floor = Floor::new(&self.settings, judge, epoch.clone(), self.enrichment, self.progress.clone(), done);
        let floor = Arc::new(floor);
        let ids = self.warehouse.ids();
        let publisher =
            Publisher::new(self.destination, self.tables, self.contract, &self.settings, self.fail_points, ids);
        let mut publisher = publisher.crew(self.crew.clone()).closing(self.closes).into_tables(targets);
        publisher.settle(self.settled);
        let workers = Workers::start(&self.crew, self.settings.workers(), &floor, &make_decoder)?;
        let mut feeds = Feeds::start(self.sources, &floor);
        let mut run = Run {
            floor,
            publisher,
            sealed,
            progress: self.progress,
            report: IngestReport::default(),
            look_interval: self.settings.commit_interval().max(SHORTEST_LOOK),
            settings: self.settings,
            warehouse: self.warehouse,
            epoch,
            is_recovery: self.recovers.is_some(),
            is_stale: false,
        };
        let ended = run.conduct().await;
        feeds.stop().await;
        workers.join().await;
        ended?;
        match feeds.error() {
            Some(error) => Err(error),
            None => Ok(run.report()),
        }
    }

    /// Returns the state of the folds of these shards where the tables stand.
    async fn folds(&self, shards: impl Iterator<Item = &ShardId>) -> Result<Folds> {
        let mut folds = Folds::new(&self.settings)?.only_before(self.recovers.is_some());
        fold::rebuild(stand(&self.tables), Some(&self.retired), shards, &mut folds).await?;
        if let Some(what) = self.forgets {
            folds.lose(what);
        }
        Ok(folds)
    }

    fn events_checkpoint(&self) -> &Checkpoint {
        &self.tables[index_of(TableKind::Events)].checkpoint
    }

    /// Returns where each shard of the run goes on.
    fn starts(&self) -> Result<BTreeMap<ShardId, Offset>> {
        let mut starts = BTreeMap::new();
        let raw = &self.tables[index_of(TableKind::RawEvents)].checkpoint;
        for source in &self.sources {
            let shard = source.shard();
            if let Some(why) = self.blocked.get(shard) {
                return Err(forward::blocked(shard, why));
            }
            if starts.insert(shard.clone(), raw.next(shard)).is_some() {
                return Err(Error::invalid(format!("source `{shard}` is given twice: name it once")));
            }
        }
        Ok(starts)
    }
}

/// What the folds are rebuilt from.
fn stand(tables: &[TableState; TABLES]) -> Stand<'_> {
    let [events, identities] = [TableKind::Events, TableKind::Identities].map(|kind| &tables[index_of(kind)]);
    Stand { events: &events.table, identities: &identities.table, checkpoint: &events.checkpoint }
}

/// Makes the encoders of the tables as they are.
fn states(tables: [(LoadedTable, Progress); TABLES], compression_level: i32) -> Result<[TableState; TABLES]> {
    let state = |(kind, (table, progress)): (TableKind, (LoadedTable, Progress))| {
        let encoder = Arc::new(TableEncoder::for_table(kind, table.metadata(), compression_level)?);
        Ok(TableState { kind, table, checkpoint: progress.checkpoint, encoder })
    };
    let states: Result<Vec<TableState>> = TableKind::ALL.into_iter().zip(tables).map(state).collect();
    states?.try_into().map_err(|_| Error::bug("a table is missing"))
}
