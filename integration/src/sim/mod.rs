//! Simulation of the commit protocol from one seed.
//!
//! Several writers fold the same stream into two tables, a compactor rewrites their files and columns are added, while storage
//! and pointer misbehave: slow, refused, applied but the reply lost, landing late, and processes die between any two steps.
//! Clocks are minutes or hours off, each process's in another way. In some runs another engine deletes, rewrites, rolls back,
//! expires and drops properties beside them; a table that halts over it goes on when a person adopts a checkpoint.
//! Everything runs on one thread and time is counted in turns of its scheduler, so a seed is a run.
//!
//! Every version that a pointer ever had is checked by the [`oracle`] against the plain truth: at a checkpoint the table
//! holds exactly the records before it that nobody deleted, or nothing is committed on top.
//!
//! * [`faults`]: storage and pointers that fail from a seed. * [`lake`]: what processes share.
//! * [`writer`]: a writer and a compactor reduced to the protocol; `strangers`: other engines and people. * [`world`]: one run.
//! * [`mutation`]: protocols broken on purpose, which the oracle must notice.
//! * [`ingest`]: the same for the whole writer, with its state.

pub mod faults;
pub mod ingest;
pub mod lake;
pub mod mutation;
pub mod oracle;
mod strangers;
pub mod world;
pub mod writer;

pub use mutation::Mutation;
pub use world::{Outcome, run};
