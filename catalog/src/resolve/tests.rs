//! The decision table of the commit protocol.

use std::collections::BTreeMap;

use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, Struct};
use icefold_core::{BatchId, CommitId, Counts, Delta, Offset, ShardId, ShardPosition};

use super::*;
use crate::intent::{BatchPart, NewFile};

const TABLE: Uuid = Uuid::from_u128(7);

fn offset(position: u64) -> Offset {
    Offset::new("f", position)
}

fn delta(from: u64, to: u64) -> Delta {
    let mut delta = Delta::default();
    delta.insert(ShardId::new("s"), offset(from), ShardPosition::at(offset(to))).expect("forward");
    delta
}

fn at(position: u64) -> Progress {
    let mut progress = Progress::default();
    progress.checkpoint.set(ShardId::new("s"), ShardPosition::at(offset(position)));
    progress
}

fn data_file(path: &str, day: i32, content: DataContentType) -> DataFile {
    let (low, high) = (Datum::long(i64::from(day) * 10), Datum::long(i64::from(day) * 10 + 9));
    DataFileBuilder::default()
        .content(content)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(day))]))
        .record_count(1)
        .file_size_in_bytes(1)
        .lower_bounds([(1, low)].into())
        .upper_bounds([(1, high)].into())
        .null_value_counts([(1, 0)].into())
        .partition_spec_id(0)
        .build()
        .expect("file")
}

fn live(path: &str, day: i32, content: DataContentType, sequence: i64) -> LiveFile {
    LiveFile {
        file: data_file(path, day, content),
        spec_id: 0,
        snapshot_id: 1,
        data_sequence_number: sequence,
        file_sequence_number: sequence,
    }
}

fn intent(kind: IntentKind, delta: Delta, remove: &[&str]) -> Intent {
    Intent {
        commit_id: CommitId::for_inputs(TABLE, "test", []),
        table_uuid: TABLE,
        kind,
        delta,
        add: Vec::<NewFile>::new(),
        remove: remove.iter().map(|p| (*p).to_owned()).collect(),
        requires: Vec::new(),
        recount: Default::default(),
        planned_on: None,
        conflicts: Vec::new(),
        batch: None,
        counts: Counts::default(),
        summary: BTreeMap::new(),
    }
}

fn base<'a>(progress: &'a Progress, live: &'a [LiveFile]) -> Base<'a> {
    Base { table_uuid: TABLE, committed_in: None, progress, live, read_sequence_number: Some(5) }
}

fn apply(remove: &[&str]) -> Decision {
    Decision::Apply { remove: remove.iter().map(|p| (*p).to_owned()).collect(), checkpoint: None }
}

#[test]
fn w1_an_append_applies_only_where_the_table_stands() {
    let append = intent(IntentKind::Append, delta(5, 9), &[]);
    let applied = Decision::Apply { remove: vec![], checkpoint: Some(at(9).checkpoint) };
    assert_eq!(resolve(&append, &base(&at(5), &[])).expect("decides"), applied);
    // Behind, a strict prefix of our own delta, exactly our end without our commit id, beyond.
    for elsewhere in [0, 4, 7, 9, 12] {
        let decision = resolve(&append, &base(&at(elsewhere), &[])).expect("decides");
        assert!(matches!(decision, Decision::Fenced(Fence::Moved { .. })), "table at {elsewhere}: {decision:?}");
    }
}

#[test]
fn k1_a_commit_found_in_the_ancestry_is_done_wherever_the_table_stands_now() {
    let append = intent(IntentKind::Append, delta(5, 9), &[]);
    for now in [5, 9, 30] {
        let checkpoint = at(now);
        let found = Base { committed_in: Some(77), ..base(&checkpoint, &[]) };
        assert_eq!(resolve(&append, &found).expect("decides"), Decision::AlreadyCommitted { snapshot_id: Some(77) });
    }
}

#[test]
fn k2_a_table_made_anew_under_the_name_fences() {
    let append = intent(IntentKind::Append, delta(0, 9), &[]);
    let checkpoint = Progress::default();
    let other = Base { table_uuid: Uuid::from_u128(8), committed_in: Some(1), ..base(&checkpoint, &[]) };
    assert!(matches!(resolve(&append, &other).expect("decides"), Decision::Fenced(Fence::OtherTable { .. })));
}

