//! Simulation, crash tests and conformance of icefold against other engines.
//!
//! * [`answers`]: generated questions to icefold, DuckDB and Spark.
//! * [`program`]: the real binary as a process.
//! * [`equality`]: equality deletes, as another engine commits them.
//! * [`s3`]: an S3 server on this machine. * [`postgres`]: a Postgres server. * [`postgres_proxy`]: what lies between.
//! * [`sim`]: the commit protocol, and the whole writer, under faults, from one seed, against a plain oracle.
//! * `tests/`: the simulation in CI, the crash test of the real binary, ordinary accidents of operation, trouble that a machine
//!   gives, a warehouse on S3, and other engines reading our tables.

pub mod answers;
pub mod equality;
pub mod postgres;
pub mod postgres_proxy;
pub mod program;
pub mod s3;
pub mod sim;
