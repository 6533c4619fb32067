//! Every record once, whatever the cut: W1, W2, K1, K2, K3, T1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use icefold_catalog::{AnnouncedTable, Announcement, CommitOutcome, Intent, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Checkpoint, Delta, Error, ErrorKind, Result};

use super::kit::{Lines, ingest, look, open, settings, warehouse};
use crate::publish::Destination;

const WINDOW: i64 = 50;

#[tokio::test]
async fn w1_every_record_is_in_the_tables_exactly_once() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(2_000));
    let report = ingest(&warehouse, &lines, settings()).await.expect("runs");
    let expected = lines.expected(WINDOW);
    assert!(expected.events.len() + expected.quarantined.len() < 2_000, "there are duplicates");
    assert_eq!(look(&warehouse).await, expected);
    assert_eq!(report.counts.accepted, expected.events.len() as u64);
    assert_eq!(report.counts.quarantined, expected.quarantined.len() as u64);
    assert_eq!((report.counts.rows_in, report.records), (2_000, 2_000));
    assert_eq!(report.bytes, lines.text.len() as u64);
    assert!(report.commits > 6, "several batches, {} commits", report.commits);
    assert!(!report.nothing_new);
}

#[tokio::test]
async fn running_again_adds_nothing_and_says_so() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let first = ingest(&warehouse, &lines, settings()).await.expect("runs");
    let again = ingest(&warehouse, &lines, settings()).await.expect("runs");
    assert!(again.nothing_new);
    assert_eq!((again.commits, again.counts.rows_in), (0, 0));
    assert_eq!(again.checkpoints, first.checkpoints);
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn what_was_appended_to_the_source_is_added() {
    let warehouse = warehouse();
    let all = Lines::mixed(900);
    for part in [1, 2, 3] {
        let end = all.text.match_indices('\n').nth(part * 300 - 1).expect("a line break").0 + 1;
        let grown = Lines { text: all.text[..end].into(), ..all.clone() };
        ingest(&warehouse, &grown, settings()).await.expect("runs");
        assert_eq!(look(&warehouse).await, grown.expected(WINDOW), "duplicates are found across runs");
    }
}

#[tokio::test]
async fn w2_counts_balance_at_every_snapshot_and_match_the_rows() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(2_000));
    ingest(&warehouse, &lines, settings()).await.expect("runs");
    for kind in TableKind::ALL {
        let table = warehouse.load(kind.name()).await.expect("exists");
        let mut snapshots = 0;
        for snapshot in table.metadata().snapshots() {
            let totals = table.progress_at(snapshot.snapshot_id()).await.expect("progress").totals;
            assert!(totals.balance(), "{} {totals:?}", kind.name());
            let rows: u64 =
                table.live_files(snapshot).await.expect("files").iter().map(|f| f.file.record_count()).sum();
            let counted = match kind {
                TableKind::RawEvents => totals.rows_in,
                TableKind::Quarantine => totals.quarantined,
                TableKind::Events => totals.accepted,
                // No line of these tests tells whom a device belongs to.
                TableKind::Identities => 0,
            };
            assert_eq!(rows, counted, "{}", kind.name());
            assert_eq!(snapshot.summary().additional_properties["icefold.contract"], "segment-envelope/1");
            snapshots += 1;
        }
        assert!(snapshots > 2);
    }
}

#[tokio::test]
async fn k3_checkpoints_only_go_forward_and_end_equal() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(2_000));
    let report = ingest(&warehouse, &lines, settings()).await.expect("runs");
    let ends: Vec<&Checkpoint> = report.checkpoints.values().collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
    assert_eq!(ends[0].next(&lines.shard).position, lines.text.len() as u64);
    for kind in TableKind::ALL {
        let table = warehouse.load(kind.name()).await.expect("exists");
        let mut snapshots: Vec<_> = table.metadata().snapshots().cloned().collect();
        snapshots.sort_by_key(|s| s.sequence_number());
        let mut last = None;
        for snapshot in snapshots {
            let at = table.progress_at(snapshot.snapshot_id()).await.expect("progress").checkpoint.next(&lines.shard);
            assert!(last.is_none_or(|last| last < at));
            last = Some(at);
        }
    }
}

#[tokio::test]
async fn rows_lie_in_files_in_the_order_of_the_stream() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(3_000));
    let settings = crate::Settings { cores: 4, ..settings() };
    let ingest = open(&warehouse, settings).await;
    let source = lines.source(None, 1, None);
    ingest.source(Box::new(source)).run().await.expect("runs");
    for kind in TableKind::ALL {
        for file in super::kit::read(&warehouse, kind, &["source_offset"]).await {
            let offsets = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(file.column(0));
            assert!(offsets.values().is_sorted(), "{}", kind.name());
        }
    }
}

