//! Instants as the functions of `planner` compute with them: ticks of a column's unit, and chrono's calendar.
//!
//! DataFusion computes in nanoseconds, which end in 1677 and 2262. One event from a clock that stands beyond must not break a
//! question for everybody, so ours compute in the unit of the column: the years 0001 to 9999, and far more.

use arrow::array::{AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::ColumnarValue;

/// Returns how many ticks of the unit a second has.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Returns how many nanoseconds a tick of the unit has.
pub(crate) fn nanos(unit: TimeUnit) -> i64 {
    1_000_000_000 / per_second(unit)
}

/// Returns the instant of so many ticks since 1970.
///
/// # Errors
/// When no calendar reaches it.
pub(crate) fn instant(ticks: i64, unit: TimeUnit) -> Result<DateTime<Utc>> {
    let per_second = per_second(unit);
    let below = u32::try_from(ticks.rem_euclid(per_second) * nanos(unit)).unwrap_or_default();
    DateTime::from_timestamp(ticks.div_euclid(per_second), below).ok_or_else(|| out_of_range(unit))
}

/// Returns the ticks since 1970 of an instant; what is smaller than a tick is cut off towards the past.
///
/// # Errors
/// When the unit does not reach it.
pub(crate) fn ticks(instant: DateTime<Utc>, unit: TimeUnit) -> Result<i64> {
    let below = i64::from(instant.timestamp_subsec_nanos()) / nanos(unit);
    let whole = instant.timestamp().checked_mul(per_second(unit));
    whole.and_then(|whole| whole.checked_add(below)).ok_or_else(|| out_of_range(unit))
}

/// Applies `f` to the ticks of every timestamp; type, unit and time zone stay.
///
/// # Errors
/// Those of `f`.
pub(crate) fn map(value: &ColumnarValue, f: impl Fn(i64) -> Result<i64>) -> Result<ColumnarValue> {
    let kind = value.data_type();
    let array = cast(&value.to_array(1)?, &DataType::Int64)?;
    let mapped: Int64Array = array.as_primitive::<Int64Type>().try_unary(f)?;
    let mapped = cast(&mapped, &kind)?;
    Ok(match value {
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&mapped, 0)?),
        ColumnarValue::Array(_) => ColumnarValue::Array(mapped),
    })
}

/// Returns the error for an instant that a unit does not reach.
pub(crate) fn out_of_range(unit: TimeUnit) -> datafusion::common::DataFusionError {
    exec_datafusion_err!("a time lies outside of what a timestamp in {unit:?}s can hold")
}
