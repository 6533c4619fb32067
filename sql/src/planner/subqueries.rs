//! Queries inside of expressions, wherever they stand.
//!
//! DataFusion answers `IN`, `EXISTS` and `ANY` in conditions of WHERE only, and queries in the place of a value only if they are an
//! aggregate whose rows are found by `=`; others end in an error, and what it pulls out of a window, a limit or a nested aggregate is
//! wrong. Here conditions become values ([`conditions`]), queries move to a projection below where they may not stand, and those that
//! DataFusion does not answer right are computed by [`dependent`]. It keeps what it does well: joins by equal keys.

pub(super) mod conditions;
mod dependent;
mod only_row;

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Distinct, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::not_in;
use dependent::Dependent;
pub(super) use dependent::has_one_row;

/// Rewrites what DataFusion does not answer right.
#[derive(Debug)]
pub(super) struct Subqueries;

impl AnalyzerRule for Subqueries {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Rewriter { number: Cell::new(0), has_changed: Cell::new(false) }.every(plan)
    }

    fn name(&self) -> &str {
        "subqueries"
    }
}

/// Says whether an expression holds a query.
fn asks(expr: &Expr) -> bool {
    let holds = |part: &Expr| {
        matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_))
    };
    expr.exists(|part| Ok(holds(part))).unwrap_or(true)
}

struct Rewriter {
    /// Numbers what is added.
    number: Cell<usize>,
    has_changed: Cell<bool>,
}

