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
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use iceberg::spec::{DataContentType, FormatVersion, SnapshotRef, TableMetadataRef};
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::Error;
use icefold_files::deletes::{DeletePlan, NOWHERE, ScopedDelete, group_by_key, plan};
use tokio::sync::OnceCell;

use crate::bounds::FileBounds;
use crate::columns::Columns;
use crate::deletes::equality::{EqualityDeletes, KeySet, dropped_key_columns, float_key_columns};
use crate::deletes::exec::DeleteExec;
use crate::deletes::position::{DeletedPositions, Target};
use crate::error::external;
use crate::files::{CatalogFiles, Place, SnapshotFiles};
use crate::scan::{ParquetScan, ScanFile};
use crate::statistics;

/// Property that maps names to field ids for files that have none.
const NAME_MAPPING: &str = "schema.name-mapping.default";

/// A snapshot of a table, readable with SQL.
#[derive(Debug, Clone)]
pub struct IcefoldTable {
    name: String,
    metadata: TableMetadataRef,
    columns: Columns,
    files: Arc<dyn SnapshotFiles>,
    listed: Arc<OnceCell<Vec<LiveFile>>>,
    /// Scans tell the least and greatest values of columns; see `planner::whole_table_bounds`.
    tells_bounds: bool,
}

impl IcefoldTable {
    /// Takes a table at snapshot `id`, with the columns it had then, or at its current state for `None`.
    ///
    /// # Errors
    /// `NotFound` for an unknown snapshot, naming the newest; `InvalidInput` when the table has columns that cannot be
    /// queried or is of format version 3.
    pub fn of(table: &LoadedTable, id: Option<i64>) -> icefold_core::Result<Self> {
        let snapshot = table.snapshot(id)?;
        let files = Arc::new(CatalogFiles::new(table.clone(), snapshot.clone())?);
        let pinned = snapshot.filter(|_| id.is_some());
        Self::new(table.name(), table.metadata(), pinned.as_ref(), files)
    }

    /// As [`IcefoldTable::of`], with the snapshot's files from `files`.
    pub(crate) fn new(
        name: &str,
        metadata: &TableMetadataRef,
        pinned: Option<&SnapshotRef>,
        files: Arc<dyn SnapshotFiles>,
    ) -> icefold_core::Result<Self> {
        if metadata.format_version() > FormatVersion::V2 {
            return Err(Error::invalid("tables of format version 3 cannot be queried: icefold reads versions 1 and 2")
                .with("table", name));
        }
        let schema = match pinned {
            None => Arc::clone(metadata.current_schema()),
            Some(snapshot) => snapshot.schema(metadata).map_err(|e| {
                Error::corrupt("the schema of the snapshot is missing")
                    .with("table", name)
                    .with("snapshot", snapshot.snapshot_id())
                    .because(e)
            })?,
        };
        let columns = Columns::of_table(name, &schema)?;
        let metadata = Arc::clone(metadata);
        let listed = Arc::new(OnceCell::new());
        Ok(IcefoldTable { name: name.to_owned(), metadata, columns, files, listed, tells_bounds: false })
    }

    /// Returns the same snapshot with scans that tell the bounds of columns; `None` if they do already.
    pub(crate) fn with_bounds(&self) -> Option<Self> {
        (!self.tells_bounds).then(|| IcefoldTable { tells_bounds: true, ..self.clone() })
    }

    async fn live_files(&self) -> Result<&Vec<LiveFile>> {
        self.listed.get_or_try_init(|| self.files.live_files()).await.map_err(external)
    }

