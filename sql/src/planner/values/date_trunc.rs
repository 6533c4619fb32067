//! `date_trunc` for all years, and right before 1970: DataFusion's goes through nanoseconds.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike,
    Utc,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::functions::datetime::date_trunc::DateTruncFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::instants;

const DAY_SECONDS: i64 = 86_400;

/// What a time is cut to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granularity {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Granularity {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text.to_lowercase().as_str() {
            "microsecond" => Granularity::Microsecond,
            "millisecond" => Granularity::Millisecond,
            "second" => Granularity::Second,
            "minute" => Granularity::Minute,
            "hour" => Granularity::Hour,
            "day" => Granularity::Day,
            "week" => Granularity::Week,
            "month" => Granularity::Month,
            "quarter" => Granularity::Quarter,
            "year" => Granularity::Year,
            _ => {
                return exec_err!(
                    "date_trunc cannot cut to `{text}`: name one of microsecond, millisecond, second, minute, hour, day, week, \
                     month, quarter, year"
                );
            }
        })
    }

    /// Returns the length in nanoseconds of what has one length in UTC.
    fn nanos(self) -> Option<i64> {
        Some(match self {
            Granularity::Microsecond => 1_000,
            Granularity::Millisecond => 1_000_000,
            Granularity::Second => 1_000_000_000,
            Granularity::Minute => 60_000_000_000,
            Granularity::Hour => 3_600_000_000_000,
            Granularity::Day => DAY_SECONDS * 1_000_000_000,
            Granularity::Week | Granularity::Month | Granularity::Quarter | Granularity::Year => return None,
        })
    }

    /// Returns whether it is shorter than any difference between two time zones.
    fn is_below_minutes(self) -> bool {
        matches!(self, Granularity::Microsecond | Granularity::Millisecond | Granularity::Second)
    }
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DateTrunc {
    signature: Signature,
    aliases: Vec<String>,
    times_of_day: DateTruncFunc,
}

impl DateTrunc {
    pub(crate) fn new() -> Self {
        DateTrunc {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["datetrunc".to_owned()],
            times_of_day: DateTruncFunc::new(),
        }
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [granularity, time] = arguments else {
            return plan_err!("date_trunc takes two arguments: what to cut to, and a time");
        };
        if !granularity.is_string() && !granularity.is_null() {
            return plan_err!("date_trunc takes what to cut to first, as in date_trunc('day', event_time)");
        }
        Ok(vec![DataType::Utf8, instants_or_times(time, "date_trunc")?])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[1].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))) = &args.args[0] else {
            return exec_err!("date_trunc takes what to cut to as a constant, as in date_trunc('day', event_time)");
        };
        let granularity = Granularity::parse(text)?;
        match args.args[1].data_type() {
            DataType::Timestamp(unit, zone) => {
                let zone = zone.filter(|zone| !is_utc(zone)).map(|zone| zone.parse::<Tz>()).transpose()?;
                instants::map(&args.args[1], |ticks| cut(ticks, unit, zone, granularity))
            }
            _ => self.times_of_day.invoke_with_args(args),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        // Cutting keeps the order in UTC; where clocks are set back, an hour that comes twice stays in order as well.
        Ok(match inputs[0].sort_properties {
            SortProperties::Singleton => inputs[1].sort_properties,
            _ => SortProperties::Unordered,
        })
    }
}

/// Returns the type in which a function takes an instant or a time of day: text and dates become microseconds.
///
/// # Errors
/// When it is neither.
pub(crate) fn instants_or_times(kind: &DataType, function: &str) -> Result<DataType> {
    match kind {
        DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => Ok(kind.clone()),
        kind if kind.is_string() || kind.is_null() || matches!(kind, DataType::Date32 | DataType::Date64) => {
            Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        other => plan_err!("{function} takes a time, not {other}: cast it with CAST(… AS TIMESTAMP)"),
    }
}

fn is_utc(zone: &Arc<str>) -> bool {
    matches!(zone.as_ref(), "+00:00" | "UTC" | "Z")
}

/// Cuts an instant as the clocks of `zone` show it.
fn cut(ticks: i64, unit: TimeUnit, zone: Option<Tz>, granularity: Granularity) -> Result<i64> {
    match (zone, granularity.nanos()) {
        (Some(zone), _) if !granularity.is_below_minutes() => {
            let local = instants::instant(ticks, unit)?.with_timezone(&zone);
            instants::ticks(cut_in_zone(&local, granularity)?, unit)
        }
        (_, Some(nanos)) => {
            let length = nanos / instants::nanos(unit);
            // A unit that is coarser than what is asked for has nothing to cut.
            if length <= 1 { Ok(ticks) } else { floor(ticks, length).ok_or_else(|| instants::out_of_range(unit)) }
        }
        (_, None) => {
            let clock = cut_clock(instants::instant(ticks, unit)?.naive_utc(), granularity)?;
            instants::ticks(clock.and_utc(), unit)
        }
    }
}

fn floor(ticks: i64, length: i64) -> Option<i64> {
    ticks.checked_sub(ticks.rem_euclid(length))
}

fn cut_in_zone(local: &DateTime<Tz>, granularity: Granularity) -> Result<DateTime<Utc>> {
    let zone = local.timezone();
    let clock = cut_clock(local.naive_local(), granularity)?;
    let cut = match zone.from_local_datetime(&clock) {
        LocalResult::Single(cut) => cut,
        // Clocks were set back: the hour that comes twice is the one in which the instant lies.
        LocalResult::Ambiguous(first, second) => {
            if first.offset().fix() == local.offset().fix() {
                first
            } else {
                second
            }
        }
        // Clocks were set forward over it, so what is cut to begins when they were.
        LocalResult::None => {
            let before = clock - TimeDelta::hours(3);
            let before = zone.from_local_datetime(&before).earliest().ok_or_else(beyond_calendar)?;
            before + TimeDelta::hours(3)
        }
    };
    Ok(cut.with_timezone(&Utc))
}

/// Cuts what a clock and a calendar show.
fn cut_clock(clock: NaiveDateTime, granularity: Granularity) -> Result<NaiveDateTime> {
    let date = clock.date();
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    let first = |month| NaiveDate::from_ymd_opt(date.year(), month, 1).map(midnight);
    let time = clock.time();
    let cut = match granularity {
        Granularity::Microsecond | Granularity::Millisecond | Granularity::Second => Some(clock),
        Granularity::Minute => date.and_hms_opt(time.hour(), time.minute(), 0),
        Granularity::Hour => date.and_hms_opt(time.hour(), 0, 0),
        Granularity::Day => Some(midnight(date)),
        Granularity::Week => {
            date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into())).map(midnight)
        }
        Granularity::Month => first(date.month()),
        Granularity::Quarter => first(date.month0() / 3 * 3 + 1),
        Granularity::Year => first(1),
    };
    cut.ok_or_else(beyond_calendar)
}

fn beyond_calendar() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("date_trunc: a time lies outside of the calendar")
}
