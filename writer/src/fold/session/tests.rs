//! The rule of sessions against a plain reading of it, against cuts, and against other orders of devices.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const GAP: i64 = 30;
const MAX_LENGTH: i64 = 200;
const OPEN_FOR: i64 = 60;
const WINDOW: i64 = 120;
const NO_HORIZONS: Horizons = [i64::MIN; 4];

/// The common horizon, and those of shards 1 to 3.
type Horizons = [i64; 4];

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

/// An event of `device` at a time and an arrival in seconds.
fn event(device: u128, time: i64, arrival: i64) -> SessionEvent {
    SessionEvent {
        shard: 1,
        device: device << 100 | device,
        message: time as u128,
        event_time_micros: time * SECOND,
        arrival_micros: arrival * SECOND,
        campaign: None,
    }
}

fn fold(sessions: &mut Sessions, event: &SessionEvent) -> SessionStep {
    sessions.fold(event, &NO_HORIZONS).expect("below the ceiling").expect("has a device")
}

/// Takes an event into account.
fn advance(horizons: &mut Horizons, event: &SessionEvent) {
    for shard in [0, event.shard] {
        let own = &mut horizons[usize::from(shard)];
        *own = (event.arrival_micros - WINDOW * SECOND).max(*own);
    }
}

/// The horizons at each event.
fn horizons(events: &[SessionEvent]) -> Vec<Horizons> {
    let horizons = events.iter().scan(NO_HORIZONS, |horizons, event| {
        advance(horizons, event);
        Some(*horizons)
    });
    horizons.collect()
}

/// Folds a part of a stream.
fn steps(sessions: &mut Sessions, events: &[SessionEvent], horizons: &[Horizons]) -> Vec<SessionStep> {
    let step = |(event, horizons): (_, &Horizons)| sessions.fold(event, horizons).expect("below the ceiling");
    events.iter().zip(horizons).map(step).map(|step| step.expect("has a device")).collect()
}

/// A session as the list of its events, and the rule of the module's documentation, word by word.
#[derive(Debug)]
struct ByTheWord(Vec<SessionEvent>);

impl ByTheWord {
    fn start(&self) -> i64 {
        self.0[0].event_time_micros
    }

    fn latest(&self) -> i64 {
        self.0.iter().map(|e| e.event_time_micros).max().expect("a session has events").max(self.start())
    }

    fn latest_arrival(&self) -> i64 {
        self.0.iter().map(|e| e.arrival_micros).max().expect("a session has events")
    }

    fn is_visible(&self, shard: u16, horizons: &Horizons) -> bool {
        let is_own = self.0.last().expect("a session has events").shard == shard;
        self.latest_arrival() >= horizons[usize::from(shard)] && (is_own || self.latest_arrival() >= horizons[0])
    }

    fn opening(&self) -> Opening {
        Opening::new(self.0[0].campaign, self.0[0].message, self.0[0].arrival_micros)
    }

    fn fits(&self, event: &SessionEvent, split: bool) -> bool {
        let (t, start, latest) = (event.event_time_micros, self.start(), self.latest());
        t >= start - GAP * SECOND
            && t <= latest + GAP * SECOND
            && t.max(latest) - t.min(start) <= MAX_LENGTH * SECOND
            && event.arrival_micros <= self.latest_arrival() + OPEN_FOR * SECOND
            && event.arrival_micros >= self.latest_arrival() - OPEN_FOR * SECOND
            && !(split && event.campaign.is_some() && event.campaign != self.0[0].campaign)
    }
}

