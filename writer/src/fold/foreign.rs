//! What others do to the tables while a run goes on: a redrive, maintenance, or another engine.
//!
//! Rows that they put into `events` a restart would find there and take for accepted ([`rebuild`](super::rebuild())); so does
//! the run, from the next batch on. Rewrites hold no row that was not there before; what other runs of the writer put
//! there comes from shards of their own, and is far too much to be read by each. Where they removed rows, the run forgets what
//! it knew by them: it stops for a moment and reads back what is left ([`refold`](super::refold)).

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use iceberg::spec::Operation;
use icefold_catalog::retired::{removes_rows, takes_ids};
use icefold_catalog::{LiveFile, LoadedTable, lineage};
use icefold_core::{Offset, Result, ShardId};

use super::rebuild::{IDS, accepted, field_ids};
use super::rows::{Candidate, Rows};
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

/// What others have done to a table between two versions of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Snapshots by which they may have added rows.
    pub(crate) adding: BTreeSet<i64>,
    /// Snapshots by which ids may have gone with their data files.
    pub(crate) taking: BTreeSet<i64>,
    /// Whether rows may be gone, by whatever kind of delete.
    pub(crate) removed: bool,
}

/// Finds out what others have done to a table between two versions of it; `own` is the snapshot that the run made, if it did.
pub(crate) fn foreign(before: &LoadedTable, now: &LoadedTable, own: Option<i64>) -> Foreign {
    let (since, current) = (before.metadata().current_snapshot_id(), now.metadata().current_snapshot_id());
    let mut found = Foreign::default();
    let mut parent = current;
    for snapshot in lineage::ancestors(now.metadata(), current) {
        if Some(snapshot.snapshot_id()) == since {
            return found;
        }
        parent = snapshot.parent_snapshot_id();
        if Some(snapshot.snapshot_id()) == own {
            continue;
        }
        if takes_ids(now.metadata(), snapshot) {
            found.taking.insert(snapshot.snapshot_id());
        }
        if snapshot.summary().operation == Operation::Replace {
            continue;
        }
        found.removed |= removes_rows(snapshot);
        if lineage::summary(snapshot, CONTRACT).is_none() {
            found.adding.insert(snapshot.snapshot_id());
        }
    }
    // Where the way to what was known is cut off, snapshots have expired that nobody looked at.
    found.removed |= parent != since;
    found
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
    let columns = ForeignColumns::of(events)?;
    let mut found = Vec::new();
    for candidate in columns.candidates(files).iter().filter(|c| c.reaches(since)) {
        columns.read(events, candidate, since, |row| found.push(row)).await?;
    }
    Ok(found)
}

/// Ids of the columns of `events` that tell which row is which.
pub(super) struct ForeignColumns(Vec<i32>);

impl ForeignColumns {
    pub(super) fn of(events: &LoadedTable) -> Result<Self> {
        let names = [&IDS[..], &["shard", "segment", "source_offset"]].concat();
        field_ids(events.metadata().current_schema(), &names).map(ForeignColumns)
    }

    pub(super) fn candidates(&self, files: Vec<LiveFile>) -> Vec<Candidate> {
        Candidate::among(files, self.stream_time(), self.0[IDS.len()])
    }

    /// Reads the rows of a file with `stream_time` `since` or later, those too that delete files take.
    pub(super) async fn read(
        &self,
        events: &LoadedTable,
        candidate: &Candidate,
        since: i64,
        mut take: impl FnMut(ForeignRow),
    ) -> Result<()> {
        let file = candidate.open(events.store()).await?;
        file.each(Rows { columns: &self.0, by: self.stream_time(), since }, None, |rows| {
            foreign_of(rows)?.filter(|row| row.stream_time_micros >= since).for_each(&mut take);
            Some(())
        })
        .await
    }

    fn stream_time(&self) -> i32 {
        self.0[1]
    }
}

/// `None` when a column is of another type.
fn foreign_of(rows: &RecordBatch) -> Option<impl Iterator<Item = ForeignRow>> {
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
