//! The part of a run that waits: for batches to publish, for what others change, for the end.

use std::sync::Arc;
use std::time::Duration;

use icefold_catalog::Warehouse;
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Result};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::encoding::{BatchSummary, SealedBatch};
use super::epoch::Epoch;
use super::floor::Floor;
use super::resume::index_of;
use super::stand;
use crate::fold::{self, retired};
use crate::metrics::{IngestProgress, IngestReport};
use crate::publish::{Published, Publisher};
use crate::settings::Settings;

/// Whether reading the tables again, as they are by then, may go well.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::NotFound | ErrorKind::OutcomeUnknown | ErrorKind::Conflict)
}

/// Shortest time between two looks at what others have changed, however often batches are committed.
pub(super) const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// The part of a run that waits: for batches, for time to pass, for the end.
pub(super) struct Run {
    pub(super) floor: Arc<Floor>,
    pub(super) publisher: Publisher,
    pub(super) sealed: UnboundedReceiver<SealedBatch>,
    pub(super) progress: watch::Sender<IngestProgress>,
    pub(super) report: IngestReport,
    pub(super) settings: Settings,
    pub(super) warehouse: Warehouse,
    pub(super) epoch: Arc<Epoch>,
    /// A recovery decides as was decided then, whatever others change meanwhile.
    pub(super) is_recovery: bool,
    /// Others have deleted rows that sessions and identities were made of.
    pub(super) is_stale: bool,
    /// How long others' changes may wait to be taken up when there is nothing to commit.
    pub(super) look_interval: Duration,
}

impl Run {
    #[expect(
        clippy::disallowed_methods,
        reason = "the look at a silent stream, a setting; the simulation's tokio has its own time"
    )]
    pub(super) async fn conduct(&mut self) -> Result<()> {
        let mut looked = tokio::time::Instant::now();
        loop {
            if let Some(error) = self.floor.failure() {
                return Err(error);
            }
            if self.floor.is_finished() {
                return Ok(());
            }
            if self.is_stale && self.floor.is_flushed() {
                self.refold().await?;
            }
            let due = self.floor.due_at();
            tokio::select! {
                biased;
                Some(batch) = self.sealed.recv() => {
                    self.publish(batch).await?;
                    looked = tokio::time::Instant::now();
                }
                () = sleep_until(due) => self.floor.settle(),
                () = self.floor.changed.notified() => {}
                () = tokio::time::sleep_until(looked + self.look_interval) => {
                    self.look().await;
                    looked = tokio::time::Instant::now();
                }
            }
        }
    }

    /// Looks for what others have changed about `events` and `identities`. A stream that is silent has no commit that would tell,
    /// and its next events are to be decided by what is in force when they come.
    async fn look(&mut self) {
        for kind in [TableKind::Events, TableKind::Identities] {
            match self.warehouse.load(kind.name()).await {
                Ok(table) => self.publisher.take_up(kind, table),
                Err(error) => {
                    let table = kind.name();
                    tracing::warn!(table, error = ?error, "a table cannot be looked at: it is at the next commit");
                }
            }
        }
        self.take_up().await;
    }

    async fn publish(&mut self, batch: SealedBatch) -> Result<()> {
        let summary = batch.summary.clone();
        let published = self.publisher.publish(batch).await?;
        self.account(&summary, published);
        self.take_up().await;
        // The next batch may go.
        self.floor.landed();
        Ok(())
    }

    /// Takes up what others have changed about the tables meanwhile. What cannot be taken up is tried again at the next commit;
    /// until then the stream goes on as before.
    async fn take_up(&mut self) {
        if self.is_recovery {
            return;
        }
        if let Err(error) = self.learn().await {
            tracing::warn!(error = ?error, "what others have done to the rows of `events` cannot be taken up yet");
        }
        match self.next_epoch().await {
            Ok(None) => {}
            Ok(Some(epoch)) => {
                self.epoch = Arc::new(epoch);
                self.floor.queue.begin(self.epoch.clone());
            }
            Err(error) => tracing::warn!(error = ?error, "a change of columns or contracts cannot be taken up yet"),
        }
    }

    /// Takes note of what others have put into `events`, so that it is not let in again, and of what they have deleted.
    async fn learn(&mut self) -> Result<()> {
        let events = self.publisher.tables()[index_of(TableKind::Events)].clone();
        if std::mem::take(&mut self.publisher.foreign().removed) {
            tracing::info!("others have deleted rows: sessions and identities are made anew of what is left");
            self.is_stale = true;
        }
        if self.is_stale {
            self.floor.flush();
        }
        let taking = self.publisher.foreign().taking.clone();
        if !taking.is_empty() {
            let taking: Vec<i64> = taking.into_iter().collect();
            let (table, checkpoint) = (&events.table, &events.checkpoint);
            let settled =
                retired::settle_snapshots(&self.warehouse, table, checkpoint, &self.settings, &taking).await?;
            self.publisher.settle(settled);
        }
        let adding = self.publisher.foreign().adding.clone();
        if !adding.is_empty() {
            let rows = fold::foreign_rows(&events.table, &adding, self.floor.horizon_micros()).await?;
            tracing::info!(rows = rows.len(), "others have put rows into `events`");
            self.floor.learn(&rows);
            self.publisher.foreign().adding.clear();
        }
        Ok(())
    }

    /// Makes sessions and identities anew, as a restart here would, while nothing is decided. Ids stay as they are: those of
    /// deleted rows count until their window ends.
    async fn refold(&mut self) -> Result<()> {
        let refolded = fold::refold(stand(self.publisher.tables()), &self.floor.shards(), &self.settings).await;
        match refolded {
            Ok(folds) => {
                self.floor.replace(folds);
                self.is_stale = false;
                self.progress.send_modify(|progress| progress.refolds += 1);
            }
            // The next look tries again.
            Err(error) if is_passing(&error) => {
                tracing::warn!(error = ?error, "what is left of deleted rows' sessions and identities cannot be read yet");
            }
            Err(error) => return Err(error),
        }
        self.floor.go_on();
        Ok(())
    }

    async fn next_epoch(&mut self) -> Result<Option<Epoch>> {
        self.publisher.take_up_columns(self.settings.compression_level)?;
        self.epoch.next(&self.warehouse, self.publisher.tables()).await
    }

    fn account(&mut self, summary: &BatchSummary, published: Published) {
        let counts = summary.counts;
        self.report.counts += counts;
        self.report.records += summary.records;
        self.report.bytes += summary.bytes;
        self.report.commits += published.commits;
        self.report.files += published.files;
        self.report.file_bytes += published.file_bytes;
        self.progress.send_modify(|progress| {
            progress.committed += counts;
            progress.committed_records += summary.records;
            progress.committed_bytes += summary.bytes;
            progress.commits += published.commits;
            progress.files += published.files;
            progress.file_bytes += published.file_bytes;
            progress.newest_arrival_micros = progress.newest_arrival_micros.max(summary.newest_arrival_micros);
        });
    }

    pub(super) fn report(self) -> IngestReport {
        let checkpoints = self.publisher.tables().iter().map(|state| (state.kind.name(), state.checkpoint.clone()));
        IngestReport {
            nothing_new: self.report.commits == 0,
            checkpoints: checkpoints.collect(),
            stage_nanos: self.floor.stage_nanos(),
            state: self.progress.borrow().state,
            unavailable_enrichments: self.progress.borrow().unavailable_enrichments,
            ..self.report
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the commit interval, a setting; the simulation's tokio has its own time"
)]
async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
