//! Position deletes: the rows of one delete file, by data file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use iceberg::spec::{DataFile, PrimitiveLiteral};
use icefold_catalog::Store;
use icefold_core::{Error, Result};
use object_store::path::Path;

use super::cache::Weighed;
use crate::ParquetFile;

/// Reserved field ids of a position delete file (Iceberg spec, appendix "reserved field ids").
const FILE_PATH_ID: i32 = 2_147_483_546;
const POS_ID: i32 = 2_147_483_545;

/// Bytes that a data file costs beside its positions.
const BYTES_PER_FILE: usize = 160;

/// The deleted rows that a delete file names: per data file sorted, each once.
#[derive(Debug, Default)]
pub(super) struct PositionDeletes {
    by_path: HashMap<Path, Arc<[u64]>>,
}

impl Weighed for PositionDeletes {
    fn bytes(&self) -> usize {
        self.by_path.values().map(|positions| BYTES_PER_FILE + size_of_val(positions.as_ref())).sum()
    }
}

impl PositionDeletes {
    /// Reads a delete file.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when it is none; `InvalidInput` when it names a file outside
    /// the store; errors of the store.
    pub(super) async fn read(store: &Store, delete: &DataFile) -> Result<Self> {
        let file = ParquetFile::open(store, delete.file_path(), delete.file_size_in_bytes()).await?;
        let mut found: HashMap<Path, Vec<u64>> = HashMap::new();
        for rows in file.read(&[FILE_PATH_ID, POS_ID], file.row_groups()).await? {
            collect(store, &rows?, &mut found).map_err(|e| e.with("file", delete.file_path()))?;
        }
        let sorted = found.into_iter().map(|(path, mut positions)| {
            positions.sort_unstable();
            positions.dedup();
            (path, positions.into())
        });
        Ok(PositionDeletes { by_path: sorted.collect() })
    }

    /// Returns the deleted rows of the data file at `path`.
    pub(super) fn of(&self, path: &Path) -> Option<&Arc<[u64]>> {
        self.by_path.get(path)
    }
}

fn collect(store: &Store, rows: &RecordBatch, found: &mut HashMap<Path, Vec<u64>>) -> Result<()> {
    let odd = |e| Error::corrupt("a position delete file has columns of other types").because(e);
    let paths = cast(rows.column(0), &DataType::Utf8).map_err(odd)?;
    let positions = cast(rows.column(1), &DataType::Int64).map_err(odd)?;
    let (paths, positions) = (paths.as_string::<i32>(), positions.as_primitive::<Int64Type>());
    if paths.null_count() + positions.null_count() > 0 {
        return Err(Error::corrupt("a position delete file has a row without path or position"));
    }
    let negative = |_| Error::corrupt("a position delete file has a position below zero");
    // Delete files are sorted by path: a path is looked at once.
    let mut row = 0;
    while row < rows.num_rows() {
        let uri = paths.value(row);
        let same = (row..rows.num_rows()).take_while(|r| paths.value(*r) == uri).count();
        let of_file = found.entry(store.object_path(uri)?).or_default();
        for position in &positions.values()[row..row + same] {
            of_file.push(u64::try_from(*position).map_err(negative)?);
        }
        row += same;
    }
    Ok(())
}

/// Returns the one data file that a delete file names, as far as its manifest entry tells.
pub(super) fn only_file(delete: &DataFile) -> Option<String> {
    let bound = |bounds: &HashMap<i32, iceberg::spec::Datum>| match bounds.get(&FILE_PATH_ID)?.literal() {
        PrimitiveLiteral::String(uri) => Some(uri.clone()),
        _ => None,
    };
    let equal_bounds = || {
        let lower = bound(delete.lower_bounds())?;
        (bound(delete.upper_bounds())? == lower).then_some(lower)
    };
    delete.referenced_data_file().or_else(equal_bounds)
}

/// Joins sorted positions of several delete files.
pub(super) fn merged(mut found: Vec<Arc<[u64]>>) -> Arc<[u64]> {
    if found.len() <= 1 {
        return found.pop().unwrap_or_default();
    }
    let mut all = found.concat();
    all.sort_unstable();
    all.dedup();
    all.into()
}
