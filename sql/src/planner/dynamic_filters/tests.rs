use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use iceberg::spec::PrimitiveType;
use icefold_fixture::{Fixture, at, column, numbered, people, rows, schema};

use super::*;
use crate::fixture::{Queries, lines};

async fn ask(session: &SessionContext, sql: &str) -> Vec<String> {
    let found = session.sql(sql).await.expect(sql).collect().await.expect(sql);
    let mut found = lines(&found);
    found.sort_unstable();
    found
}

async fn set(session: &SessionContext, key: &str, value: &str) {
    session.sql(&format!("SET datafusion.{key} = '{value}'")).await.expect("set").collect().await.expect("set");
}

async fn planned(session: &SessionContext, sql: &str) -> String {
    let plan = session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
    displayable(plan.as_ref()).indent(true).to_string()
}

/// Sessions with 1, 2 and 4 partitions that build whole, and one that builds by parts.
async fn sessions(table: &Fixture) -> Vec<SessionContext> {
    let in_parts = table.session_with(3);
    set(&in_parts, "optimizer.hash_join_single_partition_threshold", "0").await;
    set(&in_parts, "optimizer.hash_join_single_partition_threshold_rows", "0").await;
    vec![table.session_with(1), table.session_with(2), table.session_with(4), in_parts]
}

/// Some people, among them NULL in each column, in three files of small row groups.
async fn with_nulls() -> Fixture {
    let mut table = Fixture::new(people());
    table.row_group_rows = 2;
    table.data(at(1), rows(&[(Some(1), Some("a")), (Some(2), None), (Some(3), Some("c"))])).await;
    table.data(at(2), rows(&[(None, Some("a")), (Some(2), Some("b")), (None, None)])).await;
    table.data(at(3), rows(&[(Some(9), Some("z")), (Some(4), None), (Some(1), Some("a"))])).await;
    table
}

#[test]
fn the_rule_that_is_replaced_is_there() {
    let names = |rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>]| -> Vec<String> {
        rules.iter().map(|rule| rule.name().to_owned()).collect()
    };
    let theirs = names(&datafusion::physical_optimizer::optimizer::PhysicalOptimizer::new().rules);
    let ours = names(&crate::planner::physical_rules());
    assert_eq!(theirs.iter().filter(|name| *name == DynamicFilters::REPLACES).count(), 1);
    assert!(!ours.contains(&DynamicFilters::REPLACES.to_owned()) && ours.contains(&"DynamicFilters".to_owned()));
}

#[tokio::test]
async fn rows_with_null_are_neither_lost_nor_invented_by_joins() {
    let table = with_nulls().await;
    let cases = [
        ("SELECT count(*) FROM (SELECT name FROM t EXCEPT SELECT name FROM t)", "0"),
        ("SELECT count(*) FROM (SELECT id, name FROM t EXCEPT SELECT id, name FROM t)", "0"),
        ("SELECT count(*), count(name) FROM (SELECT name FROM t INTERSECT SELECT name FROM t)", "5|4"),
        ("SELECT count(*) FROM t WHERE name NOT IN (SELECT name FROM t WHERE id > 3)", "0"),
        ("SELECT count(*) FROM t WHERE name NOT IN (SELECT name FROM t WHERE id = 9)", "5"),
        ("SELECT count(*) FROM t WHERE name NOT IN (SELECT name FROM t WHERE id = 77)", "9"),
        ("SELECT count(*) FROM t WHERE id NOT IN (SELECT id FROM t)", "0"),
        (
            "SELECT count(*) FROM (SELECT DISTINCT name n FROM t) a JOIN (SELECT DISTINCT name n FROM t) b \
             ON a.n IS NOT DISTINCT FROM b.n",
            "5",
        ),
        ("SELECT count(*) FROM t a LEFT ANTI JOIN t b ON a.name IS NOT DISTINCT FROM b.name", "0"),
        ("SELECT count(*) FROM t a LEFT ANTI JOIN t b ON a.name = b.name", "3"),
        ("SELECT count(*) FROM t a RIGHT ANTI JOIN t b ON a.name = b.name", "3"),
        ("SELECT count(*), count(a.id) FROM t a RIGHT JOIN t b ON a.id = b.id AND a.id > 3", "9|2"),
        ("SELECT count(*), count(a.id), count(b.id) FROM t a FULL JOIN t b ON a.id = b.id AND a.id > 3", "16|7|7"),
        // The filter of the outer join must not take the NULL away that `NOT IN` asks for.
        (
            "SELECT count(*) FROM (SELECT * FROM t WHERE id < 3) a JOIN \
             (SELECT id FROM t WHERE id NOT IN (SELECT id FROM t WHERE id > 3 OR id IS NULL)) b ON a.id = b.id",
            "0",
        ),
    ];
    for session in sessions(&table).await {
        for (sql, answer) in cases {
            assert_eq!(ask(&session, sql).await, [answer], "{sql}");
        }
    }
}

