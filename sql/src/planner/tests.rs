//! What a question answers where DataFusion's own rules would fail.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use iceberg::spec::PrimitiveType;
use icefold_catalog::Warehouse;
use icefold_core::clock::SystemClock;
use icefold_core::{ErrorKind, Result};
use icefold_fixture::{Fixture, at, column, people, rows, schema};

use crate::fixture::{Queries, lines};
use crate::{QuerySession, SessionSettings};

/// Microseconds at the ends of the calendar of the Iceberg specification, at the Gregorian reform, and now.
const YEAR_1: i64 = -62_135_596_800_000_000;
const YEAR_1582: i64 = -12_220_243_200_000_000;
const YEAR_2026: i64 = 1_768_435_197_000_001;
const YEAR_9999: i64 = 253_402_300_799_999_999;

/// A table with a time of each of these years.
async fn clocks() -> Fixture {
    let mut table = Fixture::new(schema(vec![
        column(1, "at", PrimitiveType::Timestamptz),
        column(2, "local", PrimitiveType::Timestamp),
        column(3, "text", PrimitiveType::String),
    ]));
    let times = TimestampMicrosecondArray::from(vec![YEAR_1, YEAR_1582, YEAR_2026, YEAR_9999]);
    let text: ArrayRef =
        Arc::new(StringArray::from(vec!["0001-01-01", "1582-10-04", "2026-01-14T23:59:57.000001Z", "x"]));
    table.data(at(1), vec![Arc::new(times.clone().with_timezone("+00:00")), Arc::new(times), text]).await;
    table
}

async fn session() -> QuerySession {
    let warehouse = Warehouse::in_memory(Arc::new(SystemClock));
    QuerySession::open(&warehouse, SessionSettings::default()).await.expect("session")
}

async fn ask(sql: &str) -> Result<Vec<String>> {
    Ok(lines(&session().await.query(sql).await?.into_batches().await?))
}

#[tokio::test]
async fn one_clock_of_a_far_year_breaks_no_function_of_times() {
    let table = clocks().await;
    for time in ["at", "local"] {
        for (function, last) in [
            (format!("date_trunc('microsecond', {time})"), "9999-12-31T23:59:59.999999"),
            (format!("date_trunc('second', {time})"), "9999-12-31T23:59:59"),
            (format!("date_trunc('hour', {time})"), "9999-12-31T23:00:00"),
            (format!("date_trunc('day', {time})"), "9999-12-31T00:00:00"),
            (format!("date_trunc('week', {time})"), "9999-12-27T00:00:00"),
            (format!("date_trunc('month', {time})"), "9999-12-01T00:00:00"),
            (format!("date_trunc('quarter', {time})"), "9999-10-01T00:00:00"),
            (format!("date_trunc('year', {time})"), "9999-01-01T00:00:00"),
            (format!("date_bin(INTERVAL '6 hours', {time})"), "9999-12-31T18:00:00"),
            (format!("date_bin(INTERVAL '2 months', {time})"), "9999-11-01T00:00:00"),
            (format!("CAST({time} AS DATE)"), "9999-12-31"),
            (format!("CAST({time} AS TIMESTAMP)"), "9999-12-31T23:59:59.999999"),
            (format!("to_timestamp({time})"), "9999-12-31T23:59:59.999999"),
            (format!("to_char({time}, '%Y-%m-%d')"), "9999-12-31"),
            (format!("date_format({time}, '%Y')"), "9999"),
            (format!("date_part('year', {time})"), "9999"),
            (format!("extract(doy FROM {time})"), "365"),
        ] {
            let found = table.query(&format!("SELECT {function} x FROM t ORDER BY {time}")).await;
            assert_eq!(found.len(), 4, "{function}");
            assert!(found.iter().any(|line| line.trim_end_matches('Z') == last), "{function}: {found:?}");
        }
    }
}

