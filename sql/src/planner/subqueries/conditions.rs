//! `x IN (SELECT …)`, `x < ANY (SELECT …)` and the like as values that are true, false or unknown.
//!
//! They are said by `EXISTS`, counts, and the least and greatest value of the query: each is answered once for all rows, or by a join.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue, Spans, plan_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SkipType,
    Subquery, lit, not, when,
};

use crate::planner::values::extremes;

/// What the column of a query is called in conditions about its rows.
const VALUE: &str = "$value";

/// Says an expression over `schema` without `IN`, `ANY` and `ALL` of queries.
///
/// # Errors
/// For a comparison that is not one of `=`, `<>`, `<`, `<=`, `>`, `>=`.
pub(in crate::planner) fn as_values(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let said = expr.transform_up(|part| match part {
        Expr::InSubquery(asked) => is_in(asked, schema).map(Transformed::yes),
        Expr::SetComparison(asked) => match as_in(asked) {
            Ok(asked) => is_in(asked, schema).map(Transformed::yes),
            Err(asked) => compared(asked, schema).map(Transformed::yes),
        },
        other => Ok(Transformed::no(other)),
    });
    said.data()
}

/// Says `= ANY` as `IN`, `<> ALL` as `NOT IN`; gives back any other comparison.
pub(in crate::planner) fn as_in(asked: SetComparison) -> std::result::Result<InSubquery, SetComparison> {
    match (asked.op, &asked.quantifier) {
        (Operator::Eq, SetQuantifier::Any) => Ok(InSubquery::new(asked.expr, asked.subquery, false)),
        (Operator::NotEq, SetQuantifier::All) => Ok(InSubquery::new(asked.expr, asked.subquery, true)),
        _ => Err(asked),
    }
}

/// Says `EXISTS` by counting.
pub(super) fn counts(expr: Expr) -> Result<Expr> {
    let said = expr.transform_up(|part| match part {
        Expr::Exists(Exists { subquery, negated }) => {
            let rows = rows_alone(Arc::unwrap_or_clone(subquery.subquery));
            let counted = scalar(number_of_rows(Arc::new(rows))?);
            Ok(Transformed::yes(if negated { counted.eq(lit(0_i64)) } else { counted.gt(lit(0_i64)) }))
        }
        other => Ok(Transformed::no(other)),
    });
    said.data()
}

/// Leaves out what does not tell whether there is a row.
fn rows_alone(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Projection(shown) => rows_alone(Arc::unwrap_or_clone(shown.input)),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => rows_alone(Arc::unwrap_or_clone(sort.input)),
        LogicalPlan::Limit(limit) if takes_the_first(&limit) => rows_alone(Arc::unwrap_or_clone(limit.input)),
        other => other,
    }
}

fn takes_the_first(limit: &Limit) -> bool {
    let skips = !matches!(limit.get_skip_type(), Ok(SkipType::Literal(0)));
    !skips && matches!(limit.get_fetch_type(), Ok(FetchType::Literal(rows)) if rows != Some(0))
}

/// Returns the rows of a query, whose column is called [`VALUE`].
///
/// Else a column of both sides, `t.x IN (SELECT t.x FROM t)`, would be taken for one. And a cast has the name of what it casts, which
/// DataFusion may have to put beside it for a condition.
pub(in crate::planner) fn values(query: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    let (value, input) = match Arc::unwrap_or_clone(query) {
        LogicalPlan::Projection(Projection { mut expr, input, .. }) if expr.len() == 1 => {
            (expr.remove(0).unalias(), input)
        }
        other => (Expr::Column(Column::from(other.schema().qualified_field(0))), Arc::new(other)),
    };
    Ok(Arc::new(LogicalPlanBuilder::from(input).project([value.alias(VALUE)])?.build()?))
}

