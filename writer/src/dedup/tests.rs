//! The rule of the hot window against a plain reading of it, and against cuts.

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn shard() -> ShardId {
    ShardId::new("s")
}

/// An event: id and arrival in seconds.
type Event = (u8, i64);

fn decide(dedup: &mut Dedup, events: &[Event]) -> Vec<bool> {
    let hashes: Vec<u128> = events.iter().map(|e| xxh3_128(&[e.0])).collect();
    let micros: Vec<i64> = events.iter().map(|e| e.1 * 1_000_000).collect();
    dedup.decide(&shard(), &hashes, &micros).expect("below the ceiling")
}

/// The rule of the module's documentation, word by word.
fn by_the_word(events: &[Event]) -> Vec<bool> {
    let mut accepted: Vec<Event> = Vec::new();
    let mut decisions = Vec::new();
    for event in events {
        let watermark = accepted.iter().map(|a| a.1).max().unwrap_or(i64::MIN / 2);
        let duplicate = accepted.iter().any(|a| a.0 == event.0 && a.1 >= watermark - WINDOW.as_secs() as i64);
        decisions.push(!duplicate);
        if !duplicate {
            accepted.push(*event);
        }
    }
    decisions
}

fn stream() -> impl Strategy<Value = Vec<Event>> {
    // Few ids and a clock that mostly moves on, with late and far-off events in between.
    let step = prop_oneof![6 => 0i64..5, 2 => -40i64..40, 1 => -200i64..200];
    prop::collection::vec((0u8..40, step), 0..200).prop_map(|steps| {
        let mut now = 1_000_000i64;
        steps
            .into_iter()
            .map(|(id, step)| {
                now += step.max(0);
                (id, now + step.min(0))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn decisions_follow_the_rule_word_by_word(events in stream()) {
        let decided = decide(&mut Dedup::new(WINDOW, 1_000), &events);
        prop_assert_eq!(decided, by_the_word(&events));
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_is_decided_like_an_uncut_one(events in stream(), cut in 0usize..200) {
        let cut = cut.min(events.len());
        let uncut = decide(&mut Dedup::new(WINDOW, 1_000), &events);

        let mut rebuilt = Dedup::new(WINDOW, 1_000);
        let accepted = events[..cut].iter().zip(&uncut).filter(|(_, accepted)| **accepted).map(|(e, _)| e);
        for (id, arrival) in accepted.rev() {
            rebuilt.remember(Some(&shard()), xxh3_128(&[*id]), arrival * 1_000_000).expect("below the ceiling");
        }
        prop_assert_eq!(decide(&mut rebuilt, &events[cut..]), &uncut[cut..]);
    }

    #[test]
    fn chunk_boundaries_do_not_matter(events in stream(), chunk in 1usize..50) {
        let mut dedup = Dedup::new(WINDOW, 1_000);
        let in_chunks: Vec<bool> = events.chunks(chunk).flat_map(|c| decide(&mut dedup, c)).collect();
        prop_assert_eq!(in_chunks, by_the_word(&events));
    }
}

fn duplicates(dedup: &mut Dedup, shard: &str, ids: &[u128], second: i64) -> usize {
    let micros = vec![second * 1_000_000; ids.len()];
    let accepted = dedup.decide(&ShardId::new(shard), ids, &micros).expect("below the ceiling");
    accepted.iter().filter(|accepted| !**accepted).count()
}

#[test]
fn a_repeat_that_comes_through_another_shard_is_found() {
    let mut dedup = Dedup::new(WINDOW, 10);
    assert_eq!(duplicates(&mut dedup, "parent", &[7, 8], 1_000), 0);
    assert_eq!(duplicates(&mut dedup, "child", &[7, 9, 8], 1_030), 2);
    assert_eq!(duplicates(&mut dedup, "child", &[9], 1_090), 1, "and one of its own");
    assert_eq!(duplicates(&mut dedup, "child", &[1, 7], 1_091), 0, "after the window");
}

#[test]
fn an_event_of_another_shard_counts_only_inside_the_newest_window() {
    let mut dedup = Dedup::new(WINDOW, 10);
    duplicates(&mut dedup, "old", &[7], 1_000);
    duplicates(&mut dedup, "new", &[8], 5_000);
    assert_eq!(duplicates(&mut dedup, "other", &[7], 1_001), 0, "a run cannot know all shards of the past");
    assert_eq!(duplicates(&mut dedup, "other", &[7], 1_002), 1, "but its own");
}

#[test]
fn what_is_remembered_of_shards_that_are_not_read_counts_inside_the_newest_window() {
    let mut dedup = Dedup::new(WINDOW, 10);
    dedup.remember(None, 7, 1_000_000_000).expect("below the ceiling");
    dedup.remember(None, 8, 1_050_000_000).expect("below the ceiling");
    assert_eq!(dedup.common_horizon_micros(), 990_000_000);
    assert_eq!(duplicates(&mut dedup, "child", &[7, 8], 1_060), 2);
    assert_eq!(duplicates(&mut dedup, "child", &[1], 1_061), 0);
    assert_eq!(duplicates(&mut dedup, "child", &[7, 8], 1_061), 1);
}

#[test]
fn a_late_shard_is_still_deduplicated_after_a_shard_that_is_ahead() {
    let mut dedup = Dedup::new(WINDOW, 10);
    dedup.decide(&ShardId::new("today"), &[1], &[1_000_000_000_000]).expect("below the ceiling");
    let late = dedup.decide(&ShardId::new("yesterday"), &[7, 7], &[5_000_000, 6_000_000]).expect("below the ceiling");
    assert_eq!(late, [true, false]);
}

/// Of three shards: an event of the shard's number and id, and its arrival in seconds.
type Placed = (u8, u8, i64);

fn decide_placed(dedup: &mut Dedup, events: &[Placed]) -> Vec<bool> {
    let decide =
        |(shard, id, arrival): &Placed| duplicates(dedup, &shard.to_string(), &[xxh3_128(&[*id])], *arrival) == 0;
    events.iter().map(decide).collect()
}

/// The rule of the module's documentation, word by word.
fn placed_by_the_word(events: &[Placed]) -> Vec<bool> {
    let mut accepted: Vec<Placed> = Vec::new();
    let mut decisions = Vec::new();
    for (shard, id, arrival) in events {
        let horizon = |of: Option<u8>| {
            let arrivals = accepted.iter().filter(|a| of.is_none_or(|of| a.0 == of)).map(|a| a.2);
            arrivals.max().unwrap_or(i64::MIN / 2) - WINDOW.as_secs() as i64
        };
        let counts = |a: &Placed| a.1 == *id && a.2 >= horizon(Some(*shard)) && (a.0 == *shard || a.2 >= horizon(None));
        let duplicate = accepted.iter().any(counts);
        decisions.push(!duplicate);
        if !duplicate {
            accepted.push((*shard, *id, *arrival));
        }
    }
    decisions
}

/// Shards with clocks of their own, which leap now and then.
fn placed_stream() -> impl Strategy<Value = Vec<Placed>> {
    let step = prop_oneof![6 => 0i64..5, 2 => -40i64..40, 1 => -200i64..200];
    let clocks = prop::collection::vec(prop_oneof![Just(0i64), 0i64..100, 0i64..1_000], 3);
    (clocks, prop::collection::vec((0u8..3, 0u8..20, step), 0..200)).prop_map(|(mut clocks, drawn)| {
        let mut place = |(shard, id, step): (u8, u8, i64)| {
            let clock = &mut clocks[usize::from(shard)];
            *clock += step.max(0);
            (shard, id, 1_000_000 + *clock + step.min(0))
        };
        drawn.into_iter().map(&mut place).collect()
    })
}

proptest! {
    #[test]
    fn shards_apart_follow_the_rule_word_by_word(events in placed_stream()) {
        let decided = decide_placed(&mut Dedup::new(WINDOW, 1_000), &events);
        prop_assert_eq!(decided, placed_by_the_word(&events));
    }

    #[test]
    fn shards_apart_cut_and_rebuilt_anywhere_are_decided_like_uncut_ones(
        events in placed_stream(), cut in 0usize..200,
    ) {
        let cut = cut.min(events.len());
        let uncut = decide_placed(&mut Dedup::new(WINDOW, 1_000), &events);
        let mut rebuilt = Dedup::new(WINDOW, 1_000);
        let accepted = events[..cut].iter().zip(&uncut).filter(|(_, accepted)| **accepted).map(|(e, _)| e);
        for (shard, id, arrival) in accepted.rev() {
            let shard = ShardId::new(shard.to_string());
            rebuilt.remember(Some(&shard), xxh3_128(&[*id]), arrival * 1_000_000).expect("below the ceiling");
        }
        prop_assert_eq!(decide_placed(&mut rebuilt, &events[cut..]), &uncut[cut..]);
    }
}

#[test]
fn a_sighting_that_is_dead_in_its_own_shard_does_not_hide_a_later_one_of_a_shard_that_lags() {
    let mut dedup = Dedup::new(Duration::from_secs(2 * 3_600), 10);
    let at = |day: i64, hour: i64, second: i64| (day * 24 + hour) * 3_600 + second;
    assert_eq!(duplicates(&mut dedup, "a", &[7], at(12, 9, 0)), 0);
    assert_eq!(duplicates(&mut dedup, "a", &[8], at(12, 12, 0)), 0);
    assert_eq!(duplicates(&mut dedup, "b", &[7], at(11, 8, 0)), 0);
    assert_eq!(duplicates(&mut dedup, "b", &[7], at(11, 8, 1)), 1);
}

#[test]
fn sightings_that_live_only_in_their_own_shards_stand_side_by_side() {
    let mut dedup = Dedup::new(WINDOW, 10);
    duplicates(&mut dedup, "c", &[1], 9_000);
    assert_eq!(duplicates(&mut dedup, "a", &[7], 5_000), 0);
    assert_eq!(duplicates(&mut dedup, "b", &[7], 1_000), 0);
    assert_eq!(duplicates(&mut dedup, "a", &[7], 5_001), 1);
    assert_eq!(duplicates(&mut dedup, "b", &[7], 1_001), 1);
}

#[test]
fn the_ceiling_is_an_error_that_names_the_setting() {
    let mut dedup = Dedup::new(WINDOW, 100);
    let hashes: Vec<u128> = (0..101u32).map(|i| xxh3_128(&i.to_le_bytes())).collect();
    let error = dedup.decide(&shard(), &hashes, &[0; 101]).expect_err("101 ids do not fit");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("dedup_max_ids") && error.message().contains("nothing is lost"), "{error}");
}

#[test]
fn ids_that_left_the_window_make_room_below_the_ceiling() {
    let mut dedup = Dedup::new(WINDOW, 100);
    for second in 0..10_000u32 {
        let micros = i64::from(second) * 1_000_000;
        dedup.decide(&shard(), &[xxh3_128(&second.to_le_bytes())], &[micros]).expect("61 ids are live");
    }
    assert!(dedup.stored_ids() <= 100);
}

#[test]
fn times_that_do_not_fit_are_moved_to_the_ends() {
    assert_eq!(second_of(i64::MIN), 1);
    assert_eq!(second_of(-1), 1);
    assert_eq!(second_of(1_999_999), 1);
    assert_eq!(second_of(i64::MAX), u32::MAX);
}
