//! The rules of the built-in contract, one by one.

use icefold_catalog::contracts::{ContractSet, Document};

use super::*;

#[test]
fn each_rule_is_told_with_pointer_expected_and_found() {
    let long = format!("\"{}\"", "x".repeat(256));
    let types = "one of track, page, screen, identify, group, alias";
    for (changes, expected) in [
        (&[("type", "")][..], format!("missing_key at \"/type\": expected {types}, found nothing")),
        (&[("type", "\"Track\"")], format!("unknown_type at \"/type\": expected {types}, found \"Track\"")),
        (&[("type", "1")], format!("wrong_type at \"/type\": expected {types}, found 1")),
        (
            &[("messageId", "")],
            "missing_key at \"/messageId\": expected a string of 1 to 255 bytes, found nothing".into(),
        ),
        (
            &[("messageId", "null")],
            "missing_key at \"/messageId\": expected a string of 1 to 255 bytes, found null".into(),
        ),
        (
            &[("messageId", "\"\"")],
            "empty_value at \"/messageId\": expected a string of 1 to 255 bytes, found \"\"".into(),
        ),
        (&[("messageId", "5")], "wrong_type at \"/messageId\": expected a string, found 5".into()),
        (
            &[("messageId", &long)],
            format!("value_too_long at \"/messageId\": expected a string of 1 to 255 bytes, found {}", &long[..256]),
        ),
        (
            &[("messageId", r#""a\u0000""#)],
            r#"nul_character at "/messageId": expected a string without U+0000, found "a\u0000""#.into(),
        ),
        (
            &[("anonymousId", "")],
            "missing_key at \"/anonymousId\": expected anonymousId or userId, found nothing".into(),
        ),
        (&[("anonymousId", "5")], "wrong_type at \"/anonymousId\": expected a string, found 5".into()),
        (&[("userId", "5.0")], "wrong_type at \"/userId\": expected a string or an integer, found 5.0".into()),
        (&[("userId", "{}")], "wrong_type at \"/userId\": expected a string or an integer, found {}".into()),
        (
            &[("event", "")],
            "missing_key at \"/event\": expected the name of the event, for a track call, found nothing".into(),
        ),
        (
            &[("event", "\"\"")],
            "empty_value at \"/event\": expected the name of the event, for a track call, found \"\"".into(),
        ),
        (&[("event", "[]")], "wrong_type at \"/event\": expected a string, found []".into()),
        (
            &[("type", "\"group\"")],
            "missing_key at \"/groupId\": expected groupId, for a group call, found nothing".into(),
        ),
        (
            &[("type", "\"alias\"")],
            "missing_key at \"/userId\": expected userId, for an alias call, found nothing".into(),
        ),
        (
            &[("type", "\"alias\""), ("userId", "1"), ("anonymousId", "")],
            "missing_key at \"/previousId\": expected previousId or anonymousId, for an alias call, found nothing"
                .into(),
        ),
        (&[("properties", "[]")], "wrong_type at \"/properties\": expected an object, found []".into()),
        (&[("traits", "1")], "wrong_type at \"/traits\": expected an object, found 1".into()),
        (&[("context", "\"x\"")], "wrong_type at \"/context\": expected an object, found \"x\"".into()),
        (&[("context", r#"{"app":"x"}"#)], "wrong_type at \"/context/app\": expected an object, found \"x\"".into()),
        (&[("context", r#"{"ip":4}"#)], "wrong_type at \"/context/ip\": expected a string, found 4".into()),
        (
            &[("context", r#"{"os":{"version":9}}"#)],
            "wrong_type at \"/context/os/version\": expected a string, found 9".into(),
        ),
        (
            &[("context", r#"{"screen":{"width":"9"}}"#)],
            "wrong_type at \"/context/screen/width\": expected a number, found \"9\"".into(),
        ),
        (
            &[("context", r#"{"screen":{"height":-1}}"#)],
            "number_out_of_range at \"/context/screen/height\": expected a number from 0 to 2147483647, found -1"
                .into(),
        ),
        (
            &[("sentAt", "true")],
            format!("wrong_type at \"/sentAt\": expected {}, found true", icefold_core::timestamp::EXPECTED),
        ),
        (
            &[("timestamp", "\"now\"")],
            format!(
                "invalid_timestamp at \"/timestamp\": expected {}, found \"now\"",
                icefold_core::timestamp::EXPECTED
            ),
        ),
        (
            &[("timestamp", "1795348800")],
            format!(
                "invalid_timestamp at \"/timestamp\": expected {}, found 1795348800",
                icefold_core::timestamp::EXPECTED
            ),
        ),
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

#[test]
fn of_a_promised_property_that_stands_twice_the_last_value_counts() {
    let active = Arc::new(
        Active::compile(&ContractSet::parse(vec![shipped("commerce")]).expect("valid"), None).expect("compiles"),
    );
    let mut decoder = Decoder::new(DecodeSettings::default(), InputFormat::Segment).expect("settings");
    decoder.set_contracts(Some(&active)).expect("columns");
    for (ids, reason) in [
        (r#""product_id":"p""#, None),
        (r#""product_id":null,"product_id":"p""#, None),
        (r#""product_id":"p","product_id":null"#, Some("missing_property")),
        (r#""product_id":"","product_id":"p""#, Some("length_out_of_range")),
    ] {
        let event = event(&[
            ("event", "\"Product Viewed\""),
            ("properties", &format!(r#"{{{ids},"price":1,"currency":"EUR"}}"#)),
        ]);
        let decoded = decoder.decode(&chunk(&event)).expect("decodes");
        let told = (decoded.events.num_rows() == 0).then(|| value(&decoded.quarantine, "reason", 0)).flatten();
        assert_eq!(told.as_deref(), reason, "{ids}");
    }
}

fn shipped(name: &str) -> Document {
    let file = format!("{}/../contracts/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    Document { text: std::fs::read_to_string(&file).expect("a shipped contract"), file }
}
