//! Rows that others put into `events` while a run goes on: a redrive, or another engine.
//!
//! A restart would find them in the table and take them for accepted ([`rebuild`](super::rebuild())); so does the run, from
//! the next batch on. Rewrites hold no row that was not there before; what other runs of the writer put there comes from
//! shards of their own, and is far too much to be read by each.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use iceberg::spec::Operation;
use icefold_catalog::{LoadedTable, lineage};
use icefold_core::{Offset, Result, ShardId};

use super::rebuild::{IDS, accepted, field_ids};
use super::rows::{Candidate, Deleted};
use crate::publish::CONTRACT;

/// A row that somebody else has put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignRow {
    pub(crate) shard: ShardId,
    /// Where its record lies.
    pub(crate) at: Offset,
    /// xxh3-128 of its message id.
    pub(crate) message: u128,
    pub(crate) stream_time_micros: i64,
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

/// Reads the rows that `snapshots` have added to `events` with `stream_time` `since` or later, in microseconds since 1970.
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
    let columns =
        field_ids(events.metadata().current_schema(), &[&IDS[..], &["shard", "segment", "source_offset"]].concat())?;
    let stream_time = columns[1];
    let mut found = Vec::new();
    for candidate in Candidate::among(files, stream_time, columns[IDS.len()]).iter().filter(|c| c.reaches(since)) {
        let file = candidate.open(events.store()).await?;
        let rows = file.read(&columns, stream_time, since, Deleted::Count).await?;
        rows.each(|rows| {
            found.extend(foreign(rows)?.filter(|row| row.stream_time_micros >= since));
            Some(())
        })?;
    }
    Ok(found)
}

/// `None` when a column is of another type.
fn foreign(rows: &RecordBatch) -> Option<impl Iterator<Item = ForeignRow>> {
    let text = |column: usize| rows.column(column).as_string_opt::<i32>();
    let (shards, segments) = (text(IDS.len())?, text(IDS.len() + 1)?);
    let offsets = rows.column(IDS.len() + 2).as_primitive_opt::<Int64Type>()?;
    Some(accepted(rows)?.map(|(row, message, stream_time_micros)| ForeignRow {
        shard: ShardId::new(shards.value(row)),
        at: Offset::new(segments.value(row), u64::try_from(offsets.value(row)).unwrap_or(0)),
        message,
        stream_time_micros,
    }))
}
