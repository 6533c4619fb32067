//! Whole questions, as analysts ask them.

use std::collections::BTreeSet;

use super::engine::State;
use super::generator::{Generator, Kind, Source};

/// A question with one right answer.
#[derive(Debug, Clone)]
pub struct Question {
    /// By which it can be asked again.
    pub seed: u64,
    /// Which state of the tables it is about.
    pub state: State,
    /// The question, on one line.
    pub sql: String,
    /// Whether it says in which order its rows come, up to equal rows.
    pub is_ordered: bool,
    /// What is in it that may go wrong.
    pub marks: BTreeSet<&'static str>,
}

/// Makes the question of a seed.
pub fn question(seed: u64) -> Question {
    let mut generator = Generator::new(seed);
    let (sql, is_ordered) = generator.question();
    Question { seed, state: generator.state(), sql, is_ordered, marks: generator.marks() }
}

impl Generator {
    fn question(&mut self) -> (String, bool) {
        match self.number(0, 100) {
            0..25 => self.rows_of_a_source(),
            25..58 => self.groups(),
            58..70 => (self.sets(), false),
            70..82 => (self.windows(), false),
            82..90 => (self.queries_as_values(), false),
            _ => (self.named_queries(), false),
        }
    }

    /// Rows that pass a filter; perhaps the first few of them.
    fn rows_of_a_source(&mut self) -> (String, bool) {
        let source = self.source(2);
        let items: Vec<String> = self.kinds(1, 5).iter().map(|kind| self.scalar(*kind, &source.columns, 2)).collect();
        let distinct = if self.chance(0.25) { "DISTINCT " } else { "" };
        let sql = format!("SELECT {distinct}{} FROM {}{}", items.join(", "), source.sql, self.filter(&source, 0.85));
        self.ordered(sql, items.len(), 0.5)
    }

    /// Some ordinals that order all columns, and a limit.
    fn ordered(&mut self, sql: String, columns: usize, share: f64) -> (String, bool) {
        if !self.chance(share) {
            return (sql, false);
        }
        self.mark("ORDER BY and LIMIT");
        let order: Vec<String> = (1..=columns).map(|place| self.order(&place.to_string())).collect();
        let offset = if self.chance(0.2) { format!(" OFFSET {}", self.number(0, 20)) } else { String::new() };
        (format!("{sql} ORDER BY {} LIMIT {}{offset}", order.join(", "), self.number(1, 60)), true)
    }

    fn filter(&mut self, source: &Source, share: f64) -> String {
        match self.chance(share) {
            true => format!(" WHERE {}", self.condition(&source.columns, 2).sql),
            false => String::new(),
        }
    }

    /// Groups, or one group of all rows.
    fn groups(&mut self) -> (String, bool) {
        let source = self.source(2);
        let filter = self.filter(&source, 0.6);
        let count = self.number(1, 5);
        let aggregates: Vec<String> = (0..count).map(|_| self.aggregate(&source.columns).sql).collect();
        if self.chance(0.35) {
            self.mark("one group");
            return (format!("SELECT {} FROM {}{filter}", aggregates.join(", "), source.sql), false);
        }
        let count = self.number(1, 3);
        let keys: Vec<String> = (0..count).map(|_| self.key(&source.columns).sql).collect();
        let mut items = [keys.clone(), aggregates].concat();
        let by = self.group_by(&keys, &mut items);
        let having = match self.chance(0.2) {
            true => {
                self.mark("HAVING");
                let aggregate = self.aggregate(&source.columns);
                format!(" HAVING {} {} {}", aggregate.sql, self.comparison(), self.literal(aggregate.kind))
            }
            false => String::new(),
        };
        let sql = format!("SELECT {} FROM {}{filter} GROUP BY {by}{having}", items.join(", "), source.sql);
        self.ordered(sql, items.len(), 0.3)
    }

