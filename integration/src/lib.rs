//! Simulation, crash tests and conformance of icefold against other engines.
//!
//! * [`program`]: the real binary as a process.
//! * [`sim`]: the commit protocol under faults, from one seed, against a plain oracle.
//! * `tests/`: the simulation in CI, the crash test of the real binary, and other engines reading our tables.

pub mod program;
pub mod sim;