#[tokio::test]
async fn times_are_compared_with_dates_texts_and_times_of_all_years() {
    let table = clocks().await;
    for time in ["at", "local"] {
        for (condition, count) in [
            (format!("{time} < TIMESTAMP '2026-01-15 00:00:00'"), "3"),
            (format!("{time} < '2026-01-15'"), "3"),
            (format!("{time} < DATE '2026-01-15'"), "3"),
            (format!("{time} >= DATE '9999-12-31'"), "1"),
            (format!("{time} <= TIMESTAMP '0001-01-01 00:00:00'"), "1"),
            (format!("{time} = '9999-12-31T23:59:59.999999Z'"), "1"),
            (format!("{time} BETWEEN DATE '1582-01-01' AND TIMESTAMP '2026-12-31 00:00:00'"), "2"),
            (format!("{time} IN ('0001-01-01', '1582-10-04', '2026-01-14')"), "2"),
            (format!("{time} >= CAST({time} AS DATE)"), "4"),
            (format!("{time} < now()"), "3"),
            (format!("CAST({time} AS DATE) = DATE '9999-12-31'"), "1"),
            (format!("CAST({time} AS DATE) = DATE '0001-01-01'"), "1"),
            (format!("CAST({time} AS DATE) > DATE '9999-12-31'"), "0"),
            (format!("date_part('year', {time}) = 9999"), "1"),
            (format!("{time} = text AND text <> 'x'"), "3"),
        ] {
            let found = table.try_query(&format!("SELECT count(*) FROM t WHERE {condition}")).await;
            match condition.contains("= text") {
                // 'x' is no time; whether the row is looked at is up to the order of the conditions.
                true => assert!(found.is_err() || found.is_ok_and(|lines| lines == [count])),
                false => assert_eq!(found.expect(&condition), [count], "{condition}"),
            }
        }
    }
}

#[tokio::test]
async fn times_of_a_zone_are_cut_as_its_clocks_show_them() {
    // Berlin set its clocks forward on 2026-03-29 and back on 2026-10-25; Sao Paulo had no midnight on 2018-11-04. No
    // zone has summer times for the far future.
    for (zone, time, granularity, expected) in [
        ("Europe/Berlin", "2026-03-29T10:00:00", "day", "2026-03-29T00:00:00+01:00"),
        ("Europe/Berlin", "2026-10-25T10:00:00", "day", "2026-10-25T00:00:00+02:00"),
        ("America/Sao_Paulo", "2018-11-04T10:00:00", "day", "2018-11-04T01:00:00-02:00"),
        ("Europe/Berlin", "9999-07-01T10:00:00", "month", "9999-07-01T00:00:00+01:00"),
    ] {
        let sql = format!(
            "SELECT date_trunc('{granularity}', t AT TIME ZONE '{zone}') FROM (VALUES (TIMESTAMP '{time}')) v(t)"
        );
        assert_eq!(ask(&sql).await.expect(&sql), [expected], "{sql}");
    }
}

