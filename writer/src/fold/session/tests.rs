//! The rule of sessions against a plain reading of it, against cuts, against splits and merges, and against other orders of
//! devices.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const GAP: i64 = 30;
const MAX_LENGTH: i64 = 200;
const OPEN_FOR: i64 = 60;

fn settings(split_on_campaign: bool) -> SessionSettings {
    SessionSettings {
        gap_seconds: GAP as u64,
        max_length_seconds: MAX_LENGTH as u64,
        open_seconds: OPEN_FOR as u64,
        split_on_campaign,
        max_open: 10_000,
    }
}

fn sessions(split_on_campaign: bool) -> Sessions {
    Sessions::new(&settings(split_on_campaign)).expect("valid settings")
}

/// An event of `device` at a time and a `stream_time` in seconds.
fn event(device: u128, time: i64, stream_time: i64) -> SessionEvent {
    SessionEvent {
        device: device << 100 | device,
        message: time as u128,
        event_time_micros: time * SECOND,
        stream_time_micros: stream_time * SECOND,
        campaign: None,
    }
}

fn fold(sessions: &mut Sessions, event: &SessionEvent) -> SessionStep {
    sessions.fold(event).expect("has a device")
}

/// Folds a part of a stream.
fn steps(sessions: &mut Sessions, events: &[SessionEvent]) -> Vec<SessionStep> {
    events.iter().map(|event| fold(sessions, event)).collect()
}

/// A session as the list of its events, and the rule of the module's documentation, word by word.
#[derive(Debug)]
struct ByTheWord(Vec<SessionEvent>);

impl ByTheWord {
    fn start(&self) -> i64 {
        self.0[0].event_time_micros
    }

    fn latest(&self) -> i64 {
        self.0.iter().map(|e| e.event_time_micros).max().expect("a session has events")
    }

    fn touched(&self) -> i64 {
        self.0.last().expect("a session has events").stream_time_micros
    }

    fn opening(&self) -> Opening {
        Opening::new(self.0[0].campaign, self.0[0].message, self.0[0].stream_time_micros)
    }

    fn fits(&self, event: &SessionEvent, split: bool) -> bool {
        let (t, start, latest) = (event.event_time_micros, self.start(), self.latest());
        t >= start - GAP * SECOND
            && t <= latest + GAP * SECOND
            && t.max(latest) - t.min(start) <= MAX_LENGTH * SECOND
            && event.stream_time_micros <= self.touched() + OPEN_FOR * SECOND
            && !(split && event.campaign.is_some() && event.campaign != self.0[0].campaign)
    }
}

/// Returns for each event the number of its session, in the order of beginning, and start, number and elapsed.
fn by_the_word(events: &[SessionEvent], split: bool) -> Vec<(usize, i64, u32, i64)> {
    let mut all: Vec<ByTheWord> = Vec::new();
    let mut decided = Vec::new();
    for event in events {
        let mut kept: Vec<usize> = (0..all.len()).filter(|s| all[*s].0[0].device == event.device).collect();
        kept.sort_by_key(|s| (all[*s].touched(), all[*s].start(), all[*s].opening()));
        let kept = &kept[kept.len().saturating_sub(SESSIONS_PER_DEVICE)..];
        let fitting = kept.iter().filter(|s| all[**s].fits(event, split));
        let joined = fitting.max_by_key(|s| (all[**s].start(), all[**s].touched(), all[**s].opening()));
        let at = joined.copied().unwrap_or_else(|| {
            all.push(ByTheWord(Vec::new()));
            all.len() - 1
        });
        all[at].0.push(*event);
        decided.push((at, all[at].start(), all[at].0.len() as u32, all[at].latest() - all[at].start()));
    }
    decided
}

fn row(event: &SessionEvent, step: &SessionStep) -> SessionRow {
    SessionRow {
        device: event.device,
        id: step.id,
        start_micros: step.start_micros,
        latest_micros: step.start_micros + step.elapsed_micros,
        number: step.number,
        stream_time_micros: event.stream_time_micros,
    }
}

