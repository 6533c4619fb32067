//! One row per live data or delete file of a snapshot.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use iceberg::spec::{DataContentType, NestedFieldRef, Snapshot, TableMetadata};
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::Result;

use super::{optional, required, schema_of, texts};

pub(super) fn schema() -> SchemaRef {
    schema_of(vec![
        required("content", DataType::Utf8),
        required("file_path", DataType::Utf8),
        required("file_format", DataType::Utf8),
        required("partition", DataType::Utf8),
        required("spec_id", DataType::Int32),
        required("record_count", DataType::UInt64),
        required("size_bytes", DataType::UInt64),
        required("snapshot_id", DataType::Int64),
        required("data_sequence_number", DataType::Int64),
        required("file_sequence_number", DataType::Int64),
        optional("equality_columns", DataType::Utf8),
        optional("sort_order_id", DataType::Int32),
    ])
}

pub(super) async fn columns(table: &LoadedTable, snapshot: Option<&Snapshot>) -> Result<Vec<ArrayRef>> {
    let files = match snapshot {
        Some(snapshot) => table.live_files(snapshot).await?,
        None => Vec::new(),
    };
    let metadata = table.metadata();
    let each = || files.iter();
    let long = |get: fn(&LiveFile) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(each().map(get))) };
    let count = |get: fn(&LiveFile) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(each().map(get))) };
    Ok(vec![
        texts(each().map(|f| content(f.file.content_type()))),
        texts(each().map(|f| f.file.file_path())),
        texts(each().map(|f| f.file.file_format().to_string())),
        texts(each().map(|f| partition(metadata, f))),
        Arc::new(Int32Array::from_iter_values(each().map(|f| f.spec_id))),
        count(|f| f.file.record_count()),
        count(|f| f.file.file_size_in_bytes()),
        long(|f| f.snapshot_id),
        long(|f| f.data_sequence_number),
        long(|f| f.file_sequence_number),
        Arc::new(StringArray::from_iter(each().map(|f| equality_columns(metadata, f)))),
        Arc::new(Int32Array::from_iter(each().map(|f| f.file.sort_order_id()))),
    ])
}

fn content(kind: DataContentType) -> &'static str {
    match kind {
        DataContentType::Data => "data",
        DataContentType::PositionDeletes => "position deletes",
        DataContentType::EqualityDeletes => "equality deletes",
    }
}

/// Returns the partition as `name=value/name=value`, empty without partitioning.
fn partition(metadata: &TableMetadata, file: &LiveFile) -> String {
    let Some(spec) = metadata.partition_spec_by_id(file.spec_id) else { return String::new() };
    let values = file.file.partition().fields();
    let parts = spec.fields().iter().zip(values).map(|(field, value)| {
        // The source column may have been dropped since; then its type is in an older schema.
        let kind = column(metadata, field.source_id).and_then(|c| field.transform.result_type(&c.field_type).ok());
        let value = match kind {
            Some(kind) if kind.is_primitive() => field.transform.to_human_string(&kind, value.as_ref()),
            _ => "?".to_owned(),
        };
        format!("{}={value}", field.name)
    });
    parts.collect::<Vec<_>>().join("/")
}

fn equality_columns(metadata: &TableMetadata, file: &LiveFile) -> Option<String> {
    let ids = file.file.equality_ids().filter(|ids| !ids.is_empty())?;
    let names = ids.iter().map(|id| column(metadata, *id).map_or_else(|| id.to_string(), |c| c.name.clone()));
    Some(names.collect::<Vec<_>>().join(","))
}

/// Returns a column by id, from the current schema or else the newest one that has it.
fn column(metadata: &TableMetadata, id: i32) -> Option<&NestedFieldRef> {
    let older = || metadata.schemas_iter().filter_map(|s| Some((s.schema_id(), s.field_by_id(id)?)));
    metadata.current_schema().field_by_id(id).or_else(|| older().max_by_key(|s| s.0).map(|s| s.1))
}
