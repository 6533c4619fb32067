//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

mod dialect;
mod json;
mod statement;
mod time_travel;
mod words;

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

pub(crate) use statement::parse;
pub(crate) use time_travel::TimeTravel;

/// Makes the state of a session that plans by DataFusion's rules and ours.
pub(crate) fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut state = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    state.scalar_functions().get_or_insert_default().extend(crate::json::functions());
    state.scalar_functions().get_or_insert_default().extend(words::functions());
    state.expr_planners().get_or_insert_default().insert(0, Arc::new(json::JsonOperators::new()));
    state.build()
}
