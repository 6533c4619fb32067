//! A sealed batch into the tables, written ahead (see [`batch`](icefold_catalog::batch)).
//!
//! ```text
//! SealedBatch ─▶ plan ─▶ announce ─▶ upload all ─▶ write the batch object ─▶ raw_events ─▶ quarantine, identities, events
//!                                                                           commit point   at the same time
//! ```
//!
//! Of two racing writers the loser is fenced at `raw_events`, before it touches anything else. A crash after that leaves tables
//! behind; whoever finds them so rolls the batch forward (`forward`) and derives nothing anew. An intent starts where all
//! tables stand, so it commits exactly the rows that they do not have (W1), or is fenced (K2).

mod destination;
pub(crate) mod forward;
mod plan;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use icefold_catalog::{Announcement, CommitOutcome, Fence, Intent, LoadedTable, Retirement, Role, Settled};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Checkpoint, Error, ErrorKind, Ids, Result};

pub use destination::Destination;
pub(crate) use plan::CONTRACT;
use plan::Upload;
use retry::Patience;

use crate::encode::TableEncoder;
use crate::failpoint::{self, FailPoints};
use crate::fold::retired::window_micros;
use crate::fold::{Foreign, foreign};
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
    /// What others have done to `events`, and to `identities` where rows are gone, and nobody has looked at.
    foreign: Foreign,
    /// What the next commit of `events` says about ids whose rows are gone.
    retirement: Retirement,
    /// Batches that `events` lists as open and that every table has.
    closes: Vec<BatchId>,
    /// The tables that get the batches, by their place: all of them, but in a recovery.
    targets: Targets,
    ids: Arc<dyn Ids>,
}

/// Which tables get a batch.
pub(crate) type Targets = [bool; TABLES];

impl Publisher {
    pub(crate) fn new(
        destination: Arc<dyn Destination>,
        tables: [TableState; TABLES],
        contract: String,
        settings: &Settings,
        fail_points: FailPoints,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Publisher {
            destination,
            tables,
            contract,
            concurrent_uploads: settings.concurrent_uploads,
            patience: Patience::new(settings.retry_time()),
            fail_points,
            crew: Crew::default(),
            foreign: Foreign::default(),
            retirement: Retirement { settled: Vec::new(), window_micros: window_micros(settings) },
            closes: Vec::new(),
            targets: [true; TABLES],
            ids,
        }
    }

    /// Lets the next commit of `events` say that these batches are everywhere.
    pub(crate) fn closing(self, closes: Vec<BatchId>) -> Self {
        Publisher { closes, ..self }
    }

    /// Brings batches into these tables only.
    pub(crate) fn into_tables(self, targets: Targets) -> Self {
        Publisher { targets, ..self }
    }

    /// Lets the next commit of `events` say what became of these snapshots' ids.
    pub(crate) fn settle(&mut self, settled: Vec<Settled>) {
        self.retirement.settled.extend(settled);
        self.foreign.taking.clear();
    }

    /// Sets who closes files. Tasks do not sleep before they try again, or a run would not follow from its input.
    pub(crate) fn crew(self, crew: Crew) -> Self {
        let patience = if matches!(crew, Crew::Tasks(_)) { self.patience.without_pauses() } else { self.patience };
        Publisher { crew, patience, ..self }
    }

    pub(crate) fn tables(&self) -> &[TableState; TABLES] {
        &self.tables
    }

    /// Takes up a table as others have made it meanwhile. Where it stands in the stream stays what this run knows: if another
    /// writer has moved it, the next commit is fenced.
    pub(crate) fn take_up(&mut self, kind: TableKind, now: LoadedTable) {
        let state = &mut self.tables[index_of(kind)];
        // A table that was made anew is told of at the next commit.
        if now.metadata().uuid() == state.table.metadata().uuid() {
            let done = foreign(&state.table, &now, None);
            state.table = now;
            self.note(kind, done);
        }
    }

    fn note(&mut self, kind: TableKind, done: Foreign) {
        match kind {
            TableKind::Events => {
                self.foreign.adding.extend(done.adding);
                self.foreign.taking.extend(done.taking);
                self.foreign.removed |= done.removed;
            }
            TableKind::Identities => self.foreign.removed |= done.removed,
            TableKind::RawEvents | TableKind::Quarantine => {}
        }
    }

