//! Arithmetic of times by named units: `date_add`, `date_diff` and `datediff`. All count in UTC, the last two also in a time zone that
//! both times have.
//!
//! `date_diff('month', a, b)` (Athena) counts whole months that have passed, `datediff(month, a, b)` (Redshift) how often a month
//! began in between.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Months, Offset, TimeZone};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use icefold_core::Error;

use crate::error::external;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Always as long, in microseconds.
    Fixed(i64),
    /// So many months.
    Months(u32),
}

impl Unit {
    fn named(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Some(match name.strip_suffix('s').unwrap_or(&name) {
            "microsecond" => Unit::Fixed(1),
            "millisecond" => Unit::Fixed(1_000),
            "second" => Unit::Fixed(SECOND),
            "minute" => Unit::Fixed(60 * SECOND),
            "hour" => Unit::Fixed(3600 * SECOND),
            "day" => Unit::Fixed(DAY),
            "week" => Unit::Fixed(7 * DAY),
            "month" => Unit::Months(1),
            "quarter" => Unit::Months(3),
            "year" => Unit::Months(12),
            _ => return None,
        })
    }

    /// Returns whether a date stays a date.
    fn is_of_days(self) -> bool {
        !matches!(self, Unit::Fixed(micros) if micros < DAY)
    }

    /// Adds `count` units; a day that the month lacks becomes its last one. `None` out of range.
    fn add(self, micros: i64, count: i64) -> Option<i64> {
        match self {
            Unit::Fixed(unit) => micros.checked_add(unit.checked_mul(count)?),
            Unit::Months(unit) => {
                let time = DateTime::from_timestamp_micros(micros)?;
                let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?.checked_mul(unit)?);
                let time = if count < 0 { time.checked_sub_months(months) } else { time.checked_add_months(months) };
                Some(time?.timestamp_micros())
            }
        }
    }

    /// Returns what is counted with in a time zone: days and what is longer by its clocks, hours and what is shorter by the time
    /// that has passed.
    fn clocks(self, a: i64, b: i64, zone: Option<Tz>) -> Option<(i64, i64)> {
        let Some(zone) = zone else { return Some((a, b)) };
        let offset = |micros: i64| {
            let time = DateTime::from_timestamp_micros(micros)?;
            Some(i64::from(zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()) * SECOND)
        };
        let of_a = offset(a)?;
        let of_b = if self.is_of_days() { offset(b)? } else { of_a };
        Some((a.checked_add(of_a)?, b.checked_add(of_b)?))
    }

    /// Counts the whole units that have passed from `a` to `b`.
    fn passed(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Unit::Fixed(unit) => Some(b.checked_sub(a)? / unit),
            Unit::Months(_) if b < a => Some(-self.passed(b, a)?),
            Unit::Months(unit) => {
                let about = (month_of(b)? - month_of(a)?) / i64::from(unit);
                // The last one may not be over yet.
                Some(if self.add(a, about)? > b { about - 1 } else { about })
            }
        }
    }

    /// Counts the units that began after `a` and not after `b`.
    fn begun(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Unit::Fixed(unit) => Some(b.div_euclid(unit) - a.div_euclid(unit)),
            Unit::Months(unit) => Some(month_of(b)?.div_euclid(unit.into()) - month_of(a)?.div_euclid(unit.into())),
        }
    }
}

