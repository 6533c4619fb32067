//! A session: the tables of a warehouse at fixed versions, and SQL over them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::{Stream, StreamExt, TryStreamExt};
use icefold_catalog::{Store, Warehouse};
use icefold_core::{Error, Result};

use crate::error::from_datafusion;
use crate::guard;
use crate::hints;
use crate::metadata_tables::{MetadataFunction, MetadataKind};
use crate::namespace::{CATALOG, Namespace, SessionCatalog};
use crate::planner;
use crate::settings::QuerySettings;
use crate::views::VIEWS;

/// Bytes of Parquet footers kept between the queries of a session.
const FOOTER_CACHE_BYTES: usize = 64 << 20;

/// Largest consumers of memory that an error about the memory limit names.
const CONSUMERS_IN_ERROR: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// How a session reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Parts of a query that run at the same time; by default as many as the machine has cores.
    pub target_partitions: usize,
    /// What the queries of the session may use together.
    pub query: QuerySettings,
    /// Folder for what does not fit into memory, by default a new one in the system's temporary folder when it is needed.
    pub spill_folder: Option<PathBuf>,
    /// Tables to read at an older snapshot: table name to snapshot id.
    pub pinned: BTreeMap<String, i64>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        SessionSettings {
            target_partitions: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            query: QuerySettings::default(),
            spill_folder: None,
            pinned: BTreeMap::new(),
        }
    }
}

impl SessionSettings {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// `InvalidInput`, naming key, value and remedy.
    pub fn validate(&self) -> Result<()> {
        if self.target_partitions == 0 {
            return Err(Error::invalid("`target_partitions` is 0: set it to the number of cores to use, at least 1"));
        }
        self.query.validate()
    }
}

/// SQL over the tables of a warehouse, read-only.
///
/// All queries see the versions of the tables that were current when the session was opened.
#[derive(Clone)]
pub struct QuerySession {
    context: SessionContext,
    tables: Arc<Namespace>,
}

impl QuerySession {
    /// Loads every table of the warehouse, each under its name and under `<namespace>.<name>`.
    ///
    /// # Errors
    /// `NotFound` when a table or snapshot to be pinned does not exist, `InvalidInput` for settings that make no sense;
    /// errors of the catalog. A table that cannot be queried is no error until a query names it.
    pub async fn open(warehouse: &Warehouse, settings: SessionSettings) -> Result<Self> {
        settings.validate()?;
        let tables = Arc::new(Namespace::load(warehouse, &settings.pinned).await?);
        let context = context(config(&settings, tables.name()), &settings, warehouse.store())?;
        context.register_catalog(CATALOG, Arc::new(SessionCatalog(Arc::clone(&tables))));
        for kind in MetadataKind::ALL {
            context.register_udtf(kind.name(), Arc::new(MetadataFunction { kind, tables: Arc::clone(&tables) }));
        }
        let time_travel = planner::TimeTravel { tables: Arc::clone(&tables) };
        context.state_ref().write().register_relation_planner(Arc::new(time_travel)).map_err(from_datafusion)?;
        let session = QuerySession { context, tables };
        session.tables.set_views(session.views().await?);
        Ok(session)
    }

    /// Plans and runs by another value of an option of DataFusion (`datafusion.…`): no answer may depend on one, which tests check.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown option or value.
    pub fn with_option(self, key: &str, value: &str) -> Result<Self> {
        let set = self.context.state_ref().write().config_mut().options_mut().set(key, value);
        set.map(|()| self).map_err(|e| Error::invalid(format!("`{key}` cannot be `{value}`")).because(e))
    }

    /// Plans the views over tables that are there.
    async fn views(&self) -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>> {
        let mut views: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
        for view in VIEWS.iter().filter(|view| self.tables.can_query(view.table)) {
            // A table that an older version made may lack columns: then there is no view until it is written again.
            if let Ok(plan) = self.context.state().create_logical_plan(view.sql).await {
                views.insert(view.name, Arc::new(ViewTable::new(plan, Some(view.sql.to_owned()))));
            }
        }
        Ok(views)
    }

    /// Plans one `SELECT` (or `EXPLAIN`, `SHOW TABLES`, `DESCRIBE`) and starts it. Batches come as they are ready; dropping the
    /// stream ends the query.
    ///
    /// # Errors
    /// `InvalidInput` for SQL that is wrong or would change something, `NotFound` for an unknown table, and why a table
    /// cannot be read.
    pub async fn query(&self, sql: &str) -> Result<QueryStream> {
        guard::check_length(sql)?;
        let (session, sql) = (self.clone(), sql.to_owned());
        guard::on_large_stack(|| async move { session.start(&sql).await }).await
    }

    async fn start(&self, sql: &str) -> Result<QueryStream> {
        let plan = self.plan(sql).await?;
        let state = self.context.state();
        let plan = state.optimize(&plan).map_err(from_datafusion)?;
        guard::check_depth(&plan)?;
        let plan = state.query_planner().create_physical_plan(&plan, &state).await.map_err(from_datafusion)?;
        let batches = execute_stream(plan, self.context.task_ctx()).map_err(from_datafusion)?;
        Ok(QueryStream { schema: batches.schema(), batches: Some(batches) })
    }