/// The state after `events`, made of those of their rows that matter, in another order.
fn rebuilt(split: bool, events: &[SessionEvent], steps: &[SessionStep], turn: usize) -> Sessions {
    let mut sessions = sessions(split);
    if let Some(last) = events.last() {
        sessions.advance(last.stream_time_micros);
    }
    let horizon = sessions.horizon_micros();
    let rows = events.iter().zip(steps).map(|(event, step)| row(event, step));
    let mut rows: Vec<SessionRow> = rows.filter(|row| row.stream_time_micros >= horizon).collect();
    if !rows.is_empty() {
        let turn = turn % rows.len();
        rows.rotate_left(turn);
        rows[turn / 2..].reverse();
    }
    rows.iter().for_each(|row| sessions.remember(row));
    sessions
}

fn campaign() -> impl Strategy<Value = Option<Campaign>> {
    prop_oneof![3 => Just(None), 1 => (1u64..4).prop_map(|hash| Some(Campaign::from_hash(hash)))]
}

/// Some devices, a stream that mostly moves on and leaps now and then; event times near it, far from it on either side, and
/// always the same.
fn stream() -> impl Strategy<Value = Vec<SessionEvent>> {
    let step = prop_oneof![6 => 0i64..15, 2 => 0i64..50, 1 => 0i64..300];
    let ago = prop_oneof![6 => 0i64..20, 2 => -40i64..300, 1 => -90_000i64..90_000, 1 => Just(i64::MAX)];
    prop::collection::vec((1u128..4, step, ago, campaign()), 0..250).prop_map(|drawn| {
        let mut now = 100_000;
        let mut events = Vec::new();
        for (device, step, ago, campaign) in drawn {
            now += step;
            let time = if ago == i64::MAX { 5_000 } else { now - ago };
            events.push(SessionEvent { message: events.len() as u128, campaign, ..event(device, time, now) });
        }
        events
    })
}

/// One device with many more sessions than it keeps.
fn crowd() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop::collection::vec((0i64..5_000, campaign()), 100..400).prop_map(|drawn| {
        let mut events = Vec::new();
        for (i, (time, campaign)) in (0..).zip(drawn) {
            let message = events.len() as u128;
            events.push(SessionEvent { message, campaign, ..event(1, time, 10_000 + i / 3) });
        }
        events
    })
}

