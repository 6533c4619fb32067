//! A sealed batch into the tables: name the files, upload them, commit table after table.
//!
//! ```text
//! SealedBatch ─▶ plan (one intent for each table) ─▶ announce all ─▶ upload all ─▶ commit raw_events, quarantine,
//!                                                                                        identities, events
//! ```
//!
//! The order of the tables is [`TableKind::ALL`]: of two racing writers the loser is fenced at `raw_events`, before it
//! touches anything else. A crash between two commits leaves one table behind; the next run reads from there and leaves
//! out what the others have (see [`pipeline`](crate::pipeline)). An intent starts at the table's own checkpoint, so it
//! commits exactly the rows that the table does not have (W1), or is fenced (K2).

mod destination;
mod plan;
mod retry;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use icefold_catalog::{Announcement, CommitOutcome, Fence, Intent, LoadedTable, keys, lineage};
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Error, ErrorKind, Result};

pub use destination::Destination;
pub(crate) use plan::CONTRACT;
use plan::{Plan, Upload};
use retry::Patience;

use crate::encode::TableEncoder;
use crate::failpoint::{self, FailPoints};
use crate::fold::foreign_snapshots;
use crate::pipeline::{Crew, SealedBatch, TABLES, index_of};
use crate::settings::Settings;

/// A table as this run knows it: the version and the checkpoint after its last commit.
#[derive(Debug, Clone)]
pub(crate) struct TableState {
    pub(crate) kind: TableKind,
    pub(crate) table: LoadedTable,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) encoder: Arc<TableEncoder>,
}

/// What a batch added.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    pub(crate) commits: u64,
    pub(crate) files: u64,
    pub(crate) file_bytes: u64,
}

/// Brings batches into the tables, one at a time.
pub(crate) struct Publisher {
    destination: Arc<dyn Destination>,
    tables: [TableState; TABLES],
    contract: String,
    concurrent_uploads: usize,
    patience: Patience,
    fail_points: FailPoints,
    crew: Crew,
    /// Snapshots by which others have added rows to `events`, and which nobody has looked at.
    foreign: BTreeSet<i64>,
}

impl Publisher {
    pub(crate) fn new(
        destination: Arc<dyn Destination>,
        tables: [TableState; TABLES],
        contract: String,
        settings: &Settings,
        fail_points: FailPoints,
    ) -> Self {
        Publisher {
            destination,
            tables,
            contract,
            concurrent_uploads: settings.concurrent_uploads,
            patience: Patience::new(settings.retry_time()),
            fail_points,
            crew: Crew::default(),
            foreign: BTreeSet::new(),
        }
    }

    /// Sets who closes files. Tasks do not sleep before they try again, or a run would not follow from its input.
    pub(crate) fn crew(self, crew: Crew) -> Self {
        let patience = if matches!(crew, Crew::Tasks(_)) { self.patience.without_pauses() } else { self.patience };
        Publisher { crew, patience, ..self }
    }

    pub(crate) fn tables(&self) -> &[TableState; TABLES] {
        &self.tables
    }

    /// Takes up `events` as others have made it meanwhile. Where it stands in the stream stays what this run knows: if another
    /// writer has moved it, the next commit is fenced.
    pub(crate) fn take_up_events(&mut self, now: LoadedTable) {
        let state = &mut self.tables[index_of(TableKind::Events)];
        // A table that was made anew is told of at the next commit.
        if now.metadata().uuid() == state.table.metadata().uuid() {
            self.foreign.extend(foreign_snapshots(&state.table, &now, None));
            state.table = now;
        }
    }

    /// Returns the snapshots by which others have added rows to `events`, until they are [`learned`](Publisher::learned).
    pub(crate) fn foreign_snapshots(&self) -> &BTreeSet<i64> {
        &self.foreign
    }

    pub(crate) fn learned(&mut self) {
        self.foreign.clear();
    }

    /// Makes encoders for the tables as they are now, where one has other columns than its encoder.
    ///
    /// # Errors
    /// Those of [`TableEncoder::for_table`].
    pub(crate) fn take_up_columns(&mut self, compression_level: i32) -> Result<()> {
        for state in &mut self.tables {
            let metadata = state.table.metadata();
            if state.encoder.schema_id() != Some(metadata.current_schema_id()) {
                state.encoder = Arc::new(TableEncoder::for_table(state.kind, metadata, compression_level)?);
            }
        }
        Ok(())
    }

