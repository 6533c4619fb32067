//! The history of a table, read from its metadata alone: ancestors, and where the newest checkpoint is.
//!
//! The checkpoint's URI stands in two places that are written in one atomic swap: in the summary of the snapshot that
//! made it, and in a table property. The property survives expiry of that snapshot and commits of other engines on top;
//! comparing the two tells a roll-back, which halts: nobody can know which rows the stream would bring twice.

use iceberg::spec::{SnapshotRef, TableMetadata};
use icefold_core::{CommitId, Error, Result};

use crate::keys;

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

/// Returns the URI of the checkpoint that the current state of the table stands at, `None` before the first one.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when the table was rolled back behind its checkpoint.
pub fn current_checkpoint(metadata: &TableMetadata) -> Result<Option<String>> {
    let properties = metadata.properties();
    let Some(uri) = properties.get(keys::CHECKPOINT) else {
        // Another engine may have dropped the property (PyIceberg's and Spark's table replacement do).
        return Ok(checkpoint_at(metadata, metadata.current_snapshot_id()));
    };
    let number = |key| properties.get(key).and_then(|v: &String| v.parse::<i64>().ok());
    let (Some(id), Some(sequence)) = (number(keys::CHECKPOINT_SNAPSHOT_ID), number(keys::CHECKPOINT_SEQUENCE_NUMBER))
    else {
        return Err(Error::corrupt(format!(
            "table property `{}` stands without `{}` and `{}`: restore them from the newest snapshot's summary",
            keys::CHECKPOINT,
            keys::CHECKPOINT_SNAPSHOT_ID,
            keys::CHECKPOINT_SEQUENCE_NUMBER
        )));
    };
    match place_of(metadata, id, sequence) {
        Place::Ancestor | Place::Expired => Ok(Some(uri.clone())),
        Place::RolledBack => Err(rolled_back(metadata, id)),
    }
}

/// Returns the URI of the checkpoint that the table stood at when snapshot `from` was current.
pub fn checkpoint_at(metadata: &TableMetadata, from: Option<i64>) -> Option<String> {
    ancestors(metadata, from).find_map(|s| summary(s, keys::CHECKPOINT)).map(str::to_owned)
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Ancestor,
    Expired,
    RolledBack,
}

/// Tells where the snapshot that made the newest checkpoint is, seen from the current snapshot.
fn place_of(metadata: &TableMetadata, id: i64, sequence: i64) -> Place {
    let mut oldest = None;
    for snapshot in ancestors(metadata, metadata.current_snapshot_id()) {
        if snapshot.snapshot_id() == id {
            return Place::Ancestor;
        }
        oldest = Some(snapshot);
    }
    let expired = metadata.snapshot_by_id(id).is_none();
    match oldest {
        // The chain breaks off, by expiry, while still younger than the checkpoint: it lay further down. Iceberg Java and
        // our own thinning leave the id of an expired parent, and the checkpoint's own snapshot may be kept behind the
        // gap; PyIceberg blanks the id, which then says nothing if the checkpoint's snapshot has expired too.
        Some(s) if s.sequence_number() > sequence && (s.parent_snapshot_id().is_some() || expired) => Place::Expired,
        _ => Place::RolledBack,
    }
}

fn rolled_back(metadata: &TableMetadata, id: i64) -> Error {
    let current = metadata.current_snapshot_id().map_or_else(|| "none".to_owned(), |id| id.to_string());
    Error::corrupt(format!(
        "the table was rolled back by another engine: its checkpoint belongs to snapshot `{id}`, which is no ancestor of \
         the current snapshot `{current}`; set the current snapshot back to `{id}` in that engine (Spark: CALL \
         system.set_current_snapshot), or drop the table and ingest again"
    ))
}