#[tokio::test]
async fn several_shards_are_each_read_once() {
    let warehouse = warehouse();
    let others = Lines::new(Lines::mixed(500).text.lines().map(|line| line.replace("id-", "other-")));
    let shards = [Lines::mixed(700).of_shard("a"), others.of_shard("b")];
    for round in 0..2 {
        let mut ingest = open(&warehouse, settings()).await;
        for lines in &shards {
            let source = lines.source(ingest.position(&lines.shard), 7, None);
            ingest = ingest.source(Box::new(source));
        }
        let report = ingest.run().await.expect("runs");
        assert_eq!(report.nothing_new, round == 1);
    }
    let found = look(&warehouse).await;
    let expected = shards.map(|lines| lines.expected(WINDOW));
    assert_eq!(found.raw.len(), 1_200);
    assert_eq!(found.events.len(), expected.iter().map(|e| e.events.len()).sum::<usize>());
}

/// Lets the first `commits` commits through, and fails for good from then on, before or after the commit is in.
struct Dying {
    warehouse: Warehouse,
    commits: AtomicU64,
    after: bool,
}

#[async_trait]
impl Destination for Dying {
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement> {
        Destination::announce(&self.warehouse, id, delta, tables).await
    }

    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        self.warehouse.stage(announcement, uri, parts).await
    }

    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()> {
        Destination::write_batch(&self.warehouse, id, content).await
    }

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        let died = || Err(Error::new(ErrorKind::Refused, "the process died here"));
        let left = self.commits.load(Ordering::SeqCst);
        if left == 0 && !self.after {
            return died();
        }
        let outcome = self.warehouse.commit(table, intent).await?;
        if left == 0 {
            return died();
        }
        self.commits.store(left - 1, Ordering::SeqCst);
        Ok(outcome)
    }

    async fn abandon(&self, id: BatchId) -> Result<()> {
        self.warehouse.abandon(id).await
    }

    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()> {
        Destination::finish(&self.warehouse, id, announcement, outcomes).await
    }
}

#[tokio::test]
async fn a_crash_between_the_commits_of_two_tables_is_healed_by_the_next_run() {
    let lines = Lines::mixed(400);
    for (commits, after) in (0..8).flat_map(|commits| [(commits, false), (commits, true)]) {
        let warehouse = warehouse();
        let dying = Arc::new(Dying { warehouse: warehouse.clone(), commits: commits.into(), after });
        let ingest = open(&warehouse, crate::Settings { commit_bytes: 10_000, ..settings() }).await;
        let source = lines.source(None, 5, None);
        ingest.destination(dying).source(Box::new(source)).run().await.expect_err("dies");

        // The next run cuts chunks and batches elsewhere, also inside of what one table has and another one has not.
        let smaller = crate::Settings { commit_bytes: 7_000, row_group_bytes: 7_000, ..settings() };
        let ingest = open(&warehouse, smaller).await;
        let source = lines.source(ingest.position(&lines.shard), 3, None);
        let report = ingest.source(Box::new(source)).run().await.expect("heals");
        assert_eq!(look(&warehouse).await, lines.expected(WINDOW), "died after {commits} commits");
        let ends: Vec<&Checkpoint> = report.checkpoints.values().collect();
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "died after {commits} commits: {ends:?}");
    }
}

#[tokio::test]
async fn k2_the_loser_of_two_writers_is_fenced_before_it_touches_anything() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(500));
    // Batches of another size: the same batches would be found to be in already.
    let stale = open(&warehouse, crate::Settings { commit_bytes: 14_000, ..settings() }).await;
    let source = lines.source(None, 7, None);
    let stale = stale.source(Box::new(source));
    ingest(&warehouse, &lines, settings()).await.expect("the faster one");

    let error = stale.run().await.expect_err("fenced");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let end = format!("f@{}", lines.text.len());
    for part in ["`raw_events`", "`start`", end.as_str(), "nothing is lost", "run again"] {
        assert!(error.message().contains(part), "{part} is missing: {error}");
    }
    assert!(ingest(&warehouse, &lines, settings()).await.expect("runs again").nothing_new);
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn two_writers_at_the_same_time_lose_and_double_nothing() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(1_500));
    let one = ingest(&warehouse, &lines, settings());
    let two = ingest(&warehouse, &lines, crate::Settings { commit_bytes: 14_000, ..settings() });
    let (one, two) = tokio::join!(one, two);
    for ended in [&one, &two] {
        assert!(ended.as_ref().is_ok_and(|_| true) || ended.as_ref().is_err_and(|e| e.kind() == ErrorKind::Fenced));
    }
    ingest(&warehouse, &lines, settings()).await.expect("finishes what is left");
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}
