//! Registers what concerns values and their types: timestamps, casts, integers, floats, and the aggregates over them.

use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::casts::OpaqueCasts;
use super::decimals::RoundedDecimals;
use super::floats::CanonicalFloats;
use super::integers::CheckedIntegers;
use super::intervals::ComparedIntervals;
use super::numeric_functions::NumericArguments;
use super::timestamps::{self, MicrosecondCoercions, MicrosecondTimestamps};
use super::{averages, extremes, sums, windows};

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
