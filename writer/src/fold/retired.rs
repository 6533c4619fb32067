//! Which message ids went with data files that a snapshot removed from `events`: a producer's retry must not bring a deleted
//! row back, and a restart does not find it in the table any more.
//!
//! Ids in files that are live in the snapshot's parent and not in it, without those in files that it added: these were only
//! written anew. What lies before the dedup window of its shard does not count.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use iceberg::spec::{ManifestContentType, ManifestFile};
use icefold_catalog::retired::{self, RetiredId};
use icefold_catalog::table::has_live_files;
use icefold_catalog::{LiveFile, LoadedTable, Progress, Settled, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Error, ErrorKind, Result, ShardId};

use super::foreign::{ForeignColumns, ForeignRow};
use crate::settings::Settings;

/// From when on ids count, by shard.
struct Horizons {
    by_shard: BTreeMap<ShardId, i64>,
    earliest: i64,
}

impl Horizons {
    /// A shard's ids count for those that continue it, too, which may be behind it.
    fn at(checkpoint: &Checkpoint, window_micros: i64) -> Self {
        let mut by_shard: BTreeMap<ShardId, i64> = BTreeMap::new();
        for (shard, position) in checkpoint.iter() {
            let since = position.stream_time_micros.unwrap_or(i64::MIN).saturating_sub(window_micros);
            for shard in super::rebuild::past(shard, checkpoint).into_keys().chain([shard.clone()]) {
                let known = by_shard.entry(shard).or_insert(since);
                *known = (*known).min(since);
            }
        }
        let earliest = by_shard.values().copied().min().unwrap_or(i64::MAX);
        Horizons { by_shard, earliest }
    }

    fn counts(&self, row: &ForeignRow) -> bool {
        self.by_shard.get(&row.shard).is_some_and(|since| row.stream_time_micros >= *since)
    }
}

/// Works out which ids the snapshots took away that no run has looked at yet, and writes them down. `events` is the table as
/// loaded, `progress` where it stands.
///
/// # Errors
/// Errors of the store. What is gone for good is told of and settled without it.
pub(crate) async fn settle(
    warehouse: &Warehouse,
    events: &LoadedTable,
    progress: &Progress,
    settings: &Settings,
) -> Result<Vec<Settled>> {
    let pending = retired::pending(events.metadata(), progress).snapshots;
    settle_snapshots(warehouse, events, &progress.checkpoint, settings, &pending).await
}

/// The same for the snapshots `pending`; `checkpoint` is where the stream is.
///
/// # Errors
/// As [`settle`].
pub(crate) async fn settle_snapshots(
    warehouse: &Warehouse,
    events: &LoadedTable,
    checkpoint: &Checkpoint,
    settings: &Settings,
    pending: &[i64],
) -> Result<Vec<Settled>> {
    let mut settled = Vec::new();
    if pending.is_empty() {
        return Ok(settled);
    }
    let horizons = Horizons::at(checkpoint, window_micros(settings));
    for snapshot_id in pending.iter().copied() {
        let ids = match removed_ids(events, snapshot_id, &horizons).await {
            Ok(ids) => ids,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
                warn_of_gone(snapshot_id, &e);
                Vec::new()
            }
            Err(e) => return Err(e),
        };
        if !ids.is_empty() {
            tracing::info!(snapshot_id, ids = ids.len(), "rows of the dedup window are deleted: their ids are kept");
        }
        let objects = warehouse.write_retired(events.metadata().uuid(), ids).await?;
        settled.push(Settled { snapshot_id, objects });
    }
    Ok(settled)
}

/// Returns how long ids count.
pub(crate) fn window_micros(settings: &Settings) -> i64 {
    i64::try_from(settings.dedup_window().as_micros()).unwrap_or(i64::MAX)
}

fn warn_of_gone(snapshot_id: i64, error: &Error) {
    tracing::warn!(
        table = TableKind::Events.name(),
        snapshot_id,
        error = ?error,
        "which rows a snapshot deleted cannot be told any more, its files are gone: a producer's retry within the dedup window may \
         bring such a row in again"
    );
}

