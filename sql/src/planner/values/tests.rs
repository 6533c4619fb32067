//! What values are in answers: timestamps, casts, whole numbers, floats.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use iceberg::spec::{PrimitiveType, Schema};
use icefold_fixture::{Fixture, at, column, schema};

use crate::fixture::{Queries, answer, try_answer};

const MINUS_NAN: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// Asserts that each query has the answer: lines in order, joined by spaces.
async fn assert_answers(cases: &[(&str, &str)]) {
    for (sql, wanted) in cases {
        assert_eq!(answer(sql).await.join(" "), *wanted, "{sql}");
    }
}

async fn assert_refused(sql: &str, says: &str) {
    let error = try_answer(sql).await.expect_err(sql).to_string();
    assert!(error.contains(says), "{sql}: {error}");
}

#[tokio::test]
async fn timestamps_keep_their_digits_next_to_coarser_ones() {
    let (fine, coarse) = ("to_timestamp_micros(1500000)", "to_timestamp_seconds(1)");
    let two = format!("(SELECT {fine} t UNION ALL SELECT {coarse}) x");
    let whole = "1970-01-01T00:00:01.500";
    for (sql, wanted) in [
        (format!("SELECT max(t) FROM {two}"), whole),
        (format!("SELECT max(t) FROM (VALUES ({coarse}), ({fine})) v(t)"), whole),
        (format!("SELECT {fine} = {coarse}"), "false"),
        (format!("SELECT {fine} IN ({coarse})"), "false"),
        (format!("SELECT {fine} BETWEEN {coarse} AND {coarse}"), "false"),
        (format!("SELECT coalesce({fine}, {coarse})"), whole),
        (format!("SELECT greatest({fine}, {coarse})"), whole),
        (format!("SELECT CASE WHEN true THEN {fine} ELSE {coarse} END"), whole),
        (format!("SELECT {fine} = from_unixtime(1)"), "false"),
        (format!("SELECT {fine} = to_timestamp_millis(1500)"), "true"),
        (format!("SELECT count(*) FROM (SELECT {fine} a) l JOIN (SELECT {coarse} b) r ON a = b"), "0"),
        (format!("SELECT {fine} = arrow_cast(1500000, 'Timestamp(Microsecond, None)')"), "true"),
    ] {
        assert_answers(&[(&sql, wanted)]).await;
    }
    assert_refused("SELECT CAST('2026-01-01' AS TIMESTAMP(0))", "date_trunc").await;
    for unit in ["Second", "Millisecond", "Nanosecond"] {
        assert_refused(&format!("SELECT arrow_cast({fine}, 'Timestamp({unit}, None)')"), "date_trunc").await;
        assert_refused(&format!("SELECT arrow_try_cast('x', 'Timestamp({unit}, Some(\"UTC\"))')"), "date_trunc").await;
    }
}

