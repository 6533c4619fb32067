//! One row per retained snapshot and shard: how far the table was in the stream, and what became of everything before.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::SnapshotRef;
use icefold_catalog::{LoadedTable, Progress};
use icefold_core::{Counts, ErrorKind, Result};

use super::snapshots::oldest_first;
use super::{required, schema_of, texts, time, times};

/// Checkpoint objects read at a time.
const CHECKPOINTS_AT_A_TIME: usize = 16;

pub(super) fn schema() -> SchemaRef {
    schema_of(vec![
        required("snapshot_id", DataType::Int64),
        required("committed_at", time()),
        required("shard", DataType::Utf8),
        required("segment", DataType::Utf8),
        required("position", DataType::UInt64),
        required("rows_in", DataType::UInt64),
        required("accepted", DataType::UInt64),
        required("duplicate", DataType::UInt64),
        required("quarantined", DataType::UInt64),
    ])
}

pub(super) async fn columns(table: &LoadedTable) -> Result<Vec<ArrayRef>> {
    let reads = oldest_first(table).into_iter().map(|snapshot| async move {
        match table.progress_at(snapshot.snapshot_id()).await {
            Ok(progress) => Ok(Some((snapshot, progress))),
            // Of another engine's snapshot nobody knows it, once the one before it has expired.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    });
    let read: Vec<Option<(SnapshotRef, Progress)>> =
        stream::iter(reads).buffered(CHECKPOINTS_AT_A_TIME).try_collect().await?;
    let read: Vec<(SnapshotRef, Progress)> = read.into_iter().flatten().collect();
    let rows: Vec<_> = read
        .iter()
        .flat_map(|(snapshot, progress)| {
            progress.checkpoint.iter().map(move |(shard, position)| (snapshot, shard, position, &progress.totals))
        })
        .collect();
    let count = |get: fn(&Counts) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, _, _, totals)| get(totals))))
    };
    Ok(vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(snapshot, ..)| snapshot.snapshot_id()))),
        times(rows.iter().map(|(snapshot, ..)| snapshot.timestamp_ms())),
        texts(rows.iter().map(|(_, shard, ..)| shard.as_str())),
        texts(rows.iter().map(|(_, _, position, _)| &position.next.segment)),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, _, position, _)| position.next.position))),
        count(|totals| totals.rows_in),
        count(|totals| totals.accepted),
        count(|totals| totals.duplicate),
        count(|totals| totals.quarantined),
    ])
}
