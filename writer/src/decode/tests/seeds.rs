//! The laws of the decoder on the inputs that the fuzzer starts from, those that once broke a law among them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use icefold_core::contract::validate_value;
use serde_json::Value;

use super::super::laws::Laws;

/// The laws, with the contracts of this repository.
pub(super) fn laws() -> &'static Laws {
    static LAWS: LazyLock<Laws> =
        LazyLock::new(|| Laws::with_contracts_of(&root().join("contracts")).expect("contracts"));
    &LAWS
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The events among the seeds, one to a line.
pub(super) fn events() -> &'static [Value] {
    static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let texts = files("segment").into_iter().map(|file| std::fs::read(file).expect("readable"));
        let lines = texts.flat_map(|text| text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>());
        let parsed = lines.filter_map(|line| serde_json::from_slice::<Value>(&line).ok());
        parsed.filter(|event| event["messageId"].is_string()).collect()
    });
    &EVENTS
}

fn files(target: &str) -> Vec<PathBuf> {
    let folder = root().join("fuzz/seeds").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("seeds").map(|file| file.expect("readable").path()).collect();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    files
}

/// Values that a property may be given.
pub(super) const KNOWN: [&str; 15] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"x\"",
    "-1",
    "0",
    "1.5",
    "1e9",
    "201",
    "[null]",
    "[{}]",
    "\"2026-02-30\"",
    "\"2026-02-28T00:00:00Z\"",
];

/// Returns every place of a tree but its root, places for members that objects do not have among them.
pub(super) fn places(value: &Value) -> Vec<String> {
    let mut places = Vec::new();
    places_below(value, "", &mut places);
    places
}

fn places_below(value: &Value, pointer: &str, places: &mut Vec<String>) {
    let mut add = |key: &str, value: &Value| {
        let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        places_below(value, &pointer, places);
        places.push(pointer);
    };
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| add(key, value));
            add("more", &Value::Null);
        }
        Value::Array(array) => array.iter().enumerate().for_each(|(at, value)| add(&at.to_string(), value)),
        _ => {}
    }
}

/// Changes the value at one place; `None` takes it away.
pub(super) fn change(value: &mut Value, pointer: &str, with: Option<Value>) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let key = key.replace("~1", "/").replace("~0", "~");
    match (value.pointer_mut(parent), with) {
        (Some(Value::Object(object)), Some(with)) => drop(object.insert(key, with)),
        (Some(Value::Object(object)), None) => drop(object.remove(&key)),
        (Some(Value::Array(array)), Some(with)) => array[key.parse::<usize>().expect("a number")] = with,
        (Some(Value::Array(array)), None) => drop(array.remove(key.parse().expect("a number"))),
        _ => unreachable!("every place has a parent"),
    }
}

fn check(target: &str, law: impl Fn(&[u8])) {
    for file in files(target) {
        println!("{}", file.display());
        let bytes = std::fs::read(&file).expect("readable");
        law(&bytes);
        // A file may begin with a mark.
        law(&[b"\xef\xbb\xbf", bytes.as_slice()].concat());
    }
}

#[test]
fn seeds_of_the_fuzzer_keep_the_laws() {
    check("segment", |bytes| laws().check_segment(bytes));
    check("log", |bytes| laws().check_log(bytes));
}

#[test]
fn each_place_of_an_event_with_each_other_value_keeps_the_laws() {
    let (mut changed, mut refused) = (0, 0);
    for event in events() {
        let mut lines = String::new();
        for pointer in places(event) {
            for with in KNOWN.iter().map(|json| serde_json::from_str(json).ok()).chain([None]) {
                let mut event = event.clone();
                change(&mut event, &pointer, with);
                refused += usize::from(!validate_value(laws().contracts(), &event).is_empty());
                lines += &(event.to_string() + "\n");
                changed += 1;
            }
        }
        laws().check_segment(lines.as_bytes());
    }
    assert!(refused * 10 > changed && refused * 10 < changed * 9, "{refused} of {changed} break a contract");
}