#[tokio::test]
async fn a_date_beside_a_timestamp_is_one_in_every_year() {
    let (date, time) = ("DATE '1500-01-02'", "TIMESTAMP '9999-12-31 23:59:59.999999'");
    let both = "(SELECT DATE '1500-01-02' x, TIMESTAMP '1500-01-02 00:00:00' y, DATE '9999-12-31' z)";
    let midnight = "1500-01-02T00:00:00";
    let pair = format!("{midnight} 9999-12-31T23:59:59.999999");
    for (sql, wanted) in [
        (format!("SELECT {date} UNION ALL SELECT {time} ORDER BY 1"), pair.as_str()),
        (format!("SELECT x FROM (SELECT {date} x UNION SELECT {time}) ORDER BY x"), &pair),
        (format!("SELECT x FROM (VALUES ({date}), ({time})) v(x) ORDER BY x"), &pair),
        (format!("SELECT x FROM (VALUES ({date}), (NULL), ({time})) v(x) WHERE x < '1500-01-03'"), midnight),
        (format!("SELECT unnest([{date}, {time}])"), &pair),
        (format!("SELECT CASE WHEN true THEN {date} ELSE {time} END"), midnight),
        (format!("SELECT CASE {date} WHEN {time} THEN 1 WHEN TIMESTAMP '1500-01-02' THEN 2 END"), "2"),
        (format!("SELECT coalesce({date}, {time}), nvl({date}, {time})"), "1500-01-02T00:00:00|1500-01-02T00:00:00"),
        (
            format!("SELECT greatest({date}, {time}), least({date}, {time})"),
            "9999-12-31T23:59:59.999999|1500-01-02T00:00:00",
        ),
        (format!("SELECT nullif(x, y), nullif(y, x) FROM {both}"), "|"),
        (
            format!(
                "SELECT x IN (y), y IN (z, x) FROM {both} WHERE y IN (SELECT x FROM {both}) AND x IN (SELECT y FROM {both})"
            ),
            "true|true",
        ),
        (
            format!(
                "SELECT x BETWEEN y AND z, y BETWEEN x AND z FROM {both} WHERE NOT x NOT IN (SELECT y FROM {both})"
            ),
            "true|true",
        ),
        (format!("SELECT count(*) FROM {both} a JOIN {both} b ON a.x = b.y"), "1"),
        (format!("SELECT count(*) FROM {both} a LEFT ANTI JOIN {both} b ON a.y = b.x"), "0"),
        (
            format!(
                "SELECT (SELECT y FROM {both}) = x FROM {both} o WHERE EXISTS (SELECT 1 FROM {both} i WHERE i.y = o.x)"
            ),
            "true",
        ),
        (format!("SELECT z - y, {time} - x FROM {both}"), "PT268233897600S|PT268233983999.999999S"),
        (format!("SELECT lag(y, 1, DATE '9999-12-31') OVER (ORDER BY y) FROM {both}"), "9999-12-31T00:00:00"),
        (
            format!("SELECT max(coalesce(x, y)), min(coalesce(z, y)) FROM {both}"),
            "1500-01-02T00:00:00|9999-12-31T00:00:00",
        ),
        ("SELECT date_part('year', '1500-01-02')".to_owned(), "1500"),
        (
            "SELECT arrow_typeof(range(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02', INTERVAL '1 day'))".to_owned(),
            "List(Timestamp(µs))",
        ),
    ] {
        assert_answers(&[(&sql, wanted)]).await;
    }
}

#[tokio::test]
async fn quotients_and_averages_of_decimals_are_rounded() {
    let thirds =
        "(SELECT CAST(a AS DECIMAL(3, 2)) a, CAST(b AS DECIMAL(3, 2)) b FROM (VALUES (1, 3), (2, 3), (-2, 3)) t(a, b))";
    let numbers = "(VALUES (1, CAST('1' AS DECIMAL(10, 2))), (1, CAST('1' AS DECIMAL(10, 2))), (1, CAST('0' AS DECIMAL(10, 2))), \
                   (2, NULL)) t(g, x)";
    let digits = "CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0))";
    let wide = format!("(VALUES ({digits}), ({digits}), ({digits})) t(x)");
    assert_answers(&[
        (&format!("SELECT a / b FROM {thirds}"), "0.333333 0.666667 -0.666667"),
        (&format!("SELECT a / 3, 2.0::DECIMAL(2, 1) / b, arrow_typeof(a / b) FROM {thirds} LIMIT 1"), "0.333333|0.66667|Decimal128(9, 6)"),
        (&format!("SELECT a / NULL::DECIMAL(3, 2), NULL::DECIMAL(3, 2) / a FROM {thirds} LIMIT 1"), "|"),
        ("SELECT 7.5::DECIMAL(3, 1) % -2::DECIMAL(3, 1), -7.5::DECIMAL(3, 1) % 2", "1.5|-1.5"),
        // More digits on the way than in the end.
        (
            "SELECT a / b FROM (VALUES (CAST('123456789012345678901234567' AS DECIMAL(38, 10)), CAST('2000000000' AS DECIMAL(38, 10)))) t(a, b)",
            "61728394506172839.45061728350000",
        ),
        (
            "SELECT arrow_cast('2', 'Decimal256(50, 2)') / arrow_cast('3', 'Decimal256(50, 2)')",
            "0.666667",
        ),
        (&format!("SELECT g, avg(x), arrow_typeof(avg(x)) FROM {numbers} GROUP BY g ORDER BY g"), "1|0.666667|Decimal128(14, 6) 2||Decimal128(14, 6)"),
        (&format!("SELECT avg(x), avg(-x), avg(DISTINCT x) FROM {numbers}"), "0.666667|-0.666667|0.500000"),
        (&format!("SELECT avg(x) OVER (ORDER BY g ROWS 2 PRECEDING) FROM {numbers}"), "1.000000 1.000000 0.666667 0.500000"),
        ("SELECT avg(x) FROM (VALUES (CAST('12345678901234567890123456789.123' AS DECIMAL(32, 3))), (0)) t(x)", "6172839450617283945061728394.5615000"),
        (
            "SELECT avg(b - a) FROM (VALUES (TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-01 00:00:00.000001'), (TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-01 00:00:00.000002')) t(a, b)",
            "PT0.000002S",
        ),
    ])
    .await;
    assert_refused(&format!("SELECT a / (b - b) FROM {thirds}"), "Divide by zero").await;
    assert_refused(&format!("SELECT a % (b - b) FROM {thirds}"), "Divide by zero").await;
    assert_refused(&format!("SELECT avg(x) FROM {wide}"), "38 digits").await;
    for sql in [format!("SELECT x + 1 FROM {wide}"), format!("SELECT -x - 1 FROM {wide}")] {
        assert_refused(&sql, "narrower DECIMAL").await;
    }
    assert_refused(&format!("SELECT x / CAST('0.1' AS DECIMAL(38, 10)) FROM {wide}"), "narrower DECIMAL").await;
}