#[test]
fn a_shard_that_moved_fences_though_the_others_stand() {
    let mut two = delta(5, 9);
    two.insert(ShardId::new("t"), offset(0), ShardPosition::at(offset(1))).expect("forward");
    let decision = resolve(&intent(IntentKind::Append, two, &[]), &base(&at(5), &[])).expect("decides");
    let Decision::Fenced(Fence::Moved { shard, .. }) = decision else { panic!("{decision:?}") };
    assert_eq!(shard, ShardId::new("t"), "shard t was never read: it stands at start, not at f@0");
}

/// A rewrite of files into `files`, each of one row.
fn rewriting(remove: &[&str], files: usize) -> Intent {
    let file = |n| data_file(&format!("new-{n}"), 1, DataContentType::Data);
    let add = (0..files).map(|n| NewFile { file: file(n), spec_id: 0, data_sequence_number: None });
    Intent { add: add.collect(), ..intent(IntentKind::Rewrite { read_snapshot_id: 1 }, Delta::default(), remove) }
}

#[test]
fn a_rewrite_that_would_lose_or_double_a_row_is_refused() {
    let checkpoint = at(1);
    let data = [live("a", 1, DataContentType::Data, 3), live("b", 1, DataContentType::Data, 3)];
    let hidden = [data.to_vec(), vec![live("d", 1, DataContentType::PositionDeletes, 4)]].concat();
    for (files, live, kept) in
        [(2, &data[..], true), (1, &data, false), (3, &data, false), (1, &hidden, true), (3, &hidden, false)]
    {
        let decision = resolve(&rewriting(&["a", "b"], files), &base(&checkpoint, live));
        assert_eq!(decision.is_ok(), kept, "2 rows into {files}: {decision:?}");
    }
    assert!(resolve(&rewriting(&[], 1), &base(&checkpoint, &[])).is_err(), "a row from nowhere");
}

#[test]
fn t1_a_removal_of_a_file_that_is_gone_is_planned_again() {
    let files = [live("a", 1, DataContentType::Data, 3)];
    let rewrite = |paths: &[&str]| rewriting(paths, 1);
    let checkpoint = at(1);
    assert_eq!(resolve(&rewrite(&["a"]), &base(&checkpoint, &files)).expect("decides"), apply(&["a"]));
    assert!(matches!(
        resolve(&rewrite(&["a", "b"]), &base(&checkpoint, &files)).expect("decides"),
        Decision::Replan { .. }
    ));
}

#[test]
fn position_deletes_into_a_file_that_is_gone_are_planned_again() {
    let delete = Intent { requires: vec!["b".into()], ..intent(IntentKind::RowDelta, Delta::default(), &[]) };
    let files = [live("a", 1, DataContentType::Data, 3)];
    assert!(matches!(resolve(&delete, &base(&at(1), &files)).expect("decides"), Decision::Replan { .. }));
}

#[test]
fn c2_a_newer_position_delete_on_a_rewritten_file_is_planned_again_an_equality_delete_is_not() {
    let rewrite = intent(IntentKind::Rewrite { read_snapshot_id: 1 }, Delta::default(), &["a"]);
    let checkpoint = at(1);
    let cases = [
        (live("d", 1, DataContentType::PositionDeletes, 6), true, "newer, same partition"),
        (live("d", 1, DataContentType::PositionDeletes, 5), false, "as old as what was read"),
        (live("d", 2, DataContentType::PositionDeletes, 6), false, "newer, other partition"),
        (
            live("d", 1, DataContentType::EqualityDeletes, 6),
            false,
            "equality delete: the sequence number keeps it right",
        ),
    ];
    for (delete, replan, why) in cases {
        let files = [live("a", 1, DataContentType::Data, 3), live("z", 2, DataContentType::Data, 3), delete];
        let decision = resolve(&rewrite, &base(&checkpoint, &files)).expect("decides");
        assert_eq!(matches!(decision, Decision::Replan { .. }), replan, "{why}: {decision:?}");
    }
}

#[test]
fn a_rewrite_of_a_snapshot_that_is_no_ancestor_is_planned_again() {
    let rewrite = intent(IntentKind::Rewrite { read_snapshot_id: 1 }, Delta::default(), &["a"]);
    let (checkpoint, files) = (at(1), [live("a", 1, DataContentType::Data, 3)]);
    let rolled_back = Base { read_sequence_number: None, ..base(&checkpoint, &files) };
    assert!(matches!(resolve(&rewrite, &rolled_back).expect("decides"), Decision::Replan { .. }));
}

