//! The rule of identities against a plain replay, against cuts, splits and merges, and against other orders of devices.

use proptest::prelude::*;

use super::*;

/// What a call says, as drawn.
#[derive(Debug, Clone, Copy)]
struct Said {
    device: u8,
    user: Option<u8>,
    binds: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Track,
    Identify,
    Alias { previous: u8 },
}

/// What a fold answered, without borrows.
type Answer = (Option<String>, Reason, Edges);

fn device(i: u8) -> u128 {
    u128::from(i) << 120 | u128::from(i)
}

fn user(i: u8) -> String {
    format!("user-{i}")
}

/// `stream_time` of a call by its number in the stream: two a second.
fn time_of(number: usize) -> i64 {
    number as i64 * 500_000
}

fn fold(identities: &mut Identities, number: usize, said: &Said) -> Answer {
    let binds = match said.binds {
        Kind::Track => Binds::Nothing,
        Kind::Identify => Binds::Device,
        Kind::Alias { previous } => Binds::Previous { previous: device(previous) },
    };
    let user = said.user.map(user);
    let call = Call { binds, device: device(said.device), user: user.as_deref(), stream_time_micros: time_of(number) };
    let resolved = identities.fold(&call);
    (resolved.user.map(str::to_owned), resolved.reason, resolved.edges)
}

/// Answers of the calls of a stream from the number `from` on.
fn answers(identities: &mut Identities, from: usize, calls: &[Said]) -> Vec<Answer> {
    (from..).zip(calls).map(|(number, said)| fold(identities, number, said)).collect()
}

/// The state after `calls`, made of the rows that they made, in another order.
fn rebuilt(calls: &[Said], answers: &[Answer], turn: usize) -> Identities {
    let mut rows = Vec::new();
    for (number, (said, (user, _, edges))) in calls.iter().zip(answers).enumerate() {
        let previous = if let Kind::Alias { previous } = said.binds { previous } else { 0 };
        let edges = [(said.device, edges.device), (previous, edges.previous)];
        rows.extend(edges.into_iter().filter_map(|(id, edge)| Some((number, id, user.clone()?, edge?))));
    }
    if !rows.is_empty() {
        let turn = turn % rows.len();
        rows.rotate_left(turn);
        rows[turn / 2..].reverse();
    }
    let mut rebuilt = Identities::default();
    for (number, id, user, Edge { kind, binding_number, .. }) in &rows {
        let row = KnownBinding { user, kind: *kind, number: *binding_number, stream_time_micros: time_of(*number) };
        rebuilt.remember(device(*id), &row);
    }
    rebuilt
}

/// What the calls bound `known_id` to, in order: the person and the kind of call.
fn bindings(calls: &[Said], known_id: u8) -> Vec<(u8, EdgeKind)> {
    let bound = |said: &Said| match said.binds {
        Kind::Identify if said.device == known_id => Some((said.user?, EdgeKind::Identify)),
        Kind::Alias { previous } if said.device == known_id || previous == known_id => {
            Some((said.user?, EdgeKind::Alias))
        }
        _ => None,
    };
    let mut bound: Vec<_> = calls.iter().filter_map(bound).collect();
    bound.dedup();
    bound
}

/// The rule of the module's documentation, word by word, from the calls up to and with the last.
fn by_the_word(calls: &[Said]) -> Answer {
    let (said, earlier) = calls.split_last().expect("there is a call");
    let edge = |known_id: u8| {
        let (before, after) = (bindings(earlier, known_id), bindings(calls, known_id));
        let (_, kind) = *after.last()?;
        let edge = Edge { kind, binding_number: after.len() as u32, is_new: after.len() > before.len() };
        (known_id != 0).then_some(edge)
    };
    let Some(own) = said.user else {
        let last = bindings(earlier, said.device).pop().filter(|_| said.device != 0);
        let reason = last.map_or(Reason::None, |(_, kind)| kind.reason());
        return (last.map(|(i, _)| user(i)), reason, Edges::default());
    };
    let edges = match said.binds {
        Kind::Track => Edges::default(),
        Kind::Identify => Edges { device: edge(said.device), previous: None },
        Kind::Alias { previous } => {
            Edges { device: edge(said.device), previous: edge(previous).filter(|_| previous != said.device) }
        }
    };
    (Some(user(own)), Reason::Event, edges)
}

