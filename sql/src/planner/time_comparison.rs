//! Times that meet dates and text: DataFusion casts both sides to nanoseconds, which end in 1677 and 2262, so that one event from
//! a clock that stands beyond breaks the question. Ours casts the date or text to the type of the time.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

/// The rule; it must come before the one that coerces types.
#[derive(Debug)]
pub(crate) struct TimeComparison;

impl AnalyzerRule for TimeComparison {
    fn name(&self) -> &str {
        "icefold_time_comparison"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(in_plan)?.data)
    }
}

fn in_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&scan.projected_schema);
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| in_expression(expr, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })
}

fn in_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let Some(kind) = common(&[&left, &right], schema) else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            let (left, right) = (as_type(*left, &kind, schema), as_type(*right, &kind, schema));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let Some(kind) = common(&[&expr, &low, &high], schema) else {
                return Ok(Transformed::no(Expr::Between(Between { expr, negated, low, high })));
            };
            let [expr, low, high] = [expr, low, high].map(|part| Box::new(as_type(*part, &kind, schema)));
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::InList(InList { expr, list, negated }) => {
            // The time that is looked up says the type; of a list of thousands only its texts and dates are looked at.
            let Some(kind) = micros(&expr, schema) else {
                return Ok(Transformed::no(Expr::InList(InList { expr, list, negated })));
            };
            let list = list.into_iter().map(|item| as_type(item, &kind, schema)).collect();
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        // `AT TIME ZONE`.
        Expr::Cast(Cast { expr, field }) => match in_zone(field.data_type()) {
            Some(kind) if is_not_in_nanos(&expr, schema) => Ok(Transformed::yes(Expr::Cast(Cast::new(expr, kind)))),
            _ => Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
        },
        other => Ok(Transformed::no(other)),
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Returns the type in which the parts are to be compared: that of the time in microseconds, if another is a date or text.
fn common(parts: &[&Expr], schema: &DFSchema) -> Option<DataType> {
    let kind = parts.iter().find_map(|part| micros(part, schema))?;
    parts.iter().any(|part| is_date_or_text(part, schema)).then_some(kind)
}

fn micros(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok().filter(|kind| matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _)))
}

fn is_date_or_text(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| kind.is_string() || matches!(kind, DataType::Date32 | DataType::Date64))
}

fn as_type(expr: Expr, kind: &DataType, schema: &DFSchema) -> Expr {
    if is_date_or_text(&expr, schema) { Expr::Cast(Cast::new(Box::new(expr), kind.clone())) } else { expr }
}

fn in_zone(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone))))
        }
        _ => None,
    }
}

fn is_not_in_nanos(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| !matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _)))
}
