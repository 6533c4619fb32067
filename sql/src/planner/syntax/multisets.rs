//! `EXCEPT ALL` and `INTERSECT ALL`, which count copies.
//!
//! DataFusion plans them as joins: a row goes with all its copies if the other side has one. Here they become SQL that counts the
//! copies on both sides, and gives back as many as are left (`EXCEPT`) or as both have (`INTERSECT`).

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, SetOperator, SetQuantifier, VisitorMut};
use icefold_core::Error;

use super::templates;
use crate::error::from_datafusion;

/// Rewrites the set operations of a statement.
pub(super) struct Multisets;

impl VisitorMut for Multisets {
    type Break = Error;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match rewrite(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(from_datafusion(error)),
        }
    }
}

fn rewrite(body: &mut SetExpr) -> Result<()> {
    let SetExpr::SetOperation { left, op, set_quantifier, right } = body else { return Ok(()) };
    rewrite(left)?;
    rewrite(right)?;
    let copies = match (op, set_quantifier) {
        (SetOperator::Except, SetQuantifier::All) => "sum(__left) - sum(__right)",
        (SetOperator::Intersect, SetQuantifier::All) => "least(sum(__left), sum(__right))",
        _ => return Ok(()),
    };
    let counted = format!(
        "SELECT * EXCLUDE (__left, __right), {copies} AS __copies FROM \
         (SELECT *, 1 AS __left, 0 AS __right FROM {} UNION ALL SELECT *, 0 AS __left, 1 AS __right FROM {}) GROUP BY ALL",
        templates::LEFT,
        templates::RIGHT
    );
    let sql = format!(
        "SELECT * EXCLUDE (__copies, __copy) FROM \
         (SELECT *, unnest(range(__copies)) AS __copy FROM ({counted}) WHERE __copies > 0)"
    );
    let side = |side: &mut Box<SetExpr>| templates::query(std::mem::replace(side, templates::nothing()));
    let sides = [(templates::LEFT, side(left)), (templates::RIGHT, side(right))];
    *body = SetExpr::Query(Box::new(templates::fill(&sql, sides.into(), None)?));
    Ok(())
}
