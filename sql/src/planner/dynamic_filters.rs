//! Dynamic filters: what a running join or top-k query tells its own scans, kept where it is right.
//!
//! A hash join that has read its build side tells the scan of its probe side which keys can still match; `ORDER BY … LIMIT`
//! tells its scan which rows can still be among the first. DataFusion offers these filters to every node below, for joins that
//! need the rows that the filter drops (`IS NOT DISTINCT FROM`, `NOT IN`), and finds columns below by their names. Here a filter
//! is made only if its own node is indifferent to every row that fails it ([`of_join`], [`of_top_k`]), and goes down only
//! through nodes that give the same rows whether such rows are dropped below or above them ([`origin`]), by place, not by name.
//! The filters of aggregates are switched off in the settings of the session.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::buffer::BufferExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::deletes::exec::DeleteExec;

/// Stands in for DataFusion's rule of that name, which does nothing but pass dynamic filters down.
#[derive(Debug)]
pub(super) struct DynamicFilters;

impl DynamicFilters {
    /// The rule of DataFusion that this one replaces.
    pub(super) const REPLACES: &str = "FilterPushdown(Post)";
}

impl PhysicalOptimizerRule for DynamicFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            if node.is::<RecursiveQueryExec>() {
                // Its joins are built again in each round, but their scans would keep the filter of the first.
                return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
            }
            Ok(match with_filter(&node, config)? {
                Some(filtered) => Transformed::yes(filtered),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "DynamicFilters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Gives the filter of a node to the scan below it; `None` if it has none, or there is no way down to a scan.
fn with_filter(node: &Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some(filter) = of_join(join).filter(|_| config.optimizer.enable_join_dynamic_filter_pushdown) else {
            return Ok(None);
        };
        let Some(probe) = push(join.right(), Arc::clone(&filter) as _, config)? else { return Ok(None) };
        let join = join.builder().with_new_children(vec![Arc::clone(join.left()), probe])?.build()?;
        return Ok(Some(Arc::new(join.with_dynamic_filter_expr(filter)?)));
    }
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        let Some(filter) = of_top_k(sort).filter(|_| config.optimizer.enable_topk_dynamic_filter_pushdown) else {
            return Ok(None);
        };
        let Some(input) = push(sort.input(), filter, config)? else { return Ok(None) };
        return Ok(Some(Arc::clone(node).with_new_children(vec![input])?));
    }
    Ok(None)
}

/// Returns a filter for the probe side that passes at least the rows whose keys are on the build side.
///
/// `None` unless all of this holds:
/// * a row of the probe side that matches nothing changes nothing in the result: not so for right, full and right anti joins,
///   nor for `NOT IN`, where one NULL, or that there is a row at all, decides about all rows;
/// * NULL matches nothing: the filter is not true of a NULL;
/// * the keys of the probe side are columns of types for which the filter and the join agree what is equal, and agree with the
///   bounds of files: floats have NaN and two zeros;
/// * where the build side is in parts, a key's part is found by the hash of all keys, as the filter supposes.
fn of_join(join: &HashJoinExec) -> Option<Arc<DynamicFilterPhysicalExpr>> {
    use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, RightSemi};
    let is_indifferent = matches!(join.join_type(), Inner | Left | LeftSemi | LeftAnti | LeftMark | RightSemi)
        && !join.null_aware
        && join.null_equality() == NullEquality::NullEqualsNothing;
    let (left, right) = (join.left().schema(), join.right().schema());
    let agree = |(build, probe): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| {
        let kinds = (build.data_type(&left), probe.data_type(&right));
        matches!(kinds, (Ok(build), Ok(probe)) if build == probe && is_plain(&probe)) && probe.is::<Column>()
    };
    let is_right = is_indifferent && join.on().iter().all(agree) && is_found_by_hash(join);
    let keys = join.on().iter().map(|(_, probe)| Arc::clone(probe));
    is_right.then(|| Arc::new(DynamicFilterPhysicalExpr::new(keys.collect(), lit(true))))
}

fn is_found_by_hash(join: &HashJoinExec) -> bool {
    match join.partition_mode() {
        PartitionMode::CollectLeft => true,
        PartitionMode::Partitioned => match join.left().output_partitioning() {
            Partitioning::Hash(by, _) => by.iter().eq(join.on().iter().map(|(build, _)| build)),
            _ => false,
        },
        PartitionMode::Auto => false,
    }
}