    fn group_by(&mut self, keys: &[String], items: &mut Vec<String>) -> String {
        let list = keys.join(", ");
        match self.number(0, 10) {
            0 => "ALL".to_owned(),
            1 | 2 => (1..=keys.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", "),
            3 => {
                self.mark("grouping sets");
                items.push(format!("grouping({})", keys[0]));
                match self.number(0, 3) {
                    0 => format!("ROLLUP ({list})"),
                    1 => format!("CUBE ({list})"),
                    _ => format!("GROUPING SETS (({list}), ({}), ())", keys[0]),
                }
            }
            _ => list,
        }
    }

    /// Two or three queries as sets, and sometimes what they amount to.
    fn sets(&mut self) -> String {
        let kinds = self.kinds(1, 4);
        let first = self.body(&kinds, 1);
        let mut sql = first.clone();
        for _ in 0..self.number(1, 3) {
            let operator =
                self.one(&["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT", "EXCEPT ALL"]);
            self.mark(operator);
            // What has something to do with the first one has rows in common with it.
            let next = match self.chance(0.4) {
                true => first.clone(),
                false => self.body(&kinds, 1),
            };
            let next = if self.chance(0.3) { format!("({next})") } else { next };
            sql = format!("{sql} {operator} {next}");
        }
        if self.chance(0.4) {
            let source = self.named_query(&sql, &kinds);
            let count = self.number(1, 3);
            let aggregates: Vec<String> = (0..count).map(|_| self.aggregate(&source.columns).sql).collect();
            return format!("SELECT count(*), {} FROM {}", aggregates.join(", "), source.sql);
        }
        sql
    }

    /// Rows beside their neighbours.
    fn windows(&mut self) -> String {
        self.mark("window");
        let source = self.source(1);
        let filter = self.filter(&source, 0.5);
        let count = self.number(1, 4);
        let windows: Vec<String> = (0..count).map(|_| self.window(&source)).collect();
        let of = self.one(&source.columns).sql;
        let shown = [source.unique.clone(), vec![of], windows].concat();
        format!("SELECT {} FROM {}{filter}", shown.join(", "), source.sql)
    }

    fn window(&mut self, source: &Source) -> String {
        let columns = &source.columns;
        let partition = match self.chance(0.7) {
            true => format!("PARTITION BY {} ", self.key(columns).sql),
            false => String::new(),
        };
        let by = self.one(columns).sql;
        let (by, kind) = (self.order(&by), self.one(&Kind::ALL));
        let of = self.scalar(kind, columns, 0);
        if source.unique.is_empty() || self.chance(0.5) {
            // Rows that are equal in the order get the same.
            return match self.number(0, 5) {
                0 => format!("rank() OVER ({partition}ORDER BY {by})"),
                1 => format!("dense_rank() OVER ({partition}ORDER BY {by})"),
                2 => format!("count(*) OVER ({partition}ORDER BY {by})"),
                3 => format!("{} OVER ({partition})", self.aggregate_of_window(kind, &of)),
                _ => format!("{} OVER ({partition}ORDER BY {by})", self.aggregate_of_window(kind, &of)),
            };
        }
        let total = [vec![by], source.unique.iter().map(|id| format!("{id} NULLS LAST")).collect()].concat().join(", ");
        let frame = format!("ROWS BETWEEN {} PRECEDING AND {} FOLLOWING", self.number(0, 4), self.number(0, 3));
        match self.number(0, 7) {
            0 => format!("row_number() OVER ({partition}ORDER BY {total})"),
            1 => format!("lag({of}) OVER ({partition}ORDER BY {total})"),
            2 => format!("lead({of}, 2) OVER ({partition}ORDER BY {total})"),
            3 => format!("first_value({of}) OVER ({partition}ORDER BY {total})"),
            4 => format!("last_value({of}) OVER ({partition}ORDER BY {total} {frame})"),
            5 => format!("ntile(3) OVER ({partition}ORDER BY {total})"),
            _ => format!("{} OVER ({partition}ORDER BY {total} {frame})", self.aggregate_of_window(kind, &of)),
        }
    }

