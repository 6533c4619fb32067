//! One snapshot of one Iceberg table as a DataFusion table.
//!
//! A scan lists the snapshot's files once, leaves out those that the filters rule out by bounds or partition, finds the
//! deletes that apply to the rest and hands the files to DataFusion's Parquet source, with the node that applies deletes
//! on top if there are any:
//!
//! ```text
//! manifests ─▶ live files ─▶ pruned by filters ─▶ deletes that apply ─▶ DataSourceExec ─▶ [DeleteExec]
//! ```

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use iceberg::spec::{DataContentType, FormatVersion, SnapshotRef, TableMetadataRef};
use icefold_core::Error;
use tokio::sync::OnceCell;

use crate::bounds::FileBounds;
use crate::columns::Columns;
use crate::deletes::equality::{EqualityDeletes, KeySet, dropped_key_columns, group_by_key};
use crate::deletes::exec::DeleteExec;
use crate::deletes::position::{DeletedPositions, Target};
use crate::deletes::{DeletePlan, NOWHERE, plan};
use crate::error::external;
use crate::files::{LiveFile, SnapshotFiles};
use crate::scan::{ParquetScan, ScanFile};
use crate::statistics;

/// Property that maps names to field ids for files that have none.
const NAME_MAPPING: &str = "schema.name-mapping.default";

/// A snapshot of a table, readable with SQL.
#[derive(Debug)]
pub struct IcefoldTable {
    name: String,
    metadata: TableMetadataRef,
    columns: Columns,
    files: Arc<dyn SnapshotFiles>,
    listed: OnceCell<Arc<Vec<LiveFile>>>,
}

impl IcefoldTable {
    /// Takes a table at `snapshot`, or at its current state when `None` (then with the newest schema).
    ///
    /// # Errors
    /// `InvalidInput` when the table has columns that cannot be queried or is of format version 3; `Corrupt` when the
    /// snapshot names a schema that the table does not have.
    pub fn new(
        name: impl Into<String>,
        metadata: TableMetadataRef,
        snapshot: Option<&SnapshotRef>,
        files: Arc<dyn SnapshotFiles>,
    ) -> icefold_core::Result<Self> {
        let name = name.into();
        if metadata.format_version() > FormatVersion::V2 {
            return Err(Error::invalid("tables of format version 3 cannot be queried: icefold reads versions 1 and 2")
                .with("table", &name));
        }
        let schema = match snapshot {
            None => Arc::clone(metadata.current_schema()),
            Some(snapshot) => snapshot.schema(&metadata).map_err(|e| {
                Error::corrupt("the snapshot's schema is missing")
                    .with("table", &name)
                    .with("snapshot", snapshot.snapshot_id())
                    .because(e)
            })?,
        };
        let columns = Columns::of_table(&name, &schema)?;
        Ok(IcefoldTable { name, metadata, columns, files, listed: OnceCell::new() })
    }

    async fn live_files(&self) -> Result<&Arc<Vec<LiveFile>>> {
        self.listed.get_or_try_init(|| self.files.live_files()).await.map_err(external)
    }

    fn bounds<'a>(&'a self, files: &'a [&'a LiveFile]) -> FileBounds<'a> {
        FileBounds { files, columns: &self.columns, metadata: &self.metadata }
    }

    /// Leaves out the data files that cannot hold a row for which all `filters` are true.
    fn prune<'a>(&self, state: &dyn Session, data: Vec<&'a LiveFile>, filters: &[Expr]) -> Result<Vec<&'a LiveFile>> {
        let Some(predicate) = self.predicate(state, filters)? else { return Ok(data) };
        let keep = self.bounds(&data).may_match(predicate)?;
        let kept: Vec<_> = data.iter().zip(keep).filter_map(|(file, keep)| keep.then_some(*file)).collect();
        tracing::debug!(table = self.name, files = data.len(), kept = kept.len(), "files pruned");
        Ok(kept)
    }

    fn predicate(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(None) };
        let schema = DFSchema::try_from(Arc::clone(self.columns.schema()))?;
        Ok(Some(state.create_physical_expr(filter, &schema)?))
    }
}

#[async_trait]
impl TableProvider for IcefoldTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.columns.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let live = self.live_files().await?;
        let (data, deletes): (Vec<_>, Vec<_>) =
            live.iter().partition(|file| file.file.content_type() == DataContentType::Data);
        let data = self.prune(state, data, filters)?;
        if data.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.columns.schema().project(&projection)?))));
        }
        let deletes = plan(&self.metadata, &data, &deletes).map_err(external)?;
        // A limit counts rows before the filters and deletes that come after the scan.
        let limit = limit.filter(|_| filters.is_empty() && deletes.is_empty());
        Scan { table: self, state, projection, data, deletes, limit }.into_exec().await
    }
}

