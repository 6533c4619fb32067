//! Exact deduplication inside a hot window of arrival time.
//!
//! The rule, per shard (only inside a shard the stream has an order, and a device's events share a shard):
//!
//! > The *watermark* is the latest arrival among the events accepted so far. An event is a **duplicate** if and only if
//! > an event accepted earlier has the same `messageId` and arrived not before watermark minus window.
//!
//! Times are whole seconds, `messageId`s are compared by their 128-bit xxh3 hash. Since only accepted events count, the
//! state is a function of the rows of `events`; `rebuild` makes it from the table as it stands at the checkpoint, and a
//! stream cut anywhere is decided like one that was never cut.
//!
//! An id costs 25 to 32 bytes, 25 to 32 MB for a million (`dedup_max_ids` is the ceiling; reaching it stops the run
//! with an error, since going on would let duplicates through in silence).

mod rebuild;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use icefold_core::{Error, ErrorKind, Result, ShardId};

pub use rebuild::rebuild;
use slots::Slots;

/// How much of the window must pass until ids are searched for forgotten ones again, as a fraction: the ceiling is
/// checked against what is stored, so up to this share of the window more than the live ids may count.
const SWEEPS_PER_WINDOW: u32 = 64;

/// Which events were accepted inside the hot window, for every shard of a run.
#[derive(Debug)]
pub struct Dedup {
    window_seconds: u32,
    max_ids: usize,
    shards: HashMap<ShardId, HotWindow>,
    stored: usize,
}

#[derive(Debug)]
struct HotWindow {
    slots: Slots,
    /// The latest arrival of an accepted event; 0 before the first.
    watermark: u32,
    /// The horizon when forgotten ids were last searched for.
    swept: u32,
}

/// What became of the events of a chunk.
#[derive(Debug, Clone)]
pub struct Decisions {
    /// Number of duplicates.
    pub duplicates: usize,
    /// True for every accepted event; `None` when all of them were accepted.
    pub accepted: Option<BooleanArray>,
}

impl Dedup {
    /// Makes an empty state that holds at most `max_ids` ids.
    pub fn new(window: Duration, max_ids: usize) -> Self {
        let window_seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        Dedup { window_seconds, max_ids, shards: HashMap::new(), stored: 0 }
    }

    /// Decides the events of a chunk in their order, and remembers the accepted ones.
    ///
    /// `arrival_micros` holds the arrival time of each event, in microseconds since 1970.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed; the state is then of no use.
    pub fn decide(&mut self, shard: &ShardId, hashes: &[u128], arrival_micros: &[i64]) -> Result<Decisions> {
        debug_assert_eq!(hashes.len(), arrival_micros.len(), "one arrival for each hash");
        let window_seconds = self.window_seconds;
        let hot = self.shards.entry(shard.clone()).or_insert_with(HotWindow::new);
        let before = hot.slots.stored();
        let mut duplicates = Vec::new();
        for (row, (hash, micros)) in hashes.iter().zip(arrival_micros).enumerate() {
            if hot.slots.seen_since(*hash, hot.horizon(window_seconds)).is_some() {
                duplicates.push(row);
            } else {
                hot.accept(*hash, second_of(*micros), window_seconds);
            }
        }
        self.stored = self.stored + hot.slots.stored() - before;
        self.keep_below_ceiling()?;
        Ok(Decisions::new(hashes.len(), &duplicates))
    }

    /// Remembers an event that was accepted earlier. The order of calls does not matter, as long as
    /// [`Dedup::decide`] is called after all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed.
    pub fn remember(&mut self, shard: &ShardId, hash: u128, arrival_micros: i64) -> Result<()> {
        let hot = self.shards.entry(shard.clone()).or_insert_with(HotWindow::new);
        let before = hot.slots.stored();
        hot.accept(hash, second_of(arrival_micros), self.window_seconds);
        self.stored = self.stored + hot.slots.stored() - before;
        self.keep_below_ceiling()
    }

    /// Returns the earliest arrival, in microseconds since 1970, that an id of `shard` can have and still count;
    /// `None` when the shard has no accepted event.
    pub fn horizon_micros(&self, shard: &ShardId) -> Option<i64> {
        self.shards.get(shard).map(|hot| i64::from(hot.horizon(self.window_seconds)) * 1_000_000)
    }

    /// Returns how many ids are stored.
    pub fn stored_ids(&self) -> usize {
        self.stored
    }

    /// Returns the memory of the stored ids in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.shards.values().map(|hot| hot.slots.memory_bytes()).sum()
    }

    fn keep_below_ceiling(&mut self) -> Result<()> {
        if self.stored <= self.max_ids {
            return Ok(());
        }
        for hot in self.shards.values_mut() {
            hot.sweep(self.window_seconds);
        }
        self.stored = self.shards.values().map(|hot| hot.slots.stored()).sum();
        if self.stored <= self.max_ids {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "the dedup window of {} s holds more than `dedup_max_ids` = {} message ids: raise it (32 MB of memory \
                 for a million) or shorten `dedup_window_seconds`, then run again; nothing is lost",
                self.window_seconds, self.max_ids
            ),
        ))
    }
}

impl HotWindow {
    fn new() -> Self {
        HotWindow { slots: Slots::new(), watermark: 0, swept: 0 }
    }

    /// The first second that still counts.
    fn horizon(&self, window_seconds: u32) -> u32 {
        self.watermark.saturating_sub(window_seconds)
    }

    fn accept(&mut self, hash: u128, second: u32, window_seconds: u32) {
        self.watermark = self.watermark.max(second);
        let horizon = self.horizon(window_seconds);
        // The watermark never goes back, so what lies before the horizon now will never count.
        if second >= horizon {
            self.slots.note(hash, second, horizon);
        }
    }

    fn sweep(&mut self, window_seconds: u32) {
        let horizon = self.horizon(window_seconds);
        if horizon - self.swept > window_seconds / SWEEPS_PER_WINDOW {
            self.slots.forget(horizon);
            self.swept = horizon;
        }
    }
}

impl Decisions {
    fn new(rows: usize, duplicates: &[usize]) -> Self {
        let accepted = (!duplicates.is_empty()).then(|| {
            let mut next = duplicates.iter().peekable();
            BooleanArray::from(BooleanBuffer::collect_bool(rows, |row| next.next_if(|d| **d == row).is_none()))
        });
        Decisions { duplicates: duplicates.len(), accepted }
    }
}

/// Whole seconds since 1970; what a `u32` cannot hold is moved to its ends, and 0 is kept free.
fn second_of(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(1_000_000).max(1)).unwrap_or(u32::MAX)
}
