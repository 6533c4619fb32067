//! What history proves, and what it does not.

use super::*;

/// The snapshot with sequence number `n` has id `10 * n`, so that numbers and ids are not taken for one another.
fn snapshot(number: i64, parent: Option<i64>, checkpoint: bool) -> (i64, Known) {
    let checkpoint = checkpoint.then(|| uri(number));
    (number * 10, Known { parent: parent.map(|n| n * 10), sequence_number: number, checkpoint })
}

fn uri(number: i64) -> String {
    format!("checkpoint {number}")
}

fn at(number: i64) -> Stated {
    Stated { uri: uri(number), snapshot_id: number * 10, sequence_number: number }
}

/// A table at `current` with these snapshots, whose highest number is `last`.
fn table(current: i64, last: i64, snapshots: &[(i64, Known)]) -> Facts {
    Facts {
        current: Some(current * 10),
        last_sequence_number: last,
        snapshots: snapshots.iter().cloned().collect(),
        ..Facts::default()
    }
}

fn with_property(number: i64, facts: Facts) -> Facts {
    Facts { property: Some(at(number)), ..facts }
}

const OURS: bool = true;
const THEIRS: bool = false;

#[test]
fn a_table_without_a_commit_is_fresh() {
    assert_eq!(decide(&Facts::default()), Standing::Fresh);
}

#[test]
fn a_table_with_snapshots_and_no_checkpoint_never_starts_from_zero() {
    let facts = table(1, 1, &[snapshot(1, None, THEIRS)]);
    assert_eq!(decide(&facts), Standing::Halt(Halt::NoCheckpoint));
    // All snapshots have expired or were taken out: it is not new all the same.
    let facts = Facts { last_sequence_number: 4, ..Facts::default() };
    assert_eq!(decide(&facts), Standing::Halt(Halt::NoCheckpoint));
}

#[test]
fn a_chain_of_parents_proves_it_whatever_lies_on_top() {
    let chain = [snapshot(1, None, OURS), snapshot(2, Some(1), OURS), snapshot(3, Some(2), THEIRS)];
    assert_eq!(decide(&with_property(2, table(3, 3, &chain))), Standing::At(at(2)));
}

#[test]
fn an_expired_parent_is_proof_by_its_id() {
    let facts = with_property(2, table(3, 3, &[snapshot(3, Some(2), THEIRS)]));
    assert_eq!(decide(&facts), Standing::At(at(2)), "as Iceberg Java expires");
}

#[test]
fn a_blanked_parent_proves_nothing_by_itself() {
    let facts = with_property(2, table(3, 3, &[snapshot(3, None, THEIRS)]));
    assert_eq!(decide(&facts), Standing::Halt(Halt::Unproven(at(2))), "as PyIceberg expires");
    let held = Facts { holds: BTreeSet::from([20]), ..facts.clone() };
    assert_eq!(decide(&held), Standing::At(at(2)), "it holds a manifest or a file of the checkpoint's snapshot");
    let mut told = facts;
    told.snapshots.extend([snapshot(3, Some(2), THEIRS)]);
    assert_eq!(decide(&told), Standing::At(at(2)), "an earlier metadata file tells the parent");
}

#[test]
fn two_deletes_with_the_snapshot_between_them_expired_are_no_roll_back() {
    let kept = [snapshot(2, Some(1), OURS), snapshot(4, None, THEIRS)];
    let facts = with_property(2, table(4, 4, &kept));
    assert_eq!(decide(&facts), Standing::Halt(Halt::Unproven(at(2))));
    let mut told = facts;
    told.snapshots.extend([snapshot(4, Some(3), THEIRS), snapshot(3, Some(2), THEIRS)]);
    assert_eq!(decide(&told), Standing::At(at(2)));
}