/// One scan whose files and deletes are known.
struct Scan<'a> {
    table: &'a IcefoldTable,
    state: &'a dyn Session,
    projection: Vec<usize>,
    data: Vec<&'a LiveFile>,
    deletes: DeletePlan,
    limit: Option<usize>,
}

impl Scan<'_> {
    async fn into_exec(self) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.files().await?;
        let keys = group_by_key(&self.deletes.equality).map_err(external)?;
        let table = &self.table.columns;
        let dropped = dropped_key_columns(&self.table.metadata, table, keys.keys().flatten()).map_err(external)?;
        let columns = table.and(dropped);
        let (constants, width) = (columns.len(), self.projection.len());
        let mut projection = self.projection.clone();
        let mut sets = Vec::with_capacity(keys.len());
        for (ids, deletes) in &keys {
            sets.push(self.key_set(&columns, &mut projection, ids, deletes)?);
        }
        let statistics = self.statistics(&columns, &files)?;
        let mut scan = ParquetScan::new(columns, files)
            .with_limit(self.limit)
            .with_name_mapping(self.table.metadata.properties().contains_key(NAME_MAPPING));
        let mut equality = None;
        if !sets.is_empty() {
            equality = Some(Arc::new(EqualityDeletes::new(sets, projection.len())));
            projection.extend([constants, constants + 1]);
            scan = scan.with_delete_constants();
        }
        let exec = scan
            .with_statistics(statistics)
            .with_projection(projection)
            .into_exec(self.state, self.table.files.as_ref())?;
        if self.deletes.is_empty() {
            return Ok(exec);
        }
        Ok(Arc::new(DeleteExec::new(exec, width, equality, self.deletes.position.len())?))
    }

    /// Returns the data files, with deleted positions left out.
    async fn files(&self) -> Result<Vec<ScanFile>> {
        let store = self.table.files.as_ref();
        let reachable = self.deletes.scopes.iter().zip(&self.deletes.equalled);
        let scopes = reachable.map(|(scope, equalled)| if *equalled { *scope } else { NOWHERE });
        let files: Vec<_> =
            self.data.iter().zip(scopes).map(|(file, s)| ScanFile::of_data(store, file, s)).collect::<Result<_>>()?;
        if self.deletes.position.is_empty() {
            return Ok(files);
        }
        let hit = files.iter().zip(&self.data).zip(self.deletes.scopes.iter().zip(&self.deletes.positioned));
        let targets: Vec<_> = hit
            .filter(|(_, (_, positioned))| **positioned)
            .map(|((file, live), (scope, _))| Target {
                file: live,
                path: file.file.object_meta.location.clone(),
                scope: *scope,
            })
            .collect();
        let positions = DeletedPositions::read(self.state, store, &self.deletes.position, &targets).await?;
        positions.apply(self.state, store, files).await
    }

    /// Plans the read of one set of key columns and adds to `projection` those that it lacks.
    fn key_set(
        &self,
        columns: &Columns,
        projection: &mut Vec<usize>,
        ids: &[i32],
        deletes: &[crate::deletes::ScopedDelete],
    ) -> Result<KeySet> {
        let store = self.table.files.as_ref();
        let indices: Vec<usize> = ids.iter().filter_map(|id| columns.index_of_id(*id)).collect();
        let files = deletes.iter().map(|delete| ScanFile::of_delete(store, delete)).collect::<Result<Vec<_>>>()?;
        let scan = ParquetScan::new(columns.project(&indices), files).with_delete_constants();
        let places = indices.into_iter().map(|index| match projection.iter().position(|p| *p == index) {
            Some(place) => place,
            None => {
                projection.push(index);
                projection.len() - 1
            }
        });
        Ok(KeySet {
            columns: places.collect(),
            deletes: scan.into_exec(self.state, store)?,
            files: deletes.len(),
        })
    }

    fn statistics(&self, columns: &Columns, _files: &[ScanFile]) -> Result<Statistics> {
        let bounds = self.table.bounds(&self.data);
        let wanted: Vec<bool> = (0..self.table.columns.len()).map(|i| self.projection.contains(&i)).collect();
        let each: Vec<_> = self.data.iter().map(|file| statistics::of_file(&bounds, file, &wanted)).collect();
        let all = Statistics::try_merge_iter(each.iter(), columns.schema())?;
        Ok(if self.deletes.is_empty() { all } else { all.to_inexact() })
    }
}
