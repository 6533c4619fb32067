//! What travels between the stages of the writer: [`Chunk`] (bytes of whole records, still unread) and
//! [`DecodedChunk`] (typed rows, not yet deduplicated).

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use icefold_core::{Offset, ShardId, ShardPosition};

/// Consecutive whole records of one segment of one shard, as a source hands them over.
///
/// A record of a file is a line without its line break. Chunks of a shard follow one another without a gap: `from` of
/// the next is `to.next` of the one before.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The shard.
    pub shard: ShardId,
    /// The segment that `start` counts in (file name below the source).
    pub segment: Arc<str>,
    /// Position in the segment of the first byte of `bytes`.
    pub start: u64,
    /// The records; each ends with a line break, but for the last one of a file without one.
    pub bytes: Bytes,
    /// The `stream_time` of every record, in microseconds since 1970: `to` says the same, and no chunk of the shard before
    /// said a later one. Records that do not tell when they arrived arrive then.
    pub stream_time_micros: i64,
    /// Set when the chunk stands for one record that is too long to be held: `bytes` is then its beginning.
    pub oversized: Option<Oversized>,
    /// Set when the chunk is one array of events of which some were deleted since: the indexes that the others had in it.
    pub sub_offsets: Option<Arc<[i32]>>,
    /// Position in the shard before the chunk.
    pub from: Offset,
    /// Position in the shard after the chunk, with the source's witness and the time of the stream.
    pub to: ShardPosition,
}

/// A record longer than the source's limit, of which only the beginning is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversized {
    /// Length of the whole record in bytes.
    pub record_bytes: u64,
}

/// A last column that rows may have in memory: a number by which like events come together.
pub(crate) const SHAPE: &str = "shape";

/// A last column that decoded events may have in memory: the JSON object `context.userAgentData`.
pub(crate) const CLIENT_HINTS: &str = "client_hints";

/// The rows of one chunk.
///
/// Text columns hold their UTF-8 as `Binary`. Long values (payload, properties, traits, context and what is left over) are
/// `BinaryView`s, most of them into the chunk itself, which stays in memory as long as they do.
#[derive(Debug, Clone)]
pub struct DecodedChunk {
    /// Position in the shard before the chunk.
    pub from: Offset,
    /// The shard.
    pub shard: ShardId,
    /// Position in the shard after the chunk, with the source's witness.
    pub to: ShardPosition,
    /// Every event in, in stream order; columns of `TableKind::RawEvents` and the shape, by which a row group is ordered.
    pub raw: RecordBatch,
    /// The events that passed their contract, in stream order, before deduplication; the first `DECODED_EVENT_COLUMNS`
    /// columns of `TableKind::Events`, and the client hints.
    pub events: RecordBatch,
    /// xxh3-128 of `message_id`, one for each row of `events`.
    pub message_hashes: Vec<u128>,
    /// What did not pass, in stream order; columns of `TableKind::Quarantine`.
    pub quarantine: RecordBatch,
    /// The data contracts that were in force, with their versions.
    pub contracts: Option<Arc<str>>,
}