/// An overwrite that was planned on the snapshot with sequence number 5.
fn overwrite(filter: RowFilter) -> Intent {
    intent(IntentKind::Overwrite { filter, planned_on: Some(1) }, Delta::default(), &[])
}

/// The rows of day 1.
fn day_one() -> RowFilter {
    RowFilter::Range { field_id: 1, from: Some(Datum::long(10)), to: Some(Datum::long(20)) }
}

#[test]
fn an_overwrite_is_planned_again_when_rows_that_it_matches_came_or_were_deleted_since() {
    use DataContentType::{Data, EqualityDeletes, PositionDeletes};
    let global = |mut file: LiveFile| {
        file.file = DataFileBuilder::default()
            .content(EqualityDeletes)
            .file_path("d".to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::empty())
            .record_count(1)
            .file_size_in_bytes(1)
            .partition_spec_id(7)
            .build()
            .expect("file");
        file.spec_id = 7;
        file
    };
    let cases = [
        (live("new", 1, Data, 6), true, "rows came into the range"),
        (live("new", 1, Data, 5), false, "rows that were there when it was planned"),
        (live("new", 2, Data, 6), false, "rows came elsewhere"),
        (live("d", 1, PositionDeletes, 6), true, "rows were deleted by position"),
        (live("d", 1, PositionDeletes, 5), false, "rows had been deleted by position"),
        (live("d", 2, PositionDeletes, 6), false, "rows were deleted by position elsewhere"),
        (live("d", 1, EqualityDeletes, 6), true, "rows were deleted by equality: what replaces them would not be"),
        (live("d", 1, EqualityDeletes, 5), false, "rows had been deleted by equality"),
        (live("d", 2, EqualityDeletes, 6), false, "rows were deleted by equality elsewhere"),
        (global(live("d", 1, EqualityDeletes, 6)), true, "rows were deleted by equality, everywhere"),
    ];
    for (other, replan, why) in cases {
        let matches = other.data_sequence_number == 5 && other.file.content_type() == Data;
        let files = [live("a", 1, Data, 3), live("z", 2, Data, 3), other];
        let decision = resolve(&overwrite(day_one()), &base(&at(1), &files)).expect("decides");
        let expected = if matches { apply(&["a", "new"]) } else { apply(&["a"]) };
        match replan {
            true => assert!(matches!(decision, Decision::Replan { .. }), "{why}: {decision:?}"),
            false => assert_eq!(decision, expected, "{why}"),
        }
    }
}

#[test]
fn an_overwrite_is_planned_again_when_a_file_that_it_read_is_gone() {
    let files = [live("a", 1, DataContentType::Data, 3)];
    for (read, replan) in [("a", false), ("gone", true)] {
        let intent = Intent { requires: vec![read.to_owned()], ..overwrite(day_one()) };
        let decision = resolve(&intent, &base(&at(1), &files)).expect("decides");
        assert_eq!(matches!(decision, Decision::Replan { .. }), replan, "{read}: {decision:?}");
    }
}

#[test]
fn an_overwrite_is_planned_again_when_its_snapshot_is_no_ancestor_any_more() {
    let (checkpoint, files) = (at(1), [live("a", 1, DataContentType::Data, 3)]);
    let rolled_back = Base { read_sequence_number: None, ..base(&checkpoint, &files) };
    let decision = resolve(&overwrite(day_one()), &rolled_back).expect("decides");
    assert!(matches!(decision, Decision::Replan { .. }), "{decision:?}");
    // One that was planned on an empty table knows that every row came later.
    let on_nothing = intent(IntentKind::Overwrite { filter: day_one(), planned_on: None }, Delta::default(), &[]);
    let decision = resolve(&on_nothing, &rolled_back).expect("decides");
    assert!(matches!(decision, Decision::Replan { .. }), "{decision:?}");
    let empty = Base { read_sequence_number: None, ..base(&checkpoint, &[]) };
    assert_eq!(resolve(&on_nothing, &empty).expect("decides"), apply(&[]));
}

