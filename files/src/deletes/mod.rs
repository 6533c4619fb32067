//! Deletes of rows: which apply to which data files (invariant D1).

mod keys;
mod plan;

pub use keys::{KeyTable, group_by_key};
pub use plan::{DeletePlan, EVERYWHERE, NOWHERE, Scope, ScopedDelete, plan};
