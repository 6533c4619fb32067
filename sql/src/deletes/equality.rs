//! Equality deletes: rows whose key columns equal a deleted key are gone, in files older than the delete.
//!
//! The deleted keys of a scan are read once, when its first partition starts, into one hash table per set of key columns:
//! key to (scope, newest sequence number). A row costs one look-up per set, whatever the number of delete files. NULL
//! equals NULL, as the Iceberg spec asks: keys are compared in Arrow's row format, where null is a value like others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{HashMap, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use iceberg::spec::TableMetadata;
use icefold_core::Error;
use icefold_files::deletes::{EVERYWHERE, NOWHERE, Scope, ScopedDelete};
use tokio::sync::OnceCell;

use crate::columns::{Columns, arrow_type};

/// Bytes that a key costs in the hash table beside its own.
const BYTES_PER_KEY: usize = 80;

/// Bytes that each further (scope, sequence number) of a key costs.
const BYTES_PER_SCOPE: usize = size_of::<(Scope, i64)>();

/// Delete files grouped by the field ids of their key columns.
pub(crate) fn group_by_key(deletes: &[ScopedDelete]) -> icefold_core::Result<BTreeMap<Vec<i32>, Vec<ScopedDelete>>> {
    let mut groups: BTreeMap<Vec<i32>, Vec<ScopedDelete>> = BTreeMap::new();
    for delete in deletes {
        let ids: BTreeSet<i32> = delete.file.file.equality_ids().into_iter().flatten().collect();
        if ids.is_empty() {
            return Err(Error::corrupt("an equality delete file names no key columns")
                .with("file", delete.file.file.file_path()));
        }
        groups.entry(ids.into_iter().collect()).or_default().push(delete.clone());
    }
    Ok(groups)
}

/// Returns the key columns `ids` that `columns` lacks because the table dropped them since.
///
/// # Errors
/// `Corrupt` when no schema of the table has such a column, `InvalidInput` when its type cannot be compared.
pub(crate) fn dropped_key_columns<'a>(
    metadata: &TableMetadata,
    columns: &Columns,
    ids: impl IntoIterator<Item = &'a i32>,
) -> icefold_core::Result<Vec<(i32, Field)>> {
    let missing: BTreeSet<i32> = ids.into_iter().copied().filter(|id| columns.index_of_id(*id).is_none()).collect();
    missing.into_iter().map(|id| Ok((id, dropped_column(metadata, id)?))).collect()
}

fn dropped_column(metadata: &TableMetadata, id: i32) -> icefold_core::Result<Field> {
    let newest = metadata.schemas_iter().filter_map(|s| Some((s.schema_id(), s.field_by_id(id)?))).max_by_key(|s| s.0);
    let Some((_, field)) = newest else {
        return Err(Error::corrupt(format!(
            "an equality delete names the column id `{id}`, which the table never had"
        )));
    };
    let kind = arrow_type(field).ok_or_else(|| {
        Error::invalid(format!("an equality delete on column `{}` of type `{}`", field.name, field.field_type))
    })?;
    // The name cannot meet one of the table: it only has to be another one.
    Ok(Field::new(format!("$dropped_{id}"), kind, true))
}

/// One set of key columns with the plan that reads its delete files.
#[derive(Debug)]
pub(crate) struct KeySet {
    /// Where the key columns are in the batches of the scan.
    pub(crate) columns: Vec<usize>,
    /// Reads the key columns in the same order, then sequence number and scope.
    pub(crate) deletes: Arc<dyn ExecutionPlan>,
    /// Number of delete files, for display.
    pub(crate) files: usize,
}

/// The equality deletes of one scan, read when first needed.
#[derive(Debug)]
pub(crate) struct EqualityDeletes {
    sets: Vec<KeySet>,
    /// Where the sequence number and the scope of the data file are in the batches of the scan.
    age_column: usize,
    scope_column: usize,
    loaded: OnceCell<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    tables: Vec<KeyTable>,
    #[allow(dead_code, reason = "held for its drop")]
    memory: MemoryReservation,
}

impl EqualityDeletes {
    /// Takes the key sets; sequence number and scope stand in the two columns from `constants` on.
    pub(crate) fn new(sets: Vec<KeySet>, constants: usize) -> Self {
        EqualityDeletes { sets, age_column: constants, scope_column: constants + 1, loaded: OnceCell::new() }
    }

    /// Returns the number of delete files.
    pub(crate) fn files(&self) -> usize {
        self.sets.iter().map(|set| set.files).sum()
    }

    /// Reads the deleted keys, once for all partitions of the scan.
    ///
    /// # Errors
    /// When a delete file cannot be read or the keys need more memory than the query may use.
    pub(crate) async fn load(&self, context: &Arc<TaskContext>) -> Result<()> {
        self.loaded.get_or_try_init(|| self.read(context)).await.map(|_| ())
    }

