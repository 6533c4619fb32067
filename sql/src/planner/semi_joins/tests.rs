use datafusion::prelude::SessionContext;
use icefold_fixture::{Fixture, at, people, rows};

use crate::fixture::Queries;

async fn table() -> Fixture {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("a")), (Some(2), Some("a")), (Some(3), None), (Some(3), Some("c"))])).await;
    table.data(at(1), rows(&[(None, Some("a")), (Some(3), Some("b")), (None, None)])).await;
    table
}

async fn optimized(session: &SessionContext, sql: &str) -> String {
    let plan = session.sql(sql).await.expect(sql).into_optimized_plan().expect(sql);
    plan.display_indent().to_string()
}

#[tokio::test]
async fn a_side_that_is_only_looked_up_has_each_key_once() {
    let session = table().await.session();
    for (sql, keys) in [
        ("SELECT id FROM t WHERE name IN (SELECT name FROM t)", "groupBy=[[__correlated_sq_1.name]]"),
        (
            "SELECT id FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE a.name = b.name)",
            "groupBy=[[__correlated_sq_1.name]]",
        ),
        ("SELECT id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE a.id = b.id)", "groupBy=[[__correlated_sq_1.id]]"),
        ("SELECT id FROM t WHERE id = 7 OR name IN (SELECT name FROM t)", "groupBy=[[__correlated_sq_1.name]]"),
        ("SELECT id FROM t INTERSECT ALL SELECT id FROM t", "groupBy=[[right.id]]"),
    ] {
        let plan = optimized(&session, sql).await;
        assert_eq!(plan.matches("Aggregate:").count(), 1, "{plan}");
        assert!(plan.contains(keys), "{plan}");
    }
    // It counts the rows and the NULLs of the query, too.
    let plan = optimized(&session, "SELECT id FROM t WHERE name NOT IN (SELECT name FROM t)").await;
    assert!(plan.contains("groupBy=[[__correlated_sq_1.$value]]"), "{plan}");
}

#[tokio::test]
async fn a_side_that_has_each_key_once_is_not_grouped_again() {
    let session = table().await.session();
    let plan =
        optimized(&session, "SELECT id FROM t a LEFT SEMI JOIN (SELECT id x FROM t GROUP BY id) b ON a.id = b.x").await;
    assert_eq!(plan.matches("Aggregate:").count(), 1, "{plan}");
}

#[tokio::test]
async fn more_conditions_than_equal_keys_are_asked_of_every_pair() {
    let table = table().await;
    let sql = "SELECT id, name FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE a.name = b.name AND a.id < b.id)";
    assert_eq!(table.query(sql).await, ["1|a"]);
    assert_eq!(optimized(&table.session(), sql).await.matches("Aggregate:").count(), 0);
}
