//! Records in, committed snapshots out.

pub mod chunk;
pub mod decode;
pub mod source;

pub use chunk::{Chunk, DecodedChunk, Oversized};