impl Rewriter {
    fn every(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| self.node(node)).data()
    }

    fn next(&self) -> usize {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        // An input may have gained columns that can be NULL.
        let node = if self.has_changed.get() { node.recompute_schema()? } else { node };
        match node {
            LogicalPlan::Join(join) if is_lateral(&join) => {
                self.has_changed.set(true);
                self.lateral_join(join).map(Transformed::yes)
            }
            node if asks_itself(&node)? => {
                self.has_changed.set(true);
                self.asking(with_values(above_inner_join(node)?)?).map(Transformed::yes)
            }
            node => Ok(Transformed::no(node)),
        }
    }

    fn asking(&self, node: LogicalPlan) -> Result<LogicalPlan> {
        match node {
            LogicalPlan::Projection(_) => self.projection(node),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Join(join) => self.outer_join(join),
            LogicalPlan::Sort(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => self.below(node),
            other => Ok(other),
        }
    }

    /// Computes queries that DataFusion does not beside `input`; returns both without them.
    fn computed(&self, mut input: LogicalPlan, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Expr>)> {
        let mut rewritten = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let done = expr.transform(|part| match part {
                Expr::ScalarSubquery(query) if is_ours(&query, input.schema()) => {
                    let number = self.next();
                    let name = format!("$subquery{number}");
                    let outer = std::mem::take(&mut input);
                    input = self.every(Dependent::new(outer, number)?.with_value(&query.subquery, &name)?)?;
                    Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
                }
                other => Ok(Transformed::no(other)),
            });
            rewritten.push(done.data()?);
        }
        Ok((input, rewritten))
    }

    fn projection(&self, node: LogicalPlan) -> Result<LogicalPlan> {
        let LogicalPlan::Projection(projection) = node else { return Ok(node) };
        if !projection.expr.iter().any(|expr| has_ours(expr, projection.input.schema())) {
            return Ok(LogicalPlan::Projection(projection));
        }
        let names: Vec<_> = projection.expr.iter().map(|expr| NamePreserver::new_for_projection().save(expr)).collect();
        let (input, exprs) = self.computed(Arc::unwrap_or_clone(projection.input), projection.expr)?;
        let exprs = names.into_iter().zip(exprs).map(|(name, expr)| name.restore(expr));
        LogicalPlanBuilder::from(input).project(exprs.collect::<Vec<_>>())?.build()
    }

    fn filter(&self, filter: Filter) -> Result<LogicalPlan> {
        if !has_ours(&filter.predicate, filter.input.schema()) {
            return Ok(LogicalPlan::Filter(filter));
        }
        let columns = filter.input.schema().columns();
        let (ours, simple): (Vec<_>, Vec<_>) = split_conjunction_owned(filter.predicate)
            .into_iter()
            .partition(|part| has_ours(part, filter.input.schema()));
        let mut input = filter.input;
        if let Some(simple) = conjunction(simple) {
            // Fewer rows to ask the queries about.
            input = Arc::new(LogicalPlan::Filter(Filter::try_new(simple, input)?));
        }
        let (input, ours) = self.computed(Arc::unwrap_or_clone(input), ours)?;
        let predicate = conjunction(ours).unwrap_or_else(|| lit(true));
        kept(LogicalPlanBuilder::from(input).filter(predicate)?, columns)
    }

    /// Moves queries of a node that may not have them into a projection below.
    fn below(&self, node: LogicalPlan) -> Result<LogicalPlan> {
        let columns = node.schema().columns();
        let input = node.inputs().into_iter().next().cloned().unwrap_or_default();
        let mut asked = Vec::new();
        let names = NamePreserver::new_for_projection();
        let is_sort = matches!(node, LogicalPlan::Sort(_));
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let moved = expr.transform(|part| Ok(self.moved(part, &mut asked)))?;
            Ok(if is_sort { moved } else { moved.update_data(|expr| name.restore(expr)) })
        })?;
        if asked.is_empty() {
            return Ok(node.data);
        }
        let input = self.with_columns(input, asked)?;
        let exprs = node.data.expressions();
        let node = node.data.with_new_exprs(exprs, vec![input])?;
        kept(LogicalPlanBuilder::from(node), columns)
    }

    /// Names a query that is asked anew for each row, and notes it.
    fn moved(&self, part: Expr, asked: &mut Vec<Expr>) -> Transformed<Expr> {
        match part {
            Expr::ScalarSubquery(query) if !query.outer_ref_columns.is_empty() => {
                let name = format!("$subquery{}", self.next());
                asked.push(Expr::ScalarSubquery(query).alias(&name));
                Transformed::yes(Expr::Column(Column::new_unqualified(name)))
            }
            other => Transformed::no(other),
        }
    }

    /// Computes more columns beside those of `input`.
    fn with_columns(&self, input: LogicalPlan, more: Vec<Expr>) -> Result<LogicalPlan> {
        let is_here = |expr: &Expr| {
            let is_not = |part: &Expr| matches!(part, Expr::ScalarSubquery(query) if !is_about(query, input.schema()));
            !expr.exists(|part| Ok(is_not(part))).unwrap_or(true)
        };
        let (here, below): (Vec<_>, Vec<_>) = more.into_iter().partition(is_here);
        let input = match input {
            // What ORDER BY is about need not be shown.
            LogicalPlan::Projection(shown) if !below.is_empty() => {
                let exprs = shown.expr.into_iter().chain(below);
                self.projection(LogicalPlanBuilder::from(shown.input).project(exprs)?.build()?)?
            }
            input if below.is_empty() => input,
            _ => {
                return plan_err!(
                    "a query in ORDER BY is about a column that SELECT does not have: add the column to SELECT"
                );
            }
        };
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        self.projection(LogicalPlanBuilder::from(input).project(columns.into_iter().chain(here))?.build()?)
    }

    /// Asks the queries of ON on the side that they are about.
    fn outer_join(&self, join: Join) -> Result<LogicalPlan> {
        let Some(predicate) = join.filter.clone().filter(asks) else { return Ok(LogicalPlan::Join(join)) };
        let columns = join.schema.columns();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let predicate = predicate.transform(|part| {
            let Expr::ScalarSubquery(query) = &part else { return Ok(Transformed::no(part)) };
            match (is_about(query, join.left.schema()), is_about(query, join.right.schema())) {
                (true, _) => Ok(self.moved(part, &mut left)),
                (_, true) => Ok(self.moved(part, &mut right)),
                _ => plan_err!(
                    "a query about both sides in the ON of {} JOIN is not answered: ask it in a SELECT around the join",
                    join.join_type.to_string().to_uppercase()
                ),
            }
        });
        let filter = Some(predicate.data()?);
        let left = self.with_columns(Arc::unwrap_or_clone(join.left), left)?;
        let right = self.with_columns(Arc::unwrap_or_clone(join.right), right)?;
        let Join { on, join_type, join_constraint, null_equality, null_aware, .. } = join;
        let join = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            filter,
            join_type,
            join_constraint,
            null_equality,
            null_aware,
        )?;
        kept(LogicalPlanBuilder::from(LogicalPlan::Join(join)), columns)
    }

    fn lateral_join(&self, join: Join) -> Result<LogicalPlan> {
        let is_always = join.filter.as_ref().is_none_or(|filter| *filter == lit(true));
        let all = join.join_type == JoinType::Left;
        let query = match unwrapped(join.right.as_ref().clone()) {
            Some(query) if join.on.is_empty() && (is_always || !all) => query,
            Some(query) if are_joined(&query, false) => return Ok(LogicalPlan::Join(join)),
            _ => {
                return plan_err!(
                    "the condition of this LEFT JOIN LATERAL is not answered: write it into the query, and ON true"
                );
            }
        };
        let (columns, filter) = (join.schema.columns(), join.filter);
        let rows = Dependent::new(Arc::unwrap_or_clone(join.left), self.next())?.with_rows(&query, all)?;
        let rows = LogicalPlanBuilder::from(self.every(rows)?);
        let rows = if let Some(filter) = filter { rows.filter(filter)? } else { rows };
        kept(rows, columns)
    }
}

