//! Timestamps have microseconds, as those of the tables.
//!
//! DataFusion has timestamps of four units and takes the coarser when two meet, so that digits are cut: a column of microseconds
//! next to `to_timestamp_seconds(…)` has whole seconds. Its default is nanoseconds, which end in the year 2262. Here types,
//! casts and functions give microseconds, which reach further than any calendar; what still has another unit, by `arrow_cast`,
//! is compared in the finer one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, ColumnarValue, Documentation, Expr, ExprSchemable, LogicalPlan, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewrite;

/// Functions of DataFusion that give timestamps of another unit.
pub(super) const OTHER_UNITS: [&str; 5] =
    ["now", "from_unixtime", "to_timestamp_seconds", "to_timestamp_millis", "to_timestamp_nanos"];

fn micros(zone: Option<Arc<str>>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone)
}

/// Gives casts microseconds and comparisons the finer of two units. Comes before the rule that makes implicit casts.
#[derive(Debug)]
pub(super) struct MicrosecondTimestamps;

impl AnalyzerRule for MicrosecondTimestamps {
    fn name(&self) -> &str {
        "icefold_microsecond_timestamps"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &with_units)
    }
}

fn with_units(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(Cast { expr, field }) => match cast(&expr, field.data_type(), schema) {
            Some((inner, to)) => Transformed::yes(Expr::Cast(Cast::new(Box::new(inner), to))),
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::TryCast(TryCast { expr, field }) => match cast(&expr, field.data_type(), schema) {
            Some((inner, to)) => Transformed::yes(Expr::TryCast(TryCast::new(Box::new(inner), to))),
            None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            compared(vec![*left, *right], schema, |mut sides| {
                let (right, left) = (sides.pop()?, sides.pop()?);
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
            })?
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            moved(*left, op, *right, schema)
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            compared(vec![*expr, *low, *high], schema, |mut sides| {
                let (high, low, expr) = (sides.pop()?, sides.pop()?, sides.pop()?);
                Some(Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high))))
            })?
        }
        Expr::InList(InList { expr, list, negated }) => {
            let sides = std::iter::once(*expr).chain(list).collect();
            compared(sides, schema, |sides| {
                let mut sides = sides.into_iter();
                let expr = Box::new(sides.next()?);
                Some(Expr::InList(InList::new(expr, sides.collect(), negated)))
            })?
        }
        other => Transformed::no(other),
    })
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Returns what to cast, and to what, instead of a cast to a timestamp: whole numbers are seconds, as in PostgreSQL.
fn cast(inner: &Expr, to: &DataType, schema: &DFSchema) -> Option<(Expr, DataType)> {
    let DataType::Timestamp(unit, zone) = to else { return None };
    let is_seconds = inner.get_type(schema).is_ok_and(|kind| kind.is_integer());
    match (unit, is_seconds) {
        // Made below, or by DataFusion for a cast of a number.
        (TimeUnit::Second, true) => None,
        (_, true) => {
            let seconds = Cast::new(Box::new(inner.clone()), DataType::Timestamp(TimeUnit::Second, zone.clone()));
            Some((Expr::Cast(seconds), micros(zone.clone())))
        }
        (TimeUnit::Microsecond, false) => None,
        (_, false) => Some((inner.clone(), micros(zone.clone()))),
    }
}

/// Moves a date by an interval: DataFusion gives a date and drops hours. Whole days and months leave it a date.
fn moved(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_date = |side: &Expr| side.get_type(schema).is_ok_and(|kind| kind == DataType::Date32);
    let has_hours = |side: &Expr| match side {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => interval.nanoseconds != 0,
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => interval.milliseconds != 0,
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => false,
        other => other.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_) | DataType::Duration(_))),
    };
    let as_time = |side: Expr| Box::new(Expr::Cast(Cast::new(Box::new(side), micros(None))));
    if is_date(&left) && has_hours(&right) {
        Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(as_time(left), op, Box::new(right))))
    } else if is_date(&right) && has_hours(&left) {
        Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, as_time(right))))
    } else {
        Transformed::no(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
    }
}

/// Casts what is compared with a timestamp: other timestamps to the finest of the units, dates and text to a timestamp, of
/// which DataFusion would make nanoseconds.
fn compared(
    sides: Vec<Expr>,
    schema: &DFSchema,
    whole: impl FnOnce(Vec<Expr>) -> Option<Expr>,
) -> Result<Transformed<Expr>> {
    let kinds: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let common = finest(kinds.iter().flatten());
    let casts = kinds.into_iter().map(|kind| in_unit(&kind?, common.as_ref()?)).collect::<Vec<_>>();
    let changed = casts.iter().any(Option::is_some);
    let sides = sides.into_iter().zip(casts).map(|(side, to)| match to {
        Some(to) => Expr::Cast(Cast::new(Box::new(side), to)),
        None => side,
    });
    let expr = whole(sides.collect()).ok_or_else(|| exec_datafusion_err!("a comparison lost a side"))?;
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// The unit, at least microseconds, in which timestamps are compared, and the zone of the first that has one.
#[derive(Debug, PartialEq)]
struct Common {
    unit: TimeUnit,
    zone: Option<Arc<str>>,
}

/// Returns what is common to the timestamps among `kinds`; `None` if there is none.
fn finest<'a>(kinds: impl Iterator<Item = &'a DataType>) -> Option<Common> {
    let mut common = None;
    for kind in kinds {
        let DataType::Timestamp(unit, zone) = kind else { continue };
        let Common { unit: finest, zone: first } =
            common.take().unwrap_or(Common { unit: TimeUnit::Microsecond, zone: None });
        let unit = if *unit == TimeUnit::Nanosecond { *unit } else { finest };
        common = Some(Common { unit, zone: first.or_else(|| zone.clone()) });
    }
    common
}

/// Returns what a side is to be cast to.
fn in_unit(kind: &DataType, common: &Common) -> Option<DataType> {
    match kind {
        DataType::Timestamp(own, zone) if *own != common.unit => Some(DataType::Timestamp(common.unit, zone.clone())),
        DataType::Timestamp(..) => None,
        DataType::Date32 => Some(DataType::Timestamp(common.unit, common.zone.clone())),
        kind if kind.is_string() => Some(DataType::Timestamp(common.unit, common.zone.clone())),
        _ => None,
    }
}

fn kinds_zone(kind: &DataType) -> Option<Arc<str>> {
    match kind {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

/// A function whose timestamps are brought to microseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InMicroseconds {
    inner: Arc<ScalarUDF>,
}

/// Returns `inner` with timestamps of microseconds.
pub(super) fn in_microseconds(inner: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(InMicroseconds { inner }))
}

impl ScalarUDFImpl for InMicroseconds {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(InMicroseconds { inner }))
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(micros(kinds_zone(&self.inner.return_type(args)?)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(Field::new(field.name(), micros(kinds_zone(field.data_type())), field.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = self.inner.invoke_with_args(args)?;
        let to = micros(kinds_zone(&value.data_type()));
        value.cast_to(&to, None)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, context)? {
            ExprSimplifyResult::Simplified(Expr::Literal(value, metadata)) => {
                let to = micros(kinds_zone(&value.data_type()));
                ExprSimplifyResult::Simplified(Expr::Literal(value.cast_to(&to)?, metadata))
            }
            other => other,
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