#[tokio::test]
async fn each_aggregate_sees_all_rows() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 2;
    // The greatest id comes first, names only later, and one file has none.
    table.data(at(1), rows(&[(Some(9), None), (Some(8), None), (Some(7), None)])).await;
    table.data(at(1), rows(&[(Some(1), Some("b")), (Some(2), Some("a")), (None, Some("z"))])).await;
    for session in sessions(&table).await {
        set(&session, "execution.batch_size", "1").await;
        for (sql, answer) in [
            ("SELECT max(id), max(name) FROM t WHERE id IS NULL OR id > 0", "9|z"),
            ("SELECT max(id), min(name), max(name) FROM t WHERE id IS NULL OR id > 0", "9|a|z"),
            ("SELECT max(id), max(name || '!') FROM t WHERE id IS NULL OR id > 0", "9|z!"),
            ("SELECT max(id), max(name) FILTER (WHERE id = 1) FROM t WHERE id IS NULL OR id > 0", "9|b"),
        ] {
            assert_eq!(ask(&session, sql).await, [answer], "{sql}");
        }
    }
}

#[tokio::test]
async fn a_limit_below_a_join_counts_rows_that_match_nothing() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..50)).await;
    let sql =
        "SELECT count(*) FROM (SELECT id FROM t WHERE id = 40) a JOIN (SELECT id FROM t LIMIT 10) b ON a.id = b.id";
    for session in sessions(&table).await {
        assert_eq!(ask(&session, sql).await, ["0"]);
    }
}

#[tokio::test]
async fn each_round_of_a_recursive_query_reads_all_rows() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 2;
    table.data(at(1), numbered(0..12)).await;
    let sql = "WITH RECURSIVE r AS (SELECT 1 AS id UNION ALL SELECT t.id FROM r JOIN t ON t.id = r.id + 1) \
               SELECT count(*), max(id) FROM r";
    for session in sessions(&table).await {
        assert_eq!(ask(&session, sql).await, ["11|11"]);
    }
}

