//! SQL over icefold's tables: DataFusion with a table provider of our own.
//!
//! ```text
//! QuerySession ─▶ Namespace ─▶ IcefoldTable ─▶ ParquetScan ─▶ DataSourceExec (DataFusion's Parquet reader)
//!                     │             └─▶ deletes ─────────────▶ DeleteExec above it
//!                     └─▶ MetadataTable: snapshots, files, manifests, checkpoints
//! ```
//!
//! * [`session`]: what users of the crate see. [`settings`]: what they may set. `namespace`: the names that a query can use.
//! * `planner`: DataFusion's rules, and where ours stand in for them.
//! * [`table`]: one snapshot of one table: pruning, deletes, the plan. `bounds` and `statistics`: what manifests say of files.
//! * `scan`, `split` and `field_ids`: reading Parquet files by field id, on all cores.
//! * `deletes`: applying what `icefold_files::deletes` says applies (invariant D1).
//! * `guard`: a question that goes wrong ends with an error and leaves the process alive.
//! * `as_of`: which snapshot a query means that names a version or a time.
//! * `json`: JSON in SQL.
//! * `metadata_tables`: the metadata as tables. `views`: sessions, edges of identities.
//! * `walk`: over parsed SQL.
//!
//! Nothing here writes.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests meet the real world where it is their subject"))]

mod as_of;
mod bounds;
mod columns;
mod deletes;
mod error;
mod field_ids;
mod files;
#[cfg(test)]
mod fixture;
mod guard;
mod hints;
mod json;
mod locate;
mod metadata_tables;
mod namespace;
mod planner;
mod scalar;
mod scan;
pub mod session;
pub mod settings;
mod split;
mod statistics;
pub mod table;
mod views;
mod walk;

pub use locate::{Equal, files_with};
pub use session::{QuerySession, QueryStream, SessionSettings};
pub use settings::QuerySettings;
pub use table::IcefoldTable;
