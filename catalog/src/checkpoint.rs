//! Checkpoint objects: immutable files that say how far a table is in the stream.
//!
//! They lie under `<warehouse>/_icefold/<table uuid>/checkpoints/`, outside the table's own location, so that other
//! engines' orphan cleaners never see them. The metadata names the one that holds (see [`lineage`](crate::lineage)).

use std::collections::BTreeMap;

use icefold_core::{BatchId, Checkpoint, CommitId, Counts, Error, ErrorKind, Result, ShardId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retired::Retired;
use crate::store::Store;

/// Version of the checkpoint object's layout.
const VERSION: u32 = 2;

/// How far a table is, and what became of everything before that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Shard to next offset.
    pub checkpoint: Checkpoint,
    /// Rows of the stream up to the checkpoint (invariant W2).
    pub totals: Counts,
    /// Whether anything but the stream has changed the table up to here (another engine, maintenance): its rows need not
    /// equal `totals` any more. Kept here because the snapshots that would tell may have expired.
    #[serde(default)]
    pub changed_by_others: bool,
    /// Shard to the batch that last moved it: where another table is behind, that is what it lacks (W3).
    #[serde(default)]
    pub moved_by: BTreeMap<ShardId, BatchId>,
    /// Batches that began here without moving the table in the stream (a redrive), and that other tables may not have yet.
    #[serde(default)]
    pub open: Vec<BatchId>,
    /// Of `events`: ids of rows whose data files are gone, as long as they count.
    #[serde(default)]
    pub retired: Vec<Retired>,
    /// Of `events`: snapshots up to here that may have taken ids away, and that no run has looked at.
    #[serde(default)]
    pub unseen: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Object {
    version: u32,
    table_uuid: Uuid,
    commit_id: CommitId,
    #[serde(flatten)]
    progress: Progress,
}

#[derive(Debug, Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Returns the folder of icefold's own objects about a table.
pub fn folder(warehouse: &str, table_uuid: Uuid) -> String {
    format!("{warehouse}/_icefold/{table_uuid}")
}

/// Writes a checkpoint object and returns its URI. Each attempt writes its own: an object is never replaced.
pub(crate) async fn write(
    store: &Store,
    warehouse: &str,
    table_uuid: Uuid,
    commit_id: CommitId,
    attempt: Uuid,
    progress: &Progress,
) -> Result<String> {
    let uri = format!("{}/checkpoints/{commit_id}-{}.json", folder(warehouse, table_uuid), attempt.simple());
    let object = Object { version: VERSION, table_uuid, commit_id, progress: progress.clone() };
    let text =
        serde_json::to_vec_pretty(&object).map_err(|e| Error::bug("a checkpoint has no JSON form").because(e))?;
    store.write_new(&uri, vec![text.into()]).await?;
    Ok(uri)
}

/// Reads a checkpoint object.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it is gone, unreadable or of another table; errors of the store.
pub async fn read(store: &Store, uri: &str, table_uuid: Uuid) -> Result<Progress> {
    let bytes = store.read(uri).await.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::corrupt(format!(
            "checkpoint object `{uri}` is gone, so the table's place in the stream is unknown: restore it from a backup or \
             a noncurrent version"
        ))
        .because(e),
        _ => e,
    })?;
    let damaged = |why: &str| Error::corrupt(format!("checkpoint object `{uri}` {why}: restore it from a backup"));
    let found: VersionOnly = serde_json::from_slice(&bytes).map_err(|e| damaged("is unreadable").because(e))?;
    if found.version != VERSION {
        return Err(Error::invalid(format!(
            "checkpoint object `{uri}` has version {}, this program knows {VERSION}: use the icefold that wrote it; before the \
             first release, tables of an earlier state are not carried over: ingest into another warehouse",
            found.version
        )));
    }
    let object: Object = serde_json::from_slice(&bytes).map_err(|e| damaged("is unreadable").because(e))?;
    if object.table_uuid != table_uuid {
        return Err(damaged("belongs to another table"));
    }
    Ok(object.progress)
}
