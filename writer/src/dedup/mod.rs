//! Exact deduplication inside a hot window of arrival time.
//!
//! The rule:
//!
//! > The *watermark* of a shard is the latest arrival among its events accepted so far. An event is a **duplicate** if and
//! > only if an event accepted earlier has the same `messageId` and arrived not before the watermark of the event's shard
//! > minus window. An earlier event of *another* shard counts only if it also arrived not before the latest watermark of
//! > all shards minus window.
//!
//! A device's events share a shard, so repeats do, until the stream is resharded: then the repeat comes through another
//! shard, soon, which is what the last sentence is for. It also bounds what a run must know of shards that it does not read.
//!
//! Times are whole seconds, `messageId`s are compared by 120 bits of their xxh3 hash. Since only accepted events count, the
//! state is a function of the rows of `events`; [`rebuild`](crate::fold) makes it from the table as it stands at the
//! checkpoint, and a stream cut anywhere is decided like one that was never cut.
//!
//! What is remembered of an id is its latest event in each shard: one that counts in its own shard only does not hide
//! another one. An id costs 25 to 32 bytes, 25 to 32 MB for a million (`dedup_max_ids` is the ceiling; reaching it stops
//! the run with an error, since going on would let duplicates through in silence).

mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use icefold_core::{Error, ErrorKind, Result, ShardId};

use slots::{Sighting, Slots};

/// How much of the window must pass until ids are searched for forgotten ones again, as a fraction: the ceiling is
/// checked against what is stored, so up to this share of the window more than the live ids may count.
const SWEEPS_PER_WINDOW: u32 = 64;

/// Most shards of a run.
const MAX_SHARDS: usize = u16::MAX as usize;

/// Number of all shards that the run does not read.
const OTHER_SHARDS: u16 = 0;

/// Which events were accepted inside the hot window.
#[derive(Debug)]
pub struct Dedup {
    window_seconds: u32,
    max_ids: usize,
    slots: Slots,
    /// Numbers of the shards, from 1.
    numbers: HashMap<ShardId, u16>,
    /// By the shard's number, the first second that still counts; 0 before the first event.
    horizons: Vec<u32>,
    /// The same in microseconds; `i64::MIN` before the first event.
    horizons_micros: Vec<i64>,
    /// Sum of the horizons when forgotten ids were last searched for.
    swept: u64,
}

/// A shard of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardNumber(u16);

impl ShardNumber {
    /// All shards that the run does not read.
    pub(crate) const OTHERS: ShardNumber = ShardNumber(OTHER_SHARDS);

    /// Returns the place of the shard's horizon.
    pub(crate) fn get(self) -> u16 {
        self.0
    }
}

impl Dedup {
    /// Makes an empty state that holds at most `max_ids` ids.
    pub fn new(window: Duration, max_ids: usize) -> Self {
        let window_seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        Dedup {
            window_seconds,
            max_ids,
            slots: Slots::new(),
            numbers: HashMap::new(),
            horizons: vec![0],
            horizons_micros: vec![i64::MIN],
            swept: 0,
        }
    }

    /// Decides the events of a chunk in their order, and remembers the accepted ones: returns true for each of these.
    ///
    /// `arrival_micros` holds the arrival time of each event, in microseconds since 1970.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed; the state is then of no use.
    pub fn decide(&mut self, shard: &ShardId, hashes: &[u128], arrival_micros: &[i64]) -> Result<Vec<bool>> {
        debug_assert_eq!(hashes.len(), arrival_micros.len(), "one arrival for each hash");
        let shard = self.shard(shard)?;
        let decisions = hashes.iter().zip(arrival_micros).map(|(hash, micros)| self.accepts(shard, *hash, *micros));
        let decisions = decisions.collect();
        self.keep_below_ceiling()?;
        Ok(decisions)
    }

    /// Decides one event, and remembers it if it is accepted. [`Dedup::keep_below_ceiling`] is to be called now and then.
    #[inline]
    pub(crate) fn accepts(&mut self, shard: ShardNumber, hash: u128, arrival_micros: i64) -> bool {
        let duplicate = self.slots.seen(hash).any(|seen| self.counts(seen, shard.0));
        if !duplicate {
            self.accept(hash, Sighting { second: second_of(arrival_micros), shard: shard.0 });
        }
        !duplicate
    }