/// Returns for each event the number of its session, in the order of beginning, and start, number and elapsed.
fn by_the_word(events: &[SessionEvent], split: bool) -> Vec<(usize, i64, u32, i64)> {
    let mut all: Vec<ByTheWord> = Vec::new();
    let mut decided = Vec::new();
    for (event, horizons) in events.iter().zip(horizons(events)) {
        let mut kept: Vec<usize> = (0..all.len()).filter(|s| all[*s].0[0].device == event.device).collect();
        kept.sort_by_key(|s| (all[*s].latest_arrival(), all[*s].start(), all[*s].opening()));
        let kept = &kept[kept.len().saturating_sub(SESSIONS_PER_DEVICE)..];
        let fitting =
            kept.iter().filter(|s| all[**s].is_visible(event.shard, &horizons) && all[**s].fits(event, split));
        let joined = fitting.max_by_key(|s| (all[**s].start(), all[**s].latest_arrival(), all[**s].opening()));
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
        shard: event.shard,
        device: event.device,
        id: step.id,
        start_micros: step.start_micros,
        number: step.number,
        elapsed_micros: step.elapsed_micros,
        arrival_micros: event.arrival_micros,
    }
}

fn campaign() -> impl Strategy<Value = Option<Campaign>> {
    prop_oneof![3 => Just(None), 1 => (1u64..4).prop_map(|hash| Some(Campaign::from_hash(hash)))]
}

/// Some devices, a clock of arrivals that mostly moves on, event times near it, far from it and always the same.
fn stream() -> impl Strategy<Value = Vec<SessionEvent>> {
    let arrival = prop_oneof![6 => 0i64..15, 2 => -50i64..50, 1 => -300i64..300];
    let ago = prop_oneof![6 => 0i64..20, 2 => -40i64..300, 1 => Just(i64::MAX)];
    prop::collection::vec((1u128..4, arrival, ago, campaign()), 0..250).prop_map(|drawn| {
        let mut now = 10_000;
        let mut events = Vec::new();
        for (device, arrival, ago, campaign) in drawn {
            now += arrival.max(0);
            let arrival = now + arrival.min(0);
            let time = if ago == i64::MAX { 5_000 } else { arrival - ago };
            events.push(SessionEvent { message: events.len() as u128, campaign, ..event(device, time, arrival) });
        }
        events
    })
}

/// One device with many more sessions than it keeps.
fn crowd() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop::collection::vec((0i64..5_000, -20i64..3, campaign()), 100..400).prop_map(|drawn| {
        let mut events = Vec::new();
        for (i, (time, jitter, campaign)) in (0..).zip(drawn) {
            let message = events.len() as u128;
            events.push(SessionEvent { message, campaign, ..event(1, time, 10_000 + i / 3 + jitter) });
        }
        events
    })
}

/// Arrivals in disorder over the whole window, so that the newest row of a session may lie before the horizon.
fn disorder() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop::collection::vec((1u128..4, 0i64..15, 0i64..125, 0i64..10), 0..100).prop_map(|drawn| {
        let mut now = 10_000;
        let mut events = Vec::new();
        for (device, step, late, ago) in drawn {
            now += step;
            events.push(SessionEvent { message: events.len() as u128, ..event(device, now - ago, now - late) });
        }
        events
    })
}

/// Three shards with clocks of their own, which stand still, go on and leap; devices come through all of them. Few
/// enough events that no device has more sessions than it keeps.
fn apart() -> impl Strategy<Value = Vec<SessionEvent>> {
    let ahead = || prop_oneof![2 => Just(0i64), 2 => 0i64..200, 1 => 0i64..3_000];
    let step = prop_oneof![6 => 0i64..15, 1 => 0i64..100, 1 => 100i64..400];
    let event_of = (1u16..4, 1u128..4, step, prop_oneof![6 => 0i64..20, 1 => 20i64..130], 0i64..20);
    let clocks = prop::collection::vec(ahead(), 4);
    (clocks, prop::collection::vec(event_of, 0..120), prop::collection::vec(0usize..120, 4)).prop_map(
        |(mut clocks, drawn, rests_from)| {
            let mut events = Vec::new();
            for (i, (shard, device, step, late, ago)) in drawn.into_iter().enumerate() {
                let place = usize::from(shard);
                // Shard 3 goes idle.
                let shard = if place == 3 && i > rests_from[0] { 1 } else { shard };
                let clock = &mut clocks[usize::from(shard)];
                *clock += step;
                let arrival = 10_000 + *clock - late;
                events.push(SessionEvent { shard, message: i as u128, ..event(device, arrival - ago, arrival) });
            }
            events
        },
    )
}