#[tokio::test]
async fn timestamps_reach_beyond_the_year_2262() {
    assert_answers(&[
        ("SELECT TIMESTAMP '9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
        ("SELECT to_timestamp('9999-12-31T00:00:00')", "9999-12-31T00:00:00"),
        ("SELECT to_timestamp(253402300799)", "9999-12-31T23:59:59"),
        ("SELECT to_timestamp(253402300799.5e0)", "9999-12-31T23:59:59.500"),
        ("SELECT CAST(253402300799 AS TIMESTAMP)", "9999-12-31T23:59:59"),
        ("SELECT TIMESTAMP '9999-12-31 00:00:00' > DATE '2026-01-01'", "true"),
        ("SELECT DATE '9999-12-31' = TIMESTAMP '9999-12-31 00:00:00'", "true"),
        ("SELECT TIMESTAMP '1500-01-01 00:00:00' < now()", "true"),
        ("SELECT TIMESTAMP '1500-01-01 00:00:00' < '9999-12-31'", "true"),
        ("SELECT TIMESTAMP '9999-12-31 00:00:00' BETWEEN '2026-01-01' AND DATE '9999-12-31'", "true"),
        (
            "SELECT arrow_typeof(now()), arrow_typeof(TIMESTAMP '2026-01-01' AT TIME ZONE 'UTC')",
            "Timestamp(µs)|Timestamp(µs, \"UTC\")",
        ),
    ])
    .await;
    assert_refused("SELECT to_timestamp(1e300)", "no time").await;
}

fn measured() -> Schema {
    schema(vec![
        column(1, "t", PrimitiveType::Timestamptz),
        column(2, "n", PrimitiveType::Long),
        column(3, "d", PrimitiveType::Decimal { precision: 10, scale: 2 }),
        column(4, "v", PrimitiveType::Double),
    ])
}

fn measure(times: Vec<i64>, numbers: Vec<i64>, cents: Vec<i128>, values: Vec<f64>) -> Vec<ArrayRef> {
    vec![
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
        Arc::new(Int64Array::from(numbers)),
        Arc::new(Decimal128Array::from(cents).with_precision_and_scale(10, 2).expect("digits")),
        Arc::new(Float64Array::from(values)),
    ]
}

#[tokio::test]
async fn a_cast_that_loses_digits_is_made_before_it_is_compared() {
    let mut table = Fixture::new(measured());
    // Half past six in the evening, and half past six the next morning.
    let times = vec![18 * 3_600_000_000 + 1, 30 * 3_600_000_000 + 500_000];
    table.data(at(1), measure(times, vec![0, -3], vec![260, -49], vec![2.6, -0.4])).await;
    for (filter, rows) in [
        ("CAST(d AS INT) = CAST(2.6 AS INT)", 1),
        ("CAST(d AS DECIMAL(10, 0)) = 3", 1),
        ("CAST(d AS DECIMAL(10, 0)) = 0", 1),
        ("CAST(d AS DECIMAL(10, 1)) IN (2.6, -0.5)", 2),
        ("CAST(d AS DECIMAL(20, 4)) = 2.6", 1),
        ("CAST(v AS INT) = 2", 1),
        ("CAST(n AS INT) = -3", 1),
        ("CAST(n AS SMALLINT) < 0", 1),
        ("TRY_CAST(n AS INT) = 0", 1),
        ("CAST(n AS BOOLEAN) = false", 1),
        ("n::real = -3", 1),
        ("CAST(t AS DATE) = DATE '1970-01-02'", 1),
        ("CAST(t AS DATE) > DATE '1970-01-01'", 1),
        ("CAST(t AS TIME) > TIME '12:00:00'", 1),
        ("CAST(t AS TIME) = TIME '06:00:00.500000'", 1),
        ("t = arrow_cast(64800000001, 'Timestamp(Microsecond, Some(\"+00:00\"))')", 1),
        ("date_trunc('second', t) = to_timestamp_seconds(64800)", 1),
    ] {
        assert_eq!(
            table.query(&format!("SELECT count(*) FROM t WHERE {filter}")).await,
            [rows.to_string()],
            "{filter}"
        );
    }
}

#[tokio::test]
async fn whole_numbers_that_do_not_fit_are_an_error() {
    let most = "(VALUES (9223372036854775807)) t(x)";
    for sql in [
        format!("SELECT x + 1 FROM {most}"),
        format!("SELECT x * 2 FROM {most}"),
        format!("SELECT -x - 2 FROM {most}"),
        format!("SELECT -(-x - 1) FROM {most}"),
        "SELECT 3000000000 * 4000000000".to_owned(),
        "SELECT CAST(2147483647 AS INT) + CAST(1 AS INT)".to_owned(),
    ] {
        assert_refused(&sql, "does not fit").await;
    }
    assert_refused("SELECT abs(x - 1) FROM (VALUES (-9223372036854775807)) t(x)", "verflow").await;
    assert_answers(&[
        (
            &format!("SELECT x - 1, CAST(x AS DECIMAL(38, 0)) + 1, x + 1e0 FROM {most}"),
            "9223372036854775806|9223372036854775808|9.223372036854776e18",
        ),
        ("SELECT a + b, a * b FROM (VALUES (1, 2), (3, NULL)) t(a, b) ORDER BY a", "3|2 |"),
    ])
    .await;
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error_and_one_that_fits_is_not() {
    let rows = "(VALUES (1, 9223372036854775807), (1, 1), (2, 5), (1, -2), (3, NULL)) t(g, x)";
    assert_refused(&format!("SELECT sum(x) FROM {rows}"), "sum(CAST(x AS DECIMAL(38, 0)))").await;
    assert_refused(&format!("SELECT sum(DISTINCT x) FROM {rows}"), "does not fit").await;
    assert_refused(&format!("SELECT g, sum(x) FROM {rows} WHERE x > 0 GROUP BY g"), "does not fit").await;
    assert_refused(&format!("SELECT sum(x) OVER (ORDER BY x) FROM {rows}"), "does not fit").await;
    let digits = "99999999999999999999999999999999999999";
    let wide = format!("(VALUES ('{digits}'), ('{digits}')) t(x)");
    assert_refused(&format!("SELECT sum(CAST(x AS DECIMAL(38, 0))) FROM {wide}"), "38 digits").await;
    assert_answers(&[
        // More than fits on the way, not in the end.
        (&format!("SELECT sum(x) FROM {rows} WHERE g = 1"), "9223372036854775806"),
        (
            &format!("SELECT g, sum(x), arrow_typeof(sum(x)) FROM {rows} GROUP BY g ORDER BY g"),
            "1|9223372036854775806|Int64 2|5|Int64 3||Int64",
        ),
        (&format!("SELECT sum(x) OVER (ORDER BY x ROWS 1 PRECEDING) FROM {rows} WHERE x < 6"), "-2 -1 6"),
        (&format!("SELECT sum(CAST(x AS DECIMAL(38, 0))) FROM {rows}"), "9223372036854775811"),
        ("SELECT sum(DISTINCT x), sum(x) FROM (VALUES (1), (1), (2)) t(x)", "3|4"),
        ("SELECT sum(x), sum(1) FROM (VALUES (1)) t(x) WHERE x > 1", "|"),
        ("SELECT sum(arrow_cast(x, 'Decimal32(9, 0)')) FROM (VALUES (500000000), (499999999)) t(x)", "999999999"),
        ("SELECT sum(b - a) OVER (ORDER BY a) FROM (VALUES (TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02')) t(a, b)", "PT86400S"),
    ])
    .await;
    let nines = "9".repeat(76);
    for kind in ["Decimal256(76, 0)", "Decimal256(70, 0)"] {
        let rows = format!("(VALUES (arrow_cast('{}', '{kind}'))) t(x)", &nines[..70]);
        assert_refused(&format!("SELECT sum(x) FROM {rows}"), "66 digits").await;
    }
    let billions = "(VALUES (999999999), (999999999)) t(x)";
    assert_refused(&format!("SELECT sum(arrow_cast(x, 'Decimal32(9, 0)')) FROM {billions}"), "does not fit").await;
    let long = "SELECT TIMESTAMP '9999-01-01' - TIMESTAMP '0001-01-01' x FROM generate_series(1, 40)";
    assert_refused(&format!("SELECT sum(x) FROM ({long})"), "spans of time").await;
    assert_answers(&[(&format!("SELECT avg(x) FROM ({long})"), "PT315506361600S")]).await;
}

#[tokio::test]
async fn nan_is_the_greatest_float_in_groups_and_windows_too() {
    let rows = "(VALUES (1, -5.0e0), (1, CAST('NaN' AS DOUBLE)), (1, 1.0e0), (2, CAST('-Infinity' AS DOUBLE)), \
                (3, CAST('Infinity' AS DOUBLE)), (4, NULL)) t(g, v)";
    let window = "OVER (PARTITION BY g ORDER BY v ROWS 1 PRECEDING)";
    assert_answers(&[
        (
            &format!("SELECT g, max(v), min(v) FROM {rows} GROUP BY g ORDER BY g"),
            "1|NaN|-5.0 2|-inf|-inf 3|inf|inf 4||",
        ),
        (&format!("SELECT max(v), min(v) FROM {rows} WHERE g = 1"), "NaN|-5.0"),
        (&format!("SELECT max(v) {window}, min(v) {window} FROM {rows} WHERE g = 1"), "-5.0|-5.0 1.0|-5.0 NaN|1.0"),
        (
            &format!("SELECT max(v::real), arrow_typeof(max(v::real)) FROM {rows} WHERE g < 3 GROUP BY g ORDER BY g"),
            "NaN|Float32 -inf|Float32",
        ),
        (&format!("SELECT g, max(v) FROM {rows} WHERE g < 4 GROUP BY g ORDER BY max(v) DESC LIMIT 2"), "1|NaN 3|inf"),
    ])
    .await;
}

#[tokio::test]
async fn zeros_are_one_number_and_nan_is_one() {
    let zeros = "(VALUES (0.0e0), (-0.0e0), (-1 * 0.0e0)) t(v)";
    let nans = "(SELECT v / v v FROM (VALUES (0.0e0)) t(v) UNION ALL SELECT CAST('NaN' AS DOUBLE) UNION ALL SELECT -CAST('NaN' AS DOUBLE))";
    assert_answers(&[
        (&format!("SELECT count(DISTINCT v) FROM {zeros}"), "1"),
        (&format!("SELECT count(*) FROM (SELECT DISTINCT v FROM {zeros})"), "1"),
        (&format!("SELECT count(*) FROM {zeros} GROUP BY v"), "3"),
        (&format!("SELECT count(*) FROM {zeros} WHERE v = 0"), "3"),
        (&format!("SELECT count(*) FROM {zeros} WHERE v < 0"), "0"),
        (&format!("SELECT count(*) FROM {zeros} WHERE v * -1 >= 0"), "3"),
        (&format!("SELECT count(*) FROM {zeros} WHERE v IN (0.0, 7.0)"), "3"),
        (&format!("SELECT count(*) FROM (SELECT v FROM {zeros}) a JOIN (SELECT -v w FROM {zeros}) b ON a.v = b.w"), "9"),
        (&format!("SELECT count(*) FROM (SELECT v FROM {zeros} EXCEPT SELECT 0.0e0)"), "0"),
        (&format!("SELECT DISTINCT rank() OVER (ORDER BY v) FROM {zeros}"), "1"),
        (&format!("SELECT count(DISTINCT v), count(*) FROM {nans} n"), "1|3"),
        (&format!("SELECT count(*) FROM {nans} n WHERE v > 1e300 AND v = CAST('NaN' AS DOUBLE)"), "3"),
        ("SELECT avg(v) = CAST('NaN' AS DOUBLE) FROM (VALUES (CAST('inf' AS DOUBLE)), (CAST('-inf' AS DOUBLE))) t(v)", "true"),
        ("SELECT sqrt(v) > 0 FROM (VALUES (-1.0e0)) t(v)", "true"),
    ])
    .await;
}

#[tokio::test]
async fn floats_in_files_are_found_whatever_statistics_say() {
    let mut table = Fixture::new(measured());
    // Statistics of Parquet and of manifests leave NaN out.
    let values = vec![1.0, MINUS_NAN, -0.0, 0.0];
    table.data(at(1), measure(vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![1, 2, 3, 4], values)).await;
    for (sql, wanted) in [
        ("SELECT n FROM t WHERE v > 5", "2"),
        ("SELECT n FROM t WHERE v >= 1 ORDER BY n", "1 2"),
        ("SELECT n FROM t WHERE v <> 1 AND v <> 0", "2"),
        ("SELECT n FROM t WHERE NOT (v < 5)", "2"),
        ("SELECT n FROM t WHERE v = 0 ORDER BY n", "3 4"),
        ("SELECT n FROM t WHERE v = -0.0e0 ORDER BY n", "3 4"),
        ("SELECT count(*) FROM t WHERE v < 0", "0"),
        ("SELECT max(v), min(v), count(DISTINCT v) FROM t", "NaN|0.0|3"),
        ("SELECT n FROM t ORDER BY v DESC LIMIT 1", "2"),
        ("SELECT v, count(*) FROM t GROUP BY v ORDER BY v", "0.0|2 1.0|1 NaN|1"),
    ] {
        assert_eq!(table.try_query(sql).await.expect(sql).join(" "), wanted, "{sql}");
    }
}

#[tokio::test]
async fn rows_that_left_a_window_leave_nothing_behind() {
    let rows = "(VALUES (1, 1e20), (2, 1.0e0), (3, 2.0e0), (4, CAST('inf' AS DOUBLE)), (5, NULL), (6, 4.0e0)) t(i, v)";
    let window = "OVER (ORDER BY i ROWS 1 PRECEDING)";
    assert_answers(&[
        (&format!("SELECT sum(v) {window} FROM {rows}"), "1e20 1e20 3.0 inf inf 4.0"),
        (&format!("SELECT avg(v) {window} FROM {rows}"), "1e20 5e19 1.5 inf inf 4.0"),
        (&format!("SELECT var_pop(v) {window} FROM {rows} WHERE i IN (2, 3, 6)"), "0.0 0.25 1.0"),
        (
            &format!("SELECT sum(v) OVER (ORDER BY i ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) FROM {rows}"),
            "3.0 inf inf 4.0 4.0 ",
        ),
        (&format!("SELECT covar_pop(v, i) {window} FROM {rows} WHERE i <> 5"), "0.0 -2.5e19 0.25 NaN NaN"),
        (&format!("SELECT regr_slope(v, i) {window} FROM {rows} WHERE i <> 4"), " -1e20 1.0  "),
        (&format!("SELECT regr_avgy(v, i) {window} FROM {rows}"), "1e20 5e19 1.5 inf inf 4.0"),
        (&format!("SELECT round(corr(v, i) {window}, 9) FROM {rows} WHERE i <> 4 AND i <> 5"), " -1.0 1.0 1.0"),
        (&format!("SELECT regr_count(v, i) {window} FROM {rows}"), "1 2 2 2 1 1"),
    ])
    .await;
}

#[tokio::test]
async fn a_date_moved_by_hours_is_a_time() {
    assert_answers(&[
        ("SELECT DATE '2026-01-01' + INTERVAL '36 hours'", "2026-01-02T12:00:00"),
        ("SELECT INTERVAL '1 hour' + DATE '2026-01-01'", "2026-01-01T01:00:00"),
        ("SELECT DATE '2026-01-01' - INTERVAL '1 minute'", "2025-12-31T23:59:00"),
        ("SELECT DATE '2026-01-31' + INTERVAL '1 month', DATE '2026-01-01' + 1", "2026-02-28|2026-01-02"),
    ])
    .await;
}

#[tokio::test]
async fn grouping_and_subqueries_find_what_was_replaced() {
    let rows = "(VALUES (1, 0.5e0), (2, -0.5e0)) t(n, v)";
    assert_answers(&[
        (&format!("SELECT n + 1, sum(v * 2) FROM {rows} GROUP BY ROLLUP (n + 1) ORDER BY 1"), "2|1.0 3|-1.0 |0.0"),
        (
            &format!("SELECT v * -1, count(*) FROM {rows} GROUP BY GROUPING SETS ((v * -1), ()) ORDER BY 1"),
            "-0.5|1 0.5|1 |2",
        ),
        (
            &format!(
                "SELECT n, (SELECT avg(v) FROM {rows} WHERE t.n = o.n + 1) FROM (SELECT * FROM {rows}) o ORDER BY n"
            ),
            "1|-0.5 2|",
        ),
        (&format!("SELECT n + 1 m FROM {rows} GROUP BY m HAVING n + 1 > 2 ORDER BY n + 1"), "3"),
        (&format!("SELECT CAST(v AS INT), sum(n) FROM {rows} GROUP BY CAST(v AS INT)"), "0|3"),
    ])
    .await;
}

#[tokio::test]
async fn a_decimal_has_the_digits_that_were_written() {
    assert_answers(&[
        (
            "SELECT CAST(1.005 AS DECIMAL(10, 2)), -1.005::DECIMAL(10, 2), CAST(-(1.005) AS NUMERIC(10, 2)), \
             TRY_CAST(.5 AS NUMERIC(2, 0)), CAST(5. AS DECIMAL(3, 1))",
            "1.01|-1.01|-1.01|1|5.0",
        ),
        (
            "SELECT CAST(12345678901234567890.12 AS DECIMAL(30, 2)), CAST(99999999999999999999999999999999999999 AS DECIMAL(38, 0))",
            "12345678901234567890.12|99999999999999999999999999999999999999",
        ),
        ("SELECT CAST(1e3 AS DECIMAL(10, 2)), CAST(7 AS DECIMAL(10, 2)), CAST(0 - 1.5 AS DECIMAL(10, 2))", "1000.00|7.00|-1.50"),
    ])
    .await;
    assert_refused("SELECT CAST(123.456 AS DECIMAL(4, 2))", "too large").await;
}

#[tokio::test]
async fn intervals_are_compared_by_length_or_not_at_all() {
    let times = "(VALUES (TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02 12:00:00')) t(a, b)";
    assert_answers(&[
        ("SELECT INTERVAL '25 hours' > INTERVAL '1 day', INTERVAL '24 hours' = INTERVAL '1 day'", "true|true"),
        (
            &format!(
                "SELECT b - a > INTERVAL '1 day', b - a = INTERVAL '36 hours', INTERVAL '1 week' < b - a, \
                 b - a BETWEEN INTERVAL '1 day' AND INTERVAL '2 days', b - a IN (INTERVAL '1 day 12 hours'), b - a > NULL FROM {times}"
            ),
            "true|true|false|true|true|",
        ),
    ])
    .await;
    for sql in [
        format!("SELECT b - a > INTERVAL '1 month' FROM {times}"),
        "SELECT INTERVAL '1 month' = INTERVAL '30 days'".to_owned(),
        "SELECT max(x) FROM (VALUES (INTERVAL '25 hours'), (INTERVAL '1 day')) t(x)".to_owned(),
        "SELECT greatest(INTERVAL '25 hours', INTERVAL '1 day')".to_owned(),
        "SELECT x FROM (VALUES (INTERVAL '25 hours'), (INTERVAL '1 day')) t(x) ORDER BY x".to_owned(),
    ] {
        assert_refused(&sql, "a month has no length").await;
    }
    assert_refused("SELECT TIME '23:00:00' + INTERVAL '2 hours'", "midnight").await;
}

#[tokio::test]
async fn functions_of_numbers_cut_no_digits() {
    assert_answers(&[
        (
            "SELECT round(n), floor(n), ceil(n), trunc(n), round(n, -1) FROM (VALUES (9007199254740993)) t(n)",
            "9007199254740993|9007199254740993|9007199254740993|9007199254740993|9007199254740990",
        ),
        ("SELECT round(5) / 2, floor(7 / 2), round(1250, -2)", "2.5000|3|1300"),
        ("SELECT ceil(x), floor(-x) FROM (VALUES (CAST('99.5' AS DECIMAL(3, 1)))) t(x)", "100.0|-100.0"),
        ("SELECT power(1.1::DECIMAL(3, 1), 2) BETWEEN 1.2099 AND 1.2101, pow(2::DECIMAL(4, 0), -1)", "true|0.5"),
        (
            "SELECT nvl(x, 0), ifnull(x, 0.5::DECIMAL(2, 1)), nvl(NULL, 'x') FROM (VALUES (CAST('12345678901234567890.5' AS DECIMAL(30, 1)))) t(x)",
            "12345678901234567890.5|12345678901234567890.5|x",
        ),
        ("SELECT median(x) FROM (VALUES (CAST('1.1' AS DECIMAL(3, 1))), (CAST('1.2' AS DECIMAL(3, 1)))) t(x)", "1.15"),
    ])
    .await;
}

#[tokio::test]
async fn tables_are_joined_by_casts() {
    let (days, times) = ("(SELECT DATE '2026-01-01' d)", "(SELECT TIMESTAMP '2026-01-01 12:00:00' t)");
    let midnight = "(SELECT TIMESTAMP '2026-01-01 00:00:00' d)";
    assert_answers(&[
        (
            &format!("SELECT d, t FROM {days} a JOIN {times} b ON CAST(b.t AS DATE) = a.d"),
            "2026-01-01|2026-01-01T12:00:00",
        ),
        (&format!("SELECT t FROM {times} b WHERE CAST(t AS DATE) IN (SELECT d FROM {days})"), "2026-01-01T12:00:00"),
        (
            &format!("SELECT t FROM {times} b WHERE CAST(t AS DATE) NOT IN (SELECT d + 1 FROM {days})"),
            "2026-01-01T12:00:00",
        ),
        (&format!("SELECT count(*) FROM {times} b WHERE EXISTS (SELECT 1 FROM {days} a WHERE a.d = b.t::date)"), "1"),
        (&format!("SELECT d FROM {days} a JOIN {midnight} b USING (d)"), "2026-01-01"),
        (&format!("SELECT b.d FROM {midnight} a NATURAL JOIN {days} b"), "2026-01-01"),
        (&format!("SELECT d FROM {days} a FULL JOIN {midnight} b USING (d)"), "2026-01-01T00:00:00"),
    ])
    .await;
}
