//! One row per manifest of a snapshot.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use iceberg::spec::{ManifestFile, Snapshot};
use icefold_catalog::LoadedTable;
use icefold_core::Result;

use super::{optional, required, schema_of, texts};

pub(super) fn schema() -> SchemaRef {
    schema_of(vec![
        required("manifest_path", DataType::Utf8),
        required("content", DataType::Utf8),
        required("length_bytes", DataType::Int64),
        required("spec_id", DataType::Int32),
        required("sequence_number", DataType::Int64),
        required("min_sequence_number", DataType::Int64),
        required("added_snapshot_id", DataType::Int64),
        optional("added_files", DataType::UInt32),
        optional("existing_files", DataType::UInt32),
        optional("deleted_files", DataType::UInt32),
        optional("added_rows", DataType::UInt64),
        optional("existing_rows", DataType::UInt64),
        optional("deleted_rows", DataType::UInt64),
    ])
}

pub(super) async fn columns(table: &LoadedTable, snapshot: Option<&Snapshot>) -> Result<Vec<ArrayRef>> {
    let manifests = match snapshot {
        Some(snapshot) => table.manifests(snapshot).await?,
        None => Vec::new(),
    };
    let each = || manifests.iter();
    let long = |get: fn(&ManifestFile) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(each().map(get))) };
    let files =
        |get: fn(&ManifestFile) -> Option<u32>| -> ArrayRef { Arc::new(UInt32Array::from_iter(each().map(get))) };
    let rows =
        |get: fn(&ManifestFile) -> Option<u64>| -> ArrayRef { Arc::new(UInt64Array::from_iter(each().map(get))) };
    Ok(vec![
        texts(each().map(|m| &m.manifest_path)),
        texts(each().map(|m| m.content.to_string())),
        long(|m| m.manifest_length),
        Arc::new(Int32Array::from_iter_values(each().map(|m| m.partition_spec_id))),
        long(|m| m.sequence_number),
        long(|m| m.min_sequence_number),
        long(|m| m.added_snapshot_id),
        files(|m| m.added_files_count),
        files(|m| m.existing_files_count),
        files(|m| m.deleted_files_count),
        rows(|m| m.added_rows_count),
        rows(|m| m.existing_rows_count),
        rows(|m| m.deleted_rows_count),
    ])
}
