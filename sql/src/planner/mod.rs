//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod balance;
mod date_bin;
mod date_trunc;
mod dynamic_filters;
mod instants;
mod not_in;
mod octet_length;
mod semi_joins;
mod similar_to;
mod time_comparison;
mod time_types;
mod to_char;
mod to_timestamp;
mod whole_table_bounds;

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

/// Makes the state of a session that plans by DataFusion's rules and ours.
pub(crate) fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut builder = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_type_planner(Arc::new(time_types::TimeTypes))
        .with_analyzer_rules(analyzer_rules())
        .with_optimizer_rule(Arc::new(semi_joins::DistinctKeys))
        .with_optimizer_rule(Arc::new(whole_table_bounds::WholeTableBounds))
        .with_physical_optimizer_rules(physical_rules());
    // Functions of ours take the place of those with their name.
    builder.scalar_functions().get_or_insert_default().extend(functions().into_iter().map(Arc::new));
    builder.build()
}

/// Returns the rules that make a plan mean what was asked. Those that look at types as they were written come first.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> =
        vec![Arc::new(balance::Balance), Arc::new(similar_to::SimilarTo), Arc::new(time_comparison::TimeComparison)];
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(not_in::NotIn));
    rules
}

/// Returns DataFusion's rules about physical plans, with ours in their places.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    for rule in &mut rules {
        if rule.name() == dynamic_filters::DynamicFilters::REPLACES {
            *rule = Arc::new(dynamic_filters::DynamicFilters);
        }
    }
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

#[cfg(test)]
mod tests;
