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
        ("mod(-7, 3)", "-1"),
        ("mod(1 + 6, 2 + 1)", "1"),
        ("mod(NULL, 3)", "∅"),
        ("iff(true, 'a', 'b')", "a"),
        ("decode(2, 1, 'one', 2, 'two', 'many')", "two"),
        ("decode(NULL, 1, 'one', NULL, 'none')", "none"),
        ("decode(3, 1, 'one')", "∅"),
        ("element_at(ARRAY[1, 2, 3], -1)", "3"),
        ("element_at(ARRAY[1, 2, 3], 4)", "∅"),
        ("element_at(MAP {'a': 1}, 'a')", "1"),
        ("to_unixtime(TIMESTAMP '2020-01-01 00:00:00.5')", "1577836800.5"),
        ("from_unixtime(1.5)", "1970-01-01T00:00:01.500"),
        ("last_day(DATE '2020-02-01')", "2020-02-29"),
        ("last_day_of_month(TIMESTAMP '2026-12-31 23:59:59')", "2026-12-31"),
        ("last_day(NULL)", "∅"),
        ("date_parse('01/11/2026 23:58', '%d/%m/%Y %H:%i')", "2026-11-01T23:58:00"),
        ("ceiling(1.2) + truncate(1.7) + sign(-2)", "2.0"),
        ("typeof(1)", "Int64"),
        ("to_base64(to_utf8('a'))", "YQ=="),
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
        ("mode(i % 2 = 0)", "false"),
        ("mode(s)", "a"),
        ("mode(s) FILTER (WHERE i <> 2)", "b"),
        ("mode() WITHIN GROUP (ORDER BY coalesce(y, 3))", "3"),
        ("coalesce(mode(s) FILTER (WHERE s IS NULL), 'none')", "none"),
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
        ("mode(DISTINCT 1)", "neither DISTINCT"),
        ("mode(1, 2)", "`mode` takes one column"),
        ("mode() WITHIN GROUP (ORDER BY 1 DESC)", "mode(x)"),
        ("mod(7, 0)", "Divide by zero"),
        ("md5(5)", "`md5` takes text or bytes"),
        ("sha2('a', 100)", "224, 256, 384 or 512 bits, not 100"),
        ("regexp_extract('a', '(')", "'(' cannot be read: unclosed group"),
        ("regexp_extract('a', 'a(?=b)')", "look-around"),
        ("regexp_extract('a', '(a)', 2)", "has 1 groups, not one numbered 2"),
        ("regexp_substr('a', 'a', 0)", "counts characters from 1"),
        ("regexp_substr('a', 'a', 1, 1, 'i')", "`(?i)` in front"),
        ("url_decode('100%')", "cannot read `%`"),
        ("url_decode('%zz')", "cannot read `%zz`"),
        ("parse_url('http://a', 'host')", "the parts are HOST, PATH"),
        ("parse_url('http://a', 'HOST', 'x')", "with 'QUERY'"),
        ("url_extract_parameter('http://a')", "a URL and a name"),
        ("json_size('[]')", "json_size(properties"),
        ("add_months(now(), 1)", "date_add('month', n, x)"),
        ("'a' LIKE 'a' ESCAPE 'ab'", "one character"),
        ("'a' LIKE 'a!' ESCAPE '!'", "ends with its escape `!`"),
        ("'a' LIKE concat('a', 'b') ESCAPE '!'", "pattern in single quotes"),
        ("date_add('day', 1, now() AT TIME ZONE 'Europe/Berlin')", "to_local_time"),
        ("date_diff('day', now() AT TIME ZONE 'Europe/Berlin', now())", "two time zones"),
        ("try(1 / 0)", "TRY_CAST"),
        ("approx_percentile(1, 2, 0.5)", "approx_percentile(revenue, 0.95)"),
    ] {
        let (kind, text) = refusal(&session, &format!("SELECT {expression}")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{expression}: {text}");
        assert!(text.contains(words), "{expression}: {text}");
    }
}

