//! Checks invariants W1, W2, T1, T2 and K3 on real tables, at every retained snapshot, from metadata, checkpoint objects
//! and a listing. Rows are not read here; `icefold verify` adds the checks that read them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, DataFile, SnapshotRef};
use icefold_core::tables::TableKind;
use icefold_core::{ErrorKind, Invariant, Result};
use serde::Serialize;

use crate::checkpoint::{self, Progress};
use crate::keys;
use crate::lineage::{Standing, summary};
use crate::metadata;
use crate::table::{LiveFile, LoadedTable, has_live_files};

/// Checkpoint objects read at the same time.
const READ_CONCURRENCY: usize = 16;

/// One check of one invariant on one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Number of the invariant.
    pub invariant: &'static str,
    /// The table.
    pub table: String,
    /// What was looked at, for example "14 snapshots".
    pub looked_at: String,
    /// What breaks the invariant; empty when it holds.
    pub broken: Vec<String>,
    /// Why a part could not be checked, if so.
    pub note: Option<String>,
}

impl Check {
    fn new(invariant: Invariant, table: &LoadedTable, looked_at: String, broken: Vec<String>) -> Self {
        Check { invariant: invariant.name(), table: table.name().to_owned(), looked_at, broken, note: None }
    }

    /// Returns whether the invariant holds.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Checks one table.
///
/// # Errors
/// When the table cannot be read; what can be read and is wrong is a broken check, not an error.
pub async fn verify(table: &LoadedTable) -> Result<Vec<Check>> {
    let snapshots: Vec<SnapshotRef> = table.metadata().snapshots().cloned().collect();
    let mut facts = Facts { live: BTreeMap::new(), broken_lists: Vec::new() };
    facts.read(table, &snapshots).await?;
    let progress = read_progress(table, &snapshots).await?;
    Ok(vec![
        unique_entries(table, &facts),
        existing_objects(table, &facts).await?,
        balanced_counts(table, &snapshots, &progress),
        rows_match_counts(table, &snapshots, &progress, &facts),
        forward_only(table, &progress).await?,
    ])
}

/// Live files per snapshot; manifests shared by snapshots are read once.
struct Facts {
    live: BTreeMap<i64, Vec<std::sync::Arc<Vec<LiveFile>>>>,
    broken_lists: Vec<String>,
}

impl Facts {
    async fn read(&mut self, table: &LoadedTable, snapshots: &[SnapshotRef]) -> Result<()> {
        let mut read: HashMap<String, std::sync::Arc<Vec<LiveFile>>> = HashMap::new();
        for snapshot in snapshots {
            let manifests = match table.manifests(snapshot).await {
                Ok(manifests) => manifests,
                Err(e) => {
                    self.broken_lists.push(format!("snapshot {}: {e}", snapshot.snapshot_id()));
                    continue;
                }
            };
            let mut parts = Vec::new();
            for manifest in manifests.into_iter().filter(has_live_files) {
                if let Some(known) = read.get(&manifest.manifest_path) {
                    parts.push(known.clone());
                    continue;
                }
                match table.manifest_entries(&manifest).await {
                    Ok(entries) => {
                        let entries = std::sync::Arc::new(entries);
                        read.insert(manifest.manifest_path.clone(), entries.clone());
                        parts.push(entries);
                    }
                    Err(e) => self.broken_lists.push(format!("snapshot {}: {e}", snapshot.snapshot_id())),
                }
            }
            self.live.insert(snapshot.snapshot_id(), parts);
        }
        Ok(())
    }

