//! The history of a table, read from its metadata: ancestors, and which checkpoint the current state stands at.
//!
//! The checkpoint's URI stands in two places that are written in one atomic swap: in the summary of the snapshot that
//! made it, and in a table property. A checkpoint holds for the current state only when it is *proven* that this state was
//! derived from the checkpoint's snapshot: then each row of the stream up to it is there, or was removed by a delete. Else
//! commits halt ([`Halt`]); nobody can know which rows the stream would bring twice, or never.
//!
//! What proves it ([`decide`]), in the order of what it costs to look:
//!
//! 1. An unbroken chain of parents leads from the current snapshot to the checkpoint's, of which only the id is needed.
//! 2. The current snapshot holds a manifest, or a file, that the checkpoint's snapshot added. Both keep the id of their
//!    snapshot through every commit on top, and a roll-back to before it leaves none.
//! 3. Where snapshots in between have expired, earlier metadata files, which the metadata names, tell their parents.
//!
//! Where the property was dropped, the newest checkpoint that summaries or earlier files name takes its place. That it is the
//! newest is known when every sequence number after it is: each snapshot takes the next number, so none was overlooked.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{SnapshotRef, TableMetadata};
use icefold_core::{CommitId, Error, ErrorKind, Result};

use crate::keys;
use crate::metadata;
use crate::table::LoadedTable;

/// Iterates from a snapshot to its parents, newest first, until the root or an expired parent.
pub fn ancestors(metadata: &TableMetadata, from: Option<i64>) -> impl Iterator<Item = &SnapshotRef> {
    let mut next = from.and_then(|id| metadata.snapshot_by_id(id));
    std::iter::from_fn(move || {
        let current = next?;
        next = current.parent_snapshot_id().and_then(|id| metadata.snapshot_by_id(id));
        Some(current)
    })
}

/// Finds the snapshot that a commit made, among the ancestors of the current one, whatever lies on top.
pub fn find_commit(metadata: &TableMetadata, commit_id: CommitId) -> Option<i64> {
    let wanted = commit_id.to_string();
    ancestors(metadata, metadata.current_snapshot_id())
        .find(|s| summary(s, keys::COMMIT_ID) == Some(&wanted))
        .map(|s| s.snapshot_id())
}

/// Returns one value of a snapshot's summary.
pub fn summary<'a>(snapshot: &'a SnapshotRef, key: &str) -> Option<&'a str> {
    snapshot.summary().additional_properties.get(key).map(String::as_str)
}

/// Returns every entry of a snapshot's summary.
pub fn properties(snapshot: &SnapshotRef) -> impl Iterator<Item = (String, String)> + '_ {
    snapshot.summary().additional_properties.iter().map(|(key, value)| (key.clone(), value.clone()))
}

/// Returns the URI of the checkpoint that the table stood at when snapshot `from` was current; `None` before the first.
///
/// # Errors
/// [`ErrorKind::NotFound`] when the snapshots that would tell have expired.
pub fn checkpoint_at(metadata: &TableMetadata, from: i64) -> Result<Option<String>> {
    let mut oldest = None;
    for snapshot in ancestors(metadata, Some(from)) {
        if let Some(uri) = summary(snapshot, keys::CHECKPOINT) {
            return Ok(Some(uri.to_owned()));
        }
        oldest = Some(snapshot);
    }
    // The first snapshot of all has the first number; a root with another one was cut off.
    if oldest.is_none_or(|s| s.parent_snapshot_id().is_none() && s.sequence_number() <= 1) {
        return Ok(None);
    }
    let message =
        format!("where snapshot `{from}` stood in the stream is not known any more: the one before it has expired");
    Err(Error::new(ErrorKind::NotFound, message))
}

/// A checkpoint as the metadata names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// URI of the checkpoint object.
    pub uri: String,
    /// Snapshot that it was written with.
    pub snapshot_id: i64,
    /// Sequence number of that snapshot.
    pub sequence_number: i64,
}

/// What is known of a snapshot, whether it is there or has expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its parent; `None` for a root and where another engine has blanked it when the parent expired.
    pub parent: Option<i64>,
    /// Its place in the order of all commits.
    pub sequence_number: i64,
    /// The checkpoint that its summary names.
    pub checkpoint: Option<String>,
}

/// All that is known about the history of a table.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The current snapshot.
    pub current: Option<i64>,
    /// The highest sequence number ever given.
    pub last_sequence_number: i64,
    /// Snapshots that are there, and expired ones of which earlier metadata files tell.
    pub snapshots: BTreeMap<i64, Known>,
    /// What the table property states.
    pub property: Option<Stated>,
    /// The newest that the property stated in earlier metadata files.
    pub earlier: Option<Stated>,
    /// Snapshots that added a manifest or a file that the current snapshot still holds.
    pub holds: BTreeSet<i64>,
}

impl Facts {
    /// Takes from the current metadata what it tells.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a property without the two that belong to it.
    pub fn of(metadata: &TableMetadata) -> Result<Self> {
        let mut facts = Facts {
            current: metadata.current_snapshot_id(),
            last_sequence_number: metadata.last_sequence_number(),
            property: stated(metadata)?,
            ..Facts::default()
        };
        facts.learn_snapshots(metadata);
        Ok(facts)
    }