/// Leaves out of a query what a join for a condition about it does not need.
pub(super) fn without_needless(condition: Expr) -> Result<Expr> {
    Ok(match condition {
        Expr::Exists(Exists { subquery, negated }) => {
            let rows = rows_alone(Arc::unwrap_or_clone(subquery.subquery));
            Expr::Exists(Exists { subquery: asked(Arc::new(rows)), negated })
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if !subquery.outer_ref_columns.is_empty() => {
            Expr::InSubquery(InSubquery { expr, subquery: asked(values(subquery.subquery)?), negated })
        }
        Expr::ScalarSubquery(query)
            if !query.outer_ref_columns.is_empty() && matches!(*query.subquery, LogicalPlan::Projection(_)) =>
        {
            Expr::ScalarSubquery(asked(values(query.subquery)?))
        }
        other => other,
    })
}

fn asked(plan: Arc<LogicalPlan>) -> Subquery {
    Subquery { outer_ref_columns: plan.all_out_ref_exprs(), subquery: plan, spans: Spans::new() }
}

pub(in crate::planner) fn value() -> Expr {
    Expr::Column(Column::new_unqualified(VALUE))
}

fn is_in(asked: InSubquery, schema: &DFSchema) -> Result<Expr> {
    let x = *asked.expr;
    let rows = values(asked.subquery.subquery)?;
    let equal = exists(&rows, Some(value().eq(seen_from_inside(x.clone(), schema)?)))?;
    let unknown = unknown(x, &rows, schema)?;
    let is_in = three_valued(equal, true, unknown)?;
    Ok(if asked.negated { not(is_in) } else { is_in })
}

/// Says a comparison with any or all values by the least and the greatest one.
fn compared(asked: SetComparison, schema: &DFSchema) -> Result<Expr> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let SetComparison { expr: x, subquery, op, quantifier } = asked;
    let any = quantifier == SetQuantifier::Any;
    let rows = values(subquery.subquery)?;
    let [least, greatest] = extremes::min_and_max().map(|extreme| {
        let extreme = extreme.call(vec![value()]).alias("extreme");
        let found = LogicalPlanBuilder::from(Arc::clone(&rows)).aggregate(Vec::<Expr>::new(), vec![extreme]);
        found.and_then(LogicalPlanBuilder::build).map(scalar)
    });
    // What settles it: a value for which it is true (`ANY`), or one for which it is false (`ALL`).
    let Some(settles) = (if any { Some(op) } else { op.negate() }) else { return plan_err!("{op} takes no query") };
    let compare = |value: Expr| Expr::BinaryExpr(BinaryExpr::new(x.clone(), settles, Box::new(value)));
    let settled = match settles {
        Lt | LtEq => compare(greatest?),
        Gt | GtEq => compare(least?),
        NotEq => compare(least?).or(compare(greatest?)),
        Eq => return plan_err!("internal: `= ANY` is IN"),
        other => return plan_err!("`{other} {quantifier} (SELECT …)` is not answered: use =, <>, <, <=, > or >="),
    };
    let unknown = unknown(*x, &rows, schema)?;
    three_valued(settled, any, unknown)
}

/// Says that a comparison of `x` with one of `rows` may be unknown; `None` if it cannot.
fn unknown(x: Expr, rows: &Arc<LogicalPlan>, schema: &DFSchema) -> Result<Option<Expr>> {
    let mut unknown = Vec::new();
    if rows.schema().field(0).is_nullable() {
        unknown.push(exists(rows, Some(value().is_null()))?);
    }
    if x.nullable(schema)? {
        unknown.push(x.is_null().and(exists(rows, None)?));
    }
    Ok(unknown.into_iter().reduce(Expr::or))
}

/// `verdict` if `settled`, else NULL if `unknown`, else the opposite.
fn three_valued(settled: Expr, verdict: bool, unknown: Option<Expr>) -> Result<Expr> {
    let mut said = when(settled, lit(verdict));
    match unknown {
        Some(unknown) => said.when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(!verdict)),
        None => said.otherwise(lit(!verdict)),
    }
}

/// Says that a query has a row for which `condition` is true.
pub(in crate::planner) fn exists(rows: &Arc<LogicalPlan>, condition: Option<Expr>) -> Result<Expr> {
    let rows = LogicalPlanBuilder::from(Arc::clone(rows));
    let rows = match condition {
        Some(condition) => rows.filter(condition)?,
        None => rows,
    };
    let rows = Arc::new(rows.build()?);
    if rows.all_out_ref_exprs().is_empty() {
        return Ok(scalar(number_of_rows(rows)?).gt(lit(0_i64)));
    }
    Ok(Expr::Exists(Exists { subquery: asked(rows), negated: false }))
}

/// Counts rows; where it is one answer for all, up to one.
fn number_of_rows(rows: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let is_one_answer = rows.all_out_ref_exprs().is_empty();
    let rows = LogicalPlanBuilder::from(rows);
    let rows = if is_one_answer { rows.limit(0, Some(1))? } else { rows };
    rows.aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias("rows")])?.build()
}

fn scalar(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(asked(Arc::new(plan)))
}

/// Says an expression over `schema` as a subquery sees it.
pub(in crate::planner) fn seen_from_inside(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let outer = expr.transform(|part| match part {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    });
    outer.data()
}