fn asks_itself(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= asks(expr);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Moves conditions with queries from the ON of an inner join above it.
fn above_inner_join(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Join(Join { join_type: JoinType::Inner, filter: Some(predicate), .. }) = &node else {
        return Ok(node);
    };
    let (asking, simple): (Vec<_>, Vec<_>) = split_conjunction_owned(predicate.clone()).into_iter().partition(asks);
    let (Some(asking), LogicalPlan::Join(join)) = (conjunction(asking), node) else {
        return plan_err!("a query in USING is not answered: name it in WHERE");
    };
    let join = LogicalPlan::Join(Join { filter: conjunction(simple), ..join });
    Ok(LogicalPlan::Filter(not_in::of_filter(Filter::try_new(asking, Arc::new(join))?)?))
}

/// Says conditions about queries as values, those of WHERE only where DataFusion's join for them would be wrong.
fn with_values(node: LogicalPlan) -> Result<LogicalPlan> {
    let schema = merge_schema(&node.inputs());
    let is_filter = matches!(node, LogicalPlan::Filter(_));
    let names = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let said = expr.transform_up(|part| {
            let part = conditions::without_needless(part)?;
            match &part {
                Expr::InSubquery(asked) if is_filter && is_joined_right(&asked.subquery, &schema, For::Values) => {
                    Ok(Transformed::yes(part))
                }
                Expr::InSubquery(_) | Expr::SetComparison(_) => {
                    conditions::as_values(part, &schema).map(Transformed::yes)
                }
                _ => Ok(Transformed::yes(part)),
            }
        })?;
        let said = said.data.transform_up(|part| {
            let part = conditions::without_needless(part)?;
            match &part {
                Expr::Exists(asked) if is_filter && is_joined_right(&asked.subquery, &schema, For::Existence) => {
                    Ok(Transformed::yes(part))
                }
                Expr::Exists(_) => conditions::counts(part).map(Transformed::yes),
                _ => Ok(Transformed::yes(part)),
            }
        })?;
        Ok(said.update_data(|expr| name.restore(expr)))
    })?;
    Ok(node.data)
}

fn kept(plan: LogicalPlanBuilder, columns: Vec<Column>) -> Result<LogicalPlan> {
    plan.project(columns.into_iter().map(Expr::Column))?.build()
}

fn is_about(query: &Subquery, side: &DFSchema) -> bool {
    query.subquery.all_out_ref_exprs().iter().all(|expr| is_of(expr, side))
}

/// Says whether the right side is a query that refers to the left one.
fn is_lateral(join: &Join) -> bool {
    let query = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        other => other,
    };
    let is_joined = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    let LogicalPlan::Subquery(query) = query else { return false };
    is_joined && query.subquery.all_out_ref_exprs().iter().any(|expr| is_of(expr, join.left.schema()))
}