    /// Adds what an earlier version of the same table tells.
    pub fn learn(&mut self, earlier: &TableMetadata) {
        self.learn_snapshots(earlier);
        let newest = self.earlier.as_ref().map_or(i64::MIN, |stated| stated.sequence_number);
        // What stands there without its parts says nothing.
        let found = stated(earlier).ok().flatten().filter(|found| found.sequence_number > newest);
        self.earlier = found.or(self.earlier.take());
    }

    fn learn_snapshots(&mut self, metadata: &TableMetadata) {
        for snapshot in metadata.snapshots() {
            let known = self.snapshots.entry(snapshot.snapshot_id()).or_default();
            known.sequence_number = snapshot.sequence_number();
            known.parent = known.parent.or(snapshot.parent_snapshot_id());
            if known.checkpoint.is_none() {
                known.checkpoint = summary(snapshot, keys::CHECKPOINT).map(str::to_owned);
            }
        }
    }

    fn newest_summary(&self) -> Option<Stated> {
        let with = self.snapshots.iter().filter_map(|(id, known)| {
            Some(Stated { uri: known.checkpoint.clone()?, snapshot_id: *id, sequence_number: known.sequence_number })
        });
        with.max_by_key(|stated| stated.sequence_number)
    }

    /// Whether every snapshot with a higher number is known, so that none can have gone further unseen.
    fn knows_all_since(&self, number: i64) -> bool {
        let known: BTreeSet<i64> = self.snapshots.values().map(|known| known.sequence_number).collect();
        (number + 1..=self.last_sequence_number).all(|number| known.contains(&number))
    }

    /// Tells whether the current snapshot was derived from snapshot `id`; `None` when that cannot be told.
    fn derives_from(&self, id: i64, number: i64) -> Option<bool> {
        let Some(mut at) = self.current else { return Some(false) };
        let mut above = i64::MAX;
        while at != id {
            let unknown = || self.holds.contains(&id).then_some(true);
            let Some(known) = self.snapshots.get(&at) else { return unknown() };
            if known.sequence_number <= number {
                return Some(false);
            }
            let Some(parent) = known.parent.filter(|_| known.sequence_number < above) else { return unknown() };
            (at, above) = (parent, known.sequence_number);
        }
        Some(true)
    }
}

/// Where the current state of a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever committed.
    Fresh,
    /// It is proven that each row up to this checkpoint is there or was removed by a delete.
    At(Stated),
    /// Nothing may be committed.
    Halt(Halt),
}

/// Why nothing may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// There are snapshots, and nothing names a checkpoint.
    NoCheckpoint,
    /// A newer checkpoint may have been named by snapshots that nothing tells of any more.
    NewerUnknown(Stated),
    /// Snapshots that would prove it have expired, with the metadata files that named them.
    Unproven(Stated),
    /// The current snapshot was not derived from the checkpoint's.
    RolledBack(Stated),
    /// The property names an older checkpoint than a snapshot does.
    SetBack(Stated),
}

impl Standing {
    /// Whether more facts may change the answer.
    fn is_open(&self) -> bool {
        matches!(self, Standing::Halt(Halt::NoCheckpoint | Halt::NewerUnknown(_) | Halt::Unproven(_)))
    }
}

/// A decision procedure; a component, so that the simulation can prove that it notices a broken one.
pub type Decider = fn(&Facts) -> Standing;

/// Decides from what is known. More facts can only turn what is open into an answer, never an answer into another one.
pub fn decide(facts: &Facts) -> Standing {
    if facts.property.is_none() && facts.snapshots.is_empty() && facts.last_sequence_number == 0 {
        return Standing::Fresh;
    }
    let summary = facts.newest_summary();
    let stated = match &facts.property {
        Some(property) if summary.as_ref().is_some_and(|s| s.sequence_number > property.sequence_number) => {
            return Standing::Halt(Halt::SetBack(property.clone()));
        }
        Some(property) => property.clone(),
        None => {
            // Of two with one number, the property is the same checkpoint.
            let newest = facts.earlier.clone().into_iter().chain(summary).max_by_key(|s| s.sequence_number);
            let Some(newest) = newest else { return Standing::Halt(Halt::NoCheckpoint) };
            if !facts.knows_all_since(newest.sequence_number) {
                return Standing::Halt(Halt::NewerUnknown(newest));
            }
            newest
        }
    };
    match facts.derives_from(stated.snapshot_id, stated.sequence_number) {
        Some(true) => Standing::At(stated),
        Some(false) => Standing::Halt(Halt::RolledBack(stated)),
        None => Standing::Halt(Halt::Unproven(stated)),
    }
}