    fn bounds<'a>(&'a self, files: &'a [&'a LiveFile]) -> FileBounds<'a> {
        FileBounds { files, columns: &self.columns, metadata: &self.metadata }
    }

    /// Leaves out the data files that cannot hold a row for which all `filters` are true.
    fn prune<'a>(&self, state: &dyn Session, data: Vec<&'a LiveFile>, filters: &[Expr]) -> Result<Vec<&'a LiveFile>> {
        let Some(predicate) = self.predicate(state, filters)? else { return Ok(data) };
        let keep = self.bounds(&data).may_match(&predicate);
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
        let keys = group_by_key(&self.deletes.equality).map_err(external)?;
        let metadata = &self.table.metadata;
        let dropped = dropped_key_columns(metadata, &self.table.columns, keys.keys().flatten()).map_err(external)?;
        let columns = self.table.columns.and(dropped);
        let columns = columns.and(float_key_columns(&columns, keys.keys().flatten()));
        let (constants, width) = (columns.len(), self.projection.len());
        let mut projection = self.projection.clone();
        let mut sets = Vec::with_capacity(keys.len());
        for (ids, deletes) in &keys {
            sets.push(self.key_set(&columns, &mut projection, ids, deletes)?);
        }
        let mut scan = ParquetScan::new(columns.clone(), self.files(&columns).await?)
            .with_limit(self.limit)
            .with_exact_statistics(self.deletes.is_empty())
            .with_bounds(self.table.tells_bounds)
            .with_name_mapping(metadata.properties().contains_key(NAME_MAPPING));
        let mut equality = None;
        if !sets.is_empty() {
            equality = Some(Arc::new(EqualityDeletes::new(sets, projection.len())));
            projection.extend([constants, constants + 1]);
            scan = scan.with_delete_constants();
        }
        let exec = scan.with_projection(projection).into_exec(self.state, self.place())?;
        if self.deletes.is_empty() {
            return Ok(exec);
        }
        Ok(Arc::new(DeleteExec::new(exec, width, equality, self.deletes.position.len())?))
    }

    fn place(&self) -> &Place {
        self.table.files.place()
    }

    /// Returns the data files, with deleted positions left out.
    async fn files(&self, columns: &Columns) -> Result<Vec<ScanFile>> {
        let bounds = self.table.bounds(&self.data);
        let wanted: Vec<bool> = (0..columns.len()).map(|index| self.projection.contains(&index)).collect();
        let mut files = Vec::with_capacity(self.data.len());
        for (index, live) in self.data.iter().enumerate() {
            let scope = if self.deletes.equalled[index] { self.deletes.scopes[index] } else { NOWHERE };
            let file = ScanFile::of_data(self.place(), live, scope)?;
            files.push(file.with_statistics(statistics::of_file(&bounds, live, &wanted)));
        }
        if self.deletes.position.is_empty() {
            return Ok(files);
        }
        let targets = self.targets(&files);
        let deleted = DeletedPositions::read(self.state, self.place(), &self.deletes.position, &targets).await?;
        deleted.apply(self.state, self.place(), files).await
    }

    fn targets(&self, files: &[ScanFile]) -> Vec<Target<'_>> {
        let hit = (0..files.len()).filter(|index| self.deletes.positioned[*index]);
        hit.map(|index| Target {
            file: self.data[index],
            path: files[index].file.object_meta.location.clone(),
            scope: self.deletes.scopes[index],
        })
        .collect()
    }

    /// Plans the read of one set of key columns, floats as they were written, and adds to `projection` those that it lacks.
    fn key_set(
        &self,
        columns: &Columns,
        projection: &mut Vec<usize>,
        ids: &[i32],
        deletes: &[ScopedDelete],
    ) -> Result<KeySet> {
        let indices: Vec<usize> = ids.iter().filter_map(|id| columns.last_index_of_id(*id)).collect();
        let files = deletes.iter().map(|delete| ScanFile::of_delete(self.place(), delete)).collect::<Result<_>>()?;
        let scan = ParquetScan::new(columns.project(&indices), files).with_delete_constants();
        let places = indices.into_iter().map(|index| match projection.iter().position(|p| *p == index) {
            Some(place) => place,
            None => {
                projection.push(index);
                projection.len() - 1
            }
        });
        let columns = places.collect();
        Ok(KeySet { columns, deletes: scan.into_exec(self.state, self.place())?, files: deletes.len() })
    }
}

#[cfg(test)]
mod tests;
