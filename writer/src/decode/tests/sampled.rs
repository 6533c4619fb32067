//! The laws of the decoder, sampled.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::super::*;
use super::seeds::{KNOWN, change, events, laws, places};
use super::{bytes_at, chunk, decoded, value};

/// Any JSON value of moderate size.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-zé\"\\\\/\u{0}-\u{1f}]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/\"é]{0,6}", inner, 0..5)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// An event that passes its contract, with all kinds of things in the keys that may hold them.
fn valid_event() -> impl Strategy<Value = Value> {
    let call = select(vec!["track", "page", "screen", "identify", "group", "alias"]);
    let text = "[^\u{0}]{0,30}";
    let members = || prop::collection::btree_map("[a-z~/\"é]{0,6}", any_json(), 0..4);
    (call, "[^\u{0}]{1,60}", "[^\u{0}]{1,60}", text, members(), members(), text).prop_map(
        |(call, message, device, ip, properties, more, title)| {
            let mut event = json!({
                "type": call, "messageId": message, "anonymousId": device, "userId": 7, "groupId": "g", "event": "e",
                "properties": properties, "timestamp": "2026-11-22T11:00:00Z",
                "context": {"ip": ip, "page": {"title": title, "more": more.clone()}, "screen": {"width": 3}},
            });
            let object = event.as_object_mut().expect("object");
            object.extend(more.into_iter().map(|(key, value)| (format!("x{key}"), value)));
            event
        },
    )
}

/// A line: an event, several, or something else.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let events = prop::collection::vec(prop_oneof![4 => valid_event(), 1 => any_json()], 0..4);
    prop_oneof![
        4 => valid_event().prop_map(|event| event.to_string().into_bytes()),
        1 => any_json().prop_map(|json| json.to_string().into_bytes()),
        2 => events.clone().prop_map(|events| json!({"batch": events, "sentAt": null}).to_string().into_bytes()),
        1 => events.prop_map(|events| Value::from(events).to_string().into_bytes()),
        1 => "[ \t\r]{0,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => "[\\[\\]{}\",:0-9a-z\\\\ ]{0,40}".prop_map(String::into_bytes),
    ]
}

/// Replaces, removes or inserts one byte that is no line break.
fn mutate(mut text: Vec<u8>, place: Index, how: u8, byte: u8) -> Vec<u8> {
    let byte = if byte == b'\n' { b'x' } else { byte };
    let place = place.index(text.len());
    match how % 3 {
        0 => text[place] = byte,
        1 => drop(text.remove(place)),
        _ => text.insert(place, byte),
    }
    text
}

/// A byte of which JSON takes notice, or any other.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![select(b"{}[]\",:\\ \t\r0123456789.eE+-utfn\x00\x1f\x7f\x80\xc3\xff".to_vec()), any::<u8>()]
}

fn payload(rows: &RecordBatch, row: usize) -> &[u8] {
    bytes_at(rows, "payload", row).expect("payload")
}

/// Something else for a place in an event; `None` takes the place away.
fn replacement() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        1 => Just(None),
        8 => select(KNOWN.to_vec()).prop_map(|json| Some(serde_json::from_str(json).expect("JSON"))),
        2 => any_json().prop_map(Some),
    ]
}

