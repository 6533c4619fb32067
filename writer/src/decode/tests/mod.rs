//! What a producer, an analyst and an eraser would notice of the decoder.

mod batches;
mod combined;
mod contract;
mod sampled;
mod seeds;
mod time;
mod unreadable;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use arrow::util::display::array_value_to_string;
use icefold_core::{Offset, ShardId, ShardPosition};

use super::laws::{ARRIVAL_MICROS, bytes_at};
use super::*;
use crate::chunk::Oversized;

/// 2026-11-22T12:00:00Z.
pub(super) const NOON: i64 = ARRIVAL_MICROS;
const SECOND: i64 = 1_000_000;

pub(super) fn chunk(bytes: impl AsRef<[u8]>) -> Chunk {
    let bytes = bytes.as_ref().to_vec();
    let end = bytes.len() as u64;
    Chunk {
        shard: ShardId::new("shard"),
        segment: "segment".into(),
        start: 0,
        bytes: bytes.into(),
        stream_time_micros: NOON,
        oversized: None,
        sub_offsets: None,
        from: Offset::start(),
        to: ShardPosition { stream_time_micros: Some(NOON), ..ShardPosition::at(Offset::new("segment", end)) },
    }
}

pub(super) fn decoded(bytes: impl AsRef<[u8]>) -> DecodedChunk {
    let decoded = decode(&chunk(&bytes), &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
    laws::check_rows(&decoded);
    laws::check_lines_are_kept(bytes.as_ref(), &decoded.raw);
    decoded
}

/// Returns the value of a column as text, `None` for null.
pub(super) fn value(rows: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let array = rows.column_by_name(column).unwrap_or_else(|| panic!("column {column}"));
    match bytes_at(rows, column, row) {
        Some(bytes) if ["payload", "batch_envelope"].contains(&column) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        Some(text) => Some(std::str::from_utf8(text).expect("text is UTF-8").to_owned()),
        None if array.is_null(row) => None,
        None => Some(array_value_to_string(array, row).expect("printable")),
    }
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
    assert_eq!(
        (decoded.events.num_rows(), decoded.quarantine.num_rows()),
        (0, 1),
        "{}",
        String::from_utf8_lossy(bytes)
    );
    for rows in [&decoded.raw, &decoded.quarantine] {
        assert_eq!(bytes_at(rows, "payload", 0), Some(bytes), "payload is kept whole");
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
        ("contract", InputFormat::Segment.contract()),
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

#[test]
fn events_of_one_library_type_and_name_have_one_shape_and_no_others() {
    let shape = |changes: &[(&str, &str)]| {
        let raw = decoded(event(changes)).raw;
        raw.column_by_name(crate::chunk::SHAPE).expect("shape").as_primitive::<UInt32Type>().value(0)
    };
    let plain = shape(&[]);
    assert_eq!(shape(&[("messageId", r#""m2""#), ("anonymousId", r#""a2""#), ("properties", r#"{"x":1}"#)]), plain);
    let others: [&[(&str, &str)]; 3] = [
        &[("event", r#""Signed Out""#)],
        &[("type", r#""page""#), ("name", r#""Signed Up""#), ("event", "")],
        &[("context", r#"{"library":{"name":"another"}}"#)],
    ];
    for other in others {
        assert_ne!(shape(other), plain, "{other:?}");
    }
}