    /// Returns by the shard's number the earliest arrival, in microseconds since 1970, that counts there now;
    /// `i64::MIN` before its first event. Number 0 is the common horizon, the greatest of them.
    #[inline]
    pub(crate) fn horizons_micros(&self) -> &[i64] {
        &self.horizons_micros
    }

    /// Returns how far the horizons lie behind the watermarks, but for a part of a second.
    pub(crate) fn window_micros(&self) -> i64 {
        micros_of(self.window_seconds)
    }

    /// Remembers an event that was accepted earlier; `None` is a shard that the run does not read. The order of calls does
    /// not matter, as long as [`Dedup::decide`] is called after all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed.
    pub fn remember(&mut self, shard: Option<&ShardId>, hash: u128, arrival_micros: i64) -> Result<()> {
        let ShardNumber(shard) = shard.map_or(Ok(ShardNumber(OTHER_SHARDS)), |shard| self.shard(shard))?;
        self.accept(hash, Sighting { second: second_of(arrival_micros), shard });
        self.keep_below_ceiling()
    }

    /// Remembers an event that somebody else has put among the accepted ones.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed.
    pub(crate) fn learn(&mut self, shard: &ShardId, hash: u128, arrival_micros: i64) -> Result<()> {
        let shard = self.numbers.get(shard).copied().unwrap_or(OTHER_SHARDS);
        self.accept(hash, Sighting { second: second_of(arrival_micros), shard });
        self.keep_below_ceiling()
    }

    /// Returns the earliest arrival, in microseconds since 1970, that an event can have and still count in every shard; 0
    /// before the first event.
    pub fn common_horizon_micros(&self) -> i64 {
        micros_of(self.horizons[usize::from(OTHER_SHARDS)])
    }

    /// Loses what it remembers, but for how far the shards are: a defect, for simulations that have to notice it.
    pub(crate) fn lose_ids(&mut self) {
        self.slots = Slots::new();
    }

    /// Returns how many ids are stored.
    pub fn stored_ids(&self) -> usize {
        self.slots.stored()
    }

    /// Returns the memory of the stored ids in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes()
    }

    /// Returns the number of a shard.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when there are too many.
    pub(crate) fn shard(&mut self, shard: &ShardId) -> Result<ShardNumber> {
        if let Some(number) = self.numbers.get(shard) {
            return Ok(ShardNumber(*number));
        }
        let number = self.horizons.len();
        if number > MAX_SHARDS {
            let message = format!("a run reads at most {MAX_SHARDS} sources: split them among several runs");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        self.horizons.push(0);
        self.horizons_micros.push(i64::MIN);
        self.numbers.insert(shard.clone(), number as u16);
        Ok(ShardNumber(number as u16))
    }

    /// Returns whether an earlier event makes one of `shard` a duplicate.
    #[inline]
    fn counts(&self, seen: Sighting, shard: u16) -> bool {
        let since = |shard: u16| seen.second >= self.horizons[usize::from(shard)];
        since(shard) && (seen.shard == shard || since(OTHER_SHARDS))
    }

    #[inline]
    fn accept(&mut self, hash: u128, sighting: Sighting) {
        let horizon = sighting.second.saturating_sub(self.window_seconds);
        for shard in [sighting.shard, OTHER_SHARDS] {
            let shard = usize::from(shard);
            if micros_of(horizon) > self.horizons_micros[shard] {
                (self.horizons[shard], self.horizons_micros[shard]) = (horizon, micros_of(horizon));
            }
        }
        // A horizon never goes back, so what lies before it now will never count.
        if sighting.second >= self.horizons[usize::from(sighting.shard)] {
            self.slots.note(hash, sighting, &self.horizons);
        }
    }

    /// Forgets what does not count any more, if too much is stored.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more ids would have to be remembered than allowed; the state is then of no use.
    pub(crate) fn keep_below_ceiling(&mut self) -> Result<()> {
        if self.slots.stored() <= self.max_ids {
            return Ok(());
        }
        let horizons = self.horizons.iter().copied().map(u64::from).sum::<u64>();
        if horizons - self.swept > u64::from(self.window_seconds / SWEEPS_PER_WINDOW) {
            self.slots.forget(&self.horizons);
            self.swept = horizons;
        }
        if self.slots.stored() <= self.max_ids {
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

fn micros_of(second: u32) -> i64 {
    i64::from(second) * 1_000_000
}

/// Whole seconds since 1970; what a `u32` cannot hold is moved to its ends, and 0 is kept free.
fn second_of(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(1_000_000).max(1)).unwrap_or(u32::MAX)
}
