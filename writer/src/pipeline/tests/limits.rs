//! When batches are closed, and that every limit holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use icefold_catalog::{AnnouncedTable, Announcement, CommitOutcome, Intent, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Delta, Result};
use tokio::sync::watch;

use super::kit::{Lines, ingest, look, one_batch, open, partitions, settings, warehouse};
use crate::Settings;
use crate::publish::Destination;

#[tokio::test]
async fn the_end_of_the_source_closes_the_batch() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let report = ingest(&warehouse, &lines, one_batch()).await.expect("runs");
    assert_eq!(report.commits, 4);
    let files: usize = [
        partitions(&warehouse, TableKind::RawEvents).await.len(),
        partitions(&warehouse, TableKind::Quarantine).await.len(),
        partitions(&warehouse, TableKind::Events).await.len(),
    ]
    .iter()
    .sum();
    assert_eq!(report.files as usize, files, "one file for each partition");
}

#[tokio::test]
async fn passing_time_closes_the_batch() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let report = ingest(&warehouse, &lines, Settings { commit_interval_seconds: 0, ..one_batch() }).await;
    assert!(report.expect("runs").commits > 4);
}

#[tokio::test]
async fn full_row_buffers_close_the_batch() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(1_000));
    let settings = Settings { row_group_bytes: 100_000, max_buffer_bytes: 150_000, ..one_batch() };
    let report = ingest(&warehouse, &lines, settings).await.expect("runs");
    assert!(report.commits > 4);
    assert_eq!(look(&warehouse).await, lines.expected(50));
}

#[tokio::test]
async fn rows_go_to_the_partition_of_their_day() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    ingest(&warehouse, &lines, one_batch()).await.expect("runs");
    let events = partitions(&warehouse, TableKind::Events).await;
    let folders: Vec<&str> = events.keys().map(String::as_str).collect();
    assert_eq!(folders, ["event_time_day=1970-01-01", "event_time_day=1970-01-02", "event_time_day=1970-01-03"]);
    let raw = partitions(&warehouse, TableKind::RawEvents).await;
    assert_eq!(raw, [("stream_time_day=1970-01-01".to_owned(), 300)].into());
}

#[tokio::test]
async fn a_table_without_rows_in_a_batch_still_moves_its_checkpoint() {
    let (warehouse, lines) = (warehouse(), Lines::new((0..10).map(|i| format!("id-{i} {i} 0"))));
    let report = ingest(&warehouse, &lines, settings()).await.expect("runs");
    assert_eq!(report.checkpoints["quarantine"], report.checkpoints["events"]);
    assert!(look(&warehouse).await.quarantined.is_empty());
}

#[tokio::test]
async fn thousands_of_partitions_are_written() {
    let (warehouse, lines) = (warehouse(), Lines::new((0..1_500).map(|i| format!("id-{i} {i} {i}"))));
    let report = ingest(&warehouse, &lines, one_batch()).await.expect("runs");
    assert_eq!(partitions(&warehouse, TableKind::Events).await.len(), 1_500);
    assert_eq!(report.commits, 4);
}

/// Counts what is committed, to compare it with what was read.
struct Counting {
    warehouse: Warehouse,
    handed_out: Arc<AtomicU64>,
    committed_rows: AtomicU64,
    most_on_the_way: AtomicU64,
}

#[async_trait]
impl Destination for Counting {
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement> {
        Destination::announce(&self.warehouse, id, delta, tables).await
    }

    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        // Reading gets every chance to run ahead while a batch is on its way.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let rows = self.handed_out.load(Ordering::SeqCst) - self.committed_rows.load(Ordering::SeqCst);
        self.most_on_the_way.fetch_max(rows, Ordering::SeqCst);
        self.warehouse.stage(announcement, uri, parts).await
    }

    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()> {
        Destination::write_batch(&self.warehouse, id, content).await
    }

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        if table == TableKind::Events.name() {
            self.committed_rows.fetch_add(intent.counts.rows_in, Ordering::SeqCst);
        }
        self.warehouse.commit(table, intent).await
    }

    async fn abandon(&self, id: BatchId) -> Result<()> {
        self.warehouse.abandon(id).await
    }

    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()> {
        Destination::finish(&self.warehouse, id, announcement, outcomes).await
    }
}

#[tokio::test]
async fn reading_stops_when_one_batch_is_on_its_way_and_the_next_is_full() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(200));
    // A batch is full with its first chunk, a chunk has one row; chunks that are being decoded still come in. So each
    // of the two batches and the queue hold as many as may be in flight, and the source holds one.
    let settings = Settings { commit_bytes: 1, ..settings() };
    let limit = 3 * settings.max_chunks_in_flight() as u64 + 1;
    let ingest = open(&warehouse, settings).await;
    let source = lines.source(None, 1, None);
    let counting = Arc::new(Counting {
        warehouse: warehouse.clone(),
        handed_out: source.handed_out.clone(),
        committed_rows: 0.into(),
        most_on_the_way: 0.into(),
    });
    ingest.destination(counting.clone()).source(Box::new(source)).run().await.expect("runs");
    let most = counting.most_on_the_way.load(Ordering::SeqCst);
    assert!(most <= limit, "{most} rows between source and tables, {limit} allowed");
    assert_eq!(look(&warehouse).await.raw.len(), 200);
}

#[tokio::test]
async fn progress_is_told_while_it_happens() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let (progress, seen) = watch::channel(crate::IngestProgress::default());
    let ingest = open(&warehouse, settings()).await.progress(progress);
    let report = ingest.source(Box::new(lines.source(None, 5, None))).run().await.expect("runs");
    let seen = seen.borrow().clone();
    assert_eq!(seen.read_bytes, lines.text.len() as u64);
    assert_eq!((seen.committed, seen.commits, seen.files), (report.counts, report.commits, report.files));
    assert_eq!(seen.newest_arrival_micros, Some(299_000_000));
    assert!(seen.state.dedup_ids > 0);
}
