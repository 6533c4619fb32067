//! Rows in files: reading them, and which of them are deleted.
//!
//! * [`columns`]: some columns of some row groups of one Parquet file, by Iceberg field id.
//! * [`deletes`]: which delete files apply to which data files (invariant D1), and which rows they take.
//! * [`read`]: the rows that are left.
//!
//! Nothing here starts a task or needs a query engine.

pub mod columns;
pub mod deletes;
#[cfg(test)]
mod fixture;
pub mod read;

pub use columns::{ColumnReader, ParquetFile};
pub use deletes::{Deletes, RowDeletes};
pub use read::LiveRows;
