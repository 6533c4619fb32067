//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod averages;
mod balance;
mod carried;
mod casts;
mod column_names;
mod constants;
mod date_bin;
mod date_trunc;
mod decimals;
mod dialect;
mod distinct;
mod dynamic_filters;
mod extremes;
mod filters_by_place;
pub(crate) mod floats;
mod ignored;
mod in_lists;
mod instants;
mod integers;
mod intervals;
mod join_keys;
mod json;
mod literals;
mod multisets;
mod named_windows;
mod not_in;
mod numeric_functions;
mod octet_length;
mod precedence;
mod repeated_columns;
mod rewrite;
mod semi_joins;
mod similar_to;
mod sources;
mod statement;
mod subqueries;
mod sums;
mod templates;
mod time_travel;
mod time_types;
mod timestamps;
mod to_char;
mod to_timestamp;
mod using_columns;
mod values;
mod whole_table_bounds;
mod windows;
mod with_queries;
mod words;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPhase;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use icefold_core::Error;

pub(crate) use statement::parse;
pub(crate) use time_travel::TimeTravel;
pub(crate) use words::names as rewritten_names;

use crate::error::external;
use crate::walk;
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
        .with_type_planner(Arc::new(time_types::TimeTypes))
        .with_analyzer_rules(analyzer_rules())
        .with_optimizer_rules(optimizer_rules())
        .with_physical_optimizer_rules(physical_rules());
    builder.relation_planners().get_or_insert_default().insert(0, Arc::new(column_names::ColumnNames));
    // Functions of ours take the place of those with their name.
    let scalar_functions = builder.scalar_functions().get_or_insert_default();
    scalar_functions.extend(functions().into_iter().map(Arc::new));
    scalar_functions.extend(words::functions());
    scalar_functions.extend(crate::json::functions());
    builder.aggregate_functions().get_or_insert_default().extend(words::aggregates());
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(json::JsonOperators::new()));
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
    rules.insert(0, Arc::new(distinct::DistinctIsGrouping));
    rules.push(Arc::new(semi_joins::DistinctKeys));
    rules.push(Arc::new(whole_table_bounds::WholeTableBounds));
    rules.push(Arc::new(join_keys::CastKeys));
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
    rules
}

fn functions() -> Vec<ScalarUDF> {
    vec![
        date_bin::DateBin::new().into(),
        date_trunc::DateTrunc::new().into(),
        octet_length::OctetLength::new().into(),
        to_char::ToChar::new().into(),
        to_timestamp::ToTimestamp::new().into(),
    ]
}

/// Rewrites a statement that DataFusion would misread. `is_scalar` tells whether a function of this name is computed row by row.
///
/// # Errors
/// When it holds what cannot be answered right, named with another way to ask.
pub(crate) fn rewrite(statement: &mut Statement, is_scalar: &dyn Fn(&str) -> bool) -> Result<()> {
    match statement {
        Statement::Explain(explain) => rewrite(&mut explain.statement, is_scalar),
        Statement::Statement(statement) => {
            whole(walk::read(statement, &mut ignored::Ignored { is_scalar }))?;
            whole(walk::change(statement, &mut literals::ExactDecimals))?;
            whole(walk::change(statement, &mut repeated_columns::RepeatedColumns))?;
            whole(walk::change(statement, &mut named_windows::NamedWindows))?;
            whole(walk::change(statement, &mut using_columns::UsingColumns))?;
            whole(walk::change(statement, &mut with_queries::WithQueries))?;
            whole(walk::change(statement, &mut multisets::Multisets))
        }
        _ => Ok(()),
    }
}

/// Returns why a visit ended early.
fn whole(visit: ControlFlow<Error>) -> Result<()> {
    match visit {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(external(error)),
    }
}

#[cfg(test)]
mod tests;
