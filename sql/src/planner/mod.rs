//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod column_names;
mod dialect;
mod filters_by_place;
mod ignored;
mod in_lists;
mod multisets;
mod named_windows;
mod precedence;
mod sources;
mod statement;
mod templates;
#[cfg(test)]
mod tests;
mod using_columns;
mod with_queries;

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
use datafusion::sql::sqlparser::ast::{Visit, VisitMut};

use icefold_core::Error;

pub(crate) use statement::parse;

use crate::error::external;

/// Makes the state of a session that plans by DataFusion's rules and ours.
pub(crate) fn state(mut config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    // It moves a member of a struct below a projection, and drops a column that the projection computes under an old name
    // (apache/datafusion#25414).
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    let mut builder = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let analyzer = &mut builder.analyzer().get_or_insert_with(Analyzer::new).rules;
    analyzer.insert(0, Arc::new(sources::OneNameOneSource));
    let optimizer = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    for rule in optimizer.iter_mut().filter(|rule| rule.name() == "simplify_expressions") {
        *rule = Arc::new(in_lists::SimplifyButLists::default());
    }
    builder.relation_planners().get_or_insert_default().insert(0, Arc::new(column_names::ColumnNames));
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

/// Rewrites a statement that DataFusion would misread. `is_scalar` tells whether a function of this name is computed row by row.
///
/// # Errors
/// When it holds what cannot be answered right, named with another way to ask.
pub(crate) fn rewrite(statement: &mut Statement, is_scalar: &dyn Fn(&str) -> bool) -> Result<()> {
    match statement {
        Statement::Explain(explain) => rewrite(&mut explain.statement, is_scalar),
        Statement::Statement(statement) => {
            whole(Visit::visit(statement, &mut ignored::Ignored { is_scalar }))?;
            whole(VisitMut::visit(statement, &mut named_windows::NamedWindows))?;
            whole(VisitMut::visit(statement, &mut using_columns::UsingColumns))?;
            whole(VisitMut::visit(statement, &mut with_queries::WithQueries))?;
            whole(VisitMut::visit(statement, &mut multisets::Multisets))
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
