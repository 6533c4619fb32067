//! `x NOT IN (SELECT …)` where DataFusion loses what NULL says.
//!
//! A NULL on either side makes `NOT IN` unknown, unless the query has no row. DataFusion's anti join knows that, but not under `OR` or
//! `NOT`, not of a constant or a query that refers to the outer one; and it drops the NULLs of the query when another condition says
//! that `x` is none. So the condition is said with what is answered right: no row is equal, none is NULL, and `x` is not NULL unless
//! there is no row.
//! `IN (SELECT …)` whose unknown is told from false, as in `(x IN (SELECT …)) IS NULL`, is said with NULL, too
//! ([`conditions::as_values`]).

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, lit, not};
use datafusion::optimizer::AnalyzerRule;

use super::subqueries::conditions;

/// Rewrites the conditions of `WHERE` and `HAVING`.
#[derive(Debug)]
pub(super) struct NotIn;

impl AnalyzerRule for NotIn {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
            Ok(Transformed::yes(LogicalPlan::Filter(of_filter(filter)?)))
        });
        rewritten.data()
    }

    fn name(&self) -> &str {
        "not_in_subqueries"
    }
}

/// Rewrites the conditions of one filter.
pub(super) fn of_filter(filter: Filter) -> Result<Filter> {
    let schema = filter.input.schema();
    let conditions = split_conjunction_owned(filter.predicate);
    let conditions: Result<Vec<_>> = conditions.into_iter().map(|condition| rewrite(condition, true, schema)).collect();
    Filter::try_new(conjunction(conditions?).unwrap_or_else(|| lit(true)), filter.input)
}

/// Rewrites a condition for which unknown is as good as false (`wanted`), or as good as true.
fn rewrite(condition: Expr, wanted: bool, schema: &DFSchema) -> Result<Expr> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (rewrite(*left, wanted, schema)?, rewrite(*right, wanted, schema)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::Not(inner) => Ok(not(rewrite(*inner, !wanted, schema)?)),
        // Unknown and false are one here, for the join as well.
        Expr::InSubquery(asked) if asked.negated != wanted => Ok(Expr::InSubquery(asked)),
        Expr::InSubquery(asked) => {
            let is_out = is_not_in(asked, schema)?;
            Ok(if wanted { is_out } else { not(is_out) })
        }
        Expr::SetComparison(asked) => match conditions::as_in(asked) {
            Ok(asked) => rewrite(Expr::InSubquery(asked), wanted, schema),
            Err(asked) => conditions::as_values(Expr::SetComparison(asked), schema),
        },
        // Unknown is told from false.
        other => conditions::as_values(other, schema),
    }
}

/// Says `x NOT IN (SELECT y …)` so that it is true exactly if it is known to be true.
fn is_not_in(asked: InSubquery, schema: &DFSchema) -> Result<Expr> {
    let x = *asked.expr;
    let rows = conditions::values(asked.subquery.subquery)?;
    let y = conditions::value();
    let none_equal = has_none(&rows, Some(y.clone().eq(conditions::seen_from_inside(x.clone(), schema)?)))?;
    let none_null = has_none(&rows, Some(y.is_null()))?;
    Ok(none_equal.and(none_null).and(x.is_not_null().or(has_none(&rows, None)?)))
}

/// Says that a subquery has no row for which `condition` is true.
fn has_none(rows: &Arc<LogicalPlan>, condition: Option<Expr>) -> Result<Expr> {
    Ok(match conditions::exists(rows, condition)? {
        Expr::Exists(Exists { subquery, negated }) => Expr::Exists(Exists { subquery, negated: !negated }),
        counted => not(counted),
    })
}

#[cfg(test)]
mod tests;