    async fn plan(&self, sql: &str) -> Result<LogicalPlan> {
        let state = self.context.state();
        let recursion_limit = state.config_options().sql_parser.recursion_limit;
        let mut statement = planner::parse(sql, recursion_limit).map_err(from_datafusion)?;
        check_reads_only(&statement)?;
        guard::check_nesting(&statement)?;
        let is_scalar = |name: &str| state.scalar_functions().contains_key(name);
        planner::rewrite(&mut statement, &is_scalar).map_err(from_datafusion)?;
        for reference in state.resolve_table_references(&statement).map_err(from_datafusion)? {
            if let Some(name) = self.tables.own_name(&reference)
                && self.tables.find(name)?.is_none()
                && !state.table_functions().contains_key(name)
            {
                return Err(self.tables.unknown(name));
            }
        }
        let plan = state.statement_to_plan(statement).await.map_err(|e| without_plan(&state, e))?;
        // Catches what only planning shows, for example `SELECT … INTO`.
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan).map_err(|e| refuse_change("this statement").because(e))?;
        Ok(plan)
    }
}

/// Says why a statement could not be planned.
fn without_plan(state: &SessionState, error: DataFusionError) -> Error {
    let mut names: Vec<&str> = planner::rewritten_names().collect();
    names.extend(state.scalar_functions().keys().map(String::as_str));
    names.extend(state.aggregate_functions().keys().map(String::as_str));
    names.extend(state.window_functions().keys().map(String::as_str));
    match hints::of_function(&error, names) {
        Some(text) => Error::invalid(text),
        None => from_datafusion(error),
    }
}

/// Makes a DataFusion context that can read from `store`.
fn context(config: SessionConfig, settings: &SessionSettings, store: &Store) -> Result<SessionContext> {
    let runtime = runtime(settings).map_err(from_datafusion)?;
    runtime.register_object_store(store.object_store_url(), store.object_store());
    let state = planner::state(config, runtime).map_err(from_datafusion)?;
    Ok(SessionContext::new_with_state(state))
}

/// Makes a context with the settings of a session, but without a warehouse: tables can be read and registered.
pub(crate) fn bare_context(settings: &SessionSettings, store: &Store) -> Result<SessionContext> {
    context(config(settings, "public").with_create_default_catalog_and_schema(true), settings, store)
}

fn check_reads_only(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Explain(explain) => check_reads_only(&explain.statement),
        Statement::Statement(inner) => match inner.as_ref() {
            ast::Statement::Query(_)
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. }
            | ast::Statement::ShowFunctions { .. }
            | ast::Statement::ExplainTable { .. } => Ok(()),
            ast::Statement::Explain { statement, .. } => {
                check_reads_only(&Statement::Statement(Box::new(statement.as_ref().clone())))
            }
            other => Err(refuse_change(&verb(other))),
        },
        other => Err(refuse_change(&verb(other))),
    }
}

fn refuse_change(what: &str) -> Error {
    Error::invalid(format!(
        "{what} is refused because queries only read: ask with SELECT, EXPLAIN, DESCRIBE or SHOW TABLES"
    ))
}

/// Returns the first word of a statement.
fn verb(statement: &impl std::fmt::Display) -> String {
    let text = statement.to_string();
    format!("`{}`", text.split_whitespace().next().unwrap_or("this"))
}

fn config(settings: &SessionSettings, namespace: &str) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.target_partitions)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, namespace)
        .with_information_schema(true);
    let options = config.options_mut();
    // Rows that a filter rejects cost only the columns of the filter: events carry wide columns of JSON.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    // Drops rows that another aggregate of the query needs; see `docs/datafusion.md`.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // The scan deals out its files itself, by row groups.
    options.optimizer.repartition_file_scans = false;
    config
}

fn runtime(settings: &SessionSettings) -> datafusion::common::Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(settings.query.memory_limit_bytes), CONSUMERS_IN_ERROR);
    let spill = match &settings.spill_folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
        .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
        .build_arc()
}

/// The result of a query, batch by batch. It ends after an error.
pub struct QueryStream {
    schema: SchemaRef,
    /// Gone after a panic: what it left half done is not asked again.
    batches: Option<SendableRecordBatchStream>,
}

impl QueryStream {
    /// Returns the columns of the result.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Reads the result to its end.
    ///
    /// # Errors
    /// What went wrong while the query ran.
    pub async fn into_batches(self) -> Result<Vec<RecordBatch>> {
        self.try_collect().await
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        let polled = guard::unpanicked(|| batches.poll_next_unpin(cx));
        let polled = match polled {
            Ok(polled) => polled.map_err(from_datafusion),
            Err(panicked) => Poll::Ready(Some(Err(panicked))),
        };
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.batches = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests;