#[tokio::test]
async fn scans_learn_from_joins_and_limits_only_what_is_right() {
    let table = with_nulls().await;
    for session in sessions(&table).await {
        for sql in [
            "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.name = 'a'",
            "SELECT id FROM t WHERE name IN (SELECT name FROM t WHERE id = 1)",
            "SELECT id FROM t ORDER BY id LIMIT 2",
            "SELECT id FROM t ORDER BY name DESC, id LIMIT 2",
        ] {
            assert!(planned(&session, sql).await.contains("predicate=DynamicFilter"), "{sql}");
        }
        for sql in [
            "SELECT id FROM t EXCEPT SELECT id FROM t",
            "SELECT id FROM t WHERE id NOT IN (SELECT id FROM t)",
            "SELECT a.id FROM t a JOIN t b ON a.id IS NOT DISTINCT FROM b.id",
            "SELECT a.id FROM t a FULL JOIN t b ON a.id = b.id",
            "SELECT a.id FROM t a JOIN (SELECT CAST(id AS DOUBLE) x FROM t) b ON a.id = b.x",
            "SELECT id FROM t ORDER BY abs(id) LIMIT 2",
            "SELECT max(name) FROM t",
        ] {
            assert!(!planned(&session, sql).await.contains("predicate=DynamicFilter"), "{sql}");
        }
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// `rows` small values, one in six NULL.
    fn values(&mut self, rows: usize) -> Vec<Option<i64>> {
        let values = (0..rows).map(|_| self.roll(9) as i64 - 3);
        let values: Vec<i64> = values.collect();
        values.into_iter().map(|value| (self.roll(6) > 0).then_some(value)).collect()
    }
}

const KEYS: [&str; 8] = ["i", "l", "s", "d", "ts", "n", "b", "f"];

fn wide(first: PrimitiveType) -> iceberg::spec::Schema {
    schema(vec![
        column(1, "i", first),
        column(2, "l", PrimitiveType::Long),
        column(3, "s", PrimitiveType::String),
        column(4, "d", PrimitiveType::Date),
        column(5, "ts", PrimitiveType::Timestamp),
        column(6, "n", PrimitiveType::Decimal { precision: 12, scale: 2 }),
        column(7, "b", PrimitiveType::Boolean),
        column(8, "f", PrimitiveType::Double),
    ])
}

/// A value for each column of [`wide`].
fn columns(dice: &mut Dice, rows: usize, is_long: bool) -> Vec<ArrayRef> {
    let floats = [Some(f64::NAN), Some(0.0), Some(-0.0), Some(1.5), Some(f64::INFINITY), Some(-7.0), None];
    let decimal = Decimal128Array::from_iter(dice.values(rows).into_iter().map(|v| v.map(i128::from)));
    vec![
        match is_long {
            true => Arc::new(Int64Array::from(dice.values(rows))),
            false => Arc::new(Int32Array::from_iter(dice.values(rows).into_iter().map(|v| v.map(|v| v as i32)))),
        },
        Arc::new(Int64Array::from(dice.values(rows))),
        Arc::new(StringArray::from_iter(
            dice.values(rows).into_iter().map(|v| v.map(|v| format!("longer than twelve {v}"))),
        )),
        Arc::new(Date32Array::from_iter(dice.values(rows).into_iter().map(|v| v.map(|v| v as i32)))),
        Arc::new(TimestampMicrosecondArray::from(dice.values(rows))),
        Arc::new(decimal.with_precision_and_scale(12, 2).expect("decimal")),
        Arc::new(BooleanArray::from_iter(dice.values(rows).into_iter().map(|v| v.map(|v| v > 3)))),
        Arc::new(Float64Array::from_iter((0..rows).map(|_| floats[dice.roll(7) as usize]))),
    ]
}

/// A table whose first column was `int` in its older files, with deletes over some of its files.
async fn random_table(dice: &mut Dice) -> Fixture {
    let mut table = Fixture::new(wide(PrimitiveType::Int));
    table.row_group_rows = 1 + dice.roll(5) as usize;
    let first = table.data(at(1), columns(dice, 8, false)).await;
    table.evolve(wide(PrimitiveType::Long));
    for _ in 0..dice.roll(4) {
        let rows = 1 + dice.roll(12) as usize;
        table.data(at(2), columns(dice, rows, true)).await;
    }
    if dice.roll(2) == 0 {
        table.position_deletes(at(3), &[(&first, dice.roll(8) as i64)]).await;
    }
    if dice.roll(2) == 0 {
        let key = schema(vec![column(2, "l", PrimitiveType::Long)]);
        table.equality_deletes(at(3), &key, vec![Arc::new(Int64Array::from(dice.values(1)))]).await;
    }
    table
}

fn random_query(dice: &mut Dice) -> String {
    let mut key = || KEYS[dice.roll(KEYS.len() as u64) as usize];
    let (one, two, order) = (key(), key(), key());
    let rest = format!("b.l % {} = 0 OR b.s IS NULL", 1 + dice.roll(4));
    let few = format!("(SELECT * FROM t b WHERE {rest}) b");
    let on = match dice.roll(3) {
        0 => format!("a.{one} = b.{one} AND a.{two} = b.{two}"),
        1 => format!("a.{one} IS NOT DISTINCT FROM b.{one}"),
        _ => format!("a.{one} = b.{one}"),
    };
    let (way, nulls) = (["ASC", "DESC"][dice.roll(2) as usize], ["FIRST", "LAST"][dice.roll(2) as usize]);
    match dice.roll(12) {
        0 => format!("SELECT a.*, b.* FROM t a JOIN {few} ON {on}"),
        1 => format!("SELECT a.*, b.* FROM t a LEFT JOIN {few} ON {on}"),
        2 => format!("SELECT a.*, b.* FROM t a RIGHT JOIN {few} ON {on} WHERE a.i IS NULL OR a.i > 0"),
        3 => format!("SELECT a.*, b.* FROM t a FULL JOIN {few} ON {on}"),
        4 => format!("SELECT a.* FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE ({rest}) AND {on})"),
        5 => format!("SELECT a.* FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE ({rest}) AND {on})"),
        6 => format!("SELECT a.* FROM t a WHERE a.{one} IN (SELECT b.{one} FROM {few}) OR a.l = 2"),
        7 => format!("SELECT a.* FROM t a WHERE a.{one} NOT IN (SELECT b.{one} FROM {few})"),
        8 => format!("SELECT a.{one} AS x, a.{two} AS y FROM t a EXCEPT SELECT b.{one} AS x, b.{two} AS y FROM {few}"),
        9 => {
            format!("SELECT a.s, b.l, c.i FROM t a JOIN {few} ON {on} LEFT JOIN t c ON b.l = c.l AND c.{one} = a.{one}")
        }
        // The keys alone, since rows of equal keys may come in any order.
        10 => format!(
            "SELECT {order} AS x, {two} AS y FROM t ORDER BY {order} {way} NULLS {nulls}, {two} {way} LIMIT {}",
            1 + dice.roll(6)
        ),
        _ => format!(
            "SELECT a.{order} FROM t a JOIN {few} ON {on} ORDER BY a.{order} {way} NULLS {nulls} LIMIT {}",
            1 + dice.roll(6)
        ),
    }
}

#[tokio::test]
async fn answers_are_the_same_with_and_without_what_scans_learn() {
    let mut dice = Dice(1);
    for _ in 0..12 {
        let table = random_table(&mut dice).await;
        let sessions = sessions(&table).await;
        for _ in 0..12 {
            let sql = random_query(&mut dice);
            for session in &sessions {
                let with = ask(session, &sql).await;
                for kind in ["join", "topk"] {
                    set(session, &format!("optimizer.enable_{kind}_dynamic_filter_pushdown"), "false").await;
                }
                assert_eq!(with, ask(session, &sql).await, "{sql}");
                for kind in ["join", "topk"] {
                    set(session, &format!("optimizer.enable_{kind}_dynamic_filter_pushdown"), "true").await;
                }
            }
        }
    }
}
