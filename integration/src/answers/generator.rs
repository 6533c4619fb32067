//! What questions are made of: columns in scope, values, conditions, sources, aggregates. All in the words that icefold, DuckDB and
//! Spark have in common; where one of them would choose (the place of NULLs, the width of a literal), the question says it.

use std::collections::BTreeSet;

use iceberg::spec::PrimitiveType;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::engine::State;
use super::tables::{Asked, asked};

/// What a value is, as far as it says what can be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A small whole number.
    Int,
    /// A whole number, up to the ends of 64 bits.
    Big,
    /// A float that is a multiple of a quarter: sums are exact.
    Price,
    /// A float that may be NaN, infinite or a negative zero.
    Score,
    /// A decimal.
    Amount,
    /// A text.
    Text,
    /// A day.
    Day,
    /// A time.
    Time,
    /// True or false.
    Flag,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 9] =
        [Kind::Int, Kind::Big, Kind::Price, Kind::Score, Kind::Amount, Kind::Text, Kind::Day, Kind::Time, Kind::Flag];

    fn of(name: &str, column: &PrimitiveType) -> Kind {
        match column {
            _ if name == "big" => Kind::Big,
            _ if name == "score" => Kind::Score,
            PrimitiveType::Boolean => Kind::Flag,
            PrimitiveType::Int | PrimitiveType::Long => Kind::Int,
            PrimitiveType::Float | PrimitiveType::Double => Kind::Price,
            PrimitiveType::Decimal { .. } => Kind::Amount,
            PrimitiveType::Date => Kind::Day,
            PrimitiveType::Timestamp | PrimitiveType::Timestamptz => Kind::Time,
            _ => Kind::Text,
        }
    }
}

/// A column that can be named.
#[derive(Debug, Clone)]
pub struct Column {
    /// How it is named.
    pub sql: String,
    /// Its name alone.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What follows FROM.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its text.
    pub sql: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Columns that tell all of its rows apart; none when nothing does.
    pub unique: Vec<String>,
    /// Whether it has few rows.
    pub is_small: bool,
}

/// A condition, and how tightly its outermost operator binds.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Its text.
    pub sql: String,
    level: Level,
}

/// How tightly a condition holds together, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Parts with `OR` between them.
    Or,
    /// Parts with `AND` between them.
    And,
    /// `NOT` before it.
    Not,
    /// A comparison.
    Compare,
    /// A value.
    Value,
}

impl Condition {
    fn new(level: Level, sql: String) -> Condition {
        Condition { sql, level }
    }

    /// The text as an operand: in parentheses only where the language needs them.
    pub fn under(&self, level: Level) -> String {
        if self.level >= level { self.sql.clone() } else { self.value() }
    }

    /// The text as a value.
    pub fn value(&self) -> String {
        format!("({})", self.sql)
    }

    /// The opposite.
    pub fn negated(&self) -> String {
        format!("NOT {}", self.under(Level::Not))
    }
}

/// Chooses by a seed, and notes what it chose.
pub struct Generator {
    rng: SmallRng,
    state: State,
    tables: Vec<Asked>,
    names: usize,
    marks: BTreeSet<&'static str>,
}

impl Generator {
    /// Starts for the question or pair of that number.
    pub fn new(seed: u64) -> Generator {
        let mut rng = SmallRng::seed_from_u64(seed);
        let state = if rng.random_bool(0.15) { State::Then } else { State::Now };
        Generator { rng, state, tables: asked(state == State::Then), names: 0, marks: BTreeSet::new() }
    }

