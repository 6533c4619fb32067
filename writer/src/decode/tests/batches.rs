//! Records of several events.

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
fn what_is_left_of_a_batch_keeps_its_indexes() {
    let left = Chunk { sub_offsets: Some([1, 3].into()), ..chunk(format!("[{0},{0}]\n", event(&[]))) };
    let decoded = decode(&left, &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
    for rows in [&decoded.raw, &decoded.events] {
        let subs = rows.column_by_name("sub_offset").expect("column").as_primitive::<Int32Type>();
        assert_eq!(subs.values(), &[1, 3]);
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
    let record =
        format!("{{\"batch\":[{}],\"context\":{{\"x\":\"{}\"}}}}", vec!["1"; 1_000].join(","), "y".repeat(5_000));
    assert!(refused(record).starts_with("batch_envelope_too_large"));
}

#[test]
fn a_late_time_of_the_batch_is_told_for_each_event() {
    let decoded = decoded(format!("{{\"batch\":[{0},{0}],\"sentAt\":\"yesterday\"}}", event(&[])));
    assert_eq!(decoded.quarantine.num_rows(), 2);
    assert!(told(&decoded.quarantine, 0).starts_with("invalid_timestamp at \"/sentAt\""));
}

#[test]
fn a_context_of_the_batch_that_is_none_refuses_the_events_that_need_it() {
    for (context, pointer) in [("5", "/context"), (r#"{"app":"x"}"#, "/context/app")] {
        let own = event(&[("context", r#"{"app":{"name":"own"}}"#)]);
        let decoded = decoded(format!("{{\"batch\":[{},{own}],\"context\":{context}}}", event(&[])));
        assert_eq!((decoded.events.num_rows(), decoded.quarantine.num_rows()), (1, 1));
        assert!(told(&decoded.quarantine, 0).starts_with(&format!("wrong_type at {pointer:?}")));
    }
}

#[test]
fn a_second_batch_in_a_record_is_refused_with_the_first() {
    for second in ["[{}]", "1"] {
        let decoded = decoded(format!("{{\"batch\":[{}],\"batch\":{second}}}", event(&[])));
        assert_eq!(decoded.quarantine.num_rows(), 1);
        assert!(told(&decoded.quarantine, 0).starts_with("duplicate_key at \"/batch\""));
    }
}

#[test]
fn a_record_has_no_more_events_than_it_may() {
    let array = |events: usize| format!("[{}]", vec!["1"; events].join(","));
    assert_eq!(decoded(array(MAX_BATCH_EVENTS)).quarantine.num_rows(), MAX_BATCH_EVENTS);
    assert!(refused(array(MAX_BATCH_EVENTS + 1)).starts_with("batch_too_long at \"/100000\""));
}
