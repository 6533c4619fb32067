//! Standard input, or any other byte stream, as a source.
//!
//! A thread of its own reads the stream, so that a stream on which nothing comes holds up neither the tasks nor the end
//! of the program. Whole lines are handed over as they come: a slow stream makes small chunks.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use icefold_core::timestamp::format_iso;
use icefold_core::{Clock, Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use tokio::sync::{mpsc, watch};

use super::content::Stored;
use super::records::{Pulled, Records, Resumed};
use super::stored::Got;
use super::stream_time::StreamTime;
use super::witness::{Finished, Witness};
use super::{Ending, Source, SourceSettings, refusal};
use crate::chunk::Chunk;

/// How much is read from the stream at once.
const BLOCK_BYTES: usize = 256 << 10;
/// How many blocks wait to be taken.
const BLOCKS_AHEAD: usize = 16;
/// The only segment of a stream.
const SEGMENT: &str = "stream";

/// Reads the records of one stream.
pub struct StreamSource {
    shard: ShardId,
    segment: Arc<str>,
    records: Records<Pipe>,
    time: StreamTime,
    next: Offset,
    ending: Ending,
}

impl StreamSource {
    /// Opens `reader` at `position` (`None`: at the start). A stream cannot be sought: `reader` gives it from its start,
    /// and what was read before is passed over and compared. The source time of a record is when `clock` said that it was
    /// read, in whole seconds; the time of the stream goes on from `position` and is never before `floor_micros`, the latest one
    /// of the shards that this one continues. `stop` ends it when it turns true.
    ///
    /// # Errors
    /// `InvalidInput` when the stream is not the one that was read before, or when a setting is wrong. `Refused` when
    /// it cannot be read.
    pub async fn open(
        reader: Box<dyn Read + Send>,
        shard: ShardId,
        clock: Arc<dyn Clock>,
        position: Option<&ShardPosition>,
        floor_micros: Option<i64>,
        settings: SourceSettings,
        stop: watch::Receiver<bool>,
    ) -> Result<StreamSource> {
        settings.validate()?;
        let mut records = Records::new(Pipe::start(reader, clock)?, &settings);
        records.content.set_complete(true);
        let mut source = StreamSource {
            shard,
            segment: SEGMENT.into(),
            records,
            time: StreamTime::after(position, floor_micros),
            next: Offset::start(),
            ending: Ending::when(stop),
        };
        if let Some(position) = position.filter(|position| position.next != Offset::start()) {
            source.go_to(position).await?;
        }
        Ok(source)
    }

    async fn go_to(&mut self, position: &ShardPosition) -> Result<()> {
        let witness = Witness::decode(&position.witness)?;
        self.next = position.next.clone();
        let resumed = self.records.read_to(position.next.position, witness.fingerprint, witness.open_line).await?;
        Err(match resumed {
            Resumed::Here => return Ok(()),
            Resumed::Shorter => self.refuse("now the stream ends before the position"),
            Resumed::Different | Resumed::Changed => self.refuse("now the stream begins with something else"),
            Resumed::Damaged(why) => refusal::damaged_stream(&self.shard, &self.next, &why),
        })
    }

    fn refuse(&self, what: &str) -> Error {
        refusal::another_stream(&self.shard, &self.next, what)
    }

    async fn advance(&mut self) -> Result<Option<Chunk>> {
        let piece = match self.records.pull().await? {
            Pulled::Piece(piece) => piece,
            Pulled::Ended => return Ok(None),
            Pulled::Damaged(why) => return Err(refusal::damaged_stream(&self.shard, &self.next, &why)),
            Pulled::Foreign(what) => return Err(refusal::foreign(format!("`{}`", self.shard), &self.next, what)),
            Pulled::OpenLineWentOn => return Err(self.refuse("now its last line goes on")),
            Pulled::Exhausted | Pulled::Changed => return Err(Error::bug("a stream changed in its place")),
        };
        let read_micros = self.records.content.stored.read_micros;
        let read_micros = read_micros.ok_or_else(|| Error::bug("a piece of a stream of which nothing was read"))?;
        if let Some(reached) = self.time.falls_back_first(read_micros) {
            tracing::warn!(
                shard = %self.shard,
                now = format_iso(read_micros),
                stream_time = format_iso(reached),
                "the stream was read at a later time before: until this machine's clock is there, its events count as arriving at \
                 `stream_time`; deduplication and sessions go on, but `stream_time` and the partitions of `raw_events` do not tell \
                 when these events really arrived; check the clock"
            );
        }
        let (segment, time) = (self.segment.clone(), self.time.advance(read_micros));
        super::chunk_of(piece, &self.shard, segment, time, Finished::default(), &mut self.next).map(Some)
    }
}

#[async_trait]
impl Source for StreamSource {
    fn shard(&self) -> &ShardId {
        &self.shard
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        self.ending.check(&self.shard)?;
        let stop = self.ending.stop.clone();
        let outcome = super::unless_stopped(stop, self.advance()).await;
        self.ending.note(&outcome);
        outcome
    }
}

/// What was read from a stream at once.
struct Block {
    bytes: Bytes,
    /// When, in microseconds since 1970. Whole seconds: a chunk has one time, and finer ones would cut a fast stream to pieces.
    read_micros: i64,
}

/// The bytes that the reading thread sends.
struct Pipe {
    blocks: mpsc::Receiver<std::io::Result<Block>>,
    current: Bytes,
    /// When the current block was read.
    read_micros: Option<i64>,
    /// A block that was read at another time than the current one, which is to be handed over before.
    waiting: Option<Block>,
    failure: Option<std::io::Error>,
    closed: bool,
}

impl Pipe {
    #[expect(clippy::disallowed_methods, reason = "a pipe can only be waited for; the simulation reads no pipe")]
    fn start(mut reader: Box<dyn Read + Send>, clock: Arc<dyn Clock>) -> Result<Pipe> {
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        std::thread::Builder::new()
            .name("icefold-stream".to_owned())
            .spawn(move || {
                while let Some(bytes) = read_block(&mut reader).transpose() {
                    let read_micros = clock.now_ms().div_euclid(1_000).saturating_mul(1_000_000);
                    let block = bytes.map(|bytes| Block { bytes, read_micros });
                    let failed = block.is_err();
                    // The other side is gone when the source was dropped.
                    if sender.blocking_send(block).is_err() || failed {
                        break;
                    }
                }
            })
            .map_err(|e| Error::new(ErrorKind::Refused, "a thread to read the stream was refused").because(e))?;
        Ok(Pipe { blocks, current: Bytes::new(), read_micros: None, waiting: None, failure: None, closed: false })
    }

    fn take(&mut self, block: Option<std::io::Result<Block>>) {
        match block {
            Some(Ok(block)) => (self.current, self.read_micros) = (block.bytes, Some(block.read_micros)),
            Some(Err(e)) => self.failure = Some(e),
            None => self.closed = true,
        }
    }
}

/// Reads what there is; `None` at the end.
fn read_block(reader: &mut dyn Read) -> std::io::Result<Option<Bytes>> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                block.truncate(length);
                return Ok(Some(block.into()));
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl Stored for Pipe {
    async fn read(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Got> {
        if !self.is_ready() {
            let block = match self.waiting.take() {
                Some(block) => Some(Ok(block)),
                None => self.blocks.recv().await,
            };
            self.take(block);
        }
        if let Some(e) = self.failure.take() {
            return Err(refusal::reading(e, "standard input"));
        }
        let part = self.current.len().min(want);
        buffer.extend_from_slice(&self.current[..part]);
        self.current.advance(part);
        Ok(if part > 0 { Got::Some } else { Got::End })
    }

    /// What was read at another time is not ready before all that was read until then is handed over.
    fn is_ready(&mut self) -> bool {
        if self.waiting.is_some() {
            return false;
        }
        if self.current.is_empty() && self.failure.is_none() && !self.closed {
            match self.blocks.try_recv() {
                Ok(Ok(block)) if self.read_micros.is_some_and(|micros| micros != block.read_micros) => {
                    self.waiting = Some(block);
                    return false;
                }
                Ok(block) => self.take(Some(block)),
                Err(mpsc::error::TryRecvError::Disconnected) => self.closed = true,
                Err(mpsc::error::TryRecvError::Empty) => return false,
            }
        }
        true
    }
}
