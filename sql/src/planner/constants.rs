//! Windows over columns that are one constant.
//!
//! DataFusion takes rows for sorted by a column that is one constant in them, by a literal or a filter. When several windows, or the
//! parts of one, are about it, sorts are moved and dropped until the rows are not sorted by the other columns either: "does not satisfy
//! order requirements", "Expects PARTITION BY expression to be ordered". Here a window does not learn what is constant below it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    with_new_children_if_necessary,
};

/// Puts a node that tells of no constants below windows, where there are some.
#[derive(Debug)]
pub(super) struct WindowsForgetConstants;

impl PhysicalOptimizerRule for WindowsForgetConstants {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let is_window = node.is::<WindowAggExec>() || node.is::<BoundedWindowAggExec>();
            let input = node.children().first().map(|input| Arc::clone(input));
            match input.filter(|input| is_window && !input.equivalence_properties().constants().is_empty()) {
                Some(input) => {
                    let input: Arc<dyn ExecutionPlan> = Arc::new(ForgetExec::new(input));
                    Ok(Transformed::yes(with_new_children_if_necessary(node, vec![input])?))
                }
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "windows_forget_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows of `input`, of which nothing is told but their columns.
#[derive(Debug)]
struct ForgetExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ForgetExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        ForgetExec { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ForgetExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForgetExec")
    }
}

impl ExecutionPlan for ForgetExec {
    fn name(&self) -> &'static str {
        "ForgetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(ForgetExec::new(children.swap_remove(0))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::answer;

    #[tokio::test]
    async fn windows_over_a_constant_are_answered() {
        let rows = "(SELECT a, b, 1 AS k, DATE '2020-01-01' AS d FROM (VALUES ('x', 1), ('y', 2), ('z', 3)) v(a, b))";
        for (windows, condition, expected) in [
            (
                "rank() OVER (ORDER BY d, b DESC), row_number() OVER (ORDER BY d DESC, a)",
                "true",
                ["x|3|1", "y|2|2", "z|1|3"],
            ),
            (
                "rank() OVER (ORDER BY d ASC NULLS LAST, b DESC), count(*) OVER (ORDER BY d DESC NULLS LAST)",
                "true",
                ["x|3|3", "y|2|3", "z|1|3"],
            ),
            (
                "lag(a) OVER (PARTITION BY k % 7, b % 1 ORDER BY a), sum(b) OVER (ORDER BY k NULLS FIRST, d DESC)",
                "k = 1",
                ["x||6", "y|x|6", "z|y|6"],
            ),
            (
                "lag(a) OVER (PARTITION BY k ORDER BY d NULLS FIRST, a), sum(1) OVER (ORDER BY d)",
                "true",
                ["x||3", "y|x|3", "z|y|3"],
            ),
        ] {
            let sql = format!("SELECT a, {windows} FROM {rows} WHERE {condition} ORDER BY a");
            assert_eq!(answer(&sql).await, expected, "{sql}");
        }
    }
}
