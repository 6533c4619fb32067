//! What the folds of a run owe each other: nothing, unless one shard continues another; and the ceilings of all together.

use icefold_core::{ErrorKind, Offset, ShardPosition};
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::chunk::Chunk;
use crate::decode::{DecodeSettings, Decoder, InputFormat};
use crate::fold::session::SessionSettings;

/// 2026-11-22T12:00:00Z.
const NOON: i64 = 1_795_348_800;

fn shard(name: &str) -> ShardId {
    ShardId::new(name)
}

fn settings() -> Settings {
    let sessions = SessionSettings { open_seconds: 600, ..SessionSettings::default() };
    Settings { dedup_window_seconds: 60, sessions, ..Settings::default() }
}

fn folds() -> Folds {
    Folds::new(&settings()).expect("valid settings")
}

/// Events of messages and devices, all at one second after noon.
fn track(events: &[(&str, &str)], second: i64) -> String {
    let time = icefold_core::timestamp::format_iso((NOON + second) * 1_000_000);
    let line = |(message, device): &(&str, &str)| {
        format!(
            "{{\"type\":\"track\",\"event\":\"Seen\",\"messageId\":\"{message}\",\"anonymousId\":\"{device}\",\
             \"timestamp\":\"{time}\"}}\n"
        )
    };
    events.iter().map(line).collect()
}

/// Says who a device is.
fn identify(message: &str, device: &str, user: &str) -> String {
    format!(
        "{{\"type\":\"identify\",\"messageId\":\"{message}\",\"anonymousId\":\"{device}\",\"userId\":\"{user}\",\
         \"timestamp\":\"2026-11-22T12:00:00Z\"}}\n"
    )
}

fn try_decide(folds: &mut Folds, name: &str, second: i64, lines: String) -> Result<Folded> {
    let stream_time_micros = (NOON + second) * 1_000_000;
    let to = ShardPosition {
        stream_time_micros: Some(stream_time_micros),
        ..ShardPosition::at(Offset::new("f", lines.len() as u64))
    };
    let chunk = Chunk {
        shard: shard(name),
        segment: "f".into(),
        start: 0,
        bytes: lines.into_bytes().into(),
        stream_time_micros,
        oversized: None,
        sub_offsets: None,
        from: Offset::new("f", 0),
        to,
    };
    let mut decoder = Decoder::new(DecodeSettings::default(), InputFormat::Segment).expect("a decoder");
    let rows = decoder.decode(&chunk).expect("decodes");
    assert_eq!(rows.quarantine.num_rows(), 0);
    folds.decide(&rows, &Keys::of(&rows.events).expect("keys"))
}

/// Decides lines that come to a shard at a second of stream time after noon.
fn decide(folds: &mut Folds, name: &str, second: i64, lines: String) -> Folded {
    try_decide(folds, name, second, lines).expect("below the ceilings")
}

fn begin(folds: &mut Folds, name: &str, parents: &[&str]) {
    let parent = |name: &&str| Parent { shard: shard(name), until: Offset::new("f", 100) };
    folds.begin(&shard(name), &parents.iter().map(parent).collect::<Vec<_>>()).expect("below the ceilings");
}

/// The numbers of the events in their sessions; 0 for a duplicate.
fn numbers(folded: &Folded) -> Vec<u32> {
    folded.sessions.iter().map(|step| step.map_or(0, |step| step.number)).collect()
}

fn people(folded: &Folded) -> String {
    String::from_utf8(folded.users.clone()).expect("text")
}

#[test]
fn a_child_knows_what_its_parents_knew_and_nothing_that_came_to_them_later() {
    let mut folds = folds();
    decide(&mut folds, "left", 0, track(&[("m1", "d1")], 0) + &identify("m2", "d1", "ann"));
    decide(&mut folds, "right", 10, track(&[("m3", "d2")], 10));
    begin(&mut folds, "both", &["left", "right"]);
    decide(&mut folds, "right", 20, track(&[("m4", "d2")], 20));
    let repeats = track(&[("m1", "d1"), ("m3", "d2"), ("m4", "d2"), ("m5", "d1")], 20);
    let folded = decide(&mut folds, "both", 20, repeats);
    assert_eq!(numbers(&folded), [0, 0, 2, 3]);
    assert_eq!(people(&folded), "ann");
}

#[test]
fn what_came_to_an_unrelated_shard_changes_nothing() {
    let mut alone = folds();
    let mut beside = folds();
    decide(&mut beside, "other", 3_000, track(&[("m1", "d1")], 0) + &identify("m2", "d1", "ann"));
    for folds in [&mut alone, &mut beside] {
        decide(folds, "own", 0, track(&[("m9", "d1")], 0));
        let folded = decide(folds, "own", 30, track(&[("m1", "d1"), ("m2", "d1"), ("m9", "d1")], 30));
        assert_eq!((numbers(&folded), people(&folded)), (vec![2, 3, 0], String::new()));
    }
}

