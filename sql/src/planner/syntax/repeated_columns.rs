//! One column or expression twice in a SELECT: DataFusion refuses it, as both would have one name. Here the second has a number behind
//! its name, as in DuckDB: `SELECT a, count(*), a` has the columns `a`, `count(*)` and `a_1`. A cast has the name of what it casts.
//! A column beside `*` is always the second: `SELECT a, *` has `a_1`, and then all columns. So is a query in the place of a value that
//! has the name of a column: `SELECT t.id, (SELECT u.id …)` has `id_1`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, VisitorMut,
    WildcardAdditionalOptions,
};
use icefold_core::Error;

use super::templates;
use crate::walk::{self, Visited};

/// Names what repeats.
pub(super) struct RepeatedColumns;

impl VisitorMut for RepeatedColumns {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> Visited {
        let stars = Stars::of(select);
        let columns: BTreeSet<String> =
            select.projection.iter().filter_map(column).map(|name| name.to_lowercase()).collect();
        let is_taken = |name: &str| stars.is_any() || columns.contains(&name.to_lowercase());
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut repeats: BTreeMap<String, usize> = BTreeMap::new();
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let of_query = asked(expr).filter(|name| is_taken(name));
            if !seen.insert(called(expr)) || stars.have(expr) || of_query.is_some() {
                let name = of_query.unwrap_or_else(|| name(expr));
                let repeat = repeats.entry(name.clone()).or_default();
                *repeat += 1;
                let alias = Ident::with_quote('"', format!("{name}_{repeat}"));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }
}

/// The wildcards of a SELECT.
#[derive(Default)]
struct Stars {
    /// `*`, or that of the only table.
    all: bool,
    /// The last part of the name before each `t.*`.
    tables: Vec<Ident>,
}

impl Stars {
    fn of(select: &Select) -> Stars {
        let mut stars = Stars::default();
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(options) if has_all(options) => stars.all = true,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), options)
                    if has_all(options) =>
                {
                    stars.tables.extend(table.0.last().and_then(ObjectNamePart::as_ident).cloned());
                }
                _ => {}
            }
        }
        let is_one_table = matches!(select.from.as_slice(), [from] if from.joins.is_empty());
        stars.all |= is_one_table && !stars.tables.is_empty();
        stars
    }

    fn is_any(&self) -> bool {
        self.all || !self.tables.is_empty()
    }

    /// Says whether a column is surely among them, or would have its name.
    fn have(&self, expr: &Expr) -> bool {
        match uncast(expr) {
            Expr::Identifier(_) => self.all,
            Expr::CompoundIdentifier(parts) => {
                let table = parts.len().checked_sub(2).and_then(|place| parts.get(place));
                self.all
                    || table.is_some_and(|table| {
                        self.tables.iter().any(|star| star.value.eq_ignore_ascii_case(&table.value))
                    })
            }
            _ => false,
        }
    }
}

/// Returns the name of a column that is asked for as it is.
fn column(item: &SelectItem) -> Option<String> {
    let SelectItem::UnnamedExpr(expr) = item else { return None };
    matches!(uncast(expr), Expr::Identifier(_) | Expr::CompoundIdentifier(_)).then(|| name(expr))
}

/// Returns the name of the only column of a query in the place of a value.
fn asked(expr: &Expr) -> Option<String> {
    let Expr::Subquery(query) = uncast(expr) else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.as_slice() {
        [SelectItem::ExprWithAlias { alias, .. }] => Some(alias.value.clone()),
        [item] => column(item),
        _ => None,
    }
}

/// Says whether a wildcard leaves out and renames no column.
fn has_all(options: &WildcardAdditionalOptions) -> bool {
    options.to_string().is_empty()
}

/// Returns what an expression is called: a cast as what it casts, all queries alike.
fn called(expr: &Expr) -> String {
    let mut expr = uncast(expr).clone();
    let _: Visited = walk::change(&mut expr, &mut AllAlike);
    expr.to_string()
}

/// Leaves nothing of a query that tells it from another.
struct AllAlike;

impl VisitorMut for AllAlike {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> Visited {
        *query = templates::query(templates::nothing());
        ControlFlow::Continue(())
    }
}

fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } => uncast(expr),
        other => other,
    }
}

/// Returns the name that a column of this expression has.
pub(super) fn name(expr: &Expr) -> String {
    match uncast(expr) {
        Expr::Identifier(column) => column.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map(|column| column.value.clone()).unwrap_or_default(),
        Expr::Subquery(_) => "(<subquery>)".to_owned(),
        other => called(other).replace("VALUES ", "<subquery>"),
    }
}
