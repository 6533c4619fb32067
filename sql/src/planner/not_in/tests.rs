use icefold_fixture::{Fixture, at, people, rows};

use crate::fixture::Queries;

/// `(1, x)`, `(2, y)`, `(NULL, x)`, and what is asked about them as `b`: `(1, x)`, `(NULL, z)`.
async fn answer(condition: &str) -> datafusion::common::Result<Vec<String>> {
    let mut table = Fixture::new(people());
    let b = [(Some(1), Some("bx")), (None, Some("bz"))];
    let a = [(Some(1), Some("x")), (Some(2), Some("y")), (None, Some("x"))];
    table.data(at(1), rows(&a)).await;
    table.data(at(1), rows(&b)).await;
    let sql = format!(
        "WITH a AS (SELECT id, name AS n FROM t WHERE length(name) = 1), \
         b AS (SELECT id, substr(name, 2) AS n FROM t WHERE length(name) = 2) SELECT count(*) FROM a WHERE {condition}"
    );
    table.try_query(&sql).await
}

#[tokio::test]
async fn not_in_knows_null_wherever_it_stands() {
    for (condition, count) in [
        ("id NOT IN (SELECT id FROM b)", 0),
        ("id NOT IN (SELECT id FROM b WHERE id = 1)", 1),
        ("id NOT IN (SELECT id FROM b WHERE id = 7)", 3),
        ("id NOT IN (SELECT id FROM b) OR n = 'q'", 0),
        ("id NOT IN (SELECT id FROM b WHERE id = 1) OR n = 'q'", 1),
        ("id NOT IN (SELECT id FROM b WHERE id = 7) OR n = 'q'", 3),
        ("id NOT IN (SELECT id FROM b) OR n = 'y'", 1),
        ("NOT (id IN (SELECT id FROM b) AND n = 'x')", 1),
        ("NOT (id NOT IN (SELECT id FROM b))", 1),
        ("id IN (SELECT id FROM b) OR n = 'y'", 2),
        ("2 NOT IN (SELECT id FROM b)", 0),
        ("id IS NOT NULL AND id NOT IN (SELECT id FROM b)", 0),
        ("id > 0 AND id NOT IN (SELECT id FROM b)", 0),
        ("2 NOT IN (SELECT id FROM b WHERE id = 1)", 3),
        ("id NOT IN (SELECT id FROM b WHERE b.n = a.n)", 1),
        ("id NOT IN (SELECT id FROM b WHERE b.n > a.n)", 0),
        ("id NOT IN (SELECT id FROM b WHERE b.n < a.n)", 3),
        ("id NOT IN (SELECT id FROM b ORDER BY n LIMIT 1)", 1),
        ("id NOT IN (SELECT id FROM b ORDER BY n LIMIT 1) OR n = 'q'", 1),
        ("id NOT IN (SELECT id FROM a WHERE id = 1) OR n = 'q'", 1),
        ("id NOT IN (SELECT id FROM a WHERE a.id = 1) OR n NOT IN (SELECT n FROM a WHERE n = 'x')", 1),
        ("id NOT IN (SELECT id FROM b WHERE id = 1 AND id NOT IN (SELECT id FROM b WHERE b.n = 'z')) OR n = 'q'", 3),
        ("(id IN (SELECT id FROM b)) IS NULL", 2),
        ("CASE WHEN id NOT IN (SELECT id FROM b) THEN true ELSE false END", 0),
        ("n IN (SELECT n FROM b WHERE b.id NOT IN (SELECT id FROM b WHERE id = 7) OR b.id = 3)", 2),
    ] {
        assert_eq!(answer(condition).await.expect(condition), [count.to_string()], "{condition}");
    }
}

#[tokio::test]
async fn a_table_is_asked_about_its_own_rows() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("a")), (Some(2), Some("b")), (None, Some("a"))])).await;
    for (condition, count) in [
        ("id NOT IN (SELECT id FROM t WHERE name = 'b') OR name = 'q'", 1),
        ("id NOT IN (SELECT id FROM t) OR name = 'b'", 1),
        ("id NOT IN (SELECT id FROM t u WHERE u.name = t.name AND u.id = 1)", 1),
        ("id NOT IN (SELECT id FROM t u WHERE u.name <> t.name)", 1),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {condition}");
        assert_eq!(table.query(&sql).await, [count.to_string()], "{condition}");
    }
}