#[tokio::test]
async fn bins_before_1970_begin_before_what_they_hold() {
    for (call, expected) in [
        ("date_bin(INTERVAL '15 minutes', TIMESTAMP '1969-12-31 23:59:59')", "1969-12-31T23:45:00"),
        ("date_bin(INTERVAL '1 month', TIMESTAMP '1969-12-31 23:59:59')", "1969-12-01T00:00:00"),
        ("date_bin(INTERVAL '1 day', '2026-01-02 04:00:00', '2001-01-01 05:00:00')", "2026-01-01T05:00:00"),
        ("date_trunc('minute', TIMESTAMP '1969-12-31 23:59:59.5')", "1969-12-31T23:59:00"),
        ("to_timestamp(-1.5)", "1969-12-31T23:59:58.500"),
        ("to_timestamp(253402300799)", "9999-12-31T23:59:59"),
        ("TIME '10:00:00'", "10:00:00"),
        ("TIME '10:30:00' > TIME '10:00:00'", "true"),
    ] {
        assert_eq!(ask(&format!("SELECT {call}")).await.expect(call), [expected], "{call}");
    }
    assert_eq!(
        ask("SELECT date_bin(INTERVAL '0 days', now())").await.expect_err("no width").kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn statistics_of_a_filter_fail_no_question() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(i64::MIN), Some("a")), (Some(i64::MAX), Some("b")), (Some(7), Some("c"))])).await;
    for (condition, count) in [
        ("id > 5", "2"),
        ("id + 0 > 5", "2"),
        ("id = 7", "1"),
        ("id >= 9223372036854775807", "1"),
        ("-(id / 2) > 0", "1"),
    ] {
        assert_eq!(table.query(&format!("SELECT count(*) FROM t WHERE {condition}")).await, [count], "{condition}");
        let limited = format!("SELECT count(*) FROM (SELECT * FROM t LIMIT 10) WHERE {condition}");
        assert_eq!(table.query(&limited).await, [count], "{limited}");
    }
    assert_eq!(table.query("SELECT min(id) FROM t HAVING min(id) - 0 < 5").await, [i64::MIN.to_string()]);
}

#[tokio::test]
async fn similar_to_matches_the_whole_text_by_the_pattern_of_the_standard() {
    let mut table = Fixture::new(people());
    table
        .data(at(1), rows(&[(Some(1), Some("abc")), (Some(2), Some("a.c")), (Some(3), None), (Some(4), Some("xabc"))]))
        .await;
    for (condition, ids) in [
        ("name SIMILAR TO 'abc'", vec!["1"]),
        ("name SIMILAR TO '%(b|x)%'", vec!["1", "4"]),
        ("name SIMILAR TO 'a.c'", vec!["2"]),
        ("name SIMILAR TO 'a_c'", vec!["1", "2"]),
        ("name NOT SIMILAR TO 'a%'", vec!["4"]),
        ("name SIMILAR TO NULL", vec![]),
    ] {
        assert_eq!(table.query(&format!("SELECT id FROM t WHERE {condition}")).await, ids, "{condition}");
    }
}

#[tokio::test]
async fn long_chains_are_answered_or_refused() {
    let chain = |term: &dyn Fn(usize) -> String, by: &str| (0..10_000).map(term).collect::<Vec<_>>().join(by);
    let numbers = "(VALUES (1), (2), (20000)) v(a)";
    let any = chain(&|i| format!("a = {i}"), " OR ");
    assert_eq!(ask(&format!("SELECT count(*) FROM {numbers} WHERE {any}")).await.expect("OR"), ["2"]);
    for sql in [
        format!("SELECT {} FROM {numbers}", chain(&|_| "a".to_owned(), " + ")),
        chain(&|i| format!("SELECT {i}"), " UNION ALL "),
        format!("SELECT {}1", "- ".repeat(10_000)),
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT 1{}", "::INT".repeat(10_000)),
    ] {
        if let Err(error) = ask(&sql).await {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}

#[tokio::test]
async fn a_condition_that_fails_for_a_row_is_no_corrupt_file() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(0), Some("zero"))])).await;
    for (condition, what) in
        [("1 / id = 1", "division by zero"), ("CAST(name AS INT) = 1", "Cannot cast string 'zero'")]
    {
        let error = table.try_query(&format!("SELECT * FROM t WHERE {condition}")).await.expect_err(condition);
        let error = crate::error::from_datafusion(error);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(what), "{error}");
    }
}

#[tokio::test]
async fn octets_of_bytes_and_text_are_counted() {
    let mut table = Fixture::new(schema(vec![column(1, "n", PrimitiveType::Long)]));
    table.data(at(1), vec![Arc::new(Int64Array::from(vec![1]))]).await;
    assert_eq!(
        table.query("SELECT octet_length('ä'), octet_length(X'00ff'), octet_length(NULL) FROM t").await,
        ["2|2|"]
    );
}
