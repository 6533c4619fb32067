//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go. `syntax` changes what was typed before it is planned, `values` are the rules and functions about
//! types and their values; the files beside this one are rules about plans.

mod balance;
mod column_names;
mod constants;
mod distinct;
mod dynamic_filters;
mod filters_by_place;
mod in_lists;
mod not_in;
mod null_keys;
mod rewrite;
mod semi_joins;
mod similar_to;
mod single_values;
mod sources;
mod subqueries;
mod syntax;
pub(crate) mod values;
mod whole_table_bounds;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPhase;
use datafusion::prelude::SessionConfig;

pub(crate) use syntax::{TimeTravel, parse, rewrite, rewritten_names};

use dynamic_filters::DynamicFilters;

/// Makes the state of a session that plans by DataFusion's rules and ours.
///
/// # Errors
/// When DataFusion does not have what one of ours stands in for.
pub(crate) fn state(mut config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    // It moves a member of a struct below a projection, and drops a column that the projection computes under an old name
    // (apache/datafusion#25414).
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    // It panics over groups of numbers with a fraction.
    config.options_mut().optimizer.enable_topk_aggregation = false;
    let mut builder = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_type_planner(values::types())
        .with_analyzer_rules(analyzer_rules())
        .with_optimizer_rules(optimizer_rules())
        .with_physical_optimizer_rules(physical_rules());
    builder.relation_planners().get_or_insert_default().insert(0, Arc::new(column_names::ColumnNames));
    // Functions of ours take the place of those with their name.
    let scalar_functions = builder.scalar_functions().get_or_insert_default();
    scalar_functions.extend(values::scalar_functions().into_iter().map(Arc::new));
    scalar_functions.extend(syntax::functions());
    scalar_functions.extend(crate::json::functions());
    builder.aggregate_functions().get_or_insert_default().extend(syntax::aggregates());
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(syntax::JsonOperators::new()));
    let mut state = builder.build();
    values::functions(&mut state)?;
    Ok(state)
}

/// Returns the rules that make a plan mean what was asked. Those that look at sources and types as they were written come first.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> =
        vec![Arc::new(sources::OneNameOneSource), Arc::new(balance::Balance), Arc::new(similar_to::SimilarTo)];
    rules.extend(values::rules_before_coercion());
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(single_values::ValuesMayBeMissing));
    rules.push(Arc::new(not_in::NotIn));
    rules.push(Arc::new(subqueries::Subqueries));
    rules.extend(values::rules_after_coercion());
    rules
}

/// Returns the rules that make a plan cheaper.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    for rule in rules.iter_mut().filter(|rule| rule.name() == "simplify_expressions") {
        *rule = Arc::new(in_lists::SimplifyButLists::default());
    }
    null_keys::stand_in(&mut rules);
    // It computes what is grouped by above the grouping, where the expression is taken for a key: keys of ORDER BY and of groupings
    // further up are lost. Of constants alone it makes a grouping that has a row when there are none.
    rules.retain(|rule| rule.name() != "eliminate_group_by_constant");
    rules.insert(0, Arc::new(distinct::DistinctIsGrouping));
    rules.push(Arc::new(semi_joins::DistinctKeys));
    rules.push(Arc::new(whole_table_bounds::WholeTableBounds));
    rules.push(values::rule_for_joins());
    rules
}

/// Returns the rules about physical plans.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    for rule in &mut rules {
        match rule.name() {
            "FilterPushdown" => *rule = Arc::new(filters_by_place::FiltersByPlace(FilterPushdownPhase::Pre)),
            DynamicFilters::REPLACES => *rule = Arc::new(DynamicFilters),
            _ => {}
        }
    }
    rules.insert(0, Arc::new(constants::WindowsForgetConstants));
    rules.insert(0, Arc::new(single_values::OrderBelow));
    rules
}

#[cfg(test)]
mod tests;
