//! `GROUP BY x, CAST(x AS t)`: DataFusion calls a cast as what it casts, and refuses two groups of one name. Here the cast is of
//! `CASE WHEN true THEN x END`, wherever it stands, which is `x` again when the query is planned.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, GroupByExpr, Ident, OrderBy, Query, Select, SelectItem, SetExpr, Value, VisitorMut,
};
use icefold_core::Error;

use super::repeated_columns::name;
use crate::walk::{self, Visited};

/// Tells grouped casts from what they cast.
pub(super) struct GroupedCasts;

impl VisitorMut for GroupedCasts {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> Visited {
        match query.body.as_mut() {
            SetExpr::Select(select) => tell_apart(select, &mut query.order_by),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn tell_apart(select: &mut Select, order_by: &mut Option<OrderBy>) -> Visited {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else { return ControlFlow::Continue(()) };
    if groups.is_empty() {
        return ControlFlow::Continue(());
    }
    let columns = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    let mut casts = Casts::of(groups.iter().chain(columns));
    if casts.0.is_empty() {
        return ControlFlow::Continue(());
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && casts.0.contains_key(&expr.to_string())
        {
            let alias = Ident::with_quote('"', name(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    walk::change(&mut select.projection, &mut casts)?;
    walk::change(&mut select.group_by, &mut casts)?;
    walk::change(&mut select.having, &mut casts)?;
    walk::change(&mut select.qualify, &mut casts)?;
    walk::change(order_by, &mut casts)
}

/// Casts that have the name of another expression, and how many there were before of that name.
struct Casts(BTreeMap<String, usize>);

impl Casts {
    fn of<'a>(expressions: impl Iterator<Item = &'a Expr>) -> Casts {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut casts = Vec::new();
        for expr in expressions {
            let (name, text) = (name(expr).to_lowercase(), expr.to_string());
            let texts = named.entry(name.clone()).or_default();
            if !texts.contains(&text) {
                texts.push(text.clone());
                if matches!(expr, Expr::Cast { .. }) {
                    casts.push((name, text));
                }
            }
        }
        let place = |name: &str, text: &str| Some(1 + named.get(name)?.iter().position(|other| other == text)?);
        let told = casts.into_iter().filter(|(name, _)| named.get(name).is_some_and(|texts| texts.len() > 1));
        Casts(told.filter_map(|(name, text)| Some((text.clone(), place(&name, &text)?))).collect())
    }
}

impl VisitorMut for Casts {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Visited {
        if let Some(times) = self.0.get(&expr.to_string())
            && let Expr::Cast { expr: inner, .. } = expr
        {
            for _ in 0..*times {
                **inner = itself(inner.as_ref().clone());
            }
        }
        ControlFlow::Continue(())
    }
}

fn itself(expr: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: Expr::value(Value::Boolean(true)), result: expr }],
        else_result: None,
    }
}
