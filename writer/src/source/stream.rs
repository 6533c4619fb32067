//! Standard input, or any other byte stream, as a source.
//!
//! A thread of its own reads the stream, so that a stream on which nothing comes holds up neither the tasks nor the end
//! of the program. Whole lines are handed over as they come: a slow stream makes small chunks.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use icefold_core::{Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use tokio::sync::{mpsc, watch};

use super::content::Stored;
use super::records::{Pulled, Records, Resumed};
use super::stored::Got;
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
    source_time_micros: i64,
    next: Offset,
    ending: Ending,
}

impl StreamSource {
    /// Opens `reader` at `position` (`None`: at the start). A stream cannot be sought: `reader` gives it from its start,
    /// and what was read before is passed over and compared. Every record gets the arrival time `source_time_micros`,
    /// unless `position` tells the one that was given before. `stop` ends it when it turns true.
    ///
    /// # Errors
    /// `InvalidInput` when the stream is not the one that was read before, or when a setting is wrong. `Refused` when
    /// it cannot be read.
    pub async fn open(
        reader: Box<dyn Read + Send>,
        shard: ShardId,
        source_time_micros: i64,
        position: Option<&ShardPosition>,
        settings: SourceSettings,
        stop: watch::Receiver<bool>,
    ) -> Result<StreamSource> {
        settings.validate()?;
        let mut records = Records::new(Pipe::start(reader)?, &settings);
        records.content.set_complete(true);
        let mut source = StreamSource {
            shard,
            segment: SEGMENT.into(),
            records,
            source_time_micros,
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
        self.source_time_micros = witness.source_time_micros;
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
        let (segment, time) = (self.segment.clone(), self.source_time_micros);
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

/// The bytes that the reading thread sends.
struct Pipe {
    blocks: mpsc::Receiver<std::io::Result<Bytes>>,
    current: Bytes,
    failure: Option<std::io::Error>,
    closed: bool,
}

impl Pipe {
    #[expect(clippy::disallowed_methods, reason = "a pipe can only be waited for; the simulation reads no pipe")]
    fn start(mut reader: Box<dyn Read + Send>) -> Result<Pipe> {
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        std::thread::Builder::new()
            .name("icefold-stream".to_owned())
            .spawn(move || {
                while let Some(block) = read_block(&mut reader).transpose() {
                    let failed = block.is_err();
                    // The other side is gone when the source was dropped.
                    if sender.blocking_send(block).is_err() || failed {
                        break;
                    }
                }
            })
            .map_err(|e| Error::new(ErrorKind::Refused, "a thread to read the stream was refused").because(e))?;
        Ok(Pipe { blocks, current: Bytes::new(), failure: None, closed: false })
    }

    fn take(&mut self, block: Option<std::io::Result<Bytes>>) {
        match block {
            Some(Ok(block)) => self.current = block,
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
            let block = self.blocks.recv().await;
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

    fn is_ready(&mut self) -> bool {
        if self.current.is_empty() && self.failure.is_none() && !self.closed {
            match self.blocks.try_recv() {
                Ok(block) => self.take(Some(block)),
                Err(mpsc::error::TryRecvError::Disconnected) => self.closed = true,
                Err(mpsc::error::TryRecvError::Empty) => return false,
            }
        }
        true
    }
}
