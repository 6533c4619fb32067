//! What DataFusion's optimizer is told of files: rows, nulls, least and greatest values.

use arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use icefold_catalog::LiveFile;

use crate::bounds::{Bounds, FileBounds};

/// Returns the statistics of one file, deletes not counted; columns that are not `wanted` stay unknown.
///
/// A bound is called exact, so that `min` and `max` need not read, only for types whose bounds no writer cuts, or when
/// both bounds are one value.
pub(crate) fn of_file(bounds: &FileBounds<'_>, file: &LiveFile, wanted: &[bool]) -> Statistics {
    let columns = wanted.iter().enumerate().map(|(index, wanted)| match wanted {
        true => of_column(bounds, file, index),
        false => ColumnStatistics::new_unknown(),
    });
    Statistics {
        num_rows: count(file.file.record_count()),
        total_byte_size: count(file.file.file_size_in_bytes()).to_inexact(),
        column_statistics: columns.collect(),
    }
}

fn of_column(bounds: &FileBounds<'_>, file: &LiveFile, index: usize) -> ColumnStatistics {
    let id = bounds.columns.ids()[index];
    let Bounds { lower, upper } = bounds.of(file, index);
    let whole = is_never_cut(bounds.columns.schema().field(index).data_type());
    let from_metrics = file.file.lower_bounds().contains_key(&id) && file.file.upper_bounds().contains_key(&id);
    let exact = (whole && from_metrics) || (lower.is_some() && lower == upper);
    let null_count = file.file.null_value_counts().get(&id).map_or(Precision::Absent, |nulls| count(*nulls));
    ColumnStatistics::new_unknown()
        .with_null_count(null_count)
        .with_min_value(bound(lower, exact))
        .with_max_value(bound(upper, exact))
}

fn bound(value: Option<ScalarValue>, exact: bool) -> Precision<ScalarValue> {
    match value {
        Some(value) if exact => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    }
}

fn count(value: u64) -> Precision<usize> {
    usize::try_from(value).map_or(Precision::Absent, Precision::Exact)
}

/// Strings and bytes are cut to a prefix by most writers; floats have zeros of two signs.
fn is_never_cut(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
    )
}
