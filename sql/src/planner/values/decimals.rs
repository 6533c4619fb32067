//! What decimals give is rounded, and fits its type.
//!
//! DataFusion cuts the digits of a quotient behind the last one: two thirds are `0.666666`. Here they are rounded, half away from
//! zero, in the type that DataFusion chose: four digits more behind the point than the dividend has. Sums, differences and products
//! are left as they are, unless their type has all digits that there are: then they are checked to fit it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Datum, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::compute::try_binary;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType, i256};
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_datafusion_err, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum;

use crate::planner::rewrite;

/// Digits of decimals that are numbers of 128 bits.
const DIGITS: u8 = 38;
/// Digits of the widest decimals.
const MOST_DIGITS: u8 = 76;

/// Replaces operators between decimals. Comes after the rule that gives both sides decimals.
#[derive(Debug)]
pub(super) struct RoundedDecimals;

impl AnalyzerRule for RoundedDecimals {
    fn name(&self) -> &str {
        "icefold_rounded_decimals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &rounded)
    }
}

fn rounded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else { return Ok(Transformed::no(expr)) };
    let Ok(result) = expr.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let Some(operation) = operation(*op, &result) else { return Ok(Transformed::no(expr)) };
    let are_decimals = [left, right].iter().all(|side| side.get_type(schema).is_ok_and(|kind| is_wide(&kind)));
    if !are_decimals {
        return Ok(Transformed::no(expr));
    }
    let function = OnDecimals { operation, result, signature: Signature::any(2, Volatility::Immutable) };
    let args = vec![left.as_ref().clone(), right.as_ref().clone()];
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), args))))
}

fn is_wide(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// Returns what is to be done by ours; `None` for what DataFusion does right.
fn operation(op: Operator, result: &DataType) -> Option<Operation> {
    let is_full = matches!(result, DataType::Decimal128(DIGITS, _) | DataType::Decimal256(MOST_DIGITS, _));
    match op {
        Operator::Divide if is_wide(result) => Some(Operation::Divide),
        Operator::Plus if is_full => Some(Operation::Add),
        Operator::Minus if is_full => Some(Operation::Subtract),
        Operator::Multiply if is_full => Some(Operation::Multiply),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// An operation on decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OnDecimals {
    operation: Operation,
    /// The type that the operator would give.
    result: DataType,
    signature: Signature,
}

impl OnDecimals {
    fn sign(&self) -> &'static str {
        match self.operation {
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
        }
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        let full = match self.operation {
            Operation::Add => numeric::add(left, right)?,
            Operation::Subtract => numeric::sub(left, right)?,
            Operation::Multiply => numeric::mul(left, right)?,
            Operation::Divide => return quotients(left, right, &self.result),
        };
        match full.data_type() {
            DataType::Decimal128(digits, _) => {
                full.as_primitive::<Decimal128Type>().validate_decimal_precision(*digits)?
            }
            DataType::Decimal256(digits, _) => {
                full.as_primitive::<Decimal256Type>().validate_decimal_precision(*digits)?
            }
            _ => {}
        }
        Ok(full)
    }
}

impl ScalarUDFImpl for OnDecimals {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "decimal_add",
            Operation::Subtract => "decimal_subtract",
            Operation::Multiply => "decimal_multiply",
            Operation::Divide => "decimal_divide",
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(ToString::to_string).collect::<Vec<_>>().join(&format!(" {} ", self.sign())))
    }

    /// As that of the operator: columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sides = args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>();
        Ok(sides.join(&format!(" {} ", self.sign())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("`{}` has two sides", self.sign()) };
        datum::apply(left, right, |left, right| self.compute(left, right)).map_err(|error| {
            let text = error.strip_backtrace();
            exec_datafusion_err!(
                "`{}` of decimals: {text}: cast one side to a narrower DECIMAL or to DOUBLE",
                self.sign()
            )
        })
    }
}