impl Halt {
    /// Says in words what is the matter, and where to go on.
    pub fn error(&self, table: &str, current: Option<i64>) -> Error {
        let current = current.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let what = match self {
            Halt::NoCheckpoint => "it has snapshots, but nothing names its place in the stream any more".to_owned(),
            Halt::NewerUnknown(stated) => format!(
                "the properties that name its checkpoint were dropped, and snapshots that came after `{}`, the newest one known \
                 to name a checkpoint, have expired",
                stated.snapshot_id
            ),
            Halt::Unproven(stated) => format!(
                "its checkpoint belongs to snapshot `{}`, and the snapshots that would prove that the current one, `{current}`, \
                 was made from it have expired",
                stated.snapshot_id
            ),
            Halt::RolledBack(stated) => format!(
                "it was rolled back by another engine: its checkpoint belongs to snapshot `{}`, from which the current one, \
                 `{current}`, was not made",
                stated.snapshot_id
            ),
            Halt::SetBack(stated) => format!(
                "its property `{}` was set back to the checkpoint of snapshot `{}`, though a newer snapshot names another",
                keys::CHECKPOINT,
                stated.snapshot_id
            ),
        };
        Error::corrupt(format!(
            "rows of table `{table}` may be missing, or would be read twice, so nothing is committed: {what}; look with \
             `icefold snapshots {table}` and `icefold verify {table}`; once the table holds what it shall, `icefold checkpoint \
             adopt {table}` says what it would assume and lets it go on from there"
        ))
    }
}

fn stated(metadata: &TableMetadata) -> Result<Option<Stated>> {
    let properties = metadata.properties();
    let Some(uri) = properties.get(keys::CHECKPOINT) else { return Ok(None) };
    let number = |key| properties.get(key).and_then(|v: &String| v.parse::<i64>().ok());
    match (number(keys::CHECKPOINT_SNAPSHOT_ID), number(keys::CHECKPOINT_SEQUENCE_NUMBER)) {
        (Some(snapshot_id), Some(sequence_number)) => {
            Ok(Some(Stated { uri: uri.clone(), snapshot_id, sequence_number }))
        }
        _ => Err(Error::corrupt(format!(
            "table property `{}` stands without `{}` and `{}`, so nothing is committed: remove it in the engine that changed \
             them, and look again",
            keys::CHECKPOINT,
            keys::CHECKPOINT_SNAPSHOT_ID,
            keys::CHECKPOINT_SEQUENCE_NUMBER
        ))),
    }
}

impl LoadedTable {
    /// Finds out where the table stands in the stream. Reads nothing where the metadata alone can tell, which is always when
    /// only icefold wrote the table.
    ///
    /// # Errors
    /// Errors of the store: what cannot be read now is no proof of anything.
    pub async fn standing(&self) -> Result<Standing> {
        self.history().await.map(|(_, standing)| standing)
    }

    /// Returns all that was looked at to find out where the table stands, and the answer.
    ///
    /// # Errors
    /// As [`LoadedTable::standing`].
    pub async fn history(&self) -> Result<(Facts, Standing)> {
        let mut facts = Facts::of(self.metadata()).map_err(|e| e.with("table", self.full_name()))?;
        if !(self.decider)(&facts).is_open() {
            let standing = (self.decider)(&facts);
            return Ok((facts, standing));
        }
        let manifests = match self.metadata().current_snapshot() {
            Some(current) => self.manifests(current).await?,
            None => Vec::new(),
        };
        facts.holds.extend(manifests.iter().map(|m| m.added_snapshot_id));
        for location in self.metadata().metadata_log().iter().rev().map(|entry| &entry.metadata_file) {
            if !(self.decider)(&facts).is_open() {
                break;
            }
            if let Some(earlier) = self.earlier(location).await? {
                facts.learn(&earlier);
            }
        }
        if let Standing::Halt(Halt::Unproven(stated)) = (self.decider)(&facts) {
            self.look_for_files_of(&stated, &manifests, &mut facts).await?;
        }
        let standing = (self.decider)(&facts);
        Ok((facts, standing))
    }

    /// Reads an earlier version; `None` when it is gone, unreadable or of another table.
    async fn earlier(&self, location: &str) -> Result<Option<TableMetadata>> {
        match metadata::read(self.store(), location).await {
            Ok((earlier, _)) => Ok((earlier.uuid() == self.metadata().uuid()).then_some(earlier)),
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(None),
            Err(e) => Err(e.with("table", self.full_name())),
        }
    }

    async fn look_for_files_of(
        &self,
        stated: &Stated,
        manifests: &[iceberg::spec::ManifestFile],
        facts: &mut Facts,
    ) -> Result<()> {
        // A file's data may be older than its commit, never newer.
        let may_hold = |m: &&iceberg::spec::ManifestFile| {
            m.min_sequence_number <= stated.sequence_number && stated.sequence_number <= m.sequence_number
        };
        for manifest in manifests.iter().filter(may_hold) {
            let entries = self.manifest_entries(manifest).await?;
            let own = |f: &crate::table::LiveFile| {
                f.snapshot_id == stated.snapshot_id && f.file_sequence_number == stated.sequence_number
            };
            if entries.iter().any(own) {
                facts.holds.insert(stated.snapshot_id);
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
