//! The functions of Athena, Redshift and Spark that have another name or another shape here.
//!
//! Calls are rewritten in the parsed query, before DataFusion sees them. A name that means one thing in one engine and another in
//! the next is refused with the two ways to say it.

mod digests;
mod formats;
mod likes;
mod mode;
mod regexes;
mod rows;
mod shapes;
mod times;
mod urls;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, VisitorMut,
};

use icefold_core::Error;

use crate::error::external;
use crate::walk::{self, Visited};

/// Returns the functions of ours that are computed row by row.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = times::functions();
    all.extend(rows::functions(digests::ALL));
    all.extend(rows::functions(regexes::ALL));
    all.extend(rows::functions(urls::ALL));
    all
}

/// Returns the aggregates of ours.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![mode::mode()]
}

/// Iterates over the names that are rewritten.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    shapes::names()
}

/// Rewrites all calls in a statement.
///
/// # Errors
/// `InvalidInput` for a call that would not mean here what it means where it comes from.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    let inner = match statement {
        Statement::Explain(explain) => return rewrite(&mut explain.statement),
        Statement::Statement(inner) => inner,
        _ => return Ok(()),
    };
    match walk::change(inner.as_mut(), &mut Words) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(external(error)),
    }
}

/// Rewrites calls, those in arguments first.
struct Words;

impl VisitorMut for Words {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Visited {
        match rewritten(expr) {
            Ok(Some(new)) => *expr = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

fn rewritten(expr: &Expr) -> icefold_core::Result<Option<Expr>> {
    let Expr::Function(function) = expr else { return likes::rewrite(expr) };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return Ok(None) };
    let Some(args) = arguments(function) else { return Ok(None) };
    shapes::rewrite(&name.value.to_lowercase(), function, &args)
}

/// Returns the arguments of a plain call.
fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(plain).collect()
}
