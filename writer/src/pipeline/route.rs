//! Judged chunks to rows of tables and counts: the copying part, done by each worker away from every lock.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::max;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use icefold_core::tables::TableKind;
use icefold_core::{Counts, Result};

use super::epoch::Epoch;
use super::judge::Judged;
use super::resume::Place;
use crate::encode::partition::{Split, split_main_day};
use crate::encode::views::compact;
use crate::enrich::Enriched;
use crate::enrich::reference::Reference;
use crate::enrich::versions::{self, Versions};

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Piece {
    /// Place of the table in [`TableKind::ALL`].
    pub(super) table: usize,
    /// Day since 1970; `None` for rows of any day.
    pub(super) day: Option<i32>,
    pub(super) rows: RecordBatch,
}

/// What a chunk adds to the open batch.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) place: Place,
    pub(super) pieces: Vec<Piece>,
    /// What became of the rows.
    pub(super) counts: Counts,
    pub(super) records: u64,
    /// The latest arrival among the rows.
    pub(super) newest_arrival_micros: Option<i64>,
    /// Versions of what the rows were enriched with.
    pub(super) versions: Versions,
    pub(super) epoch: Arc<Epoch>,
}

/// Sorts the rows of a chunk by table, and most of them by partition.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the tables' columns.
pub(super) fn route(judged: Judged, reference: Option<&Reference>) -> Result<Routed> {
    let counts = counts(&judged);
    let Judged { place, enriched, epoch, folded } = judged;
    let Enriched { rows, mut versions } = enriched;
    let (records, newest_arrival_micros) = describe(&rows.raw);
    let accepted = folded.accepted();
    let mut pieces = Vec::new();
    for (table, kind) in TableKind::ALL.into_iter().enumerate() {
        let (new, keep) = match kind {
            TableKind::RawEvents => (rows.raw.clone(), None),
            TableKind::Quarantine => (rows.quarantine.clone(), None),
            TableKind::Identities => (folded.identities(&rows.events)?, None),
            TableKind::Events => (folded.complete(rows.events.clone(), reference)?, accepted.as_ref()),
        };
        let Split { main, stragglers } = split_main_day(kind, &new, keep)?;
        let main = main.map(|(day, rows)| (Some(day), rows));
        for (day, rows) in main.into_iter().chain(stragglers.map(|rows| (None, rows))) {
            pieces.push(Piece { table, day, rows: compact(rows)? });
        }
    }
    if let Some(reference) = reference {
        versions.add(versions::REFERENCE, reference.version());
    }
    Ok(Routed { place, pieces, counts, records, newest_arrival_micros, versions, epoch })
}

fn counts(judged: &Judged) -> Counts {
    let rows = &judged.enriched.rows;
    let events = rows.events.num_rows();
    let accepted = judged.folded.accepted().map_or(events, |mask| mask.true_count());
    Counts {
        rows_in: rows.raw.num_rows() as u64,
        accepted: accepted as u64,
        duplicate: (events - accepted) as u64,
        quarantined: rows.quarantine.num_rows() as u64,
    }
}

/// Returns the number of records (each has one row with sub-offset 0) and the latest arrival.
fn describe(raw: &RecordBatch) -> (u64, Option<i64>) {
    let sub_offsets = raw.column(TableKind::RawEvents.index_of("sub_offset")).as_primitive_opt::<Int32Type>();
    let records = sub_offsets.map_or(0, |s| s.values().iter().filter(|sub_offset| **sub_offset == 0).count());
    let arrivals = raw.column(TableKind::RawEvents.index_of("arrival_time"));
    (records as u64, arrivals.as_primitive_opt::<TimestampMicrosecondType>().and_then(max))
}