    fn files(&self, snapshot_id: i64) -> impl Iterator<Item = &LiveFile> {
        self.live.get(&snapshot_id).into_iter().flatten().flat_map(|part| part.iter())
    }
}

async fn read_progress(
    table: &LoadedTable,
    snapshots: &[SnapshotRef],
) -> Result<BTreeMap<i64, Result<Progress, String>>> {
    let own: Vec<(i64, String)> = snapshots
        .iter()
        .filter_map(|s| summary(s, keys::CHECKPOINT).map(|uri| (s.snapshot_id(), uri.to_owned())))
        .collect();
    let reads = own.into_iter().map(|(id, uri)| async move {
        let read = checkpoint::read(table.store(), &uri, table.metadata().uuid()).await;
        Ok((id, read.map_err(|e| e.to_string())))
    });
    stream::iter(reads).buffered(READ_CONCURRENCY).try_collect().await
}

fn unique_entries(table: &LoadedTable, facts: &Facts) -> Check {
    let mut broken = Vec::new();
    for id in facts.live.keys() {
        let mut seen = HashSet::new();
        for f in facts.files(*id).filter(|f| !seen.insert(f.file.file_path())) {
            broken.push(format!("snapshot {id}: file `{}` has two live entries", f.file.file_path()));
        }
    }
    Check::new(Invariant::T1, table, format!("{} snapshots", facts.live.len()), broken)
}

async fn existing_objects(table: &LoadedTable, facts: &Facts) -> Result<Check> {
    let location = table.metadata().location();
    let listed = table.store().list(location).await?;
    let listed: HashMap<&str, u64> = listed.iter().map(|o| (o.uri.as_str(), o.size_bytes)).collect();
    let mut seen = BTreeSet::new();
    let mut broken = facts.broken_lists.clone();
    for f in facts.live.keys().flat_map(|id| facts.files(*id)) {
        if !seen.insert(f.file.file_path()) {
            continue;
        }
        let expected = f.file.file_size_in_bytes();
        let found = match listed.get(f.file.file_path()) {
            Some(size) => Some(*size),
            // Another engine may have put the file elsewhere, or spell its URI in another way.
            None => table.store().size(f.file.file_path()).await?,
        };
        match found {
            None => broken.push(format!("file `{}` does not exist", f.file.file_path())),
            Some(size) if size != expected => {
                broken.push(format!("file `{}` has {size} bytes, the manifest says {expected}", f.file.file_path()));
            }
            Some(_) => {}
        }
    }
    Ok(Check::new(Invariant::T2, table, format!("{} files", seen.len()), broken))
}

fn balanced_counts(
    table: &LoadedTable,
    snapshots: &[SnapshotRef],
    progress: &BTreeMap<i64, Result<Progress, String>>,
) -> Check {
    let mut broken = Vec::new();
    for s in snapshots {
        let id = s.snapshot_id();
        let Some(read) = progress.get(&id) else { continue };
        match read {
            Err(e) => broken.push(format!("snapshot {id}: {e}")),
            Ok(p) => {
                if table.name() == TableKind::Events.name() && !p.totals.balance() {
                    broken.push(format!("snapshot {id}: {:?} do not add up", p.totals));
                }
                for (key, value) in p.totals.summary(keys::TOTAL_PREFIX) {
                    if summary(s, &key) != Some(&value) {
                        broken.push(format!(
                            "snapshot {id}: summary says `{key}` = {:?}, the checkpoint says {value}",
                            summary(s, &key)
                        ));
                    }
                }
            }
        }
    }
    Check::new(Invariant::W2, table, format!("{} snapshots", progress.len()), broken)
}

/// Rows in the table at a snapshot, counted from its manifests, must be what the checkpoint's totals say.
fn rows_match_counts(
    table: &LoadedTable,
    snapshots: &[SnapshotRef],
    progress: &BTreeMap<i64, Result<Progress, String>>,
    facts: &Facts,
) -> Check {
    let foreign = snapshots.iter().find(|s| summary(s, keys::COMMIT_ID).is_none());
    let mut broken = Vec::new();
    // What icefold committed before another engine came is compared all the same.
    let mut check_note = foreign.map(|s| format!("snapshot {} was made by another engine", s.snapshot_id()));
    for (id, p) in progress.iter().filter_map(|(id, p)| p.as_ref().ok().map(|p| (id, p))) {
        if p.changed_by_others {
            check_note = Some("not only the stream changed the table: row counts are not compared since".to_owned());
            continue;
        }
        let Some(expected) = expected_rows(table.name(), p) else { continue };
        let found: u64 = facts.files(*id).map(|f| rows_of(&f.file)).sum();
        if found != expected {
            broken.push(format!("snapshot {id}: {found} rows, the stream up to its checkpoint gives {expected}"));
        }
    }
    Check { note: check_note, ..Check::new(Invariant::W1, table, format!("{} snapshots", progress.len()), broken) }
}

fn rows_of(file: &DataFile) -> u64 {
    if file.content_type() == DataContentType::Data { file.record_count() } else { 0 }
}

fn expected_rows(table: &str, progress: &Progress) -> Option<u64> {
    let kind = TableKind::ALL.into_iter().find(|kind| kind.name() == table)?;
    Some(match kind {
        TableKind::RawEvents => progress.totals.rows_in,
        TableKind::Events => progress.totals.accepted,
        TableKind::Quarantine => progress.totals.quarantined,
        // How many sightings there are, the counts of events do not tell.
        TableKind::Identities => return None,
    })
}

async fn forward_only(table: &LoadedTable, progress: &BTreeMap<i64, Result<Progress, String>>) -> Result<Check> {
    let mut broken = Vec::new();
    let mut note = None;
    if let Some(refusal) = metadata::refusal(table.store(), table.metadata_location()).await? {
        let at = table.metadata_location();
        broken.push(format!("other engines refuse `{at}`, until the next commit of icefold: {refusal}"));
    }
    match table.standing().await {
        Ok(Standing::Fresh) => {}
        Ok(Standing::At(stated)) => {
            if let Err(e) = checkpoint::read(table.store(), &stated.uri, table.metadata().uuid()).await {
                broken.push(e.to_string());
            }
            note = (!table.metadata().properties().contains_key(keys::CHECKPOINT)).then(|| {
                format!("the checkpoint's properties were dropped: snapshot {} is proven to hold", stated.snapshot_id)
            });
        }
        Ok(Standing::Halt(halt)) => {
            broken.push(halt.error(table.name(), table.metadata().current_snapshot_id()).message().to_owned());
        }
        Err(e) if e.kind() == ErrorKind::Corrupt => broken.push(e.to_string()),
        Err(e) => return Err(e),
    }
    let mut own: Vec<&SnapshotRef> =
        table.metadata().snapshots().filter(|s| progress.contains_key(&s.snapshot_id())).collect();
    own.sort_by_key(|s| s.sequence_number());
    for pair in own.windows(2) {
        let [older, newer] = [pair[0].snapshot_id(), pair[1].snapshot_id()];
        let (Some(Ok(before)), Some(Ok(after))) = (progress.get(&older), progress.get(&newer)) else { continue };
        for (shard, position) in before.checkpoint.iter() {
            let now = after.checkpoint.next(shard);
            if now < position.next {
                broken.push(format!(
                    "shard `{shard}` goes back from `{}` in snapshot {older} to `{now}` in snapshot {newer}",
                    position.next
                ));
            }
        }
    }
    Ok(Check { note, ..Check::new(Invariant::K3, table, format!("{} checkpoints", own.len()), broken) })
}
