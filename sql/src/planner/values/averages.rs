//! Averages of decimals and of spans of time are rounded.
//!
//! DataFusion cuts the digits behind the last one, and adds decimals up in the digits that they have, which wrap around. Here they
//! are added in a type that no table can fill and divided with one digit more than the result has; that digit is rounded off.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::AggregateUDF;

use super::carried::{Carried, Carrier};

/// Digits that the result has more than its arguments, before and behind the point, as DataFusion decides.
const MORE_DIGITS: u8 = 4;
/// Most digits of arguments for which 38 digits are enough: ten for the number of rows and five behind the point are left.
const FEW_DIGITS: u8 = 23;

/// Returns the `avg` that rounds.
pub(super) fn avg() -> Arc<AggregateUDF> {
    Carried::udaf(avg_udaf(), Rounded)
}

/// Averages with one digit more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Rounded;

impl Carrier for Rounded {
    const CARRIES_STATES: bool = true;
    // Not of floats, which `Carried` knows.
    const GIVES_BACK: bool = true;

    fn carries(&self, result: &DataType) -> Option<DataType> {
        match result {
            DataType::Decimal128(digits, scale) if *digits <= FEW_DIGITS + MORE_DIGITS => {
                Some(DataType::Decimal128(38, scale + 1))
            }
            DataType::Decimal128(_, scale) => Some(DataType::Decimal256(76, scale + 1)),
            DataType::Duration(_) => Some(DataType::Decimal128(38, 1)),
            _ => None,
        }
    }

    fn argument(&self, argument: &DataType) -> DataType {
        match argument {
            DataType::Decimal128(digits, scale) if *digits <= FEW_DIGITS => DataType::Decimal128(38, *scale),
            DataType::Decimal128(_, scale) => DataType::Decimal256(76, *scale),
            DataType::Duration(_) => DataType::Decimal128(38, 0),
            other => other.clone(),
        }
    }

    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let values = match values.data_type() {
            DataType::Duration(_) => &cast(values, &DataType::Int64)?,
            _ => values,
        };
        let to = match values.data_type() {
            DataType::Int64 => DataType::Decimal128(38, 0),
            other => self.argument(other),
        };
        Ok(cast(values, &to)?)
    }

    fn leave(&self, values: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let rounded = match result {
            DataType::Duration(_) => {
                let whole = cast_with_options(values, &DataType::Decimal128(38, 0), &options)?;
                cast_with_options(&cast_with_options(&whole, &DataType::Int64, &options)?, result, &options)
            }
            _ => cast_with_options(values, result, &options),
        };
        rounded.map_err(|_| exec_datafusion_err!("an average has more than 38 digits: cast the argument to DOUBLE"))
    }
}
