//! Bounds of columns only for who may answer with them. `FilterExec` puts them into interval arithmetic, which fails for values
//! at the end of a range ("Selectivity is out of limit"), overflows for clocks of far years, and takes estimates for constants.
//! A scan therefore tells bounds only to an aggregate over the whole table, where `min` and `max` need not read.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::table::IcefoldTable;

/// The rule; it must come after those that push filters down.
#[derive(Debug)]
pub(crate) struct WholeTableBounds;

impl OptimizerRule for WholeTableBounds {
    fn name(&self) -> &str {
        "icefold_whole_table_bounds"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(mut aggregate) = plan else { return Ok(Transformed::no(plan)) };
        if !aggregate.group_expr.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let input = with_bounds(&aggregate.input)?;
        let told = input.is_some();
        if let Some(input) = input {
            aggregate.input = Arc::new(input);
        }
        Ok(Transformed::new_transformed(LogicalPlan::Aggregate(aggregate), told))
    }
}

/// Returns the plan with a scan that tells its bounds, if it reads a whole table and nothing else.
fn with_bounds(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => Ok(with_bounds(&projection.input)?.map(|input| {
            let mut projection = projection.clone();
            projection.input = Arc::new(input);
            LogicalPlan::Projection(projection)
        })),
        LogicalPlan::SubqueryAlias(alias) => Ok(with_bounds(&alias.input)?.map(|input| {
            let mut alias = alias.clone();
            alias.input = Arc::new(input);
            LogicalPlan::SubqueryAlias(alias)
        })),
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
            let Some(table) = provider.downcast_ref::<IcefoldTable>().and_then(IcefoldTable::with_bounds) else {
                return Ok(None);
            };
            let mut scan = scan.clone();
            scan.source = provider_as_source(Arc::new(table));
            Ok(Some(LogicalPlan::TableScan(scan)))
        }
        _ => Ok(None),
    }
}