#[tokio::test]
async fn digests_are_hexadecimal_text() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    // The values are those of RFC 1321 and FIPS 180.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (expression, expected) in [
        ("md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
        ("md5(X'616263')", "900150983cd24fb0d6963f7d28e17f72"),
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("md5(NULL)", "∅"),
        ("to_hex(md5(to_utf8('abc')))", "900150983CD24FB0D6963F7D28E17F72"),
        ("sha256('abc')", sha256),
        ("sha2('abc', 256)", sha256),
        ("sha2('abc', 0)", sha256),
        ("sha2('abc', 224)", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ("left(sha512('abc'), 16)", "ddaf35a193617aba"),
        ("left(sha2('abc', 384), 16)", "cb00753f45a35e8b"),
        ("sha2('abc', NULL)", "∅"),
    ] {
        assert_eq!(value(&session, expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn parts_of_urls_are_found() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (function, expected) in [
        ("url_extract_protocol(u)", "https"),
        ("url_extract_host(u)", "Shop.example"),
        ("url_extract_port(u)", "8443"),
        ("url_extract_path(u)", "/a b"),
        ("url_extract_query(u)", "q=x y+z&e"),
        ("url_extract_fragment(u)", "top"),
        ("url_extract_parameter(u, 'q')", "x y z"),
        ("url_extract_parameter(u, 'e')", ""),
        ("url_extract_parameter(u, 'f')", "∅"),
        ("url_extract_host('/pricing?a=b')", ""),
        ("url_extract_path('/pricing?a=b')", "/pricing"),
        ("url_extract_port('http://a/')", "∅"),
        ("url_extract_path('no url')", "∅"),
        ("url_extract_path(NULL)", "∅"),
        ("parse_url(u, 'PATH')", "/a%20b"),
        ("parse_url(u, 'FILE')", "/a%20b?q=x%20y+z&e"),
        ("parse_url(u, 'QUERY', 'q')", "x%20y+z"),
        ("parse_url(u, 'AUTHORITY')", "me@Shop.example:8443"),
        ("parse_url(u, 'USERINFO')", "me"),
        ("parse_url('/pricing', 'HOST')", "∅"),
        ("url_encode('a b&ä*')", "a+b%26%C3%A4*"),
        ("url_decode(url_encode('a b&ä*+%'))", "a b&ä*+%"),
    ] {
        let url = "https://me@Shop.example:8443/a%20b?q=x%20y+z&e#top";
        let sql = format!("SELECT coalesce(CAST({function} AS VARCHAR), '∅') FROM (VALUES ('{url}'), ('{url}')) t(u)");
        assert_eq!(answer(&session, &sql).await, [expected; 2], "{function}");
    }
}

#[tokio::test]
async fn regular_expressions_find_what_they_find_in_athena() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (expression, expected) in [
        ("regexp_extract('1a 2b 14m', '[0-9]+')", "1"),
        ("regexp_extract('1a 2b 14m', '([0-9]+)([a-z]+)', 2)", "a"),
        ("regexp_extract('abc', '[0-9]')", "∅"),
        ("regexp_extract('abc', 'a(x)?', 1)", "∅"),
        ("regexp_extract('abc', NULL)", "∅"),
        ("array_to_string(regexp_extract_all('1a 2b 14m', '[0-9]+'), ',')", "1,2,14"),
        ("array_to_string(regexp_extract_all('1a 2b 14m', '([0-9]+)([a-z]+)', 2), ',')", "a,b,m"),
        ("cardinality(regexp_extract_all('abc', '[0-9]'))", "0"),
        ("regexp_extract_all(NULL, 'a')", "∅"),
        ("regexp_substr('ä1 b2', '[0-9]')", "1"),
        ("regexp_substr('ä1 b2', '[0-9]', 3)", "2"),
        ("regexp_substr('ä1 b2', '[0-9]', 1, 2)", "2"),
        ("regexp_substr('ä1 b2', '[0-9]', 1, 3)", "∅"),
        ("regexp_substr('ä1', '[0-9]', 9)", "∅"),
    ] {
        assert_eq!(value(&session, expression).await, expected, "{expression}");
    }
    let by_row = "SELECT regexp_extract(s, p) FROM (VALUES ('ab', 'a'), ('ab', 'b'), ('ab', 'b')) t(s, p)";
    assert_eq!(answer(&session, by_row).await, ["a", "b", "b"]);
}

#[tokio::test]
async fn any_character_can_escape_in_like() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (expression, expected) in [
        ("'a_b' LIKE 'a!_b' ESCAPE '!'", "true"),
        ("'axb' LIKE 'a!_b' ESCAPE '!'", "false"),
        ("'axb' NOT LIKE 'a!_b' ESCAPE '!'", "true"),
        ("'a!b' LIKE 'a!!b' ESCAPE '!'", "true"),
        (r"'a\b' LIKE 'a\b' ESCAPE '!'", "true"),
        (r"'a\xb' LIKE 'a\%' ESCAPE ''", "true"),
        (r"'axb' LIKE 'a\_b' ESCAPE ''", "false"),
        ("'A_B' ILIKE 'a!_%' ESCAPE '!'", "true"),
        (r"'a_b' LIKE 'a\_b' ESCAPE '\'", "true"),
        ("'a' LIKE NULL ESCAPE '!'", "∅"),
    ] {
        assert_eq!(value(&session, expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn days_are_counted_by_the_clocks_of_a_zone() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    let new_york = |utc: &str| format!("(TIMESTAMP '{utc}' AT TIME ZONE 'UTC') AT TIME ZONE 'America/New_York'");
    // The clocks went forward on 8 March 2026, so that this day had 23 hours.
    let (a, b) = (new_york("2026-03-07 17:00:00"), new_york("2026-03-08 16:00:00"));
    let (late, early) = (new_york("2026-01-02 04:59:00"), new_york("2026-01-02 05:00:00"));
    for (expression, expected) in [
        (format!("date_diff('day', {a}, {b})"), "1"),
        (format!("date_diff('hour', {a}, {b})"), "23"),
        (format!("datediff(hour, {a}, {b})"), "23"),
        (format!("datediff(day, {late}, {early})"), "1"),
        (format!("date_diff('day', {late}, {early})"), "0"),
        (format!("date_diff('day', {late}, NULL)"), "∅"),
        ("at_timezone(TIMESTAMP '2026-07-01 00:00:00', 'America/New_York')".into(), "2026-06-30T20:00:00-04:00"),
        ("convert_timezone('America/New_York', TIMESTAMP '2026-07-01 00:00:00')".into(), "2026-06-30T20:00:00"),
        ("convert_timezone('America/New_York', 'UTC', TIMESTAMP '2026-07-01')".into(), "2026-07-01T04:00:00"),
        ("from_utc_timestamp(TIMESTAMP '2026-07-01 00:00:00', 'Asia/Kolkata')".into(), "2026-07-01T05:30:00"),
    ] {
        assert_eq!(value(&session, &expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn an_unknown_function_is_told_with_the_nearest() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (call, words) in [
        ("lenght('a')", "no function `lenght` (did you mean `length`?)"),
        ("lisstagg(id) OVER ()", "(did you mean `listagg`?)"),
        ("frobnicate(1)", "no function `frobnicate`: `SHOW FUNCTIONS`"),
    ] {
        let (kind, text) = refusal(&session, &format!("SELECT {call} FROM people")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{call}: {text}");
        assert!(text.contains(words), "{call}: {text}");
    }
}

#[tokio::test]
async fn the_most_frequent_value_of_many_groups_is_one_answer() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    // 0 and 1 are equally frequent in each.
    let sql = "SELECT string_agg(CAST(g AS VARCHAR) || ':' || CAST(m AS VARCHAR), ',' ORDER BY g) FROM (
        SELECT i % 3 AS g, mode(i % 10 / 4) AS m FROM unnest(range(0, 3000)) r(i) GROUP BY g)";
    assert_eq!(answer(&session, sql).await, ["0:0,1:0,2:0"]);
}
