//! Cutting content at line breaks into pieces of whole lines.
//!
//! Content is appended to the buffer of [`Lines`] and [absorbed](Lines::absorb); [`Lines::cut`] gives pieces back. A
//! piece ends at a line break, so the same content gives the same lines however it arrived. It ends early when it holds very
//! many lines. A line longer than the limit is counted to its end but not kept.

use bytes::Bytes;

use super::prefix::Prefix;
use super::settings::{KEPT_OF_OVERSIZED_BYTES, MAX_CHUNK_LINES};
use crate::chunk::Oversized;

/// The lines of one file or stream, from a position on.
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// How much of `buffer` was absorbed.
    absorbed: usize,
    /// End of the last whole line in `buffer`; 0 when there is none.
    whole: usize,
    /// Everything before `buffer`, but for a line that is being skipped.
    before: Prefix,
    skipping: Option<Skipping>,
    /// An oversized line that ended; it comes before `buffer`.
    oversized: Option<Piece>,
    after_open_line: bool,
    chunk_bytes: usize,
    max_record_bytes: usize,
}

/// A line that has grown too long and is not over.
struct Skipping {
    kept: Vec<u8>,
    record_bytes: u64,
    through: Prefix,
}

/// A last line without line break was handed over as a record, and now it has become longer.
#[derive(Debug)]
pub(super) struct OpenLineWentOn;

/// Whole lines, or the beginning of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Position of the first byte.
    pub(super) start: u64,
    pub(super) bytes: Bytes,
    pub(super) oversized: Option<Oversized>,
    /// It ends with the content, without a line break.
    pub(super) open_line: bool,
    /// Everything up to its end.
    pub(super) length: u64,
    pub(super) fingerprint: u128,
}

impl Lines {
    /// Starts after `before`. `after_open_line` says that the last line before had no line break.
    pub(super) fn new(before: Prefix, after_open_line: bool, chunk_bytes: usize, max_record_bytes: usize) -> Self {
        Lines {
            buffer: Vec::new(),
            absorbed: 0,
            whole: 0,
            before,
            skipping: None,
            oversized: None,
            after_open_line,
            chunk_bytes,
            max_record_bytes,
        }
    }

    /// Where content is to be appended; [`Lines::absorb`] comes next.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How much content to append.
    pub(super) fn wanted(&self) -> usize {
        match self.chunk_bytes.saturating_sub(self.buffer.len()) {
            0 => self.chunk_bytes,
            missing => missing,
        }
    }

    /// Returns whether a piece is as large as it should be.
    pub(super) fn is_full(&self) -> bool {
        self.oversized.is_some() || (self.whole > 0 && self.buffer.len() >= self.chunk_bytes)
    }

    /// Returns whether [`Lines::cut`] would give a piece.
    pub(super) fn has_whole_line(&self) -> bool {
        self.oversized.is_some() || self.whole > 0
    }

    /// Everything that was handed over.
    pub(super) fn handed_over(&self) -> &Prefix {
        &self.before
    }

    /// Takes note of what was appended.
    ///
    /// # Errors
    /// When a last line without line break, which was handed over as a record, goes on.
    pub(super) fn absorb(&mut self) -> Result<(), OpenLineWentOn> {
        if self.after_open_line && !self.close_open_line()? {
            return Ok(());
        }
        if self.skipping.is_some() && !self.skip() {
            return Ok(());
        }
        let fresh = &self.buffer[self.absorbed..];
        if self.whole == 0 {
            let first = fresh.iter().position(|byte| *byte == b'\n').map(|at| self.absorbed + at);
            if first.unwrap_or(self.buffer.len()) > self.max_record_bytes {
                self.start_skipping();
                return self.absorb();
            }
        }
        if let Some(last) = fresh.iter().rposition(|byte| *byte == b'\n') {
            self.whole = self.absorbed + last + 1;
        }
        self.absorbed = self.buffer.len();
        Ok(())
    }

