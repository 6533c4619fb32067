//! What a producer, an analyst and an eraser would notice of the decoder.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use icefold_core::{Offset, ShardId, ShardPosition};

use super::*;
use crate::chunk::Oversized;

/// 2026-11-22T12:00:00Z.
pub(super) const NOON: i64 = 1_795_348_800_000_000;
const SECOND: i64 = 1_000_000;

pub(super) fn chunk(bytes: impl AsRef<[u8]>) -> Chunk {
    let bytes = bytes.as_ref().to_vec();
    let end = bytes.len() as u64;
    Chunk {
        shard: ShardId::new("shard"),
        segment: "segment".into(),
        start: 0,
        bytes: bytes.into(),
        source_time_micros: NOON,
        oversized: None,
        from: Offset::start(),
        to: ShardPosition::at(Offset::new("segment", end)),
    }
}

pub(super) fn decoded(bytes: impl AsRef<[u8]>) -> DecodedChunk {
    let decoded = decode(&chunk(bytes), &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
    assert_eq!(decoded.raw.num_rows(), decoded.events.num_rows() + decoded.quarantine.num_rows(), "W2");
    assert_eq!(decoded.events.num_rows(), decoded.message_hashes.len());
    decoded
}

/// Returns the value of a column as text, `None` for null.
pub(super) fn value(rows: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let array = rows.column_by_name(column).unwrap_or_else(|| panic!("column {column}"));
    if array.is_null(row) {
        return None;
    }
    if let Some(bytes) = array.as_binary_opt::<i64>() {
        return Some(String::from_utf8_lossy(bytes.value(row)).into_owned());
    }
    Some(array_value_to_string(array, row).expect("printable"))
}

fn micros(rows: &RecordBatch, column: &str, row: usize) -> i64 {
    rows.column_by_name(column).expect("column").as_primitive::<TimestampMicrosecondType>().value(row)
}

/// Returns a valid track call with some of its members replaced, added, or (value "") left out.
pub(super) fn event(changes: &[(&str, &str)]) -> String {
    let mut members = vec![
        ("type", r#""track""#),
        ("messageId", r#""m1""#),
        ("anonymousId", r#""a1""#),
        ("event", r#""Signed Up""#),
        ("timestamp", r#""2026-11-22T11:59:00Z""#),
    ];
    for (key, json) in changes {
        match members.iter_mut().find(|m| m.0 == *key) {
            Some(member) => member.1 = json,
            None => members.push((key, json)),
        }
    }
    let members: Vec<_> =
        members.iter().filter(|m| !m.1.is_empty()).map(|(key, json)| format!("\"{key}\":{json}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Decodes one accepted event.
fn accepted(changes: &[(&str, &str)]) -> RecordBatch {
    let decoded = decoded(event(changes));
    let reasons: Vec<_> = (0..decoded.quarantine.num_rows()).map(|r| told(&decoded.quarantine, r)).collect();
    assert_eq!(decoded.events.num_rows(), 1, "{changes:?} {reasons:?}");
    decoded.events
}

/// Returns reason, pointer, expected and found, as a person reads them.
fn told(quarantine: &RecordBatch, row: usize) -> String {
    let text = |column| value(quarantine, column, row).unwrap_or_else(|| "nothing".to_owned());
    format!("{} at {:?}: expected {}, found {}", text("reason"), text("json_pointer"), text("expected"), text("found"))
}

/// Decodes bytes that make exactly one quarantine row, and tells it.
#[track_caller]
fn refused(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let decoded = decoded(bytes);
    assert_eq!((decoded.events.num_rows(), decoded.quarantine.num_rows()), (0, 1), "{}", String::from_utf8_lossy(bytes));
    for rows in [&decoded.raw, &decoded.quarantine] {
        let payload = rows.column_by_name("payload").expect("payload").as_binary::<i64>().value(0);
        assert_eq!(payload, bytes, "payload is kept whole");
    }
    told(&decoded.quarantine, 0)
}

#[track_caller]
fn assert_reason(bytes: impl AsRef<[u8]>, reason: Reason, pointer: &str) {
    let told = refused(&bytes);
    let start = format!("{reason} at {pointer:?}:");
    assert!(told.starts_with(&start), "{told}; wanted {start}");
}

const FULL: &str = r#"{
 "type":"page","name":"Home \"x\"","messageId":"m-\u00e9","anonymousId":"a1","userId":42,"groupId":"g","previousId":7,
 "originalTimestamp":"2026-11-22T10:00:00.000Z","sentAt":"2026-11-22T10:00:10Z","receivedAt":"2026-11-22T12:00:00.5Z",
 "properties":{"a":[1, 2.50,{"b":"\u0000"}],"n":1e3},"traits":{"t":null},"integrations":{"All":true},"channel":"web",
 "event":"kept",
 "context":{"ip":"1.2.3.4","userAgent":"UA","locale":"en-GB","timezone":"Europe/Berlin",
  "page":{"url":"u","path":"p","referrer":"r","title":"t","search":"s","extra":1},
  "campaign":{"name":"cn","source":"cs","medium":"cm","term":"ct","content":"cc","id":"x"},
  "app":{"name":"an","version":"av","build":"7"},"os":{"name":"on","version":"ov"},
  "device":{"type":"ios","manufacturer":"Apple","model":"iPhone","id":"d"},
  "library":{"name":"ln","version":"lv"},"screen":{"width":390.4,"height":844,"density":3},
  "network":{"wifi":true},"groupId":"cg"}}"#;

#[test]
fn every_key_of_the_spec_has_its_column() {
    let rows = decoded(FULL.replace('\n', " ")).events;
    assert_eq!(rows.num_rows(), 1);
    for (column, expected) in [
        ("message_id", "m-é"),
        ("event_type", "page"),
        ("event_name", "Home \"x\""),
        ("event_time", "2026-11-22T11:59:50.500Z"),
        ("arrival_time", "2026-11-22T12:00:00.500Z"),
        ("original_timestamp", "2026-11-22T10:00:00Z"),
        ("sent_at", "2026-11-22T10:00:10Z"),
        ("anonymous_id", "a1"),
        ("user_id", "42"),
        ("group_id", "g"),
        ("previous_id", "7"),
        ("ip", "1.2.3.4"),
        ("user_agent", "UA"),
        ("locale", "en-GB"),
        ("timezone", "Europe/Berlin"),
        ("page_url", "u"),
        ("page_path", "p"),
        ("page_referrer", "r"),
        ("page_title", "t"),
        ("page_search", "s"),
        ("campaign_name", "cn"),
        ("campaign_source", "cs"),
        ("campaign_medium", "cm"),
        ("campaign_term", "ct"),
        ("campaign_content", "cc"),
        ("app_name", "an"),
        ("app_version", "av"),
        ("os_name", "on"),
        ("os_version", "ov"),
        ("device_type", "ios"),
        ("device_manufacturer", "Apple"),
        ("device_model", "iPhone"),
        ("library_name", "ln"),
        ("library_version", "lv"),
        ("screen_width", "390"),
        ("screen_height", "844"),
        ("properties", r#"{"a":[1, 2.50,{"b":"\u0000"}],"n":1e3}"#),
        ("traits", r#"{"t":null}"#),
        (
            "context",
            r#"{"network":{"wifi":true},"groupId":"cg","page":{"extra":1},"campaign":{"id":"x"},"app":{"build":"7"},"device":{"id":"d"},"screen":{"density":3}}"#,
        ),
        ("extra", r#"{"event":"kept","integrations":{"All":true},"channel":"web"}"#),
        ("contract", BUILT_IN_CONTRACT),
        ("shard", "shard"),
        ("segment", "segment"),
        ("source_offset", "0"),
        ("sub_offset", "0"),
    ] {
        assert_eq!(value(&rows, column, 0).as_deref(), Some(expected), "{column}");
    }
}

#[test]
fn what_is_absent_or_null_is_null() {
    let rows = accepted(&[("context", r#"{"ip":null,"page":null}"#), ("userId", "null"), ("properties", "null")]);
    for column in ["user_id", "ip", "page_url", "screen_width", "properties", "traits", "context", "extra", "sent_at"] {
        assert_eq!(value(&rows, column, 0), None, "{column}");
    }
}

#[test]
fn hashes_are_those_of_the_decoded_message_id() {
    let decoded = decoded(event(&[("messageId", r#""\u006d1""#)]));
    assert_eq!(decoded.message_hashes, [xxhash_rust::xxh3::xxh3_128(b"m1")]);
}

#[test]
fn raw_rows_know_place_keys_and_bytes() {
    let (first, second) = (event(&[]), event(&[("anonymousId", ""), ("userId", r#""u\u0031""#)]));
    let rows = decoded(format!("{first}\r\n\n  \n{second}")).raw;
    assert_eq!(rows.num_rows(), 2);
    let offsets = rows.column_by_name("source_offset").expect("column").as_primitive::<Int64Type>();
    assert_eq!(offsets.values(), &[0, first.len() as i64 + 6]);
    for (row, key, anonymous_id, user_id, payload) in
        [(0, "a1", Some("a1"), None, &first), (1, "u1", None, Some("u1"), &second)]
    {
        assert_eq!(value(&rows, "partition_key", row).as_deref(), Some(key));
        assert_eq!(value(&rows, "anonymous_id", row).as_deref(), anonymous_id);
        assert_eq!(value(&rows, "user_id", row).as_deref(), user_id);
        assert_eq!(value(&rows, "payload", row).as_deref(), Some(payload.as_str()));
        assert_eq!(value(&rows, "batch_envelope", row), None);
        assert_eq!(micros(&rows, "arrival_time", row), NOON);
    }
}

#[test]
fn offsets_count_from_the_start_of_the_segment() {
    let chunk = Chunk { start: 1_000, ..chunk(format!("\n{}", event(&[]))) };
    let decoded = decode(&chunk, &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
    assert_eq!(value(&decoded.raw, "source_offset", 0).as_deref(), Some("1001"));
}

#[test]
fn a_byte_order_mark_is_passed_over_at_the_start_of_a_file_only() {
    let marked = format!("\u{feff}{}", event(&[]));
    assert_eq!(decoded(&marked).events.num_rows(), 1);
    assert_eq!(decoded(format!("{}\n{marked}", event(&[]))).quarantine.num_rows(), 1);
}

mod batches {
    use super::*;

    #[test]
    fn each_event_of_a_batch_is_a_row_of_its_own() {
        let (one, two) = (event(&[("messageId", "\"1\"")]), event(&[("messageId", "\"2\"")]));
        let rest = r#","sentAt":"2026-11-22T11:59:30Z","receivedAt":"2026-11-22T12:00:00Z","writeKey":"k"}"#;
        let decoded = decoded(format!("{{\"batch\": [ {one} ,{two}]{rest}\n"));
        assert_eq!(decoded.events.num_rows(), 2);
        let subs = decoded.raw.column_by_name("sub_offset").expect("column").as_primitive::<Int32Type>();
        assert_eq!(subs.values(), &[0, 1]);
        for (row, event) in [(0, &one), (1, &two)] {
            assert_eq!(value(&decoded.raw, "payload", row).as_ref(), Some(event));
            let envelope = format!("{{\"batch\": []{rest}");
            assert_eq!(value(&decoded.raw, "batch_envelope", row), Some(envelope));
            assert_eq!(value(&decoded.raw, "source_offset", row).as_deref(), Some("0"));
            // 30 seconds of skew corrected.
            assert_eq!(micros(&decoded.events, "event_time", row), NOON - 30 * SECOND);
            assert_eq!(value(&decoded.events, "extra", row), None);
        }
    }

    #[test]
    fn an_array_is_a_batch_without_defaults() {
        let decoded = decoded(format!(" [{0}, {0}] ", event(&[])));
        assert_eq!(decoded.events.num_rows(), 2);
        assert_eq!(value(&decoded.raw, "batch_envelope", 1).as_deref(), Some(" [] "));
    }

    #[test]
    fn a_batch_key_may_come_late() {
        let decoded = decoded(format!("{{\"context\":{{\"ip\":\"9\"}},\"userId\":{{}},\"batch\":[{}]}}", event(&[])));
        assert_eq!(value(&decoded.events, "ip", 0).as_deref(), Some("9"));
    }

    #[test]
    fn defaults_fill_what_the_event_lacks_key_by_key() {
        let own = r#"{"ip":"own","app":{"name":"own","build":"1"},"net":"own"}"#;
        let context = r#"{"ip":"b","locale":"b","app":{"name":"b","version":"b","build":"b","x":"b"},"net":"b","y":"b"}"#;
        let events = [event(&[("context", own), ("integrations", "1")]), event(&[("context", "")])].join(",");
        let rows = decoded(format!(
            "{{\"batch\":[{events}],\"context\":{context},\"integrations\":2,\"name\":\"not inherited\"}}"
        ))
        .events;
        for (row, column, expected) in [
            (0, "ip", "own"),
            (0, "locale", "b"),
            (0, "app_name", "own"),
            (0, "app_version", "b"),
            (0, "context", r#"{"net":"own","y":"b","app":{"build":"1","x":"b"}}"#),
            (0, "extra", r#"{"integrations":1}"#),
            (1, "ip", "b"),
            (1, "context", r#"{"net":"b","y":"b","app":{"build":"b","x":"b"}}"#),
            (1, "extra", r#"{"integrations":2}"#),
        ] {
            assert_eq!(value(&rows, column, row).as_deref(), Some(expected), "{row} {column}");
        }
    }

    #[test]
    fn a_bad_event_costs_only_itself() {
        let good = event(&[]);
        for (bad, reason) in [
            (r#"{"anonymousId":"x","b":tru}"#, Reason::InvalidJson),
            ("{\"a\":\"\u{1}\"}", Reason::ControlCharacter),
            (r#"{"a":"\ud800"}"#, Reason::LoneSurrogate),
            (r#"{"a":[1}}"#, Reason::InvalidJson),
            (r#"{"a":1,"a":2}"#, Reason::DuplicateKey),
            (r#"{"a":1} {"b":2}"#, Reason::TrailingData),
            (r#"{"a":1}x"#, Reason::TrailingData),
            ("{}", Reason::MissingKey),
            ("7", Reason::NotAnObject),
            ("[[],{}]", Reason::NotAnObject),
            ("", Reason::InvalidJson),
        ] {
            // Events far back in a batch are read in another way, with the same result.
            let told = [1, 200].map(|before| {
                let before = vec![good.as_str(); before].join(",");
                let decoded = decoded(format!("{{\"batch\":[{before}, {bad} ,{good}]}}"));
                assert_eq!(decoded.quarantine.num_rows(), 1, "{bad}");
                assert_eq!(value(&decoded.quarantine, "payload", 0).as_deref(), Some(bad));
                told(&decoded.quarantine, 0)
            });
            assert!(told[0].starts_with(reason.as_str()), "{}", told[0]);
            assert_eq!(told[0], told[1]);
        }
    }

    #[test]
    fn a_record_that_cannot_be_cut_is_one_row() {
        let good = event(&[]);
        for (record, reason) in [
            (format!("{{\"batch\":[{good},{good}"), Reason::TruncatedJson),
            (format!("{{\"batch\":[{good},{{\"a\":\"]}}"), Reason::TruncatedJson),
            (format!("{{\"batch\":[{good}],\"sentAt\":x}}"), Reason::InvalidJson),
            (format!("{{\"batch\":[{good}]}} {{}}"), Reason::TrailingData),
            (format!("[{good}],"), Reason::TrailingData),
            (format!("[{good},{{]"), Reason::TruncatedJson),
            ("[]".to_owned(), Reason::EmptyBatch),
            (r#"{"batch":[ ]}"#.to_owned(), Reason::EmptyBatch),
        ] {
            let told = refused(&record);
            assert!(told.starts_with(reason.as_str()), "{record}: {told}");
            if reason != Reason::EmptyBatch {
                assert_eq!(value(&decoded(&record).raw, "anonymous_id", 0).as_deref(), Some("a1"), "{record}");
            }
        }
    }

    #[test]
    fn a_key_that_stands_twice_around_a_batch_refuses_all_its_events_but_keeps_them_apart() {
        let decoded = decoded(format!("{{\"sentAt\":1,\"batch\":[{0},{0}],\"sentAt\":2}}", event(&[])));
        assert_eq!(decoded.quarantine.num_rows(), 2);
        assert!(told(&decoded.quarantine, 1).starts_with("duplicate_key at \"/sentAt\""));
        assert_eq!(value(&decoded.raw, "anonymous_id", 1).as_deref(), Some("a1"));
    }

    #[test]
    fn what_surrounds_a_batch_cannot_swamp_the_table() {
        let record = format!("{{\"batch\":[{}],\"context\":{{\"x\":\"{}\"}}}}", vec!["1"; 1_000].join(","), "y".repeat(5_000));
        assert!(refused(record).starts_with("batch_envelope_too_large"));
    }

    #[test]
    fn a_late_time_of_the_batch_is_told_for_each_event() {
        let decoded = decoded(format!("{{\"batch\":[{0},{0}],\"sentAt\":\"yesterday\"}}", event(&[])));
        assert_eq!(decoded.quarantine.num_rows(), 2);
        assert!(told(&decoded.quarantine, 0).starts_with("invalid_timestamp at \"/sentAt\""));
    }
}

mod unreadable {
    use super::*;

    #[test]
    fn broken_json_is_told_with_its_place() {
        for (text, expected) in [
            (r#"{"a":{"b":[1,tru]}}"#, r#"invalid_json at "/a/b/1": expected `true`, `false` or `null`, found ]}}"#),
            (r#"{"a":01}"#, r#"invalid_json at "/a": expected `,` or `}`, found 1}"#),
            (r#"{"a":1.}"#, r#"invalid_json at "/a": expected a digit, found }"#),
            (r#"{"a":-}"#, r#"invalid_json at "/a": expected a digit, found }"#),
            (r#"{"a":1e}"#, r#"invalid_json at "/a": expected a digit, found }"#),
            (r#"{"a":NaN}"#, r#"invalid_json at "/a": expected a JSON value, found NaN}"#),
            (r#"{"a":'x'}"#, r#"invalid_json at "/a": expected a JSON value, found 'x'}"#),
            (r#"{a:1}"#, r#"invalid_json at "": expected a key in quotation marks, found a:1}"#),
            (r#"{"a" 1}"#, r#"invalid_json at "/a": expected `:`, found 1}"#),
            (r#"{"a":1 "b":2}"#, r#"invalid_json at "/a": expected `,` or `}`, found "b":2}"#),
            (r#"{"a":1,}"#, r#"invalid_json at "": expected a key in quotation marks, found }"#),
            (r#"{"a":[1,]}"#, r#"invalid_json at "/a/1": expected a JSON value, found ]}"#),
            (r#"{"a":"\x"}"#, r#"invalid_json at "/a": expected one of the escapes of JSON, found \x"}"#),
            (r#"{"a":"\u12g4"}"#, r#"invalid_json at "/a": expected four hexadecimal digits after `\u`, found \u12g4"}"#),
            ("hello", r#"invalid_json at "": expected a JSON value, found hello"#),
            (r#"{"a":1}}"#, r#"trailing_data at "": expected nothing behind the value, found }"#),
            (r#"{"a":1"#, r#"truncated_json at "/a": expected `,` or `}`, found {"a":1"#),
            (r#"{"a":"x"#, r#"truncated_json at "/a": expected the end of the string, or an escaped control character, found {"a":"x"#),
            (r#"{"a":"x\"#, r#"truncated_json at "/a": expected the end of the string, found {"a":"x\"#),
            ("\"text\"", r#"not_an_object at "": expected an object, found "text""#),
            ("null", r#"not_an_object at "": expected an object, found null"#),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_passed_over_unchecked() {
        let deep = |bad: &str| event(&[("properties", &format!("{{\"x\":[{{\"y\":{bad}}}]}}"))]);
        for (bad, reason) in [
            ("\"\u{0}\"", Reason::ControlCharacter),
            ("\"a\tb\"", Reason::ControlCharacter),
            (r#""\ud83d""#, Reason::LoneSurrogate),
            (r#""\ude00\ud83d""#, Reason::LoneSurrogate),
            (r#""\ud83d\u0041""#, Reason::LoneSurrogate),
            ("1e999", Reason::NumberOutOfRange),
            ("-1E+400", Reason::NumberOutOfRange),
            (&"9".repeat(400), Reason::NumberOutOfRange),
            ("0x10", Reason::InvalidJson),
            ("nul", Reason::InvalidJson),
            ("[1,2", Reason::InvalidJson),
        ] {
            let pointer = if bad == "[1,2" { "/properties/x/0/y/1" } else { "/properties/x/0/y" };
            assert_reason(deep(bad), reason, pointer);
        }
        let mut bytes = deep("\"?\"").into_bytes();
        let place = bytes.iter().position(|b| *b == b'?').expect("mark");
        for bad in [0xff, 0xc3, 0x80] {
            bytes[place] = bad;
            assert_reason(&bytes, Reason::InvalidUtf8, "/properties/x/0/y");
        }
    }

    #[test]
    fn keys_are_checked_like_values() {
        assert_reason("{\"a\u{1}\":1}", Reason::ControlCharacter, "");
        assert_reason(b"{\"a\xff\":1}", Reason::InvalidUtf8, "");
        assert_reason(b"{\xff}", Reason::InvalidUtf8, "");
    }

    #[test]
    fn odd_but_valid_json_passes() {
        for value in [
            r#""\ud83d\ude00""#,
            r#""\u0000""#,
            "1e308",
            "-0",
            "123456789012345678901234567890",
            "0.00000000000000000001",
            "1e-999",
            "[[[]],{}]",
            "\"é 漢字 😀\"",
            " \t[ ]\r",
        ] {
            let rows = accepted(&[("properties", &format!("{{\"x\":{value}}}"))]);
            assert_eq!(super::value(&rows, "properties", 0), Some(format!("{{\"x\":{value}}}")));
        }
    }

    #[test]
    fn depth_is_bounded_whatever_the_line() {
        let nested = |levels: usize| event(&[("properties", &format!("{{\"x\":{}1{}}}", "[".repeat(levels), "]".repeat(levels)))]);
        assert_eq!(decoded(nested(62)).events.num_rows(), 1);
        assert_reason(nested(63), Reason::NestingTooDeep, &format!("/properties/x{}", "/0".repeat(62)));
        for open in ["[", "{\"a\":", "[{\"a\":"] {
            let told = refused(event(&[("properties", &open.repeat(100_000))]));
            assert!(told.starts_with("nesting_too_deep"), "{told}");
        }
        // As a record of its own it is an array of events that never ends.
        assert_eq!(decoded("[".repeat(100_000)).quarantine.num_rows(), 1);
    }

    #[test]
    fn a_pointer_to_a_long_key_is_cut() {
        let rows = decoded(format!("{{\"{}\":x}}", "k".repeat(100_000))).quarantine;
        assert_eq!(value(&rows, "json_pointer", 0).expect("pointer").len(), MAX_POINTER_BYTES);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let many: Vec<_> = (0..50).map(|i| format!("\"k{i}\":1")).collect();
        for (text, pointer) in [
            (event(&[("a", "1,\"a\":2")]), "/a"),
            (event(&[("a", r#"1,"\u0061":2"#)]), "/a"),
            (event(&[("event", r#""x","event":"y""#)]), "/event"),
            (event(&[("event", r#""x","\u0065vent":"y""#)]), "/event"),
            (event(&[("userId", "null,\"userId\":null")]), "/userId"),
            (event(&[("context", r#"{"ip":"1","ip":"1"}"#)]), "/context/ip"),
            (event(&[("context", r#"{"app":{},"app":{"name":"x"}}"#)]), "/context/app"),
            (event(&[("context", r#"{"app":{"name":"x","name":"y"}}"#)]), "/context/app/name"),
            (event(&[("context", r#"{"x":1,"x":1}"#)]), "/context/x"),
            (event(&[("context", r#"{},"context":{}"#)]), "/context"),
            (event(&[("z", &format!("1,{},\"k7\":2", many.join(",")))]), "/k7"),
        ] {
            assert_reason(text, Reason::DuplicateKey, pointer);
        }
        // The same key in different objects is not the same key.
        accepted(&[("x", "1"), ("context", r#"{"x":1,"app":{"x":1},"os":{"x":1}}"#)]);
    }

    #[test]
    fn an_event_too_large_is_kept_whole_and_costs_one_row() {
        for filler in ["x", "é", "\\n"] {
            let large = event(&[("properties", &format!("{{\"x\":\"{}\"}}", filler.repeat(10 << 20)))]);
            let told = refused(&large);
            assert!(told.starts_with("event_too_large at \"\": expected at most 1048576 bytes"), "{told}");
        }
        let settings = DecodeSettings { max_event_bytes: 1_024, ..DecodeSettings::default() };
        for (length, events) in [(1_024, 1), (1_025, 0)] {
            let filler = "x".repeat(length - event(&[("x", "\"\"")]).len());
            let chunk = chunk(event(&[("x", &format!("\"{filler}\""))]));
            assert_eq!(chunk.bytes.len(), length);
            let decoded = decode(&chunk, &settings, InputFormat::Segment).expect("decodes");
            assert_eq!(decoded.events.num_rows(), events);
        }
    }

    #[test]
    fn the_beginning_of_a_record_too_large_is_one_row() {
        let oversized = Some(Oversized { record_bytes: 999_999 });
        let chunk = Chunk { oversized, ..chunk(r#"{"userId":"u","x":"yyyy"#) };
        for format in [InputFormat::Segment, InputFormat::Combined] {
            let decoded = decode(&chunk, &DecodeSettings::default(), format).expect("decodes");
            let expected = "record_too_large at \"nothing\": expected a record short enough for the source to hold, found 999999 bytes";
            assert_eq!(told(&decoded.quarantine, 0), expected);
            assert_eq!((decoded.raw.num_rows(), decoded.quarantine.num_rows()), (1, 1));
            assert_eq!(value(&decoded.raw, "user_id", 0).as_deref(), Some("u"));
        }
    }

    #[test]
    fn ids_of_broken_events_are_there_for_erasure() {
        let text = event(&[("userId", "\"u1\""), ("event", "\"e\",\"x\":oops"), ("library", "1")]);
        let decoded = decoded(text.replace("\"m1\"", "\"\\u006d1\""));
        for rows in [&decoded.raw, &decoded.quarantine] {
            assert_eq!(value(rows, "anonymous_id", 0).as_deref(), Some("a1"));
            assert_eq!(value(rows, "user_id", 0).as_deref(), Some("u1"));
        }
        assert_eq!(value(&decoded.quarantine, "message_id", 0).as_deref(), Some("m1"));
        assert_eq!(value(&decoded.quarantine, "event_type", 0).as_deref(), Some("track"));
        assert_eq!(value(&decoded.quarantine, "event_name", 0).as_deref(), Some("e"));
    }
}

mod contract {
    use super::*;

    #[test]
    fn each_rule_is_told_with_pointer_expected_and_found() {
        let long = format!("\"{}\"", "x".repeat(256));
        let types = "one of track, page, screen, identify, group, alias";
        for (changes, expected) in [
            (&[("type", "")][..], format!("missing_key at \"/type\": expected {types}, found nothing")),
            (&[("type", "\"Track\"")], format!("unknown_type at \"/type\": expected {types}, found \"Track\"")),
            (&[("type", "1")], format!("wrong_type at \"/type\": expected {types}, found 1")),
            (&[("messageId", "")], "missing_key at \"/messageId\": expected a string of 1 to 255 bytes, found nothing".into()),
            (&[("messageId", "null")], "missing_key at \"/messageId\": expected a string of 1 to 255 bytes, found null".into()),
            (&[("messageId", "\"\"")], "empty_value at \"/messageId\": expected a string of 1 to 255 bytes, found \"\"".into()),
            (&[("messageId", "5")], "wrong_type at \"/messageId\": expected a string, found 5".into()),
            (&[("messageId", &long)], format!("value_too_long at \"/messageId\": expected a string of 1 to 255 bytes, found {}", &long[..256])),
            (&[("messageId", r#""a\u0000""#)], r#"nul_character at "/messageId": expected a string without U+0000, found "a\u0000""#.into()),
            (&[("anonymousId", "")], "missing_key at \"/anonymousId\": expected anonymousId or userId, found nothing".into()),
            (&[("anonymousId", "5")], "wrong_type at \"/anonymousId\": expected a string, found 5".into()),
            (&[("userId", "5.0")], "wrong_type at \"/userId\": expected a string or an integer, found 5.0".into()),
            (&[("userId", "{}")], "wrong_type at \"/userId\": expected a string or an integer, found {}".into()),
            (&[("event", "")], "missing_key at \"/event\": expected the name of the event, for a track call, found nothing".into()),
            (&[("event", "\"\"")], "empty_value at \"/event\": expected the name of the event, for a track call, found \"\"".into()),
            (&[("event", "[]")], "wrong_type at \"/event\": expected a string, found []".into()),
            (&[("type", "\"group\"")], "missing_key at \"/groupId\": expected groupId, for a group call, found nothing".into()),
            (&[("type", "\"alias\"")], "missing_key at \"/userId\": expected userId, for an alias call, found nothing".into()),
            (
                &[("type", "\"alias\""), ("userId", "1"), ("anonymousId", "")],
                "missing_key at \"/previousId\": expected previousId or anonymousId, for an alias call, found nothing".into(),
            ),
            (&[("properties", "[]")], "wrong_type at \"/properties\": expected an object, found []".into()),
            (&[("traits", "1")], "wrong_type at \"/traits\": expected an object, found 1".into()),
            (&[("context", "\"x\"")], "wrong_type at \"/context\": expected an object, found \"x\"".into()),
            (&[("context", r#"{"app":"x"}"#)], "wrong_type at \"/context/app\": expected an object, found \"x\"".into()),
            (&[("context", r#"{"ip":4}"#)], "wrong_type at \"/context/ip\": expected a string, found 4".into()),
            (&[("context", r#"{"os":{"version":9}}"#)], "wrong_type at \"/context/os/version\": expected a string, found 9".into()),
            (&[("context", r#"{"screen":{"width":"9"}}"#)], "wrong_type at \"/context/screen/width\": expected a number, found \"9\"".into()),
            (
                &[("context", r#"{"screen":{"height":-1}}"#)],
                "number_out_of_range at \"/context/screen/height\": expected a number from 0 to 2147483647, found -1".into(),
            ),
            (&[("sentAt", "true")], format!("wrong_type at \"/sentAt\": expected {}, found true", timestamp::EXPECTED)),
            (&[("timestamp", "\"now\"")], format!("invalid_timestamp at \"/timestamp\": expected {}, found \"now\"", timestamp::EXPECTED)),
            (&[("timestamp", "1795348800")], format!("invalid_timestamp at \"/timestamp\": expected {}, found 1795348800", timestamp::EXPECTED)),
        ] {
            assert_eq!(refused(event(changes)), expected, "{changes:?}");
        }
    }

    #[test]
    fn ids_are_measured_as_decoded_text() {
        let id = format!("\"{}\"", "\\u0078".repeat(255));
        assert_eq!(value(&accepted(&[("messageId", &id)]), "message_id", 0), Some("x".repeat(255)));
        assert_reason(event(&[("messageId", &id.replacen('"', "\"y", 1))]), Reason::ValueTooLong, "/messageId");
    }

    #[test]
    fn other_calls_need_only_what_they_need() {
        let no_event = ("event", "");
        for changes in [
            &[("type", "\"page\""), no_event][..],
            &[("type", "\"screen\""), no_event, ("name", "\"\"")],
            &[("type", "\"identify\""), no_event, ("traits", "{}")],
            &[("type", "\"group\""), no_event, ("groupId", "9")],
            &[("type", "\"alias\""), no_event, ("userId", "-9")],
            &[("type", "\"alias\""), no_event, ("userId", "9"), ("previousId", "\"p\""), ("anonymousId", "")],
        ] {
            accepted(changes);
        }
    }

    #[test]
    fn pixels_are_rounded_and_bounded() {
        for (json, expected) in [("411.43", "411"), ("0.5", "1"), ("2147483647", "2147483647"), ("1e2", "100")] {
            let rows = accepted(&[("context", &format!("{{\"screen\":{{\"width\":{json}}}}}"))]);
            assert_eq!(value(&rows, "screen_width", 0).as_deref(), Some(expected), "{json}");
        }
        for json in ["2147483648", "-0.6", "1e300"] {
            let context = format!("{{\"screen\":{{\"width\":{json}}}}}");
            assert_reason(event(&[("context", &context)]), Reason::NumberOutOfRange, "/context/screen/width");
        }
    }
}

mod time {
    use super::*;

    /// Decodes an event with these times and no others; returns event time and arrival, relative to noon in seconds.
    fn times(changes: &[(&str, &str)]) -> (i64, i64) {
        let rows = accepted(&[&[("timestamp", "")], changes].concat());
        let relative = |column| (micros(&rows, column, 0) - NOON) / SECOND;
        (relative("event_time"), relative("arrival_time"))
    }

    #[test]
    fn the_skew_of_the_clients_clock_is_corrected() {
        const EARLY: (&str, &str) = ("timestamp", r#""2026-11-22T11:00:00Z""#);
        const SENT: (&str, &str) = ("sentAt", r#""2026-11-22T11:00:05Z""#);
        const RECEIVED: (&str, &str) = ("receivedAt", r#""2026-11-22T11:59:00Z""#);
        let original = ("originalTimestamp", EARLY.1);
        for (changes, event, arrival) in [
            (&[][..], 0, 0),
            (&[RECEIVED], -60, -60),
            (&[SENT], 0, 0),
            (&[EARLY], -3_600, 0),
            (&[EARLY, SENT], -3_600, 0),
            (&[EARLY, RECEIVED], -3_600, -60),
            (&[EARLY, SENT, RECEIVED], -65, -60),
            (&[original, SENT, RECEIVED], -65, -60),
            (&[original], -3_600, 0),
            (&[("timestamp", r#""2026-11-22T11:58:00Z""#), original, SENT, RECEIVED], -120, -60),
            (&[("timestamp", "1795348800000")], 0, 0),
        ] {
            assert_eq!(times(changes), (event, arrival), "{changes:?}");
        }
    }

    #[test]
    fn the_uncorrected_time_is_kept() {
        let rows = accepted(&[("timestamp", "1795348700000"), ("sentAt", "1795348800000"), ("receivedAt", "1795348801000")]);
        assert_eq!(micros(&rows, "original_timestamp", 0), NOON - 100 * SECOND);
        assert_eq!(micros(&rows, "event_time", 0), NOON - 99 * SECOND);
    }

    #[test]
    fn plausible_times_include_both_bounds() {
        let day_ahead = "\"2026-11-23T12:00:00Z\"";
        let month_behind = "\"2026-10-23T12:00:00Z\"";
        for bound in [day_ahead, month_behind] {
            accepted(&[("timestamp", bound)]);
        }
        for beyond in ["\"2026-11-23T12:00:00.000001Z\"", "\"2026-10-23T11:59:59.999999Z\""] {
            assert_reason(event(&[("timestamp", beyond)]), Reason::ImplausibleTime, "/timestamp");
        }
        let told = refused(event(&[("timestamp", ""), ("originalTimestamp", "\"2030-01-01T00:00:00Z\"")]));
        let expected = "implausible_time at \"/originalTimestamp\": expected an event time from 2026-10-23T12:00:00Z to \
                        2026-11-23T12:00:00Z, found 2030-01-01T00:00:00Z";
        assert_eq!(told, expected);
    }

    #[test]
    fn bounds_of_plausible_times_can_be_set() {
        let chunk = chunk(event(&[]));
        for (seconds, events) in [(60, 1), (59, 0)] {
            let settings = DecodeSettings { max_past_seconds: seconds, ..DecodeSettings::default() };
            let decoded = decode(&chunk, &settings, InputFormat::Segment).expect("decodes");
            assert_eq!(decoded.events.num_rows(), events);
        }
    }

    #[test]
    fn a_collector_from_the_future_is_not_believed() {
        let received = |time: &str| event(&[("timestamp", ""), ("receivedAt", time)]);
        assert_eq!(decoded(received("\"2026-11-23T12:00:00Z\"")).events.num_rows(), 1);
        let late = decoded(received("\"2026-11-23T12:00:01Z\""));
        assert!(told(&late.quarantine, 0).starts_with("implausible_received_at at \"/receivedAt\""));
        assert_eq!(micros(&late.raw, "arrival_time", 0), NOON);
    }

    #[test]
    fn a_source_without_a_time_believes_the_events() {
        let text = [event(&[]), event(&[("receivedAt", "\"2026-11-22T12:00:00Z\"")])].join("\n");
        let chunk = Chunk { source_time_micros: 0, ..chunk(text) };
        let decoded = decode(&chunk, &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
        assert_eq!(decoded.events.num_rows(), 2);
        assert_eq!(micros(&decoded.events, "arrival_time", 0), 0);
        assert_eq!(micros(&decoded.events, "arrival_time", 1), NOON);
    }
}
