//! Records in, committed snapshots out.

pub mod chunk;
pub mod decode;

pub use chunk::{Chunk, DecodedChunk, Oversized};
