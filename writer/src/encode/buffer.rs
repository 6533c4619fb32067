//! Rows of one partition that wait to be encoded.

use arrow::array::RecordBatch;
use icefold_core::Result;

use super::views::memory_bytes;
use crate::columns::joined;

/// A piece below this size counts as small.
const SMALL_BYTES: usize = 256 << 10;

/// Small pieces are joined when there are this many of them: each column of a piece has a cost of its own, which
/// for a few late events in many partitions would soon be more than the events.
const MAX_SMALL_PIECES: usize = 32;

/// Rows in the order in which they came.
#[derive(Debug, Default)]
pub struct RowBuffer {
    pieces: Vec<RecordBatch>,
    /// How many pieces at the end are small.
    small: usize,
    memory_bytes: usize,
}

impl RowBuffer {
    /// Adds rows behind the others.
    ///
    /// # Errors
    /// Those of `columns::joined`.
    pub fn push(&mut self, rows: RecordBatch) -> Result<()> {
        let bytes = memory_bytes(&rows);
        self.memory_bytes += bytes;
        self.pieces.push(rows);
        if bytes >= SMALL_BYTES {
            self.small = 0;
            return Ok(());
        }
        self.small += 1;
        if self.small == MAX_SMALL_PIECES { self.join_small() } else { Ok(()) }
    }

    /// Returns the memory of the rows in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Takes all rows out.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(self).pieces
    }

    /// Takes all rows out, joined; `None` when there are none.
    ///
    /// # Errors
    /// Those of `columns::joined`.
    pub fn take_joined(&mut self) -> Result<Option<RecordBatch>> {
        let pieces = self.take();
        if pieces.is_empty() { Ok(None) } else { joined(&pieces).map(Some) }
    }

    fn join_small(&mut self) -> Result<()> {
        let small = self.pieces.split_off(self.pieces.len() - self.small);
        let joined = joined(&small)?;
        self.memory_bytes -= small.iter().map(memory_bytes).sum::<usize>();
        let bytes = memory_bytes(&joined);
        self.memory_bytes += bytes;
        self.small = usize::from(bytes < SMALL_BYTES);
        self.pieces.push(joined);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::file::tests::quarantine_rows;

    #[test]
    fn many_tiny_pieces_cost_little_more_than_their_rows() {
        let mut buffer = RowBuffer::default();
        for _ in 0..1_000 {
            buffer.push(quarantine_rows(&[0])).expect("same columns");
        }
        assert!(buffer.pieces.len() <= MAX_SMALL_PIECES + 1, "{} pieces", buffer.pieces.len());
        let single = quarantine_rows(&vec![0; 1_000]).get_array_memory_size();
        assert!(buffer.memory_bytes() < 3 * single, "{} bytes for rows of {single}", buffer.memory_bytes());
    }

    #[test]
    fn no_row_is_lost_and_memory_is_given_back() {
        let mut buffer = RowBuffer::default();
        for i in 0..100 {
            buffer.push(quarantine_rows(&vec![0; i % 7])).expect("same columns");
        }
        let counted: usize = buffer.pieces.iter().map(RecordBatch::get_array_memory_size).sum();
        assert_eq!(buffer.memory_bytes(), counted);
        let rows: usize = buffer.take().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, (0..100).map(|i| i % 7).sum::<usize>());
        assert_eq!(buffer.memory_bytes(), 0);
    }
}