#[test]
fn a_roll_back_is_told_from_an_expiry() {
    let all = [snapshot(1, None, OURS), snapshot(2, Some(1), OURS)];
    assert_eq!(decide(&with_property(2, table(1, 2, &all))), Standing::Halt(Halt::RolledBack(at(2))));
    // Something was committed on top of the older snapshot.
    let on_top = [snapshot(1, None, OURS), snapshot(3, Some(1), THEIRS)];
    assert_eq!(decide(&with_property(2, table(3, 3, &on_top))), Standing::Halt(Halt::RolledBack(at(2))));
    // No snapshot at all is current.
    let none = Facts { current: None, ..table(1, 2, &all) };
    assert_eq!(decide(&with_property(2, none)), Standing::Halt(Halt::RolledBack(at(2))));
}

#[test]
fn a_roll_back_that_was_rewritten_and_expired_is_never_taken_for_the_checkpoint() {
    let hidden = with_property(2, table(4, 4, &[snapshot(4, None, THEIRS)]));
    assert_eq!(decide(&hidden), Standing::Halt(Halt::Unproven(at(2))));
    let mut told = hidden;
    told.snapshots.extend([snapshot(4, Some(3), THEIRS), snapshot(3, Some(1), THEIRS), snapshot(1, None, OURS)]);
    assert_eq!(decide(&told), Standing::Halt(Halt::RolledBack(at(2))));
}

#[test]
fn a_dropped_property_is_made_good_by_the_newest_summary_when_all_is_known_since() {
    let chain = [snapshot(1, None, OURS), snapshot(2, Some(1), OURS), snapshot(3, Some(2), THEIRS)];
    assert_eq!(decide(&table(3, 3, &chain)), Standing::At(at(2)));
    // The newest was made on top of what is current now, and was rolled back.
    assert_eq!(decide(&table(1, 2, &chain[..2])), Standing::Halt(Halt::RolledBack(at(2))));
    // A snapshot has expired that may have named a newer one.
    let gap = [snapshot(1, None, OURS), snapshot(3, Some(1), THEIRS)];
    assert_eq!(decide(&table(3, 3, &gap)), Standing::Halt(Halt::NewerUnknown(at(1))));
}

#[test]
fn a_dropped_property_is_made_good_by_an_earlier_metadata_file() {
    let only = table(4, 4, &[snapshot(4, None, THEIRS)]);
    assert_eq!(decide(&only), Standing::Halt(Halt::NoCheckpoint));
    let mut told = Facts { earlier: Some(at(2)), ..only };
    assert_eq!(decide(&told), Standing::Halt(Halt::NewerUnknown(at(2))));
    told.snapshots.extend([snapshot(4, Some(3), THEIRS), snapshot(3, Some(2), THEIRS)]);
    assert_eq!(decide(&told), Standing::At(at(2)));
}

#[test]
fn a_property_that_was_set_back_is_not_believed() {
    let chain = [snapshot(1, None, OURS), snapshot(2, Some(1), OURS)];
    assert_eq!(decide(&with_property(1, table(2, 2, &chain))), Standing::Halt(Halt::SetBack(at(1))));
}

#[test]
fn parents_in_a_ring_end_the_search() {
    let ring = [snapshot(3, Some(4), THEIRS), snapshot(4, Some(3), THEIRS)];
    assert_eq!(decide(&with_property(2, table(4, 4, &ring))), Standing::Halt(Halt::Unproven(at(2))));
}

#[test]
fn every_halt_offers_to_look_and_none_undoes_a_delete() {
    let halts = [
        Halt::NoCheckpoint,
        Halt::NewerUnknown(at(2)),
        Halt::Unproven(at(2)),
        Halt::RolledBack(at(2)),
        Halt::SetBack(at(2)),
    ];
    for halt in halts {
        let error = halt.error("events", Some(40));
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        for words in ["icefold snapshots events", "icefold verify events", "icefold checkpoint adopt events"] {
            assert!(error.message().contains(words), "{error}");
        }
        for words in ["set_current_snapshot", "drop the table", "ingest again"] {
            assert!(!error.message().contains(words), "{error}");
        }
    }
}
