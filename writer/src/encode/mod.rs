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
use iceberg::spec::{TableMetadata, Transform};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

pub use buffer::RowBuffer;
pub use file::EncodedFile;
pub use row_group::EncodedRowGroup;

/// Encodes the rows of one table; made once, shared by all workers.
#[derive(Debug)]
pub struct TableEncoder {
    kind: TableKind,
    schema: SchemaRef,
    partition_spec_id: i32,
    properties: WriterPropertiesPtr,
    parquet_schema: TypePtr,
    column_writers: ArrowRowGroupWriterFactory,
}

impl TableEncoder {
    /// Makes the encoder of `kind` for files of the partition spec `partition_spec_id`, with zstd at
    /// `compression_level`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when zstd has no such level.
    pub fn new(kind: TableKind, partition_spec_id: i32, compression_level: i32) -> Result<Self> {
        let schema = kind.arrow_schema()?;
        let properties = Arc::new(layout::properties(kind, compression_level)?);
        let refused = |e| Error::bug("the schema of a built-in table has no Parquet form").because(e);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(refused)?.root_schema_ptr();
        // The factory can only be made from a file writer; it keeps nothing of it but schema and properties.
        let template = SerializedFileWriter::new(Vec::new(), parquet_schema.clone(), properties.clone());
        let column_writers = ArrowRowGroupWriterFactory::new(&template.map_err(refused)?, schema.clone());
        Ok(TableEncoder { kind, schema, partition_spec_id, properties, parquet_schema, column_writers })
    }

    /// Makes the encoder of `kind` for a table as it stands.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when another program has renamed columns or
    /// replaced the partitioning by one that this version does not write.
    pub fn for_table(kind: TableKind, table: &TableMetadata, compression_level: i32) -> Result<Self> {
        check_columns(kind, table)?;
        Self::new(kind, spec_by_day(kind, table)?, compression_level)
    }

    /// Returns the table.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Returns the partition spec of the files.
    pub fn partition_spec_id(&self) -> i32 {
        self.partition_spec_id
    }

    /// Returns the Arrow schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn check_columns(kind: TableKind, table: &TableMetadata) -> Result<()> {
    for (column, id) in kind.columns().iter().zip(1..) {
        let found = table.current_schema().field_by_id(id).map(|f| f.name.as_str());
        if found != Some(column.name) {
            return Err(Error::invalid(format!(
                "column {id} of table `{}` is {}, but this version writes `{}` there: undo the change of the table's \
                 columns, or move the table away and let it be built anew",
                kind.name(),
                found.map_or_else(|| "gone".to_owned(), |name| format!("`{name}`")),
                column.name
            )));
        }
    }
    Ok(())
}

/// Finds the partition spec "day of the partition column"; the default one if it is that, else any older one.
fn spec_by_day(kind: TableKind, table: &TableMetadata) -> Result<i32> {
    let source = kind.index_of(kind.partition_column()) as i32 + 1;
    std::iter::once(table.default_partition_spec())
        .chain(table.partition_specs_iter())
        .find(|spec| match spec.fields() {
            [field] => field.source_id == source && field.transform == Transform::Day,
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