#[test]
fn an_overwrite_takes_what_its_filter_covers_and_refuses_to_cut_a_file() {
    let files = [live("a", 1, DataContentType::Data, 3), live("b", 2, DataContentType::Data, 3)];
    let checkpoint = at(1);
    let range = |from: i64, to: i64| {
        let filter = RowFilter::Range { field_id: 1, from: Some(Datum::long(from)), to: Some(Datum::long(to)) };
        resolve(&overwrite(filter), &base(&checkpoint, &files))
    };
    assert_eq!(range(10, 20).expect("decides"), apply(&["a"]));
    assert_eq!(range(0, 30).expect("decides"), apply(&["a", "b"]));
    assert_eq!(range(30, 40).expect("decides"), apply(&[]));
    assert!(range(10, 25).expect_err("cuts b").to_string().contains('b'));
    let partition = Struct::from_iter([Some(Literal::int(2))]);
    let filter = RowFilter::Partition { spec_id: 0, partition };
    let decision = resolve(&overwrite(filter), &base(&checkpoint, &files));
    assert_eq!(decision.expect("decides"), apply(&["b"]));
}

/// A table that batch 1 has moved to `position`, and the part `role` of batch `id` over `[5, 9)`.
fn batched(role: Role, id: &[u8], position: u64) -> (Intent, Progress) {
    let intent = intent(IntentKind::Append, delta(5, 9), &[]).of_batch(BatchPart::new(BatchId::of(id), role));
    let mut progress = at(position);
    progress.moved_by.insert(ShardId::new("s"), BatchId::of(b"1"));
    (intent, progress)
}

#[test]
fn w3_the_first_table_takes_a_batch_at_its_start_and_knows_it_by_its_name_when_no_snapshot_tells() {
    let decide = |id, position| {
        let (intent, progress) = batched(Role::Leads, id, position);
        resolve(&intent, &base(&progress, &[])).expect("decides")
    };
    assert!(matches!(decide(b"2", 5), Decision::Apply { .. }));
    assert_eq!(decide(b"1", 9), Decision::AlreadyCommitted { snapshot_id: None });
    assert!(matches!(decide(b"2", 9), Decision::Fenced(_)), "another batch over the same range");
    // Whatever has moved it since, nothing tells any more that it was this batch.
    assert!(matches!(decide(b"1", 12), Decision::Fenced(_)));
}

#[test]
fn w3_another_table_takes_a_batch_at_its_start_has_it_at_its_end_and_past_it_and_is_torn_elsewhere() {
    for (position, expected) in [(5, "apply"), (9, "done"), (12, "done"), (0, "torn"), (7, "torn")] {
        let (intent, progress) = batched(Role::Follows, b"2", position);
        let found = match resolve(&intent, &base(&progress, &[])).expect("decides") {
            Decision::Apply { .. } => "apply",
            Decision::AlreadyCommitted { snapshot_id: None } => "done",
            Decision::Fenced(Fence::Moved { .. }) => "torn",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "table at {position}");
    }
}

#[test]
fn a_redrive_is_done_where_it_is_listed_as_open() {
    let redrive = intent(IntentKind::Append, Delta::default(), &[]);
    let redrive = redrive.of_batch(BatchPart::new(BatchId::of(b"r"), Role::Leads));
    let mut progress = at(1);
    assert!(matches!(resolve(&redrive, &base(&progress, &[])), Ok(Decision::Apply { .. })));
    progress.open.push(BatchId::of(b"r"));
    let decision = resolve(&redrive, &base(&progress, &[])).expect("decides");
    assert_eq!(decision, Decision::AlreadyCommitted { snapshot_id: None });
}

#[test]
fn a_decision_is_made_anew_only_when_rows_came_that_may_change_it() {
    let within = BTreeMap::from([(1, (Datum::long(10), Datum::long(12)))]);
    let decided = Intent {
        planned_on: Some(1),
        conflicts: vec![Conflict { within }],
        ..intent(IntentKind::Append, Delta::default(), &[])
    };
    let progress = at(1);
    let cases = [
        (live("a", 1, DataContentType::Data, 6), true, "newer, and its bounds hold such a value"),
        (live("a", 1, DataContentType::Data, 5), false, "was looked at"),
        (live("a", 2, DataContentType::Data, 6), false, "newer, and its bounds hold no such value"),
    ];
    for (file, replan, why) in cases {
        let decision = resolve(&decided, &base(&progress, &[file])).expect("decides");
        assert_eq!(matches!(decision, Decision::Replan { .. }), replan, "{why}: {decision:?}");
    }
    let rolled_back = Base { read_sequence_number: None, ..base(&progress, &[]) };
    assert!(matches!(resolve(&decided, &rolled_back), Ok(Decision::Replan { .. })));
}
