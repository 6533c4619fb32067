//! What a statement means: DataFusion's parser and planner of SQL, without what they misread, drop or do not know.
//!
//! The text becomes a tree by [`parse`], and [`rewrite()`] changes the tree before it is planned.

mod dialect;
mod grouped_casts;
mod ignored;
mod json;
mod literals;
mod multisets;
mod named_windows;
mod precedence;
mod repeated_columns;
mod statement;
mod templates;
mod time_travel;
mod using_columns;
mod with_queries;
mod words;

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::parser::Statement;
use icefold_core::Error;

pub(super) use json::JsonOperators;
pub(crate) use statement::parse;
pub(crate) use time_travel::TimeTravel;
pub(crate) use words::names as rewritten_names;
pub(super) use words::{aggregates, functions};

use crate::error::external;
use crate::walk;

/// Rewrites a statement that DataFusion would misread. `is_scalar` tells whether a function of this name is computed row by row.
///
/// # Errors
/// When it holds what cannot be answered right, named with another way to ask.
pub(crate) fn rewrite(statement: &mut Statement, is_scalar: &dyn Fn(&str) -> bool) -> Result<()> {
    match statement {
        Statement::Explain(explain) => rewrite(&mut explain.statement, is_scalar),
        Statement::Statement(statement) => {
            whole(walk::read(statement, &mut ignored::Ignored { is_scalar }))?;
            whole(walk::change(statement, &mut literals::ExactDecimals))?;
            whole(walk::change(statement, &mut repeated_columns::RepeatedColumns))?;
            whole(walk::change(statement, &mut grouped_casts::GroupedCasts))?;
            whole(walk::change(statement, &mut named_windows::NamedWindows))?;
            whole(walk::change(statement, &mut using_columns::UsingColumns))?;
            whole(walk::change(statement, &mut with_queries::WithQueries))?;
            whole(walk::change(statement, &mut multisets::Multisets))
        }
        _ => Ok(()),
    }
}

/// Returns why a visit ended early.
fn whole(visit: ControlFlow<Error>) -> Result<()> {
    match visit {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(external(error)),
    }
}