/// Devices 0 (none) to 5, and aliases of whatever `previous` makes.
fn calls(previous: impl Strategy<Value = Option<u8>> + Clone + 'static) -> impl Strategy<Value = Vec<Said>> {
    let kind = prop_oneof![2 => Just(0), 2 => Just(1), 1 => Just(2)];
    let call = (0u8..6, prop::option::of(0u8..4), kind, previous).prop_map(|(device, user, kind, previous)| Said {
        device,
        user,
        binds: match kind {
            0 => Kind::Track,
            1 => Kind::Identify,
            _ => Kind::Alias { previous: previous.unwrap_or(device) },
        },
    });
    prop::collection::vec(call, 0..120)
}

fn any_calls() -> impl Strategy<Value = Vec<Said>> {
    calls(prop::option::of(0u8..9))
}

proptest! {
    #[test]
    fn an_event_is_resolved_by_what_was_known_then_and_never_later(calls in any_calls()) {
        let folded = answers(&mut Identities::default(), 0, &calls);
        let expected: Vec<Answer> = (1..=calls.len()).map(|upto| by_the_word(&calls[..upto])).collect();
        prop_assert_eq!(folded, expected);
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_goes_on_like_an_uncut_one(
        calls in any_calls(), cut: prop::sample::Index, turn: usize,
    ) {
        let cut = cut.index(calls.len() + 1);
        let uncut = answers(&mut Identities::default(), 0, &calls);
        let mut rebuilt = rebuilt(&calls[..cut], &uncut, turn);
        prop_assert_eq!(answers(&mut rebuilt, cut, &calls[cut..]), &uncut[cut..]);
    }

    #[test]
    fn a_shard_split_and_merged_again_answers_like_an_undivided_one_unless_a_device_aliases_another(
        calls in calls(Just(None)), cuts: [prop::sample::Index; 2], restart: bool, turn: usize,
    ) {
        let mut cuts = cuts.map(|cut| cut.index(calls.len() + 1));
        cuts.sort_unstable();
        let whole = answers(&mut Identities::default(), 0, &calls);

        let mut parent = Identities::default();
        let mut made = answers(&mut parent, 0, &calls[..cuts[0]]);
        if restart {
            parent = rebuilt(&calls[..cuts[0]], &made, turn);
        }
        let mut children = [Identities::default(), Identities::default()];
        children.iter_mut().for_each(|child| child.inherit(&parent));
        for (number, said) in (cuts[0]..).zip(&calls[cuts[0]..cuts[1]]) {
            made.push(fold(&mut children[usize::from(said.device % 2)], number, said));
        }
        let mut merged = Identities::default();
        children.iter().rev().for_each(|child| merged.inherit(child));
        made.extend(answers(&mut merged, cuts[1], &calls[cuts[1]..]));
        prop_assert_eq!(made, whole);
    }

    #[test]
    fn parents_that_know_the_same_device_are_inherited_in_whatever_order(calls in any_calls(), sides: Vec<bool>) {
        let mut parents = [Identities::default(), Identities::default()];
        for (number, said) in calls.iter().enumerate() {
            let side = sides.get(number).copied().unwrap_or_default();
            fold(&mut parents[usize::from(side)], number / 8, said);
        }
        let mut children = [Identities::default(), Identities::default()];
        parents.iter().for_each(|parent| children[0].inherit(parent));
        parents.iter().rev().for_each(|parent| children[1].inherit(parent));
        for known_id in 0..9 {
            let calls = [Said { device: known_id, user: None, binds: Kind::Track }];
            prop_assert_eq!(answers(&mut children[0], 0, &calls), answers(&mut children[1], 0, &calls));
        }
    }

    #[test]
    fn the_order_of_devices_changes_no_answer_unless_one_aliases_another(calls in calls(Just(None))) {
        let mixed = answers(&mut Identities::default(), 0, &calls);
        let mut by_device: Vec<usize> = (0..calls.len()).collect();
        by_device.sort_by_key(|i| calls[*i].device);
        let mut identities = Identities::default();
        for i in by_device {
            prop_assert_eq!(&fold(&mut identities, i, &calls[i]), &mixed[i]);
        }
    }
}

fn identify(device: u128, user: &str) -> Call<'_> {
    Call { binds: Binds::Device, device, user: Some(user), stream_time_micros: 0 }
}

fn track(device: u128) -> Call<'static> {
    Call { binds: Binds::Nothing, device, user: None, stream_time_micros: 0 }
}