/// One shard runs far ahead, a second one lags; one device moves between them while they are close.
fn takeovers() -> impl Strategy<Value = Vec<SessionEvent>> {
    let event_of = (prop_oneof![Just(1u16), Just(2)], 1u128..3, 0i64..12);
    let drawn = prop::collection::vec(event_of, 1..30);
    (prop::collection::vec(drawn, 1..4), 0i64..400).prop_map(|(meetings, ahead)| {
        let mut events: Vec<SessionEvent> = Vec::new();
        let mut clock = 10_000;
        for meeting in meetings {
            for (shard, device, step) in meeting {
                clock += step;
                events.push(SessionEvent { shard, ..event(device, clock, clock) });
            }
            let far = clock + ahead;
            events.push(SessionEvent { shard: 1, ..event(3, far, far) });
        }
        for (i, event) in events.iter_mut().enumerate() {
            event.message = i as u128;
        }
        events
    })
}

/// A stream that comes again through another shard, when the first one is far ahead.
fn replayed() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop::collection::vec((1u128..4, 0i64..25, 0i64..20), 0..60).prop_map(|drawn| {
        let mut events: Vec<SessionEvent> = Vec::new();
        let mut now = 10_000;
        for (device, step, ago) in drawn {
            now += step;
            events.push(SessionEvent { message: events.len() as u128, ..event(device, now - ago, now) });
        }
        let again: Vec<SessionEvent> = events.iter().map(|event| SessionEvent { shard: 2, ..*event }).collect();
        events.push(event(9, now + 5_000, now + 5_000));
        events.extend(again);
        events
    })
}

fn any_stream() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop_oneof![
        4 => stream().boxed(), 1 => crowd().boxed(), 2 => disorder().boxed(),
        4 => apart().boxed(), 2 => takeovers().boxed(),
    ]
}

/// Events with the lag of their shard in seconds: the place of an event in the stream is its index here.
fn steady_stream() -> impl Strategy<Value = Vec<SessionEvent>> {
    prop::collection::vec((1u128..6, 0i64..20, 0i64..30, -40i64..200, campaign()), 0..250).prop_map(|drawn| {
        let mut now = 10_000;
        let mut events = Vec::new();
        for (device, step, jitter, ago, campaign) in drawn {
            now += step;
            // Seconds are the place in the stream, microseconds keep it for `laggards`.
            let mut next = event(device, now - ago, now + jitter);
            (next.message, next.campaign) = (now as u128, campaign);
            events.push(next);
        }
        events
    })
}

/// Returns the order in which events are folded when each device's shard lags by so many seconds.
fn laggards(events: &[SessionEvent], lags: &[i64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|i| events[*i].message as i64 + lags[events[*i].device as u8 as usize]);
    order
}

