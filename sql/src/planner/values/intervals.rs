//! Spans of time are compared by their length, or not at all.
//!
//! DataFusion compares intervals by months, then days, then the rest: 25 hours are less than a day. Here days of an interval have 24
//! hours when it is compared, as the differences of timestamps are; intervals with months, which have no length, and those that a
//! query computes are refused, also by `ORDER BY`, `min`, `max`, `greatest` and `least`.

use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use super::timestamps::is_comparison;
use crate::planner::rewrite;

const DAY_MICROS: i64 = 86_400_000_000;
/// Functions that compare their arguments.
const COMPARE: [&str; 4] = ["min", "max", "greatest", "least"];

/// Replaces intervals in comparisons. Comes before the rule that makes implicit casts.
#[derive(Debug)]
pub(super) struct ComparedIntervals;

impl AnalyzerRule for ComparedIntervals {
    fn name(&self) -> &str {
        "icefold_compared_intervals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            if let LogicalPlan::Sort(sort) = &node {
                let schema = sort.input.schema();
                for key in &sort.expr {
                    if is_interval(&key.expr, schema) {
                        return refuse("ORDER BY");
                    }
                }
            }
            rewrite::of_node(node, &compared)
        })
        .data()
    }
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_)))
}

fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_interval = |side: &Expr| is_interval(side, schema);
    let is_time = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::Time32(_) | DataType::Time64(_)));
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && (is_interval(&left) || is_interval(&right)) =>
        {
            let (left, right) = (Box::new(length(*left, schema)?), Box::new(length(*right, schema)?));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        // DataFusion makes an interval of it, beyond midnight one of 25 hours.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right })
            if (is_time(&left) && is_interval(&right)) || (is_interval(&left) && is_time(&right)) =>
        {
            return plan_err!(
                "a TIME moved by an interval is refused because it may pass midnight: move a timestamp, and cast it to TIME"
            );
        }
        Expr::Between(Between { expr, negated, low, high })
            if [&expr, &low, &high].into_iter().any(|e| is_interval(e)) =>
        {
            let [expr, low, high] =
                [length(*expr, schema)?, length(*low, schema)?, length(*high, schema)?].map(Box::new);
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        Expr::InList(InList { expr, list, negated }) if is_interval(&expr) || list.iter().any(is_interval) => {
            let list = list.into_iter().map(|value| length(value, schema)).collect::<Result<_>>()?;
            Transformed::yes(Expr::InList(InList { expr: Box::new(length(*expr, schema)?), list, negated }))
        }
        Expr::AggregateFunction(function)
            if COMPARE.contains(&function.func.name()) && function.params.args.iter().any(is_interval) =>
        {
            return refuse(function.func.name());
        }
        Expr::ScalarFunction(function)
            if COMPARE.contains(&function.name()) && function.args.iter().any(is_interval) =>
        {
            return refuse(function.name());
        }
        other => Transformed::no(other),
    })
}

/// Returns the length of a span of time.
fn length(span: Expr, schema: &DFSchema) -> Result<Expr> {
    let micros = DataType::Duration(TimeUnit::Microsecond);
    match (span.get_type(schema)?, &span) {
        (DataType::Duration(TimeUnit::Microsecond) | DataType::Null, _) => Ok(span),
        (DataType::Duration(_), _) => Ok(Expr::Cast(Cast::new(Box::new(span), micros))),
        (
            DataType::Interval(IntervalUnit::MonthDayNano),
            Expr::Literal(ScalarValue::IntervalMonthDayNano(value), metadata),
        ) => {
            let Some(length) = value.map_or(Some(None), |value| micros_of(value).map(Some)) else {
                return refuse("a comparison");
            };
            Ok(Expr::Literal(ScalarValue::DurationMicrosecond(length), metadata.clone()))
        }
        _ => refuse("a comparison"),
    }
}

/// Returns the microseconds of an interval without months.
fn micros_of(interval: IntervalMonthDayNano) -> Option<i64> {
    let rest = (interval.nanoseconds % 1_000 == 0).then_some(interval.nanoseconds / 1_000)?;
    let days = i64::from(interval.days).checked_mul(DAY_MICROS)?;
    if interval.months == 0 { days.checked_add(rest) } else { None }
}

fn refuse<T>(by: &str) -> Result<T> {
    plan_err!(
        "{by} of intervals is refused because a month has no length: compare times, as in `a + INTERVAL '1 month' < b`, or the \
         difference of times with an interval of days or less, as in `b - a > INTERVAL '36 hours'`"
    )
}
