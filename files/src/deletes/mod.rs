//! Deletes of rows: which apply to which data files (invariant D1), and which rows of a file they take.
//!
//! ```text
//! live files ─▶ plan ─▶ Deletes ─▶ of(data file) ─▶ RowDeletes ─▶ live(rows)
//!               pure    nothing    reads, through    one file's    one bit for
//!                       is read    two caches                      each row
//! ```
//!
//! * [`plan()`]: which delete files may hit which data files. [`group_by_key`] and [`KeyTable`]: keys of equality deletes.
//! * [`Deletes`]: what stands in a snapshot. What a data file is subject to is read when it is asked for, and kept for the
//!   next file up to [`MAX_CACHED_BYTES`] for each kind of delete; what one file needs is held whatever it takes.
//! * [`RowDeletes`]: applied to rows as they were read, with their place in the file; [`LiveRows`](crate::LiveRows) does both.
//!
//! URIs are compared as the store resolves them, so that `file:/a` and `file:///a` are one file.

mod cache;
mod equality;
mod keys;
mod plan;
mod position;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, Snapshot, Struct, TableMetadata};
use icefold_catalog::{LiveFile, LoadedTable, Store};
use icefold_core::{Error, Result};
use object_store::path::Path;

use self::cache::Cache;
use self::equality::{KeyColumns, KeySet, Keys};
use self::position::{PositionDeletes, merged, only_file};
use crate::columns::{ParquetFile, PositionedRows};

pub use keys::{KeyTable, group_by_key};
pub use plan::{DeletePlan, EVERYWHERE, NOWHERE, Scope, ScopedDelete, plan};

/// Bytes of deletes that are kept for the next data file, for each of the two kinds.
pub const MAX_CACHED_BYTES: usize = 256 << 20;

/// Delete files read at a time.
const READ_AHEAD: usize = 4;

/// The deletes that stand in a snapshot.
#[derive(Debug)]
pub struct Deletes {
    store: Store,
    /// The partitions that have data files.
    scopes: HashMap<(i32, Struct), Scope>,
    position: HashMap<Scope, Vec<PositionFile>>,
    equality: Vec<KeySet>,
    /// By the number of the delete file.
    positions: Cache<usize, PositionDeletes>,
    /// By key set and scope.
    keys: Cache<(usize, Scope), Keys>,
}

/// A position delete file.
#[derive(Debug)]
struct PositionFile {
    number: usize,
    live: LiveFile,
    /// The one data file that it names, if that is told.
    only: Option<Path>,
}

impl Deletes {
    /// Finds the deletes of a snapshot; reads its manifests and no delete file.
    ///
    /// # Errors
    /// As [`Deletes::new`] and [`LoadedTable::live_files`].
    pub async fn load(table: &LoadedTable, snapshot: &Snapshot) -> Result<Self> {
        Deletes::new(table.store(), table.metadata(), &table.live_files(snapshot).await?)
    }

    /// Finds the deletes among all `live` files of a snapshot of the table; reads nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) for deletes that cannot be applied: deletion
    /// vectors, other formats than Parquet, keys in nested columns; [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt)
    /// for keys in columns that the table never had.
    pub fn new(store: &Store, metadata: &TableMetadata, live: &[LiveFile]) -> Result<Self> {
        let is_data = |file: &&LiveFile| file.file.content_type() == DataContentType::Data;
        let (data, deletes): (Vec<&LiveFile>, Vec<&LiveFile>) = live.iter().partition(is_data);
        let plan = plan(metadata, &data, &deletes)?;
        let partitions = data.iter().map(|file| (file.spec_id, file.file.partition().clone()));
        let mut position: HashMap<Scope, Vec<PositionFile>> = HashMap::new();
        for (number, delete) in plan.position.into_iter().enumerate() {
            let only = only_file(&delete.file.file).map(|uri| store.object_path(&uri)).transpose()?;
            position.entry(delete.scope).or_default().push(PositionFile { number, live: delete.file, only });
        }
        Ok(Deletes {
            store: store.clone(),
            scopes: partitions.zip(plan.scopes).collect(),
            position,
            equality: KeySet::all(metadata, &plan.equality)?,
            positions: Cache::new(MAX_CACHED_BYTES),
            keys: Cache::new(MAX_CACHED_BYTES),
        })
    }