    async fn read(&self, context: &Arc<TaskContext>) -> Result<Loaded> {
        let memory = MemoryConsumer::new("equality deletes").register(context.memory_pool());
        let mut tables = Vec::with_capacity(self.sets.len());
        for set in &self.sets {
            let mut table = KeyTable::default();
            let mut batches = execute_stream(Arc::clone(&set.deletes), Arc::clone(context))?;
            while let Some(batch) = batches.next().await {
                memory.try_grow(table.insert(&batch?, set.columns.len())?)?;
            }
            tables.push(table);
        }
        Ok(Loaded { tables, memory })
    }

    /// Returns which rows of a batch stay; `None` means all of them. Call after [`EqualityDeletes::load`].
    ///
    /// # Errors
    /// When the deletes were not loaded, or key columns cannot be compared.
    pub(crate) fn keep(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let Some(loaded) = self.loaded.get() else {
            return Err(crate::error::external(Error::bug("equality deletes are applied before they are read")));
        };
        let ages = batch.column(self.age_column).as_primitive::<Int64Type>().values();
        let scopes = batch.column(self.scope_column).as_primitive::<Int32Type>().values();
        let mut keep: Option<BooleanBuffer> = None;
        for (set, table) in self.sets.iter().zip(&loaded.tables) {
            if !table.may_hit(ages, scopes) {
                continue;
            }
            let keys: Vec<ArrayRef> = set.columns.iter().map(|c| Arc::clone(batch.column(*c))).collect();
            let stays = table.stays(&keys, ages, scopes)?;
            keep = Some(keep.map_or_else(|| stays.clone(), |before| &before & &stays));
        }
        Ok(keep)
    }
}

/// Deleted keys of one set of key columns.
#[derive(Debug, Default)]
struct KeyTable {
    /// Key to (scope, newest delete there).
    by_key: HashMap<Box<[u8]>, Vec<(Scope, i64)>>,
    /// Newest delete of each scope: what is not older than it need not be looked up.
    newest: HashMap<Scope, i64>,
}

impl KeyTable {
    /// Adds the keys in the first `width` columns; returns the bytes that it grew by.
    fn insert(&mut self, batch: &RecordBatch, width: usize) -> Result<usize> {
        let keys = &batch.columns()[..width];
        let ages = batch.column(width).as_primitive::<Int64Type>().values();
        let scopes = batch.column(width + 1).as_primitive::<Int32Type>().values();
        let rows = converter(keys)?.convert_columns(keys)?;
        let mut grown = 0;
        for (row, (age, scope)) in rows.iter().zip(ages.iter().zip(scopes)) {
            grown += self.insert_key(row.as_ref(), *scope, *age);
        }
        Ok(grown)
    }

    fn insert_key(&mut self, key: &[u8], scope: Scope, age: i64) -> usize {
        let newest = self.newest.entry(scope).or_insert(age);
        *newest = age.max(*newest);
        let Some(scopes) = self.by_key.get_mut(key) else {
            self.by_key.insert(key.into(), vec![(scope, age)]);
            return key.len() + BYTES_PER_KEY;
        };
        match scopes.binary_search_by_key(&scope, |(s, _)| *s) {
            Ok(found) => {
                scopes[found].1 = age.max(scopes[found].1);
                0
            }
            Err(place) => {
                scopes.insert(place, (scope, age));
                BYTES_PER_SCOPE
            }
        }
    }

    /// Returns whether some row could be deleted, without looking at keys.
    fn may_hit(&self, ages: &[i64], scopes: &[Scope]) -> bool {
        // A batch comes from one file, so the first row nearly always answers for all.
        let mut rows = ages.iter().zip(scopes);
        rows.any(|(age, scope)| self.reaches(*scope, *age))
    }

    fn reaches(&self, scope: Scope, age: i64) -> bool {
        let newer = |scope| self.newest.get(&scope).is_some_and(|newest| *newest > age);
        scope != NOWHERE && (newer(scope) || newer(EVERYWHERE))
    }

    fn stays(&self, keys: &[ArrayRef], ages: &[i64], scopes: &[Scope]) -> Result<BooleanBuffer> {
        let rows = converter(keys)?.convert_columns(keys)?;
        Ok(BooleanBuffer::collect_bool(ages.len(), |i| !self.is_deleted(rows.row(i).as_ref(), scopes[i], ages[i])))
    }

    fn is_deleted(&self, key: &[u8], scope: Scope, age: i64) -> bool {
        let Some(scopes) = self.by_key.get(key) else { return false };
        let newer = |scope| {
            let found = scopes.binary_search_by_key(&scope, |(s, _)| *s);
            found.is_ok_and(|place| scopes[place].1 > age)
        };
        scope != NOWHERE && (newer(scope) || newer(EVERYWHERE))
    }
}

fn converter(keys: &[ArrayRef]) -> Result<RowConverter> {
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?)
}
