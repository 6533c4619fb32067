//! What every other crate of icefold agrees on, and nothing that touches the world.
//!
//! * [`bounds`]: what numbers settings take.
//! * [`position`]: places in the stream: [`ShardId`], [`Offset`], [`Checkpoint`], [`Delta`].
//! * [`commit_id`]: the identity of a piece of work, so that the same work is recognised when it comes back.
//! * [`contract`]: data contracts, from their YAML to the rules that the decoder runs.
//! * [`counts`]: what became of the rows of a range (invariant W2).
//! * [`tables`]: the Iceberg schemas of `raw_events`, `events`, `quarantine` and `identities`; [`timestamp`]: times as text.
//! * [`error`]: one error type whose kinds say what the caller does next.
//! * [`invariants`]: the numbered invariants, so that a test, a simulation and `verify` name the same thing.
//! * [`clock`] and [`ids`]: time and randomness as components that are handed in.
//!
//! There is no network, no task and no wall clock here: everything is a value or a pure function.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests meet the real world where it is their subject"))]

pub mod bounds;
pub mod clock;
pub mod commit_id;
pub mod contract;
pub mod counts;
pub mod error;
pub mod ids;
pub mod invariants;
pub mod position;
pub mod tables;
pub mod timestamp;

pub use clock::{Clock, SystemClock};
pub use commit_id::{BatchId, CommitId};
pub use counts::Counts;
pub use error::{Error, ErrorKind, Result};
pub use ids::{Ids, SystemIds};
pub use invariants::Invariant;
pub use position::{Checkpoint, Delta, Offset, Parent, ShardDelta, ShardId, ShardPosition};