    /// Passes over the line break that a last line has got since it was handed over; `false` when it is not there yet.
    fn close_open_line(&mut self) -> Result<bool, OpenLineWentOn> {
        let line_break: &[u8] = match self.buffer.as_slice() {
            [] | [b'\r'] => return Ok(false),
            [b'\n', ..] => b"\n",
            [b'\r', b'\n', ..] => b"\r\n",
            _ => return Err(OpenLineWentOn),
        };
        self.before.update(line_break);
        self.buffer.drain(..line_break.len());
        self.after_open_line = false;
        Ok(true)
    }

    fn start_skipping(&mut self) {
        self.skipping = Some(Skipping {
            kept: Vec::with_capacity(KEPT_OF_OVERSIZED_BYTES.min(self.max_record_bytes)),
            record_bytes: 0,
            through: self.before.clone(),
        });
        self.absorbed = 0;
    }

    /// Counts the line that is too long; `false` when it is not over.
    fn skip(&mut self) -> bool {
        let Some(skipping) = &mut self.skipping else { return true };
        let end = self.buffer.iter().position(|byte| *byte == b'\n');
        let line = &self.buffer[..end.unwrap_or(self.buffer.len())];
        let keep = KEPT_OF_OVERSIZED_BYTES.min(self.max_record_bytes) - skipping.kept.len();
        skipping.kept.extend_from_slice(&line[..keep.min(line.len())]);
        skipping.record_bytes += line.len() as u64;
        let Some(end) = end else {
            skipping.through.update(line);
            self.buffer.clear();
            return false;
        };
        skipping.through.update(&self.buffer[..=end]);
        self.buffer.drain(..=end);
        self.oversized = self.end_skipping(false);
        true
    }

    fn end_skipping(&mut self, open_line: bool) -> Option<Piece> {
        let skipping = self.skipping.take()?;
        let start = self.before.length();
        self.before = skipping.through;
        Some(Piece {
            start,
            bytes: skipping.kept.into(),
            oversized: Some(Oversized { record_bytes: skipping.record_bytes }),
            open_line,
            length: self.before.length(),
            fingerprint: self.before.fingerprint(),
        })
    }

    /// Gives the next piece, if a line is whole.
    pub(super) fn cut(&mut self) -> Option<Piece> {
        if let Some(piece) = self.oversized.take() {
            return Some(piece);
        }
        if self.whole == 0 {
            return None;
        }
        let whole = self.whole;
        let end = end_of_lines(&self.buffer[..whole], MAX_CHUNK_LINES);
        let piece = self.cut_at(end, false);
        self.whole = whole - end;
        Some(piece)
    }

    /// Gives what is left at the end of the content as a last line without line break.
    pub(super) fn cut_rest(&mut self) -> Option<Piece> {
        if let Some(piece) = self.cut().or_else(|| self.end_skipping(true)) {
            return Some(piece);
        }
        // Half a line break after a last line that is a record already is no record.
        let rest = !self.buffer.is_empty() && !self.after_open_line;
        rest.then(|| self.cut_at(self.buffer.len(), true))
    }

    fn cut_at(&mut self, end: usize, open_line: bool) -> Piece {
        let rest = self.buffer[end..].to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.absorbed = self.buffer.len();
        self.whole = 0;
        let start = self.before.length();
        self.before.update(&bytes);
        Piece {
            start,
            bytes: bytes.into(),
            oversized: None,
            open_line,
            length: self.before.length(),
            fingerprint: self.before.fingerprint(),
        }
    }
}

/// Returns where the first `most` lines of `bytes`, which ends with a line break, end.
fn end_of_lines(bytes: &[u8], most: usize) -> usize {
    if count_breaks(bytes) <= most {
        return bytes.len();
    }
    let mut breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    breaks.nth(most - 1).map_or(bytes.len(), |(at, _)| at + 1)
}

/// Counts line breaks, in blocks short enough for a count of one byte: that is what compilers make vectors of.
fn count_breaks(bytes: &[u8]) -> usize {
    // A block is too short to wrap; a checked addition would keep it from becoming a vector.
    let add = |breaks: u8, byte: &u8| breaks.wrapping_add(u8::from(*byte == b'\n'));
    let in_block = |block: &[u8]| usize::from(block.iter().fold(0, add));
    bytes.chunks(usize::from(u8::MAX)).map(in_block).sum()
}
