//! A sum that does not fit its type is an error.
//!
//! DataFusion adds in the type of the result and wraps around. Here integers and spans of time are added in 38 digits and decimals
//! of 38 digits in 76, which no table can fill, so the order of rows does not matter; only the result must fit. Decimals that have
//! more digits than a sum has room for are refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;

use super::carried::{Carried, Carrier};

/// Digits of the widest decimals.
const MOST_DIGITS: u8 = 76;
/// Digits in which integers are added.
const INTEGER_DIGITS: u8 = 38;

/// Digits that a sum has more than its arguments.
const MORE_DIGITS: u8 = 10;

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
            DataType::Int64 | DataType::UInt64 | DataType::Duration(_) => Some(DataType::Decimal128(INTEGER_DIGITS, 0)),
            // A sum has ten digits more than its arguments, enough for ten thousand million rows, unless that is too many.
            DataType::Decimal128(INTEGER_DIGITS, scale) => Some(DataType::Decimal256(MOST_DIGITS, *scale)),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                Some(DataType::Decimal128(INTEGER_DIGITS, *scale))
            }
            // Arguments with more digits than that leaves room for are refused on the way in.
            DataType::Decimal256(MOST_DIGITS, scale) => Some(DataType::Decimal256(MOST_DIGITS, *scale)),
            _ => None,
        }
    }

    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let wide: PrimitiveArray<Decimal128Type> = match values.data_type() {
            DataType::Int64 => values.as_primitive::<Int64Type>().unary(i128::from),
            DataType::UInt64 => values.as_primitive::<UInt64Type>().unary(i128::from),
            DataType::Duration(_) => {
                let ticks = arrow::compute::cast(values, &DataType::Int64)?;
                ticks.as_primitive::<Int64Type>().unary(i128::from)
            }
            DataType::Decimal128(_, scale) => {
                return Ok(arrow::compute::cast(values, &DataType::Decimal256(MOST_DIGITS, *scale))?);
            }
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                return Ok(arrow::compute::cast(values, &DataType::Decimal128(INTEGER_DIGITS, *scale))?);
            }
            DataType::Decimal256(digits, _) if *digits <= MOST_DIGITS - MORE_DIGITS => return Ok(Arc::clone(values)),
            DataType::Decimal256(..) => {
                return exec_err!(
                    "sums have room for decimals of 66 digits: cast the argument to DECIMAL(66, …) or DOUBLE"
                );
            }
            other => return internal_err!("sums of {other} are not widened"),
        };
        Ok(Arc::new(wide.with_precision_and_scale(INTEGER_DIGITS, 0)?))
    }

    fn leave(&self, values: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let sum = match result {
            DataType::Duration(_) => cast_with_options(values, &DataType::Int64, &options),
            _ => Ok(Arc::clone(values)),
        };
        sum.and_then(|sum| cast_with_options(&sum, result, &options)).map_err(|_| does_not_fit(result))
    }
}

fn does_not_fit(result: &DataType) -> DataFusionError {
    match result {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal256(..) => {
            exec_datafusion_err!("a sum does not fit {result}: cast the argument to DECIMAL(38, …) or DOUBLE")
        }
        DataType::Decimal128(..) => {
            exec_datafusion_err!("a sum has more than 38 digits: cast the argument to DOUBLE")
        }
        DataType::Duration(_) => {
            exec_datafusion_err!(
                "a sum of spans of time does not fit: add seconds, as in `sum(to_unixtime(b) - to_unixtime(a))`"
            )
        }
        _ => exec_datafusion_err!(
            "a sum of whole numbers does not fit BIGINT: cast the argument, as in `sum(CAST(x AS DECIMAL(38, 0)))`"
        ),
    }
}
