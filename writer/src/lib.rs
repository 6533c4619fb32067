//! Records in, committed snapshots out.

pub mod chunk;

pub use chunk::{Chunk, DecodedChunk, Oversized};
