//! Equality deletes: the sets of key columns that a table's delete files have, and reading the keys.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use iceberg::arrow::type_to_arrow_type;
use iceberg::spec::{TableMetadata, Type};
use icefold_catalog::{LiveFile, Store};
use icefold_core::{Error, Result};

use super::cache::Weighed;
use super::{KeyTable, READ_AHEAD, Scope, ScopedDelete, group_by_key};
use crate::ParquetFile;

/// A value that does not fit is an error, never NULL: NULL would be another key.
const EXACT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// The delete files of one set of key columns.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) columns: KeyColumns,
    by_scope: HashMap<Scope, Vec<LiveFile>>,
}

/// Key columns, by field id.
#[derive(Debug, Clone)]
pub(super) struct KeyColumns {
    pub(super) ids: Vec<i32>,
    /// The newest types of the columns: what older files hold was narrower.
    types: Vec<DataType>,
}

impl KeySet {
    /// Groups the delete files.
    ///
    /// # Errors
    /// `Corrupt` when one names no key columns, or one that the table never had; `InvalidInput` when a key column is nested.
    pub(super) fn all(metadata: &TableMetadata, deletes: &[ScopedDelete]) -> Result<Vec<KeySet>> {
        let sets = group_by_key(deletes)?.into_iter().map(|(ids, deletes)| {
            let types = ids.iter().map(|id| newest_type(metadata, *id)).collect::<Result<_>>()?;
            let mut by_scope: HashMap<Scope, Vec<LiveFile>> = HashMap::new();
            for delete in deletes {
                by_scope.entry(delete.scope).or_default().push(delete.file);
            }
            Ok(KeySet { columns: KeyColumns { ids, types }, by_scope })
        });
        sets.collect()
    }

    /// Returns whether a data file with sequence number `age` is older than a delete of `scope`.
    pub(super) fn reaches(&self, scope: Scope, age: i64) -> bool {
        self.by_scope.get(&scope).is_some_and(|files| files.iter().any(|file| file.data_sequence_number > age))
    }

    /// Reads the keys that the delete files of `scope` name.
    ///
    /// # Errors
    /// `Corrupt` when a delete file is unreadable or lacks a key column; errors of the store.
    pub(super) async fn read(&self, store: &Store, scope: Scope) -> Result<Keys> {
        let files = self.by_scope.get(&scope).map_or(&[][..], Vec::as_slice);
        let opening: Vec<BoxFuture<'_, _>> = files.iter().map(|live| self.open(store, live).boxed()).collect();
        let mut opened = stream::iter(opening).buffered(READ_AHEAD);
        let mut keys = Keys::default();
        while let Some((age, rows)) = opened.next().await.transpose()? {
            for rows in rows {
                let rows = rows?;
                let columns = self.columns.of(|id| self.columns.ids.iter().position(|i| *i == id), &rows)?;
                let (ages, scopes) = (vec![age; rows.num_rows()], vec![scope; rows.num_rows()]);
                keys.bytes += keys.table.insert(&columns, &ages, &scopes)?;
            }
        }
        Ok(keys)
    }

    async fn open(&self, store: &Store, delete: &LiveFile) -> Result<(i64, crate::ColumnReader)> {
        let file = ParquetFile::open(store, delete.file.file_path(), delete.file.file_size_in_bytes()).await?;
        Ok((delete.data_sequence_number, file.read(&self.columns.ids, file.row_groups()).await?))
    }
}

impl KeyColumns {
    /// Returns the key columns of rows in their newest types; `place` finds a column among them, NULL is what they lack.
    ///
    /// # Errors
    /// `Corrupt` when a column has a type that never was its own.
    pub(super) fn of(&self, place: impl Fn(i32) -> Option<usize>, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let columns = self.ids.iter().zip(&self.types).map(|(id, kind)| match place(*id).map(|at| rows.column(at)) {
            Some(column) if column.data_type() == kind => Ok(column.clone()),
            Some(column) => cast_with_options(column, kind, &EXACT).map_err(|e| {
                Error::corrupt(format!("the column with field id {id} has values that are no `{kind}`")).because(e)
            }),
            None => Ok(new_null_array(kind, rows.num_rows())),
        });
        columns.collect()
    }
}

/// Deleted keys with their size.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) table: KeyTable,
    bytes: usize,
}

impl Weighed for Keys {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Returns the newest type of a column, which may have been dropped since.
fn newest_type(metadata: &TableMetadata, id: i32) -> Result<DataType> {
    let of = |schema: &iceberg::spec::SchemaRef| Some((schema.schema_id(), schema.field_by_id(id)?.clone()));
    let Some((_, field)) = metadata.schemas_iter().filter_map(of).max_by_key(|found| found.0) else {
        return Err(Error::corrupt(format!(
            "an equality delete names the column id `{id}`, which the table never had"
        )));
    };
    let flat = metadata.schemas_iter().any(|schema| schema.as_struct().fields().iter().any(|f| f.id == id));
    let kind = match field.field_type.as_ref() {
        kind @ Type::Primitive(_) if flat => type_to_arrow_type(kind).ok(),
        _ => None,
    };
    kind.ok_or_else(|| {
        Error::invalid(format!(
            "the table has an equality delete on column `{}` of type `{}`, which icefold cannot apply: compact the table",
            field.name, field.field_type
        ))
    })
}
