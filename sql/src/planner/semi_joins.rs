//! `IN`, `EXISTS`, `EXCEPT` and `INTERSECT` against a side whose keys repeat.
//!
//! Such a join asks only whether a key is there, but DataFusion's hash join finds every pair of equal rows first: a key that is
//! a thousand times on both sides costs a million steps. Here the side that is only looked up has each key once.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, ExprSchema, JoinType, Result};
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Groups the right side of semi, anti and mark joins by the columns of its keys.
#[derive(Debug)]
pub(super) struct DistinctKeys;

impl OptimizerRule for DistinctKeys {
    fn name(&self) -> &str {
        "distinct_keys_of_semi_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = plan else { return Ok(Transformed::no(plan)) };
        let schema = join.right.schema();
        let places =
            |keys: &[Column]| keys.iter().filter_map(|key| schema.maybe_index_of_column(key)).collect::<Vec<_>>();
        let Some(keys) = key_columns(&join).filter(|keys| !has_each_once(&join.right, &places(keys))) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let keys = keys.into_iter().map(Expr::Column).collect();
        let right = Arc::new(LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&join.right), keys, Vec::new())?));
        Ok(Transformed::yes(LogicalPlan::Join(Join { right, ..join })))
    }
}

/// Returns the columns of the right side on which alone a join's result depends, each once.
///
/// `None` for other kinds of join, those with more conditions than equal keys, and for keys for which grouping and joining may
/// not mean the same by equal.
fn key_columns(join: &Join) -> Option<Vec<Column>> {
    use JoinType::{LeftAnti, LeftMark, LeftSemi};
    if !matches!(join.join_type, LeftSemi | LeftAnti | LeftMark) || join.filter.is_some() {
        return None;
    }
    let mut columns: Vec<Column> = join.on.iter().flat_map(|(_, key)| key.column_refs()).cloned().collect();
    columns.sort_unstable();
    columns.dedup();
    let schema = join.right.schema();
    let means_one = |column: &Column| {
        let field = schema.field_from_column(column);
        field.is_ok_and(|field| !field.data_type().is_floating() && !field.data_type().is_nested())
    };
    (!columns.is_empty() && columns.iter().all(means_one)).then_some(columns)
}

/// Says whether no two rows of a plan are equal in the columns at `places`, by what is grouped just below.
fn has_each_once(plan: &LogicalPlan, places: &[usize]) -> bool {
    match plan {
        LogicalPlan::Aggregate(grouped) => {
            let is_plain = !grouped.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
            is_plain && (0..grouped.group_expr.len()).all(|group| places.contains(&group))
        }
        LogicalPlan::SubqueryAlias(alias) => has_each_once(&alias.input, places),
        LogicalPlan::Filter(filter) => has_each_once(&filter.input, places),
        LogicalPlan::Projection(projection) => {
            let below = |place: &usize| match projection.expr.get(*place)?.clone().unalias() {
                Expr::Column(column) => projection.input.schema().maybe_index_of_column(&column),
                _ => None,
            };
            let below: Option<Vec<usize>> = places.iter().map(below).collect();
            below.is_some_and(|below| has_each_once(&projection.input, &below))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
