//! Functions of numbers get arguments in which they lose nothing.
//!
//! DataFusion makes floats of the whole numbers that it rounds, whose digits end with the sixteenth: `floor(9007199254740993)` ends in
//! 2 there. It gives powers and medians of decimals the digits of the argument: `power(1.1, 2)` is 1.2, the middle between 1.1 and
//! 1.2 is 1.1. Here whole numbers are rounded as decimals, powers are of floats, and a median has one digit more.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::rewrite;

/// Digits of the greatest number of 64 bits.
const LONG_DIGITS: u8 = 20;
/// Most digits of a decimal of 128 bits.
const MOST_DIGITS: u8 = 38;

/// Casts arguments. Comes before the rule that makes implicit casts.
#[derive(Debug)]
pub(super) struct NumericArguments;

impl AnalyzerRule for NumericArguments {
    fn name(&self) -> &str {
        "icefold_numeric_arguments"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &with_casts)
    }
}

fn with_casts(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::ScalarFunction(mut function) => {
            let name = function.func.name().to_owned();
            match cast_args(&name, &mut function.args, schema) {
                true if name == "trunc" => Transformed::yes(function.args.swap_remove(0)),
                is_cast => Transformed::new_transformed(Expr::ScalarFunction(function), is_cast),
            }
        }
        Expr::AggregateFunction(mut function) => {
            let is_cast = cast_args(function.func.name(), &mut function.params.args, schema);
            Transformed::new_transformed(Expr::AggregateFunction(function), is_cast)
        }
        Expr::WindowFunction(mut function) => {
            let is_cast = cast_args(function.fun.name(), &mut function.params.args, schema);
            Transformed::new_transformed(Expr::WindowFunction(function), is_cast)
        }
        other => Transformed::no(other),
    })
}

/// Casts the arguments of a function of that name; returns whether one is cast.
fn cast_args(function: &str, args: &mut [Expr], schema: &DFSchema) -> bool {
    let kinds: Vec<_> = args.iter().map(|arg| arg.get_type(schema).ok()).collect();
    let mut is_cast = false;
    for (place, (arg, kind)) in args.iter_mut().zip(&kinds).enumerate() {
        let is_first = place == 0;
        let Some(to) = kind.as_ref().and_then(|kind| argument(function, is_first, kinds.len(), kind)) else { continue };
        *arg = Expr::Cast(Cast::new(Box::new(std::mem::take(arg)), to));
        is_cast = true;
    }
    is_cast
}

/// Returns the type that an argument of type `kind` is to have; `None` if it may stay.
fn argument(function: &str, is_first: bool, count: usize, kind: &DataType) -> Option<DataType> {
    match (function, kind) {
        ("round" | "floor" | "ceil", DataType::Int64 | DataType::UInt64) if is_first => {
            Some(DataType::Decimal128(LONG_DIGITS, 0))
        }
        // Nothing is cut from a whole number.
        ("trunc", DataType::Int64 | DataType::UInt64) if count == 1 => Some(DataType::Decimal128(LONG_DIGITS, 0)),
        // The next whole number may have one digit more.
        ("floor" | "ceil", DataType::Decimal128(digits, scale)) if *digits < MOST_DIGITS => {
            Some(DataType::Decimal128(digits + 1, *scale))
        }
        ("power", kind) if kind.is_decimal() => Some(DataType::Float64),
        ("median", DataType::Decimal128(digits, scale)) if *digits < MOST_DIGITS => {
            Some(DataType::Decimal128(digits + 1, scale + 1))
        }
        ("median", kind) if kind.is_decimal() => Some(DataType::Float64),
        _ => None,
    }
}
