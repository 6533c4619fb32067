//! Shards that continue others: what they know of them, after restarts too, and what is refused.

use icefold_catalog::Warehouse;
use icefold_core::{ErrorKind, Offset, Parent, Result, ShardId};

use super::kit::{Lines, ingest, look, open, settings, warehouse};
use crate::IngestReport;

/// Events of these ids, one a second, from a second on.
fn lines(shard: &str, from: u64, ids: impl IntoIterator<Item = u64>) -> Lines {
    Lines::new(ids.into_iter().zip(from..).map(|(id, second)| format!("id-{id} {second} 0"))).of_shard(shard)
}

/// Ingests lines as those of a shard that continues others.
async fn continued(warehouse: &Warehouse, lines: &Lines, parents: &[&str]) -> Result<IngestReport> {
    let parents: Vec<ShardId> = parents.iter().copied().map(ShardId::new).collect();
    let ingest = open(warehouse, settings()).await.continues(&lines.shard, &parents);
    let source = lines.source(ingest.position(&lines.shard), 5, None);
    ingest.source(Box::new(source)).run().await
}

fn end_of(lines: &Lines) -> Offset {
    Offset::new("f", lines.text.len() as u64)
}

#[tokio::test]
async fn repeats_of_what_was_continued_are_found_after_a_restart_too() {
    let warehouse = warehouse();
    let june = lines("june", 0, 0..100);
    ingest(&warehouse, &june, settings()).await.expect("runs");
    // The window reaches back for 50 s.
    let july = lines("july", 100, [60, 70, 80, 200]);
    let report = continued(&warehouse, &july, &["june"]).await.expect("runs");
    assert_eq!((report.counts.duplicate, report.counts.accepted), (3, 1));

    let grown = lines("july", 100, [60, 70, 80, 200, 90, 10, 201]);
    let report = ingest(&warehouse, &grown, settings()).await.expect("runs");
    assert_eq!((report.counts.duplicate, report.counts.accepted), (1, 2), "one lies before the window");
    let position = report.checkpoints["raw_events"].get(&july.shard).expect("has begun");
    assert_eq!(position.parents, [Parent { shard: june.shard.clone(), until: end_of(&june) }]);
    look(&warehouse).await;
}

#[tokio::test]
async fn what_comes_to_a_shard_after_another_one_has_continued_it_stays_its_own() {
    let warehouse = warehouse();
    ingest(&warehouse, &lines("june", 0, 0..10), settings()).await.expect("runs");
    continued(&warehouse, &lines("july", 10, [100]), &["june"]).await.expect("runs");
    ingest(&warehouse, &lines("june", 0, 0..20), settings()).await.expect("runs");
    let report = ingest(&warehouse, &lines("july", 10, [100, 15, 5]), settings()).await.expect("runs");
    assert_eq!((report.counts.duplicate, report.counts.accepted), (1, 1));
}

#[tokio::test]
async fn shards_that_continue_each_other_over_generations_know_all_that_came_before() {
    let warehouse = warehouse();
    ingest(&warehouse, &lines("may", 0, 0..10), settings()).await.expect("runs");
    ingest(&warehouse, &lines("other", 0, 10..20), settings()).await.expect("runs");
    ingest(&warehouse, &lines("stranger", 0, 30..40), settings()).await.expect("runs");
    continued(&warehouse, &lines("june", 10, [20]), &["may"]).await.expect("runs");
    let july = lines("july", 20, [5, 15, 20, 35]);
    let report = continued(&warehouse, &july, &["june", "other"]).await.expect("runs");
    assert_eq!((report.counts.duplicate, report.counts.accepted), (3, 1));
}

#[tokio::test]
async fn the_time_of_a_shard_begins_where_that_of_its_parents_ends() {
    let warehouse = warehouse();
    ingest(&warehouse, &lines("june", 0, 0..10), settings()).await.expect("runs");
    ingest(&warehouse, &lines("other", 0, 10..40), settings()).await.expect("runs");
    let ingest = open(&warehouse, settings()).await;
    let july = ShardId::new("july");
    assert_eq!(ingest.floor_micros(&july), None);
    let ingest = ingest.continues(&july, &[ShardId::new("june"), ShardId::new("other")]);
    assert_eq!(ingest.floor_micros(&july), Some(29_000_000));
    let error = continued(&warehouse, &lines("july", 5, [1]), &["june"]).await.expect_err("its source began too early");
    assert_eq!(error.kind(), ErrorKind::Bug);
}

#[tokio::test]
async fn a_shard_that_has_begun_keeps_its_parents_and_unknown_ones_are_refused() {
    let warehouse = warehouse();
    ingest(&warehouse, &lines("june", 0, 0..10), settings()).await.expect("runs");
    let error = continued(&warehouse, &lines("july", 10, [1]), &["jume"]).await.expect_err("nobody knows it");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("`jume`"), "{error}");
    ingest(&warehouse, &lines("july", 10, [1]), settings()).await.expect("runs");
    let error = continued(&warehouse, &lines("july", 10, [1, 2]), &["june"]).await.expect_err("it has begun");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("has begun on its own"), "{error}");
}
