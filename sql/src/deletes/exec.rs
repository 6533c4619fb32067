//! The plan node above a scan with deletes.
//!
//! It drops the rows that equality deletes name and the columns that were read only for that. It stands above scans with
//! position deletes too, as a barrier: a limit must not reach their Parquet source, which answers limits by counting the
//! rows of whole row groups and would bring deleted rows back. Filters pass through it in both cases.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::equality::EqualityDeletes;

/// Applies deletes to the rows of `input`.
#[derive(Debug, Clone)]
pub(crate) struct DeleteExec {
    input: Arc<dyn ExecutionPlan>,
    /// How many of the input's columns, from the first on, come out.
    width: usize,
    equality: Option<Arc<EqualityDeletes>>,
    position_files: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DeleteExec {
    /// Puts the node above `input`, whose first `width` columns come out.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        width: usize,
        equality: Option<Arc<EqualityDeletes>>,
        position_files: usize,
    ) -> Result<Self> {
        let columns: Vec<usize> = (0..width).collect();
        let schema: SchemaRef = Arc::new(input.schema().project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(DeleteExec { input, width, equality, position_files, properties: Arc::new(properties), metrics })
    }
}

impl DisplayAs for DeleteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equality = self.equality.as_ref().map_or(0, |deletes| deletes.files());
        write!(f, "DeleteExec: position_delete_files={}, equality_delete_files={equality}", self.position_files)
    }
}

impl ExecutionPlan for DeleteExec {
    fn name(&self) -> &'static str {
        "DeleteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Rows do come out in the order of the input, but that is not told: told so, the optimizer moves sorts below, where the
    /// properties of this node would have to speak of order too, and where the reader reorders row groups that have deletes.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(DeleteExec::new(input, self.width, self.equality.clone(), self.position_files)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let applier = Applier {
            width: self.width,
            equality: self.equality.clone(),
            rows: BaselineMetrics::new(&self.metrics, partition),
            deleted: MetricBuilder::new(&self.metrics).counter("rows_deleted", partition),
        };
        let batches = futures::stream::once(async move {
            if let Some(equality) = &applier.equality {
                equality.load(&context).await?;
            }
            Ok::<_, DataFusionError>(input.map(move |batch| applier.apply(&batch?)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Arc::unwrap_or_clone(self.input.partition_statistics(partition)?).to_inexact();
        statistics.column_statistics.truncate(self.width);
        Ok(Arc::new(statistics))
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        // The order of filtering and deleting does not matter, and the columns that come out are the input's first.
        FilterDescription::from_children(parent_filters, &self.children())
    }
}

struct Applier {
    width: usize,
    equality: Option<Arc<EqualityDeletes>>,
    rows: BaselineMetrics,
    deleted: Count,
}

impl Applier {
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let time = self.rows.elapsed_compute().clone();
        let _timer = time.timer();
        let keep = self.equality.as_ref().map(|deletes| deletes.keep(batch)).transpose()?.flatten();
        let columns: Vec<usize> = (0..self.width).collect();
        let mut rest = batch.project(&columns)?;
        if let Some(keep) = keep.filter(|keep| keep.count_set_bits() < keep.len()) {
            rest = filter_record_batch(&rest, &BooleanArray::new(keep, None))?;
        }
        self.deleted.add(batch.num_rows() - rest.num_rows());
        self.rows.record_output(rest.num_rows());
        Ok(rest)
    }
}
