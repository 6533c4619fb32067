//! Rows in files: reading them, and which of them are deleted.
//!
//! * [`columns`]: some columns of some row groups of one Parquet file, by Iceberg field id.
//! * [`deletes`]: which delete files apply to which data files (invariant D1).

pub mod columns;
pub mod deletes;

pub use columns::{ColumnReader, ParquetFile};