fn month_of(micros: i64) -> Option<i64> {
    let time = DateTime::from_timestamp_micros(micros)?;
    Some(i64::from(time.year()) * 12 + i64::from(time.month0()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Arithmetic {
    Add,
    Passed,
    Begun,
}

/// Returns the functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let kinds = [("date_add", Arithmetic::Add), ("date_diff", Arithmetic::Passed), ("datediff", Arithmetic::Begun)];
    let function = |(name, kind)| {
        Arc::new(ScalarUDF::from(TimeFunction {
            name,
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    };
    kinds.into_iter().map(function).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeFunction {
    name: &'static str,
    kind: Arithmetic,
    signature: Signature,
}

impl ScalarUDFImpl for TimeFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.takes(given).unwrap_or_else(|| given.to_vec()))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("`{}` tells its type by its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // Here and not in `coerce_types`, whose errors DataFusion wraps in words of its own.
        let given: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        self.takes(&given)
            .ok_or_else(|| external(if given.iter().any(has_zone) { self.of_zones() } else { self.misused() }))?;
        let unit = self.unit(args.scalar_arguments.first().copied().flatten())?;
        let kind = match (self.kind, args.arg_fields[2].data_type()) {
            (Arithmetic::Add, DataType::Date32) if unit.is_of_days() => DataType::Date32,
            (Arithmetic::Add, DataType::Timestamp(unit, zone)) => DataType::Timestamp(*unit, zone.clone()),
            (Arithmetic::Add, _) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Int64,
        };
        Ok(Arc::new(Field::new(self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let unit = self.unit(match &args.args[0] {
            ColumnarValue::Scalar(unit) => Some(unit),
            ColumnarValue::Array(_) => None,
        })?;
        let (a, b) = (args.args[1].to_array(rows)?, micros(&args.args[2].to_array(rows)?)?);
        let zone = zone(&args.arg_fields[1..]).map(|zone| zone.parse::<Tz>()).transpose()?;
        let answers = match self.kind {
            Arithmetic::Add => self.add(unit, &a, &b, args.return_field.data_type())?,
            Arithmetic::Passed => self.between(&micros(&a)?, &b, |a, b| {
                let (a, b) = unit.clocks(a, b, zone)?;
                unit.passed(a, b)
            })?,
            Arithmetic::Begun => self.between(&micros(&a)?, &b, |a, b| {
                let (a, b) = unit.clocks(a, b, zone)?;
                unit.begun(a, b)
            })?,
        };
        if all_scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?))
        } else {
            Ok(answers.into())
        }
    }
}

impl TimeFunction {
    /// Returns the types as which it takes arguments of these types, `None` if it does not.
    fn takes(&self, given: &[DataType]) -> Option<Vec<DataType>> {
        let [_, a, b] = given else { return None };
        let (a, b) = match self.kind {
            Arithmetic::Add => ((a.is_integer() || a.is_null()).then_some(DataType::Int64)?, time(b)?),
            Arithmetic::Passed | Arithmetic::Begun if has_zone(a) && (a == b || b.is_null()) => both(in_micros(a)?),
            Arithmetic::Passed | Arithmetic::Begun if has_zone(b) && a.is_null() => both(in_micros(b)?),
            Arithmetic::Passed | Arithmetic::Begun => (time(a)?, time(b)?),
        };
        Some(vec![DataType::Utf8, a, b])
    }

    fn unit(&self, name: Option<&ScalarValue>) -> Result<Unit> {
        let name = name.and_then(|name| name.try_as_str().flatten());
        let unit = name.and_then(Unit::named).ok_or_else(|| external(self.misused()))?;
        // Engines differ in the day on which a week begins.
        if self.kind == Arithmetic::Begun && unit == Unit::Fixed(7 * DAY) {
            return Err(external(Error::invalid(
                "`datediff` does not count weeks: date_diff('week', a, b) counts seven days each",
            )));
        }
        Ok(unit)
    }

    fn add(
        &self,
        unit: Unit,
        counts: &ArrayRef,
        times: &TimestampMicrosecondArray,
        kind: &DataType,
    ) -> Result<ArrayRef> {
        let counts = counts.as_primitive::<Int64Type>();
        let sum = |row: usize| match counts.is_valid(row) && times.is_valid(row) {
            true => {
                unit.add(times.value(row), counts.value(row)).map(Some).ok_or_else(|| external(self.out_of_range()))
            }
            false => Ok(None),
        };
        let sums = (0..times.len()).map(sum).collect::<Result<Vec<_>>>()?;
        let sums = TimestampMicrosecondArray::from(sums).with_timezone("+00:00");
        Ok(cast(&sums, kind)?)
    }

    fn between(
        &self,
        from: &TimestampMicrosecondArray,
        to: &TimestampMicrosecondArray,
        count: impl Fn(i64, i64) -> Option<i64>,
    ) -> Result<ArrayRef> {
        let counted = |row: usize| match from.is_valid(row) && to.is_valid(row) {
            true => count(from.value(row), to.value(row)).map(Some).ok_or_else(|| external(self.out_of_range())),
            false => Ok(None),
        };
        let counts = (0..to.len()).map(counted).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn out_of_range(&self) -> Error {
        Error::invalid(format!("`{}` gets past the times that can be told", self.name))
    }

    fn of_zones(&self) -> Error {
        let zones = if self.kind == Arithmetic::Add { "a time zone other than UTC" } else { "two time zones" };
        Error::invalid(format!(
            "`{}` does not count in {zones}: give it what the clocks of one show, `to_local_time(event_time AT TIME ZONE \
             'Europe/Berlin')`",
            self.name
        ))
    }

    fn misused(&self) -> Error {
        let example = match self.kind {
            Arithmetic::Add => "date_add('day', 1, event_time)",
            Arithmetic::Passed => "date_diff('day', started_at, ended_at)",
            Arithmetic::Begun => "datediff(day, started_at, ended_at)",
        };
        Error::invalid(format!(
            "`{}` takes a unit (second, minute, hour, day, week, month, quarter, year) and what to count with: {example}",
            self.name
        ))
    }
}

/// Returns whether a type has a time zone other than UTC.
fn has_zone(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(_))) && time(kind).is_none()
}

fn both(kind: DataType) -> (DataType, DataType) {
    (kind.clone(), kind)
}

fn in_micros(kind: &DataType) -> Option<DataType> {
    let DataType::Timestamp(_, zone) = kind else { return None };
    Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
}

/// Returns the zone other than UTC that both times have.
fn zone(times: &[FieldRef]) -> Option<&str> {
    match times.first()?.data_type() {
        kind @ DataType::Timestamp(_, Some(zone)) if has_zone(kind) => Some(zone),
        _ => None,
    }
}

/// Returns the type under which a time is taken. Times of a zone other than UTC are not: their days are not ours.
fn time(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Date32 => Some(DataType::Date32),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Date64 | DataType::Null => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        DataType::Timestamp(_, zone) if zone.as_deref().is_none_or(|zone| matches!(zone, "+00:00" | "UTC" | "Z")) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}

fn micros(times: &ArrayRef) -> Result<TimestampMicrosecondArray> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    Ok(cast(times, &utc)?.as_primitive::<TimestampMicrosecondType>().clone())
}
