//! Equality deletes: rows whose key columns equal a deleted key are gone, in files older than the delete.
//!
//! The deleted keys of a scan are read once, when its first partition starts, into one [`KeyTable`] per set of key columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Int32Type, Int64Type};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use iceberg::spec::TableMetadata;
use icefold_core::Error;
use icefold_files::deletes::KeyTable;
use tokio::sync::OnceCell;

use crate::columns::{Columns, arrow_type};
use crate::error::external;
use crate::field_ids::as_written;

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

/// Returns the key columns `ids` of floats, as they were written: `-0.0` is another key than `0.0`, which queries take for one.
pub(crate) fn float_key_columns<'a>(columns: &Columns, ids: impl IntoIterator<Item = &'a i32>) -> Vec<(i32, Field)> {
    let ids: BTreeSet<i32> = ids.into_iter().copied().collect();
    let fields = ids.into_iter().filter_map(|id| Some((id, columns.schema().field(columns.index_of_id(id)?))));
    let floats = fields.filter(|(_, field)| field.data_type().is_floating());
    floats.map(|(id, field)| (id, as_written(field))).collect()
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
                memory.try_grow(insert(&mut table, &batch?, set.columns.len())?)?;
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
            return Err(external(Error::bug("equality deletes are applied before they are read")));
        };
        let ages = batch.column(self.age_column).as_primitive::<Int64Type>().values();
        let scopes = batch.column(self.scope_column).as_primitive::<Int32Type>().values();
        let mut keep: Option<BooleanBuffer> = None;
        for (set, table) in self.sets.iter().zip(&loaded.tables) {
            if !table.may_hit(ages, scopes) {
                continue;
            }
            let keys: Vec<ArrayRef> = set.columns.iter().map(|c| Arc::clone(batch.column(*c))).collect();
            let stays = table.stays(&keys, ages, scopes).map_err(external)?;
            keep = Some(keep.map_or_else(|| stays.clone(), |before| &before & &stays));
        }
        Ok(keep)
    }
}

/// Adds the keys in the first `width` columns; returns the bytes that the table grew by.
fn insert(table: &mut KeyTable, batch: &RecordBatch, width: usize) -> Result<usize> {
    let ages = batch.column(width).as_primitive::<Int64Type>().values();
    let scopes = batch.column(width + 1).as_primitive::<Int32Type>().values();
    table.insert(&batch.columns()[..width], ages, scopes).map_err(external)
}