/// Takes what marks a query as LATERAL away.
fn unwrapped(plan: LogicalPlan) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::Subquery(query) => Some(Arc::unwrap_or_clone(query.subquery)),
        LogicalPlan::SubqueryAlias(alias) => {
            let input = unwrapped(Arc::unwrap_or_clone(alias.input))?;
            LogicalPlanBuilder::from(input).alias(alias.alias).and_then(LogicalPlanBuilder::build).ok()
        }
        _ => None,
    }
}

fn has_ours(expr: &Expr, schema: &DFSchema) -> bool {
    expr.exists(|part| Ok(matches!(part, Expr::ScalarSubquery(query) if is_ours(query, schema)))).unwrap_or(true)
}

/// Says whether DataFusion does not answer a query in the place of a value.
fn is_ours(query: &Subquery, schema: &DFSchema) -> bool {
    !is_joined_right(query, schema, For::Value)
}

/// Says whether DataFusion's join for a condition about a query means the same.
///
/// `schema` has the columns of the outer query; what refers to one further out is not joined there.
fn is_joined_right(query: &Subquery, schema: &DFSchema, what: For) -> bool {
    let plan = query.subquery.as_ref();
    let outside = plan.all_out_ref_exprs();
    outside.is_empty() || (outside.iter().all(|expr| is_of(expr, schema)) && is_pulled_up_right(plan, what))
}

fn is_of(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr, Expr::OuterReferenceColumn(_, column) if schema.has_column(column))
}

/// What a query is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Its one value.
    Value,
    /// Whether there is a row.
    Existence,
    /// Whether a value is among its rows.
    Values,
}

/// Says whether conditions of a query that refer to the outer one may become conditions of a join with it, as DataFusion makes them.
fn is_pulled_up_right(plan: &LogicalPlan, what: For) -> bool {
    match plan {
        LogicalPlan::Projection(projection) if !plan.contains_outer_reference() => {
            is_pulled_up_right(&projection.input, what)
        }
        LogicalPlan::Aggregate(aggregate) if !plan.contains_outer_reference() => {
            let is_one_row = aggregate.group_expr.is_empty();
            // Without one row for each, what is not there is missing; with groups, each is one of a row of the join.
            (is_one_row == (what == For::Value))
                && aggregate.group_expr.iter().all(is_plain)
                && are_joined(&aggregate.input, true)
        }
        other => what != For::Value && are_joined(other, false),
    }
}

fn is_plain(group: &Expr) -> bool {
    !matches!(group, Expr::GroupingSet(_))
}

/// Says whether a query is a join of what does not refer to the outer one, under conditions that may; by `=` alone if `by_keys`.
fn are_joined(plan: &LogicalPlan, by_keys: bool) -> bool {
    if plan.all_out_ref_exprs().is_empty() {
        return true;
    }
    match plan {
        LogicalPlan::Projection(projection) if !plan.contains_outer_reference() => {
            are_joined(&projection.input, by_keys)
        }
        LogicalPlan::Filter(filter) => {
            let outer = split_conjunction(&filter.predicate).into_iter().filter(|part| part.contains_outer());
            (!by_keys || outer.into_iter().all(is_key)) && are_joined(&filter.input, by_keys)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !plan.contains_outer_reference() => {
            are_joined(&join.left, by_keys) && are_joined(&join.right, by_keys)
        }
        LogicalPlan::Distinct(Distinct::All(input)) if !by_keys => are_joined(input, true),
        _ => false,
    }
}

/// Says whether a condition is `column = something of the outer row`.
fn is_key(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return false };
    let is_column = |expr: &Expr| match expr {
        Expr::Cast(Cast { expr, .. }) => matches!(expr.as_ref(), Expr::Column(_)),
        other => matches!(other, Expr::Column(_)),
    };
    (is_column(left) && !right.any_column_refs()) || (is_column(right) && !left.any_column_refs())
}

#[cfg(test)]
mod tests;
