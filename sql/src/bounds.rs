//! What the manifests say of the values in a file, and what follows from it: which files a filter rules out.
//!
//! Bounds come from the file's column metrics, or, if the writer kept none, from the partition value of a transform that
//! keeps the order (identity, hour, day, month, year). A bound that might not hold is no bound:
//!
//! * floats: metrics leave NaN out, while NaN is greater than every number, so bounds count only if there is no NaN;
//! * floats: a bound of zero stands for the zero of either sign;
//! * old writers rounded times before 1970 towards zero, so partition ranges there begin one unit earlier.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{Datelike, NaiveDate};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use iceberg::spec::{Datum, Literal as IcebergLiteral, PrimitiveLiteral, TableMetadata, Transform};
use icefold_catalog::LiveFile;

use crate::columns::Columns;
use crate::scalar::scalar;

const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// The least and the greatest value that a column can have in a file; either may be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) lower: Option<ScalarValue>,
    pub(crate) upper: Option<ScalarValue>,
}

/// The files of a scan with what the manifests say of their columns.
#[derive(Debug)]
pub(crate) struct FileBounds<'a> {
    pub(crate) files: &'a [&'a LiveFile],
    pub(crate) columns: &'a Columns,
    pub(crate) metadata: &'a TableMetadata,
}

impl FileBounds<'_> {
    /// Returns for each file whether it may hold rows for which `predicate` is true.
    ///
    /// A part of the predicate that cannot be evaluated over bounds rules nothing out.
    pub(crate) fn may_match(&self, predicate: &Arc<dyn PhysicalExpr>) -> Vec<bool> {
        let mut keep = vec![true; self.files.len()];
        for part in split_conjunction(predicate) {
            match self.part_may_match(part) {
                Ok(may) => keep.iter_mut().zip(may).for_each(|(keep, may)| *keep &= may),
                Err(error) => tracing::debug!(%part, %error, "filter rules no file out"),
            }
        }
        keep
    }

    fn part_may_match(&self, part: &Arc<dyn PhysicalExpr>) -> Result<Vec<bool>> {
        let part = in_plain_strings(Arc::clone(part))?;
        PruningPredicate::try_new(part, Arc::new(plain_strings(self.columns.schema())))?.prune(self)
    }

    /// Returns what is known of column `index` in `file`.
    pub(crate) fn of(&self, file: &LiveFile, index: usize) -> Bounds {
        let (id, kind) = (self.columns.ids()[index], self.columns.schema().field(index).data_type());
        if kind.is_floating() && file.file.nan_value_counts().get(&id) != Some(&0) {
            return Bounds::default();
        }
        let metric = |bounds: &HashMap<i32, Datum>| bounds.get(&id).and_then(|datum| scalar(datum.literal(), kind));
        let lower = metric(file.file.lower_bounds()).map(|bound| with_zero_of_sign(bound, -0.0));
        let upper = metric(file.file.upper_bounds()).map(|bound| with_zero_of_sign(bound, 0.0));
        if lower.is_some() || upper.is_some() || kind.is_floating() {
            return Bounds { lower, upper };
        }
        self.of_partition(file, id, kind).unwrap_or_default()
    }

    fn of_partition(&self, file: &LiveFile, id: i32, kind: &DataType) -> Option<Bounds> {
        let spec = self.metadata.partition_spec_by_id(file.spec_id)?;
        let values = file.file.partition().fields();
        spec.fields().iter().zip(values).filter(|(field, _)| field.source_id == id).find_map(|(field, value)| {
            let Some(IcebergLiteral::Primitive(value)) = value else { return None };
            partition_bounds(field.transform, value, kind)
        })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.schema().index_of(name).ok()
    }

    fn array(&self, column: &Column, pick: impl Fn(Bounds) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let index = self.column(column.name())?;
        let null = ScalarValue::try_new_null(self.columns.schema().field(index).data_type()).ok()?;
        let values: Vec<_> = self.files.iter().map(|file| pick(self.of(file, index))).collect();
        if values.iter().all(Option::is_none) {
            return None;
        }
        let array = ScalarValue::iter_to_array(values.into_iter().map(|v| v.unwrap_or_else(|| null.clone()))).ok()?;
        arrow::compute::cast(&array, &plain_string(array.data_type())).ok()
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.array(column, |bounds| bounds.lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.array(column, |bounds| bounds.upper)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let id = self.columns.ids()[self.column(column.name())?];
        let counts = self.files.iter().map(|file| file.file.null_value_counts().get(&id).copied());
        Some(Arc::new(UInt64Array::from_iter(counts)))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.files.iter().map(|file| file.file.record_count()))))
    }

    /// Rules files out for long `IN` lists, which bounds alone do not do: `false` says that no value lies in the bounds.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let index = self.column(column.name())?;
        let kind = self.columns.schema().field(index).data_type();
        let values: Vec<_> = values.iter().map(|v| v.cast_to(kind)).collect::<Result<_>>().ok()?;
        if values.iter().any(ScalarValue::is_null) {
            return None;
        }
        let outside = |bounds: &Bounds, value: &ScalarValue| {
            bounds.lower.as_ref().is_some_and(|lower| value < lower)
                || bounds.upper.as_ref().is_some_and(|upper| value > upper)
        };
        Some(BooleanArray::from_iter(self.files.iter().map(|file| {
            let bounds = self.of(file, index);
            values.iter().all(|value| outside(&bounds, value)).then_some(false)
        })))
    }
}

