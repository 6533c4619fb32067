//! `TIMESTAMP` and `TIME` in microseconds, as the columns of tables: DataFusion plans them in nanoseconds, which end in 1677 and
//! 2262, so that `TIMESTAMP '9999-12-31'` and a cast of a clock that stands there fail.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

/// Digits of a microsecond.
const DIGITS: u64 = 6;

/// Plans the types of SQL that hold times.
#[derive(Debug)]
pub(crate) struct TimeTypes;

impl TypePlanner for TimeTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        if let SqlType::Timestamp(Some(digits), _) | SqlType::Datetime(Some(digits)) = sql_type
            && *digits != DIGITS
        {
            return plan_err!(
                "`{sql_type}` is refused because timestamps have microseconds: write `TIMESTAMP`, and cut with \
                 `date_trunc('second', …)` or `date_trunc('millisecond', …)`"
            );
        }
        Ok(arrow_type(sql_type).map(|kind| Arc::new(Field::new("", kind, true))))
    }
}

/// Returns our type, `None` where DataFusion's will do.
fn arrow_type(sql_type: &SqlType) -> Option<DataType> {
    let has_no_zone = |zone: &TimezoneInfo| matches!(zone, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone);
    match sql_type {
        SqlType::Timestamp(_, zone) => {
            // There is no setting of a time zone: those that carry one are in UTC, as columns are.
            let zone = (!has_no_zone(zone)).then(|| Arc::from("+00:00"));
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
        }
        SqlType::Datetime(_) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        SqlType::Time(None | Some(0..=6), zone) if has_no_zone(zone) => Some(DataType::Time64(TimeUnit::Microsecond)),
        _ => None,
    }
}
