//! Rows in files: reading some columns of some row groups of a Parquet file.
//!
//! * [`columns`]: one file, read by Iceberg field id.

pub mod columns;

pub use columns::{ColumnReader, ParquetFile};