    /// Returns what others have done that the folds have to know, until the run says that it has taken it up.
    pub(crate) fn foreign(&mut self) -> &mut Foreign {
        &mut self.foreign
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
        let ids = self.ids.clone();
        let plan =
            plan::plan(&self.tables, self.targets, batch, &self.contract, &self.crew, &|| ids.next().to_string())
                .await?;
        let (delta, tables) = (&plan.delta, plan.announced());
        let announce = || self.destination.announce(plan.id, delta, &tables);
        let announcement = self.patience.insist("announce a batch", announce).await?;
        self.fail_points.pass(failpoint::AFTER_ANNOUNCE);
        self.upload(&announcement, plan.uploads).await?;
        self.fail_points.pass(failpoint::AFTER_UPLOAD);
        let write = || self.destination.write_batch(plan.id, &plan.content);
        self.patience.insist("write a batch ahead", write).await?;
        self.fail_points.pass(failpoint::AFTER_BATCH);
        let outcomes = match self.commit_all(plan.intents).await {
            // The tables have left the place where it begins, so nothing will ever name it.
            Err(error) if error.kind() == ErrorKind::Fenced => {
                if let Err(stays) = self.destination.abandon(plan.id).await {
                    tracing::debug!(error = ?stays, "the object of an abandoned batch stays");
                }
                return Err(error);
            }
            other => other?,
        };
        self.fail_points.pass(failpoint::AFTER_COMMIT);
        let published = self.account(&outcomes);
        let outcomes: Vec<CommitOutcome> = outcomes.into_values().map(|(_, outcome)| outcome).collect();
        // What stays does no harm, so this neither tries again nor fails.
        if let Err(error) = self.destination.finish(plan.id, &announcement, &outcomes).await {
            tracing::debug!(error = ?error, "a batch object or an announcement stays");
        }
        Ok(published)
    }

    async fn upload(&self, announcement: &Announcement, uploads: Vec<Upload>) -> Result<()> {
        let uploads = uploads.into_iter().map(|Upload { uri, parts }| async move {
            let stage = || self.destination.stage(announcement, &uri, parts.clone());
            self.patience.insist("upload a file", stage).await?;
            self.fail_points.pass(failpoint::MID_UPLOAD);
            Ok(())
        });
        stream::iter(uploads).buffer_unordered(self.concurrent_uploads).try_collect().await
    }

    /// Commits the batch to `raw_events`, then to all other tables at the same time.
    async fn commit_all(&mut self, intents: Vec<(usize, Intent)>) -> Result<BTreeMap<usize, (Intent, CommitOutcome)>> {
        let (mut leading, mut following) = (Vec::new(), Vec::new());
        for (table, mut intent) in intents {
            if let Some(part) = intent.batch.as_mut().filter(|_| table == index_of(TableKind::Events)) {
                part.closes = self.closes.clone();
                part.retirement = Some(self.retirement.clone());
            }
            let leads = intent.batch.as_ref().is_some_and(|part| part.role == Role::Leads);
            if leads { leading.push((table, intent)) } else { following.push((table, intent)) }
        }
        let mut done = BTreeMap::new();
        for (table, intent) in leading {
            done.insert(table, self.commit(table, intent).await?);
            self.fail_points.pass(failpoint::BETWEEN_TABLES);
        }
        let this = &*self;
        let commit = |(table, intent)| async move { (table, this.commit(table, intent).await) };
        let mut following: FuturesUnordered<_> = following.into_iter().map(commit).collect();
        // Also after a failure the others are waited for: what is under way is not dropped.
        let mut failed = None;
        while let Some((table, outcome)) = following.next().await {
            match outcome {
                Ok(outcome) => _ = done.insert(table, outcome),
                Err(error) => _ = failed.get_or_insert(error),
            }
            if !following.is_empty() {
                self.fail_points.pass(failpoint::BETWEEN_TABLES);
            }
        }
        drop(following);
        self.closes.clear();
        self.retirement.settled.clear();
        match failed {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    async fn commit(&self, table: usize, intent: Intent) -> Result<(Intent, CommitOutcome)> {
        let name = self.tables[table].kind.name();
        let outcome = self.patience.insist("commit a batch", || self.destination.commit(name, &intent)).await?;
        match &outcome {
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted { .. } => Ok((intent, outcome)),
            CommitOutcome::Fenced(fence) if table == 0 => Err(fenced(name, fence)),
            CommitOutcome::Fenced(fence) => Err(forward::torn(name, fence)),
            CommitOutcome::Replan { reason } => {
                Err(Error::bug(format!("an append to `{name}` was sent back: {reason}")))
            }
        }
    }

    /// Takes note of what is in the tables now.
    fn account(&mut self, outcomes: &BTreeMap<usize, (Intent, CommitOutcome)>) -> Published {
        let mut published = Published::default();
        let mut by_others = Vec::new();
        for (table, (intent, outcome)) in outcomes {
            let state = &mut self.tables[*table];
            let (table, snapshot_id) = match outcome {
                CommitOutcome::Committed { table, snapshot_id } => (table, Some(*snapshot_id)),
                CommitOutcome::AlreadyCommitted { table, snapshot_id } => (table, *snapshot_id),
                CommitOutcome::Fenced(_) | CommitOutcome::Replan { .. } => continue,
            };
            let files = intent.add.len() as u64;
            tracing::debug!(table = state.kind.name(), snapshot_id, files, "committed");
            by_others.push((state.kind, foreign(&state.table, table, snapshot_id)));
            published.commits += 1;
            published.files += files;
            published.file_bytes += intent.add.iter().map(|f| f.file.file_size_in_bytes()).sum::<u64>();
            for (shard, moved) in intent.delta.iter() {
                state.checkpoint.set(shard.clone(), moved.to.clone());
            }
            state.table = table.clone();
        }
        by_others.into_iter().for_each(|(kind, done)| self.note(kind, done));
        published
    }
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