    /// Brings a batch into the tables.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] when another writer was there first; whatever storage and catalog still answer when
    /// patience ends. The tables that were committed before the error stay so.
    pub(crate) async fn publish(&mut self, batch: SealedBatch) -> Result<Published> {
        let (plans, uploads) = plan::plan(&self.tables, batch, &self.contract, &self.crew).await?;
        let announcements = self.announce(&plans).await?;
        self.fail_points.pass(failpoint::AFTER_ANNOUNCE);
        self.upload(uploads).await?;
        self.fail_points.pass(failpoint::AFTER_UPLOAD);
        let mut published = Published::default();
        let last = plans.len().saturating_sub(1);
        for (number, plan) in plans.into_iter().enumerate() {
            self.commit(plan, &mut published).await?;
            if number < last {
                self.fail_points.pass(failpoint::BETWEEN_TABLES);
            }
        }
        self.fail_points.pass(failpoint::AFTER_COMMIT);
        self.withdraw(announcements).await;
        Ok(published)
    }

    async fn announce(&self, plans: &[Plan]) -> Result<Vec<Announcement>> {
        let with_files = plans.iter().filter(|plan| !plan.intent.add.is_empty());
        let announcements = with_files
            .map(|plan| self.patience.insist("announce a batch", move || self.destination.announce(&plan.intent)));
        futures::future::try_join_all(announcements).await
    }

    async fn upload(&self, uploads: Vec<Upload>) -> Result<()> {
        let uploads = uploads.into_iter().map(|Upload { uri, parts }| async move {
            self.patience.insist("upload a file", || self.destination.upload(&uri, parts.clone())).await?;
            self.fail_points.pass(failpoint::MID_UPLOAD);
            Ok(())
        });
        stream::iter(uploads).buffer_unordered(self.concurrent_uploads).try_collect().await
    }

    async fn commit(&mut self, plan: Plan, published: &mut Published) -> Result<()> {
        let state = &self.tables[plan.table];
        let name = state.kind.name();
        let outcome = self.patience.insist("commit a batch", || self.destination.commit(name, &plan.intent)).await?;
        if let CommitOutcome::AlreadyCommitted { table, snapshot_id } = &outcome {
            same_contracts(table, *snapshot_id, &plan.intent)?;
        }
        let table = match outcome {
            CommitOutcome::Committed { table, snapshot_id }
            | CommitOutcome::AlreadyCommitted { table, snapshot_id } => {
                tracing::debug!(
                    table = name,
                    snapshot_id,
                    rows = plan.rows,
                    files = plan.intent.add.len(),
                    "committed"
                );
                if state.kind == TableKind::Events {
                    self.foreign.extend(foreign_snapshots(&state.table, &table, Some(snapshot_id)));
                }
                table
            }
            CommitOutcome::Fenced(fence) => return Err(fenced(name, &fence)),
            CommitOutcome::Replan { reason } => {
                return Err(Error::bug(format!("an append to `{name}` was sent back: {reason}")));
            }
        };
        published.commits += 1;
        published.files += plan.intent.add.len() as u64;
        published.file_bytes += plan.intent.add.iter().map(|f| f.file.file_size_in_bytes()).sum::<u64>();
        let checkpoint = state.checkpoint.advance(&plan.intent.delta)?;
        let state = &mut self.tables[plan.table];
        (state.table, state.checkpoint) = (table, checkpoint);
        Ok(())
    }

    /// Announcements that stay are harmless, so this neither retries nor fails.
    async fn withdraw(&self, announcements: Vec<Announcement>) {
        let withdrawn = announcements.iter().map(|announcement| self.destination.withdraw(announcement));
        for error in futures::future::join_all(withdrawn).await.into_iter().filter_map(Result::err) {
            tracing::debug!(error = ?error, "an announcement stays");
        }
    }
}

/// Another writer may have committed the same piece of stream, decided by other contracts. Going on would put an event into
/// two tables or into none: which writer is first may change from table to table.
fn same_contracts(table: &LoadedTable, snapshot_id: i64, intent: &Intent) -> Result<()> {
    let Some(snapshot) = table.metadata().snapshot_by_id(snapshot_id) else { return Ok(()) };
    let decided = [keys::CONTRACTS, plan::CONTRACT].map(|key| lineage::summary(snapshot, key));
    let wanted = [keys::CONTRACTS, plan::CONTRACT].map(|key| intent.summary.get(key).map(String::as_str));
    if decided == wanted {
        return Ok(());
    }
    let message = format!(
        "another writer has brought the same rows into table `{}`, decided by other contracts or read as another format; \
         nothing is lost, run again to continue from where the table stands",
        table.name()
    );
    Err(Error::new(ErrorKind::Fenced, message))
}

fn fenced(table: &str, fence: &Fence) -> Error {
    let message = match fence {
        Fence::Moved { shard, expected, found } => format!(
            "another writer has moved table `{table}`: shard `{shard}` stands at `{found}` there, this run stood at \
             `{expected}`; nothing is lost, run again to continue from where the table stands"
        ),
        Fence::OtherTable { expected, found } => format!(
            "table `{table}` was dropped and made anew during the run: it was `{expected}`, now it is `{found}`; run \
             again to fill the new one"
        ),
    };
    Error::new(ErrorKind::Fenced, message)
}
