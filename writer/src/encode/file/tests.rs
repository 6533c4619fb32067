//! What is written can be read, and manifests tell the truth about it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use iceberg::spec::{Datum, PrimitiveLiteral};
use icefold_core::tables::TableKind;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::chunk::SHAPE;

/// Rows of `quarantine` with the given times; `source_offset` is the row's number.
pub(crate) fn quarantine_rows(times: &[i64]) -> RecordBatch {
    let schema = TableKind::Quarantine.arrow_schema().expect("schema");
    let rows = times.len();
    let column = |field: &Field| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            ("arrival_time" | "stream_time", _) => Arc::new(timestamps(times)),
            ("source_offset", _) => Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(0..rows as i64)),
            ("sub_offset", _) => Arc::new(PrimitiveArray::<Int32Type>::from_value(0, rows)),
            ("payload", _) => Arc::new(LargeBinaryArray::from_iter_values(std::iter::repeat_n(b"{broken", rows))),
            (name, DataType::Utf8) if !field.is_nullable() => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(format!("{name} of all rows"), rows)))
            }
            (_, kind) => new_null_array(kind, rows),
        }
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(|f| column(f)).collect()).expect("columns fit")
}

use arrow::array::{LargeBinaryArray, PrimitiveArray, StringArray};
use arrow::datatypes::Field;

fn timestamps(micros: &[i64]) -> PrimitiveArray<TimestampMicrosecondType> {
    PrimitiveArray::from_iter_values(micros.iter().copied()).with_timezone("+00:00")
}

fn encoder() -> TableEncoder {
    TableEncoder::new(TableKind::Quarantine, 3, 1).expect("encoder")
}

fn assemble(groups: &[&[RecordBatch]]) -> EncodedFile {
    let encoder = encoder();
    let groups = groups.iter().map(|pieces| encoder.encode(pieces.to_vec()).expect("encodes")).collect();
    encoder.assemble("memory:///t/data/f.parquet".into(), 5, groups).expect("assembles")
}

fn read(file: &EncodedFile) -> Vec<RecordBatch> {
    let bytes = Bytes::from(file.parts.concat());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
    reader.build().expect("reader").map(|batch| batch.expect("rows")).collect()
}

#[test]
fn row_groups_are_read_back_in_order() {
    let pieces = [quarantine_rows(&[1, 2]), quarantine_rows(&[3]), quarantine_rows(&[]), quarantine_rows(&[4, 5])];
    let file = assemble(&[&pieces[..2], &pieces[2..]]);
    let rows = read(&file);
    let rows = concat_batches(rows[0].schema_ref(), &rows).expect("one schema");
    let times = rows.column_by_name("stream_time").expect("column").to_data();
    assert_eq!(times.buffers()[0].typed_data::<i64>(), [1, 2, 3, 4, 5]);
    assert_eq!(file.file.split_offsets().expect("offsets").len(), 2);
}

#[test]
fn rows_that_tell_their_shape_come_together_whole_and_in_order() {
    let with_shapes = |times: &[i64], shapes: &[u32]| {
        let rows = quarantine_rows(times);
        let shape = Field::new(SHAPE, DataType::UInt32, false);
        let fields: Vec<_> = rows.schema().fields().iter().cloned().chain([Arc::new(shape)]).collect();
        let shapes: ArrayRef = Arc::new(UInt32Array::from(shapes.to_vec()));
        let columns = rows.columns().iter().cloned().chain([shapes]).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
    };
    let file = assemble(&[&[with_shapes(&[10, 11, 12], &[7, 2, 7]), with_shapes(&[20, 21], &[2, 5])]]);
    let rows = read(&file).remove(0);
    let values = |column: &str| rows.column_by_name(column).expect("column").to_data().buffers()[0].clone();
    assert_eq!(values("stream_time").typed_data::<i64>(), [11, 20, 21, 10, 12]);
    assert_eq!(values("source_offset").typed_data::<i64>(), [1, 0, 1, 0, 2], "every column in the same order");
    assert_eq!(rows.num_columns(), TableKind::Quarantine.columns().len(), "the shape itself is not written");
    assert_eq!(file.file.record_count(), 5);
}

#[test]
fn the_manifest_entry_tells_the_truth() {
    let file = assemble(&[&[quarantine_rows(&[7, 3])], &[quarantine_rows(&[9])]]);
    let entry = &file.file;
    assert_eq!(entry.record_count(), 3);
    assert_eq!(entry.file_size_in_bytes(), file.parts.iter().map(|p| p.len() as u64).sum::<u64>());
    assert_eq!(entry.partition()[0].as_ref().and_then(|l| l.as_primitive_literal()), Some(PrimitiveLiteral::Int(5)));
    let id = |name| TableKind::Quarantine.index_of(name) as i32 + 1;
    let time = id("stream_time");
    assert_eq!(entry.lower_bounds()[&time], Datum::timestamptz_micros(3));
    assert_eq!(entry.upper_bounds()[&time], Datum::timestamptz_micros(9));
    assert_eq!(entry.null_value_counts()[&id("json_pointer")], 3);
    assert_eq!(entry.null_value_counts()[&id("payload")], 0);
    assert!(entry.value_counts().values().all(|values| *values == 3));
    assert!(entry.column_sizes()[&id("payload")] > 0);
    assert!(!entry.lower_bounds().contains_key(&id("payload")));
    assert!(!entry.lower_bounds().contains_key(&id("json_pointer")), "nothing but nulls");
}

#[test]
fn text_bounds_are_cut_but_those_of_shard_and_segment_are_not() {
    let file = assemble(&[&[quarantine_rows(&[0])]]).file;
    let id = |name| TableKind::Quarantine.index_of(name) as i32 + 1;
    assert_eq!(file.lower_bounds()[&id("contract")], Datum::string("contract of all "));
    assert_eq!(file.upper_bounds()[&id("contract")], Datum::string("contract of all!"));
    assert_eq!(file.upper_bounds()[&id("segment")], Datum::string("segment of all rows"));
}

#[test]
fn columns_carry_their_iceberg_field_ids() {
    let file = assemble(&[&[quarantine_rows(&[0])]]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.parts.concat())).expect("a Parquet file");
    let columns = reader.parquet_schema().columns();
    let ids: Vec<i32> = columns.iter().map(|c| c.self_type().get_basic_info().id()).collect();
    assert_eq!(ids, (1..=columns.len() as i32).collect::<Vec<_>>());
}
