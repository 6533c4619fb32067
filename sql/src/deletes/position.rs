//! Position deletes: which rows of which data files are gone.
//!
//! The delete files are read when the scan is planned, because their rows become a [`ParquetAccessPlan`] of each data
//! file they hit: the reader then skips deleted rows without decoding them. That takes the row counts of the row groups,
//! so the footers of these files (only) are read as well; they stay in the footer cache for the scan.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};
use icefold_catalog::LiveFile;
use icefold_core::Error;
use icefold_files::deletes::{Scope, ScopedDelete};
use object_store::path::Path;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::ParquetMetaData;

use crate::columns::Columns;
use crate::error::external;
use crate::files::Place;
use crate::scan::{ParquetScan, ScanFile};

/// Reserved field ids of a position delete file (Iceberg spec, appendix "reserved field ids").
const FILE_PATH_ID: i32 = 2_147_483_546;
const POS_ID: i32 = 2_147_483_545;

/// Footers read at a time while planning.
const FOOTERS_AT_A_TIME: usize = 16;

/// Bytes that one deleted row costs while its data file is scanned: two row selectors.
const BYTES_PER_POSITION: usize = 2 * size_of::<RowSelector>();

/// A data file that position deletes may hit.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) file: &'a LiveFile,
    pub(crate) path: Path,
    pub(crate) scope: Scope,
}

/// The deleted rows of some data files, and the memory that they take until the query ends.
#[derive(Debug)]
pub(crate) struct DeletedPositions {
    by_path: HashMap<Path, Vec<u64>>,
    memory: Arc<MemoryReservation>,
}

