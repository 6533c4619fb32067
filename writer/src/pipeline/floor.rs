//! Where the workers meet: everything that they share, and what one of them does with a piece of work.
//!
//! Locks are taken in the order judge, batcher, queue, and never across a decode, an encode or a
//! copy, but for the few rows of late events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icefold_core::{Error, Result, ShardId};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::batch::Batcher;
use super::encoding::{Ratio, SealedBatch};
use super::epoch::Epoch;
use super::judge::{Decoded, Judge};
use super::queue::{Job, WorkQueue};
use super::resume::Place;
use super::stages::{Stage, Stages};
use super::workers::Rest;
use super::{Decode, route};
use crate::chunk::Chunk;
use crate::enrich::{Enricher, Enrichment};
use crate::fold::{Folds, ForeignRow, Keys};
use crate::metrics::IngestProgress;
use crate::settings::Settings;

/// Shared by the workers, the feeds and the run itself.
pub(super) struct Floor {
    pub(super) queue: Arc<WorkQueue>,
    judge: Mutex<Judge>,
    batcher: Mutex<Batcher>,
    enrichment: Enrichment,
    stages: Stages,
    ratio: Arc<Ratio>,
    /// One for each chunk that may still be taken from a source.
    pub(super) permits: Semaphore,
    /// Something happened that the run waits for.
    pub(super) changed: Notify,
    failure: Mutex<Option<Error>>,
    progress: watch::Sender<IngestProgress>,
}

impl Floor {
    pub(super) fn new(
        settings: &Settings,
        judge: Judge,
        epoch: Arc<Epoch>,
        enrichment: Enrichment,
        progress: watch::Sender<IngestProgress>,
        done: UnboundedSender<SealedBatch>,
    ) -> Self {
        let (queue, ratio) = (Arc::new(WorkQueue::new(epoch.clone())), Arc::new(Ratio::default()));
        Floor {
            batcher: Mutex::new(Batcher::new(settings, ratio.clone(), queue.clone(), epoch, done)),
            queue,
            judge: Mutex::new(judge),
            enrichment,
            stages: Stages::default(),
            ratio,
            permits: Semaphore::new(settings.max_chunks_in_flight()),
            changed: Notify::new(),
            failure: Mutex::new(None),
            progress,
        }
    }

    /// Works until the queue is closed.
    pub(super) async fn work(&self, mut decoder: Box<dyn Decode>, rest: Option<&Rest>) {
        let mut enricher = self.enrichment.enricher();
        while let Some(job) = self.queue.take().await {
            for _ in 0..rest.map_or(0, |turns| turns()) {
                tokio::task::yield_now().await;
            }
            if let Err(error) = self.perform(job, decoder.as_mut(), &mut enricher) {
                self.fail(error);
            }
        }
    }

    fn perform(&self, job: Job, decoder: &mut dyn Decode, enricher: &mut Enricher) -> Result<()> {
        match job {
            Job::Encode(row_group) => self.stages.time(Stage::Encode, || row_group.run(&self.ratio)),
            Job::Decode { ticket, chunk, epoch } => {
                let decoded = self.decode(ticket, &chunk, epoch, decoder, enricher);
                if self.queue.decoded() {
                    self.settle();
                }
                self.changed.notify_one();
                decoded
            }
        }
    }

    fn decode(
        &self,
        ticket: u64,
        chunk: &Chunk,
        epoch: Arc<Epoch>,
        decoder: &mut dyn Decode,
        enricher: &mut Enricher,
    ) -> Result<()> {
        let stages = &self.stages;
        decoder.set_contracts(epoch.contracts.as_ref())?;
        let rows = stages.time(Stage::Decode, || decoder.decode(chunk))?;
        let read_rows = rows.raw.num_rows() as u64;
        let decoded = stages.time(Stage::Enrich, || {
            let keys = Keys::of(&rows.events)?;
            Ok::<_, Error>(Decoded { place: Place::of(chunk), enriched: enricher.enrich(rows)?, keys, epoch })
        })?;
        let (judged, state) = stages.time(Stage::Fold, || {
            let mut judge = lock(&self.judge);
            Ok::<_, Error>((judge.submit(ticket, decoded)?, judge.state()))
        })?;
        for (ticket, judged) in judged {
            let routed = stages.time(Stage::Route, || route::route(judged, self.enrichment.reference().as_deref()))?;
            let batcher = || lock(&self.batcher).submit(ticket, routed, Instant::now());
            self.permits.add_permits(stages.time(Stage::Buffer, batcher)?);
        }
        self.progress.send_modify(|progress| {
            progress.read_bytes += chunk.bytes.len() as u64;
            progress.read_rows += read_rows;
            progress.state = state;
            progress.unavailable_enrichments = self.enrichment.unavailable();
        });
        Ok(())
    }

    /// Returns the earliest `stream_time`, in microseconds since 1970, that counts for any shard.
    pub(super) fn horizon_micros(&self) -> i64 {
        lock(&self.judge).horizon_micros()
    }

    /// Takes note of rows that others have put into `events`.
    pub(super) fn learn(&self, rows: &[ForeignRow]) {
        let learned = lock(&self.judge).learn(rows);
        self.note(learned);
    }

    /// Brings everything that was decoded into the tables, and stops the decoding until [`Floor::go_on`].
    pub(super) fn flush(&self) {
        let flushed = lock(&self.batcher).flush(Instant::now());
        self.note(flushed);
    }

    /// Returns whether all that was decoded is in the tables and nothing is decoded.
    pub(super) fn is_flushed(&self) -> bool {
        lock(&self.batcher).is_flushed()
    }

    /// Lets the decoding go on.
    pub(super) fn go_on(&self) {
        let went_on = lock(&self.batcher).go_on(Instant::now());
        self.note(went_on);
    }

    /// Returns the shards that something is remembered of.
    pub(super) fn shards(&self) -> Vec<ShardId> {
        lock(&self.judge).shards()
    }

    /// Takes over sessions and identities that were made anew.
    pub(super) fn replace(&self, refolded: Folds) {
        lock(&self.judge).replace(refolded);
    }

    /// Says that no source has another chunk.
    pub(super) fn sources_ended(&self) {
        let ended = lock(&self.batcher).end(self.queue.tickets(), Instant::now());
        self.note(ended);
        self.changed.notify_one();
    }

    /// Says that the batch on its way has landed.
    pub(super) fn landed(&self) {
        match lock(&self.batcher).landed(Instant::now()) {
            Ok(turns) => self.permits.add_permits(turns),
            Err(error) => self.fail(error),
        }
    }

    /// Closes the open batch if it is time.
    pub(super) fn settle(&self) {
        let settled = lock(&self.batcher).settle(Instant::now());
        self.note(settled);
    }

    /// Returns when [`Floor::settle`] has to be called at the latest.
    pub(super) fn due_at(&self) -> Option<Instant> {
        lock(&self.batcher).due_at()
    }

    pub(super) fn is_finished(&self) -> bool {
        lock(&self.batcher).is_finished()
    }

    /// Returns the nanoseconds that the threads spent in each stage so far.
    pub(super) fn stage_nanos(&self) -> BTreeMap<&'static str, u64> {
        self.stages.nanos()
    }

    /// Stops the work; the first error counts.
    pub(super) fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.stop();
    }

    fn note(&self, result: Result<()>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    /// Lets the threads and the feeds go.
    pub(super) fn stop(&self) {
        self.queue.close();
        self.permits.close();
        self.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // After a panic the run fails anyway; the data behind the lock is only dropped.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
