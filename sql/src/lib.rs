//! SQL over icefold's tables: DataFusion with a table provider of our own.

mod bounds;
mod columns;
mod deletes;
mod error;
mod field_ids;
mod files;
mod scalar;
mod scan;
mod split;
mod statistics;
mod table;

pub use files::{LiveFile, SnapshotFiles};
pub use table::IcefoldTable;
