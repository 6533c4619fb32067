//! Tells scans apart that have one name and read different things.
//!
//! DataFusion compares scans by the table's name and takes two of one name for one: two calls of one table function, one table
//! at two snapshots. Then a subquery is answered with the rows of another, and a union of two becomes a filter over one. Here
//! the second and any further source under a name is scanned under a name of its own, below an alias that keeps its columns.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Result, TableReference};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, SubqueryAlias, TableScan, TableSource};
use datafusion::optimizer::AnalyzerRule;

/// Gives each source that is scanned a name of its own.
#[derive(Debug)]
pub(super) struct OneNameOneSource;

impl AnalyzerRule for OneNameOneSource {
    fn name(&self) -> &'static str {
        "one_name_one_source"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut seen: Vec<(TableReference, usize)> = Vec::new();
        let told_apart = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => {
                let number = number_of(&scan, &mut seen);
                let node = if number == 0 { LogicalPlan::TableScan(scan) } else { renamed(scan, number)? };
                Ok(Transformed::new(node, number > 0, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(told_apart.data)
    }
}

/// Returns how many other sources were seen under the name of a scan before its own.
fn number_of(scan: &TableScan, seen: &mut Vec<(TableReference, usize)>) -> usize {
    let source = identity(&scan.source);
    let of_name: Vec<usize> = seen.iter().filter(|(name, _)| *name == scan.table_name).map(|(_, id)| *id).collect();
    of_name.iter().position(|id| *id == source).unwrap_or_else(|| {
        seen.push((scan.table_name.clone(), source));
        of_name.len()
    })
}

/// Returns what two scans of one thing have in common: the provider, or the source if it has none.
fn identity(source: &Arc<dyn TableSource>) -> usize {
    match source_as_provider(source) {
        Ok(provider) => Arc::as_ptr(&provider).cast::<()>().addr(),
        Err(_) => Arc::as_ptr(source).cast::<()>().addr(),
    }
}

fn renamed(scan: TableScan, number: usize) -> Result<LogicalPlan> {
    let name = TableReference::bare(format!("{} {}", scan.table_name, number + 1));
    let inner = TableScan::try_new(name, scan.source, scan.projection, scan.filters, scan.fetch)?;
    Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(LogicalPlan::TableScan(inner)), scan.table_name)?))
}
