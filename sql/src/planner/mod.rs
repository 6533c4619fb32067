//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod dynamic_filters;
mod not_in;
mod semi_joins;

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use dynamic_filters::DynamicFilters;
use not_in::NotIn;
use semi_joins::DistinctKeys;

/// Makes the state of a session that plans by DataFusion's rules and ours.
pub(crate) fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_analyzer_rule(Arc::new(NotIn))
        .with_optimizer_rule(Arc::new(DistinctKeys))
        .with_physical_optimizer_rules(physical_rules())
        .build()
}

/// DataFusion's rules about physical plans, with ours in their places.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    for rule in &mut rules {
        if rule.name() == DynamicFilters::REPLACES {
            *rule = Arc::new(DynamicFilters);
        }
    }
    rules
}
