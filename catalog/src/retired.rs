//! Message ids of rows whose data files are gone: what another engine's copy-on-write, a compaction of deleted rows or an
//! erasure takes out of `events` is not to come in again with a producer's retry.
//!
//! ```text
//! a snapshot removes data files ─▶ pending: found between the checkpoint's snapshot and the current one, kept in `unseen`
//!                                     │  it and its parent are not thinned
//!                                     ▼
//!      the first run that sees it works out which ids went ─▶ object of ids ─▶ its next commit names it and settles the snapshot
//! ```
//!
//! Rows that delete files take are still in their data files, so nothing has to be kept of these. Objects lie under
//! `<warehouse>/_icefold/<table uuid>/retired-ids/`, named by the hash of their content, and hold hashes, no ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iceberg::spec::{DataContentType, Operation, Snapshot, SnapshotRef, TableMetadata};
use icefold_core::{BatchId, Checkpoint, Error, ErrorKind, Offset, Result, ShardId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::{self, Progress};
use crate::intent::{Intent, IntentKind};
use crate::keys;
use crate::lineage::{ancestors, summary};
use crate::store::Store;
use crate::table::LiveFile;
use crate::warehouse::Warehouse;

/// Version of the object's layout.
const VERSION: u32 = 1;

/// Ids in one object, some 30 MB; more make several.
pub const MAX_IDS_IN_OBJECT: usize = 500_000;

/// Snapshots that a checkpoint keeps for a run to settle. Each has its ids read once, so more than these are not waited for.
pub const MAX_UNSEEN: usize = 1_000;

/// An object of ids, as checkpoints name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// URI of the object.
    pub uri: String,
    /// Of each shard that it holds ids of, the latest `stream_time`, in microseconds since 1970: once that has left the window,
    /// the ids count no more.
    pub until_micros: BTreeMap<ShardId, i64>,
}

impl Retired {
    /// Returns whether no id in it counts for any shard that stands at `checkpoint`: neither for its own nor for those that
    /// continue it.
    pub fn is_outlived(&self, checkpoint: &Checkpoint, window_micros: i64) -> bool {
        let has_passed = |shard: &ShardId, until: i64| {
            let time = checkpoint.get(shard).and_then(|position| position.stream_time_micros);
            time.is_some_and(|time| time.saturating_sub(window_micros) > until)
        };
        self.until_micros.iter().all(|(shard, until)| {
            has_passed(shard, *until) && descendants(shard, checkpoint).iter().all(|shard| has_passed(shard, *until))
        })
    }
}

/// Returns the shards that continue a shard, over all generations.
fn descendants(shard: &ShardId, checkpoint: &Checkpoint) -> BTreeSet<ShardId> {
    let mut found = BTreeSet::new();
    let mut open = vec![shard.clone()];
    while let Some(parent) = open.pop() {
        for (child, position) in checkpoint.iter() {
            if position.parents.iter().any(|p| p.shard == parent) && found.insert(child.clone()) {
                open.push(child.clone());
            }
        }
    }
    found
}

/// The id of a row that is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetiredId {
    /// Where its record came from.
    pub shard: ShardId,
    /// Where its record lies.
    pub at: Offset,
    /// xxh3-128 of its message id.
    pub message: u128,
    /// Its `stream_time`, in microseconds since 1970.
    pub stream_time_micros: i64,
}

/// What became of a snapshot that took ids away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The snapshot.
    pub snapshot_id: i64,
    /// Where the ids are; empty when none counts any more, or none can be known.
    pub objects: Vec<Retired>,
}

/// What an intent says about retired ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retirement {
    /// Snapshots that need not be looked at any more.
    pub settled: Vec<Settled>,
    /// How long ids count, in microseconds of `stream_time`.
    pub window_micros: i64,
}

impl Retirement {
    /// Takes note, in the progress of a table, of what is settled and of what is outlived.
    pub(crate) fn apply(&self, progress: &mut Progress) {
        for settled in &self.settled {
            // Another run may have been faster.
            let Some(place) = progress.unseen.iter().position(|id| *id == settled.snapshot_id) else { continue };
            progress.unseen.remove(place);
            for object in &settled.objects {
                if !progress.retired.iter().any(|known| known.uri == object.uri) {
                    progress.retired.push(object.clone());
                }
            }
        }
        let Progress { checkpoint, retired, .. } = progress;
        retired.retain(|object| !object.is_outlived(checkpoint, self.window_micros));
    }
}

