//! Rows to Parquet files, in parallel.
//!
//! ```text
//! rows of a chunk ─▶ split by day ─▶ RowBuffer of the partition ─▶ row group ─▶ EncodedRowGroup ─▶ EncodedFile
//!    (decoder)        [partition]          [buffer]                [row_group: any worker]       [file: at commit]
//! ```
//!
//! A partition's rows wait in a [`buffer::RowBuffer`] until they are worth a row group; then a worker encodes them away
//! from every lock, column after column, and when the batch is committed the row groups are strung together in order.
//! Nothing is set aside for a partition in advance, so that thousands of nearly empty ones cost little.
//!
//! * [`layout`]: how each column is written (dictionary, statistics, page size).
//! * [`bounds`]: what a manifest says about a column.
//! * [`views`]: what rows that are views into their chunk keep in memory.

pub mod bounds;
pub mod buffer;
pub mod file;
pub mod layout;
pub mod partition;
pub mod row_group;
pub mod views;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{Schema, TableMetadata, Transform};
use icefold_core::tables::{ColumnType, TableKind};
use icefold_core::{Error, Result};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

pub use buffer::RowBuffer;
pub use file::EncodedFile;
pub use row_group::EncodedRowGroup;

/// Encodes the rows of one table; made once for each version of its columns, shared by all workers.
#[derive(Debug)]
pub struct TableEncoder {
    kind: TableKind,
    /// In the order of `schema`.
    columns: Vec<WrittenColumn>,
    schema: SchemaRef,
    /// Of the table that it was made for; `None` for a new table.
    schema_id: Option<i32>,
    partition_spec_id: i32,
    properties: WriterPropertiesPtr,
    parquet_schema: TypePtr,
    column_writers: ArrowRowGroupWriterFactory,
}

/// A column of the files.
#[derive(Debug, Clone)]
struct WrittenColumn {
    id: i32,
    name: String,
    kind: ColumnType,
}

impl TableEncoder {
    /// Makes the encoder of `kind` for a new table's files of the partition spec `partition_spec_id`, with zstd at
    /// `compression_level`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when zstd has no such level.
    pub fn new(kind: TableKind, partition_spec_id: i32, compression_level: i32) -> Result<Self> {
        Self::with_schema(kind, &kind.schema()?, partition_spec_id, compression_level)
    }

    /// Makes the encoder of `kind` for a table as it stands: its files have all columns that the table has, whether the rows
    /// know them or not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when another program has changed columns or
    /// replaced the partitioning by one that this version does not write.
    pub fn for_table(kind: TableKind, table: &TableMetadata, compression_level: i32) -> Result<Self> {
        Self::for_schema(kind, table, table.current_schema(), compression_level)
    }

    /// Makes the encoder of `kind` for rows that have columns of an earlier time: for the newest schema of the table that has
    /// all `columns`. A column that was renamed since has kept its id, and other engines find it by that.
    ///
    /// # Errors
    /// As [`TableEncoder::for_table`].
    pub fn for_columns(
        kind: TableKind,
        table: &TableMetadata,
        columns: &[&str],
        compression_level: i32,
    ) -> Result<Self> {
        let has_all =
            |schema: &&iceberg::spec::SchemaRef| columns.iter().all(|column| schema.field_by_name(column).is_some());
        let current = table.current_schema();
        let earlier = table.schemas_iter().filter(has_all).max_by_key(|schema| schema.schema_id());
        let schema = if has_all(&current) { current } else { earlier.unwrap_or(current) };
        Self::for_schema(kind, table, schema, compression_level)
    }

    fn for_schema(kind: TableKind, table: &TableMetadata, schema: &Schema, compression_level: i32) -> Result<Self> {
        check_columns(kind, schema)?;
        let encoder = Self::with_schema(kind, schema, spec_by_day(kind, table)?, compression_level)?;
        Ok(TableEncoder { schema_id: Some(schema.schema_id()), ..encoder })
    }

    fn with_schema(kind: TableKind, table: &Schema, partition_spec_id: i32, compression_level: i32) -> Result<Self> {
        let written = table.as_struct().fields().iter().filter(|field| ColumnType::of(field).is_some());
        let columns: Vec<WrittenColumn> = written
            .clone()
            .filter_map(|f| Some(WrittenColumn { id: f.id, name: f.name.clone(), kind: ColumnType::of(f)? }))
            .collect();
        let refused = |e| Error::bug("the columns of a table have no Arrow form").because(e);
        let flat = Schema::builder().with_fields(written.cloned()).build().map_err(refused)?;
        let schema = Arc::new(schema_to_arrow_schema(&flat).map_err(refused)?);
        let bounded = columns.iter().map(|column| (column.name.as_str(), column.kind));
        let properties = Arc::new(layout::properties(bounded, compression_level)?);
        let refused = |e| Error::bug("the columns of a table have no Parquet form").because(e);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(refused)?.root_schema_ptr();
        // The factory can only be made from a file writer; it keeps nothing of it but schema and properties.
        let template = SerializedFileWriter::new(Vec::new(), parquet_schema.clone(), properties.clone());
        let column_writers = ArrowRowGroupWriterFactory::new(&template.map_err(refused)?, schema.clone());
        let schema_id = None;
        Ok(TableEncoder {
            kind,
            columns,
            schema,
            schema_id,
            partition_spec_id,
            properties,
            parquet_schema,
            column_writers,
        })
    }

    /// Returns the id of the table's schema that it was made for.
    pub(crate) fn schema_id(&self) -> Option<i32> {
        self.schema_id
    }

    /// Returns the table.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Returns the partition spec of the files.
    pub fn partition_spec_id(&self) -> i32 {
        self.partition_spec_id
    }

    /// Returns the Arrow schema of the files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// Every column of the table's definition must be there by name with its type, and no other may need a value.
fn check_columns(kind: TableKind, table: &Schema) -> Result<()> {
    let wrong = |what: String| {
        Error::invalid(format!(
            "{what} in table `{}`: undo the change of the table's columns, or move the table away and let it be built anew",
            kind.name()
        ))
    };
    for column in kind.columns() {
        let found = table.field_by_name(column.name);
        if found.and_then(|field| ColumnType::of(field)) != Some(column.kind) {
            let found = found.map_or_else(|| "gone".to_owned(), |field| format!("of type `{}`", field.field_type));
            return Err(wrong(format!(
                "column `{}` is {found}, this version writes {:?} there",
                column.name, column.kind
            )));
        }
    }
    let known = |name: &str| kind.columns().iter().any(|column| column.name == name);
    match table.as_struct().fields().iter().find(|field| field.required && !known(&field.name)) {
        Some(field) => Err(wrong(format!("column `{}` needs a value that this version does not have", field.name))),
        None => Ok(()),
    }
}

/// Finds the partition spec "day of the partition column"; the default one if it is that, else any older one.
fn spec_by_day(kind: TableKind, table: &TableMetadata) -> Result<i32> {
    let source = table.current_schema().field_by_name(kind.partition_column()).map(|field| field.id);
    std::iter::once(table.default_partition_spec())
        .chain(table.partition_specs_iter())
        .find(|spec| match spec.fields() {
            [field] => Some(field.source_id) == source && field.transform == Transform::Day,
            _ => false,
        })
        .map(|spec| spec.spec_id())
        .ok_or_else(|| {
            Error::invalid(format!(
                "table `{}` has no partition spec `day({})`, the one that this version writes: add it to the table",
                kind.name(),
                kind.partition_column()
            ))
        })
}
