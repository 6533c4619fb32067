//! What becomes of text that cannot be read.

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
        (
            r#"{"a":"x"#,
            r#"truncated_json at "/a": expected the end of the string, or an escaped control character, found {"a":"x"#,
        ),
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
    let nested =
        |levels: usize| event(&[("properties", &format!("{{\"x\":{}1{}}}", "[".repeat(levels), "]".repeat(levels)))]);
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

#[test]
fn the_deepest_nesting_that_can_be_set_is_read() {
    let settings = DecodeSettings { max_depth: settings::DEPTH_CEILING, ..DecodeSettings::default() };
    let levels = settings::DEPTH_CEILING as usize - 2;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels| format!("{{\"x\":{}1{}}}", open.repeat(levels), close.repeat(levels));
        for (levels, events) in [(levels, 1), (levels + 1, 0)] {
            let chunk = chunk(event(&[("properties", &nested(levels))]));
            let decoded = decode(&chunk, &settings, InputFormat::Segment).expect("decodes");
            assert_eq!(decoded.events.num_rows(), events);
        }
    }
}
