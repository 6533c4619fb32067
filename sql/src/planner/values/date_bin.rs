//! `date_bin` for all years: DataFusion's goes through nanoseconds.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::functions::datetime::date_bin::DateBinFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::date_trunc::instants_or_times;
use super::instants;

const DAY_NANOS: i128 = 86_400_000_000_000;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DateBin {
    signature: Signature,
    times_of_day: DateBinFunc,
}

impl DateBin {
    pub(crate) fn new() -> Self {
        DateBin { signature: Signature::user_defined(Volatility::Immutable), times_of_day: DateBinFunc::new() }
    }
}

impl ScalarUDFImpl for DateBin {
    fn name(&self) -> &str {
        "date_bin"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let ([width, time] | [width, time, _]) = arguments else {
            return plan_err!("date_bin takes a width, a time and perhaps where to begin");
        };
        if !matches!(width, DataType::Interval(_)) && !width.is_string() && !width.is_null() {
            return plan_err!("date_bin takes a width first, as in date_bin(INTERVAL '15 minutes', event_time)");
        }
        let time = instants_or_times(time, "date_bin")?;
        let mut coerced = vec![DataType::Interval(IntervalUnit::MonthDayNano), time.clone()];
        coerced.extend(arguments.get(2).map(|_| time));
        Ok(coerced)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[1].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Timestamp(unit, _) = args.args[1].data_type() else {
            return self.times_of_day.invoke_with_args(args);
        };
        let width = Width::of(&args.args[0])?;
        let origin = match args.args.get(2) {
            None => Some(0),
            Some(origin) => constant_ticks(origin)?,
        };
        let (Some(width), Some(origin)) = (width, origin) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(args.args[1].data_type())?));
        };
        instants::map(&args.args[1], |ticks| width.bin(ticks, origin, unit))
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        let is_constant = |input: &ExprProperties| input.sort_properties == SortProperties::Singleton;
        Ok(if is_constant(&inputs[0]) && inputs.get(2).is_none_or(is_constant) {
            inputs[1].sort_properties
        } else {
            SortProperties::Unordered
        })
    }
}

fn constant_ticks(value: &ColumnarValue) -> Result<Option<i64>> {
    let ColumnarValue::Scalar(value) = value else {
        return exec_err!("date_bin takes where to begin as a constant");
    };
    match value.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(ticks) => Ok(ticks),
        other => exec_err!("date_bin cannot begin at {other}"),
    }
}

/// How wide a bin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Months(i32),
    Nanos(i128),
}

impl Width {
    fn of(value: &ColumnarValue) -> Result<Option<Self>> {
        let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(value)) = value else {
            return exec_err!("date_bin takes the width as a constant");
        };
        let Some(value) = value else { return Ok(None) };
        let nanos = i128::from(value.days) * DAY_NANOS + i128::from(value.nanoseconds);
        match (value.months, nanos) {
            (0, nanos) if nanos > 0 => Ok(Some(Width::Nanos(nanos))),
            (months, 0) if months > 0 => Ok(Some(Width::Months(months))),
            (0, _) | (_, 0) => exec_err!("date_bin takes a width greater than zero"),
            _ => exec_err!("date_bin takes a width in months or in days and below, not in both"),
        }
    }

    /// Returns where the bin of an instant begins.
    fn bin(self, ticks: i64, origin: i64, unit: TimeUnit) -> Result<i64> {
        match self {
            Width::Nanos(width) => {
                let scale = i128::from(instants::nanos(unit));
                let (time, origin) = (i128::from(ticks) * scale, i128::from(origin) * scale);
                let begin = time - (time - origin).rem_euclid(width);
                i64::try_from(begin.div_euclid(scale)).map_err(|_| instants::out_of_range(unit))
            }
            Width::Months(width) => {
                let (time, origin) = (instants::instant(ticks, unit)?, instants::instant(origin, unit)?);
                instants::ticks(month_bin(time, origin, width)?, unit)
            }
        }
    }
}

/// Bins begin whole multiples of `width` months after or before `origin`.
fn month_bin(time: DateTime<Utc>, origin: DateTime<Utc>, width: i32) -> Result<DateTime<Utc>> {
    let month = |at: DateTime<Utc>| i64::from(at.year()) * 12 + i64::from(at.month0());
    let width = i64::from(width);
    let bins = (month(time) - month(origin)).div_euclid(width);
    let begin = add_months(origin, bins * width)?;
    // The bin of the month may begin later in it.
    if begin > time { add_months(origin, (bins - 1) * width) } else { Ok(begin) }
}

fn add_months(at: DateTime<Utc>, months: i64) -> Result<DateTime<Utc>> {
    let size = u32::try_from(months.unsigned_abs()).map(Months::new).ok();
    let sum = match months < 0 {
        true => size.and_then(|size| at.checked_sub_months(size)),
        false => size.and_then(|size| at.checked_add_months(size)),
    };
    sum.ok_or_else(|| exec_datafusion_err!("date_bin: a bin begins outside of the calendar"))
}
