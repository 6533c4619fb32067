//! The row groups of one batch, while and after they are encoded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use icefold_core::{Counts, Result, ShardId, ShardPosition};
use tokio::sync::mpsc::UnboundedSender;

use super::epoch::Epoch;
use super::resume::TABLES;
use crate::encode::{EncodedRowGroup, TableEncoder};
use crate::enrich::versions::Versions;

/// One encoder for each table, in the order of `TableKind::ALL`.
pub(crate) type Encoders = [Arc<TableEncoder>; TABLES];

/// A table, by its place in `TableKind::ALL`, and a day since 1970.
pub(crate) type Partition = (usize, i32);

/// Rows that become one row group.
#[derive(Debug)]
pub(super) struct RowGroupJob {
    pub(super) batch: Arc<Encoding>,
    pub(super) partition: Partition,
    /// Place of the row group in its file.
    pub(super) ordinal: usize,
    pub(super) rows: Vec<RecordBatch>,
    pub(super) memory_bytes: u64,
}

/// A closed batch whose row groups are all encoded: ready to be published.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    /// Row groups of each file, in order.
    pub(crate) files: BTreeMap<Partition, Vec<EncodedRowGroup>>,
    /// What the batch says about the stream.
    pub(crate) summary: BatchSummary,
    /// What its rows were decided and encoded by.
    pub(crate) epoch: Arc<Epoch>,
}

/// Which part of the stream a batch holds, and what became of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchSummary {
    /// Where each shard ends.
    pub(crate) ends: BTreeMap<ShardId, ShardPosition>,
    /// What became of the rows.
    pub(crate) counts: Counts,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) newest_arrival_micros: Option<i64>,
    /// Versions of what the rows were enriched with.
    pub(crate) versions: Versions,
}

/// Row groups of a batch: asked for, done, and where to send them when all are done.
#[derive(Debug)]
pub(super) struct Encoding {
    epoch: Arc<Epoch>,
    state: Mutex<State>,
    /// Bytes that the finished row groups take in their files.
    encoded_bytes: AtomicU64,
    /// Memory of the rows that were asked for and are not finished.
    pending_bytes: AtomicU64,
    done: UnboundedSender<SealedBatch>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<Partition, Vec<Option<EncodedRowGroup>>>,
    pending: usize,
    sealed: Option<BatchSummary>,
}

/// How many bytes a byte of rows in memory becomes, over the whole run.
#[derive(Debug, Default)]
pub(super) struct Ratio {
    memory_bytes: AtomicU64,
    encoded_bytes: AtomicU64,
}

impl Ratio {
    /// Before the first row group: JSON events become about a fifth.
    const FIRST_GUESS: f64 = 0.2;

    pub(super) fn estimate(&self, memory_bytes: u64) -> u64 {
        let memory = self.memory_bytes.load(Ordering::Relaxed);
        let ratio = match memory {
            0 => Self::FIRST_GUESS,
            _ => self.encoded_bytes.load(Ordering::Relaxed) as f64 / memory as f64,
        };
        (memory_bytes as f64 * ratio) as u64
    }

    fn learn(&self, memory_bytes: u64, encoded_bytes: u64) {
        self.memory_bytes.fetch_add(memory_bytes, Ordering::Relaxed);
        self.encoded_bytes.fetch_add(encoded_bytes, Ordering::Relaxed);
    }
}

impl Encoding {
    pub(super) fn new(epoch: Arc<Epoch>, done: UnboundedSender<SealedBatch>) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Encoding { epoch, state, encoded_bytes: 0.into(), pending_bytes: 0.into(), done })
    }

    /// Makes the job for the next row group of a partition.
    pub(super) fn job(
        self: &Arc<Self>,
        partition: Partition,
        rows: Vec<RecordBatch>,
        memory_bytes: u64,
    ) -> RowGroupJob {
        self.pending_bytes.fetch_add(memory_bytes, Ordering::Relaxed);
        let mut state = self.lock();
        state.pending += 1;
        let row_groups = state.files.entry(partition).or_default();
        row_groups.push(None);
        RowGroupJob { batch: self.clone(), partition, ordinal: row_groups.len() - 1, rows, memory_bytes }
    }

    /// Returns the bytes of the finished row groups, and the memory of the rows of those that are not.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.encoded_bytes.load(Ordering::Relaxed), self.pending_bytes.load(Ordering::Relaxed))
    }

    /// Says that no further job will be made.
    pub(super) fn seal(&self, summary: BatchSummary) {
        let mut state = self.lock();
        state.sealed = Some(summary);
        self.hand_over_if_done(&mut state);
    }

    fn finish(&self, partition: Partition, ordinal: usize, memory_bytes: u64, encoded: EncodedRowGroup) {
        self.encoded_bytes.fetch_add(encoded.encoded_bytes(), Ordering::Relaxed);
        self.pending_bytes.fetch_sub(memory_bytes, Ordering::Relaxed);
        let mut state = self.lock();
        if let Some(slot) = state.files.get_mut(&partition).and_then(|groups| groups.get_mut(ordinal)) {
            *slot = Some(encoded);
        }
        state.pending -= 1;
        self.hand_over_if_done(&mut state);
    }

    fn hand_over_if_done(&self, state: &mut State) {
        if state.pending > 0 {
            return;
        }
        if let Some(summary) = state.sealed.take() {
            let files = std::mem::take(&mut state.files);
            let files =
                files.into_iter().map(|(partition, groups)| (partition, groups.into_iter().flatten().collect()));
            // Nobody listens any more only when the run has failed.
            let epoch = self.epoch.clone();
            let _ = self.done.send(SealedBatch { files: files.collect(), summary, epoch });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowGroupJob {
    /// Encodes the rows and gives them to their batch.
    ///
    /// # Errors
    /// Those of [`TableEncoder::encode`].
    pub(super) fn run(self, ratio: &Ratio) -> Result<()> {
        let encoded = self.batch.epoch.encoders[self.partition.0].encode(self.rows)?;
        ratio.learn(self.memory_bytes, encoded.encoded_bytes());
        self.batch.finish(self.partition, self.ordinal, self.memory_bytes, encoded);
        Ok(())
    }
}
