//! The rule of the hot window against a plain reading of it, against cuts, and against splits and merges.

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

/// An event: id and `stream_time` in seconds.
type Event = (u8, i64);

fn hash(id: u8) -> u128 {
    xxh3_128(&[id])
}

fn decide(dedup: &mut Dedup, events: &[Event]) -> Vec<bool> {
    events.iter().map(|(id, second)| dedup.accepts(hash(*id), second * 1_000_000)).collect()
}

/// The rule of the module's documentation, word by word.
fn by_the_word(events: &[Event]) -> Vec<bool> {
    let mut accepted: Vec<Event> = Vec::new();
    let mut decisions = Vec::new();
    for event in events {
        let counts = |a: &Event| a.0 == event.0 && a.1 >= event.1 - WINDOW.as_secs() as i64;
        let duplicate = accepted.iter().any(counts);
        decisions.push(!duplicate);
        if !duplicate {
            accepted.push(*event);
        }
    }
    decisions
}

/// The state after `events`, made of what was accepted of them, in whatever order.
fn rebuilt(events: &[Event], decisions: &[bool]) -> Dedup {
    let mut dedup = Dedup::new(WINDOW);
    if let Some((_, second)) = events.last() {
        dedup.advance(second * 1_000_000);
    }
    let accepted = events.iter().zip(decisions).filter(|(_, accepted)| **accepted).map(|(event, _)| event);
    for (id, second) in accepted.rev() {
        dedup.remember(hash(*id), second * 1_000_000);
    }
    dedup
}

/// Few ids and a clock that goes on, stands still, and leaps now and then.
fn stream() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![6 => 0i64..5, 2 => 0i64..40, 1 => 0i64..200];
    prop::collection::vec((0u8..40, step), 0..200).prop_map(|steps| {
        let mut now = 1_000_000i64;
        let mut at = |(id, step)| {
            now += step;
            (id, now)
        };
        steps.into_iter().map(&mut at).collect()
    })
}

proptest! {
    #[test]
    fn decisions_follow_the_rule_word_by_word(events in stream()) {
        let decided = decide(&mut Dedup::new(WINDOW), &events);
        prop_assert_eq!(decided, by_the_word(&events));
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_is_decided_like_an_uncut_one(events in stream(), cut: prop::sample::Index) {
        let cut = cut.index(events.len() + 1);
        let uncut = decide(&mut Dedup::new(WINDOW), &events);
        let mut rebuilt = rebuilt(&events[..cut], &uncut);
        prop_assert_eq!(decide(&mut rebuilt, &events[cut..]), &uncut[cut..]);
    }

    #[test]
    fn a_shard_split_and_merged_again_is_decided_like_an_undivided_one(
        events in stream(), cuts: [prop::sample::Index; 2],
    ) {
        let mut cuts = cuts.map(|cut| cut.index(events.len() + 1));
        cuts.sort_unstable();
        let expected = decide(&mut Dedup::new(WINDOW), &events);

        let mut parent = Dedup::new(WINDOW);
        let mut decided = decide(&mut parent, &events[..cuts[0]]);
        let mut children = [Dedup::new(WINDOW), Dedup::new(WINDOW)];
        children.iter_mut().for_each(|child| child.inherit(&parent));
        for event in &events[cuts[0]..cuts[1]] {
            decided.extend(decide(&mut children[usize::from(event.0 % 2)], &[*event]));
        }
        let mut merged = Dedup::new(WINDOW);
        children.iter().rev().for_each(|child| merged.inherit(child));
        decided.extend(decide(&mut merged, &events[cuts[1]..]));
        prop_assert_eq!(decided, expected);
    }
}

#[test]
fn a_repeat_of_what_an_ancestor_accepted_is_found_and_one_after_the_window_is_not() {
    let mut parent = Dedup::new(WINDOW);
    assert_eq!(decide(&mut parent, &[(7, 1_000), (8, 1_000)]), [true, true]);
    let mut child = Dedup::new(WINDOW);
    child.inherit(&parent);
    assert_eq!(decide(&mut child, &[(7, 1_030), (9, 1_030), (8, 1_060)]), [false, true, false]);
    assert_eq!(decide(&mut child, &[(8, 1_061), (9, 1_090)]), [true, false]);
    assert_eq!(decide(&mut parent, &[(9, 1_040)]), [true], "a parent knows nothing of its children");
}

#[test]
fn parents_are_inherited_with_the_later_sighting_of_each_id() {
    let (mut one, mut other) = (Dedup::new(WINDOW), Dedup::new(WINDOW));
    decide(&mut one, &[(7, 1_000), (8, 1_050)]);
    decide(&mut other, &[(7, 1_040)]);
    for parents in [[&one, &other], [&other, &one]] {
        let mut child = Dedup::new(WINDOW);
        parents.iter().for_each(|parent| child.inherit(parent));
        assert_eq!(child.horizon_micros(), 990_000_000, "it begins where the one that is furthest stands");
        assert_eq!(decide(&mut child, &[(7, 1_100), (8, 1_110)]), [false, false]);
    }
}

#[test]
fn ids_that_left_the_window_give_their_memory_back() {
    let mut dedup = Dedup::new(WINDOW);
    for second in 0..10_000u32 {
        dedup.accepts(xxh3_128(&second.to_le_bytes()), i64::from(second) * 1_000_000);
    }
    dedup.forget();
    assert_eq!(dedup.stored_ids(), 61);
}

#[test]
fn times_that_do_not_fit_are_moved_to_the_ends() {
    assert_eq!(second_of(i64::MIN), 1);
    assert_eq!(second_of(-1), 1);
    assert_eq!(second_of(1_999_999), 1);
    assert_eq!(second_of(i64::MAX), u32::MAX);
}
