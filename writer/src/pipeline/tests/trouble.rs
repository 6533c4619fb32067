//! When something fails: what was promised stays, the error says what to do, the next run continues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use icefold_catalog::{AnnouncedTable, Announcement, CommitOutcome, Intent, Warehouse};
use icefold_core::{BatchId, Delta, Error, ErrorKind, Result};

use super::kit::{Lines, decoder_that, ingest, look, one_batch, open, settings, warehouse};
use crate::Settings;
use crate::failpoint::{self, FailPoints};
use crate::pipeline::Ingest;
use crate::publish::Destination;

const WINDOW: i64 = 50;

/// Fails the first call of each name with `kind`, before or after doing what was asked for.
struct Flaky {
    warehouse: Warehouse,
    kind: ErrorKind,
    after: bool,
    seen: Mutex<BTreeMap<String, u32>>,
}

impl Flaky {
    fn new(warehouse: &Warehouse, kind: ErrorKind, after: bool) -> Arc<Self> {
        Arc::new(Flaky { warehouse: warehouse.clone(), kind, after, seen: Mutex::default() })
    }

    async fn call<T>(&self, name: String, act: impl Future<Output = Result<T>>) -> Result<T> {
        let first = {
            let mut seen = self.seen.lock().expect("not poisoned");
            let calls = seen.entry(name).or_default();
            *calls += 1;
            *calls == 1
        };
        if first && !self.after {
            return Err(Error::new(self.kind, "refused before"));
        }
        let done = act.await?;
        if first { Err(Error::new(self.kind, "the reply was lost")) } else { Ok(done) }
    }
}

#[async_trait]
impl Destination for Flaky {
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement> {
        self.call(format!("announce {id}"), Destination::announce(&self.warehouse, id, delta, tables)).await
    }

    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        self.call(format!("stage {uri}"), self.warehouse.stage(announcement, uri, parts)).await
    }

    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()> {
        self.call(format!("write {id}"), Destination::write_batch(&self.warehouse, id, content)).await
    }

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        self.call(format!("commit {table} {}", intent.commit_id), self.warehouse.commit(table, intent)).await
    }

    async fn abandon(&self, id: BatchId) -> Result<()> {
        self.warehouse.abandon(id).await
    }

    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()> {
        Destination::finish(&self.warehouse, id, announcement, outcomes).await
    }
}

#[tokio::test]
async fn k1_calls_that_fail_or_lose_their_reply_once_are_done_once() {
    for (kind, after) in [(ErrorKind::Transient, false), (ErrorKind::OutcomeUnknown, true)] {
        let (warehouse, lines) = (warehouse(), Lines::mixed(300));
        let settings = Settings { commit_bytes: 1 << 30, retry_seconds: 60, ..settings() };
        let ingest = open(&warehouse, settings).await;
        let source = lines.source(None, 5, None);
        let flaky = Flaky::new(&warehouse, kind, after);
        let report = ingest.destination(flaky).source(Box::new(source)).run().await.expect("tried again");
        assert_eq!(report.commits, 4, "one for each table");
        assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
    }
}

#[tokio::test]
async fn storage_that_stays_away_ends_the_run_with_the_remedy() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let ingest = open(&warehouse, Settings { retry_seconds: 0, ..settings() }).await;
    let source = lines.source(None, 5, None);
    let flaky = Flaky::new(&warehouse, ErrorKind::Transient, false);
    let error = ingest.destination(flaky).source(Box::new(source)).run().await.expect_err("away");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.message().contains("retry_seconds") && error.message().contains("nothing is lost"), "{error}");
}

#[tokio::test]
async fn what_a_source_handed_over_before_it_failed_is_committed() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(1_000));
    let half = lines.text.len() as u64 / 2;
    let ingest_broken = open(&warehouse, settings()).await;
    let source = lines.source(None, 5, Some(half));
    let error = ingest_broken.source(Box::new(source)).run().await.expect_err("damaged");
    assert!(error.message().contains("damaged"), "{error}");
    let found = look(&warehouse).await;
    assert!(found.raw.last().is_some_and(|last| *last as u64 + 40 > half), "the first half is in");

    ingest(&warehouse, &lines, settings()).await.expect("repaired");
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn a_full_dedup_window_stops_the_run_and_a_larger_one_continues_it() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(600));
    let tight = Settings { dedup_max_ids: 20, commit_interval_seconds: 0, ..settings() };
    let error = ingest(&warehouse, &lines, tight).await.expect_err("50 seconds hold some 45 ids");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("dedup_max_ids"), "{error}");
    ingest(&warehouse, &lines, settings()).await.expect("continues");
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn an_error_or_a_panic_of_the_decoder_ends_the_run() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(300));
    let ingest = open(&warehouse, settings()).await;
    let panics = decoder_that(|chunk| assert!(chunk.start < 1_000, "a bug in a decoder"));
    let source = lines.source(None, 5, None);
    let error = ingest.decoder(panics).source(Box::new(source)).run().await.expect_err("panics");
    assert_eq!(error.kind(), ErrorKind::Bug);
    super::kit::ingest(&warehouse, &lines, settings()).await.expect("continues");
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn a_source_that_is_given_twice_is_refused() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(3));
    let ingest = open(&warehouse, settings()).await;
    let ingest = ingest.source(Box::new(lines.source(None, 5, None))).source(Box::new(lines.source(None, 5, None)));
    assert!(ingest.run().await.expect_err("twice").message().contains("given twice"));
}

#[tokio::test]
async fn w3_a_writer_with_another_batch_over_the_same_rows_is_fenced_also_when_it_decided_alike() {
    let (warehouse, lines) = (warehouse(), Lines::mixed(100));
    let run = |ingest: Ingest, contract: &str| ingest.contract(contract).source(Box::new(lines.source(None, 5, None)));
    let (first, same, other) =
        (open(&warehouse, one_batch()).await, open(&warehouse, one_batch()).await, open(&warehouse, one_batch()).await);
    run(first, "a/1").run().await.expect("the first one");
    for (late, contract) in [(same, "a/1"), (other, "b/1")] {
        let error = run(late, contract).run().await.expect_err("another batch");
        assert_eq!(error.kind(), ErrorKind::Fenced);
        assert!(error.message().contains("run again"), "{error}");
    }
    assert_eq!(look(&warehouse).await, lines.expected(WINDOW));
}

#[tokio::test]
async fn every_fail_point_is_passed() {
    for name in failpoint::ALL {
        let (warehouse, lines) = (warehouse(), Lines::mixed(100));
        let passed = Arc::new(Mutex::new(false));
        let note = passed.clone();
        let points = FailPoints::armed(name, 1, move || *note.lock().expect("not poisoned") = true);
        let ingest = open(&warehouse, settings()).await.fail_points(points);
        ingest.source(Box::new(lines.source(None, 5, None))).run().await.expect("runs");
        assert!(*passed.lock().expect("not poisoned"), "{name}");
    }
}