async fn removed_ids(events: &LoadedTable, snapshot_id: i64, horizons: &Horizons) -> Result<Vec<RetiredId>> {
    let Some((removed, added)) = changed_files(events, snapshot_id).await? else { return Ok(Vec::new()) };
    let mut gone: HashMap<u128, Vec<ForeignRow>> = HashMap::new();
    let mut missing = None;
    for row in rows_of(events, removed, horizons, &mut missing).await? {
        gone.entry(row.message).or_default().push(row);
    }
    if let Some(error) = missing {
        warn_of_gone(snapshot_id, &error);
    }
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    // A file that is gone by now only means that more is kept than needed.
    for row in rows_of(events, added, horizons, &mut None).await? {
        if let Some(rows) = gone.get_mut(&row.message) {
            rows.retain(|other| (&other.shard, &other.at) != (&row.shard, &row.at));
        }
    }
    let ids = gone.into_values().flatten().map(|row| RetiredId {
        shard: row.shard,
        at: row.at,
        message: row.message,
        stream_time_micros: row.stream_time_micros,
    });
    Ok(ids.collect())
}

/// Returns the data files that a snapshot removed and those that it added; `None` for a rewrite of files without deleted rows.
async fn changed_files(events: &LoadedTable, snapshot_id: i64) -> Result<Option<(Vec<LiveFile>, Vec<LiveFile>)>> {
    let unknown = || Error::bug(format!("snapshot `{snapshot_id}` was found without its table"));
    let snapshot = events.snapshot(Some(snapshot_id))?.ok_or_else(unknown)?;
    let Some(parent) = snapshot.parent_snapshot_id() else {
        // The first one of all has nothing to remove; the parent of any other has expired, and its name with it.
        let blanked = || Error::new(ErrorKind::NotFound, "the snapshot before it has expired");
        return if snapshot.sequence_number() <= 1 { Ok(None) } else { Err(blanked()) };
    };
    let parent = events.snapshot(Some(parent))?.ok_or_else(unknown)?;
    let (before, after) = (manifests(events, &parent).await?, manifests(events, &snapshot).await?);
    let is_rewrite = snapshot.summary().operation == iceberg::spec::Operation::Replace;
    if is_rewrite && !before.iter().any(|m| m.content == ManifestContentType::Deletes) {
        return Ok(None);
    }
    // Most manifests are shared.
    let paths = |manifests: &[ManifestFile]| -> HashSet<String> {
        manifests.iter().map(|manifest| manifest.manifest_path.clone()).collect()
    };
    let (in_before, in_after) = (paths(&before), paths(&after));
    let was = data_files(events, before.iter().filter(|m| !in_after.contains(&m.manifest_path))).await?;
    let is = data_files(events, after.iter().filter(|m| !in_before.contains(&m.manifest_path))).await?;
    let not_in = |files: &[LiveFile], others: &[LiveFile]| -> Vec<LiveFile> {
        let others: BTreeSet<&str> = others.iter().map(|other| other.file.file_path()).collect();
        files.iter().filter(|live| !others.contains(live.file.file_path())).cloned().collect()
    };
    Ok(Some((not_in(&was, &is), not_in(&is, &was))))
}

async fn manifests(events: &LoadedTable, snapshot: &iceberg::spec::Snapshot) -> Result<Vec<ManifestFile>> {
    Ok(events.manifests(snapshot).await?.into_iter().filter(has_live_files).collect())
}

async fn data_files(events: &LoadedTable, manifests: impl Iterator<Item = &ManifestFile>) -> Result<Vec<LiveFile>> {
    let mut files = Vec::new();
    for manifest in manifests.filter(|m| m.content == ManifestContentType::Data) {
        files.extend(events.manifest_entries(manifest).await?);
    }
    Ok(files)
}

/// Reads the rows of files that count; what is gone is left out, and told by `missing`.
async fn rows_of(
    events: &LoadedTable,
    files: Vec<LiveFile>,
    horizons: &Horizons,
    missing: &mut Option<Error>,
) -> Result<Vec<ForeignRow>> {
    let columns = ForeignColumns::of(events)?;
    let mut found = Vec::new();
    for candidate in columns.candidates(files).iter().filter(|file| file.reaches(horizons.earliest)) {
        let take = |row: ForeignRow| found.extend(Some(row).filter(|row| horizons.counts(row)));
        match columns.read(events, candidate, horizons.earliest, take).await {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => *missing = Some(e),
            other => other?,
        }
    }
    Ok(found)
}
