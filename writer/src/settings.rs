//! The writer's settings: plain values with a reason for each default.

use std::num::NonZeroUsize;
use std::time::Duration;

use icefold_core::bounds::{self, BILLION, GIB, TIB, YEAR_SECONDS};
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::fold::session::SessionSettings;

/// Most cores: of more threads the system may refuse some, which ends the process.
const MAX_CORES: u64 = 1_024;
/// Longest time between two commits, a day: what is to come later than the clock can tell is no time.
const MAX_COMMIT_INTERVAL_SECONDS: u64 = 24 * 60 * 60;
/// Most chunks in flight for a core. Each is held in memory; more than a few only wait.
const MAX_CHUNKS_IN_FLIGHT_PER_CORE: u64 = 1_024;
/// Most uploads at once: each is a connection.
const MAX_CONCURRENT_UPLOADS: u64 = 1_024;

/// How the writer batches, deduplicates and encodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Threads that decode and encode; 0 means one for each core of the machine. At most 1,024: of more the system may refuse
    /// some, which ends the process.
    pub cores: usize,
    /// A batch is committed when its files hold this many bytes, over all tables. Default 128 MiB: large enough for
    /// readers and few commits, small enough to be held in memory twice. 1 byte to 1 TiB: no machine holds more.
    pub commit_bytes: u64,
    /// A batch is committed at the latest this many seconds after its first record. Default 10: an event is
    /// queryable well within a minute. 0 commits whenever there is something; at most 86,400, a day: its files are in memory.
    pub commit_interval_seconds: u64,
    /// Rows of a partition are encoded as a row group when they take this many bytes in memory. Default 32 MiB:
    /// some 15,000 events, enough for zstd and dictionaries, small enough for two tables and several days at once. 1 byte to
    /// 1 GiB: places in the text of a row group stay far from the end of 32 bits.
    pub row_group_bytes: u64,
    /// Ceiling in bytes for the rows that wait to be encoded, over all partitions of all tables. Passing it commits
    /// the batch early. Default 256 MiB. `row_group_bytes`, which would never be reached otherwise, to 1 TiB.
    pub max_buffer_bytes: u64,
    /// Chunks between the source and the row buffers, for each core: queued, being decoded, or waiting for their
    /// turn. Default 4. 1 to 1,024: each is held in memory, and more than a few only wait.
    pub chunks_in_flight_per_core: usize,
    /// Level of zstd, 1 to 19: those that need no more memory to be read. Default 1: higher levels cost more than they save
    /// here, and compaction writes every file again.
    #[serde(deserialize_with = "bounds::clamped")]
    pub compression_level: i32,
    /// Files uploaded at once. Default 8. 1 to 1,024: each is a connection.
    pub concurrent_uploads: usize,
    /// For how many seconds storage or catalog may fail before the run stops. Reading stops meanwhile. Default 300. 0 stops at the
    /// first failure; at most a year (31,622,400).
    pub retry_seconds: u64,
    /// Length of the hot window of deduplication in seconds of `stream_time`. Default 7200 (two hours). 1 to 31,622,400, a year:
    /// times of the window stay far from the ends of the calendar.
    pub dedup_window_seconds: u64,
    /// Most message ids that the hot windows of all sources of a process may hold. Default 16 million: at most 416 MB. 1 to a
    /// billion, 26 GB.
    pub dedup_max_ids: usize,
    /// Most devices and earlier identities whose person a process may remember, over all its sources. Default 16 million:
    /// about 1.3 GB. 1 to a billion, 80 GB.
    pub identity_max_devices: usize,
    /// How events are cut into sessions.
    pub sessions: SessionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cores: 0,
            commit_bytes: 128 << 20,
            commit_interval_seconds: 10,
            row_group_bytes: 32 << 20,
            max_buffer_bytes: 256 << 20,
            chunks_in_flight_per_core: 4,
            compression_level: 1,
            concurrent_uploads: 8,
            retry_seconds: 300,
            dedup_window_seconds: 2 * 60 * 60,
            dedup_max_ids: 16_000_000,
            identity_max_devices: 16_000_000,
            sessions: SessionSettings::default(),
        }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) naming the key, its value and what to write instead.
    pub fn validate(&self) -> Result<()> {
        // Negative levels are fast ones that hardly compress.
        let level = u64::try_from(self.compression_level).unwrap_or_default();
        let (chunks, uploads) = (self.chunks_in_flight_per_core as u64, self.concurrent_uploads as u64);
        bounds::check_all([
            ("writer.cores", self.cores as u64, 0..=MAX_CORES),
            ("writer.commit_bytes", self.commit_bytes, 1..=TIB),
            ("writer.commit_interval_seconds", self.commit_interval_seconds, 0..=MAX_COMMIT_INTERVAL_SECONDS),
            ("writer.row_group_bytes", self.row_group_bytes, 1..=GIB),
            ("writer.max_buffer_bytes", self.max_buffer_bytes, 1..=TIB),
            ("writer.chunks_in_flight_per_core", chunks, 1..=MAX_CHUNKS_IN_FLIGHT_PER_CORE),
            ("writer.compression_level", level, 1..=19),
            ("writer.concurrent_uploads", uploads, 1..=MAX_CONCURRENT_UPLOADS),
            ("writer.retry_seconds", self.retry_seconds, 0..=YEAR_SECONDS),
            ("writer.dedup_window_seconds", self.dedup_window_seconds, 1..=YEAR_SECONDS),
            ("writer.dedup_max_ids", self.dedup_max_ids as u64, 1..=BILLION),
            ("writer.identity_max_devices", self.identity_max_devices as u64, 1..=BILLION),
        ])?;
        if self.max_buffer_bytes < self.row_group_bytes {
            return Err(Error::invalid(format!(
                "`writer.max_buffer_bytes` = {} is too small for `writer.row_group_bytes` = {}: set it to that or more",
                self.max_buffer_bytes, self.row_group_bytes
            )));
        }
        self.sessions.validate()
    }

    /// Returns the number of worker threads.
    pub fn workers(&self) -> usize {
        match self.cores {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            cores => cores,
        }
    }

    /// Returns the most chunks between the source and the row buffers.
    pub fn max_chunks_in_flight(&self) -> usize {
        self.workers().saturating_mul(self.chunks_in_flight_per_core)
    }

    pub(crate) fn commit_interval(&self) -> Duration {
        Duration::from_secs(self.commit_interval_seconds)
    }

    pub(crate) fn dedup_window(&self) -> Duration {
        Duration::from_secs(self.dedup_window_seconds)
    }

    pub(crate) fn retry_time(&self) -> Duration {
        Duration::from_secs(self.retry_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().expect("defaults");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_remedy() {
        let wrong = Settings { max_buffer_bytes: 5, ..Settings::default() };
        let error = wrong.validate().expect_err("smaller than a row group");
        assert!(
            error.message().contains("`writer.max_buffer_bytes` = 5") && error.message().contains("33554432"),
            "{error}"
        );
        let wrong = Settings { compression_level: 0, ..Settings::default() };
        assert!(wrong.validate().expect_err("no level").message().contains("compression_level"));
    }

    #[test]
    fn what_no_machine_can_do_is_refused_with_its_bound() {
        let default = Settings::default();
        for (wrong, told) in [
            (Settings { cores: 100_000, ..default.clone() }, "`writer.cores` = 100000 is too large: set it to 1024"),
            (Settings { commit_interval_seconds: u64::MAX >> 1, ..default.clone() }, "set it to 86400 or less"),
            (Settings { chunks_in_flight_per_core: usize::MAX, ..default.clone() }, "set it to 1024 or less"),
            (Settings { concurrent_uploads: usize::MAX, ..default.clone() }, "set it to 1024 or less"),
        ] {
            let error = wrong.validate().expect_err(told);
            assert!(error.message().contains(told), "{error}");
        }
        let most = Settings { cores: 1_024, commit_interval_seconds: 86_400, ..default };
        most.validate().expect("the bounds themselves");
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"commit_bites": 1}"#).is_err());
    }
}