    fn aggregate_of_window(&mut self, kind: Kind, of: &str) -> String {
        let name = match kind {
            Kind::Int | Kind::Price | Kind::Amount => self.one(&["sum", "min", "max", "count"]),
            _ => self.one(&["min", "max", "count"]),
        };
        format!("{name}({of})")
    }

    /// Queries where values stand: of the whole, or of the row.
    fn queries_as_values(&mut self) -> String {
        self.mark("query as a value");
        if self.chance(0.4) {
            let count = self.number(1, 4);
            let values: Vec<String> = (0..count).map(|_| self.value_of_a_query()).collect();
            return format!("SELECT {}", values.join(", "));
        }
        let source = self.table();
        let inner = self.table();
        let pairs = inner.columns.iter().map(|column| (column.clone(), column.kind));
        let keys: Vec<_> = pairs.filter(|(_, kind)| source.columns.iter().any(|column| column.kind == *kind)).collect();
        let (key, kind) = self.one(&keys);
        let outer = self.column(kind, &source.columns).unwrap_or_else(|| self.one(&source.columns));
        let more = self.condition_without_queries(&inner.columns, 1);
        let more = if self.chance(0.4) { format!(" AND {}", more.value()) } else { String::new() };
        let asked = format!("FROM {} WHERE {} = {}{more}", inner.sql, key.sql, outer.sql);
        let value = match self.number(0, 6) {
            0..3 => {
                self.mark("query of the row as a value");
                format!("(SELECT {} {asked})", self.aggregate(&inner.columns).sql)
            }
            3 => {
                self.mark("first row of a query as a value");
                let (of, by) = (self.one(&inner.columns).sql, self.one(&inner.columns).sql);
                format!("(SELECT {of} {asked} ORDER BY {}, {} LIMIT 1)", self.order(&by), inner.unique[0])
            }
            4 => {
                self.mark("compared with all rows of a query");
                let (with, by, all) = (self.one(&inner.columns), self.comparison(), self.one(&["ANY", "ALL"]));
                let of = self.scalar(with.kind, &source.columns, 0);
                format!("{of} {by} {all} (SELECT {} {asked})", with.sql)
            }
            _ => {
                self.mark("asked condition as a value");
                self.condition(&source.columns, 2).value()
            }
        };
        let filter = self.filter(&source, 0.4);
        format!("SELECT {}, {value} FROM {}{filter}", source.unique[0], source.sql)
    }

    fn value_of_a_query(&mut self) -> String {
        let source = self.source(1);
        let aggregate = self.aggregate(&source.columns).sql;
        format!("(SELECT {aggregate} FROM {}{})", source.sql, self.filter(&source, 0.6))
    }

    /// A query under a name, used once or twice.
    fn named_queries(&mut self) -> String {
        self.mark("WITH");
        let kinds = [vec![self.one(&[Kind::Int, Kind::Text, Kind::Day])], self.kinds(1, 4)].concat();
        let body = self.body(&kinds, 2);
        let name = self.name("w");
        if self.chance(0.5) {
            let source = self.named_query(&format!("SELECT * FROM {name}"), &kinds);
            let filter = self.filter(&source, 0.5);
            let (key, aggregate) = (self.key(&source.columns).sql, self.aggregate(&source.columns).sql);
            return format!(
                "WITH {name} AS ({body}) SELECT {key}, {aggregate} FROM {}{filter} GROUP BY {key}",
                source.sql
            );
        }
        let how = self.one(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let with = self.one(&["=", "IS NOT DISTINCT FROM"]);
        self.mark(how);
        self.mark("joined with itself");
        format!(
            "WITH {name} AS ({body}), g AS (SELECT c0, count(*) AS n, max(c1) AS m FROM {name} GROUP BY c0) \
             SELECT count(*), count(a.c0), count(g.n), sum(g.n), min(a.c1), max(g.m) FROM {name} a {how} g ON a.c0 {with} g.c0"
        )
    }
}
