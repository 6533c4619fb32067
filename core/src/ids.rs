//! Randomness as a component: unique names come from an [`Ids`], so that a simulation can repeat them from its seed.

use std::fmt::Debug;

use uuid::Uuid;

/// Gives ids that are never given twice.
pub trait Ids: Debug + Send + Sync {
    /// Returns the next id.
    fn next(&self) -> Uuid;
}

/// Random ids of the operating system (UUID version 4).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the component that owns chance")]
    fn next(&self) -> Uuid {
        Uuid::new_v4()
    }
}