    /// Returns whether no row of the snapshot is deleted by a delete file.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty() && self.equality.is_empty()
    }

    /// Reads the deletes that may hit the data file `data` of the snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a delete file is unreadable; errors of the store;
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the snapshot has no file in the partition of `data`.
    pub async fn of(&self, data: &LiveFile) -> Result<RowDeletes> {
        let uri = data.file.file_path();
        let Some(scope) = self.scopes.get(&(data.spec_id, data.file.partition().clone())) else {
            return Err(Error::bug(format!("deletes of a snapshot that `{uri}` is not in")));
        };
        let positions = self.positions_of(data, *scope).await?;
        let keys = self.keys_of(data.data_sequence_number, *scope).await?;
        Ok(RowDeletes { uri: uri.to_owned(), scope: *scope, age: data.data_sequence_number, positions, keys })
    }

    async fn positions_of(&self, data: &LiveFile, scope: Scope) -> Result<Arc<[u64]>> {
        let path = self.store.object_path(data.file.file_path())?;
        let in_scope = self.position.get(&scope).map_or(&[][..], Vec::as_slice);
        let hits = |file: &&PositionFile| {
            data.data_sequence_number <= file.live.data_sequence_number
                && file.only.as_ref().is_none_or(|only| *only == path)
        };
        let reads: Vec<BoxFuture<'_, _>> =
            in_scope.iter().filter(hits).map(|file| self.read_positions(file).boxed()).collect();
        let read: Vec<Arc<PositionDeletes>> = stream::iter(reads).buffered(READ_AHEAD).try_collect().await?;
        Ok(merged(read.iter().filter_map(|deletes| deletes.of(&path).cloned()).collect()))
    }

    async fn read_positions(&self, file: &PositionFile) -> Result<Arc<PositionDeletes>> {
        self.positions.get(file.number, PositionDeletes::read(&self.store, &file.live.file)).await
    }

    async fn keys_of(&self, age: i64, scope: Scope) -> Result<Vec<DeletedKeys>> {
        let mut found = Vec::new();
        for (number, set) in self.equality.iter().enumerate() {
            let mut tables = Vec::new();
            for scope in [scope, EVERYWHERE].into_iter().filter(|scope| set.reaches(*scope, age)) {
                tables.push(self.keys.get((number, scope), set.read(&self.store, scope)).await?);
            }
            if !tables.is_empty() {
                found.push(DeletedKeys { columns: set.columns.clone(), tables });
            }
        }
        Ok(found)
    }
}

/// The deletes that one data file is subject to.
#[derive(Debug)]
pub struct RowDeletes {
    uri: String,
    scope: Scope,
    /// Sequence number of the data file.
    age: i64,
    /// Sorted, each once.
    positions: Arc<[u64]>,
    keys: Vec<DeletedKeys>,
}

/// The deleted keys of one set of columns.
#[derive(Debug)]
struct DeletedKeys {
    columns: KeyColumns,
    tables: Vec<Arc<Keys>>,
}

impl RowDeletes {
    /// Returns whether no row is deleted.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.keys.is_empty()
    }

    /// Returns the data file.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns the field ids of the columns that must be read for [`RowDeletes::live`], where the file has them.
    pub fn key_columns(&self) -> BTreeSet<i32> {
        self.keys.iter().flat_map(|keys| keys.columns.ids.iter().copied()).collect()
    }

    /// Returns how many of the rows `[first_row, first_row + rows)` are deleted by position.
    pub fn deleted_by_position(&self, first_row: u64, rows: u64) -> u64 {
        self.positions_in(first_row, rows).len() as u64
    }

    fn positions_in(&self, first_row: u64, rows: u64) -> &[u64] {
        let from = self.positions.partition_point(|position| *position < first_row);
        let to = self.positions.partition_point(|position| *position < first_row + rows);
        &self.positions[from..to]
    }

    /// Returns which rows live: true for each that no delete takes. `field_ids` are those of the columns of `read`; a key
    /// column that `file` lacks is NULL in all its rows.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when these are deletes of another file, or a key column that the file
    /// has was not read; [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the file has no field ids;
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a key column is of another type.
    pub fn live(&self, file: &ParquetFile, field_ids: &[i32], read: &PositionedRows) -> Result<BooleanArray> {
        self.check(file, field_ids)?;
        let place = |id| field_ids.iter().position(|found| *found == id);
        let rows = read.rows.num_rows();
        let mut live = self.live_by_position(read.first_row, rows);
        for keys in &self.keys {
            let columns = keys.columns.of(place, &read.rows).map_err(|e| e.with("file", &self.uri))?;
            let comparable = keys::comparable(&columns)?;
            let deleted = |row: usize| {
                let key = comparable.row(row);
                keys.tables.iter().any(|keys| keys.table.is_deleted(key.as_ref(), self.scope, self.age))
            };
            live = &live & &BooleanBuffer::collect_bool(rows, |row| !deleted(row));
        }
        Ok(BooleanArray::new(live, None))
    }

    fn live_by_position(&self, first_row: u64, rows: usize) -> BooleanBuffer {
        let mut deleted = self.positions_in(first_row, rows as u64).iter().peekable();
        BooleanBuffer::collect_bool(rows, |row| deleted.next_if_eq(&&(first_row + row as u64)).is_none())
    }

    fn check(&self, file: &ParquetFile, field_ids: &[i32]) -> Result<()> {
        if file.uri() != self.uri {
            return Err(Error::bug(format!("deletes of `{}` are applied to `{}`", self.uri, file.uri())));
        }
        if self.keys.is_empty() {
            return Ok(());
        }
        if !file.has_field_ids() {
            return Err(Error::invalid(format!(
                "`{}` has no Iceberg field ids, so equality deletes cannot be applied to it: rewrite the file",
                self.uri
            )));
        }
        match self.key_columns().into_iter().find(|id| file.has(*id) && !field_ids.contains(id)) {
            Some(id) => Err(Error::bug(format!("key column {id} of `{}` was not read", self.uri))),
            None => Ok(()),
        }
    }
}
