//! `DISTINCT` as a grouping by all columns, always.
//!
//! DataFusion leaves it out when a grouping below has all columns as its keys, also when a join or `unnest` in between has made
//! several rows of one.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::expand_wildcard;
use datafusion::logical_expr::{Aggregate, Distinct, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Comes before DataFusion's rule about `DISTINCT`, which then finds none but `DISTINCT ON` and those of no columns.
#[derive(Debug)]
pub(super) struct DistinctIsGrouping;

impl OptimizerRule for DistinctIsGrouping {
    fn name(&self) -> &str {
        "icefold_distinct_is_grouping"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Distinct(Distinct::All(input)) if !input.schema().fields().is_empty() => {
                let columns = expand_wildcard(input.schema(), &input, None)?;
                let grouped = Aggregate::try_new(Arc::clone(&input), columns, Vec::new())?;
                Ok(Transformed::yes(LogicalPlan::Aggregate(grouped)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}
