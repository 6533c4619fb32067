//! What the table's metadata says, as tables: `snapshots`, `files`, `manifests` and `checkpoints`.
//!
//! Each is reachable as a table function, `snapshots('events')`, and under a quoted name, `"events$snapshots"`. Rows are
//! read from the metadata when a query scans them.

mod checkpoints;
mod files;
mod manifests;
mod snapshots;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use icefold_catalog::LoadedTable;
use icefold_core::Error;

use crate::error::external;
use crate::namespace::Namespace;

/// Which metadata table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataKind {
    /// One row per retained snapshot.
    Snapshots,
    /// One row per live file of the snapshot.
    Files,
    /// One row per manifest of the snapshot.
    Manifests,
    /// One row per retained snapshot and shard.
    Checkpoints,
}

impl MetadataKind {
    pub(crate) const ALL: [MetadataKind; 4] =
        [MetadataKind::Snapshots, MetadataKind::Files, MetadataKind::Manifests, MetadataKind::Checkpoints];

    /// Returns the name of the table function, which is also what follows `$`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MetadataKind::Snapshots => "snapshots",
            MetadataKind::Files => "files",
            MetadataKind::Manifests => "manifests",
            MetadataKind::Checkpoints => "checkpoints",
        }
    }

    /// Returns the kind of that name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns whether it shows one snapshot, and not all that are retained.
    pub(crate) fn is_of_a_snapshot(self) -> bool {
        matches!(self, MetadataKind::Files | MetadataKind::Manifests)
    }

    fn schema(self) -> SchemaRef {
        match self {
            MetadataKind::Snapshots => snapshots::schema(),
            MetadataKind::Files => files::schema(),
            MetadataKind::Manifests => manifests::schema(),
            MetadataKind::Checkpoints => checkpoints::schema(),
        }
    }
}

/// One metadata table of one table.
#[derive(Debug)]
pub(crate) struct MetadataTable {
    kind: MetadataKind,
    table: LoadedTable,
    /// The snapshot whose files and manifests are shown; the current one when `None`.
    pinned: Option<i64>,
    schema: SchemaRef,
}

impl MetadataTable {
    pub(crate) fn new(kind: MetadataKind, table: LoadedTable, pinned: Option<i64>) -> Self {
        MetadataTable { kind, table, pinned, schema: kind.schema() }
    }

    async fn columns(&self) -> icefold_core::Result<Vec<ArrayRef>> {
        let snapshot = self.table.snapshot(self.pinned)?;
        match self.kind {
            MetadataKind::Snapshots => snapshots::columns(&self.table),
            MetadataKind::Files => files::columns(&self.table, snapshot.as_deref()).await,
            MetadataKind::Manifests => manifests::columns(&self.table, snapshot.as_deref()).await,
            MetadataKind::Checkpoints => checkpoints::columns(&self.table).await,
        }
    }
}

#[async_trait]
impl TableProvider for MetadataTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.columns().await.map_err(external)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], Arc::clone(&self.schema), projection.cloned())?)
    }
}

/// The table function of one kind: takes the name of a table.
#[derive(Debug)]
pub(crate) struct MetadataFunction {
    pub(crate) kind: MetadataKind,
    pub(crate) tables: Arc<Namespace>,
}

impl TableFunctionImpl for MetadataFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let kind = self.kind;
        let [Expr::Literal(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)), _)] = args.exprs() else {
            return Err(external(Error::invalid(format!(
                "`{0}` takes the name of one table in single quotes, for example {0}('events')",
                kind.name()
            ))));
        };
        let name = name.strip_prefix(&format!("{}.", self.tables.name())).unwrap_or(name);
        Ok(self.tables.metadata_table(name, kind).map_err(external)?)
    }
}

fn required(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, false)
}

fn optional(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

/// The type of a commit's time.
fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()))
}

fn times(millis: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("+00:00"))
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}
