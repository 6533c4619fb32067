//! How long the worker threads spend in each stage: measured once for each chunk and row group, so that it costs nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A stage of the worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Bytes to rows, contract included.
    Decode,
    /// Device, place and address.
    Enrich,
    /// Duplicates, sessions and identities, waiting for the turn included.
    Fold,
    /// Columns of sessions, persons and reference data, and sorting by table and day.
    Route,
    /// Into the buffers of the batch, waiting for the turn included.
    Buffer,
    /// Rows to Parquet pages.
    Encode,
}

/// Nanoseconds by stage, over all threads.
#[derive(Debug, Default)]
pub(super) struct Stages([AtomicU64; Stage::ALL.len()]);

impl Stage {
    const ALL: [(Stage, &'static str); 6] = [
        (Stage::Decode, "decode"),
        (Stage::Enrich, "enrich"),
        (Stage::Fold, "fold"),
        (Stage::Route, "route"),
        (Stage::Buffer, "buffer"),
        (Stage::Encode, "encode"),
    ];
}

impl Stages {
    /// Runs a piece of work and adds its time to a stage.
    #[expect(clippy::disallowed_methods, reason = "figures of time spent, which decide nothing")]
    pub(super) fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[stage as usize].fetch_add(nanos, Ordering::Relaxed);
        done
    }

    /// Returns the nanoseconds of each stage.
    pub(super) fn nanos(&self) -> BTreeMap<&'static str, u64> {
        Stage::ALL.into_iter().map(|(stage, name)| (name, self.0[stage as usize].load(Ordering::Relaxed))).collect()
    }
}
