//! Queries made of SQL text with places for other queries.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::{Result, internal_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, ObjectName, Query, SetExpr, TableAlias, TableFactor, Values, VisitorMut};

use icefold_core::Error;

use super::statement::parse;
use crate::walk::{self, Visited};

/// Names of the places.
pub(super) const LEFT: &str = "__icefold_left";
pub(super) const RIGHT: &str = "__icefold_right";

/// Depth to which a template may nest.
const DEPTH: usize = 50;

/// Parses `sql` and puts queries in its places, each under the alias if there is one.
///
/// # Errors
/// When the template is no query: a fault of who wrote it.
pub(super) fn fill(sql: &str, queries: BTreeMap<&str, Query>, alias: Option<TableAlias>) -> Result<Query> {
    let Statement::Statement(statement) = parse(sql, DEPTH)? else { return internal_err!("no statement: {sql}") };
    let ast::Statement::Query(mut query) = *statement else { return internal_err!("no query: {sql}") };
    // It does not end early.
    let _ = walk::change(&mut *query, &mut Filler { queries, alias });
    Ok(*query)
}

struct Filler<'a> {
    queries: BTreeMap<&'a str, Query>,
    alias: Option<TableAlias>,
}

impl VisitorMut for Filler<'_> {
    type Break = Error;

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> Visited {
        if let TableFactor::Table { name, .. } = factor
            && let Some(query) = self.queries.remove(text(name).as_str())
        {
            let subquery = Box::new(query);
            *factor = TableFactor::Derived { lateral: false, subquery, alias: self.alias.clone(), sample: None };
        }
        ControlFlow::Continue(())
    }
}

fn text(name: &ObjectName) -> String {
    name.to_string()
}

/// Returns a query that is only a body.
pub(super) fn query(body: Box<SetExpr>) -> Query {
    Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// Returns what stands for a body that was taken away.
pub(super) fn nothing() -> Box<SetExpr> {
    Box::new(SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() }))
}