/// Snapshots that may have taken ids away and that no run has settled, and whether none can have been overlooked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Oldest first.
    pub snapshots: Vec<i64>,
    /// False when snapshots expired before anybody looked at them.
    pub is_complete: bool,
}

/// Finds the snapshots of a table that no run has settled: those that its progress keeps, and those that came since its
/// checkpoint.
pub fn pending(metadata: &TableMetadata, progress: &Progress) -> Pending {
    let mut found = Vec::new();
    let (mut reached, mut oldest) = (metadata.current_snapshot().is_none(), None);
    for snapshot in ancestors(metadata, metadata.current_snapshot_id()) {
        if summary(snapshot, keys::CHECKPOINT).is_some() {
            reached = true;
            break;
        }
        if takes_ids(metadata, snapshot) {
            found.push(snapshot.snapshot_id());
        }
        oldest = Some(snapshot);
    }
    // The checkpoint's snapshot may have expired, and the first one on top still follow it.
    let stated = |key: &str| metadata.properties().get(key).and_then(|value| value.parse::<i64>().ok());
    let follows = |first: &SnapshotRef| {
        let parent = first.parent_snapshot_id();
        parent.is_some() && parent == stated(keys::CHECKPOINT_SNAPSHOT_ID)
            || first.sequence_number() == stated(keys::CHECKPOINT_SEQUENCE_NUMBER).unwrap_or(0) + 1
    };
    let is_complete = reached || oldest.is_some_and(follows);
    let kept = progress.unseen.iter().copied().filter(|id| !found.contains(id));
    let snapshots = kept.chain(found.iter().rev().copied()).collect();
    Pending { snapshots, is_complete }
}

/// Whether a snapshot may have removed data files with rows that are in no other file now.
pub fn takes_ids(metadata: &TableMetadata, snapshot: &Snapshot) -> bool {
    // Zeros are left out; an engine that tells nothing at all gets its files compared.
    match (&snapshot.summary().operation, told(snapshot, "deleted-data-files")) {
        (Operation::Append, None) | (_, Some(0)) => false,
        // A rewrite loses ids of rows only that were deleted before.
        (Operation::Replace, _) => {
            let parent = snapshot.parent_snapshot_id().and_then(|id| metadata.snapshot_by_id(id));
            parent.is_none_or(|parent| told(parent, "total-delete-files") != Some(0))
        }
        _ => true,
    }
}

/// Whether a commit of ours takes ids away: it removes data files, and is no rewrite of a table without deletes.
pub(crate) fn removal_takes_ids(base: &TableMetadata, intent: &Intent, removed: &[LiveFile]) -> bool {
    let removes_data = removed.iter().any(|live| live.file.content_type() == DataContentType::Data);
    let has_deletes = || base.current_snapshot().is_none_or(|now| told(now, "total-delete-files") != Some(0));
    removes_data && (!matches!(intent.kind, IntentKind::Rewrite { .. }) || has_deletes())
}

/// Returns the snapshots that must stay until `unseen` ones are settled: they and their parents.
pub(crate) fn needed(metadata: &TableMetadata, unseen: &[i64]) -> BTreeSet<i64> {
    let with_parent = |id: &i64| [Some(*id), metadata.snapshot_by_id(*id).and_then(|s| s.parent_snapshot_id())];
    unseen.iter().flat_map(with_parent).flatten().collect()
}

fn told(snapshot: &Snapshot, key: &str) -> Option<u64> {
    snapshot.summary().additional_properties.get(key).and_then(|value| value.parse().ok())
}

/// Returns whether rows may be gone that were in the table before a snapshot: data files were removed, or delete files added.
pub fn removes_rows(snapshot: &Snapshot) -> bool {
    let summary = snapshot.summary();
    let some = |key| summary.additional_properties.get(key).is_some_and(|value: &String| value != "0");
    match summary.operation {
        Operation::Replace => false,
        Operation::Append => some("deleted-data-files") || some("added-delete-files"),
        Operation::Delete | Operation::Overwrite => true,
    }
}