const TABLES: [fn(&DecodedChunk) -> &RecordBatch; 3] = [|d| &d.raw, |d| &d.events, |d| &d.quarantine];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        laws().check_segment(&bytes);
    }

    #[test]
    fn any_bytes_of_a_log_are_accounted_for(bytes in "([\u{0}-~é]|- |\\[10/Oct/2000:13:55:36 -0700\\] |\"GET / HTTP/1.1\" ){0,40}") {
        laws().check_log(bytes.as_bytes());
    }

    #[test]
    fn any_lines_are_accounted_for(lines in prop::collection::vec(line(), 0..8), end in any::<bool>()) {
        let mut bytes = lines.join(&b'\n');
        bytes.extend(end.then_some(b'\n'));
        laws().check_segment(&bytes);
    }

    #[test]
    fn events_with_other_values_keep_the_laws(
        event in select(events()), changes in prop::collection::vec((any::<Index>(), replacement()), 1..4),
    ) {
        let mut event = event;
        for (place, with) in changes {
            let places = places(&event);
            change(&mut event, &places[place.index(places.len())], with);
        }
        laws().check_segment(event.to_string().as_bytes());
    }

    #[test]
    fn valid_events_are_accepted_as_they_are(event in valid_event()) {
        let decoded = decoded(event.to_string());
        prop_assert_eq!(decoded.events.num_rows(), 1);
        let text = |column| value(&decoded.events, column, 0);
        prop_assert_eq!(text("message_id"), event["messageId"].as_str().map(str::to_owned));
        prop_assert_eq!(text("anonymous_id"), event["anonymousId"].as_str().map(str::to_owned));
        prop_assert_eq!(text("ip"), event["context"]["ip"].as_str().map(str::to_owned));
        prop_assert_eq!(text("properties"), Some(event["properties"].to_string()));
        prop_assert_eq!(decoded.message_hashes[0], xxhash_rust::xxh3::xxh3_128(event["messageId"].as_str().expect("text").as_bytes()));
    }

    #[test]
    fn one_changed_byte_costs_at_most_one_row(
        events in prop::collection::vec(valid_event(), 3), batch in any::<bool>(),
        place: Index, how: u8, byte in byte(),
    ) {
        let texts: Vec<_> = events.iter().map(|e| e.to_string().into_bytes()).collect();
        let changed = mutate(texts[1].clone(), place, how, byte);
        let [first, last] = [&texts[0], &texts[2]];
        let bytes = match batch {
            false => [first.as_slice(), &changed, last].join(&b'\n'),
            true => [first.as_slice(), &changed, last].join(&b' '),
        };
        let decoded = decoded(&bytes);
        if batch {
            // Three events on one line are one bad record, however they are changed.
            prop_assert_eq!(decoded.quarantine.num_rows(), 1);
        } else {
            prop_assert!(decoded.quarantine.num_rows() <= 1);
            prop_assert!(decoded.events.num_rows() >= 2);
            prop_assert_eq!(payload(&decoded.raw, 0), first.as_slice());
            prop_assert_eq!(payload(&decoded.raw, decoded.raw.num_rows() - 1), last.as_slice());
        }
    }

    #[test]
    fn one_changed_byte_inside_a_string_of_a_batch_costs_its_event_only(
        events in prop::collection::vec(valid_event(), 3), byte in byte(),
    ) {
        prop_assume!(!b"\n\"\\".contains(&byte));
        let marked = json!({"anonymousId": "bad", "x": "MARK"}).to_string();
        let batch = format!("{{\"batch\":[{},{marked},{},{}]}}", events[0], events[1], events[2]);
        let mut bytes = batch.into_bytes();
        let place = bytes.windows(4).rposition(|w| w == b"MARK").expect("mark");
        bytes[place] = byte;
        let decoded = decoded(&bytes);
        prop_assert_eq!((decoded.events.num_rows(), decoded.quarantine.num_rows()), (3, 1));
        prop_assert_eq!(value(&decoded.quarantine, "anonymous_id", 0), Some("bad".to_owned()));
    }

    #[test]
    fn json_is_what_serde_json_takes_for_json(event in valid_event(), place: Index, how: u8, byte in byte()) {
        let bytes = mutate(event.to_string().into_bytes(), place, how, byte);
        let decoded = decoded(&bytes);
        let reason = (decoded.quarantine.num_rows() > 0).then(|| value(&decoded.quarantine, "reason", 0)).flatten();
        let unreadable = [
            Reason::TruncatedJson, Reason::InvalidJson, Reason::TrailingData, Reason::InvalidUtf8,
            Reason::ControlCharacter, Reason::LoneSurrogate, Reason::NumberOutOfRange,
        ];
        // Pixels out of range are readable.
        let pixels = decoded.quarantine.num_rows() > 0
            && value(&decoded.quarantine, "json_pointer", 0).is_some_and(|p| p.ends_with("/width"));
        let refused = reason.as_deref().is_some_and(|r| unreadable.iter().any(|u| u.as_str() == r)) && !pixels;
        let by_serde = serde_json::from_slice::<Value>(&bytes).is_err();
        if decoded.raw.num_rows() > 0 && !pixels {
            prop_assert_eq!(refused, by_serde, "{:?} {}", reason, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_chunk_split_between_records_gives_the_same_rows(lines in prop::collection::vec(line(), 1..8), cut: Index) {
        let whole = lines.join(&b'\n');
        let breaks: Vec<_> = (0..whole.len()).filter(|i| whole[*i] == b'\n').map(|i| i + 1).collect();
        prop_assume!(!breaks.is_empty());
        let cut = breaks[cut.index(breaks.len())];
        let settings = DecodeSettings::default();
        let mut decoder = Decoder::new(settings.clone(), InputFormat::Segment).expect("valid settings");
        let mut part = |start: usize, end: usize| {
            let chunk = Chunk { start: start as u64, ..chunk(&whole[start..end]) };
            decoder.decode(&chunk).expect("decodes")
        };
        let (first, second) = (part(0, cut), part(cut, whole.len()));
        let all = decode(&chunk(&whole), &settings, InputFormat::Segment).expect("decodes");
        for rows in TABLES {
            let parts = concat_batches(rows(&all).schema_ref(), [rows(&first), rows(&second)]).expect("same columns");
            prop_assert_eq!(&parts, rows(&all));
        }
        prop_assert_eq!([first.message_hashes, second.message_hashes].concat(), all.message_hashes);
    }
}
