use icefold_fixture::{Fixture, at, people, rows};

use crate::fixture::Queries;

/// Answers a question about `u(id, n)`: `(1, a)`, `(2, b)`, `(NULL, c)`, and `e(uid, name, t)`: `(1, x, 10)`, `(1, y, 20)`, `(2, NULL, 5)`,
/// `(3, z, NULL)`, `(NULL, w, 1)`; in order.
async fn ask(question: &str) -> datafusion::common::Result<Vec<String>> {
    let mut table = Fixture::new(people());
    let u = [(Some(1), Some("a")), (Some(2), Some("b")), (None, Some("c"))];
    let e = [
        (Some(1), Some("ex10")),
        (Some(1), Some("ey20")),
        (Some(2), Some("e-05")),
        (Some(3), Some("ez")),
        (None, Some("ew01")),
    ];
    table.data(at(1), rows(&u)).await;
    table.data(at(1), rows(&e)).await;
    let sql = format!(
        "WITH u AS (SELECT id, name AS n FROM t WHERE length(name) = 1), \
         e AS (SELECT id AS uid, nullif(substr(name, 2, 1), '-') AS name, CAST(nullif(substr(name, 3), '') AS INT) AS t \
               FROM t WHERE length(name) > 1) {question}"
    );
    let mut lines = table.try_query(&sql).await?;
    if !question.contains("u ORDER BY") && !question.contains("GROUP BY 1 ORDER BY") {
        lines.sort_unstable();
    }
    Ok(lines)
}

async fn check(questions: &[(&str, &str)]) {
    for (question, expected) in questions {
        let found = ask(question).await.map_err(|error| format!("{question}: {error}"));
        assert_eq!(found.expect("answer").join(" "), *expected, "{question}");
    }
}

/// As [`check`], of a value for each row of `u`, in the order of `n`.
async fn check_values(values: &[(&str, &str)]) {
    for (value, expected) in values {
        check(&[(&format!("SELECT n, {value} AS x FROM u"), expected)]).await;
    }
}

#[tokio::test]
async fn conditions_about_queries_are_values_that_may_be_unknown() {
    check_values(&[
        ("id IN (SELECT uid FROM e)", "a|true b|true c|"),
        ("id IN (SELECT uid FROM e WHERE uid = 1)", "a|true b|false c|"),
        ("id IN (SELECT uid FROM e WHERE uid = 7)", "a|false b|false c|false"),
        ("id NOT IN (SELECT uid FROM e WHERE uid = 1 OR uid IS NULL)", "a|false b| c|"),
        ("id NOT IN (SELECT t FROM e WHERE uid = u.id)", "a|true b|true c|true"),
        ("5 IN (SELECT t FROM e WHERE uid = u.id)", "a|false b|true c|false"),
        ("id + 4 IN (SELECT t FROM e WHERE uid >= u.id)", "a|true b| c|false"),
        ("(id IN (SELECT uid FROM e)) IS NULL", "a|false b|false c|true"),
        ("CASE WHEN id NOT IN (SELECT uid FROM e WHERE uid = 1) THEN 'out' ELSE 'in' END", "a|in b|out c|in"),
        ("EXISTS (SELECT 1 FROM e WHERE uid = id)", "a|true b|true c|false"),
        ("NOT EXISTS (SELECT 1 FROM e WHERE uid > id AND t IS NULL)", "a|false b|false c|true"),
        ("EXISTS (SELECT 1 FROM e)", "a|true b|true c|true"),
        ("EXISTS (SELECT 1 FROM e WHERE uid = 7)", "a|false b|false c|false"),
        ("EXISTS (SELECT count(*) FROM e WHERE uid = id)", "a|true b|true c|true"),
        ("EXISTS (SELECT 1 FROM e WHERE uid = id LIMIT 0)", "a|false b|false c|false"),
    ])
    .await;
}

#[tokio::test]
async fn any_and_all_compare_with_each_row_of_a_query() {
    check_values(&[
        ("id = ANY (SELECT uid FROM e)", "a|true b|true c|"),
        ("id <> ALL (SELECT uid FROM e WHERE uid = 1)", "a|false b|true c|"),
        ("id < ANY (SELECT uid FROM e)", "a|true b|true c|"),
        ("id < SOME (SELECT uid FROM e WHERE uid = 2)", "a|true b|false c|"),
        ("id >= ALL (SELECT uid FROM e WHERE uid <= 2)", "a|false b|true c|"),
        ("id >= ALL (SELECT uid FROM e WHERE uid = 1 OR uid IS NULL)", "a| b| c|"),
        ("id > ALL (SELECT uid FROM e WHERE uid = 7)", "a|true b|true c|true"),
        ("id > ANY (SELECT uid FROM e WHERE uid = 7)", "a|false b|false c|false"),
        ("id = ALL (SELECT uid FROM e WHERE uid = 1)", "a|true b|false c|"),
        ("id <> ANY (SELECT uid FROM e WHERE uid = 1)", "a|false b|true c|"),
        ("15 > ALL (SELECT t FROM e WHERE uid = u.id)", "a|false b|true c|true"),
    ])
    .await;
    check(&[
        ("SELECT n FROM u WHERE id <> ALL (SELECT uid FROM e)", ""),
        ("SELECT n FROM u WHERE id <> ALL (SELECT uid FROM e WHERE uid = 1)", "b"),
        ("SELECT n FROM u WHERE id > ALL (SELECT uid FROM e WHERE uid = 1)", "b"),
        ("SELECT n FROM u WHERE NOT id < ANY (SELECT uid FROM e WHERE uid = 2)", "b"),
    ])
    .await;
}

