//! Rows to partitions: the day of a timestamp column.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use chrono::{Days, NaiveDate};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Rows by the day, counted from 1970, of their table's partition column.
#[derive(Debug)]
pub struct Split {
    /// The rows of the day that most of them are of.
    pub main: Option<(i32, RecordBatch)>,
    /// The others, of any day. They are few but of many days, as late events are: cut up at once, each day's columns
    /// would cost more than its rows.
    pub stragglers: Option<RecordBatch>,
}

/// Splits off the rows of the most frequent day, of those rows where `keep` is true (all of them without it). Rows keep
/// their order. When nothing is left out and all rows are of one day, which is the usual case, nothing is copied.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the table's columns.
pub fn split_main_day(kind: TableKind, rows: &RecordBatch, keep: Option<&BooleanArray>) -> Result<Split> {
    let times = timestamps(rows, kind.index_of(kind.partition_column()))?;
    let kept = |row: &usize| keep.is_none_or(|mask| mask.value(*row));
    let mut rows_of_day: BTreeMap<i32, usize> = BTreeMap::new();
    for row in (0..rows.num_rows()).filter(kept) {
        *rows_of_day.entry(day_of(times.value(row))).or_default() += 1;
    }
    let Some((day, count)) = rows_of_day.into_iter().max_by_key(|(_, rows)| *rows) else {
        return Ok(Split { main: None, stragglers: None });
    };
    if count == rows.num_rows() {
        return Ok(Split { main: Some((day, rows.clone())), stragglers: None });
    }
    let is_main = |row: &usize| day_of(times.value(*row)) == day;
    let main: BooleanArray = (0..rows.num_rows()).map(|row| Some(kept(&row) && is_main(&row))).collect();
    let others: Vec<u32> =
        (0..rows.num_rows()).filter(kept).filter(|row| !is_main(row)).map(|row| row as u32).collect();
    let main = filter_record_batch(rows, &main).map_err(mismatch)?;
    let stragglers = match others.is_empty() {
        true => None,
        false => Some(take_record_batch(rows, &UInt32Array::from(others)).map_err(mismatch)?),
    };
    Ok(Split { main: Some((day, main)), stragglers })
}

/// Splits rows by day. Rows keep their order; days without rows are left out.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the table's columns.
pub fn split_by_day(kind: TableKind, rows: &RecordBatch) -> Result<Vec<(i32, RecordBatch)>> {
    let times = timestamps(rows, kind.index_of(kind.partition_column()))?;
    let mut rows_by_day: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        rows_by_day.entry(day_of(times.value(row))).or_default().push(row as u32);
    }
    let select = |rows_of_day| take_record_batch(rows, &UInt32Array::from(rows_of_day)).map_err(mismatch);
    rows_by_day.into_iter().map(|(day, rows_of_day)| Ok((day, select(rows_of_day)?))).collect()
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

    fn split(rows: &RecordBatch, keep: Option<&[bool]>) -> (Option<(i32, Vec<i64>)>, Vec<i64>) {
        let keep = keep.map(|keep| BooleanArray::from(keep.to_vec()));
        let split = split_main_day(TableKind::Quarantine, rows, keep.as_ref()).expect("splits");
        let main = split.main.map(|(day, rows)| (day, offsets(&rows)));
        (main, split.stragglers.as_ref().map(offsets).unwrap_or_default())
    }

    #[test]
    fn rows_of_one_day_are_not_copied() {
        let rows = quarantine_rows(&[DAY, DAY + 1, 2 * DAY - 1]);
        let split = split_main_day(TableKind::Quarantine, &rows, None).expect("splits");
        let (day, main) = split.main.expect("rows");
        assert_eq!((day, split.stragglers.is_none()), (1, true));
        let start = |rows: &RecordBatch| rows.column(0).to_data().buffers()[0].as_ptr();
        assert_eq!(start(&main), start(&rows));
    }

    #[test]
    fn rows_of_several_days_keep_their_order() {
        let rows = quarantine_rows(&[DAY, -1, DAY, 0, -DAY, DAY]);
        assert_eq!(split(&rows, None), (Some((1, vec![0, 2, 5])), vec![1, 3, 4]));
        let days = split_by_day(TableKind::Quarantine, &rows).expect("splits");
        let seen: Vec<_> = days.iter().map(|(day, rows)| (*day, offsets(rows))).collect();
        assert_eq!(seen, [(-1, vec![1, 4]), (0, vec![3]), (1, vec![0, 2, 5])]);
    }

    #[test]
    fn rows_that_are_not_kept_are_left_out() {
        let rows = quarantine_rows(&[DAY, 0, DAY]);
        assert_eq!(split(&rows, Some(&[true, false, true])), (Some((1, vec![0, 2])), vec![]));
        assert_eq!(split(&rows, Some(&[true, true, true])), (Some((1, vec![0, 2])), vec![1]));
        assert_eq!(split(&rows, Some(&[false, true, false])), (Some((0, vec![1])), vec![]));
        assert_eq!(split(&rows, Some(&[false; 3])), (None, vec![]));
    }

    #[test]
    fn a_partition_is_named_as_iceberg_names_it() {
        assert_eq!(folder(TableKind::Events, 20_484), "event_time_day=2026-01-31");
        assert_eq!(folder(TableKind::RawEvents, -1), "stream_time_day=1969-12-31");
        assert_eq!(folder(TableKind::RawEvents, i32::MAX), format!("stream_time_day={}", i32::MAX));
    }
}
