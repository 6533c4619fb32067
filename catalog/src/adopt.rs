//! Adopting a checkpoint: how a person lets a table go on whose metadata cannot prove where it stands.
//!
//! It makes a snapshot of ours with the same files, which names the checkpoint, so from there on everything holds as after any
//! other commit. That the rows fit is taken on trust, so they are not counted any more.

use std::collections::{BTreeMap, BTreeSet};

use icefold_core::{CommitId, Error, ErrorKind, Result};

use crate::checkpoint::{self, Progress};
use crate::intent::Intent;
use crate::lineage::{Halt, Standing};
use crate::pointer::{Pointer, SwapError};
use crate::produce::Attempt;
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// Checkpoint objects that are read when nothing in the metadata names one: the newest.
const MAX_OBJECTS: usize = 50;

/// A checkpoint that a table could be said to stand at.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// URI of the checkpoint object.
    pub uri: String,
    /// Snapshot that it was written with, if that is known.
    pub snapshot_id: Option<i64>,
    /// Where it is in the stream.
    pub progress: Progress,
}

impl Candidate {
    /// What is taken on trust: where the table stands. A commit that nothing names may never have come to be, and its batch lost
    /// to another: that batch must not be rolled forward into other tables (W3), which then wait to be recovered.
    fn adopted(&self) -> Progress {
        let progress = Progress { changed_by_others: true, ..self.progress.clone() };
        match self.snapshot_id {
            Some(_) => progress,
            None => Progress { moved_by: BTreeMap::new(), open: Vec::new(), ..progress },
        }
    }
}

impl Warehouse {
    /// Finds the checkpoints that a table could stand at, newest first: those that its metadata names, now or in files that
    /// are still there, and where these may not be the newest, then those whose objects exist. An object that nothing names
    /// may be of a commit that never came to be.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn checkpoint_candidates(&self, table: &LoadedTable) -> Result<Vec<Candidate>> {
        let (facts, standing) = table.history().await?;
        let named = facts.snapshots.iter().filter_map(|(id, s)| Some((s.sequence_number, *id, s.checkpoint.clone()?)));
        let stated = facts.property.iter().chain(&facts.earlier);
        let stated = stated.map(|s| (s.sequence_number, s.snapshot_id, s.uri.clone()));
        let named: BTreeSet<(i64, i64, String)> = named.chain(stated).collect();
        let mut found = Vec::new();
        for (_, id, uri) in named.into_iter().rev() {
            found.extend(self.candidate(table, uri, Some(id)).await?);
        }
        let newer_unknown = matches!(standing, Standing::Halt(Halt::NoCheckpoint | Halt::NewerUnknown(_)));
        if found.is_empty() || newer_unknown {
            for uri in self.newest_objects(table).await? {
                if !found.iter().any(|known: &Candidate| known.uri == uri) {
                    found.extend(self.candidate(table, uri, None).await?);
                }
            }
        }
        Ok(found)
    }

    async fn newest_objects(&self, table: &LoadedTable) -> Result<Vec<String>> {
        let folder = checkpoint::folder(self.location(), table.metadata().uuid());
        let mut objects = self.store().list(&format!("{folder}/checkpoints")).await?;
        objects.sort_by(|a, b| (b.modified_ms, &b.uri).cmp(&(a.modified_ms, &a.uri)));
        Ok(objects.into_iter().take(MAX_OBJECTS).map(|object| object.uri).collect())
    }

    /// Reads a checkpoint; `None` when its object is gone or unreadable.
    async fn candidate(&self, table: &LoadedTable, uri: String, snapshot_id: Option<i64>) -> Result<Option<Candidate>> {
        match self.read_checkpoint(table, &uri).await {
            Ok(progress) => Ok(Some(Candidate { uri, snapshot_id, progress })),
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads a checkpoint object of a table.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is gone, unreadable or of another table; errors of the store.
    pub async fn read_checkpoint(&self, table: &LoadedTable, uri: &str) -> Result<Progress> {
        checkpoint::read(self.store(), uri, table.metadata().uuid()).await
    }

    /// Says that the version `base` of a table stands at a checkpoint: its rows are those of the stream up to there, and what
    /// is missing was removed on purpose. Returns the table as it is then.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the table has changed since, [`ErrorKind::OutcomeUnknown`] when nobody knows; errors of
    /// store and catalog.
    pub async fn adopt(&self, base: &LoadedTable, candidate: &Candidate) -> Result<LoadedTable> {
        base.check_writable()?;
        let current = base.metadata().current_snapshot_id().unwrap_or_default();
        // A rewrite of nothing: the files stay, and readers are told that no row changed.
        let mut intent = Intent::rewrite(base, current, Vec::new(), Vec::new());
        let inputs = [candidate.uri.as_str(), &current.to_string()];
        intent.commit_id = CommitId::for_inputs(base.metadata().uuid(), "adopt", inputs);
        let progress = candidate.adopted();
        let attempt = Attempt {
            base,
            intent: &intent,
            remove: BTreeSet::new(),
            checkpoint: Some(progress.checkpoint.clone()),
            progress: &progress,
            warehouse: self.location(),
            settings: self.settings(),
            now_ms: self.clock().now_ms(),
            snapshot_id: self.new_snapshot_id(base),
            ids: &*self.0.ids,
        };
        let produced = attempt.produce().await?;
        let swapped = self.0.pointers.swap(&base.name, &base.pointer, &produced.metadata_location).await;
        swapped.map_err(|e| not_adopted(e, base.name()))?;
        match base.pointer.version_token {
            // A service with version tokens must be asked for the new one.
            Some(_) => self.load(base.name()).await,
            None => self.load_version(base.name.clone(), Pointer::to(produced.metadata_location)).await,
        }
    }
}

fn not_adopted(error: SwapError, table: &str) -> Error {
    match error {
        SwapError::Conflict => {
            let message = format!("table `{table}` has changed meanwhile, so nothing was adopted: look again");
            Error::new(ErrorKind::Conflict, message)
        }
        SwapError::Unknown(e) => {
            let message =
                format!("the checkpoint of table `{table}` may have been adopted: look with `icefold verify {table}`");
            Error::new(ErrorKind::OutcomeUnknown, message).because(e)
        }
        SwapError::Transient(e) | SwapError::Refused(e) => e.with("table", table),
    }
}
