//! Content and lines together: the next piece of one file or stream, and the way back to a place in it.

use icefold_core::{Error, Result};

use super::content::{Content, Filled, Stored};
use super::lines::{Lines, Piece};
use super::prefix::Prefix;
use super::settings::SourceSettings;
use super::stored::StoredFile;

/// How much content is passed over at once on the way back to a place.
const SKIP_BLOCK_BYTES: usize = 1 << 20;

/// The records of one file or stream, from a position on.
pub(super) struct Records<S> {
    pub(super) content: Content<S>,
    lines: Lines,
    /// An error that waits until what was read before it is handed over.
    failure: Option<Error>,
    chunk_bytes: usize,
    max_record_bytes: usize,
}

/// What a pull brought.
#[derive(Debug)]
pub(super) enum Pulled {
    Piece(Piece),
    /// All that is stored was handed over, but for a last line that is not over; more may come.
    Exhausted,
    /// Everything was handed over.
    Ended,
    /// What is stored is not the version that it was.
    Changed,
    /// The compressed form is broken; the reason.
    Damaged(String),
    /// The content has a known form that is not read.
    Foreign(&'static str),
    /// A last line that was handed over as a record has become longer.
    OpenLineWentOn,
}

/// Whether a place was found again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    /// Yes, and before it lies what was there.
    Here,
    /// The content ends before it.
    Shorter,
    /// Before it lies something else.
    Different,
    /// What is stored changed on the way.
    Changed,
    /// The compressed form is broken before it; the reason.
    Damaged(String),
}

impl<S: Stored> Records<S> {
    /// Starts at the first byte.
    pub(super) fn new(stored: S, settings: &SourceSettings) -> Self {
        let (chunk_bytes, max_record_bytes) = (settings.chunk_bytes, settings.max_record_bytes);
        let lines = Lines::new(Prefix::default(), false, chunk_bytes, max_record_bytes);
        Records { content: Content::new(stored), lines, failure: None, chunk_bytes, max_record_bytes }
    }

    /// Everything that was handed over.
    pub(super) fn handed_over(&self) -> &Prefix {
        self.lines.handed_over()
    }

    /// Returns the next piece, or why there is none. What is returned beside a piece is returned again next time.
    ///
    /// # Errors
    /// Those of storage, after everything that was read before them.
    pub(super) async fn pull(&mut self) -> Result<Pulled> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut otherwise = Pulled::Exhausted;
        if self.lines.absorb().is_err() {
            return Ok(Pulled::OpenLineWentOn);
        }
        while !self.lines.is_full() && (!self.lines.has_whole_line() || self.content.stored.is_ready()) {
            let want = self.lines.wanted();
            let filled = match self.content.fill(self.lines.buffer(), want).await {
                Err(failure) if self.lines.has_whole_line() => {
                    self.failure = Some(failure);
                    break;
                }
                filled => filled?,
            };
            otherwise = match filled {
                Filled::Some if self.lines.absorb().is_ok() => continue,
                Filled::Some => Pulled::OpenLineWentOn,
                Filled::Exhausted => Pulled::Exhausted,
                Filled::End => Pulled::Ended,
                Filled::Changed => Pulled::Changed,
                Filled::Damaged(why) => Pulled::Damaged(why),
                Filled::Foreign(what) => Pulled::Foreign(what),
            };
            break;
        }
        let piece = match otherwise {
            Pulled::Ended => self.lines.cut().or_else(|| self.lines.cut_rest()),
            _ => self.lines.cut(),
        };
        Ok(piece.map_or(otherwise, Pulled::Piece))
    }

    /// Reads on to the place after `length` bytes of content, and compares what lies before it.
    pub(super) async fn read_to(&mut self, length: u64, fingerprint: u128, open_line: bool) -> Result<Resumed> {
        let mut passed = Prefix::default();
        let mut block = Vec::new();
        while passed.length() < length {
            block.clear();
            let missing = (length - passed.length()).min(SKIP_BLOCK_BYTES as u64) as usize;
            match self.content.fill(&mut block, missing).await? {
                Filled::Some => {
                    let part = block.len().min(missing);
                    passed.update(&block[..part]);
                    block.drain(..part);
                }
                // Asking once more tells whether the content ends here or breaks off.
                Filled::Exhausted => self.content.set_complete(true),
                Filled::End => return Ok(Resumed::Shorter),
                Filled::Changed => return Ok(Resumed::Changed),
                Filled::Damaged(why) => return Ok(Resumed::Damaged(why)),
                Filled::Foreign(_) => return Ok(Resumed::Different),
            }
        }
        if passed.fingerprint() != fingerprint {
            return Ok(Resumed::Different);
        }
        self.go_on_after(passed, open_line);
        self.lines.buffer().append(&mut block);
        Ok(Resumed::Here)
    }

    fn go_on_after(&mut self, prefix: Prefix, open_line: bool) {
        self.lines = Lines::new(prefix, open_line, self.chunk_bytes, self.max_record_bytes);
    }
}

impl Records<StoredFile> {
    /// Goes to the place after `length` bytes of content, and compares what lies before it: without reading it where
    /// the content is plain.
    pub(super) async fn resume(&mut self, length: u64, fingerprint: u128, open_line: bool) -> Result<Resumed> {
        let mut first = Vec::new();
        // What is stored now is enough to tell the form: it was, when the place was reached the first time.
        self.content.set_complete(true);
        let unknown = self.content.recognise(&mut first, SKIP_BLOCK_BYTES).await?;
        self.content.set_complete(false);
        match unknown {
            Some(Filled::Changed) => Ok(Resumed::Changed),
            Some(_) => Ok(Resumed::Shorter),
            None if !self.content.is_plain() => self.read_to(length, fingerprint, open_line).await,
            None if self.content.stored.stored_bytes() < length => Ok(Resumed::Shorter),
            None => Ok(match self.content.stored.seek(length, fingerprint).await? {
                Some(prefix) => {
                    self.go_on_after(prefix, open_line);
                    Resumed::Here
                }
                None => Resumed::Different,
            }),
        }
    }
}
