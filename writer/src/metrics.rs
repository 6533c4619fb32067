//! What a run tells while it runs ([`IngestProgress`]) and when it ends ([`IngestReport`]).

use std::collections::BTreeMap;

use icefold_core::{Checkpoint, Counts};
use serde::Serialize;

use crate::fold::StateSizes;

/// How far a run is. What is *read* may still be lost by a crash (and is then read again), what is *committed* is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IngestProgress {
    /// Uncompressed bytes that were read and decoded.
    pub read_bytes: u64,
    /// Rows that were decoded.
    pub read_rows: u64,
    /// Bytes that the committed rows came from.
    pub committed_bytes: u64,
    /// Records that the committed rows came from.
    pub committed_records: u64,
    /// What became of the committed rows.
    pub committed: Counts,
    /// Commits, over all tables.
    pub commits: u64,
    /// Files in these commits.
    pub files: u64,
    /// Bytes of these files.
    pub file_bytes: u64,
    /// Latest arrival time among the committed rows, in microseconds since 1970: now minus this is the lag.
    pub newest_arrival_micros: Option<i64>,
    /// What is remembered of the stream.
    pub state: StateSizes,
    /// How often sessions and identities were made anew, because others had deleted rows.
    pub refolds: u64,
    /// Kinds of enrichment data (device rules, geo database, reference data) that there should be and are not.
    pub unavailable_enrichments: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IngestReport {
    /// Records that were read and are now in the tables.
    pub records: u64,
    /// What became of their rows.
    pub counts: Counts,
    /// Uncompressed bytes of the records.
    pub bytes: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of the data files.
    pub file_bytes: u64,
    /// Commits, over all tables.
    pub commits: u64,
    /// Whether the source had nothing that was not in the tables already.
    pub nothing_new: bool,
    /// Where each table stands now.
    pub checkpoints: BTreeMap<&'static str, Checkpoint>,
    /// Time of all worker threads in each stage, in nanoseconds.
    pub stage_nanos: BTreeMap<&'static str, u64>,
    /// What was remembered of the stream at the end.
    pub state: StateSizes,
    /// Kinds of enrichment data that there should have been and were not, at the end: their columns are null.
    pub unavailable_enrichments: u64,
}

/// A number for a metrics endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name, with the unit last.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// Value.
    pub value: u64,
}

impl IngestProgress {
    /// Returns the progress as metrics.
    pub fn metrics(&self) -> [Metric; 18] {
        let metric = |name, help, value| Metric { name, help, value };
        [
            metric("icefold_writer_read_bytes_total", "uncompressed bytes read and decoded", self.read_bytes),
            metric("icefold_writer_read_rows_total", "rows decoded", self.read_rows),
            metric("icefold_writer_committed_bytes_total", "bytes that committed rows came from", self.committed_bytes),
            metric("icefold_writer_committed_records_total", "records committed", self.committed_records),
            metric("icefold_writer_accepted_rows_total", "rows committed to `events`", self.committed.accepted),
            metric("icefold_writer_duplicate_rows_total", "rows left out as duplicates", self.committed.duplicate),
            metric(
                "icefold_writer_quarantined_rows_total",
                "rows committed to `quarantine`",
                self.committed.quarantined,
            ),
            metric("icefold_writer_commits_total", "commits over all tables", self.commits),
            metric("icefold_writer_files_total", "data files committed", self.files),
            metric("icefold_writer_file_bytes_total", "bytes of the data files committed", self.file_bytes),
            metric("icefold_writer_dedup_ids", "message ids that deduplication remembers", self.state.dedup_ids),
            metric("icefold_writer_dedup_bytes", "memory of these ids", self.state.dedup_bytes),
            metric("icefold_writer_sessions", "sessions that may still grow", self.state.sessions),
            metric("icefold_writer_session_bytes", "memory of these sessions", self.state.session_bytes),
            metric("icefold_writer_identified_devices", "devices whose person is known", self.state.identified_devices),
            metric("icefold_writer_identity_bytes", "memory of these devices", self.state.identity_bytes),
            metric(
                "icefold_writer_refolds_total",
                "times that sessions and identities were made anew, because others had deleted rows",
                self.refolds,
            ),
            metric(
                "icefold_writer_unavailable_enrichments",
                "kinds of enrichment data that there should be and are not",
                self.unavailable_enrichments,
            ),
        ]
    }
}
