//! Deletes of rows: which apply to which data files (invariant D1).

mod plan;

pub use plan::{DeletePlan, EVERYWHERE, NOWHERE, Scope, ScopedDelete, plan};
