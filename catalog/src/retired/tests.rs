use icefold_core::{Parent, ShardPosition};

use super::*;

fn shard(name: &str) -> ShardId {
    ShardId::new(name)
}

/// Shards, the second that each stands at, and its parent.
fn checkpoint(shards: &[(&str, i64, Option<&str>)]) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    for (name, second, parent) in shards {
        let begun = |parent: &&str| Parent { shard: shard(parent), until: Offset::new("f", 5) };
        let position = ShardPosition {
            stream_time_micros: Some(*second),
            parents: parent.iter().map(begun).collect(),
            ..ShardPosition::at(Offset::new("f", 9))
        };
        checkpoint.set(shard(name), position);
    }
    checkpoint
}

fn object(uri: &str, until: &[(&str, i64)]) -> Retired {
    Retired { uri: uri.into(), until_micros: until.iter().map(|(name, until)| (shard(name), *until)).collect() }
}

#[test]
fn ids_count_until_the_window_of_each_shard_that_knows_them_has_passed() {
    let object = object("o", &[("june", 100)]);
    let outlived = |shards: &[(&str, i64, Option<&str>)]| object.is_outlived(&checkpoint(shards), 50);
    assert!(!outlived(&[("june", 150, None)]), "an event of the same time as the end of the window counts");
    assert!(outlived(&[("june", 151, None)]));
    assert!(!outlived(&[]), "a shard that has no record yet comes to it");
    let family = |july: i64, august: i64| {
        outlived(&[("june", 900, None), ("july", july, Some("june")), ("august", august, Some("july"))])
    };
    assert!(family(900, 900));
    assert!(!family(150, 900) && !family(900, 150), "what continues it counts them too");
}

#[test]
fn a_settled_snapshot_is_settled_once_whoever_was_faster() {
    let settled = |uri: &str| Retirement {
        settled: vec![Settled { snapshot_id: 7, objects: vec![object(uri, &[("june", 100)])] }],
        window_micros: 50,
    };
    let mut progress =
        Progress { checkpoint: checkpoint(&[("june", 110, None)]), unseen: vec![6, 7], ..Progress::default() };
    settled("a").apply(&mut progress);
    settled("b").apply(&mut progress);
    assert_eq!(progress.unseen, [6]);
    assert_eq!(progress.retired, [object("a", &[("june", 100)])]);
    progress.checkpoint = checkpoint(&[("june", 200, None)]);
    Retirement { settled: Vec::new(), window_micros: 50 }.apply(&mut progress);
    assert_eq!(progress.retired, []);
}

#[tokio::test]
async fn ids_are_read_as_they_were_written_under_a_name_that_is_their_content() {
    let warehouse = Warehouse::in_memory(Arc::new(icefold_core::clock::SystemClock));
    let uuid = Uuid::from_u128(5);
    let id = |name: &str, segment: &str, position: u64| RetiredId {
        shard: shard(name),
        at: Offset::new(segment, position),
        message: u128::MAX - u128::from(position),
        stream_time_micros: position as i64,
    };
    let ids = vec![id("june", "f", 1), id("june", "f", 2), id("june", "g", 1), id("july", "f", 3)];
    let objects = warehouse.write_retired(uuid, ids.clone()).await.expect("written");
    let [object] = objects.as_slice() else { panic!("{objects:?}") };
    assert!(object.uri.contains("/_icefold/") && object.uri.contains("/retired-ids/"), "{object:?}");
    assert_eq!(object.until_micros, [(shard("june"), 2), (shard("july"), 3)].into());
    let mut backwards = ids.clone();
    backwards.reverse();
    assert_eq!(warehouse.write_retired(uuid, backwards).await.expect("written again"), objects);
    let mut found = read(warehouse.store(), &object.uri, uuid).await.expect("read");
    found.sort_unstable();
    let mut sorted = ids;
    sorted.sort_unstable();
    assert_eq!(found, sorted);
    let error = read(warehouse.store(), &object.uri, Uuid::from_u128(6)).await.expect_err("of another table");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(warehouse.write_retired(uuid, Vec::new()).await.expect("nothing to write"), []);
}
