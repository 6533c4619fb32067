//! Registers what concerns values and their types: timestamps, casts, integers, floats, and the aggregates over them.

use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::Analyzer;

use super::casts::OpaqueCasts;
use super::floats::CanonicalFloats;
use super::integers::CheckedIntegers;
use super::timestamps::{self, MicrosecondTimestamps, MicrosecondTypes};
use super::{extremes, sums, windows};

/// Adds types and analyzer rules: one before DataFusion's, which make implicit casts explicit, the others behind them.
pub(super) fn rules(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let zone = builder.config().as_ref().and_then(|config| config.options().execution.time_zone.clone());
    let analyzer = builder.analyzer().get_or_insert_with(Analyzer::new);
    analyzer.rules.insert(0, Arc::new(MicrosecondTimestamps));
    analyzer.rules.push(Arc::new(OpaqueCasts));
    analyzer.rules.push(Arc::new(CheckedIntegers));
    analyzer.rules.push(Arc::new(CanonicalFloats));
    builder.with_type_planner(Arc::new(MicrosecondTypes { zone: zone.map(Into::into) }))
}

/// Puts functions of ours in the place of DataFusion's.
///
/// # Errors
/// When DataFusion has no function of the name, so that an upgrade cannot bring the old one back under another.
pub(super) fn functions(state: &mut SessionState) -> Result<()> {
    replace_aggregate(state, sums::sum())?;
    for function in extremes::min_and_max().into_iter().chain(windows::averages()) {
        replace_aggregate(state, function)?;
    }
    let to_timestamp = timestamps::to_timestamp(state.udf("to_timestamp_micros")?, state.udf("to_timestamp_seconds")?);
    replace(state, to_timestamp)?;
    for name in timestamps::OTHER_UNITS {
        let function = timestamps::in_microseconds(state.udf(name)?);
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
