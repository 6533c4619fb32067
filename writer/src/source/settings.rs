//! The settings of a source and the limits that are not settings.

use std::time::Duration;

use icefold_core::bounds::{self, GIB};
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::time_pattern::TimePattern;

/// How many bytes of a record that is too long are kept.
pub(super) const KEPT_OF_OVERSIZED_BYTES: usize = 1 << 20;

/// Most lines of a chunk. A line of a few bytes becomes rows of some hundred, so that bytes alone do not bound what a chunk
/// becomes in memory: 16,384 make some 8 MB, and events of 64 bytes and more are not affected.
pub(super) const MAX_CHUNK_LINES: usize = 16_384;

/// Longest pause between two looks for more, a day: who follows a source wants to hear of it.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Most looks between two checks of what is behind: with the default pause more than three weeks.
const MAX_POLLS_PER_RECHECK: u64 = 1_000_000;
/// Most files of one listing: some 3 GB.
const MAX_LISTING: u64 = 10_000_000;

/// How a source reads. Chunks, records and reads are 1 byte to 1 GiB: each is one piece in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Waits for more instead of ending. Off by default: one pass.
    pub follow: bool,
    /// Size that a chunk aims at. 1 MiB: the rows of larger chunks no longer fit the caches and decode at half the speed;
    /// the costs per chunk have vanished by then.
    pub chunk_bytes: usize,
    /// Length from which a record is handed over as oversized. 64 MiB: far beyond any honest event, and still held in
    /// memory without harm.
    pub max_record_bytes: usize,
    /// Size of one read from remote storage. 8 MiB: the latency of a request costs less than its transfer.
    pub read_bytes: usize,
    /// Pause between two looks for more when following. 2 s: a small part of the freshness that is promised, and half
    /// a cent an hour in list requests.
    pub poll_interval: Duration,
    /// How many looks pass between two checks of everything behind the position when following (it is always checked
    /// at the start). 300: every ten minutes with the default pause.
    pub polls_per_recheck: u32,
    /// How many files are remembered from one listing; what comes after is listed again. 65,536: some 20 MB.
    pub listing_limit: usize,
    /// Where in the name of a file its time stands, see [`TimePattern`]. None by default: a file has its modification time.
    pub time_pattern: Option<String>,
}

/// What a settings file can say about sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeSettings {
    /// Where in the name of a file its time stands, for example `%Y-%m-%d/%H` or `%Y%m%d-%H%M`: UTC, found anywhere in the name
    /// below the source. Not set: a file has its modification time.
    pub time_pattern: Option<String>,
}

impl TimeSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`InvalidInput`](icefold_core::ErrorKind::InvalidInput), naming the value and the remedy.
    pub fn validate(&self) -> Result<()> {
        self.time_pattern.as_deref().map_or(Ok(()), |pattern| TimePattern::parse(pattern).map(drop))
    }
}

impl Default for SourceSettings {
    fn default() -> Self {
        SourceSettings {
            follow: false,
            chunk_bytes: 1 << 20,
            max_record_bytes: 64 << 20,
            read_bytes: 8 << 20,
            poll_interval: Duration::from_secs(2),
            polls_per_recheck: 300,
            listing_limit: 65_536,
            time_pattern: None,
        }
    }
}

impl SourceSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`InvalidInput`](icefold_core::ErrorKind::InvalidInput), naming the key, the value and the remedy.
    pub fn validate(&self) -> Result<()> {
        bounds::check_all([
            ("chunk_bytes", self.chunk_bytes as u64, 1..=GIB),
            ("max_record_bytes", self.max_record_bytes as u64, 1..=GIB),
            ("read_bytes", self.read_bytes as u64, 1..=GIB),
            ("polls_per_recheck", self.polls_per_recheck.into(), 1..=MAX_POLLS_PER_RECHECK),
            ("listing_limit", self.listing_limit as u64, 1..=MAX_LISTING),
        ])?;
        if self.max_record_bytes < self.chunk_bytes {
            return Err(Error::invalid(format!(
                "`max_record_bytes` is {}, less than `chunk_bytes` ({}): raise it or lower `chunk_bytes`",
                self.max_record_bytes, self.chunk_bytes
            )));
        }
        if self.poll_interval.is_zero() || self.poll_interval > MAX_POLL_INTERVAL {
            return Err(Error::invalid(format!(
                "`poll_interval` = {:?} is no pause: give it a millisecond or more, up to a day",
                self.poll_interval
            )));
        }
        self.time_pattern()?;
        Ok(())
    }

    /// Returns the pattern of times in names.
    ///
    /// # Errors
    /// As [`TimePattern::parse`].
    pub(super) fn time_pattern(&self) -> Result<Option<TimePattern>> {
        self.time_pattern.as_deref().map(TimePattern::parse).transpose()
    }
}
