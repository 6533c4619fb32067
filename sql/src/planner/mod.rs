//! How a query is planned: DataFusion's rules, without those that lead to wrong answers, and with ours where they are needed.
//!
//! Each departure from DataFusion has a file here and a line in `docs/datafusion.md`: what is wrong, what is done about it, what
//! that costs, and when it can go.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

mod carried;
mod casts;
mod extremes;
pub(crate) mod floats;
mod integers;
mod rewrite;
mod sums;
mod timestamps;
mod values;
mod windows;

/// Makes the state of a session that plans by DataFusion's rules and ours.
///
/// # Errors
/// When DataFusion does not have what one of ours stands in for.
pub(crate) fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    let builder = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let mut state = values::rules(builder).build();
    values::functions(&mut state)?;
    Ok(state)
}
