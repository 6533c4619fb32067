//! Pushes physical filters down by the place of a column, not by its name.
//!
//! DataFusion's `FilterPushdown` finds a filter's columns in the plan below by name. Where two columns share a name (both sides of
//! a join, a projection that swaps names, branches of a union) that is another column. Each node is still asked whether a
//! filter may go below it; but which columns it then reads is told here by place, and where that cannot be told the filter stays.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
    PushedDownPredicate,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, with_new_children_if_necessary};

type Plan = Arc<dyn ExecutionPlan>;
type Filter = Arc<dyn PhysicalExpr>;

/// Stands in for one of the two runs of DataFusion's `FilterPushdown`.
#[derive(Debug)]
pub(super) struct FiltersByPlace(pub(super) FilterPushdownPhase);

impl PhysicalOptimizerRule for FiltersByPlace {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        Ok(push_down(&plan, &[], config, self.0)?.updated_node.unwrap_or(plan))
    }

    fn name(&self) -> &str {
        match self.0 {
            FilterPushdownPhase::Pre => "FilterPushdown",
            FilterPushdownPhase::Post => "FilterPushdown(Post)",
        }
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Offers `filters`, over the columns of `node`, to what is below it, and tells which of them need not be applied above.
fn push_down(
    node: &Plan,
    filters: &[Filter],
    config: &ConfigOptions,
    phase: FilterPushdownPhase,
) -> Result<FilterPushdownPropagation<Plan>> {
    let own = node.gather_filters_for_pushdown(phase, Vec::new(), config)?.self_filters();
    let children = node.children();
    if own.len() != children.len() {
        return internal_err!(
            "{} says of {} children what goes below, and has {}",
            node.name(),
            own.len(),
            children.len()
        );
    }
    let mut answers = vec![vec![PushedDown::No; children.len()]; filters.len()];
    let mut own_answers = Vec::with_capacity(children.len());
    let mut new_children = Vec::with_capacity(children.len());
    for (side, (child, own)) in children.into_iter().zip(own).enumerate() {
        let offers = offers(node, side, filters, config, phase)?;
        let own_places: Vec<usize> = (0..own.len()).filter(|place| is_constant(&own[*place])).collect();
        let mut sent: Vec<Filter> = own_places.iter().map(|place| Arc::clone(&own[*place])).collect();
        sent.extend(offers.iter().map(|(_, filter)| Arc::clone(filter)));
        let below = push_down(child, &sent, config, phase)?;
        if below.filters.len() != sent.len() {
            return internal_err!("{} answers {} of {} filters", child.name(), below.filters.len(), sent.len());
        }
        let (of_own, of_offers) = below.filters.split_at(own_places.len());
        for ((place, _), answer) in offers.iter().zip(of_offers) {
            answers[*place][side] = *answer;
        }
        let mut own_answer: Vec<_> = own.into_iter().map(PushedDownPredicate::unsupported).collect();
        for (place, answer) in own_places.into_iter().zip(of_own) {
            own_answer[place].discriminant = *answer;
        }
        own_answers.push(own_answer);
        new_children.push(below.updated_node.unwrap_or_else(|| Arc::clone(child)));
    }
    let updated = with_new_children_if_necessary(Arc::clone(node), new_children)?;
    let mut result = settle(&updated, filters, answers, own_answers, config, phase)?;
    if result.updated_node.is_none() && !Arc::ptr_eq(&updated, node) {
        result.updated_node = Some(updated);
    }
    Ok(result)
}

/// Returns which filters may go below one side of a node, each with its place among `filters`, and as that side reads it.
fn offers(
    node: &Plan,
    side: usize,
    filters: &[Filter],
    config: &ConfigOptions,
    phase: FilterPushdownPhase,
) -> Result<Vec<(usize, Filter)>> {
    let mut offers = Vec::new();
    let Some(origins) = origins(node, side) else { return Ok(offers) };
    for (place, filter) in filters.iter().enumerate().filter(|(_, filter)| is_constant(filter)) {
        // One at a time: an aggregation does not answer in the order of the question.
        let answers = node.gather_filters_for_pushdown(phase, vec![Arc::clone(filter)], config)?.parent_filters();
        let may = answers.get(side).and_then(|answers| answers.first());
        if may.is_some_and(|answer| matches!(answer.discriminant, PushedDown::Yes))
            && let Some(filter) = read_below(filter, &origins)?
        {
            offers.push((place, filter));
        }
    }
    Ok(offers)
}

/// Lets the node say what it makes of the answers from below.
fn settle(
    node: &Plan,
    filters: &[Filter],
    answers: Vec<Vec<PushedDown>>,
    self_filters: Vec<Vec<PushedDownPredicate>>,
    config: &ConfigOptions,
    phase: FilterPushdownPhase,
) -> Result<FilterPushdownPropagation<Plan>> {
    // It would take up the filters from above, and find their columns by name.
    let keeps_out = node.downcast_ref::<FilterExec>().is_some_and(|filter| filter.projection().is_some());
    let taken = if keeps_out { &[] } else { filters };
    let parent_filters = taken
        .iter()
        .zip(answers)
        .map(|(filter, child_results)| ChildFilterPushdownResult { filter: Arc::clone(filter), child_results })
        .collect();
    let result = ChildPushdownResult { parent_filters, self_filters };
    let mut result = node.handle_child_pushdown_result(phase, result, config)?;
    result.filters.resize(filters.len(), PushedDown::No);
    Ok(result)
}

/// Returns, for each column of a node, what it is in the plan on one side: `None` if it does not come from there. `None` for
/// a node that filters cannot pass.
fn origins(node: &Plan, side: usize) -> Option<Vec<Option<Filter>>> {
    let child = Arc::clone(node.children().get(side)?);
    let columns = child.schema();
    let width = node.schema().fields().len();
    let column = |index: usize| {
        let field = columns.fields().get(index)?;
        Some(Arc::new(Column::new(field.name(), index)) as Filter)
    };
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return Some(projection.expr().iter().map(|column| Some(Arc::clone(&column.expr))).collect());
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let side_of = columns_of_side(join, side);
        let of_output = |place: usize| side_of(join.projection.as_ref().map_or(place, |projection| projection[place]));
        return Some((0..width).map(|place| of_output(place).and_then(column)).collect());
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let groups = aggregate.group_expr().expr();
        // Without groups there is one row whatever comes in.
        let origin = |place: usize| groups.get(place).map(|(expr, _)| Arc::clone(expr));
        return (!groups.is_empty()).then(|| (0..width).map(origin).collect());
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let projection = filter.projection().as_ref();
        return Some(
            (0..width).map(|place| column(projection.map_or(place, |projection| projection[place]))).collect(),
        );
    }
    let passes = node.children().len() == 1
        && width <= columns.fields().len()
        && node.schema().fields().iter().zip(columns.fields()).all(|(own, below)| own.name() == below.name());
    (passes || node.downcast_ref::<UnionExec>().is_some()).then(|| (0..width).map(column).collect())
}