#[tokio::test]
async fn queries_stand_wherever_a_value_may() {
    check(&[
        ("SELECT sum(CASE WHEN EXISTS (SELECT 1 FROM e WHERE uid = id) THEN 1 ELSE 0 END) FROM u", "2"),
        ("SELECT count(*) FILTER (WHERE id IN (SELECT uid FROM e WHERE uid = 2)) FROM u", "1"),
        ("SELECT sum((SELECT max(t) FROM e WHERE uid = id)) FROM u", "25"),
        ("SELECT (SELECT max(t) FROM e WHERE uid = id) AS x, count(*) FROM u GROUP BY 1 ORDER BY 1", "5|1 20|1 |1"),
        ("SELECT n FROM u GROUP BY n HAVING (count(*) IN (SELECT uid FROM e)) IS NOT NULL", "a b c"),
        ("SELECT n FROM u ORDER BY EXISTS (SELECT 1 FROM e WHERE uid = id), n", "c a b"),
        ("SELECT n FROM u ORDER BY (SELECT max(t) FROM e WHERE uid = id) DESC NULLS LAST", "a b c"),
        ("SELECT n, rank() OVER (ORDER BY (SELECT max(t) FROM e WHERE uid = id)) FROM u", "a|2 b|1 c|3"),
        ("SELECT n, name FROM u JOIN e ON id = uid AND t = (SELECT max(t) FROM e f WHERE f.uid = e.uid)", "a|y b|"),
        ("SELECT n, name FROM u JOIN e ON id = uid AND name NOT IN (SELECT 'x')", "a|y"),
        ("SELECT n, name FROM u LEFT JOIN e ON id = uid AND t = (SELECT max(t) FROM e f WHERE f.uid = e.uid)", "a|y b| c|"),
        ("SELECT n, name FROM u LEFT JOIN e ON id = uid AND EXISTS (SELECT 1 FROM e f WHERE f.uid = e.uid AND f.t > e.t)", "a|x b| c|"),
        ("SELECT n, EXISTS (SELECT 1 FROM e WHERE uid = 7) AS p, EXISTS (SELECT 1 FROM e) AS q FROM u", "a|false|true b|false|true c|false|true"),
    ])
    .await;
}

#[tokio::test]
async fn a_query_in_the_place_of_a_value_may_have_an_order_and_a_limit() {
    check_values(&[
        ("(SELECT name FROM e WHERE uid = id ORDER BY t DESC LIMIT 1)", "a|y b| c|"),
        ("(SELECT name FROM e WHERE uid = id ORDER BY t LIMIT 1)", "a|x b| c|"),
        ("(SELECT name FROM e WHERE uid = id ORDER BY t LIMIT 1 OFFSET 1)", "a|y b| c|"),
        ("(SELECT e.name || u.n FROM e WHERE e.uid = u.id ORDER BY e.t DESC LIMIT 1)", "a|ya b| c|"),
        ("(SELECT e.name || u.n FROM e WHERE e.t IS NOT NULL ORDER BY e.t DESC LIMIT 1)", "a|ya b|yb c|yc"),
        ("(SELECT name FROM e WHERE uid = id AND t = 20)", "a|y b| c|"),
        ("(SELECT name FROM (VALUES (1, 'one'), (2, 'two')) v(i, name) WHERE i = id)", "a|one b|two c|"),
        ("(SELECT max(t) FROM e WHERE uid < id)", "a| b|20 c|"),
        ("(SELECT name FROM e WHERE t <= id * 5 ORDER BY t DESC LIMIT 1)", "a| b|x c|"),
        ("(SELECT count(*) FROM e WHERE uid < id)", "a|0 b|2 c|0"),
        ("(SELECT sum(t * u.id) FROM e WHERE uid <= id)", "a|30 b|70 c|"),
        ("(SELECT t FROM e WHERE uid = id GROUP BY t ORDER BY sum(t) DESC LIMIT 1)", "a|20 b|5 c|"),
        ("(SELECT max(t) AS t FROM e WHERE t = id + 4)", "a|5 b| c|"),
        ("(SELECT count(*) FROM (SELECT t FROM e WHERE uid = id) y)", "a|2 b|1 c|0"),
        ("(SELECT DISTINCT uid FROM e WHERE uid = id)", "a|1 b|2 c|"),
    ])
    .await;
    check(&[
        ("SELECT n FROM u WHERE (SELECT name FROM e WHERE uid = id ORDER BY t DESC LIMIT 1) = 'y'", "a"),
        ("SELECT n FROM u WHERE id > 0 AND (SELECT count(*) FROM e WHERE uid = id AND t > id) = 1", "b"),
        ("SELECT n FROM u WHERE 10 NOT IN (SELECT t FROM e WHERE uid = id ORDER BY t LIMIT 1)", "b c"),
        ("SELECT n FROM u WHERE CAST(id AS DECIMAL(20, 0)) IN (SELECT uid FROM e WHERE uid = u.id)", "a b"),
        ("SELECT n FROM u WHERE CAST(id AS DECIMAL(20, 0)) NOT IN (SELECT uid FROM e WHERE uid = u.id)", "c"),
        ("SELECT n FROM u WHERE EXISTS (SELECT CAST(uid AS INT) FROM e WHERE uid = u.id)", "a b"),
        ("SELECT n FROM u WHERE 10 IN (SELECT t FROM e WHERE uid = id ORDER BY t LIMIT 1)", "a"),
    ])
    .await;
    let error = ask("SELECT (SELECT name FROM e WHERE uid = id) FROM u").await.expect_err("two rows");
    assert!(error.to_string().contains("more than one row: add ORDER BY"), "{error}");
}

