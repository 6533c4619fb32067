//! Access logs as a whole, also the real one that the project ships.

use std::collections::HashSet;
use std::io::Read;

use arrow::array::RecordBatch;

use super::super::*;
use super::{NOON, chunk, value};

const LINE: &str = r#"203.0.113.9 - ann [17/May/2015:10:05:03 +0000] "GET /a/b?c=\"d\" HTTP/1.1" 200 203023 "http://e.org/x" "Mozilla/5.0 \\o/""#;

fn read(bytes: impl AsRef<[u8]>) -> DecodedChunk {
    let decoded = decode(&chunk(bytes), &DecodeSettings::default(), InputFormat::Combined).expect("decodes");
    assert_eq!(decoded.raw.num_rows(), decoded.events.num_rows() + decoded.quarantine.num_rows(), "W2");
    decoded
}

#[track_caller]
fn assert_values(rows: &RecordBatch, expected: &[(&str, Option<&str>)]) {
    for (column, expected) in expected {
        assert_eq!(value(rows, column, 0).as_deref(), *expected, "{column}");
    }
}

#[test]
fn a_line_becomes_a_page_event() {
    let decoded = read(LINE);
    assert_values(
        &decoded.events,
        &[
            ("event_type", Some("page")),
            ("event_name", Some("/a/b")),
            ("event_time", Some("2015-05-17T10:05:03Z")),
            ("arrival_time", Some("2015-05-17T10:05:03Z")),
            ("user_id", Some("ann")),
            ("ip", Some("203.0.113.9")),
            ("user_agent", Some(r"Mozilla/5.0 \o/")),
            ("page_url", None),
            ("page_path", Some("/a/b")),
            ("page_search", Some(r#"?c="d""#)),
            ("page_referrer", Some("http://e.org/x")),
            ("library_name", Some("icefold-combined")),
            ("properties", Some(r#"{"method":"GET","protocol":"HTTP/1.1","status":200,"bytes":203023}"#)),
            ("contract", Some("access-log/1")),
        ],
    );
    assert_values(&decoded.raw, &[("payload", Some(LINE)), ("user_id", Some("ann"))]);
    assert_eq!(value(&decoded.raw, "anonymous_id", 0), value(&decoded.events, "anonymous_id", 0));
}

#[test]
fn ids_depend_on_place_and_bytes_alone() {
    let ids = |decoded: &DecodedChunk, column| -> Vec<_> {
        (0..decoded.events.num_rows()).filter_map(|row| value(&decoded.events, column, row)).collect()
    };
    let twice = read(format!("{LINE}\r\n{LINE}\n"));
    let messages = ids(&twice, "message_id");
    assert!(messages.iter().all(|id| id.len() == 32));
    assert_ne!(messages[0], messages[1], "the same line in another place is another event");
    let devices = ids(&twice, "anonymous_id");
    assert_eq!(devices[0], devices[1], "the same client is the same device");
    assert_eq!(ids(&read(LINE), "message_id"), messages[..1], "reading again gives the same ids");
    let elsewhere = Chunk { segment: "other".into(), ..chunk(LINE) };
    let elsewhere = decode(&elsewhere, &DecodeSettings::default(), InputFormat::Combined).expect("decodes");
    assert_ne!(ids(&elsewhere, "message_id"), messages[..1]);
    assert_eq!(ids(&elsewhere, "anonymous_id"), devices[..1]);
}

#[test]
fn odd_requests_keep_their_text() {
    for (request, path, properties) in [
        ("-", None, r#"{"status":408,"bytes":0}"#),
        (r"\x16\x03\x01", None, r#"{"request":"\\x16\\x03\\x01","status":408,"bytes":0}"#),
        ("GET /old", Some("/old"), r#"{"method":"GET","status":408,"bytes":0}"#),
        ("OPTIONS * HTTP/1.0", Some("*"), r#"{"method":"OPTIONS","protocol":"HTTP/1.0","status":408,"bytes":0}"#),
        (
            "GET http://h.org/p?q#f HTTP/1.1",
            Some("/p"),
            r#"{"method":"GET","protocol":"HTTP/1.1","status":408,"bytes":0}"#,
        ),
        ("GET http://h.org HTTP/1.1", Some("/"), r#"{"method":"GET","protocol":"HTTP/1.1","status":408,"bytes":0}"#),
        ("GET /a b HTTP/1.1", Some("/a b"), r#"{"method":"GET","protocol":"HTTP/1.1","status":408,"bytes":0}"#),
    ] {
        let decoded = read(format!("::1 - - [10/Oct/2000:13:55:36 -0700] \"{request}\" 408 0"));
        assert_eq!(decoded.events.num_rows(), 1, "{request}");
        assert_values(&decoded.events, &[("page_path", path), ("properties", Some(properties)), ("ip", Some("::1"))]);
    }
}

#[test]
fn names_of_users_are_unescaped_and_an_empty_one_is_none() {
    for (logged, user) in [(r"J\xc3\xbcrgen", Some("Jürgen")), ("\"\"", None), ("-", None)] {
        let decoded = read(format!("::1 - {logged} [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 0"));
        assert_values(&decoded.events, &[("user_id", user)]);
        assert_values(&decoded.raw, &[("user_id", user)]);
    }
}

#[test]
fn addresses_that_a_server_appended_stand_in_raw_events_alone() {
    let line = format!(r#"{LINE} "198.51.100.77, [2001:db8::1]:443" rt=0.003 upstream=10.0.0.1:80"#);
    let decoded = read(&line);
    let properties = value(&decoded.events, "properties", 0).expect("properties");
    let rest = r#""rest":"\"-, -\" rt=0.003 upstream=-""#;
    assert!(properties.contains(rest), "{properties}");
    assert_values(&decoded.raw, &[("payload", Some(&line))]);
}

#[test]
fn a_malformed_line_costs_one_row() {
    let bytes = [
        LINE.as_bytes(),
        b"oops",
        b"\xff - - [10/Oct/2000:13:55:36 -0700] \"G\" 1 1",
        b"h - \0 [10/Oct/2000:13:55:36 -0700] \"G\" 1 1",
        b" ",
        LINE.as_bytes(),
    ]
    .join(&b'\n');
    let decoded = read(&bytes);
    assert_eq!((decoded.events.num_rows(), decoded.quarantine.num_rows()), (2, 3));
    let told =
        |column| -> Vec<_> { (0..3).map(|row| value(&decoded.quarantine, column, row).unwrap_or_default()).collect() };
    assert_eq!(told("reason"), ["malformed_log_line", "invalid_utf8", "nul_character"]);
    assert_eq!(told("expected")[0], "a host");
    assert_eq!(told("found")[0], "oops");
    assert_eq!(told("contract")[0], "access-log/1");
    assert_eq!(told("arrival_time")[0], icefold_core::timestamp::format_iso(NOON));
}

#[test]
fn a_line_from_the_future_is_not_believed() {
    let line = |time: &str| format!("::1 - - [{time}] \"GET / HTTP/1.1\" 200 0");
    assert_eq!(read(line("23/Nov/2026:12:00:00 +0000")).events.num_rows(), 1, "a day ahead");
    let late = read(line("23/Nov/2026:12:00:01 +0000"));
    assert_values(
        &late.quarantine,
        &[
            ("reason", Some("implausible_received_at")),
            ("expected", Some("at most 2026-11-23T12:00:00Z")),
            ("found", Some("2026-11-23T12:00:01Z")),
            ("arrival_time", Some("2026-11-22T12:00:00Z")),
            ("contract", Some("access-log/1")),
        ],
    );
}

#[test]
fn all_lines_of_the_real_log_are_accounted_for() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration/data/web-access-2015.log.gz");
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(file).expect("the sample log is part of the repository");
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("gzip");
    let decoded = read(&bytes);
    assert_eq!(decoded.raw.num_rows(), 10_000);
    // Line 8899 ends in the middle of its user agent.
    assert_eq!(decoded.quarantine.num_rows(), 1);
    assert_values(
        &decoded.quarantine,
        &[
            ("reason", Some("malformed_log_line")),
            ("expected", Some("a user agent in quotation marks")),
            ("found", Some("\"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html")),
        ],
    );
    let distinct = |column| -> usize {
        (0..decoded.events.num_rows())
            .filter_map(|row| value(&decoded.events, column, row))
            .collect::<HashSet<_>>()
            .len()
    };
    assert_eq!(distinct("message_id"), 9_999);
    assert_eq!(distinct("ip"), 1_753);
    assert_eq!(distinct("event_time"), distinct("arrival_time"));
    let days = (0..9_999).filter_map(|row| value(&decoded.events, "event_time", row)).map(|t| t[..10].to_owned());
    assert_eq!(days.collect::<HashSet<_>>().len(), 4);
}
