//! A sum that does not fit its type is an error.
//!
//! DataFusion adds in the type of the result and wraps around. Here integers are added in 38 digits and decimals of 38 digits
//! in 76, which no table can fill, so the order of rows does not matter; only the result must fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err, internal_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;

use super::carried::{Carried, Carrier};

/// Digits of the widest decimals.
const MOST_DIGITS: u8 = 76;
/// Digits in which integers are added.
const INTEGER_DIGITS: u8 = 38;

/// Returns the `sum` that checks.
pub(super) fn sum() -> Arc<AggregateUDF> {
    Carried::udaf(sum_udaf(), Wide)
}

/// Sums in a type that is wide enough for any table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wide;

impl Carrier for Wide {
    const CARRIES_STATES: bool = true;
    const GIVES_BACK: bool = true;

    fn carries(&self, result: &DataType) -> Option<DataType> {
        match result {
            DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal128(INTEGER_DIGITS, 0)),
            // A sum has ten digits more than its arguments, enough for ten thousand million rows, unless that is too many.
            DataType::Decimal128(INTEGER_DIGITS, scale) => Some(DataType::Decimal256(MOST_DIGITS, *scale)),
            _ => None,
        }
    }

    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let wide: PrimitiveArray<Decimal128Type> = match values.data_type() {
            DataType::Int64 => values.as_primitive::<Int64Type>().unary(i128::from),
            DataType::UInt64 => values.as_primitive::<UInt64Type>().unary(i128::from),
            DataType::Decimal128(_, scale) => {
                return Ok(arrow::compute::cast(values, &DataType::Decimal256(MOST_DIGITS, *scale))?);
            }
            other => return internal_err!("sums of {other} are not widened"),
        };
        Ok(Arc::new(wide.with_precision_and_scale(INTEGER_DIGITS, 0)?))
    }

    fn leave(&self, values: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        arrow::compute::cast_with_options(values, result, &options).map_err(|_| match result {
            DataType::Decimal128(..) => {
                exec_datafusion_err!("a sum has more than 38 digits: cast the argument to DOUBLE")
            }
            _ => exec_datafusion_err!(
                "a sum of whole numbers does not fit BIGINT: cast the argument, as in `sum(CAST(x AS DECIMAL(38, 0)))`"
            ),
        })
    }
}
