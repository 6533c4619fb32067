//! One column or expression twice in a SELECT: DataFusion refuses it, as both would have one name. Here the second has a number behind
//! its name, as in DuckDB: `SELECT a, count(*), a` has the columns `a`, `count(*)` and `a_1`. A cast has the name of what it casts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut};
use icefold_core::Error;

use crate::walk::Visited;

/// Names what repeats.
pub(super) struct RepeatedColumns;

impl VisitorMut for RepeatedColumns {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> Visited {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let repeats = seen.entry(called(expr)).or_default();
            if *repeats > 0 {
                let alias = Ident::with_quote('"', format!("{}_{repeats}", name(expr)));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
            *repeats += 1;
        }
        ControlFlow::Continue(())
    }
}

/// Returns what an expression is called: a cast as what it casts, all queries alike.
fn called(expr: &Expr) -> String {
    match uncast(expr) {
        Expr::Subquery(_) => "(<subquery>)".to_owned(),
        other => other.to_string(),
    }
}

fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } => uncast(expr),
        other => other,
    }
}

/// Returns the name that a column of this expression has.
fn name(expr: &Expr) -> String {
    match uncast(expr) {
        Expr::Identifier(column) => column.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map(|column| column.value.clone()).unwrap_or_default(),
        other => called(other),
    }
}
