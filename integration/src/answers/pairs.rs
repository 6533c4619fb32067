//! Two questions that have one answer by a law of SQL, whatever is in the tables: no second engine is needed.

use super::engine::{State, VARIANTS};
use super::generator::{Generator, Kind, Level, Source};
use super::questions::question;

/// Two questions, each under settings of [`VARIANTS`].
#[derive(Debug, Clone)]
pub struct Pair {
    /// By which it can be asked again.
    pub seed: u64,
    /// Why the answers must be the same.
    pub law: &'static str,
    /// Which state of the tables is asked.
    pub state: State,
    /// One way to ask: place of the settings, question.
    pub one: (usize, String),
    /// The other way.
    pub other: (usize, String),
    /// Whether the order of rows is a part of the answer.
    pub is_ordered: bool,
}

/// A law, and how two questions are made that it makes equal.
type Law = (&'static str, fn(&mut Generator) -> (String, String));

const LAWS: &[Law] = &[
    ("a condition is true, false or NULL", three_values),
    ("WHERE keeps the rows for which CASE says so", counted),
    ("a filter of one side can stand before a join", before_a_join),
    ("IN is EXISTS", in_is_exists),
    ("NOT IN is that no comparison is true or NULL", not_in_is_not_exists),
    ("DISTINCT is GROUP BY of all columns", distinct_is_groups),
    ("the whole is the sum of its groups", sum_of_groups),
    ("the extremes of the whole are those of its groups", extremes_of_groups),
    ("nothing is left of a set without itself", without_itself),
    ("a set with itself is its distinct rows", with_itself),
    ("LIMIT takes the first rows", first_rows),
    ("aggregates are the same alone", alone),
    ("RIGHT JOIN is LEFT JOIN the other way round", other_way_round),
    ("FULL JOIN is LEFT JOIN and what is left of the right", full_in_parts),
    ("SEMI JOIN is EXISTS, ANTI JOIN is NOT EXISTS", semi_and_anti),
    ("a column behind a CASE is the same column", behind_a_case),
    ("NOT NOT is nothing", not_not),
    ("parentheses around a whole condition change nothing", in_parentheses),
    ("a table's metadata has two names", metadata_by_name),
];

/// Every other pair asks one question under two settings.
const SETTINGS: &str = "settings change no answer";

/// Makes the pair of a seed.
pub fn pair(seed: u64) -> Pair {
    if seed.is_multiple_of(2) {
        let asked = question(seed);
        let variant = 1 + (seed / 2) as usize % (VARIANTS.len() - 1);
        let (one, other) = ((0, asked.sql.clone()), (variant, asked.sql));
        return Pair { seed, law: SETTINGS, state: asked.state, one, other, is_ordered: asked.is_ordered };
    }
    let mut generator = Generator::new(seed);
    let (law, make) = LAWS[(seed / 2) as usize % LAWS.len()];
    let (one, other) = make(&mut generator);
    Pair { seed, law, state: generator.state(), one: (0, one), other: (0, other), is_ordered: false }
}

/// Some values of a source's rows.
fn items(generator: &mut Generator, source: &Source) -> String {
    let kinds = generator.kinds(1, 4);
    let items: Vec<String> = kinds.iter().map(|kind| generator.scalar(*kind, &source.columns, 1)).collect();
    items.join(", ")
}

fn aggregates(generator: &mut Generator, source: &Source, from: i64, to: i64) -> Vec<String> {
    (0..generator.number(from, to)).map(|_| generator.aggregate(&source.columns).sql).collect()
}

fn filter(generator: &mut Generator, source: &Source) -> String {
    let condition = generator.condition(&source.columns, 2);
    if generator.chance(0.7) { format!(" WHERE {}", condition.sql) } else { String::new() }
}

fn three_values(g: &mut Generator) -> (String, String) {
    let source = g.source(2);
    let (items, condition, from) = (items(g, &source), g.condition(&source.columns, 2), source.sql);
    let part = |condition: String| format!("SELECT {items} FROM {from} WHERE {condition}");
    let parts = [condition.sql.clone(), condition.negated(), format!("{} IS NULL", condition.value())].map(part);
    (format!("SELECT {items} FROM {from}"), parts.join(" UNION ALL "))
}

fn counted(g: &mut Generator) -> (String, String) {
    let source = g.source(2);
    let (condition, from) = (g.condition_without_queries(&source.columns, 2).sql, source.sql);
    let by_where = format!("SELECT count(*) FROM {from} WHERE {condition}");
    (by_where, format!("SELECT coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) FROM {from}"))
}

fn before_a_join(g: &mut Generator) -> (String, String) {
    let (left, right) = (g.table(), g.table());
    let (a, b) = shop(&left, &right);
    let condition = g.condition(&left.columns, 2).sql;
    let how = g.one(&["JOIN", "LEFT JOIN"]);
    let shown = format!("{}, {}, {b}", left.unique[0], right.unique[0]);
    let after = format!("SELECT {shown} FROM {} {how} {} ON {a} = {b} WHERE {condition}", left.sql, right.sql);
    // The table under its own alias, so that the same condition can stand inside.
    let alias = left.sql.rsplit(' ').next().unwrap_or_default();
    let inside = format!("(SELECT * FROM {} WHERE {condition}) AS {alias}", left.sql);
    (after, format!("SELECT {shown} FROM {inside} {how} {} ON {a} = {b}", right.sql))
}

/// The column by which any two tables can be joined.
fn shop(left: &Source, right: &Source) -> (String, String) {
    let of =
        |source: &Source| source.columns.iter().find(|column| column.name == "shop").map(|column| column.sql.clone());
    (of(left).expect("each table has a shop"), of(right).expect("each table has a shop"))
}

/// A column of each source, of one kind.
fn comparable(g: &mut Generator, outer: &Source, inner: &Source) -> (String, String) {
    let kind = g.one(&[Kind::Int, Kind::Text, Kind::Int, Kind::Score, Kind::Text]);
    match (g.column(kind, &outer.columns), g.column(kind, &inner.columns)) {
        (Some(a), Some(b)) => (a.sql, b.sql),
        _ => shop(outer, inner),
    }
}

fn in_is_exists(g: &mut Generator) -> (String, String) {
    let (outer, inner) = (g.table(), g.table());
    let (x, y) = comparable(g, &outer, &inner);
    let condition = g.condition_without_queries(&inner.columns, 1);
    let start = format!("SELECT {} FROM {} WHERE", outer.unique[0], outer.sql);
    let by_in = format!("{start} {x} IN (SELECT {y} FROM {} WHERE {})", inner.sql, condition.sql);
    (by_in, format!("{start} EXISTS (SELECT 1 FROM {} WHERE {y} = {x} AND {})", inner.sql, condition.value()))
}

fn not_in_is_not_exists(g: &mut Generator) -> (String, String) {
    let (outer, inner) = (g.table(), g.table());
    let (x, y) = comparable(g, &outer, &inner);
    let condition = g.condition_without_queries(&inner.columns, 1);
    let from = format!("FROM {} WHERE {}", inner.sql, condition.sql);
    let counted = format!("SELECT count(*) FROM {} WHERE", outer.sql);
    let by_in = format!("{counted} {x} NOT IN (SELECT {y} {from})");
    // By hand: true where the query has no row, or where neither side has a NULL and no row is equal.
    let none = format!("(SELECT count(*) {from}) = 0");
    let no_null =
        format!("(SELECT count(*) {from} AND {y} IS NULL) = 0", from = parenthesized(&inner, &condition.value()));
    let unequal = format!("{x} NOT IN (SELECT {y} {} AND {y} IS NOT NULL)", parenthesized(&inner, &condition.value()));
    (by_in, format!("{counted} {none} OR ({x} IS NOT NULL AND {no_null} AND {unequal})"))
}

fn parenthesized(inner: &Source, condition: &str) -> String {
    format!("FROM {} WHERE {condition}", inner.sql)
}

fn distinct_is_groups(g: &mut Generator) -> (String, String) {
    let source = g.source(2);
    let count = g.number(1, 4);
    let keys: Vec<String> = (0..count).map(|_| g.key(&source.columns).sql).collect();
    let (keys, filter) = (keys.join(", "), filter(g, &source));
    let distinct = format!("SELECT DISTINCT {keys} FROM {}{filter}", source.sql);
    (distinct, format!("SELECT {keys} FROM {}{filter} GROUP BY {keys}", source.sql))
}

fn sum_of_groups(g: &mut Generator) -> (String, String) {
    let source = g.source(2);
    let (key, filter) = (g.key(&source.columns).sql, filter(g, &source));
    let whole = format!("SELECT count(*) FROM {}{filter}", source.sql);
    let groups = format!("SELECT {key} AS k, count(*) AS n FROM {}{filter} GROUP BY {key}", source.sql);
    (whole, format!("SELECT coalesce(sum(n), 0) FROM ({groups}) AS q"))
}

fn extremes_of_groups(g: &mut Generator) -> (String, String) {
    let source = g.source(2);
    let kind = g.one(&Kind::ALL);
    let (of, key, filter) = (g.scalar(kind, &source.columns, 0), g.key(&source.columns).sql, filter(g, &source));
    let whole = format!("SELECT min({of}), max({of}) FROM {}{filter}", source.sql);
    let groups = format!("SELECT min({of}) AS a, max({of}) AS b FROM {}{filter} GROUP BY {key}", source.sql);
    (whole, format!("SELECT min(a), max(b) FROM ({groups}) AS q"))
}

fn without_itself(g: &mut Generator) -> (String, String) {
    let kinds = g.kinds(1, 4);
    let body = g.body(&kinds, 2);
    let all = g.one(&["", " ALL"]);
    (format!("SELECT count(*) FROM ({body} EXCEPT{all} {body}) AS q"), "SELECT 0".to_owned())
}

fn with_itself(g: &mut Generator) -> (String, String) {
    let kinds = g.kinds(1, 4);
    let body = g.body(&kinds, 2);
    let operator = g.one(&["INTERSECT", "UNION"]);
    (format!("{body} {operator} {body}"), format!("SELECT DISTINCT * FROM ({body}) AS q"))
}

fn first_rows(g: &mut Generator) -> (String, String) {
    let source = g.table();
    let (by, filter) = (g.one(&source.columns).sql, filter(g, &source));
    let order = format!("{}, {}", g.order(&by), source.unique[0]);
    let (limit, offset, id) = (g.number(1, 50), g.number(0, 10), &source.unique[0]);
    let first = format!(
        "SELECT {id} AS i, {by} AS b FROM {}{filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}",
        source.sql
    );
    let numbered =
        format!("SELECT {id} AS i, {by} AS b, row_number() OVER (ORDER BY {order}) AS n FROM {}{filter}", source.sql);
    (first, format!("SELECT i, b FROM ({numbered}) AS q WHERE n > {offset} AND n <= {}", offset + limit))
}

fn alone(g: &mut Generator) -> (String, String) {
    let source = g.source(1);
    let (aggregates, filter) = (aggregates(g, &source, 2, 5), filter(g, &source));
    let one = |aggregate: &String| format!("(SELECT {aggregate} FROM {}{filter})", source.sql);
    let each: Vec<String> = aggregates.iter().map(one).collect();
    (format!("SELECT {} FROM {}{filter}", aggregates.join(", "), source.sql), format!("SELECT {}", each.join(", ")))
}

fn other_way_round(g: &mut Generator) -> (String, String) {
    let (left, right) = (g.table(), g.table());
    let (a, b) = shop(&left, &right);
    let both = [left.columns.clone(), right.columns.clone()].concat();
    let (on, condition) = (g.condition_without_queries(&both, 1), g.condition_without_queries(&both, 2));
    let on = if g.chance(0.4) { format!("{a} = {b} AND {}", on.value()) } else { format!("{a} = {b}") };
    let shown = format!("{}, {}", left.unique[0], right.unique[0]);
    let ask = |from: String| format!("SELECT {shown} FROM {from} ON {on} WHERE {}", condition.sql);
    (ask(format!("{} RIGHT JOIN {}", left.sql, right.sql)), ask(format!("{} LEFT JOIN {}", right.sql, left.sql)))
}

fn full_in_parts(g: &mut Generator) -> (String, String) {
    let (left, right) = (g.table(), g.table());
    let (a, b) = comparable(g, &left, &right);
    let equal = g.one(&["=", "IS NOT DISTINCT FROM"]);
    let (id, other) = (&left.unique[0], &right.unique[0]);
    let join =
        |how: &str| format!("SELECT {id} AS x, {other} AS y FROM {} {how} {} ON {a} {equal} {b}", left.sql, right.sql);
    let rest = format!(
        "SELECT CAST(NULL AS BIGINT), {other} FROM {} WHERE NOT EXISTS (SELECT 1 FROM {} WHERE {})",
        right.sql,
        left.sql,
        spelled_out(&a, equal, &b)
    );
    (counted_pairs(&join("FULL JOIN")), counted_pairs(&format!("{} UNION ALL {rest}", join("LEFT JOIN"))))
}

/// What is long is counted.
fn counted_pairs(sql: &str) -> String {
    format!("SELECT x, count(*), count(y), min(y), max(y) FROM ({sql}) AS q GROUP BY x")
}

/// The same condition in a form that is no key of a join where NULL may be matched with NULL.
fn spelled_out(a: &str, equal: &str, b: &str) -> String {
    match equal {
        "=" => format!("{a} = {b}"),
        _ => format!("({a} = {b} OR ({a} IS NULL AND {b} IS NULL))"),
    }
}

fn semi_and_anti(g: &mut Generator) -> (String, String) {
    let (left, right) = (g.table(), g.table());
    let (a, b) = comparable(g, &left, &right);
    let equal = g.one(&["=", "=", "IS NOT DISTINCT FROM"]);
    let (join, exists) = g.one(&[("LEFT SEMI JOIN", "EXISTS"), ("LEFT ANTI JOIN", "NOT EXISTS")]);
    let (id, matching) = (&left.unique[0], spelled_out(&a, equal, &b));
    (
        format!("SELECT {id} FROM {} {join} {} ON {a} {equal} {b}", left.sql, right.sql),
        format!("SELECT {id} FROM {} WHERE {exists} (SELECT 1 FROM {} WHERE {matching})", left.sql, right.sql),
    )
}

fn behind_a_case(g: &mut Generator) -> (String, String) {
    let source = g.table();
    let column = g.one(&source.columns);
    let (by, literal, id) = (g.comparison(), g.literal(column.kind), &source.unique[0]);
    let ask = |of: &str| format!("SELECT {id} FROM {} WHERE {of} {by} {literal}", source.sql);
    // No id is NULL, which no file says.
    (ask(&column.sql), ask(&format!("CASE WHEN {id} IS NULL THEN NULL ELSE {} END", column.sql)))
}

fn not_not(g: &mut Generator) -> (String, String) {
    let source = g.source(1);
    let (condition, items) = (g.condition(&source.columns, 3), items(g, &source));
    let ask = |condition: &str| format!("SELECT {items} FROM {} WHERE {condition}", source.sql);
    (ask(&condition.sql), ask(&format!("NOT ({})", condition.negated())))
}

fn in_parentheses(g: &mut Generator) -> (String, String) {
    let source = g.table();
    let (a, b) = (g.condition_without_queries(&source.columns, 0), g.condition_without_queries(&source.columns, 0));
    let (operator, id) = (g.one(&[Level::And, Level::Or]), &source.unique[0]);
    let word = if matches!(operator, Level::And) { "AND" } else { "OR" };
    let ask = |a: &str, b: &str| format!("SELECT {id} FROM {} WHERE {a} {word} {b}", source.sql);
    (ask(&a.under(operator), &b.under(operator)), ask(&a.value(), &b.value()))
}

fn metadata_by_name(g: &mut Generator) -> (String, String) {
    let tables = ["events", "visits", "shops", "gone"];
    let (a, b) = (g.one(&tables), g.one(&tables));
    let (kind, of) =
        g.one(&[("snapshots", "max(snapshot_id)"), ("files", "sum(record_count)"), ("manifests", "count(*)")]);
    let ask = |a: String, b: String| format!("SELECT (SELECT {of} FROM {a}) AS a, (SELECT {of} FROM {b}) AS b");
    (ask(format!("{kind}('{a}')"), format!("{kind}('{b}')")), ask(format!("\"{a}${kind}\""), format!("\"{b}${kind}\"")))
}