/// The ids of some records of one shard.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    shard: ShardId,
    segment: Arc<str>,
    /// Place, `stream_time` and hash, in hexadecimal digits, of each.
    ids: Vec<(u64, i64, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Object {
    version: u32,
    table_uuid: Uuid,
    groups: Vec<Group>,
}

impl Object {
    fn of(table_uuid: Uuid, ids: &[RetiredId]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for id in ids {
            let entry = (id.at.position, id.stream_time_micros, format!("{:032x}", id.message));
            match groups.last_mut() {
                Some(group) if group.shard == id.shard && group.segment == id.at.segment => group.ids.push(entry),
                _ => groups.push(Group { shard: id.shard.clone(), segment: id.at.segment.clone(), ids: vec![entry] }),
            }
        }
        Object { version: VERSION, table_uuid, groups }
    }

    /// `None` when a hash is none.
    fn ids(self) -> Option<Vec<RetiredId>> {
        let mut ids = Vec::new();
        for Group { shard, segment, ids: of_group } in self.groups {
            for (position, stream_time_micros, hash) in of_group {
                let message = u128::from_str_radix(&hash, 16).ok()?;
                let at = Offset::new(segment.clone(), position);
                ids.push(RetiredId { shard: shard.clone(), at, message, stream_time_micros });
            }
        }
        Some(ids)
    }
}

#[derive(Debug, Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Warehouse {
    /// Writes objects that keep these ids of a table. The same ids make the same objects.
    ///
    /// # Errors
    /// Errors of the store; calling again is harmless.
    pub async fn write_retired(&self, table_uuid: Uuid, mut ids: Vec<RetiredId>) -> Result<Vec<Retired>> {
        ids.sort_unstable();
        ids.dedup();
        let mut objects = Vec::new();
        for ids in ids.chunks(MAX_IDS_IN_OBJECT) {
            let content = serde_json::to_vec(&Object::of(table_uuid, ids));
            let content = content.map_err(|e| Error::bug("retired ids have no JSON form").because(e))?;
            let folder = checkpoint::folder(self.location(), table_uuid);
            let uri = format!("{folder}/retired-ids/{}.json", BatchId::of(&content));
            match self.store().write_new(&uri, vec![content.into()]).await {
                // Its name is its content, so an object of that name is this one.
                Err(e) if e.kind() != ErrorKind::Conflict => return Err(e),
                _ => {}
            }
            let mut until_micros: BTreeMap<ShardId, i64> = BTreeMap::new();
            for id in ids {
                let latest = until_micros.entry(id.shard.clone()).or_insert(i64::MIN);
                *latest = (*latest).max(id.stream_time_micros);
            }
            objects.push(Retired { uri, until_micros });
        }
        Ok(objects)
    }
}

/// Reads an object of ids.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it is gone, unreadable or of another table; errors of the store.
pub async fn read(store: &Store, uri: &str, table_uuid: Uuid) -> Result<Vec<RetiredId>> {
    let damaged = |why: &str| {
        Error::corrupt(format!(
            "`{uri}`, which keeps the message ids of rows that were deleted, {why}: restore it from a backup or a noncurrent \
             version"
        ))
    };
    let content = store.read(uri).await.map_err(|e| match e.kind() {
        ErrorKind::NotFound => damaged("is gone").because(e),
        _ => e,
    })?;
    let found: VersionOnly = serde_json::from_slice(&content).map_err(|e| damaged("is unreadable").because(e))?;
    if found.version != VERSION {
        return Err(Error::invalid(format!(
            "`{uri}` has version {}, this program knows {VERSION}: use the icefold that wrote it, or a newer one",
            found.version
        )));
    }
    let object: Object = serde_json::from_slice(&content).map_err(|e| damaged("is unreadable").because(e))?;
    if object.table_uuid != table_uuid {
        return Err(damaged("belongs to another table"));
    }
    object.ids().ok_or_else(|| damaged("is unreadable"))
}

#[cfg(test)]
mod tests;
