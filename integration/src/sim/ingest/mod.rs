//! Simulation of the whole writer from one seed: the real pipeline, with its folds, on a stream of events.
//!
//! Where the simulation of the protocol reduces the writer to numbers in files, this one runs it: sources, decoder, workers,
//! deduplication, sessions, identities, Parquet, commits of four tables. Workers are tasks that rest at random, so that
//! chunks are finished in any order; processes die, are fenced by one another, and rebuild their state from the tables.
//!
//! In half of the runs every life decides alike; their oracle is a run without faults that reads the same stream in one go.
//! Every version that any table ever had must hold exactly the rows that the undisturbed run has before its checkpoint, each
//! column alike. In the other half settings and contracts change between lives, and in some quarantined events are let in
//! meanwhile: no second run would decide alike. There, and in all others too, the accounts must be right at each
//! version. In a part of both another engine rewrites tables beside the writers, or deletes rows, rolls back, expires and drops
//! properties: then rows are right but for what was deleted, or nothing is committed on top.
//!
//! * [`stream`]: devices that visit, return, try again, identify themselves and move to other shards. * [`content`]: rows of
//!   tables, as text. * [`lives`]: what differs between lives. * [`redriver`]: quarantined events that are let in.
//! * [`engine`]: another engine. * [`accounts`]: what must hold whatever decided. * [`anew`]: a mutation. * [`world`]: one run.

pub mod accounts;
pub mod anew;
pub mod content;
pub mod engine;
pub mod lives;
pub mod redriver;
pub mod stream;
pub mod world;

pub use world::run;
