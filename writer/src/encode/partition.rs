//! Rows to partitions: the day of a timestamp column.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use chrono::{Days, NaiveDate};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Splits the rows where `keep` is true (all of them without it) by the day, counted from 1970, of the table's
/// partition column. Rows keep their order. Days without rows are left out; when nothing is left out and all rows are
/// of one day, which is the usual case, nothing is copied.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the table's columns.
pub fn split_by_day(
    kind: TableKind,
    rows: &RecordBatch,
    keep: Option<&BooleanArray>,
) -> Result<Vec<(i32, RecordBatch)>> {
    let times = timestamps(rows, kind.index_of(kind.partition_column()))?;
    let kept = |row: usize| keep.is_none_or(|mask| mask.value(row));
    let mut days = (0..rows.num_rows()).filter(|row| kept(*row)).map(|row| day_of(times.value(row)));
    let Some(first) = days.next() else { return Ok(Vec::new()) };
    if days.all(|day| day == first) {
        let rows = match keep {
            None => rows.clone(),
            Some(mask) => filter_record_batch(rows, mask).map_err(mismatch)?,
        };
        return Ok(vec![(first, rows)]);
    }
    let mut rows_by_day: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for row in (0..rows.num_rows()).filter(|row| kept(*row)) {
        rows_by_day.entry(day_of(times.value(row))).or_default().push(row as u32);
    }
    rows_by_day.into_iter().map(|(day, indices)| Ok((day, select(rows, &indices).map_err(mismatch)?))).collect()
}

/// Copies some rows. Nearly all of them are copied in long runs, few of them one by one.
fn select(rows: &RecordBatch, indices: &[u32]) -> Result<RecordBatch, ArrowError> {
    if indices.len() < rows.num_rows() / 2 {
        return take_record_batch(rows, &UInt32Array::from(indices.to_vec()));
    }
    let mut next = indices.iter().peekable();
    let chosen = BooleanBuffer::collect_bool(rows.num_rows(), |row| next.next_if(|i| **i as usize == row).is_some());
    filter_record_batch(rows, &BooleanArray::from(chosen))
}

/// Returns a column as timestamps.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when it is not one or has nulls.
pub fn timestamps(rows: &RecordBatch, column: usize) -> Result<&TimestampMicrosecondArray> {
    let array = rows.columns().get(column).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    match array {
        Some(array) if array.null_count() == 0 => Ok(array),
        _ => Err(Error::bug(format!("column {column} of decoded rows is no timestamp or has nulls"))),
    }
}

/// Returns the folder of a partition, as Iceberg names it: `event_time_day=2026-01-31`.
pub fn folder(kind: TableKind, day: i32) -> String {
    let epoch = NaiveDate::default();
    let date = match u64::try_from(day) {
        Ok(after) => epoch.checked_add_days(Days::new(after)),
        Err(_) => epoch.checked_sub_days(Days::new(u64::from(day.unsigned_abs()))),
    };
    let value = date.map_or_else(|| day.to_string(), |date| date.format("%Y-%m-%d").to_string());
    format!("{}_day={value}", kind.partition_column())
}

fn day_of(micros: i64) -> i32 {
    // An i64 of microseconds holds some 107 million days either way.
    micros.div_euclid(MICROS_PER_DAY) as i32
}

fn mismatch(error: ArrowError) -> Error {
    Error::bug("decoded rows cannot be split by day").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::file::tests::quarantine_rows;

    const DAY: i64 = MICROS_PER_DAY;

    fn offsets(rows: &RecordBatch) -> Vec<i64> {
        let column = rows.column_by_name("source_offset").expect("column");
        column.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_of_one_day_are_not_copied() {
        let rows = quarantine_rows(&[DAY, DAY + 1, 2 * DAY - 1]);
        let split = split_by_day(TableKind::Quarantine, &rows, None).expect("splits");
        assert_eq!(split.len(), 1);
        assert_eq!(split[0].0, 1);
        assert_eq!(
            split[0].1.column(0).to_data().buffers()[0].as_ptr(),
            rows.column(0).to_data().buffers()[0].as_ptr()
        );
    }

    #[test]
    fn rows_of_several_days_keep_their_order_inside_each() {
        let rows = quarantine_rows(&[DAY, -1, DAY, 0, -DAY, DAY]);
        let split = split_by_day(TableKind::Quarantine, &rows, None).expect("splits");
        let seen: Vec<_> = split.iter().map(|(day, rows)| (*day, offsets(rows))).collect();
        assert_eq!(seen, [(-1, vec![1, 4]), (0, vec![3]), (1, vec![0, 2, 5])]);
    }

    #[test]
    fn rows_that_are_not_kept_are_left_out() {
        let rows = quarantine_rows(&[DAY, 0, DAY]);
        let split = |keep: [bool; 3]| {
            let split = split_by_day(TableKind::Quarantine, &rows, Some(&BooleanArray::from(keep.to_vec())));
            split.expect("splits").iter().map(|(day, rows)| (*day, offsets(rows))).collect::<Vec<_>>()
        };
        assert_eq!(split([true, false, true]), [(1, vec![0, 2])]);
        assert_eq!(split([true, true, false]), [(0, vec![1]), (1, vec![0])]);
        assert_eq!(split([false; 3]), []);
    }

    #[test]
    fn a_partition_is_named_as_iceberg_names_it() {
        assert_eq!(folder(TableKind::Events, 20_484), "event_time_day=2026-01-31");
        assert_eq!(folder(TableKind::RawEvents, -1), "arrival_time_day=1969-12-31");
        assert_eq!(folder(TableKind::RawEvents, i32::MAX), format!("arrival_time_day={}", i32::MAX));
    }
}