fn any_stream() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop_oneof![4 => stream().boxed(), 1 => crowd().boxed()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn steps_follow_the_rule_word_by_word(events in any_stream(), split: bool) {
        let folded = steps(&mut sessions(split), &events);
        let expected = by_the_word(&events, split);
        let mut names = HashMap::new();
        for (i, (step, (session, start, number, elapsed))) in folded.iter().zip(&expected).enumerate() {
            let got = (step.start_micros, step.number, step.elapsed_micros, step.is_new);
            prop_assert_eq!(got, (*start, *number, *elapsed, *number == 1), "event {}", i);
            prop_assert_eq!(*names.entry(*session).or_insert(step.id), step.id, "event {}", i);
        }
        // One id for each session, and one session for each id.
        let ids: HashSet<_> = names.values().collect();
        prop_assert_eq!(ids.len(), names.len());
    }

    #[test]
    fn numbers_of_a_session_have_no_gap(events in any_stream(), split: bool) {
        let mut last: HashMap<SessionId, u32> = HashMap::new();
        for step in steps(&mut sessions(split), &events) {
            let before = last.insert(step.id, step.number).unwrap_or(0);
            prop_assert_eq!(step.number, before + 1);
        }
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_goes_on_like_an_uncut_one(
        events in any_stream(), cut: prop::sample::Index, split: bool, turn: usize, repeated: bool,
    ) {
        let cut = cut.index(events.len() + 1);
        // Also when the same messages come again and again.
        let message = |e: &SessionEvent| if repeated { e.message % 3 } else { e.message };
        let events: Vec<SessionEvent> = events.iter().map(|e| SessionEvent { message: message(e), ..*e }).collect();
        let uncut = steps(&mut sessions(split), &events);
        let mut rebuilt = rebuilt(split, &events[..cut], &uncut, turn);
        prop_assert_eq!(steps(&mut rebuilt, &events[cut..]), &uncut[cut..]);
    }

    #[test]
    fn the_order_of_devices_changes_no_step(events in stream()) {
        let mixed = steps(&mut sessions(true), &events);
        for device in 1u8..4 {
            let is_own = |i: &usize| events[*i].device as u8 == device;
            let own: Vec<usize> = (0..events.len()).filter(is_own).collect();
            let alone: Vec<SessionEvent> = own.iter().map(|i| events[*i]).collect();
            let of_mixed: Vec<SessionStep> = own.iter().map(|i| mixed[*i]).collect();
            prop_assert_eq!(steps(&mut sessions(true), &alone), of_mixed);
        }
    }

    #[test]
    fn a_shard_split_and_merged_again_makes_the_sessions_of_an_undivided_one(
        events in any_stream(), cuts: [prop::sample::Index; 2], restart: bool, turn: usize,
    ) {
        let mut cuts = cuts.map(|cut| cut.index(events.len() + 1));
        cuts.sort_unstable();
        let whole = steps(&mut sessions(true), &events);

        let mut parent = sessions(true);
        let mut made = steps(&mut parent, &events[..cuts[0]]);
        if restart {
            parent = rebuilt(true, &events[..cuts[0]], &made, turn);
        }
        let mut children = [sessions(true), sessions(true)];
        children.iter_mut().for_each(|child| child.inherit(&parent));
        for event in &events[cuts[0]..cuts[1]] {
            made.push(fold(&mut children[(event.device % 2) as usize], event));
        }
        let mut merged = sessions(true);
        children.iter().rev().for_each(|child| merged.inherit(child));
        made.extend(steps(&mut merged, &events[cuts[1]..]));
        prop_assert_eq!(made, whole);
    }
}

#[test]
fn an_event_within_the_gap_joins_and_one_beyond_begins() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    let joined = fold(&mut sessions, &event(1, 1_030, 1_030));
    let begun = fold(&mut sessions, &event(1, 1_061, 1_061));
    assert_eq!((first.number, first.elapsed_micros, first.is_new), (1, 0, true));
    assert_eq!((joined.id, joined.number, joined.elapsed_micros, joined.is_new), (first.id, 2, 30 * SECOND, false));
    assert_eq!((begun.number, begun.start_micros), (1, 1_061 * SECOND));
}

#[test]
fn an_earlier_event_joins_without_moving_the_start() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    fold(&mut sessions, &event(1, 1_010, 1_010));
    let earlier = fold(&mut sessions, &event(1, 970, 1_011));
    let too_early = fold(&mut sessions, &event(1, 969, 1_012));
    assert_eq!((earlier.id, earlier.number, earlier.elapsed_micros), (first.id, 3, 10 * SECOND));
    assert!(too_early.is_new);
}

#[test]
fn a_session_ends_at_its_longest_length() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    for time in (1_020..=1_200).step_by(20) {
        assert_eq!(fold(&mut sessions, &event(1, time, time)).id, first.id);
    }
    assert!(fold(&mut sessions, &event(1, 1_201, 1_201)).is_new);
}

#[test]
fn a_late_upload_forms_a_session_of_its_own() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    assert_eq!(fold(&mut sessions, &event(1, 1_001, 1_060)).id, first.id);
    let late = fold(&mut sessions, &event(1, 1_002, 1_121));
    assert!(late.is_new);
    assert_eq!(fold(&mut sessions, &event(1, 1_003, 1_122)).id, late.id);
}

#[test]
fn an_event_far_ahead_by_its_own_claim_ends_no_session() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    let other = fold(&mut sessions, &event(2, 1_001, 1_001));
    for device in [1, 2] {
        assert!(fold(&mut sessions, &event(device, 1_000 + 23 * 3_600, 1_005)).is_new);
    }
    assert_eq!(fold(&mut sessions, &event(1, 1_010, 1_010)).id, first.id);
    assert_eq!(fold(&mut sessions, &event(2, 1_010, 1_010)).id, other.id);
}

