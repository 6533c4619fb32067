//! Registers what concerns values and their types: timestamps, casts, integers, floats, and the aggregates over them.

mod averages;
mod carried;
mod casts;
mod date_bin;
mod date_trunc;
mod decimals;
pub(super) mod extremes;
pub(crate) mod floats;
mod instants;
mod integers;
mod intervals;
mod join_keys;
mod numeric_functions;
mod octet_length;
mod sums;
mod time_types;
mod timestamps;
mod to_char;
mod to_timestamp;
mod windows;

use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::{AnalyzerRule, OptimizerRule};

use casts::OpaqueCasts;
use decimals::RoundedDecimals;
use floats::CanonicalFloats;
use integers::CheckedIntegers;
use intervals::ComparedIntervals;
use numeric_functions::NumericArguments;
use timestamps::{MicrosecondCoercions, MicrosecondTimestamps};

/// The rules that come before DataFusion's, which makes implicit casts.
pub(super) fn rules_before_coercion() -> [Arc<dyn AnalyzerRule + Send + Sync>; 3] {
    [Arc::new(MicrosecondTimestamps), Arc::new(ComparedIntervals), Arc::new(NumericArguments)]
}

/// The rules that come behind them, when all casts are there.
pub(super) fn rules_after_coercion() -> [Arc<dyn AnalyzerRule + Send + Sync>; 5] {
    [
        Arc::new(MicrosecondCoercions),
        Arc::new(OpaqueCasts),
        Arc::new(CheckedIntegers),
        Arc::new(RoundedDecimals),
        Arc::new(CanonicalFloats),
    ]
}

/// The rule for joins by what [`rules_after_coercion`] makes of casts.
pub(super) fn rule_for_joins() -> Arc<dyn OptimizerRule + Send + Sync> {
    Arc::new(join_keys::CastKeys)
}

/// What the names of types mean.
pub(super) fn types() -> Arc<dyn TypePlanner> {
    Arc::new(time_types::TimeTypes)
}

/// Functions that take the place of those with their name.
pub(super) fn scalar_functions() -> [ScalarUDF; 5] {
    [
        date_bin::DateBin::new().into(),
        date_trunc::DateTrunc::new().into(),
        octet_length::OctetLength::new().into(),
        to_char::ToChar::new().into(),
        to_timestamp::ToTimestamp::new().into(),
    ]
}

/// Puts functions of ours in the place of DataFusion's.
///
/// # Errors
/// When DataFusion has no function of the name, so that an upgrade cannot bring the old one back under another.
pub(super) fn functions(state: &mut SessionState) -> Result<()> {
    replace_aggregate(state, sums::sum())?;
    replace_aggregate(state, averages::avg())?;
    for function in extremes::min_and_max().into_iter().chain(windows::statistics()) {
        replace_aggregate(state, function)?;
    }
    for name in timestamps::OTHER_UNITS {
        let function = timestamps::in_microseconds(state.udf(name)?);
        replace(state, function)?;
    }
    // DataFusion's own `nvl` makes text of times and floats of decimals.
    let coalesce = state.udf("coalesce")?.as_ref().clone().with_aliases(["nvl", "ifnull"]);
    replace(state, Arc::new(coalesce))?;
    for name in timestamps::ARROW_CASTS {
        let function = timestamps::only_microseconds(state.udf(name)?);
        replace(state, function)?;
    }
    Ok(())
}

fn replace_aggregate(state: &mut SessionState, function: Arc<AggregateUDF>) -> Result<()> {
    let name = function.name().to_owned();
    state.register_udaf(function)?.map(drop).ok_or_else(|| missing(&name))
}

fn replace(state: &mut SessionState, function: Arc<ScalarUDF>) -> Result<()> {
    let name = function.name().to_owned();
    state.register_udf(function)?.map(drop).ok_or_else(|| missing(&name))
}

fn missing(name: &str) -> datafusion::error::DataFusionError {
    internal_datafusion_err!("DataFusion has no function `{name}` for icefold's to stand in for")
}

#[cfg(test)]
mod tests;
