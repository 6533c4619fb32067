//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod dialect;
mod filters_by_place;
mod in_lists;
mod multisets;
mod precedence;
mod sources;
mod statement;
mod templates;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPhase;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::VisitMut;

pub(crate) use statement::parse;

/// Makes the state of a session that plans by DataFusion's rules and ours.
pub(crate) fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut builder = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let analyzer = &mut builder.analyzer().get_or_insert_with(Analyzer::new).rules;
    analyzer.insert(0, Arc::new(sources::OneNameOneSource));
    let optimizer = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    for rule in optimizer.iter_mut().filter(|rule| rule.name() == "simplify_expressions") {
        *rule = Arc::new(in_lists::SimplifyButLists::default());
    }
    let physical = &mut builder.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new).rules;
    for rule in physical.iter_mut() {
        match rule.name() {
            "FilterPushdown" => *rule = Arc::new(filters_by_place::FiltersByPlace(FilterPushdownPhase::Pre)),
            "FilterPushdown(Post)" => *rule = Arc::new(filters_by_place::FiltersByPlace(FilterPushdownPhase::Post)),
            _ => {}
        }
    }
    builder.build()
}

/// Rewrites a statement that DataFusion would misread.
///
/// # Errors
/// When it holds what cannot be answered right, named with another way to ask.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Explain(explain) => rewrite(&mut explain.statement),
        Statement::Statement(statement) => match statement.visit(&mut multisets::Multisets) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        _ => Ok(()),
    }
}