#[test]
fn an_event_far_ahead_by_its_own_claim_ends_neither_deduplication_nor_sessions() {
    let mut folds = folds();
    decide(&mut folds, "s", 0, track(&[("m1", "d1"), ("m2", "d2")], 0));
    let claim = icefold_core::timestamp::format_iso((NOON + 23 * 3_600) * 1_000_000);
    let ahead = track(&[("m3", "d1")], 0).replace("}\n", &format!(",\"receivedAt\":\"{claim}\"}}\n"));
    assert_eq!(numbers(&decide(&mut folds, "s", 1, ahead)).len(), 1);
    let folded = decide(&mut folds, "s", 2, track(&[("m1", "d1"), ("m2", "d2"), ("m4", "d2")], 2));
    assert_eq!(numbers(&folded), [0, 0, 2]);
}

#[test]
fn a_parent_is_kept_until_its_last_child_has_begun_and_then_takes_no_more() {
    let mut folds = folds();
    decide(&mut folds, "parent", 0, track(&[("m1", "d1")], 0));
    begin(&mut folds, "even", &["parent"]);
    begin(&mut folds, "odd", &["parent"]);
    assert_eq!(folds.sizes().dedup_ids, 3);
    folds.end(&shard("parent"));
    assert_eq!((folds.sizes().dedup_ids, folds.sizes().sessions), (2, 2));
    let error = try_decide(&mut folds, "parent", 1, track(&[("m2", "d1")], 1)).expect_err("it has ended");
    assert_eq!(error.kind(), ErrorKind::Bug);
    let late = Parent { shard: shard("parent"), until: Offset::new("f", 100) };
    assert_eq!(folds.begin(&shard("late"), &[late]).expect_err("is gone").kind(), ErrorKind::Bug);
}

#[test]
fn stream_time_that_goes_back_is_a_defect() {
    let mut folds = folds();
    decide(&mut folds, "s", 10, track(&[("m1", "d1")], 0));
    let error = try_decide(&mut folds, "s", 9, track(&[("m2", "d1")], 0)).expect_err("goes back");
    assert_eq!(error.kind(), ErrorKind::Bug);
}

#[test]
fn a_row_that_others_let_in_counts_in_its_shard_and_where_that_is_the_past() {
    let mut folds = folds();
    decide(&mut folds, "parent", 0, track(&[("m0", "d1")], 0));
    decide(&mut folds, "other", 0, track(&[("m0", "d1")], 0));
    begin(&mut folds, "child", &["parent"]);
    let row = |message: &str, position| ForeignRow {
        shard: shard("parent"),
        at: Offset::new("f", position),
        message: xxh3_128(message.as_bytes()),
        stream_time_micros: NOON * 1_000_000,
    };
    folds.learn(&[row("past", 99), row("later", 100)]).expect("below the ceilings");
    let repeats = || track(&[("past", "d1"), ("later", "d1")], 5);
    for (name, duplicates) in [("parent", 2), ("child", 1), ("other", 0)] {
        let folded = decide(&mut folds, name, 5, repeats());
        assert_eq!(numbers(&folded).iter().filter(|number| **number == 0).count(), duplicates, "{name}");
    }
}

fn refusal(settings: Settings, lines: impl Fn(&str) -> String) -> String {
    let mut folds = Folds::new(&settings).expect("valid settings");
    decide(&mut folds, "a", 0, lines("a"));
    let error = try_decide(&mut folds, "b", 0, lines("b")).expect_err("both together are too many");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("nothing is lost"), "{error}");
    error.message().to_owned()
}

#[test]
fn the_ceilings_are_for_all_shards_together_and_their_errors_name_the_setting() {
    let default = settings();
    let told = refusal(Settings { dedup_max_ids: 3, ..default.clone() }, |shard| {
        track(&[(&format!("{shard}1"), "d"), (&format!("{shard}2"), "d")], 0)
    });
    assert!(told.contains("`dedup_max_ids` = 3"), "{told}");
    let sessions = SessionSettings { max_open: 3, ..SessionSettings::default() };
    let told = refusal(Settings { sessions, ..default.clone() }, |shard| {
        track(&[(&format!("{shard}1"), "d1"), (&format!("{shard}2"), "d2")], 0)
    });
    assert!(told.contains("`sessions.max_open` = 3"), "{told}");
    let told = refusal(Settings { identity_max_devices: 3, ..default }, |shard| {
        identify(&format!("{shard}1"), "d1", "ann") + &identify(&format!("{shard}2"), "d2", "ann")
    });
    assert!(told.contains("`identity_max_devices` = 3"), "{told}");
}

#[test]
fn what_has_left_its_window_makes_room_below_the_ceilings() {
    let sessions = SessionSettings { max_open: 1_500, ..settings().sessions };
    let mut folds = Folds::new(&Settings { dedup_max_ids: 200, sessions, ..settings() }).expect("valid settings");
    for second in 0..5_000 {
        let id = format!("m{second}");
        // 61 ids and 601 sessions are live in each of the two.
        for name in ["a", "b"] {
            decide(&mut folds, name, second, track(&[(&id, &id)], second));
        }
    }
    let sizes = folds.sizes();
    assert!(sizes.dedup_ids <= 200 && sizes.sessions <= 1_500, "{sizes:?}");
}
