//! Queries the tables of [`icefold_fixture`].

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use icefold_catalog::LiveFile;
use icefold_core::Result;
use icefold_fixture::Fixture;

use crate::files::{Place, SnapshotFiles};
use crate::planner;
use crate::session::{SessionSettings, bare_context};
use crate::table::IcefoldTable;

/// What a table of tests can be asked.
pub(crate) trait Queries {
    /// A session that knows the table as `t`.
    fn session(&self) -> SessionContext;

    fn session_with(&self, target_partitions: usize) -> SessionContext;

    /// Runs a query; one line per row, values separated by `|`, sorted.
    async fn query(&self, sql: &str) -> Vec<String>;

    async fn try_query(&self, sql: &str) -> datafusion::common::Result<Vec<String>>;

    /// Plans a query.
    async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan>;

    /// Returns how many data files a query would open.
    async fn planned_files(&self, sql: &str) -> usize;
}

impl Queries for Fixture {
    fn session(&self) -> SessionContext {
        self.session_with(4)
    }

    fn session_with(&self, target_partitions: usize) -> SessionContext {
        let place = Place::new(self.store.clone()).expect("place");
        let files = Arc::new(FixedFiles { files: self.files.clone(), place });
        let table = IcefoldTable::new("t", &Arc::new(self.metadata.clone()), None, files).expect("table");
        let settings = SessionSettings { target_partitions, ..SessionSettings::default() };
        let context = bare_context(&settings, &self.store).expect("context");
        context.register_table("t", Arc::new(table)).expect("register");
        context
    }

    async fn query(&self, sql: &str) -> Vec<String> {
        let mut lines = self.try_query(sql).await.expect("query");
        lines.sort_unstable();
        lines
    }

    async fn try_query(&self, sql: &str) -> datafusion::common::Result<Vec<String>> {
        Ok(lines(&self.session().sql(sql).await?.collect().await?))
    }

    async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        self.session().sql(sql).await.expect("plan").create_physical_plan().await.expect("plan")
    }

    async fn planned_files(&self, sql: &str) -> usize {
        scans(&self.plan(sql).await)
            .iter()
            .flat_map(|scan| scan.file_groups.iter().flat_map(|group| group.iter()))
            .map(|file| file.object_meta.location.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }
}

/// Runs a query that needs no table, as a session would; one line per row in the order of the answer.
pub(crate) async fn try_answer(sql: &str) -> datafusion::common::Result<Vec<String>> {
    let state = planner::state(SessionConfig::new(), Arc::new(RuntimeEnv::default()))?;
    // A state that knows what time it is now.
    let state = SessionContext::new_with_state(state).state();
    let mut statement = planner::parse(sql, 50)?;
    planner::rewrite(&mut statement, &|name| state.scalar_functions().contains_key(name))?;
    let plan = state.statement_to_plan(statement).await?;
    Ok(lines(&DataFrame::new(state, plan).collect().await?))
}

/// As [`try_answer`], for a query that has an answer.
pub(crate) async fn answer(sql: &str) -> Vec<String> {
    try_answer(sql).await.expect(sql)
}

/// Returns the Parquet scans of a plan.
pub(crate) fn scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<FileScanConfig> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>()
            && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
        {
            found.push(config.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("walk");
    found
}

/// Formats batches as one line per row.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::array_value_to_string(column, row).expect("printable"));
            lines.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

#[derive(Debug)]
struct FixedFiles {
    files: Vec<LiveFile>,
    place: Place,
}

#[async_trait]
impl SnapshotFiles for FixedFiles {
    async fn live_files(&self) -> Result<Vec<LiveFile>> {
        Ok(self.files.clone())
    }

    fn place(&self) -> &Place {
        &self.place
    }
}
