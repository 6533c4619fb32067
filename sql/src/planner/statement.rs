//! Reads the text of a query.

use datafusion::common::{Result, plan_datafusion_err};
use datafusion::sql::parser::{DFParserBuilder, Statement};

use super::dialect::Icefold;

/// Parses one statement.
///
/// # Errors
/// When the text is no SQL, holds no statement or several, or nests deeper than `recursion_limit`.
pub(crate) fn parse(sql: &str, recursion_limit: usize) -> Result<Statement> {
    let parser = DFParserBuilder::new(sql).with_dialect(&Icefold).with_recursion_limit(recursion_limit).build();
    let mut statements = parser.and_then(|mut parser| parser.parse_statements())?;
    match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (Some(_), _) => Err(plan_datafusion_err!("one statement at a time: ask them one after the other")),
        (None, _) => Err(plan_datafusion_err!("there is no statement: ask for example `SELECT count(*) FROM events`")),
    }
}