/// Folds in the given order, where each device is in one of two shards, and in the other from the middle on.
fn steps_in_shards(events: &[SessionEvent], order: &[usize]) -> Vec<Option<SessionStep>> {
    let mut sessions = sessions(true);
    let mut steps = vec![None; events.len()];
    let mut horizons = NO_HORIZONS;
    for i in order {
        let shard = 1 + (events[*i].device as u16 + u16::from(*i > events.len() / 2)) % 2;
        let event = SessionEvent { shard, ..events[*i] };
        advance(&mut horizons, &event);
        steps[*i] = sessions.fold(&event, &horizons).expect("below the ceiling");
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn steps_follow_the_rule_word_by_word(events in any_stream(), split: bool) {
        let folded = steps(&mut sessions(split), &events, &horizons(&events));
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
        for step in steps(&mut sessions(split), &events, &horizons(&events)) {
            let before = last.insert(step.id, step.number).unwrap_or(0);
            prop_assert_eq!(step.number, before + 1);
        }
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_goes_on_like_an_uncut_one(
        events in prop_oneof![6 => any_stream().boxed(), 1 => replayed().boxed()],
        cut: prop::sample::Index, split: bool, turn: usize, repeated: bool,
    ) {
        let cut = cut.index(events.len() + 1);
        // Also when the same messages come again and again.
        let message = |e: &SessionEvent| if repeated { e.message % 3 } else { e.message };
        let events: Vec<SessionEvent> = events.iter().map(|e| SessionEvent { message: message(e), ..*e }).collect();
        let horizons = horizons(&events);
        let uncut = steps(&mut sessions(split), &events, &horizons);

        let at_cut = cut.checked_sub(1).map_or(NO_HORIZONS, |last| horizons[last]);
        let mut rebuild = SessionsRebuild::new(&settings(split), &at_cut, WINDOW * SECOND).expect("valid settings");
        let mut rows: Vec<SessionRow> = events[..cut].iter().zip(&uncut).map(|(e, s)| row(e, s)).collect();
        if !rows.is_empty() {
            let turn = turn % rows.len();
            rows.rotate_left(turn);
            rows[turn / 2..].reverse();
        }
        rows.iter().for_each(|row| rebuild.remember(row));
        let mut rebuilt = rebuild.finish().expect("below the ceiling");
        prop_assert_eq!(steps(&mut rebuilt, &events[cut..], &horizons[cut..]), &uncut[cut..]);
    }

    #[test]
    fn neither_the_order_of_devices_nor_a_reshard_changes_a_step(
        events in steady_stream(), lags in prop::collection::vec(0i64..30, 6),
    ) {
        // Arrivals are out of order by less than 30 s inside a device and less than 60 s over all: window - open for.
        let in_order: Vec<usize> = (0..events.len()).collect();
        let mut alone = vec![None; events.len()];
        for device in 1u8..6 {
            let is_own = |i: &usize| events[*i].device as u8 == device;
            let own: Vec<usize> = in_order.iter().copied().filter(is_own).collect();
            let steps = steps_in_shards(&events, &own);
            own.iter().for_each(|i| alone[*i] = steps[*i]);
        }
        prop_assert_eq!(&steps_in_shards(&events, &in_order), &alone);
        prop_assert_eq!(&steps_in_shards(&events, &laggards(&events, &lags)), &alone);
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
    for arrival in [1_050, 1_100] {
        fold(&mut sessions, &event(1, 1_000, arrival));
    }
    let again = fold(&mut sessions, &event(1, 1_000, 1_000));
    assert!(again.is_new && again.id != first.id);
}

#[test]
fn an_event_without_a_device_has_no_session() {
    let mut sessions = sessions(false);
    assert_eq!(sessions.fold(&event(0, 1, 1), &NO_HORIZONS).expect("below the ceiling"), None);
    assert!(sessions.is_empty());
}

#[test]
fn times_at_the_ends_of_the_calendar_are_folded() {
    let mut sessions = sessions(false);
    for time in [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX] {
        let event = SessionEvent { event_time_micros: time, arrival_micros: time, ..event(1, 0, 0) };
        assert_eq!(fold(&mut sessions, &event).elapsed_micros, 0);
    }
}

#[test]
fn a_device_keeps_the_sessions_that_arrived_last() {
    let mut sessions = sessions(false);
    for i in 0..100 {
        assert!(fold(&mut sessions, &event(1, i * 1_000, 10_000 + i / 10)).is_new);
    }
    assert_eq!(sessions.len(), SESSIONS_PER_DEVICE);
    assert!(fold(&mut sessions, &event(1, 35_001, 10_010)).is_new);
    assert_eq!(fold(&mut sessions, &event(1, 40_001, 10_010)).number, 2);
}

#[test]
fn the_ceiling_is_an_error_that_names_the_setting() {
    let settings = SessionSettings { max_open: 100, ..settings(false) };
    let mut sessions = Sessions::new(&settings).expect("valid settings");
    for device in 1..=100 {
        fold(&mut sessions, &event(device, 1_000, 1_000));
    }
    assert_eq!(fold(&mut sessions, &event(100, 1_001, 1_001)).number, 2, "joining needs no room");
    let error = sessions.fold(&event(101, 1_000, 1_000), &NO_HORIZONS).expect_err("101 sessions do not fit");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("max_open") && error.message().contains("nothing is lost"), "{error}");
}

#[test]
fn forgotten_sessions_make_room_below_the_ceiling() {
    let settings = SessionSettings { max_open: 150, ..settings(false) };
    let mut sessions = Sessions::new(&settings).expect("valid settings");
    let mut horizons = NO_HORIZONS;
    for second in 1..10_000 {
        let event = event(second as u128, second, second);
        advance(&mut horizons, &event);
        sessions.fold(&event, &horizons).expect("121 sessions are live");
    }
    assert!(sessions.len() <= 150);
}

/// Folds ten events of one device, 10 s apart, from this second on in this shard; returns how many sessions they begin.
fn begun(sessions: &mut Sessions, horizons: &mut Horizons, shard: u16, device: u128, from: i64) -> usize {
    let events = (0..10).map(|i| SessionEvent { shard, ..event(device, from + i * 10, from + i * 10) });
    let is_new = |event: SessionEvent| {
        advance(horizons, &event);
        sessions.fold(&event, horizons).expect("below the ceiling").expect("has a device").is_new
    };
    events.map(is_new).filter(|is_new| *is_new).count()
}

#[test]
fn a_shard_that_lags_behind_others_sees_its_own_sessions() {
    let (mut sessions, mut horizons) = (sessions(false), NO_HORIZONS);
    assert_eq!(begun(&mut sessions, &mut horizons, 1, 1, 100_000), 1);
    assert_eq!(begun(&mut sessions, &mut horizons, 2, 2, 10_000), 1);
    assert_eq!(begun(&mut sessions, &mut horizons, 2, 1, 10_100), 1, "and not those of others");
    assert_eq!(begun(&mut sessions, &mut horizons, 3, 1, 100_100), 0, "which shards see that are as far");
}

#[test]
fn an_idle_shard_keeps_only_its_own_last_window() {
    let settings = SessionSettings { max_open: 200, ..settings(false) };
    let (mut sessions, mut horizons) = (Sessions::new(&settings).expect("valid settings"), NO_HORIZONS);
    begun(&mut sessions, &mut horizons, 1, 1, 1_000);
    for device in 2..1_000 {
        assert_eq!(begun(&mut sessions, &mut horizons, 2, device, 1_000 + device as i64 * 10), 1);
    }
    assert_eq!(begun(&mut sessions, &mut horizons, 1, 1, 1_100), 0, "it goes on where it was");
}

#[test]
fn rows_near_the_last_window_of_any_shard_are_needed() {
    let horizons = [i64::MIN, 1_000, 5_000, i64::MIN].map(|h| if h == i64::MIN { h } else { h * SECOND });
    let rebuild = SessionsRebuild::new(&settings(false), &horizons, WINDOW * SECOND).expect("valid settings");
    let since = |from: i64, to: i64| rebuild.needed_since(from * SECOND..=to * SECOND).map(|since| since / SECOND);
    assert_eq!(since(0, 10_000), Some(940));
    assert_eq!(since(0, 939), None);
    assert_eq!(since(1_000, 1_000), Some(1_000));
    assert_eq!(since(1_242, 4_939), None);
    assert_eq!(since(1_242, 4_940), Some(4_940));
    assert_eq!(since(5_242, i64::MAX / SECOND), None);
}

#[test]
fn a_session_costs_sixty_four_to_seventy_two_bytes() {
    let mut sessions = Sessions::new(&SessionSettings::default()).expect("valid settings");
    let mut sizes = Vec::new();
    for i in 1..=1_000_000u32 {
        let device = xxhash_rust::xxh3::xxh3_128(&i.to_le_bytes());
        fold(&mut sessions, &SessionEvent { device, ..event(1, 1_000, 1_000) });
        if i % 50_000 == 0 {
            sizes.push(sessions.memory_bytes() as f64 / f64::from(i));
        }
    }
    assert!(sizes.iter().all(|size| (64.0..=72.0).contains(size)), "{sizes:?}");
}
