//! The ends of every setting's range, through the real program: what is outside is refused by name, what is inside works, and
//! nothing panics.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

mod program;

use std::collections::VecDeque;
use std::sync::Mutex;

use program::{Ended, Place};

/// Runs at once: each is a process that mostly waits for its disk.
const RUNS_AT_ONCE: usize = 4;
/// The code of a Rust program that panicked.
const PANICKED: i32 = 101;
/// Usage or settings are wrong.
const INVALID: i32 = 2;

/// Every setting that is a number.
fn numbers() -> Vec<String> {
    let printed = Place::new().icefold(&["--json", "config"]).exits(0).stdout;
    let settings: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let settings = settings.as_object().expect("settings by key");
    settings.iter().filter(|(_, shown)| shown["value"].is_number()).map(|(key, _)| key.clone()).collect()
}

/// Ingests one event with `key` set to `value`, into a warehouse of its own.
fn ingest(key: &str, value: u64) -> Ended {
    let place = Place::new();
    let event = r#"{"type":"track","event":"e","messageId":"m1","anonymousId":"a","timestamp":"2026-11-23T12:00:00Z"}"#;
    place.write("events.ndjson", format!("{event}\n"));
    let ended = place.icefold(&["--quiet", "--set", &format!("{key}={value}"), "ingest", "events.ndjson"]);
    assert_ne!(ended.code, Some(PANICKED), "{key} = {value}: {}", ended.stderr);
    assert!(!ended.stderr.contains("defect of icefold"), "{key} = {value}: {}", ended.stderr);
    match ended.code {
        Some(0) => {}
        Some(INVALID) => assert!(ended.stderr.contains(&format!("`{key}` = ")), "{value}: {}", ended.stderr),
        _ => panic!("{key} = {value} is taken, and then nothing works: {}", ended.stderr),
    }
    ended
}

/// The bound that a refusal tells: "set it to 7 or less".
fn told(refused: &Ended, side: &str) -> u64 {
    let before = refused.stderr.split(&format!(" or {side}")).next().expect("some text");
    let number = before.rsplit(' ').next().expect("a word");
    number.parse().unwrap_or_else(|_| panic!("a bound is told: {}", refused.stderr))
}

fn walk(key: &str) {
    let beyond = ingest(key, u64::MAX);
    assert_eq!(beyond.code, Some(INVALID), "{key} has no upper bound");
    let most = told(&beyond, "less");
    ingest(key, most);
    assert_eq!(ingest(key, most + 1).code, Some(INVALID), "{key}: the bound {most} is the bound");
    ingest(key, 1);
    let least = ingest(key, 0);
    if least.code == Some(INVALID) {
        let least = told(&least, "more");
        ingest(key, least);
        assert_eq!(ingest(key, least - 1).code, Some(INVALID), "{key}: the bound {least} is the bound");
    }
}

#[test]
fn at_the_ends_of_every_setting_nothing_panics_and_what_is_refused_is_named() {
    let keys = numbers();
    assert!(keys.len() > 25, "these are the numbers: {keys:?}");
    let waiting = Mutex::new(VecDeque::from(keys));
    let next = || waiting.lock().expect("no run panicked").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..RUNS_AT_ONCE {
            scope.spawn(|| {
                while let Some(key) = next() {
                    walk(&key);
                }
            });
        }
    });
}
