//! Simulation of the commit protocol from one seed.
//!
//! Several writers fold the same stream into two tables and a compactor rewrites their files, while storage and pointer misbehave: slow, refused, applied but the reply lost, landing late,
//! and processes die between any two steps. Everything runs on one thread and time is counted in turns of its
//! scheduler, so a seed is a run.
//!
//! Every version that a pointer ever had is checked by the [`oracle`] against the plain truth: at a checkpoint the table
//! holds exactly the records before it.
//!
//! * [`faults`]: storage and pointers that fail from a seed. * [`lake`]: what processes share.
//! * [`writer`]: a writer and a compactor reduced to the protocol. * [`world`]: one run.
//! * [`mutation`]: protocols broken on purpose, which the oracle must notice.
//! * [`ingest`]: the same for the whole writer, with its state.

pub mod faults;
pub mod ingest;
pub mod lake;
pub mod mutation;
pub mod oracle;
pub mod world;
pub mod writer;

pub use mutation::Mutation;
pub use world::{Outcome, run};
