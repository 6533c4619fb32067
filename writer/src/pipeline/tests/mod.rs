//! Whole runs against a warehouse in memory.
//!
//! The kit: a source of lines held in memory, a decoder for these lines, an oracle that reads the same lines in the
//! plainest way, and a look into the tables.

mod continued;
mod deleted;
mod exactly_once;
mod kit;
mod limits;
mod recovered;
mod trouble;
