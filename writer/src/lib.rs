//! Records in, committed snapshots out.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests meet the real world where it is their subject"))]

pub mod chunk;
mod columns;
pub mod contracts;
pub mod decode;
pub mod dedup;
pub mod encode;
pub mod enrich;
pub mod failpoint;
pub mod fold;
pub mod metrics;
pub mod pipeline;
pub mod publish;
pub mod redrive;
pub mod settings;
pub mod source;

pub use chunk::{Chunk, DecodedChunk, Oversized};
pub use dedup::Dedup;
pub use failpoint::FailPoints;
pub use fold::Forgets;
pub use metrics::{IngestProgress, IngestReport, Metric};
pub use pipeline::{Crew, Decode, Evidence, Ingest, Recovered, Recovery};
pub use settings::Settings;
