//! What the generator promises: same seed same bytes, an exact account, the right sizes.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;

const PLAN: Plan = Plan { events: 6_000, seed: 7, duplicates: 0.02, malformed: 0.02, late: 0.02 };

fn lines(plan: Plan) -> (Vec<u8>, Expectation) {
    let (mut out, mut generator) = (Vec::new(), Generator::new(plan));
    while generator.next_line(&mut out) {}
    (out, generator.expectation())
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_seed_others() {
    let (first, expectation) = lines(PLAN);
    assert_eq!(lines(PLAN), (first.clone(), expectation));
    assert_ne!(lines(Plan { seed: 8, ..PLAN }).0, first);
}

/// Pins the bytes for ever: measurements and recorded expectations depend on them.
#[test]
fn the_bytes_of_a_seed_never_change() {
    let (bytes, expectation) = lines(PLAN);
    let hash = bytes.iter().fold(0_u64, |hash, byte| random::mix(hash ^ u64::from(*byte)));
    insta::assert_snapshot!(format!("{} bytes, {hash:016x}", expectation.bytes), @"12176597 bytes, e3c94289e270012d");
}

#[test]
fn the_account_is_exact() {
    let (bytes, expectation) = lines(PLAN);
    let mut seen: HashMap<String, serde_json::Value> = HashMap::new();
    let (mut duplicates, mut cents) = (0, 0.0);
    let (mut users, mut devices, mut by_type) = (HashSet::new(), HashSet::new(), BTreeMap::new());
    let mut malformed_json = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(line) else {
            malformed_json += 1;
            continue;
        };
        if !is_well_formed(&event, line) {
            malformed_json += 1;
            continue;
        }
        let id = event["messageId"].as_str().expect("checked").to_owned();
        if let Some(first) = seen.get(&id) {
            duplicates += 1;
            assert_resent(first, &event);
            continue;
        }
        cents += (event["properties"]["revenue"].as_f64().unwrap_or(0.0) * 100.0).round();
        *by_type.entry(event["type"].as_str().expect("checked").to_owned()).or_insert(0) += 1;
        users.extend(event["userId"].as_str().map(str::to_owned));
        devices.extend(event["anonymousId"].as_str().map(str::to_owned));
        seen.insert(id, event);
    }
    let counted = Expectation {
        seed: 7,
        events: PLAN.events,
        bytes: bytes.len() as u64,
        unique_valid: seen.len() as u64,
        duplicates,
        malformed: malformed_json,
        distinct_users: users.len() as u64,
        distinct_devices: devices.len() as u64,
        revenue_cents: cents as u64,
        by_type,
        ..expectation.clone()
    };
    assert_eq!(counted, expectation);
    assert_eq!(expectation.unique_valid + expectation.duplicates + expectation.malformed, PLAN.events);
    assert_eq!(expectation.malformed_by.values().sum::<u64>(), expectation.malformed);
}

fn is_well_formed(event: &serde_json::Value, line: &[u8]) -> bool {
    let ids = line.windows(12).filter(|window| window == br#""messageId":"#).count();
    let time = event.get("originalTimestamp").or(event.get("timestamp")).and_then(|t| t.as_str());
    let named = event["type"] != "track" || event["event"].is_string();
    let user = event.get("userId").unwrap_or(&serde_json::Value::Null);
    ids == 1
        && event["messageId"].as_str().is_some_and(|id| !id.is_empty())
        && (event["anonymousId"].is_string() || user.is_string())
        && (user.is_string() || user.is_null())
        && event["context"].is_object()
        && !event["properties"].is_string()
        && !event["traits"].is_string()
        && event["type"].as_str().is_some_and(|kind| CallKind::ALL.iter().any(|k| k.name() == kind))
        && named
        && time.is_some_and(|time| time.starts_with("2026-01") || time.starts_with("2025-12"))
}

fn assert_resent(first: &serde_json::Value, again: &serde_json::Value) {
    let (mut first, mut again) = (first.clone(), again.clone());
    assert!(again["receivedAt"].as_str() > first["receivedAt"].as_str());
    for key in ["sentAt", "receivedAt"] {
        assert_ne!(first[key], again[key]);
        first[key] = serde_json::Value::Null;
        again[key] = serde_json::Value::Null;
    }
    assert_eq!(first, again, "only the times of sending and arrival differ");
}

#[test]
fn every_mistake_is_made_and_leaves_one_line() {
    let (bytes, expectation) = lines(Plan { malformed: 1.0, ..PLAN });
    assert_eq!(expectation.malformed, PLAN.events);
    assert_eq!(expectation.malformed_by.len(), Mistake::ALL.len(), "{:?}", expectation.malformed_by);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count() as u64, PLAN.events);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let event = serde_json::from_slice::<serde_json::Value>(line);
        assert!(!event.is_ok_and(|event| is_well_formed(&event, line)), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn shares_are_those_that_were_asked_for() {
    let (_, expectation) = lines(Plan { events: 40_000, ..PLAN });
    for (what, count) in
        [("duplicates", expectation.duplicates), ("malformed", expectation.malformed), ("late", expectation.late)]
    {
        assert!((600..1_000).contains(&count), "{what}: {count} of 40,000 are not about 2 %");
    }
    let (_, none) = lines(Plan { duplicates: 0.0, malformed: 0.0, late: 0.0, ..PLAN });
    assert_eq!((none.unique_valid, none.duplicates, none.malformed, none.late), (PLAN.events, 0, 0, 0));
}

#[test]
fn events_have_the_size_and_the_redundancy_of_real_ones() {
    let (bytes, _) = lines(Plan { events: 20_000, ..PLAN });
    let mean = bytes.len() / 20_000;
    assert!((1_900..=2_100).contains(&mean), "mean size is {mean} bytes");
    let compressed: usize =
        bytes.chunks(1 << 20).map(|block| zstd::bulk::compress(block, 1).expect("compresses").len()).sum();
    let ratio = bytes.len() as f64 / compressed as f64;

    assert!((5.0..=9.0).contains(&ratio), "zstd ratio is {ratio:.2}");
}

#[test]
fn arrivals_go_forward_but_for_a_quarter_of_a_second() {
    let (bytes, _) = lines(PLAN);
    let text = String::from_utf8_lossy(&bytes);
    let mut latest = "";
    for line in text.lines() {
        let Some(at) = line.find(r#""receivedAt":""#) else { continue };
        let received = &line[at + 14..(at + 38).min(line.len())];
        assert!(received.len() < 24 || received[..19] >= latest[..latest.len().min(17)], "{received} after {latest}");
        latest = latest.max(received);
    }
    assert!(latest.starts_with("2026-01-15T00:0"), "{latest}");
}

#[test]
fn one_event_is_as_good_as_many() {
    for events in [0, 1, 2] {
        let (bytes, expectation) = lines(Plan { events, duplicates: 0.5, ..PLAN });
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count() as u64, events);
        assert_eq!(expectation.unique_valid + expectation.duplicates + expectation.malformed, events);
    }
}
