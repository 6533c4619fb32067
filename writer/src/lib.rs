//! Records in, committed snapshots out.

pub mod chunk;
pub mod dedup;
pub mod settings;

pub use chunk::{Chunk, DecodedChunk, Oversized};
pub use dedup::Dedup;
pub use settings::Settings;
