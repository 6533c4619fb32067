//! Tests of the ways that a contract goes, against each other.
//!
//! * [`arbitrary`]: contracts and events made of random bytes, near enough to each other that many events pass.
//! * [`schema`]: as much of JSON Schema as the export uses.

mod agreement;
mod arbitrary;
mod compiled;
mod schema;
mod shipped;

pub(super) use arbitrary::{Entropy, contract, event, mutated, prune};
pub(super) use schema::is_valid;
