//! What a question means: its operators, clauses, lists and joins.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::TableProvider;
use datafusion::prelude::SessionContext;
use icefold_fixture::{Fixture, at, people, rows};

use crate::fixture::{Queries, lines};
use crate::planner::{parse, rewrite};

/// A session with a table `t` of Parquet files, and answers as a user gets them.
struct Asker(SessionContext);

impl Asker {
    /// `t` holds `(1, a)`, `(2, b)`, `(3, NULL)` and `(NULL, c)`.
    async fn new() -> Self {
        let mut fixture = Fixture::new(people());
        fixture.data(at(1), rows(&[(Some(1), Some("a")), (Some(2), Some("b"))])).await;
        fixture.data(at(2), rows(&[(Some(3), None), (None, Some("c"))])).await;
        Asker(fixture.session_with(2))
    }

    async fn ask(&self, sql: &str) -> Result<Vec<String>> {
        let state = self.0.state();
        let mut statement = parse(sql, 50)?;
        rewrite(&mut statement, &|name| state.scalar_functions().contains_key(name))?;
        let plan = state.statement_to_plan(statement).await?;
        Ok(lines(&DataFrame::new(state, plan).collect().await?))
    }

    /// Returns the rows of an answer, in order.
    async fn rows(&self, sql: &str) -> Vec<String> {
        let mut rows = self.ask(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        rows.sort_unstable();
        rows
    }

    async fn refusal(&self, sql: &str) -> String {
        self.ask(sql).await.expect_err(sql).to_string()
    }
}

#[tokio::test]
async fn every_rule_that_is_replaced_is_there() {
    let state = Asker::new().await.0.state();
    let physical: Vec<String> = state.physical_optimizers().iter().map(|rule| format!("{rule:?}")).collect();
    assert_eq!(physical.iter().filter(|rule| rule.starts_with("FiltersByPlace")).count(), 1, "{physical:?}");
    let logical: Vec<String> = state.optimizer().rules.iter().map(|rule| format!("{rule:?}")).collect();
    assert_eq!(logical.iter().filter(|rule| rule.starts_with("SimplifyButLists")).count(), 1, "{logical:?}");
}

#[tokio::test]
async fn a_filter_reads_the_column_it_names_though_another_has_its_name() {
    let asker = Asker::new().await;
    for (sql, expected) in [
        // The padding row of an outer join.
        (
            "SELECT a.name, b.name FROM (SELECT * FROM t WHERE id = 1) a RIGHT JOIN t b ON a.id = b.id \
             WHERE coalesce(a.name, 'x') = 'x'",
            vec!["|", "|b", "|c"],
        ),
        (
            "SELECT a.name, b.name FROM t a LEFT JOIN (SELECT * FROM t WHERE id = 1) b ON a.id = b.id \
             WHERE coalesce(b.name, 'x') = 'x'",
            vec!["b|", "c|", "|"],
        ),
        (
            "SELECT a.name, b.name FROM (SELECT * FROM t WHERE id = 1) a FULL JOIN t b ON a.id = b.id \
             WHERE coalesce(a.name, 'x') = 'x'",
            vec!["|", "|b", "|c"],
        ),
        // Names that change places.
        (
            "SELECT id, name FROM (SELECT name AS id, CAST(id AS VARCHAR) AS name FROM t) x WHERE name = '2'",
            vec!["b|2"],
        ),
        (
            "SELECT a, b FROM (SELECT id AS a, -id AS b FROM t UNION ALL SELECT -id AS b, id AS a FROM t) x \
             WHERE a IS NOT NULL ORDER BY a LIMIT 2",
            vec!["-2|2", "-3|3"],
        ),
    ] {
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(asker.rows(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn filters_still_reach_the_files() {
    let asker = Asker::new().await;
    let plan = asker.rows("EXPLAIN SELECT name FROM t WHERE id + 1 = 2").await.join("\n");
    assert!(plan.contains("predicate=") && !plan.contains("FilterExec"), "{plan}");
}

#[tokio::test]
async fn lists_keep_null() {
    let asker = Asker::new().await;
    for (condition, expected) in [
        ("name IN ('a', 'b') AND name NOT IN ('a', NULL)", "0"),
        ("name NOT IN ('a', NULL) AND name IN ('a', 'b')", "0"),
        ("name NOT IN ('a') OR name NOT IN ('b')", "3"),
        ("name NOT IN ('a', NULL) OR name NOT IN ('b', NULL)", "0"),
        ("name NOT IN ('a', 'b') OR name NOT IN ('c', 'd')", "3"),
        ("NOT (name = 'a' OR name = 'b') OR NOT (name = 'c' OR name = 'd')", "3"),
        ("NOT (NOT (name <> 'a' AND name <> 'b') AND NOT (name <> 'c' AND name <> 'd'))", "3"),
        ("CASE WHEN name IN ('a', 'b') AND name IN ('c', 'd') THEN false ELSE true END", "4"),
        ("NOT (CAST(id AS SMALLINT) IN (1, 2) AND CAST(id AS SMALLINT) IN (3, 4))", "3"),
        ("NOT ((id = '1' OR id = '2') AND (id = '3' OR id = '4'))", "3"),
        ("NOT (name IN ('a', 'b') AND name IN ('c', 'd'))", "3"),
        ("NOT ((name = 'a' OR name = 'b') AND (name = 'c' OR name = 'd'))", "3"),
        ("(name IN ('a') AND name IN ('b')) IS NULL", "1"),
        // Columns in a list may be equal.
        ("id IN (id, 7) AND id IN (id + 0, 8)", "3"),
        ("id IN (id, 7) AND id NOT IN (id + 0, 8)", "0"),
        ("id NOT IN (id) OR id NOT IN (id + 0)", "0"),
        ("name IN ('a', 'b') AND name IN ('b', 'c')", "1"),
        ("name = 'a' OR name = 'b' OR name IN ('b', 'c')", "3"),
        ("name NOT IN ('a') AND name NOT IN ('b', 'd')", "1"),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {condition}");
        assert_eq!(asker.rows(&sql).await, [expected], "{sql}");
    }
    let sql =
        "SELECT name IN ('a') AND name NOT IN ('b'), count(*) FROM t GROUP BY name IN ('a') AND name NOT IN ('b')";
    assert_eq!(asker.rows(sql).await, ["false|2", "true|1", "|1"]);
}

#[tokio::test]
async fn sources_of_one_name_are_told_apart() {
    let asker = Asker::new().await;
    for (sql, expected) in [
        (
            "SELECT (SELECT count(*) FROM generate_series(1, 2)) a, (SELECT count(*) FROM generate_series(1, 3)) b",
            vec!["2|3"],
        ),
        ("SELECT count(*) FROM generate_series(1, 2) UNION SELECT count(*) FROM generate_series(1, 3)", vec!["2", "3"]),
        ("SELECT * FROM generate_series(1, 2) UNION SELECT * FROM generate_series(2, 3)", vec!["1", "2", "3"]),
        (
            "WITH a AS (SELECT * FROM generate_series(1, 2)), b AS (SELECT * FROM generate_series(2, 3)) \
             SELECT a.value, b.value FROM a JOIN b ON a.value = b.value",
            vec!["2|2"],
        ),
        (
            "SELECT count(*) FROM generate_series(1, 4) x(n) WHERE n IN (SELECT value FROM generate_series(3, 9))",
            vec!["2"],
        ),
    ] {
        assert_eq!(asker.rows(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn two_tables_of_one_name_are_two() {
    let asker = Asker::new().await;
    let mut other = Fixture::new(people());
    other.data(at(1), rows(&[(Some(9), Some("z"))])).await;
    let other: Arc<dyn TableProvider> = other.session_with(2).table_provider("t").await.expect("table");
    asker.0.register_udtf("t_at", Arc::new(Fixed(other)));
    asker.0.register_udtf("t_at_start", Arc::new(Fixed(asker.0.table_provider("t").await.expect("table"))));
    let sql =
        "SELECT (SELECT count(*) FROM t_at()) a, (SELECT count(*) FROM t_at_start()) b, (SELECT count(*) FROM t) c";
    assert_eq!(asker.rows(sql).await, ["1|4|4"]);
}

#[derive(Debug)]
struct Fixed(Arc<dyn TableProvider>);

impl datafusion::catalog::TableFunctionImpl for Fixed {
    fn call(&self, _: &[datafusion::logical_expr::Expr]) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn is_distinct_from_binds_tighter_than_and() {
    let asker = Asker::new().await;
    assert_eq!(asker.rows("SELECT count(*) FROM t WHERE name IS DISTINCT FROM 'a' AND id = 2").await, ["1"]);
    assert_eq!(asker.rows("SELECT '1' || 2 * 3, true = 2 IN (2), true = 'ab' LIKE 'a%'").await, ["16|true|true"]);
}

#[tokio::test]
async fn except_all_and_intersect_all_count_copies() {
    let asker = Asker::new().await;
    let left = "(VALUES (1, 'a'), (1, 'a'), (1, 'a'), (2, NULL), (2, NULL), (NULL, 'c')) l(x, y)";
    let right = "(VALUES (1, 'a'), (2, NULL), (4, 'd')) r(x, y)";
    for (operator, expected) in [
        ("EXCEPT ALL", vec!["1|a", "1|a", "2|", "|c"]),
        ("INTERSECT ALL", vec!["1|a", "2|"]),
        ("EXCEPT", vec!["|c"]),
        ("INTERSECT", vec!["1|a", "2|"]),
        ("UNION", vec!["1|a", "2|", "4|d", "|c"]),
    ] {
        let sql = format!("SELECT * FROM {left} {operator} SELECT * FROM {right}");
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
    let sql = "SELECT count(*) FROM (SELECT id FROM t EXCEPT ALL (SELECT id FROM t LIMIT 3) EXCEPT ALL SELECT 99) x";
    assert_eq!(asker.rows(sql).await, ["1"]);
}

#[tokio::test]
async fn an_alias_names_columns_by_their_place() {
    let asker = Asker::new().await;
    for (sql, expected) in [
        (r#"SELECT x, y FROM (SELECT 1 AS "A", 2 AS a) t(x, y)"#, vec!["1|2"]),
        (r#"SELECT x, y FROM (SELECT 2 AS a, 1 AS "A") t(x, y)"#, vec!["2|1"]),
        (r#"SELECT x FROM (SELECT 1 AS "a.b") t(x)"#, vec!["1"]),
        (r#"SELECT "X" FROM (SELECT 1 AS "A") t("X")"#, vec!["1"]),
        (r#"WITH t(x, y) AS (SELECT 1 AS "A", 2 AS a) SELECT y, x FROM t"#, vec!["2|1"]),
        ("SELECT x, y FROM (SELECT a.id, b.id FROM t a JOIN t b ON a.id + 1 = b.id) j(x, y)", vec!["1|2", "2|3"]),
        ("SELECT x, name FROM t AS u(x) WHERE x = 1", vec!["1|a"]),
        ("SELECT n FROM generate_series(1, 2) g(n)", vec!["1", "2"]),
        ("SELECT n FROM unnest([1, 2]) g(n)", vec!["1", "2"]),
        (
            "WITH RECURSIVE t(b, a) AS (SELECT 1 AS a, 10 AS b UNION ALL SELECT b + 1, a FROM t WHERE b < 3) SELECT * FROM t",
            vec!["1|10", "2|10", "3|10"],
        ),
    ] {
        assert_eq!(asker.rows(sql).await, expected, "{sql}");
    }
    assert!(asker.refusal("SELECT 1 FROM (SELECT 1) t(x, y)").await.contains("name fewer"));
}

#[tokio::test]
async fn the_end_of_a_recursive_with_query_counts() {
    let asker = Asker::new().await;
    let sql = "WITH RECURSIVE u AS (SELECT 1 AS n UNION ALL SELECT 2 ORDER BY n DESC LIMIT 1) SELECT * FROM u";
    assert_eq!(asker.rows(sql).await, ["2"]);
    let sql = "WITH RECURSIVE u AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM u LIMIT 3) SELECT * FROM u";
    assert!(asker.refusal(sql).await.contains("in the query that reads it"));
}

#[tokio::test]
async fn what_the_planner_would_drop_is_refused_by_name() {
    let asker = Asker::new().await;
    for (sql, name) in [
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        ("SELECT * FROM (SELECT * FROM t) TABLESAMPLE SYSTEM (10)", "TABLESAMPLE"),
        ("SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
        ("SELECT * FROM t FETCH FIRST 1 ROWS WITH TIES", "WITH TIES"),
        ("SELECT * FROM t FETCH FIRST 1 PERCENT ROWS ONLY", "PERCENT"),
        ("SELECT * FROM t SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT * FROM t FORMAT JSON", "--format"),
        ("SELECT name, count(*) FROM t GROUP BY name WITH ROLLUP", "ROLLUP(…)"),
        ("SELECT * FROM t PREWHERE id = 1", "PREWHERE"),
        ("SELECT * FROM t START WITH id = 1 CONNECT BY PRIOR id = id", "CONNECT BY"),
        ("SELECT id FROM t ORDER BY id WITH FILL", "WITH FILL"),
        ("SELECT corr(DISTINCT id, id) FROM t", "DISTINCT"),
        ("SELECT quantile(0.5)(id) FROM t", "one list"),
        ("SELECT abs(DISTINCT id) FROM t", "DISTINCT"),
        ("SELECT abs(id) OVER () FROM t", "OVER"),
        ("SELECT abs(id) FILTER (WHERE id > 1) FROM t", "FILTER"),
        ("SELECT array_agg(id ORDER BY name) OVER () FROM t", "behind OVER"),
        ("SELECT CAST(name AS VARCHAR(1)) FROM t", "left(text, n)"),
        ("SELECT * FROM t a NATURAL LEFT JOIN t b", "USING"),
        ("SELECT * FROM t a LEFT JOIN t b", "ON or USING"),
        ("SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM t u TABLESAMPLE BERNOULLI (10))", "TABLESAMPLE"),
        ("SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.id OFFSET 1)", "count instead"),
        ("EXPLAIN SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
        ("SELECT id FROM (SELECT id FROM t ORDER BY name OFFSET 2) q ORDER BY id", "give a LIMIT"),
        ("WITH q AS (SELECT id FROM t ORDER BY name OFFSET 2) SELECT id FROM q ORDER BY id", "give a LIMIT"),
    ] {
        let text = asker.refusal(sql).await;
        assert!(text.contains(name), "{sql}: {text}");
    }
    assert_eq!(asker.rows("SELECT id FROM t ORDER BY id OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY").await, ["2"]);
    assert_eq!(asker.rows("SELECT id FROM t ORDER BY id FETCH FIRST ROW ONLY").await, ["1"]);
    assert_eq!(asker.rows("SELECT /*+ fast */ 1").await, ["1"]);
}

#[tokio::test]
async fn a_column_of_using_is_that_of_the_side_with_a_row() {
    let asker = Asker::new().await;
    let (a, b) = ("(VALUES (1, 'l'), (2, 'l')) a(x, l)", "(VALUES (2, 'r'), (3, 'r')) b(x, r)");
    for (select, join, rest, expected) in [
        ("x", "FULL JOIN", "", vec!["1", "2", "3"]),
        ("x", "RIGHT JOIN", "", vec!["2", "3"]),
        ("x", "LEFT JOIN", "", vec!["1", "2"]),
        ("*", "FULL JOIN", "", vec!["1|l|", "2|l|r", "3||r"]),
        ("*", "RIGHT JOIN", "WHERE x = 3", vec!["3||r"]),
        ("a.x, b.x, x + 1", "FULL JOIN", "WHERE x > 2", vec!["|3|4"]),
        ("x, count(*)", "FULL JOIN", "GROUP BY x HAVING x > 2", vec!["3|1"]),
        ("DISTINCT x", "FULL JOIN", "ORDER BY x DESC LIMIT 1", vec!["3"]),
        ("r", "RIGHT JOIN", "ORDER BY x DESC LIMIT 1", vec!["r"]),
        ("sum(x)", "FULL JOIN", "", vec!["6"]),
    ] {
        let sql = format!("SELECT {select} FROM {a} {join} {b} USING (x) {rest}");
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
    for join in ["JOIN", "LEFT JOIN", "FULL JOIN"] {
        let three = format!("SELECT x FROM {a} FULL JOIN {b} USING (x) {join} (VALUES (3)) c(x) USING (x)");
        assert!(asker.refusal(&three).await.contains("write ON coalesce"), "{join}");
    }
    let inside = format!("SELECT 1 FROM {a} FULL JOIN {b} USING (x) WHERE EXISTS (SELECT 1 WHERE x = 1)");
    assert!(asker.refusal(&inside).await.contains("write ON"));
}

#[tokio::test]
async fn where_finds_a_column_of_using() {
    let asker = Asker::new().await;
    let (a, b) = ("(VALUES (1, 'l'), (2, 'm')) a(x, l)", "(VALUES (2, 'r'), (3, 'r')) b(x, r)");
    let c = "(VALUES (2, 'c')) c(x, l)";
    for (from, rest, expected) in [
        (format!("{a} JOIN {b} USING (x)"), "WHERE x = 2", vec!["2"]),
        (format!("{a} LEFT JOIN {b} USING (x)"), "WHERE x < 2 OR r = 'r'", vec!["1", "2"]),
        (format!("{a} LEFT JOIN {b} USING (x)"), "WHERE x = 1 AND b.x IS NULL", vec!["1"]),
        (format!("{a} JOIN {b} USING (x) JOIN {c} USING (x)"), "WHERE x IN (2, 3)", vec!["2"]),
        (format!("{a} LEFT JOIN {b} USING (x) LEFT JOIN {c} USING (x)"), "ORDER BY x DESC LIMIT 1", vec!["2"]),
        ("t JOIN t u USING (id, name)".to_owned(), "WHERE id = 2 GROUP BY id", vec!["1"]),
    ] {
        let columns = if rest.contains("GROUP") { "count(*)" } else { "x" };
        let sql = format!("SELECT {columns} FROM {from} {rest}");
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
    let three = format!("SELECT * FROM {a} LEFT JOIN {b} USING (x) LEFT JOIN {c} USING (x) WHERE x = 1");
    assert_eq!(asker.rows(&three).await, ["1|l||"]);
    let of_two = format!("SELECT 1 FROM {a} JOIN {c} USING (x) WHERE l = 'm'");
    assert!(asker.refusal(&of_two).await.contains("mbiguous"), "a name of both, but not of USING");
    let of_a_third = format!("SELECT 1 FROM {a} JOIN {b} USING (x) JOIN {c} ON c.l = a.l WHERE x = 1");
    assert!(asker.refusal(&of_a_third).await.contains("mbiguous"), "a third table has one, too");
}

#[tokio::test]
async fn distinct_rows_are_distinct_whatever_is_grouped_below() {
    let asker = Asker::new().await;
    let grouped = "(SELECT x FROM (VALUES (1), (1), (2)) v(x) GROUP BY x) g";
    for (sql, expected) in [
        (format!("SELECT DISTINCT x FROM {grouped} CROSS JOIN (VALUES (1), (2)) w(y)"), vec!["1", "2"]),
        (format!("SELECT DISTINCT x FROM (SELECT x, unnest([1, 2]) FROM {grouped})"), vec!["1", "2"]),
        ("(SELECT 1 AS x UNION ALL SELECT 1) EXCEPT ALL SELECT 9 EXCEPT SELECT 2".to_owned(), vec!["1"]),
    ] {
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_frame_by_values_beside_its_row_is_refused() {
    let asker = Asker::new().await;
    for window in ["RANGE BETWEEN 2 PRECEDING AND 1 PRECEDING", "RANGE BETWEEN 1 FOLLOWING AND 2 FOLLOWING"] {
        for sql in [
            format!("SELECT sum(id) OVER (ORDER BY id {window}) FROM t"),
            format!("SELECT sum(id) OVER w FROM t WINDOW w AS (ORDER BY id {window})"),
        ] {
            assert!(asker.refusal(&sql).await.contains("one side of the row"), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_column_that_comes_twice_is_answered_twice() {
    let asker = Asker::new().await;
    let answer = asker.rows("SELECT id, name, id, CAST(id AS TEXT), 1, 1 FROM t WHERE id = 1").await;
    assert_eq!(answer, ["1|a|1|1|1|1"]);
    assert_eq!(asker.rows("SELECT (SELECT count(*) FROM t), (SELECT max(id) FROM t)").await, ["4|3"]);
    for (column, expected) in [
        ("(SELECT u.id FROM t u WHERE u.id = 2)", "1|2"),
        ("(SELECT u.id FROM t u WHERE u.id > t.id ORDER BY u.id LIMIT 1)", "1|2"),
        ("(SELECT max(u.id) AS id FROM t u)", "1|3"),
    ] {
        assert_eq!(asker.rows(&format!("SELECT t.id, {column} FROM t WHERE id = 1")).await, [expected], "{column}");
    }
}

#[tokio::test]
async fn a_column_and_its_casts_are_groups_of_their_own() {
    let asker = Asker::new().await;
    for (sql, expected) in [
        ("SELECT id, CAST(id AS TEXT), count(*) FROM t WHERE id = 1 GROUP BY id, CAST(id AS TEXT)", "1|1|1"),
        ("SELECT CAST(id AS TEXT), id, count(*) FROM t WHERE id = 1 GROUP BY 1, 2", "1|1|1"),
        ("SELECT id::TEXT, id::DOUBLE, count(DISTINCT name) FROM t WHERE id = 1 GROUP BY 1, id::DOUBLE", "1|1.0|1"),
        ("SELECT count(*) FROM t GROUP BY id, CAST(id AS TEXT) HAVING CAST(id AS TEXT) = '1'", "1"),
        ("SELECT id, CAST(id AS TEXT) FROM t GROUP BY 1, 2 ORDER BY CAST(id AS TEXT) LIMIT 1", "1|1"),
    ] {
        assert_eq!(asker.rows(sql).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn a_column_beside_a_wildcard_is_answered_twice() {
    let asker = Asker::new().await;
    for (columns, expected) in [
        ("*, id", "1|a|1"),
        ("id, *", "1|1|a"),
        ("t.*, t.id", "1|a|1"),
        ("t.*, id", "1|a|1"),
        ("*, id, t.id, name", "1|a|1|1|a"),
        ("*, CAST(id AS TEXT)", "1|a|1"),
        ("*, id AS other", "1|a|1"),
        ("* EXCLUDE (id), id", "a|1"),
        ("EXISTS (SELECT 1 FROM t WHERE id = 9), EXISTS (SELECT 1 FROM t)", "false|true"),
    ] {
        let sql = format!("SELECT {columns} FROM t WHERE id = 1");
        assert_eq!(asker.rows(&sql).await, [expected], "{sql}");
    }
    let joined = "SELECT a.*, b.id, a.id, b.* FROM t a JOIN t b ON a.id = b.id + 1 WHERE a.id = 2";
    assert_eq!(asker.rows(joined).await, ["2|b|1|2|1|a"]);
}

#[tokio::test]
async fn a_column_that_is_not_grouped_by_is_named_with_both_remedies() {
    let asker = Asker::new().await;
    for sql in [
        "SELECT name, count(*) FROM t",
        "SELECT id, name, count(*) FROM t GROUP BY id",
        "SELECT id, count(*) FROM t GROUP BY id HAVING name = 'a'",
        "SELECT id, count(*) FROM t GROUP BY id ORDER BY name",
    ] {
        let error = crate::error::from_datafusion(asker.ask(sql).await.expect_err(sql));
        assert_eq!(
            error.message(),
            "column `t.name` is neither in GROUP BY nor in an aggregate: add it to GROUP BY, or take one value of each group with \
             `max(t.name)` or `any_value(t.name)`",
            "{sql}"
        );
    }
}

#[tokio::test]
async fn from_alone_selects_all() {
    assert_eq!(Asker::new().await.rows("FROM (SELECT 1 AS x, 2 AS y)").await, ["1|2"]);
}

#[tokio::test]
async fn a_window_keeps_what_it_builds_on() {
    let asker = Asker::new().await;
    let from = "FROM (VALUES (1, 'a'), (1, 'b'), (3, 'b')) t(n, g)";
    for (sql, expected) in [
        (
            format!("SELECT g, n, sum(n) OVER (w ORDER BY n) {from} WINDOW w AS (PARTITION BY g)"),
            vec!["a|1|1", "b|1|1", "b|3|4"],
        ),
        (
            format!("SELECT g, n, sum(n) OVER v {from} WINDOW w AS (PARTITION BY g), v AS (w ORDER BY n)"),
            vec!["a|1|1", "b|1|1", "b|3|4"],
        ),
        (
            format!("SELECT g, n {from} QUALIFY row_number() OVER w = 1 WINDOW w AS (PARTITION BY g ORDER BY n DESC)"),
            vec!["a|1", "b|3"],
        ),
        (
            format!("SELECT n, count(*) OVER (w ROWS 1 PRECEDING) {from} WINDOW w AS (ORDER BY n DESC)"),
            vec!["1|2", "1|2", "3|1"],
        ),
        (format!("SELECT x FROM (SELECT sum(n) OVER w AS x {from} WINDOW w AS ()) y"), vec!["5", "5", "5"]),
    ] {
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
    let sql = format!("SELECT sum(n) OVER (v ORDER BY n) {from} WINDOW w AS ()");
    assert!(asker.refusal(&sql).await.contains("no window `v`"));
}

#[tokio::test]
async fn order_by_holds_beside_a_query_in_the_place_of_a_value() {
    let asker = Asker::new().await;
    let v = "(VALUES (1, 3), (2, 2), (3, 1), (3, 2)) v(a, b)";
    for (sql, expected) in [
        (format!("SELECT a FROM {v} WHERE a > (SELECT 0) ORDER BY b, a"), "3 2 3 1"),
        (format!("SELECT a FROM {v} WHERE a > (SELECT 0) ORDER BY b, a OFFSET 1"), "2 3 1"),
        (format!("SELECT a FROM {v} ORDER BY b + (SELECT 1), a DESC"), "3 3 2 1"),
        (format!("SELECT a FROM {v} WHERE 5 NOT IN (SELECT 1) ORDER BY b, a"), "3 2 3 1"),
        (format!("SELECT x FROM (SELECT b AS x FROM {v} ORDER BY a, b LIMIT 9 OFFSET 2) s ORDER BY x"), "1 2"),
    ] {
        let answer = asker.ask(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(answer.join(" "), expected, "{sql}");
    }
}

#[tokio::test]
async fn a_query_without_a_row_is_null_whatever_its_column_is() {
    let asker = Asker::new().await;
    for (value, expected) in [
        ("(SELECT 1 WHERE false) IS NULL", "true"),
        ("coalesce((SELECT 1 WHERE false), 7)", "7"),
        ("(SELECT count(*) FROM t HAVING count(*) > 50) IS NULL", "true"),
        ("CASE WHEN (SELECT count(*) FROM t HAVING count(*) > 50) IS NULL THEN 'none' END", "none"),
        ("(SELECT count(*) FROM t) IS NULL", "false"),
        ("1 IN (SELECT (SELECT 2 WHERE false))", ""),
    ] {
        assert_eq!(asker.rows(&format!("SELECT {value}")).await, [expected], "{value}");
    }
}

#[tokio::test]
async fn all_columns_of_a_join_by_using_are_those_of_the_first_table_first() {
    let asker = Asker::new().await;
    let (t, a) = ("(VALUES (1, 2)) t(k, x)", "(VALUES (5, 6)) a(k, y)");
    for (from, expected) in [
        (format!("{t} LEFT JOIN {a} USING (k)"), "1|2|"),
        (format!("{t} RIGHT JOIN {a} USING (k)"), "5||6"),
        (format!("{t} FULL JOIN {a} USING (k) WHERE k = 1"), "1|2|"),
        (format!("{t} FULL JOIN {a} USING (k) WHERE k = 5"), "5||6"),
        (format!("{t} JOIN (VALUES (1, 6)) a(k, y) USING (k)"), "1|2|6"),
        (format!("{t} JOIN (VALUES (1)) a(k) USING (k)"), "1|2"),
        (format!("{t} LEFT JOIN {a} USING (k) LEFT JOIN (VALUES (1, 9)) b(k, z) USING (k)"), "1|2||9"),
        (format!("{t} LEFT JOIN {a} USING (k) CROSS JOIN (VALUES (3)) b(k)"), "1|2||3"),
    ] {
        let sql = format!("SELECT * FROM {from}");
        assert_eq!(asker.rows(&sql).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn groups_by_a_column_and_an_expression_of_it_are_of_both() {
    let asker = Asker::new().await;
    let grouped = "SELECT c > 0 AS x, c FROM (VALUES (3), (4), (-5), (9)) v(c) GROUP BY 1, 2";
    for (sql, expected) in [
        (format!("{grouped} ORDER BY 1, 2 DESC"), "false|-5 true|9 true|4 true|3"),
        (format!("SELECT count(*) FROM ({grouped}) q GROUP BY x, c"), "1 1 1 1"),
        (format!("SELECT count(*) FROM ({grouped}) q GROUP BY x ORDER BY 1"), "1 3"),
        ("SELECT 3 AS g, count(*) FROM t WHERE id > 50 GROUP BY 1".to_owned(), ""),
        ("SELECT 'x', max(id), count(*) FROM t GROUP BY 1".to_owned(), "x|3|4"),
    ] {
        let answer = asker.ask(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(answer.join(" "), expected, "{sql}");
    }
}

#[tokio::test]
async fn a_join_that_matches_null_does_so_by_that_key_alone() {
    let asker = Asker::new().await;
    let rows = "(VALUES (1, CAST(NULL AS INT)), (2, 5), (CAST(NULL AS INT), 7))";
    let same = "a.s IS NOT DISTINCT FROM b.s";
    for (from, condition, expected) in [
        (format!("{rows} a(s, m) JOIN {rows} b(s, m) ON {same}"), "a.m = b.m", "2 "),
        (format!("{rows} a(s, m) LEFT JOIN {rows} b(s, m) ON {same}"), "a.m = b.m", "2 "),
        (format!("{rows} a(s, m) JOIN {rows} b(s, m) ON {same} AND a.m = b.m"), "true", "2 "),
        (format!("{rows} a(s, m), {rows} b(s, m)"), "a.s IS NOT DISTINCT FROM b.s AND a.m = b.m", "2 "),
        (format!("{rows} a(s, m) JOIN {rows} b(s, m) ON {same}, {rows} c(s, m)"), "c.m = a.m AND c.s = b.s", "2"),
        (
            format!("{rows} a(s, m) JOIN {rows} c(s, m) USING (s), {rows} b(s, m)"),
            "a.m IS NOT DISTINCT FROM b.m",
            "2 1",
        ),
    ] {
        let sql = format!("SELECT a.s FROM {from} WHERE {condition}");
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(asker.rows(&sql).await, expected, "{sql}");
    }
}

#[test]
fn the_rules_that_are_replaced_or_left_out_are_there() {
    let rules = datafusion::optimizer::Optimizer::new().rules;
    for name in
        ["simplify_expressions", "eliminate_group_by_constant", "eliminate_cross_join", "extract_equijoin_predicate"]
    {
        assert!(rules.iter().any(|rule| rule.name() == name), "`{name}` has another name now: the mend does nothing");
    }
}