/// Divides and rounds. One side may be a single value for all rows.
fn quotients(left: &dyn Datum, right: &dyn Datum, result: &DataType) -> Result<ArrayRef, ArrowError> {
    let ((left, left_is_one), (right, right_is_one)) = (left.get(), right.get());
    let ten = scale(result) - scale(left.data_type()) + scale(right.data_type());
    Ok(match result {
        DataType::Decimal128(digits, scale) => {
            let quotients = each::<Decimal128Type>((left, left_is_one), (right, right_is_one), |left, right| {
                quotient(left, right, ten)
            })?;
            let quotients = quotients.with_precision_and_scale(*digits, *scale)?;
            quotients.validate_decimal_precision(*digits)?;
            Arc::new(quotients)
        }
        DataType::Decimal256(digits, scale) => {
            let quotients = each::<Decimal256Type>((left, left_is_one), (right, right_is_one), |left, right| {
                wide_quotient(left, right, ten)
            })?;
            let quotients = quotients.with_precision_and_scale(*digits, *scale)?;
            quotients.validate_decimal_precision(*digits)?;
            Arc::new(quotients)
        }
        other => return Err(ArrowError::ComputeError(format!("{other} is no decimal"))),
    })
}

fn scale(kind: &DataType) -> i32 {
    match kind {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => i32::from(*scale),
        _ => 0,
    }
}

/// Computes each row, NULL where a side is.
fn each<T: DecimalType>(
    (left, left_is_one): (&dyn Array, bool),
    (right, right_is_one): (&dyn Array, bool),
    compute: impl Fn(T::Native, T::Native) -> Result<T::Native, ArrowError>,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    match (left_is_one, right_is_one) {
        (true, false) if left.is_null(0) => Ok(PrimitiveArray::new_null(right.len())),
        (false, true) if right.is_null(0) => Ok(PrimitiveArray::new_null(left.len())),
        (true, false) => right.try_unary(|value| compute(left.value(0), value)),
        (false, true) => left.try_unary(|value| compute(value, right.value(0))),
        _ => try_binary(left, right, compute),
    }
}

/// Returns `left` times ten to the power of `ten`, divided by `right` and rounded.
fn quotient(left: i128, right: i128, ten: i32) -> Result<i128, ArrowError> {
    let dividend =
        u32::try_from(ten).ok().and_then(|ten| 10_i128.checked_pow(ten)).and_then(|ten| left.checked_mul(ten));
    match dividend {
        Some(_) if right == 0 => Err(ArrowError::DivideByZero),
        Some(dividend) => {
            let (whole, rest) = (dividend / right, (dividend % right).unsigned_abs());
            let is_more = rest >= right.unsigned_abs() - rest;
            Ok(if !is_more {
                whole
            } else if (dividend < 0) == (right < 0) {
                whole + 1
            } else {
                whole - 1
            })
        }
        None => wide_quotient(i256::from_i128(left), i256::from_i128(right), ten)?.to_i128().ok_or_else(does_not_fit),
    }
}

/// As [`quotient`], for more digits.
fn wide_quotient(left: i256, right: i256, ten: i32) -> Result<i256, ArrowError> {
    let power = i256::from(10).checked_pow(ten.unsigned_abs()).ok_or_else(does_not_fit)?;
    let (dividend, divisor) = match ten.cmp(&0) {
        Ordering::Less => (Some(left), right.checked_mul(power)),
        _ => (left.checked_mul(power), Some(right)),
    };
    let (dividend, divisor) = dividend.zip(divisor).ok_or_else(does_not_fit)?;
    if divisor == i256::ZERO {
        return Err(ArrowError::DivideByZero);
    }
    let (whole, rest) = dividend.checked_div(divisor).zip(dividend.checked_rem(divisor)).ok_or_else(does_not_fit)?;
    let (rest, divisor_size) = (rest.wrapping_abs(), divisor.wrapping_abs());
    let is_more = rest >= divisor_size - rest;
    let step = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    Ok(if is_more { whole.wrapping_add(step) } else { whole })
}

fn does_not_fit() -> ArrowError {
    ArrowError::ArithmeticOverflow("the quotient has too many digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_away_from_zero() {
        for (left, right, wanted) in
            [(1, 3, 33), (2, 3, 67), (-2, 3, -67), (2, -3, -67), (1, 8, 13), (-1, 8, -13), (0, 3, 0)]
        {
            assert_eq!(quotient(left, right, 2).expect("a quotient"), wanted, "{left} / {right}");
            let wide = wide_quotient(i256::from_i128(left), i256::from_i128(right), 2).expect("a quotient");
            assert_eq!(wide, i256::from_i128(wanted), "{left} / {right}");
        }
        // More than 38 digits on the way.
        assert_eq!(
            quotient(2 * 10_i128.pow(37), 3 * 10_i128.pow(20), 10).expect("a quotient"),
            666_666_666_666_666_666_666_666_667
        );
        assert_eq!(wide_quotient(i256::from(250), i256::from(1), -2).expect("a quotient"), i256::from(3));
    }
}
