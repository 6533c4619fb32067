//! Walks over parsed SQL, whoever visits.
//!
//! The walk of `sqlparser` is generic: for each type of visitor the compiler makes the code of the whole syntax tree anew, which
//! takes it longer than the rest of this crate. Here it is made once, for visitors behind a pointer.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use icefold_core::Error;

/// How a visit goes on, or the error that ends it.
pub(crate) type Visited = ControlFlow<Error>;

/// Shows everything below `node` to `visitor`.
pub(crate) fn read(node: &impl Visit, visitor: &mut dyn Visitor<Break = Error>) -> Visited {
    node.visit(&mut Reading(visitor))
}

/// Lets `visitor` change everything below `node`.
pub(crate) fn change(node: &mut impl VisitMut, visitor: &mut dyn VisitorMut<Break = Error>) -> Visited {
    node.visit(&mut Changing(visitor))
}

struct Reading<'a>(&'a mut dyn Visitor<Break = Error>);

struct Changing<'a>(&'a mut dyn VisitorMut<Break = Error>);

/// Passes each call on.
macro_rules! pass_on {
    ($($call:ident($node:ty)),* $(,)?) => { $(fn $call(&mut self, node: $node) -> Visited { self.0.$call(node) })* };
}

impl Visitor for Reading<'_> {
    type Break = Error;

    pass_on! {
        pre_visit_query(&Query), post_visit_query(&Query),
        pre_visit_select(&Select), post_visit_select(&Select),
        pre_visit_relation(&ObjectName), post_visit_relation(&ObjectName),
        pre_visit_table_factor(&TableFactor), post_visit_table_factor(&TableFactor),
        pre_visit_expr(&Expr), post_visit_expr(&Expr),
        pre_visit_statement(&Statement), post_visit_statement(&Statement),
        pre_visit_value(&ValueWithSpan), post_visit_value(&ValueWithSpan),
    }
}

impl VisitorMut for Changing<'_> {
    type Break = Error;

    pass_on! {
        pre_visit_query(&mut Query), post_visit_query(&mut Query),
        pre_visit_select(&mut Select), post_visit_select(&mut Select),
        pre_visit_relation(&mut ObjectName), post_visit_relation(&mut ObjectName),
        pre_visit_table_factor(&mut TableFactor), post_visit_table_factor(&mut TableFactor),
        pre_visit_expr(&mut Expr), post_visit_expr(&mut Expr),
        pre_visit_statement(&mut Statement), post_visit_statement(&mut Statement),
        pre_visit_value(&mut ValueWithSpan), post_visit_value(&mut ValueWithSpan),
    }
}
