//! Event time and arrival.

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
    let rows =
        accepted(&[("timestamp", "1795348700000"), ("sentAt", "1795348800000"), ("receivedAt", "1795348801000")]);
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
fn a_stream_that_stands_at_1970_believes_the_events() {
    let text = [event(&[]), event(&[("receivedAt", "\"2026-11-22T12:00:00Z\"")])].join("\n");
    let chunk = Chunk { stream_time_micros: 0, ..chunk(text) };
    let decoded = decode(&chunk, &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
    assert_eq!(decoded.events.num_rows(), 2);
    assert_eq!(micros(&decoded.events, "arrival_time", 0), 0);
    assert_eq!(micros(&decoded.events, "arrival_time", 1), NOON);
}

#[test]
fn an_event_that_does_not_tell_when_it_arrived_arrives_when_the_stream_stands() {
    let rows = decoded([event(&[("receivedAt", "\"2026-11-22T11:00:00Z\"")]), event(&[])].join("\n"));
    for table in [&rows.raw, &rows.events] {
        assert_eq!((micros(table, "arrival_time", 0), micros(table, "stream_time", 0)), (NOON - 3_600 * SECOND, NOON));
        assert_eq!((micros(table, "arrival_time", 1), micros(table, "stream_time", 1)), (NOON, NOON));
    }
}

#[test]
fn what_is_plausible_moves_on_with_the_stream() {
    let text = event(&[("timestamp", ""), ("receivedAt", "\"2026-12-20T12:00:00Z\"")]);
    let weeks = 27 * 24 * 3_600 * SECOND;
    for (ahead, events) in [(0, 0), (weeks - SECOND, 0), (weeks, 1)] {
        let chunk = Chunk { stream_time_micros: NOON + ahead, ..chunk(&text) };
        let decoded = decode(&chunk, &DecodeSettings::default(), InputFormat::Segment).expect("decodes");
        assert_eq!(decoded.events.num_rows(), events, "{ahead}");
        assert_eq!(micros(&decoded.raw, "stream_time", 0), NOON + ahead, "whatever the event claims");
    }
}