    /// Which state of the tables is asked.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was chosen.
    pub fn marks(&self) -> BTreeSet<&'static str> {
        self.marks.clone()
    }

    /// Notes a choice that may be what goes wrong.
    pub fn mark(&mut self, mark: &'static str) {
        self.marks.insert(mark);
    }

    /// True so often.
    pub fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    /// A number of `[from, to)`.
    pub fn number(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..to)
    }

    /// One of them.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.rng).expect("there is a choice").clone()
    }

    /// A name that nothing has yet.
    pub fn name(&mut self, beginning: &str) -> String {
        self.names += 1;
        format!("{beginning}{}", self.names)
    }

    /// One of the tables under a name of its own.
    pub fn table(&mut self) -> Source {
        let place = self.one(&[0, 0, 0, 0, 1, 1, 2, 2, 3]);
        self.table_at(place)
    }

    fn table_at(&mut self, place: usize) -> Source {
        let alias = self.name("t");
        let Asked { name, columns, is_small } = &self.tables[place];
        let column = |(name, kind): &(&'static str, PrimitiveType)| Column {
            sql: format!("{alias}.{name}"),
            name: (*name).to_owned(),
            kind: Kind::of(name, kind),
        };
        Source {
            sql: format!("{name} AS {alias}"),
            columns: columns.iter().map(column).collect(),
            unique: vec![format!("{alias}.id")],
            is_small: *is_small,
        }
    }

    /// What follows FROM: a table, a join, a query.
    pub fn source(&mut self, depth: usize) -> Source {
        match self.number(0, 20) {
            0..9 => self.table(),
            9..17 if depth > 0 => {
                let left = if self.chance(0.25) { self.source(depth - 1) } else { self.table() };
                self.join(left, depth)
            }
            17 if depth > 0 => self.values(),
            _ if depth > 0 => self.derived(depth - 1),
            _ => self.table(),
        }
    }

    /// A query under a name, with columns of some kinds.
    fn derived(&mut self, depth: usize) -> Source {
        let kinds = self.kinds(2, 5);
        let body = self.body(&kinds, depth);
        self.named_query(&body, &kinds)
    }

    /// A query with the columns `c0`, `c1`, … as a source.
    pub fn named_query(&mut self, body: &str, kinds: &[Kind]) -> Source {
        let alias = self.name("q");
        Source {
            sql: format!("({body}) AS {alias}"),
            columns: numbered(&alias, kinds),
            unique: vec![],
            is_small: false,
        }
    }

    fn values(&mut self) -> Source {
        self.mark("VALUES");
        let kinds = self.kinds(1, 3);
        let rows: Vec<String> = (0..self.number(1, 5)).map(|_| self.value_row(&kinds)).collect();
        let alias = self.name("v");
        let names: Vec<String> = (0..kinds.len()).map(|place| format!("c{place}")).collect();
        Source {
            sql: format!("(VALUES {}) AS {alias}({})", rows.join(", "), names.join(", ")),
            columns: numbered(&alias, &kinds),
            unique: vec![],
            is_small: true,
        }
    }

    fn value_row(&mut self, kinds: &[Kind]) -> String {
        let values: Vec<String> = kinds.iter().map(|kind| self.typed_literal(*kind)).collect();
        format!("({})", values.join(", "))
    }

    /// Joins a source with another one, by a key that does not make too many rows.
    pub fn join(&mut self, left: Source, depth: usize) -> Source {
        let right = if depth > 1 && self.chance(0.2) { self.derived(depth - 2) } else { self.table() };
        let Some((a, b)) = self.keys(&left, &right) else { return self.cross(left) };
        let how = self.one(&["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        self.mark(how);
        let mut columns = [left.columns.clone(), right.columns.clone()].concat();
        let is_plain = !left.sql.contains(" JOIN ") && a.name == b.name;
        let on = if is_plain && self.chance(0.15) {
            self.mark("USING");
            columns.retain(|column| column.name != a.name);
            columns.insert(0, Column { sql: a.name.clone(), ..a.clone() });
            format!("USING ({})", a.name)
        } else {
            format!("ON {}", self.on(&a, &b, &left, &right, depth))
        };
        let unique = match left.unique.is_empty() || right.unique.is_empty() {
            true => vec![],
            false => [left.unique, right.unique].concat(),
        };
        let is_small = left.is_small && right.is_small;
        Source { sql: format!("{} {how} {} {on}", left.sql, right.sql), columns, unique, is_small }
    }

    fn on(&mut self, a: &Column, b: &Column, left: &Source, right: &Source, depth: usize) -> String {
        let mut on = if self.chance(0.2) {
            self.mark("join IS NOT DISTINCT FROM");
            format!("{} IS NOT DISTINCT FROM {}", a.sql, b.sql)
        } else {
            format!("{} = {}", a.sql, b.sql)
        };
        if self.chance(0.35) {
            self.mark("join with another condition");
            let side = self.number(0, 3);
            let scope = match side {
                0 => left.columns.clone(),
                1 => right.columns.clone(),
                _ => [left.columns.clone(), right.columns.clone()].concat(),
            };
            let more = self.condition_without_queries(&scope, depth.min(1));
            on = format!("{on} AND {}", more.under(Level::And));
        }
        on
    }

    /// A column of each side by which rows can be matched.
    fn keys(&mut self, left: &Source, right: &Source) -> Option<(Column, Column)> {
        let has_few = left.is_small || right.is_small;
        let matches = |a: &Column, b: &Column| {
            let by_name =
                a.name == b.name && (a.name == "shop" || (has_few && ["kind", "day"].contains(&a.name.as_str())));
            let by_kind =
                a.kind == b.kind && has_few && [Kind::Text, Kind::Day, Kind::Score, Kind::Int].contains(&a.kind);
            by_name || by_kind
        };
        let mut pairs: Vec<(Column, Column)> = Vec::new();
        for a in &left.columns {
            pairs.extend(right.columns.iter().filter(|b| matches(a, b)).map(|b| (a.clone(), b.clone())));
        }
        let by_shop: Vec<_> = pairs.iter().filter(|(a, b)| a.name == "shop" && b.name == "shop").cloned().collect();
        if !by_shop.is_empty() && self.chance(0.6) {
            return Some(self.one(&by_shop));
        }
        (!pairs.is_empty()).then(|| self.one(&pairs))
    }

    fn cross(&mut self, left: Source) -> Source {
        let kinds = [Kind::Int];
        let limit = self.number(1, 6);
        let alias = self.name("q");
        let few = format!("(SELECT id AS c0 FROM shops WHERE id < {limit}) AS {alias}");
        let columns = [left.columns, numbered(&alias, &kinds)].concat();
        let unique = if left.unique.is_empty() { vec![] } else { [left.unique, vec![format!("{alias}.c0")]].concat() };
        Source { sql: format!("{} CROSS JOIN {few}", left.sql), columns, unique, is_small: left.is_small }
    }

    /// A query with columns of these kinds under the names `c0`, `c1`, ….
    pub fn body(&mut self, kinds: &[Kind], depth: usize) -> String {
        let source = self.source(depth);
        let scope = source.columns.clone();
        let grouped = depth > 0 && self.chance(0.2);
        let filter = match self.chance(0.6) {
            true => format!(" WHERE {}", self.condition(&scope, depth).sql),
            false => String::new(),
        };
        let items: Vec<String> = kinds.iter().map(|kind| self.scalar(*kind, &scope, depth.min(1))).collect();
        let named = |items: &[String]| {
            let each = items.iter().enumerate().map(|(place, item)| format!("{item} AS c{place}"));
            each.collect::<Vec<_>>().join(", ")
        };
        if grouped {
            let key = self.key(&scope);
            let items: Vec<String> =
                items.iter().map(|item| format!("{}({item})", self.one(&["min", "max"]))).collect();
            return format!("SELECT {} FROM {}{filter} GROUP BY {}", named(&items), source.sql, key.sql);
        }
        let distinct = if self.chance(0.2) { "DISTINCT " } else { "" };
        format!("SELECT {distinct}{} FROM {}{filter}", named(&items), source.sql)
    }

    /// Some kinds, `[from, to)` of them.
    pub fn kinds(&mut self, from: i64, to: i64) -> Vec<Kind> {
        (0..self.number(from, to)).map(|_| self.one(&Kind::ALL)).collect()
    }

    /// A column, or something of one: what rows are grouped by.
    pub fn key(&mut self, scope: &[Column]) -> Column {
        let column = self.one(scope);
        let of = &column.sql;
        let (sql, kind) = match (self.number(0, 4), column.kind) {
            (0, Kind::Text) => (format!("substr({of}, 1, 2)"), Kind::Text),
            (0, Kind::Day) => (format!("CAST(date_part('year', {of}) AS INTEGER)"), Kind::Int),
            (0, Kind::Time) => (format!("CAST({of} AS DATE)"), Kind::Day),
            (1, Kind::Time) => {
                (format!("date_trunc('{}', {of})", self.one(&["hour", "day", "month", "year"])), Kind::Time)
            }
            (0, Kind::Int) => (format!("{of} % 7"), Kind::Int),
            (0, Kind::Score) => (format!("{of} > 0"), Kind::Flag),
            (0, Kind::Amount) => (format!("{of} IS NULL"), Kind::Flag),
            _ => return column,
        };
        Column { sql, name: String::new(), kind }
    }

    /// A column of a kind, if there is one.
    pub fn column(&mut self, kind: Kind, scope: &[Column]) -> Option<Column> {
        let of_kind: Vec<Column> = scope.iter().filter(|column| column.kind == kind).cloned().collect();
        (!of_kind.is_empty()).then(|| self.one(&of_kind))
    }

    /// A value of a kind.
    pub fn scalar(&mut self, kind: Kind, scope: &[Column], depth: usize) -> String {
        let Some(column) = self.column(kind, scope) else { return self.typed_literal(kind) };
        if depth == 0 || self.chance(0.6) {
            return column.sql;
        }
        let of = column.sql;
        match self.number(0, 6) {
            0 => {
                let (when, other) = (self.condition_without_queries(scope, 0), self.scalar(kind, scope, depth - 1));
                format!("CASE WHEN {} THEN {of} ELSE {other} END", when.sql)
            }
            1 => format!("coalesce({of}, {})", self.scalar(kind, scope, depth - 1)),
            2 => format!("nullif({of}, {})", self.scalar(kind, scope, depth - 1)),
            _ => self.function(kind, &of, scope),
        }
    }

    fn function(&mut self, kind: Kind, of: &str, scope: &[Column]) -> String {
        let small = self.number(1, 9);
        match (kind, self.number(0, 4)) {
            (Kind::Int, 0) => format!("({of} + {small})"),
            (Kind::Int, 1) => format!("({of} % {small})"),
            (Kind::Int, 2) => match self.column(Kind::Text, scope) {
                Some(text) => format!("CAST(length({}) AS INTEGER)", text.sql),
                None => format!("abs({of})"),
            },
            (Kind::Int, _) => match self.column(Kind::Time, scope) {
                Some(time) => {
                    let part = self.one(&["year", "month", "day", "hour"]);
                    format!("CAST(date_part('{part}', {}) AS INTEGER)", time.sql)
                }
                None => format!("({of} * {small})"),
            },
            (Kind::Big, 0) if self.chance(0.2) => {
                self.mark("overflow");
                format!("({of} + {small})")
            }
            (Kind::Big, 1) => format!("({of} % 1000)"),
            (Kind::Price, 0) => format!("({of} * {small})"),
            (Kind::Price, 1) => format!("abs({of})"),
            (Kind::Price, 2) => format!("floor({of})"),
            (Kind::Score, 0) => format!("(- {of})"),
            (Kind::Score, 1) => format!("({of} * 2)"),
            (Kind::Amount, 0) => format!("({of} + CAST('0.05' AS DECIMAL(4, 2)))"),
            (Kind::Amount, 1) => format!("(- {of})"),
            (Kind::Text, 0) => format!("upper({of})"),
            (Kind::Text, 1) => format!("substr({of}, {small}, 3)"),
            (Kind::Text, 2) => format!("({of} || '-{small}')"),
            (Kind::Text, _) => match self.column(Kind::Int, scope) {
                Some(number) => format!("CAST({} AS VARCHAR)", number.sql),
                None => format!("trim({of})"),
            },
            (Kind::Day, 0) => match self.column(Kind::Time, scope) {
                Some(time) => format!("CAST({} AS DATE)", time.sql),
                None => of.to_owned(),
            },
            (Kind::Time, 0) => {
                let part = self.one(&["hour", "day", "month", "year"]);
                format!("date_trunc('{part}', {of})")
            }
            (Kind::Flag, 0) => self.condition_without_queries(scope, 1).value(),
            _ => of.to_owned(),
        }
    }

    /// A literal that has its type wherever it stands; sometimes NULL.
    pub fn typed_literal(&mut self, kind: Kind) -> String {
        let (value, name) = if self.chance(0.1) { ("NULL".to_owned(), true) } else { (self.literal(kind), false) };
        let kind = match kind {
            Kind::Int => "INTEGER",
            Kind::Big => "BIGINT",
            Kind::Price | Kind::Score => "DOUBLE",
            Kind::Amount => "DECIMAL(9, 2)",
            Kind::Text => "VARCHAR",
            Kind::Day => "DATE",
            Kind::Time => "TIMESTAMP",
            Kind::Flag => "BOOLEAN",
        };
        if name || kind == "DOUBLE" || kind == "BIGINT" { format!("CAST({value} AS {kind})") } else { value }
    }

    /// A literal, as people write it.
    pub fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Int => self.number(-3, 60).to_string(),
            Kind::Big => match self.number(0, 4) {
                0 => self.one(&["9223372036854775807", "-9223372036854775807", "9223372036854775806", "0"]).to_owned(),
                _ => self.number(-900_000, 900_000).to_string(),
            },
            Kind::Price => format!("{:?}e0", self.number(-1_800, 1_800) as f64 / 4.0),
            Kind::Score => match self.number(0, 6) {
                0 => self
                    .one(&["CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)", "CAST('-Infinity' AS DOUBLE)"])
                    .to_owned(),
                1 => self.one(&["0.0e0", "-0.0e0"]).to_owned(),
                _ => format!("{:?}e0", self.number(-40, 40) as f64 / 8.0),
            },
            Kind::Amount => format!("CAST('{:.2}' AS DECIMAL(9, 2))", self.number(-90_000, 90_000) as f64 / 100.0),
            Kind::Text => self
                .one(&[
                    "'page'",
                    "'track'",
                    "'identify'",
                    "''",
                    "'Page'",
                    "'page '",
                    "'älter'",
                    "'日本'",
                    "'🦀🦀'",
                    "'a'",
                    "'zzzz'",
                    "'a text whose beginning is that of many other texts, up to number 7'",
                ])
                .to_owned(),
            Kind::Day => format!("DATE '{}'", self.day()),
            Kind::Time => {
                let (day, time) =
                    (self.day(), self.one(&["00:00:00", "12:30:00.5", "23:59:59.999999", "00:00:00.000001"]));
                format!("TIMESTAMP '{day} {time}'")
            }
            Kind::Flag => self.one(&["true", "false"]).to_owned(),
        }
    }

    fn day(&mut self) -> String {
        match self.number(0, 4) {
            0 => self
                .one(&[
                    "0001-01-01",
                    "1582-10-04",
                    "1582-10-15",
                    "1969-12-31",
                    "1970-01-01",
                    "2262-04-12",
                    "9999-12-31",
                ])
                .to_owned(),
            _ => format!("2026-01-{:02}", self.number(1, 25)),
        }
    }

    /// A condition on columns in scope; it may ask other tables.
    pub fn condition(&mut self, scope: &[Column], depth: usize) -> Condition {
        self.tree(scope, depth, depth > 0)
    }

    /// A condition on columns in scope alone.
    pub fn condition_without_queries(&mut self, scope: &[Column], depth: usize) -> Condition {
        self.tree(scope, depth, false)
    }

    fn tree(&mut self, scope: &[Column], depth: usize, may_ask: bool) -> Condition {
        if depth == 0 || self.chance(0.45) {
            return if may_ask && self.chance(0.35) { self.asking(scope, depth) } else { self.leaf(scope) };
        }
        let a = self.tree(scope, depth - 1, may_ask);
        match self.number(0, 6) {
            0 => {
                self.mark("NOT");
                Condition::new(Level::Not, a.negated())
            }
            1 | 2 => {
                let b = self.tree(scope, depth - 1, may_ask);
                Condition::new(Level::Or, format!("{} OR {}", a.under(Level::Or), b.under(Level::And)))
            }
            _ => {
                let b = self.tree(scope, depth - 1, may_ask);
                Condition::new(Level::And, format!("{} AND {}", a.under(Level::And), b.under(Level::Not)))
            }
        }
    }

    fn leaf(&mut self, scope: &[Column]) -> Condition {
        let column = self.one(scope);
        let (of, kind) = (column.sql, column.kind);
        let compare = |sql| Condition::new(Level::Compare, sql);
        match self.number(0, 16) {
            0 => compare(format!("{of} IS NULL")),
            1 => compare(format!("{of} IS NOT NULL")),
            2 | 3 => {
                let is = self.one(&["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
                self.mark(is);
                let (left, right) =
                    if self.chance(0.2) { (self.literal(kind), of) } else { (of, self.operand(kind, scope)) };
                compare(format!("{left} {is} {right}"))
            }
            4 | 5 => compare(self.list(&of, kind, scope)),
            6 => {
                self.mark("two lists of one column");
                let (a, b) = (self.list(&of, kind, scope), self.list(&of, kind, scope));
                match self.chance(0.5) {
                    true => Condition::new(Level::And, format!("{a} AND {b}")),
                    false => Condition::new(Level::Or, format!("{a} OR {b}")),
                }
            }
            7 => {
                let not = self.one(&["", "NOT "]);
                compare(format!("{of} {not}BETWEEN {} AND {}", self.literal(kind), self.literal(kind)))
            }
            8 | 9 if kind == Kind::Text => {
                let pattern =
                    self.one(&["a%", "%e", "_age", "%", "p_ge%", "%''s", "a text whose%", "%7", "", "%日%", "Page"]);
                let not = self.one(&["", "NOT "]);
                self.mark("LIKE");
                compare(format!("{of} {not}LIKE '{pattern}'"))
            }
            8 if kind == Kind::Flag => {
                compare(format!("{of} {}", self.one(&["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"])))
            }
            9 if kind == Kind::Flag => Condition::new(Level::Value, of),
            10 => {
                let value = self.scalar(kind, scope, 1);
                compare(format!("{value} {} {}", self.comparison(), self.literal(kind)))
            }
            11 if kind == Kind::Time => {
                self.mark("cast to a day");
                compare(format!("CAST({of} AS DATE) {} {}", self.comparison(), self.literal(Kind::Day)))
            }
            12 if kind == Kind::Time => {
                let part = self.one(&["day", "month", "year"]);
                self.mark("date_trunc");
                compare(format!("date_trunc('{part}', {of}) {} {}", self.comparison(), self.literal(Kind::Time)))
            }
            _ => compare(format!("{of} {} {}", self.comparison(), self.operand(kind, scope))),
        }
    }

    fn list(&mut self, of: &str, kind: Kind, scope: &[Column]) -> String {
        let not = self.one(&["", "NOT "]);
        let mut values: Vec<String> = (0..self.number(1, 5)).map(|_| self.literal(kind)).collect();
        if self.chance(0.2) {
            self.mark("NULL in a list");
            values.push("NULL".to_owned());
        }
        if self.chance(0.1) {
            values.push(self.operand(kind, scope));
        }
        self.mark(if not.is_empty() { "IN a list" } else { "NOT IN a list" });
        format!("{of} {not}IN ({})", values.join(", "))
    }

    /// A literal, or a column of the same kind.
    fn operand(&mut self, kind: Kind, scope: &[Column]) -> String {
        match self.column(kind, scope) {
            Some(column) if self.chance(0.25) => column.sql,
            _ => self.literal(kind),
        }
    }

    /// How two values are compared.
    pub fn comparison(&mut self) -> &'static str {
        self.one(&["=", "=", "<>", "<", "<=", ">", ">="])
    }

    /// A condition that asks another table.
    fn asking(&mut self, scope: &[Column], depth: usize) -> Condition {
        let inner = self.table();
        let column = self.one(&inner.columns);
        let outer = self.column(column.kind, scope).unwrap_or_else(|| self.one(scope));
        let filter = match self.chance(0.6) {
            true => self.condition_without_queries(&inner.columns, depth.min(1)),
            false => Condition::new(Level::Compare, format!("{} IS NOT NULL", inner.unique[0])),
        };
        let where_ = if self.chance(0.7) { format!(" WHERE {}", filter.sql) } else { String::new() };
        let (from, of) = (&inner.sql, &column.sql);
        if outer.kind != column.kind {
            self.mark("EXISTS");
            return Condition::new(Level::Compare, format!("EXISTS (SELECT 1 FROM {from}{where_})"));
        }
        match self.number(0, 6) {
            0 | 1 => {
                self.mark("IN a query");
                Condition::new(Level::Compare, format!("{} IN (SELECT {of} FROM {from}{where_})", outer.sql))
            }
            2 => {
                self.mark("NOT IN a query");
                Condition::new(Level::Compare, format!("{} NOT IN (SELECT {of} FROM {from}{where_})", outer.sql))
            }
            3 | 4 => {
                let not = self.one(&["", "NOT "]);
                self.mark(if not.is_empty() { "EXISTS" } else { "NOT EXISTS" });
                let level = if not.is_empty() { Level::Compare } else { Level::Not };
                let with = filter.under(Level::And);
                Condition::new(
                    level,
                    format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {of} = {} AND {with})", outer.sql),
                )
            }
            _ => {
                self.mark("compared with a query");
                let (by, best) = (self.comparison(), self.one(&["min", "max"]));
                Condition::new(Level::Compare, format!("{} {by} (SELECT {best}({of}) FROM {from}{where_})", outer.sql))
            }
        }
    }

    /// An aggregate, and what comes out.
    pub fn aggregate(&mut self, scope: &[Column]) -> Column {
        let column = self.one(scope);
        let of = column.sql;
        let (sql, kind) = match (self.number(0, 9), column.kind) {
            (0, _) => ("count(*)".to_owned(), Kind::Int),
            (1, _) => (format!("count({of})"), Kind::Int),
            (2, _) => {
                self.mark("count DISTINCT");
                (format!("count(DISTINCT {of})"), Kind::Int)
            }
            (3 | 4, Kind::Int | Kind::Price | Kind::Amount | Kind::Score) => {
                let distinct = if column.kind != Kind::Score && self.chance(0.15) { "DISTINCT " } else { "" };
                (format!("sum({distinct}{of})"), column.kind)
            }
            (5, Kind::Int | Kind::Price) => (format!("avg({of})"), Kind::Score),
            (3, Kind::Big) if self.chance(0.2) => {
                self.mark("overflow");
                (format!("sum({of})"), Kind::Big)
            }
            (3, Kind::Flag) => (format!("{}({of})", self.one(&["bool_and", "bool_or"])), Kind::Flag),
            (_, kind) => (format!("{}({of})", self.one(&["min", "max"])), kind),
        };
        let filter = match self.chance(0.12) {
            true => {
                self.mark("FILTER");
                format!(" FILTER (WHERE {})", self.condition_without_queries(scope, 1).sql)
            }
            false => String::new(),
        };
        Column { sql: format!("{sql}{filter}"), name: String::new(), kind }
    }

    /// An order and where NULLs come in it.
    pub fn order(&mut self, by: &str) -> String {
        let (way, nulls) = (self.one(&["ASC", "DESC"]), self.one(&["NULLS FIRST", "NULLS LAST"]));
        format!("{by} {way} {nulls}")
    }
}

fn numbered(alias: &str, kinds: &[Kind]) -> Vec<Column> {
    let column = |(place, kind): (usize, &Kind)| Column {
        sql: format!("{alias}.c{place}"),
        name: format!("c{place}"),
        kind: *kind,
    };
    kinds.iter().enumerate().map(column).collect()
}
