//! Exact deduplication inside a hot window of `stream_time`, for one shard and its ancestors.
//!
//! > An event is a **duplicate** if and only if an event that was accepted earlier in its shard or in an ancestor of it has
//! > the same `messageId` and a `stream_time` not before the event's own minus window.
//!
//! `stream_time` never goes back inside a shard, and a child starts at the latest of its parents: so what lies before the
//! window of the newest record never counts again. What an event claims of itself moves nothing.
//!
//! Times are whole seconds, `messageId`s are compared by 104 bits of their xxh3 hash. Since only accepted events count, the
//! state is a function of the rows of `events`; [`rebuild`](crate::fold) makes it from the table as it stands at the
//! checkpoint, and a stream cut anywhere is decided like one that was never cut. Deleted rows count: a producer's retry
//! must not bring one back.
//!
//! What shards without a common ancestor have in common is accepted once in each: it is removed when a day is closed.
//!
//! An id costs 20 to 26 bytes, 26 MB at most for a million. The ceiling is `dedup_max_ids`, for all shards of a process.

mod slots;
#[cfg(test)]
mod tests;

use std::time::Duration;

use slots::Slots;

/// Which events of one shard were accepted inside the hot window.
#[derive(Debug)]
pub struct Dedup {
    window_seconds: u32,
    slots: Slots,
    /// The first second that still counts; 0 before the first record.
    horizon: u32,
}

impl Dedup {
    /// Makes an empty state.
    pub fn new(window: Duration) -> Self {
        let window_seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        Dedup { window_seconds, slots: Slots::new(), horizon: 0 }
    }

    /// Decides the next event of the shard, and remembers it if it is accepted.
    #[inline]
    pub fn accepts(&mut self, hash: u128, stream_time_micros: i64) -> bool {
        self.advance(stream_time_micros);
        let duplicate = self.slots.seen(hash).is_some_and(|second| second >= self.horizon);
        if !duplicate {
            self.slots.note(hash, second_of(stream_time_micros), self.horizon);
        }
        !duplicate
    }

    /// Takes note of how far the shard is. It never goes back.
    #[inline]
    pub fn advance(&mut self, stream_time_micros: i64) {
        self.horizon = self.horizon.max(second_of(stream_time_micros).saturating_sub(self.window_seconds));
    }

    /// Remembers an event that was accepted earlier. The order of calls does not matter.
    pub fn remember(&mut self, hash: u128, stream_time_micros: i64) {
        let second = second_of(stream_time_micros);
        if second >= self.horizon {
            self.slots.note(hash, second, self.horizon);
        }
    }

    /// Takes over what a parent of the shard remembers. The order of parents does not matter.
    pub fn inherit(&mut self, parent: &Dedup) {
        self.horizon = self.horizon.max(parent.horizon);
        self.slots.merge(&parent.slots, self.horizon);
    }

    /// Gives back the memory of what does not count any more.
    pub fn forget(&mut self) {
        self.slots.forget(self.horizon);
    }

    /// Loses what it remembers, but for how far the shard is: a defect, for simulations that have to notice it.
    pub(crate) fn lose_ids(&mut self) {
        self.slots = Slots::new();
    }

    /// Returns the earliest `stream_time` that counts for the next event, in microseconds since 1970; 0 before the first.
    pub fn horizon_micros(&self) -> i64 {
        i64::from(self.horizon) * 1_000_000
    }

    /// Returns how many ids are stored, those counted that are forgotten but still take room.
    pub fn stored_ids(&self) -> usize {
        self.slots.stored()
    }

    /// Returns the memory of the stored ids in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes()
    }
}

/// Whole seconds since 1970; what a `u32` cannot hold is moved to its ends, and 0 is kept free.
fn second_of(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(1_000_000).max(1)).unwrap_or(u32::MAX)
}