#[test]
fn a_device_belongs_to_the_person_who_identified_last() {
    let mut identities = Identities::default();
    assert_eq!(identities.fold(&track(1)).reason, Reason::None);
    let edge = identities.fold(&identify(1, "ann")).edges.device.expect("has a device");
    assert_eq!((edge.binding_number, edge.is_new), (1, true));
    let edge = identities.fold(&identify(1, "bob")).edges.device.expect("has a device");
    assert_eq!((edge.binding_number, edge.is_new), (2, true));
    let resolved = identities.fold(&track(1));
    assert_eq!((resolved.user, resolved.reason), (Some("bob"), Reason::Identify));
}

#[test]
fn the_same_binding_again_keeps_its_number() {
    let mut identities = Identities::default();
    for is_new in [true, false, false] {
        let edge = identities.fold(&identify(1, "ann")).edges.device;
        assert_eq!(edge, Some(Edge { kind: EdgeKind::Identify, binding_number: 1, is_new }));
    }
}

#[test]
fn an_event_with_both_ids_that_is_no_identify_binds_nothing() {
    let mut identities = Identities::default();
    let resolved = identities.fold(&Call { user: Some("ann"), ..track(1) });
    assert_eq!((resolved.user, resolved.reason, resolved.edges), (Some("ann"), Reason::Event, Edges::default()));
    assert_eq!(identities.fold(&track(1)).user, None);
}

#[test]
fn an_alias_of_the_device_itself_is_one_edge() {
    let mut identities = Identities::default();
    let call = Call { binds: Binds::Previous { previous: 1 }, ..identify(1, "ann") };
    let edges = identities.fold(&call).edges;
    assert!(edges.device.is_some() && edges.previous.is_none());
    assert_eq!(identities.fold(&track(1)).reason, Reason::Alias);
}

#[test]
fn an_alias_between_persons_moves_no_device() {
    let mut identities = Identities::default();
    let ann = 77; // hash of the userId `ann`
    identities.fold(&identify(1, "ann"));
    let call = Call { binds: Binds::Previous { previous: ann }, ..identify(NO_DEVICE, "ann@example.com") };
    assert!(identities.fold(&call).edges.previous.is_some());
    assert_eq!(identities.fold(&track(1)).user, Some("ann"));
}

#[test]
fn the_last_number_keeps_its_binding() {
    let mut identities = Identities::default();
    let last = KnownBinding { user: "ann", kind: EdgeKind::Alias, number: MAX_BINDINGS, stream_time_micros: 0 };
    identities.remember(1, &last);
    assert_eq!(identities.fold(&identify(1, "bob")).edges, Edges::default());
    let resolved = identities.fold(&track(1));
    assert_eq!((resolved.user, resolved.reason), (Some("ann"), Reason::Alias));
}

#[test]
fn a_person_of_255_bytes_is_bound_and_a_longer_one_is_not() {
    let mut identities = Identities::default();
    let longest = "x".repeat(255);
    identities.fold(&identify(1, &longest));
    let too_long = "x".repeat(256);
    let resolved = identities.fold(&identify(1, &too_long));
    assert_eq!((resolved.reason, resolved.edges), (Reason::Event, Edges::default()));
    assert_eq!(identities.fold(&track(1)).user, Some(longest.as_str()));
}

#[test]
fn of_two_parents_the_greater_number_counts_and_of_equal_ones_the_later() {
    let bound = |user, number, second: i64| {
        let mut parent = Identities::default();
        let row = KnownBinding { user, kind: EdgeKind::Identify, number, stream_time_micros: second * 1_000_000 };
        parent.remember(1, &row);
        parent
    };
    for (ann, bob, expected) in [((2, 5), (1, 9), "ann"), ((2, 5), (2, 9), "bob"), ((2, 9), (2, 5), "ann")] {
        let parents = [bound("ann", ann.0, ann.1), bound("bob", bob.0, bob.1)];
        for order in [[0, 1], [1, 0]] {
            let mut child = Identities::default();
            order.iter().for_each(|parent| child.inherit(&parents[*parent]));
            assert_eq!(child.fold(&track(1)).user, Some(expected));
            assert_eq!(child.fold(&identify(1, "eve")).edges.device.map(|edge| edge.binding_number), Some(3));
        }
    }
}

#[test]
fn a_device_that_changes_hands_for_ever_needs_no_more_memory() {
    let mut identities = Identities::default();
    for i in 0..100_000 {
        identities.fold(&identify(1, &format!("user-{i}")));
    }
    assert!(identities.memory_bytes() < 30_000, "{} bytes", identities.memory_bytes());
    assert_eq!(identities.fold(&track(1)).user, Some("user-99999"));
}
