//! The least and the greatest of floats, in groups and windows as without them.
//!
//! In groups DataFusion starts from the least and greatest finite number and forgets what it had when it meets NaN. Here floats
//! are compared as integers in the same order: NaN, of either sign, is greater than every number, and zeros are equal.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::AggregateUDF;

use super::carried::{Carried, Carrier};

/// Returns `min` and `max`.
pub(in crate::planner) fn min_and_max() -> [Arc<AggregateUDF>; 2] {
    [min_udaf(), max_udaf()].map(|inner| Carried::udaf(inner, Ranks))
}

/// Floats as integers of their size in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ranks;

impl Carrier for Ranks {
    // DataFusion's own top of groups writes them, too.
    const CARRIES_STATES: bool = false;
    // A value that has left the window stays when only nulls are left.
    const GIVES_BACK: bool = false;

    fn carries(&self, result: &DataType) -> Option<DataType> {
        match result {
            DataType::Float64 => Some(DataType::Int64),
            DataType::Float32 => Some(DataType::Int32),
            _ => None,
        }
    }

    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(match values.data_type() {
            DataType::Float64 => {
                let ranks: PrimitiveArray<Int64Type> = values.as_primitive::<Float64Type>().unary(rank);
                Arc::new(ranks)
            }
            DataType::Float32 => {
                let ranks: PrimitiveArray<Int32Type> = values.as_primitive::<Float32Type>().unary(rank_32);
                Arc::new(ranks)
            }
            other => return internal_err!("{other} has no ranks"),
        })
    }

    fn leave(&self, values: &ArrayRef, _: &DataType) -> Result<ArrayRef> {
        Ok(match values.data_type() {
            DataType::Int64 => {
                let floats: PrimitiveArray<Float64Type> =
                    values.as_primitive::<Int64Type>().unary(|rank| f64::from_bits(flip(rank) as u64));
                Arc::new(floats)
            }
            DataType::Int32 => {
                let floats: PrimitiveArray<Float32Type> =
                    values.as_primitive::<Int32Type>().unary(|rank| f32::from_bits(flip_32(rank) as u32));
                Arc::new(floats)
            }
            other => return internal_err!("{other} is no rank"),
        })
    }
}

fn rank(value: f64) -> i64 {
    flip(super::floats::canonical(value).to_bits() as i64)
}

fn rank_32(value: f32) -> i32 {
    flip_32(super::floats::canonical_32(value).to_bits() as i32)
}

/// Below zero, bits of floats grow with the distance from zero: turns them round. Its own inverse.
fn flip(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn flip_32(bits: i32) -> i32 {
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_in_the_order_of_the_numbers() {
        let ordered = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            1e-300,
            2.0,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        assert!(ordered.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        assert!(ordered.iter().all(|v| f64::from_bits(flip(rank(*v)) as u64).to_bits() == v.to_bits()));
        assert_eq!((rank(-0.0), rank(-f64::NAN)), (rank(0.0), rank(f64::NAN)));
    }
}
