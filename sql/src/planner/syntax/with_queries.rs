//! `WITH`: the names of its columns, and the end of a recursive query.
//!
//! * DataFusion names the columns of `WITH t(x, y)` by name (see `column_names`), and those of a recursive query only once it is
//!   done, so that its own second half still sees the old names. Here they are named where the first half ends.
//! * In `WITH RECURSIVE`, DataFusion forgets `ORDER BY`, `LIMIT` and `WITH` of a query that is a union. Here such a query is kept whole
//!   if it does not read itself, and refused if it does.
//! * `FETCH FIRST n ROWS ONLY` is `LIMIT n`.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, LimitClause, ObjectName, Query, SetExpr, SetOperator, TableAlias, Value, Visitor, VisitorMut, With,
};
use icefold_core::Error;

use super::templates;
use crate::error::{external, from_datafusion};
use crate::walk::{self, Visited};

/// Rewrites the `WITH` queries of a statement.
pub(super) struct WithQueries;

impl VisitorMut for WithQueries {
    type Break = Error;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        limit(query);
        match query.with.as_mut().map_or(Ok(()), rewrite) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(from_datafusion(error)),
        }
    }
}

/// Writes `FETCH` as `LIMIT`; what else it says was refused.
fn limit(query: &mut Query) {
    let Some(fetch) = query.fetch.take() else { return };
    // `FETCH FIRST ROW ONLY` is one row.
    let rows = fetch.quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
    let offset = match query.limit_clause.take() {
        Some(LimitClause::LimitOffset { offset, .. }) => offset,
        _ => None,
    };
    query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(rows), offset, limit_by: Vec::new() });
}

fn rewrite(with: &mut With) -> Result<()> {
    for cte in &mut with.cte_tables {
        if with.recursive && is_union(&cte.query) {
            keep_whole(cte)?;
        }
        let columns = std::mem::take(&mut cte.alias.columns);
        if !columns.is_empty() {
            let alias = TableAlias { columns, ..cte.alias.clone() };
            let body = &mut cte.query.body;
            match body.as_mut() {
                SetExpr::SetOperation { left, .. } if with.recursive => name_columns(left, alias)?,
                _ => {
                    let whole = std::mem::replace(&mut *cte.query, templates::query(templates::nothing()));
                    let mut body = Box::new(SetExpr::Query(Box::new(whole)));
                    name_columns(&mut body, alias)?;
                    *cte.query = templates::query(body);
                }
            }
        }
    }
    Ok(())
}

fn name_columns(body: &mut Box<SetExpr>, alias: TableAlias) -> Result<()> {
    let inner = templates::query(std::mem::replace(body, templates::nothing()));
    let sql = format!("SELECT * FROM {}", templates::LEFT);
    **body = SetExpr::Query(Box::new(templates::fill(&sql, [(templates::LEFT, inner)].into(), Some(alias))?));
    Ok(())
}

fn is_union(query: &Query) -> bool {
    matches!(*query.body, SetExpr::SetOperation { op: SetOperator::Union, .. })
}

/// Keeps what stands around a union from being dropped.
fn keep_whole(cte: &mut Cte) -> Result<()> {
    let query = &cte.query;
    let bare = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
    if bare && query.pipe_operators.is_empty() {
        return Ok(());
    }
    let name = cte.alias.name.value.to_lowercase();
    let mut reads = Reads { name: &name, found: false };
    // It does not end early.
    let _ = walk::read(&cte.query.body, &mut reads);
    if reads.found {
        return Err(external(Error::invalid(format!(
            "`{}` reads itself, so it can have no WITH, ORDER BY or LIMIT of its own: write them in the query that reads it",
            cte.alias.name
        ))));
    }
    let whole = std::mem::replace(&mut *cte.query, templates::query(templates::nothing()));
    *cte.query = templates::query(Box::new(SetExpr::Query(Box::new(whole))));
    Ok(())
}

/// Finds whether a relation of this name is read.
struct Reads<'a> {
    name: &'a str,
    found: bool,
}

impl Visitor for Reads<'_> {
    type Break = Error;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Visited {
        self.found |= relation.to_string().trim_matches('"').eq_ignore_ascii_case(self.name);
        ControlFlow::Continue(())
    }
}
