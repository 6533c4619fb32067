//! Casts that lose something are not seen through.
//!
//! DataFusion turns `CAST(x AS t) = literal` into `x = literal`, and prunes row groups by `CAST(min AS t)` and
//! `CAST(max AS t)`. The first is right only when `t` keeps every value of `x` apart, the second only when the cast keeps the
//! order: `CAST(2.6 AS INT) = 3` and `CAST(ts AS TIME) > TIME '12:00:00'` are neither. Casts for which it would be wrong become
//! calls of a function that casts alike and that no rule knows.

use std::sync::Arc;

use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::tree_node::Transformed;
use datafusion::common::utils::take_function_args;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::rewrite;

const DAY_MICROS: i64 = 86_400_000_000;

/// Replaces casts that must not be seen through. Comes after the rule that makes implicit casts explicit.
#[derive(Debug)]
pub(super) struct OpaqueCasts;

impl AnalyzerRule for OpaqueCasts {
    fn name(&self) -> &str {
        "icefold_opaque_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &opaque)
    }
}

fn opaque(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, to, is_try) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field, false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, true),
        _ => return Ok(Transformed::no(expr)),
    };
    let Ok(from) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    if matches!(**inner, Expr::Literal(..)) || may_be_seen_through(&from, to.data_type()) {
        return Ok(Transformed::no(expr));
    }
    let function =
        OpaqueCast { to: to.data_type().clone(), is_try, signature: Signature::any(1, Volatility::Immutable) };
    let inner = inner.as_ref().clone();
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::from(function)),
        vec![inner],
    ))))
}

/// Says whether a function that casts is one that tries; `None` for all other functions.
pub(super) fn is_try(function: &ScalarFunction) -> Option<bool> {
    function.func.inner().downcast_ref::<OpaqueCast>().map(|cast| cast.is_try)
}

/// Says whether what DataFusion concludes from a comparison with the cast is right.
fn may_be_seen_through(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Int32, Int64, Time32, Time64, Timestamp};
    match (from, to) {
        _ if from == to => true,
        // The order is lost: by the time of day, by clocks that are set back, by numbers below zero.
        (_, Time32(_) | Time64(_)) => from.is_string(),
        (Timestamp(_, Some(zone)), Timestamp(_, None) | Date32 | Date64) if !is_utc(zone) => false,
        (Timestamp(_, None) | Date32 | Date64, Timestamp(_, Some(zone))) if !is_utc(zone) => false,
        (_, Boolean) => from.is_string(),
        // DataFusion's estimate of how many rows are left fails for times within one day; see `preimage`.
        (Timestamp(..), Date32) => false,
        // The value is the same number.
        (Int32 | Timestamp(..), Int64) | (Int64, Timestamp(..)) | (Date32, Int32 | Int64) | (Int32, Date32) => true,
        (Timestamp(from, _), Timestamp(to, _)) => from == to,
        // Compared as they are: DataFusion knows that these are not one to one.
        (Date32 | Date64, _) | (_, Date32 | Date64) => !from.is_integer() && !to.is_integer(),
        _ if is_exact(from) && is_exact(to) => holds_all(from, to),
        _ => true,
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Z")
}

/// Numbers without rounding; floats are never seen through.
fn is_exact(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_decimal()
}

/// Says whether each value of `from` is one of `to`.
fn holds_all(from: &DataType, to: &DataType) -> bool {
    let (Some((from_whole, from_scale)), Some((to_whole, to_scale))) = (digits(from), digits(to)) else { return false };
    if from.is_integer() && to.is_integer() {
        let (from, to) = (bits(from), bits(to));
        return to.0 <= from.0 && to.1 >= from.1;
    }
    // The greatest integers have as many digits as others that they do not hold.
    to.is_decimal() && from_whole <= to_whole && 0 <= from_scale && from_scale <= to_scale
}

/// Digits before and behind the point.
fn digits(kind: &DataType) -> Option<(i16, i16)> {
    Some(match kind {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => (i16::from(*p) - i16::from(*s), i16::from(*s)),
        _ => return None,
    })
}

/// The least and the greatest value of an integer.
fn bits(kind: &DataType) -> (i128, i128) {
    match kind {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// `CAST(x AS to)`, or `TRY_CAST`, as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OpaqueCast {
    to: DataType,
    is_try: bool,
    signature: Signature,
}

impl ScalarUDFImpl for OpaqueCast {
    fn name(&self) -> &str {
        if self.is_try { "try_cast" } else { "cast" }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        let verb = if self.is_try { "TRY_CAST" } else { "CAST" };
        Ok(args.iter().map(|arg| format!("{verb}({arg} AS {})", self.to)).collect())
    }

    /// As that of a cast: columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let is_nullable = self.is_try || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), is_nullable)))
    }

    /// The times of one day, so that filters by days still leave out files and row groups.
    fn preimage(&self, args: &[Expr], date: &Expr, context: &SimplifyContext) -> Result<PreimageResult> {
        let [time] = take_function_args(self.name(), args)?;
        let (DataType::Date32, Expr::Literal(ScalarValue::Date32(Some(day)), _)) = (&self.to, date) else {
            return Ok(PreimageResult::None);
        };
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = context.get_data_type(time)? else {
            return Ok(PreimageResult::None);
        };
        let start = |day: i64| day.checked_mul(DAY_MICROS);
        let (Some(first), Some(next)) = (start(i64::from(*day)), start(i64::from(*day) + 1)) else {
            return Ok(PreimageResult::None);
        };
        if zone.as_ref().is_some_and(|zone| !is_utc(zone)) {
            return Ok(PreimageResult::None);
        }
        let micros = |value| ScalarValue::TimestampMicrosecond(Some(value), zone.clone());
        let interval = Box::new(Interval::try_new(micros(first), micros(next))?);
        Ok(PreimageResult::Range { expr: time.clone(), interval })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = take_function_args(self.name(), args.args)?;
        let options = CastOptions { safe: self.is_try, ..DEFAULT_CAST_OPTIONS };
        value.cast_to(&self.to, Some(&options))
    }
}
