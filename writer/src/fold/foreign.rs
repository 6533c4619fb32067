//! Rows that others put into `events` while a run goes on: a redrive, or another engine.
//!
//! A restart would find them in the table and take them for accepted ([`rebuild`](super::rebuild())); so does the run, from
//! the next batch on. Rewrites hold no row that was not there before; what other runs of the writer put there comes from
//! shards of their own, and is far too much to be read by each.

use std::collections::BTreeSet;

use iceberg::spec::Operation;
use icefold_catalog::{LoadedTable, lineage};
use icefold_core::{Result, ShardId};

use super::rebuild::{Columns, accepted, odd};
use crate::publish::CONTRACT;

/// A row that somebody else has put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignRow {
    pub(crate) shard: ShardId,
    /// xxh3-128 of its message id.
    pub(crate) message: u128,
    pub(crate) arrival_micros: i64,
}

/// Returns the snapshots by which others have added rows between two versions of a table; `own` is the
/// run's, if it made one.
pub(crate) fn foreign_snapshots(before: &LoadedTable, now: &LoadedTable, own: Option<i64>) -> BTreeSet<i64> {
    let since = before.metadata().current_snapshot_id();
    lineage::ancestors(now.metadata(), now.metadata().current_snapshot_id())
        .take_while(|snapshot| Some(snapshot.snapshot_id()) != since)
        .filter(|snapshot| Some(snapshot.snapshot_id()) != own && snapshot.summary().operation != Operation::Replace)
        .filter(|snapshot| lineage::summary(snapshot, CONTRACT).is_none())
        .map(|snapshot| snapshot.snapshot_id())
        .collect()
}

/// Reads the rows that `snapshots` have added to `events` and that arrived at `since` or later, in microseconds since 1970.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file cannot be read; errors of the store.
pub(crate) async fn foreign_rows(
    events: &LoadedTable,
    snapshots: &BTreeSet<i64>,
    since: i64,
) -> Result<Vec<ForeignRow>> {
    let Some(snapshot) = events.snapshot(None)? else { return Ok(Vec::new()) };
    let mut files = events.live_files(&snapshot).await?;
    files.retain(|live| snapshots.contains(&live.snapshot_id));
    let columns = Columns::of(events.metadata().current_schema())?;
    let mut found = Vec::new();
    for candidate in columns.candidates(files).into_iter().filter(|candidate| candidate.reaches(since)) {
        let file = candidate.place().open(events.store()).await?;
        for rows in columns.ids(&file, since).await? {
            let rows = rows?;
            let rows = accepted(&rows).ok_or_else(|| odd(&file))?;
            found.extend(rows.filter(|(_, _, arrival)| *arrival >= since).map(|(shard, message, arrival_micros)| {
                ForeignRow { shard: ShardId::new(shard), message, arrival_micros }
            }));
        }
    }
    Ok(found)
}
