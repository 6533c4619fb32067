//! `WINDOW w AS (…)`, and windows that build on one: `OVER (w ORDER BY x)`.
//!
//! DataFusion forgets the `w` in `(w ORDER BY x)` and with it a `PARTITION BY`, and knows no `w` in `QUALIFY`. Here each `OVER` gets its
//! window in full.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderByKind, Query, Select, SetExpr, VisitorMut, WindowSpec,
    WindowType,
};
use icefold_core::Error;

use crate::walk;

/// Writes out the windows of a statement.
pub(super) struct NamedWindows;

impl VisitorMut for NamedWindows {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let SetExpr::Select(select) = query.body.as_ref()
            && let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|order| &mut order.kind)
        {
            let mut windows = windows_of(select)?;
            orders.iter_mut().try_for_each(|order| walk::change(&mut order.expr, &mut windows))?;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        let mut windows = windows_of(select)?;
        walk::change(&mut select.projection, &mut windows)?;
        walk::change(&mut select.qualify, &mut windows)?;
        select.named_window.clear();
        ControlFlow::Continue(())
    }
}

/// The windows of a SELECT, in full.
struct Windows(BTreeMap<String, WindowSpec>);

fn windows_of(select: &Select) -> ControlFlow<Error, Windows> {
    let mut windows = Windows(BTreeMap::new());
    for NamedWindowDefinition(name, definition) in &select.named_window {
        let window = match definition {
            NamedWindowExpr::NamedWindow(other) => windows.get(other)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => windows.in_full(spec)?,
        };
        if windows.0.insert(normalized(name), window).is_some() {
            return ControlFlow::Break(Error::invalid(format!("there are two windows `{name}`: give them two names")));
        }
    }
    ControlFlow::Continue(windows)
}

impl Windows {
    fn get(&self, name: &Ident) -> ControlFlow<Error, &WindowSpec> {
        match self.0.get(&normalized(name)) {
            Some(window) => ControlFlow::Continue(window),
            None => ControlFlow::Break(Error::invalid(format!(
                "no window `{name}`: define it before it is used, with WINDOW {name} AS (…) behind FROM and WHERE"
            ))),
        }
    }

    /// Puts together a window and the one that it builds on.
    fn in_full(&self, spec: &WindowSpec) -> ControlFlow<Error, WindowSpec> {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = spec.clone();
        let Some(name) = window_name else { return ControlFlow::Continue(spec.clone()) };
        let base = self.get(&name)?.clone();
        let what = match () {
            () if !partition_by.is_empty() => "PARTITION BY",
            () if !order_by.is_empty() && !base.order_by.is_empty() => "a second ORDER BY",
            () if base.window_frame.is_some() => "anything, because it has a frame,",
            () => {
                let order_by = if order_by.is_empty() { base.order_by } else { order_by };
                let partition_by = base.partition_by;
                return ControlFlow::Continue(WindowSpec { window_name: None, partition_by, order_by, window_frame });
            }
        };
        ControlFlow::Break(Error::invalid(format!("window `{name}` cannot be given {what}: write the window in full")))
    }
}

impl VisitorMut for Windows {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        match &mut function.over {
            Some(WindowType::NamedWindow(name)) => {
                let window = self.get(name)?.clone();
                function.over = Some(WindowType::WindowSpec(window));
            }
            Some(WindowType::WindowSpec(spec)) => *spec = self.in_full(spec)?,
            None => {}
        }
        ControlFlow::Continue(())
    }
}

fn normalized(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
