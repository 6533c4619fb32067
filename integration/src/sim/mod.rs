//! Simulation of the commit protocol from one seed.
//!
//! Several writers fold the same stream into two tables, by batches that are written ahead and rolled forward, each life of a
//! writer with other settings, contracts and program; a compactor rewrites their files and columns are added, while storage
//! and pointer misbehave: slow, refused, applied but the reply lost, landing late, and processes die between any two steps.
//! Clocks are minutes or hours off, each process's in another way. In some runs another engine deletes, rewrites, rolls back,
//! expires and drops properties beside them; a table that halts over it goes on when a person adopts a checkpoint, and tables
//! that differ after that when a person recovers them.
//! Everything runs on one thread and time is counted in turns of its scheduler, so a seed is a run.
//!
//! Every version that a pointer ever had is checked by the [`oracle`] against the plain truth: at a checkpoint the table
//! holds exactly the records before it that nobody deleted, or nothing is committed on top; and what one decision made is in
//! both tables, or in none that follows.
//!
//! * [`faults`]: storage and pointers that fail from a seed. * [`lake`]: what processes share.
//! * [`writer`]: a writer and a compactor reduced to the protocol; `forward`: what a writer finds begun, finished.
//! * `strangers`: other engines and people; `recovery`: what people do where tables differ. * [`world`]: one run.
//! * [`mutation`]: protocols broken on purpose, which the oracle must notice.
//! * [`ingest`]: the same for the whole writer, with its state.

pub mod faults;
mod forward;
pub mod ingest;
pub mod lake;
pub mod mutation;
pub mod oracle;
mod recovery;
mod strangers;
pub mod world;
pub mod writer;

pub use mutation::Mutation;
pub use world::{Outcome, run};
