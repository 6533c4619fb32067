//! One row per retained snapshot, oldest first: who its parent is, what it did, what the table held after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use iceberg::spec::SnapshotRef;
use icefold_catalog::{LoadedTable, keys};
use icefold_core::{Error, Result};

use super::{optional, required, schema_of, texts, time, times};

/// Columns that come from the summary, as whole numbers, with their keys there.
const NUMBERS: [(&str, &str); 9] = [
    ("added_records", "added-records"),
    ("deleted_records", "deleted-records"),
    ("added_data_files", "added-data-files"),
    ("deleted_data_files", "deleted-data-files"),
    ("total_records", "total-records"),
    ("total_data_files", "total-data-files"),
    ("total_delete_files", "total-delete-files"),
    ("total_position_deletes", "total-position-deletes"),
    ("total_equality_deletes", "total-equality-deletes"),
];

pub(super) fn schema() -> SchemaRef {
    let mut fields = vec![
        required("snapshot_id", DataType::Int64),
        optional("parent_id", DataType::Int64),
        required("sequence_number", DataType::Int64),
        required("committed_at", time()),
        required("operation", DataType::Utf8),
        required("is_current", DataType::Boolean),
        optional("commit_id", DataType::Utf8),
    ];
    fields.extend(NUMBERS.map(|(name, _)| optional(name, DataType::Int64)));
    fields.push(required("summary", DataType::Utf8));
    schema_of(fields)
}

pub(super) fn columns(table: &LoadedTable) -> Result<Vec<ArrayRef>> {
    let metadata = table.metadata();
    let snapshots = oldest_first(table);
    let current = metadata.current_snapshot_id();
    let each = || snapshots.iter();
    let summaries: Vec<String> = each().map(summary_json).collect::<Result<_>>()?;
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(each().map(|s| s.snapshot_id()))),
        Arc::new(Int64Array::from_iter(each().map(|s| s.parent_snapshot_id()))),
        Arc::new(Int64Array::from_iter_values(each().map(|s| s.sequence_number()))),
        times(each().map(|s| s.timestamp_ms())),
        texts(each().map(|s| s.summary().operation.as_str().to_owned())),
        Arc::new(BooleanArray::from_iter(each().map(|s| Some(Some(s.snapshot_id()) == current)))),
        Arc::new(StringArray::from_iter(each().map(|s| value(s, keys::COMMIT_ID)))),
    ];
    for (_, key) in NUMBERS {
        let numbers = each().map(|s| value(s, key).and_then(|text| text.parse::<i64>().ok()));
        columns.push(Arc::new(Int64Array::from_iter(numbers)));
    }
    columns.push(texts(summaries.iter()));
    Ok(columns)
}

/// Returns the retained snapshots in the order in which they were committed.
pub(super) fn oldest_first(table: &LoadedTable) -> Vec<SnapshotRef> {
    let mut snapshots: Vec<_> = table.metadata().snapshots().cloned().collect();
    snapshots.sort_by_key(|s| (s.sequence_number(), s.timestamp_ms(), s.snapshot_id()));
    snapshots
}

fn value<'a>(snapshot: &'a SnapshotRef, key: &str) -> Option<&'a str> {
    snapshot.summary().additional_properties.get(key).map(String::as_str)
}

/// Returns the summary as a JSON object with sorted keys.
fn summary_json(snapshot: &SnapshotRef) -> Result<String> {
    let sorted: BTreeMap<_, _> = snapshot.summary().additional_properties.iter().collect();
    serde_json::to_string(&sorted).map_err(|e| Error::bug("a snapshot summary has no JSON form").because(e))
}