/// Returns which column of one side of a join is which of its columns, before its projection.
fn columns_of_side(join: &HashJoinExec, side: usize) -> impl Fn(usize) -> Option<usize> {
    let (left, right) = (join.left().schema().fields().len(), join.right().schema().fields().len());
    // Where the right side's columns begin, and how many columns of each side come out.
    let (left, right) = match join.join_type() {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (left, right),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (left, 0),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (0, right),
    };
    move |column| match side {
        0 => (column < left).then_some(column),
        _ => column.checked_sub(left).filter(|column| *column < right),
    }
}

/// Returns a filter over the columns below, `None` if one of its columns does not come from there.
fn read_below(filter: &Filter, origins: &[Option<Filter>]) -> Result<Option<Filter>> {
    let mut all_found = true;
    let read = Arc::clone(filter).transform_down(|part| {
        let Some(column) = part.downcast_ref::<Column>() else { return Ok(Transformed::no(part)) };
        match origins.get(column.index()).cloned().flatten() {
            Some(origin) => Ok(Transformed::new(origin, true, TreeNodeRecursion::Jump)),
            None => {
                all_found = false;
                Ok(Transformed::new(part, false, TreeNodeRecursion::Stop))
            }
        }
    })?;
    Ok(all_found.then_some(read.data))
}

/// Returns whether a filter says the same of a row each time.
fn is_constant(filter: &Filter) -> bool {
    !filter.exists(|part| Ok(is_volatile(part))).unwrap_or(true)
}