/// Returns the filter of a top-k sort: it passes the rows that come before the k-th of those seen.
///
/// Rows that fail it are never in the result, whatever the order of NULL and the direction. `None` if a key is no column, or of
/// a type whose order differs between the sort and the bounds of files.
fn of_top_k(sort: &SortExec) -> Option<Arc<dyn PhysicalExpr>> {
    sort.fetch()?;
    let schema = sort.input().schema();
    let is_right =
        |key: &Arc<dyn PhysicalExpr>| key.is::<Column>() && key.data_type(&schema).is_ok_and(|kind| is_plain(&kind));
    let filter = sort.dynamic_filter_expr()?;
    sort.expr().iter().all(|key| is_right(&key.expr)).then_some(filter as _)
}

/// Says whether one order and one equality holds for a type everywhere: in rows, in arrays, in bounds of files.
fn is_plain(kind: &DataType) -> bool {
    kind.is_integer()
        || kind.is_string()
        || matches!(
            kind,
            DataType::Boolean
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::Decimal128(_, _)
                | DataType::Date32
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
        )
}

/// Hands `filter` down to the scan that its columns come from; `None` if the way is barred.
fn push(
    node: &Arc<dyn ExecutionPlan>,
    filter: Arc<dyn PhysicalExpr>,
    config: &ConfigOptions,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if node.fetch().is_some() {
        // A limit counts the rows that come before it.
        return Ok(None);
    }
    if node.is::<DataSourceExec>() {
        let offered = ChildFilterPushdownResult { filter, child_results: Vec::new() };
        let offered = ChildPushdownResult { parent_filters: vec![offered], self_filters: Vec::new() };
        return Ok(node.handle_child_pushdown_result(FilterPushdownPhase::Post, offered, config)?.updated_node);
    }
    let Some((child, filter)) = below(node.as_ref(), filter)? else { return Ok(None) };
    let mut children: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
    let Some(filtered) = push(&children[child], filter, config)? else { return Ok(None) };
    children[child] = filtered;
    Ok(Some(Arc::clone(node).with_new_children(children)?))
}

/// Says a filter on the output of a node in columns of one of its children.
fn below(node: &dyn ExecutionPlan, filter: Arc<dyn PhysicalExpr>) -> Result<Option<(usize, Arc<dyn PhysicalExpr>)>> {
    let origins: Option<Vec<_>> = collect_columns(&filter).iter().map(|column| origin(node, column.index())).collect();
    let Some(origins) = origins.filter(|found| found.windows(2).all(|pair| pair[0].0 == pair[1].0)) else {
        return Ok(None);
    };
    let Some((child, _)) = origins.first().copied() else { return Ok(None) };
    let schema = node.children()[child].schema();
    let filter = filter.transform(|expr| {
        let found = expr.downcast_ref::<Column>().and_then(|column| origin(node, column.index()));
        Ok(match found {
            Some((_, index)) => Transformed::yes(Arc::new(Column::new(schema.field(index).name(), index)) as _),
            None => Transformed::no(expr),
        })
    })?;
    Ok(Some((child, filter.data)))
}

/// Returns the child that a column of a node's output comes from, and where it is there.
///
/// `None` if dropping rows by this column below the node is not the same as dropping them above it, or is not known to be.
fn origin(node: &dyn ExecutionPlan, column: usize) -> Option<(usize, usize)> {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return projection.expr().get(column)?.expr.downcast_ref::<Column>().map(|input| (0, input.index()));
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let kept = filter.projection().as_ref();
        return Some((0, kept.map_or(Some(column), |kept| kept.get(column).copied())?));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let kept = join.projection.as_ref();
        let column = kept.map_or(Some(column), |kept| kept.get(column).copied())?;
        return origin_in_join(*join.join_type(), join.left().schema().fields().len(), column);
    }
    let keeps_rows = node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>()
        || node.is::<SortExec>()
        || node.is::<CooperativeExec>()
        || node.is::<BufferExec>()
        || node.is::<DeleteExec>();
    keeps_rows.then_some((0, column))
}

/// A row of the result is dropped by dropping its row of a side whose rows all come out with their columns unchanged.
fn origin_in_join(kind: JoinType, left: usize, column: usize) -> Option<(usize, usize)> {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    match kind {
        Inner if column < left => Some((0, column)),
        Inner => Some((1, column - left)),
        Left | LeftSemi | LeftAnti | LeftMark => (column < left).then_some((0, column)),
        Right => Some((1, column.checked_sub(left)?)),
        RightSemi | RightAnti => Some((1, column)),
        Full | RightMark => None,
    }
}

#[cfg(test)]
mod tests;
