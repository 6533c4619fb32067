//! The rule of identities against a plain replay, against cuts and against other orders of devices.

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

fn fold(identities: &mut Identities, said: &Said) -> Answer {
    let binds = match said.binds {
        Kind::Track => Binds::Nothing,
        Kind::Identify => Binds::Device,
        Kind::Alias { previous } => Binds::Previous { previous: device(previous) },
    };
    let user = said.user.map(user);
    let call = Call { binds, device: device(said.device), user: user.as_deref() };
    let resolved = identities.fold(&call).expect("below the ceiling");
    (resolved.user.map(str::to_owned), resolved.reason, resolved.edges)
}

fn answers(identities: &mut Identities, calls: &[Said]) -> Vec<Answer> {
    calls.iter().map(|said| fold(identities, said)).collect()
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
        let folded = answers(&mut Identities::new(100), &calls);
        let expected: Vec<Answer> = (1..=calls.len()).map(|upto| by_the_word(&calls[..upto])).collect();
        prop_assert_eq!(folded, expected);
    }

    #[test]
    fn a_stream_cut_and_rebuilt_anywhere_goes_on_like_an_uncut_one(
        calls in any_calls(), cut: prop::sample::Index, turn: usize,
    ) {
        let cut = cut.index(calls.len() + 1);
        let uncut = answers(&mut Identities::new(100), &calls);
        let mut rows = Vec::new();
        for (said, (user, _, edges)) in calls[..cut].iter().zip(&uncut) {
            let previous = if let Kind::Alias { previous } = said.binds { previous } else { 0 };
            let edges = [(said.device, edges.device), (previous, edges.previous)];
            rows.extend(edges.into_iter().filter_map(|(id, edge)| Some((id, user.clone()?, edge?))));
        }
        if !rows.is_empty() {
            let turn = turn % rows.len();
            rows.rotate_left(turn);
            rows[turn / 2..].reverse();
        }
        let mut rebuilt = Identities::new(100);
        for (id, user, edge) in rows {
            rebuilt.remember(device(id), &user, edge.kind, edge.binding_number).expect("below the ceiling");
        }
        prop_assert_eq!(answers(&mut rebuilt, &calls[cut..]), &uncut[cut..]);
    }

    #[test]
    fn the_order_of_devices_changes_no_answer_unless_one_aliases_another(calls in calls(Just(None))) {
        let mixed = answers(&mut Identities::new(100), &calls);
        let mut by_device: Vec<usize> = (0..calls.len()).collect();
        by_device.sort_by_key(|i| calls[*i].device);
        let mut identities = Identities::new(100);
        for i in by_device {
            prop_assert_eq!(&fold(&mut identities, &calls[i]), &mixed[i]);
        }
    }
}

fn identify(device: u128, user: &str) -> Call<'_> {
    Call { binds: Binds::Device, device, user: Some(user) }
}

fn track(device: u128) -> Call<'static> {
    Call { binds: Binds::Nothing, device, user: None }
}

#[test]
fn a_device_belongs_to_the_person_who_identified_last() {
    let mut identities = Identities::new(10);
    assert_eq!(identities.fold(&track(1)).expect("room").reason, Reason::None);
    let edge = identities.fold(&identify(1, "ann")).expect("room").edges.device.expect("has a device");
    assert_eq!((edge.binding_number, edge.is_new), (1, true));
    let edge = identities.fold(&identify(1, "bob")).expect("room").edges.device.expect("has a device");
    assert_eq!((edge.binding_number, edge.is_new), (2, true));
    let resolved = identities.fold(&track(1)).expect("room");
    assert_eq!((resolved.user, resolved.reason), (Some("bob"), Reason::Identify));
}

#[test]
fn the_same_binding_again_keeps_its_number() {
    let mut identities = Identities::new(10);
    for is_new in [true, false, false] {
        let edge = identities.fold(&identify(1, "ann")).expect("room").edges.device;
        assert_eq!(edge, Some(Edge { kind: EdgeKind::Identify, binding_number: 1, is_new }));
    }
}

#[test]
fn an_event_with_both_ids_that_is_no_identify_binds_nothing() {
    let mut identities = Identities::new(10);
    let resolved = identities.fold(&Call { user: Some("ann"), ..track(1) }).expect("room");
    assert_eq!((resolved.user, resolved.reason, resolved.edges), (Some("ann"), Reason::Event, Edges::default()));
    assert_eq!(identities.fold(&track(1)).expect("room").user, None);
}

#[test]
fn an_alias_of_the_device_itself_is_one_edge() {
    let mut identities = Identities::new(10);
    let call = Call { binds: Binds::Previous { previous: 1 }, device: 1, user: Some("ann") };
    let edges = identities.fold(&call).expect("room").edges;
    assert!(edges.device.is_some() && edges.previous.is_none());
    assert_eq!(identities.fold(&track(1)).expect("room").reason, Reason::Alias);
}

#[test]
fn an_alias_between_persons_moves_no_device() {
    let mut identities = Identities::new(10);
    let ann = 77; // hash of the userId `ann`
    identities.fold(&identify(1, "ann")).expect("room");
    let call = Call { binds: Binds::Previous { previous: ann }, device: NO_DEVICE, user: Some("ann@example.com") };
    assert!(identities.fold(&call).expect("room").edges.previous.is_some());
    assert_eq!(identities.fold(&track(1)).expect("room").user, Some("ann"));
}

#[test]
fn the_last_number_keeps_its_binding() {
    let mut identities = Identities::new(10);
    identities.remember(1, "ann", EdgeKind::Alias, MAX_BINDINGS).expect("room");
    assert_eq!(identities.fold(&identify(1, "bob")).expect("room").edges, Edges::default());
    let resolved = identities.fold(&track(1)).expect("room");
    assert_eq!((resolved.user, resolved.reason), (Some("ann"), Reason::Alias));
}

#[test]
fn a_person_of_255_bytes_is_bound_and_a_longer_one_is_not() {
    let mut identities = Identities::new(10);
    let longest = "x".repeat(255);
    identities.fold(&identify(1, &longest)).expect("room");
    let too_long = "x".repeat(256);
    let resolved = identities.fold(&identify(1, &too_long)).expect("room");
    assert_eq!((resolved.reason, resolved.edges), (Reason::Event, Edges::default()));
    assert_eq!(identities.fold(&track(1)).expect("room").user, Some(longest.as_str()));
}

#[test]
fn the_ceiling_is_an_error_that_names_the_setting() {
    let mut identities = Identities::new(2);
    for device in 1..=2 {
        identities.fold(&identify(device, "ann")).expect("room");
    }
    identities.fold(&identify(2, "bob")).expect("binding again needs no room");
    let error = identities.fold(&identify(3, "ann")).expect_err("three do not fit");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("identity_max_devices") && error.message().contains("nothing is lost"), "{error}");
}

#[test]
fn a_device_that_changes_hands_for_ever_needs_no_more_memory() {
    let mut identities = Identities::new(10);
    for i in 0..100_000 {
        identities.fold(&identify(1, &format!("user-{i}"))).expect("room");
    }
    assert!(identities.memory_bytes() < 30_000, "{} bytes", identities.memory_bytes());
    assert_eq!(identities.fold(&track(1)).expect("room").user, Some("user-99999"));
}