#[tokio::test]
async fn what_is_one_of_all_rows_of_a_query_is_one_for_each_outer_row() {
    check_values(&[
        ("(SELECT max(n) FROM (SELECT count(*) OVER () AS n FROM e WHERE uid = u.id))", "a|2 b|1 c|"),
        ("(SELECT max(n) FROM (SELECT count(*) AS n FROM e WHERE uid = u.id))", "a|2 b|1 c|0"),
        ("(SELECT count(*) FROM e WHERE uid = u.id HAVING count(*) <> 1)", "a|2 b| c|0"),
        ("(SELECT sum(n) FROM (SELECT count(*) AS n FROM e WHERE uid = u.id GROUP BY t))", "a|2 b|1 c|"),
        ("(SELECT count(*) FROM (SELECT DISTINCT uid FROM e WHERE uid = u.id))", "a|1 b|1 c|0"),
        ("0 IN (SELECT count(*) FROM e WHERE uid = u.id)", "a|false b|false c|true"),
        (
            "EXISTS (SELECT 1 FROM (SELECT max(t) AS m FROM e WHERE uid = u.id) WHERE m IS NULL)",
            "a|false b|false c|true",
        ),
        ("(SELECT count(f.t) FROM e LEFT JOIN e f ON f.t > e.t AND f.uid = u.id WHERE e.uid = u.id)", "a|1 b|0 c|0"),
        (
            "(SELECT count(*) FROM e JOIN (SELECT uid FROM e WHERE uid = u.id LIMIT 1) f ON e.uid = f.uid)",
            "a|2 b|1 c|0",
        ),
    ])
    .await;
    check(&[
        ("SELECT n FROM u WHERE 0 IN (SELECT count(*) FROM e WHERE uid = u.id)", "c"),
        ("SELECT n FROM u WHERE NOT EXISTS (SELECT count(*) FROM e WHERE uid = u.id)", ""),
        ("SELECT n FROM u WHERE EXISTS (SELECT 1 FROM (SELECT row_number() OVER (ORDER BY t) AS r FROM e WHERE uid = u.id) WHERE r = 2)", "a"),
        ("SELECT n FROM u WHERE EXISTS (SELECT 1 FROM e f WHERE EXISTS (SELECT 1 FROM e g WHERE g.uid = f.uid AND g.uid = u.id))", "a b"),
        ("SELECT n, r FROM u CROSS JOIN LATERAL (SELECT row_number() OVER (ORDER BY t) AS r FROM e WHERE uid = u.id) l", "a|1 a|2 b|1"),
        ("SELECT n, t FROM u CROSS JOIN LATERAL (SELECT t FROM e WHERE uid = u.id ORDER BY t DESC LIMIT 1) l", "a|20 b|5"),
        (
            "SELECT n, t FROM u LEFT JOIN LATERAL (SELECT t FROM e WHERE uid = u.id ORDER BY t DESC LIMIT 1) l ON true",
            "a|20 b|5 c|",
        ),
        (
            "SELECT n, t FROM u LEFT JOIN LATERAL (SELECT t FROM e WHERE uid = u.id ORDER BY t LIMIT 2) l ON true",
            "a|10 a|20 b|5 c|",
        ),
        ("SELECT n, m FROM u LEFT JOIN LATERAL (SELECT max(t) AS m FROM e WHERE uid = u.id) l ON true", "a|20 b|5 c|"),
    ])
    .await;
}

#[tokio::test]
async fn queries_that_are_not_answered_name_another_way() {
    for question in [
        "SELECT n FROM u LEFT JOIN e ON id = uid AND EXISTS (SELECT 1 FROM e f WHERE f.uid = u.id AND f.t > e.t)",
        "SELECT n, (SELECT count(*) FROM (SELECT t FROM e WHERE uid = u.id UNION ALL SELECT t FROM e WHERE t = u.id)) FROM u",
    ] {
        let error = ask(question).await.expect_err(question);
        let words = error.to_string();
        assert!(words.contains("join with it instead") || words.contains("in a SELECT around the join"), "{words}");
    }
}
