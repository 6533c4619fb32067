//! Sources: where records come from, and how a position in them survives a restart.
//!
//! A [`Source`] hands over one shard as [`Chunk`]s of whole records, in order and without a gap. Two sources exist here:
//! [`FileSource`] (one file, a folder or an S3 prefix) and [`StreamSource`] (standard input). Both read newline-delimited
//! records, plain or compressed with gzip or zstd; the first bytes decide which, never the name.
//!
//! ```text
//! listing ─▶ stored bytes ─▶ content (decompressed) ─▶ lines ─▶ Chunk { bytes, from, to + witness }
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`name`] | what a user types, and the shard it names |
//! | [`files`] | the order of files, restart, growth, the end of a file |
//! | [`stream`] | standard input |
//! | [`raw`] | a range of `raw_events`, to derive the other tables from it again |
//! | `listing` | the files of a folder in name order, in bounded memory |
//! | `stored` | the bytes of one file as they lie in storage, pinned to one version of it |
//! | `content` | stored bytes to content |
//! | `decoder` | forms of content and decompression |
//! | `lines` | cutting content at line breaks; records that are too long |
//! | `records` | content and lines together: the next piece |
//! | `witness` | what the source remembers of what it has read, to refuse what changed |
//! | `prefix` | length and fingerprint of what was read of one file |
//! | [`stream_time`] | `stream_time`: how source times become a time that never goes back |
//! | [`time_pattern`] | times in the names of files |
//! | `refusal` | the errors |
//!
//! Offsets count uncompressed bytes, so that a file may be read in chunks of any size and a restart in the middle of
//! a compressed file lands on the same record. Nothing that is handed over depends on how the content was cut.

pub mod files;
pub mod name;
pub mod raw;
pub mod stream;
pub mod stream_time;
pub mod time_pattern;

mod content;
mod decoder;
mod lines;
mod listing;
mod prefix;
mod records;
mod refusal;
mod settings;
mod stored;
mod witness;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};
use tokio::sync::watch;

use self::lines::Piece;
use self::witness::{Finished, Witness};
use crate::chunk::Chunk;

pub use files::{FileRoot, FileSource};
pub use name::{OpenSource, SourceName, open_source};
pub use raw::RawSource;
pub use settings::{SourceSettings, TimeSettings};
pub use stream::StreamSource;
pub use stream_time::StreamTime;
pub use time_pattern::TimePattern;

/// Hands over the records of one shard in order. The writer calls it from one task, through a bounded channel.
///
/// Duties of an implementation:
/// - `from` of a chunk is `to.next` of the chunk before it; of the first one it is the position that the source was
///   opened at. `to.next` is greater than `from`: every chunk makes progress.
/// - A chunk holds whole records of one segment. A record that is too long to be held comes alone, as
///   [`Oversized`](crate::chunk::Oversized).
/// - All records of a chunk have one `stream_time`, which [`StreamTime`] makes of the time at which the source got them; it goes
///   on from the position that the source was opened at, and `to` of each chunk states it. Where the source's own time changes,
///   a chunk ends.
/// - The same content gives the same record at the same offset, however it is cut into chunks and wherever the source
///   was opened.
/// - Opened at a position, it continues there or fails; it never continues in content that is not the one it had read.
/// - The place of a chunk in the order of the run is settled when its source is asked for the next one, not earlier: a
///   source that is to be read after another one waits for that.
/// - What it holds in memory is bounded by its settings, not by the length of a record, a file or a listing.
#[async_trait]
pub trait Source: Send {
    /// The shard it reads.
    fn shard(&self) -> &ShardId;

    /// Returns the next chunk; `None` when everything was read (one pass), or when it was told to stop.
    ///
    /// Everything returned before an error stays valid: the writer may commit it, and a source opened at the last `to`
    /// continues there. After an error or `None`, drop the source. Not cancellation safe: a source whose call was
    /// dropped has to be opened again.
    ///
    /// # Errors
    /// `InvalidInput` when what was read has changed, or when a file is damaged: the message says what to do.
    /// `Transient` when storage failed beyond its own retries. `Refused` when access is denied.
    async fn next(&mut self) -> Result<Option<Chunk>>;
}

/// Makes the chunk of a piece of `segment`, and moves `next`, the position of the source, behind it.
fn chunk_of(
    piece: Piece,
    shard: &ShardId,
    segment: Arc<str>,
    stream_time_micros: i64,
    finished: Finished,
    next: &mut Offset,
) -> Result<Chunk> {
    let Piece { start, bytes, oversized, open_line, length, fingerprint } = piece;
    let witness = Witness { finished, fingerprint, open_line };
    let behind = Offset::new(segment.clone(), length);
    let from = std::mem::replace(next, behind.clone());
    let stream_time = Some(stream_time_micros);
    let to = ShardPosition { witness: witness.encode()?, stream_time_micros: stream_time, ..ShardPosition::at(behind) };
    Ok(Chunk {
        shard: shard.clone(),
        segment,
        start,
        bytes,
        stream_time_micros,
        oversized,
        sub_offsets: None,
        from,
        to,
    })
}

/// How a source ends: when it is told to stop, and once.
struct Ending {
    stop: watch::Receiver<bool>,
    over: bool,
}

impl Ending {
    /// The source ends when `stop` turns true.
    fn when(stop: watch::Receiver<bool>) -> Self {
        Ending { stop, over: false }
    }

    /// Refuses to go on after the end.
    fn check(&self, shard: &ShardId) -> Result<()> {
        if self.over {
            return Err(Error::bug(format!("source `{shard}` was asked for more after its end")));
        }
        Ok(())
    }

    /// Takes note of what the source returns.
    fn note(&mut self, outcome: &Result<Option<Chunk>>) {
        self.over = !matches!(outcome, Ok(Some(_)));
    }
}

/// Returns what `advance` does, or `None` as soon as `stop` turns true. Whoever could turn it may be gone.
async fn unless_stopped(
    mut stop: watch::Receiver<bool>,
    advance: impl Future<Output = Result<Option<Chunk>>>,
) -> Result<Option<Chunk>> {
    let stopped = async {
        if stop.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => Ok(None),
        outcome = advance => outcome,
    }
}