#[test]
fn another_campaign_begins_a_session_only_where_campaigns_split() {
    for split in [false, true] {
        let mut sessions = sessions(split);
        let [a, b] = [1, 2].map(|hash| Some(Campaign::from_hash(hash)));
        let first = fold(&mut sessions, &SessionEvent { campaign: a, ..event(1, 1_000, 1_000) });
        let none = fold(&mut sessions, &SessionEvent { campaign: None, ..event(1, 1_001, 1_001) });
        let other = fold(&mut sessions, &SessionEvent { campaign: b, ..event(1, 1_000, 1_002) });
        assert_eq!(none.id, first.id);
        assert_eq!(other.is_new, split);
        assert_eq!(other.id != first.id, split, "the same start must not mean the same session");
    }
}

#[test]
fn the_same_event_accepted_again_long_after_begins_a_session_with_its_own_id() {
    let mut sessions = sessions(false);
    let first = fold(&mut sessions, &event(1, 1_000, 1_000));
    let again = fold(&mut sessions, &event(1, 1_000, 1_061));
    assert!(again.is_new && again.id != first.id);
}

#[test]
fn an_event_without_a_device_has_no_session() {
    let mut sessions = sessions(false);
    assert_eq!(sessions.fold(&event(0, 1, 1)), None);
    assert!(sessions.is_empty());
}

#[test]
fn times_at_the_ends_of_the_calendar_are_folded() {
    let mut sessions = sessions(false);
    for stream_time in [i64::MIN, 0, i64::MAX] {
        for time in [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX] {
            let event = SessionEvent { event_time_micros: time, stream_time_micros: stream_time, ..event(1, 0, 0) };
            assert_eq!(fold(&mut sessions, &event).elapsed_micros, 0);
        }
    }
}

#[test]
fn a_device_keeps_the_sessions_that_were_touched_last() {
    let mut sessions = sessions(false);
    for i in 0..100 {
        assert!(fold(&mut sessions, &event(1, i * 1_000, 10_000 + i / 10)).is_new);
    }
    assert_eq!(sessions.len(), SESSIONS_PER_DEVICE);
    assert!(fold(&mut sessions, &event(1, 35_001, 10_010)).is_new);
    assert_eq!(fold(&mut sessions, &event(1, 40_001, 10_010)).number, 2);
}

#[test]
fn of_what_two_parents_know_of_a_session_the_later_counts() {
    let mut ancestor = sessions(false);
    fold(&mut ancestor, &event(1, 1_000, 1_000));
    let mut parents = [sessions(false), sessions(false)];
    parents.iter_mut().for_each(|parent| parent.inherit(&ancestor));
    steps(&mut parents[0], &[event(1, 1_010, 1_010), event(1, 1_020, 1_020)]);
    for order in [[0, 1], [1, 0]] {
        let mut child = sessions(false);
        order.iter().for_each(|parent| child.inherit(&parents[*parent]));
        let step = fold(&mut child, &event(1, 1_030, 1_030));
        assert_eq!((step.number, step.elapsed_micros, child.len()), (4, 30 * SECOND, 1));
    }
}

#[test]
fn forgotten_sessions_give_their_memory_back() {
    let mut sessions = sessions(false);
    for second in 1..10_000 {
        fold(&mut sessions, &event(second as u128, second, second));
    }
    sessions.forget();
    assert_eq!(sessions.len(), 61);
}

#[test]
fn a_session_costs_sixty_to_sixty_eight_bytes() {
    let mut sessions = Sessions::new(&SessionSettings::default()).expect("valid settings");
    let mut sizes = Vec::new();
    for i in 1..=1_000_000u32 {
        let device = xxhash_rust::xxh3::xxh3_128(&i.to_le_bytes());
        fold(&mut sessions, &SessionEvent { device, ..event(1, 1_000, 1_000) });
        if i % 50_000 == 0 {
            sizes.push(sessions.memory_bytes() as f64 / f64::from(i));
        }
    }
    assert!(sizes.iter().all(|size| (60.0..=68.0).contains(size)), "{sizes:?}");
}