/// Keeps the memory of deleted positions reserved for as long as the plan that skips them lives.
#[derive(Debug)]
struct ReservedMemory(#[allow(dead_code, reason = "held for its drop")] Arc<MemoryReservation>);

impl DeletedPositions {
    /// Reads the delete files and keeps what applies to `targets`.
    ///
    /// # Errors
    /// When a delete file cannot be read, or its rows need more memory than the query may use.
    pub(crate) async fn read(
        state: &dyn Session,
        place: &Place,
        deletes: &[ScopedDelete],
        targets: &[Target<'_>],
    ) -> Result<Self> {
        let memory = MemoryConsumer::new("position deletes").register(&state.runtime_env().memory_pool);
        let mut found = Collector::new(place, targets);
        let scan = delete_file_scan(place, deletes)?;
        if !scan.files.is_empty() {
            let mut batches = execute_stream(scan.into_exec(state, place)?, state.task_ctx())?;
            while let Some(batch) = batches.next().await {
                let kept = found.collect(&batch?)?;
                memory.try_grow(kept * BYTES_PER_POSITION)?;
            }
        }
        Ok(DeletedPositions { by_path: found.finish(), memory: Arc::new(memory) })
    }

    /// Makes the scan of `files` skip the deleted rows.
    ///
    /// # Errors
    /// When the footer of a data file cannot be read.
    pub(crate) async fn apply(
        &self,
        state: &dyn Session,
        place: &Place,
        files: Vec<ScanFile>,
    ) -> Result<Vec<ScanFile>> {
        let tasks = files.into_iter().map(|file| self.apply_to(state, place, file));
        futures::stream::iter(tasks).buffered(FOOTERS_AT_A_TIME).try_collect().await
    }

    async fn apply_to(&self, state: &dyn Session, place: &Place, mut file: ScanFile) -> Result<ScanFile> {
        let Some(positions) = self.by_path.get(&file.file.object_meta.location) else { return Ok(file) };
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let footer = DFParquetMetadata::new(place.object_store().as_ref(), &file.file.object_meta)
            .with_file_metadata_cache(Some(cache))
            .fetch_metadata()
            .await?;
        file.file = with_access_plan(file.file, access_plan(&footer, positions), &self.memory);
        Ok(file)
    }
}

fn with_access_plan(
    file: PartitionedFile,
    plan: ParquetAccessPlan,
    memory: &Arc<MemoryReservation>,
) -> PartitionedFile {
    file.with_extension(plan).with_extension(ReservedMemory(Arc::clone(memory)))
}

fn delete_file_scan(place: &Place, deletes: &[ScopedDelete]) -> Result<ParquetScan> {
    let columns = Columns::new(vec![
        (FILE_PATH_ID, Field::new("file_path", DataType::Utf8View, false)),
        (POS_ID, Field::new("pos", DataType::Int64, false)),
    ]);
    let files = deletes.iter().map(|delete| ScanFile::of_delete(place, delete)).collect::<Result<Vec<_>>>()?;
    Ok(ParquetScan::new(columns, files).with_delete_constants())
}

/// Sorts deleted rows by data file.
struct Collector<'a> {
    place: &'a Place,
    targets: HashMap<&'a Path, &'a Target<'a>>,
    by_path: HashMap<Path, Vec<u64>>,
    /// The target of the URI last seen: delete files are sorted by it.
    last: Option<(String, Option<&'a Target<'a>>)>,
}

impl<'a> Collector<'a> {
    fn new(place: &'a Place, targets: &'a [Target<'a>]) -> Self {
        let targets = targets.iter().map(|target| (&target.path, target)).collect();
        Collector { place, targets, by_path: HashMap::new(), last: None }
    }

    /// Takes the rows of a batch (file path, position, sequence number, scope); returns how many apply.
    fn collect(&mut self, batch: &RecordBatch) -> Result<usize> {
        let (paths, positions) = (batch.column(0).as_string_view(), batch.column(1).as_primitive::<Int64Type>());
        let (ages, scopes) = (batch.column(2).as_primitive::<Int64Type>(), batch.column(3).as_primitive::<Int32Type>());
        let mut kept = 0;
        for row in 0..batch.num_rows() {
            if paths.is_null(row) || positions.is_null(row) {
                return Err(external(Error::corrupt("a position delete file has a row without path or position")));
            }
            let Some(target) = self.target(paths.value(row))? else { continue };
            let applies = target.scope == scopes.value(row) && target.file.data_sequence_number <= ages.value(row);
            let Ok(position) = u64::try_from(positions.value(row)) else { continue };
            if applies {
                self.by_path.entry(target.path.clone()).or_default().push(position);
                kept += 1;
            }
        }
        Ok(kept)
    }

    fn target(&mut self, uri: &str) -> Result<Option<&'a Target<'a>>> {
        match &self.last {
            Some((last, target)) if last == uri => Ok(*target),
            _ => {
                let path = self.place.path(uri).map_err(external)?;
                let target = self.targets.get(&path).copied();
                self.last = Some((uri.to_owned(), target));
                Ok(target)
            }
        }
    }

    fn finish(mut self) -> HashMap<Path, Vec<u64>> {
        for positions in self.by_path.values_mut() {
            positions.sort_unstable();
            positions.dedup();
        }
        self.by_path
    }
}

/// Returns what is left of a file without the rows at `positions` (sorted, each once).
fn access_plan(footer: &ParquetMetaData, positions: &[u64]) -> ParquetAccessPlan {
    let mut start = 0;
    let groups = footer.row_groups().iter().map(|group| {
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        let end = start + rows;
        let from = positions.partition_point(|p| *p < start);
        let to = positions.partition_point(|p| *p < end);
        let access = group_access(start, rows, &positions[from..to]);
        start = end;
        access
    });
    ParquetAccessPlan::new(groups.collect())
}

fn group_access(start: u64, rows: u64, positions: &[u64]) -> RowGroupAccess {
    if positions.is_empty() {
        return RowGroupAccess::Scan;
    }
    if positions.len() as u64 == rows {
        return RowGroupAccess::Skip;
    }
    let mut selectors = Vec::with_capacity(2 * positions.len() + 1);
    let mut next = start;
    for position in positions {
        if *position > next {
            selectors.push(RowSelector::select((position - next) as usize));
        }
        selectors.push(RowSelector::skip(1));
        next = position + 1;
    }
    if next < start + rows {
        selectors.push(RowSelector::select((start + rows - next) as usize));
    }
    RowGroupAccess::Selection(RowSelection::from(selectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(access: RowGroupAccess) -> Vec<(usize, bool)> {
        match access {
            RowGroupAccess::Selection(selection) => selection.iter().map(|s| (s.row_count, s.skip)).collect(),
            RowGroupAccess::Scan => vec![(0, false)],
            RowGroupAccess::Skip => vec![(0, true)],
        }
    }

    #[test]
    fn deleted_rows_are_skipped_and_all_others_read() {
        assert_eq!(selected(group_access(10, 5, &[])), [(0, false)]);
        assert_eq!(selected(group_access(10, 5, &[10, 11, 12, 13, 14])), [(0, true)]);
        assert_eq!(selected(group_access(10, 5, &[10, 12])), [(1, true), (1, false), (1, true), (2, false)]);
        assert_eq!(selected(group_access(10, 5, &[14])), [(4, false), (1, true)]);
        assert_eq!(selected(group_access(0, 4, &[1, 2])), [(1, false), (2, true), (1, false)]);
    }
}
