//! Functions as other engines name them.

use super::*;

async fn value(session: &QuerySession, expression: &str) -> String {
    answer(session, &format!("SELECT coalesce(CAST({expression} AS VARCHAR), '∅')")).await.remove(0)
}

#[tokio::test]
async fn functions_of_other_engines_mean_what_they_mean_there() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (expression, expected) in [
        ("date('2026-11-01')", "2026-11-01"),
        ("date(TIMESTAMP '2026-11-01 23:59:59')", "2026-11-01"),
        ("year(DATE '2026-11-01')", "2026"),
        ("hour(TIMESTAMP '2026-11-01 23:59:59')", "23"),
        ("day_of_week(DATE '2026-11-01')", "7"),
        ("week(DATE '2026-11-01')", "44"),
        ("date_diff('day', TIMESTAMP '2026-11-01 23:00:00', TIMESTAMP '2026-11-02 01:00:00')", "0"),
        ("datediff(day, TIMESTAMP '2026-11-01 23:00:00', TIMESTAMP '2026-11-02 01:00:00')", "1"),
        ("datediff('year', DATE '2026-12-31', DATE '2027-01-01')", "1"),
        ("date_diff('month', DATE '2026-01-31', DATE '2026-02-28')", "1"),
        ("date_diff('month', DATE '2026-03-15', DATE '2026-01-16')", "-1"),
        ("date_diff('hour', '2026-11-01', '2026-11-02')", "24"),
        ("date_add('month', 1, DATE '2026-01-31')", "2026-02-28"),
        ("dateadd(hour, -1, DATE '2026-01-01')", "2025-12-31T23:00:00"),
        ("date_add('day', 1, NULL)", "∅"),
        ("date_format(TIMESTAMP '2026-11-01 23:58:59', '%Y-%m-%d %H:%i:%s')", "2026-11-01 23:58:59"),
        ("to_char(TIMESTAMP '2026-11-01 23:58:59', 'YYYY-MM-DD HH24:MI:SS')", "2026-11-01 23:58:59"),
        ("to_char(TIMESTAMP '2026-11-01 23:58:59', '%H:%M')", "23:58"),
        ("from_iso8601_timestamp('2026-11-01T23:58:59+01:00')", "2026-11-01T22:58:59"),
        ("from_unixtime(0)", "1970-01-01T00:00:00"),
        ("if(1 > 0, 'a', 'b') || coalesce(iif(1 < 0, 'a'), '-')", "a-"),
        ("charindex('b', 'abc')", "2"),
        ("len('äb')", "2"),
        ("nvl(NULL, 1) + nvl2(NULL, 1, 2) + ifnull(NULL, 3)", "6"),
        ("try(CAST('x' AS BIGINT))", "∅"),
        ("try_cast('7' AS BIGINT)", "7"),
        ("getdate() = now()", "true"),
    ] {
        assert_eq!(value(&session, expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn aggregates_of_other_engines_mean_what_they_mean_there() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    let rows = "(VALUES (1, 'b', 3), (2, 'a', 1), (3, NULL, 2), (4, 'c', NULL)) t(i, s, y)";
    for (expression, expected) in [
        ("count_if(i > 1)", "3"),
        ("count_if(i > 1) FILTER (WHERE s = 'a' OR s = 'b')", "1"),
        ("max_by(s, y)", "b"),
        ("min_by(s, y)", "a"),
        ("max_by(i, s)", "4"),
        ("listagg(s, ',') WITHIN GROUP (ORDER BY s)", "a,b,c"),
        ("listagg(s, ',' ORDER BY s DESC)", "c,b,a"),
        ("listagg(DISTINCT s, '-') WITHIN GROUP (ORDER BY s)", "a-b-c"),
        ("arbitrary(s) IN ('a', 'b', 'c')", "true"),
        ("approx_percentile(i, 0.5) BETWEEN 2 AND 3", "true"),
        ("approx_distinct(s)", "3"),
        ("every(i > 0)", "true"),
    ] {
        assert_eq!(answer(&session, &format!("SELECT {expression} FROM {rows}")).await, [expected], "{expression}");
    }
}

#[tokio::test]
async fn what_means_different_things_elsewhere_is_refused() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (expression, words) in [
        ("dayofweek(DATE '2026-11-01')", "day_of_week(x)"),
        ("date_format(now(), 'yyyy-MM-dd')", "to_char"),
        ("date_format(now(), '%Q')", "`%Q`"),
        ("to_char(now(), 'Month')", "`to_char` does not know"),
        ("datediff(week, '2026-11-01', '2026-11-08')", "date_diff('week'"),
        ("date_add('fortnight', 1, now())", "takes a unit"),
        ("date_add(now(), 1)", "takes a unit"),
        ("count_if(DISTINCT true)", "neither DISTINCT"),
        ("try(1 / 0)", "TRY_CAST"),
        ("approx_percentile(1, 2, 0.5)", "approx_percentile(revenue, 0.95)"),
    ] {
        let (kind, text) = refusal(&session, &format!("SELECT {expression}")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{expression}: {text}");
        assert!(text.contains(words), "{expression}: {text}");
    }
}