/// Comparisons order the two zeros of floats, writers of metrics need not: take the outer one.
fn with_zero_of_sign(bound: ScalarValue, zero: f32) -> ScalarValue {
    match bound {
        ScalarValue::Float32(Some(0.0)) => ScalarValue::Float32(Some(zero)),
        ScalarValue::Float64(Some(0.0)) => ScalarValue::Float64(Some(f64::from(zero))),
        other => other,
    }
}

/// DataFusion prunes by `LIKE` with plain strings only, so bounds, columns and literals are plain strings while pruning.
fn in_plain_strings(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    expr.transform(|node| match node.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Utf8View(value)) => {
            Ok(Transformed::yes(Arc::new(Literal::new(ScalarValue::Utf8(value.clone())))))
        }
        _ => Ok(Transformed::no(node)),
    })
    .data()
}

fn plain_strings(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_data_type(plain_string(f.data_type())));
    Schema::new(fields.collect::<Vec<_>>())
}

fn plain_string(kind: &DataType) -> DataType {
    if *kind == DataType::Utf8View { DataType::Utf8 } else { kind.clone() }
}

/// Returns which values of the source column a partition can hold.
fn partition_bounds(transform: Transform, value: &PrimitiveLiteral, kind: &DataType) -> Option<Bounds> {
    if transform == Transform::Identity {
        let value = scalar(value, kind);
        return Some(Bounds { lower: value.clone(), upper: value });
    }
    let PrimitiveLiteral::Int(unit) = *value else { return None };
    let unit = i64::from(unit);
    let (first, last) = (if unit <= 0 { unit - 1 } else { unit }, unit + 1);
    let bounds = |lower: i64, upper: i64, of: &dyn Fn(i64) -> Option<ScalarValue>| {
        Some(Bounds { lower: of(lower), upper: of(upper) })
    };
    match kind {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let of = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()));
            bounds(start_micros(transform, first)?, start_micros(transform, last)? - 1, &of)
        }
        DataType::Date32 => {
            let of = |micros: i64| Some(ScalarValue::Date32(Some(i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?)));
            bounds(start_micros(transform, first)?, start_micros(transform, last)? - 1, &of)
        }
        _ => None,
    }
}

/// Returns when the unit that a time transform counts begins, in microseconds since 1970.
fn start_micros(transform: Transform, unit: i64) -> Option<i64> {
    let month_start = |months: i64| {
        let year = i32::try_from(1970 + months.div_euclid(12)).ok()?;
        let date = NaiveDate::from_ymd_opt(year, u32::try_from(months.rem_euclid(12)).ok()? + 1, 1)?;
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        i64::from(date.num_days_from_ce() - epoch.num_days_from_ce()).checked_mul(DAY_MICROS)
    };
    match transform {
        Transform::Hour => unit.checked_mul(HOUR_MICROS),
        Transform::Day => unit.checked_mul(DAY_MICROS),
        Transform::Month => month_start(unit),
        Transform::Year => month_start(unit.checked_mul(12)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(date: &str) -> i64 {
        format!("{date}Z").parse::<chrono::DateTime<chrono::Utc>>().expect("date").timestamp_micros()
    }

    fn range(transform: Transform, unit: i32) -> (i64, i64) {
        let kind = DataType::Timestamp(TimeUnit::Microsecond, None);
        let bounds = partition_bounds(transform, &PrimitiveLiteral::Int(unit), &kind).expect("ordered transform");
        match (bounds.lower, bounds.upper) {
            (
                Some(ScalarValue::TimestampMicrosecond(Some(l), None)),
                Some(ScalarValue::TimestampMicrosecond(Some(u), None)),
            ) => (l, u),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_partition_bounds_the_times_in_it() {
        assert_eq!(range(Transform::Hour, 1), (HOUR_MICROS, 2 * HOUR_MICROS - 1));
        assert_eq!(range(Transform::Day, 31), (micros("1970-02-01T00:00:00"), micros("1970-02-02T00:00:00") - 1));
        assert_eq!(range(Transform::Month, 25), (micros("1972-02-01T00:00:00"), micros("1972-03-01T00:00:00") - 1));
        assert_eq!(range(Transform::Year, 30), (micros("2000-01-01T00:00:00"), micros("2001-01-01T00:00:00") - 1));
    }

    #[test]
    fn partitions_up_to_1970_begin_one_unit_earlier() {
        assert_eq!(range(Transform::Day, 0), (-DAY_MICROS, DAY_MICROS - 1));
        assert_eq!(range(Transform::Month, -1), (micros("1969-11-01T00:00:00"), -1));
    }

    #[test]
    fn a_bucket_bounds_nothing() {
        assert_eq!(partition_bounds(Transform::Bucket(4), &PrimitiveLiteral::Int(1), &DataType::Int32), None);
        assert_eq!(partition_bounds(Transform::Truncate(4), &PrimitiveLiteral::Int(1), &DataType::Int32), None);
    }
}
