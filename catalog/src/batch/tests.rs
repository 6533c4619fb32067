//! Batch objects, and where tables stand to them.

use icefold_core::{Offset, ShardPosition};

use super::*;

fn shard(name: &str) -> ShardId {
    ShardId::new(name)
}

fn at(positions: &[(&str, u64)], batch: &[u8]) -> Progress {
    let mut progress = Progress::default();
    for (name, position) in positions {
        progress.checkpoint.set(shard(name), ShardPosition::at(Offset::new("f", *position)));
        progress.moved_by.insert(shard(name), BatchId::of(batch));
    }
    progress
}

fn delta(pieces: &[(&str, u64, u64)]) -> Delta {
    let mut delta = Delta::default();
    for (name, from, to) in pieces {
        let to = ShardPosition::at(Offset::new("f", *to));
        delta.insert(shard(name), Offset::new("f", *from), to).expect("forward");
    }
    delta
}

fn batch() -> Batch {
    let file = BatchFile { path: "memory:///w/a.parquet".into(), spec_id: 0, day: 3, rows: 5, bytes: 7 };
    let part = |table: &str, add| TablePart {
        table: table.to_owned(),
        table_uuid: Uuid::from_u128(1),
        recount: Recount::default(),
        add,
        remove: Vec::new(),
        planned_on: None,
    };
    Batch {
        version: VERSION,
        delta: delta(&[("s", 0, 5)]),
        counts: Counts { rows_in: 5, accepted: 5, ..Counts::default() },
        summary: BTreeMap::from([("icefold.contract".to_owned(), "c/1".to_owned())]),
        tables: vec![part("raw_events", vec![file.clone()]), part("events", vec![file])],
    }
}

#[test]
fn a_batch_is_what_its_object_says_and_nothing_else() {
    let (id, content) = batch().content().expect("JSON");
    assert_eq!(Batch::read(id, &content).expect("its own object"), batch());
    let other = BTreeMap::from([("icefold.contract".to_owned(), "c/2".to_owned())]);
    let (other, _) = Batch { summary: other, ..batch() }.content().expect("JSON");
    assert_ne!(id, other, "another decision is another batch");
    let error = Batch::read(other, &content).expect_err("an object under another name");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_newer_layout_is_refused_with_the_remedy() {
    let (id, content) = Batch { version: VERSION + 1, ..batch() }.content().expect("JSON");
    let error = Batch::read(id, &content).expect_err("newer");
    assert!(error.message().contains("use the icefold that wrote it"), "{error}");
}

#[test]
fn w3_a_table_is_before_a_batch_past_it_or_elsewhere() {
    let two = delta(&[("s", 5, 9), ("t", 0, 2)]);
    let stands = |s, t| standing(&at(&[("s", s), ("t", t)], b"x"), &two);
    assert_eq!(stands(5, 0), Standing::Before);
    assert_eq!(stands(9, 2), Standing::Done);
    assert_eq!(stands(30, 2), Standing::Done);
    for (s, t) in [(5, 2), (9, 0), (7, 0), (0, 0)] {
        assert_eq!(stands(s, t), Standing::Elsewhere, "s at {s}, t at {t}");
    }
}

#[test]
fn w3_an_open_batch_is_found_by_the_shards_in_which_a_table_is_behind() {
    let raw = at(&[("s", 9), ("t", 2), ("u", 1)], b"new");
    let level = at(&[("s", 9), ("t", 2), ("u", 1)], b"any");
    assert_eq!(open_batches(&raw, &[&level, &level]), []);
    let behind = at(&[("s", 5), ("u", 1)], b"old");
    let open = open_batches(&raw, &[&level, &behind]);
    assert_eq!(
        open,
        [Open { batches: vec![BatchId::of(b"new"), BatchId::of(b"any")], shards: vec![shard("s"), shard("t")] }]
    );
    assert_eq!(ahead_of_raw(&raw, &behind), None);
    assert_eq!(ahead_of_raw(&behind, &raw), Some(shard("s")));
}

#[test]
fn the_first_table_of_a_batch_leads_and_the_others_follow() {
    let batch = batch();
    let id = batch.content().expect("JSON").0;
    let roles = batch.tables.iter().map(|part| batch.intent(id, part, Vec::new()).batch.expect("a part").role);
    assert_eq!(roles.collect::<Vec<_>>(), [Role::Leads, Role::Follows]);
}
