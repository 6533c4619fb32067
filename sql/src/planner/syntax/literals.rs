//! Decimals are made of the digits that were written.
//!
//! DataFusion reads a number with a point as a float first: `CAST(1.005 AS DECIMAL(10, 2))` is `1.00` there, because the float is a
//! little less, and digits behind the sixteenth are others than those written. Here the digits go into the cast as text.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{DataType, Expr, UnaryOperator, Value, ValueWithSpan, VisitorMut};
use icefold_core::Error;

use crate::walk::Visited;

/// Rewrites casts of numbers to decimals.
pub(super) struct ExactDecimals;

impl VisitorMut for ExactDecimals {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Visited {
        if let Expr::Cast { expr, data_type, .. } = expr
            && matches!(data_type, DataType::Decimal(_) | DataType::Numeric(_))
            && let Some(digits) = written(expr)
        {
            **expr = Expr::value(Value::SingleQuotedString(digits));
        }
        ControlFlow::Continue(())
    }
}

/// Returns the digits of a number, with its sign; `None` for anything else.
fn written(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => written(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match written(expr)? {
            digits if digits.starts_with('-') => None,
            digits => Some(format!("-{digits}")),
        },
        // One with an exponent is a float.
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. })
            if digits.chars().all(|c| c.is_ascii_digit() || c == '.') =>
        {
            Some(digits.clone())
        }
        _ => None,
    }
}
