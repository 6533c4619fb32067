//! `x NOT IN (SELECT …)` where DataFusion loses what NULL says.
//!
//! A NULL on either side makes `NOT IN` unknown, unless the query has no row. DataFusion's anti join knows that, but not under `OR` or
//! `NOT`, not of a constant or a query that refers to the outer one; and it drops the NULLs of the query when another condition says
//! that `x` is none. So the condition is said with what is answered right: no row is equal, none is NULL, and `x` is not NULL unless
//! there is no row.
//! `IN (SELECT …)` whose unknown is told from false, as in `(x IN (SELECT …)) IS NULL`, is refused.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, Spans, plan_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, not, scalar_subquery,
};
use datafusion::optimizer::AnalyzerRule;

/// What the column of the query is called in the conditions about its rows.
const VALUE: &str = "$icefold_not_in";

/// Rewrites the conditions of `WHERE` and `HAVING`.
#[derive(Debug)]
pub(super) struct NotIn;

impl AnalyzerRule for NotIn {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
            let schema = filter.input.schema();
            let conditions = split_conjunction_owned(filter.predicate);
            let conditions: Result<Vec<_>> =
                conditions.into_iter().map(|condition| rewrite(condition, true, schema)).collect();
            let predicate = conjunction(conditions?).unwrap_or_else(|| lit(true));
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        });
        rewritten.data()
    }

    fn name(&self) -> &str {
        "not_in_subqueries"
    }
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
        other if other.exists(|part| Ok(matches!(part, Expr::InSubquery(_))))? => plan_err!(
            "`IN (SELECT …)` inside of `{}` is not answered: use it with AND, OR and NOT only, or write EXISTS (SELECT … WHERE …)",
            other.variant_name()
        ),
        other => Ok(other),
    }
}

/// Says `x NOT IN (SELECT y …)` so that it is true exactly if it is known to be true.
fn is_not_in(asked: InSubquery, schema: &DFSchema) -> Result<Expr> {
    let x = *asked.expr;
    if x.contains_outer() {
        return plan_err!(
            "`NOT IN (SELECT …)` about a column of two queries further out is not answered: write NOT EXISTS (SELECT … WHERE …)"
        );
    }
    // Else a column of both sides, `t.x NOT IN (SELECT t.x FROM t)`, would be taken for one and always be equal.
    let asked_for = Expr::Column(Column::from(asked.subquery.subquery.schema().qualified_field(0)));
    let rows = LogicalPlanBuilder::from(asked.subquery.subquery).project([asked_for.alias(VALUE)])?;
    let rows = Arc::new(rows.build()?);
    let y = Expr::Column(Column::new_unqualified(VALUE));
    let none_equal = has_none(&rows, Some(y.clone().eq(seen_from_inside(x.clone(), schema)?)))?;
    let none_null = has_none(&rows, Some(y.is_null()))?;
    Ok(none_equal.and(none_null).and(x.is_not_null().or(has_none(&rows, None)?)))
}

/// Says that a subquery has no row for which `condition` is true.
fn has_none(rows: &Arc<LogicalPlan>, condition: Option<Expr>) -> Result<Expr> {
    let rows = LogicalPlanBuilder::from(Arc::clone(rows));
    let rows = match condition {
        Some(condition) => rows.filter(condition)?,
        None => rows,
    };
    let outside = rows.plan().all_out_ref_exprs();
    if outside.is_empty() {
        // One answer for all rows.
        let counted = rows.limit(0, Some(1))?.aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias("rows")])?;
        return Ok(scalar_subquery(Arc::new(counted.build()?)).eq(lit(0_i64)));
    }
    let subquery = Subquery { subquery: Arc::new(rows.build()?), outer_ref_columns: outside, spans: Spans::new() };
    Ok(Expr::Exists(Exists { subquery, negated: true }))
}

/// Says an expression over `schema` as a subquery sees it.
fn seen_from_inside(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let outer = expr.transform(|part| match part {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    });
    outer.data()
}

#[cfg(test)]
mod tests;
