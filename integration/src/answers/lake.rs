//! A table that is written as other engines write, and beside it the rows that it must hold.
//!
//! The rows follow from what was done alone: no file is read for them, and nothing of icefold's has a part in it.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::util::display::array_value_to_string;
use iceberg::MetadataLocation;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFile, NestedField, PrimitiveType, Schema, SchemaRef, Struct, TableMetadataBuilder, Type,
    UnboundPartitionSpec,
};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{CommitOutcome, Intent, NewFile, TableDefinition, Warehouse};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Small enough for several groups of rows, and of pages, in each file.
const ROW_GROUP_ROWS: usize = 128;
const PAGE_ROWS: usize = 32;

/// A table, and what was done to it.
pub struct Lake {
    warehouse: Warehouse,
    name: String,
    written: Vec<Written>,
    /// Files written, of any kind: their names.
    files: usize,
}

/// A data file as it was written, and which of its rows are gone.
struct Written {
    path: String,
    schema: SchemaRef,
    rows: RecordBatch,
    gone: Vec<bool>,
    place: Place,
}

/// The partition that a file lies in.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Partition spec.
    pub spec_id: i32,
    /// Its values.
    pub partition: Struct,
}

impl Place {
    /// The only partition of the unpartitioned spec; equality deletes in it apply to the whole table.
    pub fn everywhere() -> Place {
        Place { spec_id: 0, partition: Struct::empty() }
    }
}

impl Lake {
    /// Makes an unpartitioned table.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn create(warehouse: &Warehouse, name: &str, schema: Schema) -> Result<Lake> {
        let partition_spec = UnboundPartitionSpec::builder().build();
        let definition =
            TableDefinition { name: name.to_owned(), schema, partition_spec, properties: Default::default() };
        warehouse.create_table(&definition).await?;
        Ok(Lake { warehouse: warehouse.clone(), name: name.to_owned(), written: Vec::new(), files: 0 })
    }

    /// The columns as they are now.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn schema(&self) -> Result<SchemaRef> {
        Ok(self.warehouse.load(&self.name).await?.metadata().current_schema().clone())
    }

    /// The number of data files that were written.
    pub fn data_files(&self) -> usize {
        self.written.len()
    }

    /// The id of the current snapshot.
    ///
    /// # Errors
    /// Those of the catalog; when nothing was written.
    pub async fn snapshot_id(&self) -> Result<i64> {
        let table = self.warehouse.load(&self.name).await?;
        table.metadata().current_snapshot_id().context("a table without a snapshot")
    }

    /// Adds a data file with columns of the current schema.
    ///
    /// # Errors
    /// Those of storage and catalog.
    pub async fn append(&mut self, place: Place, columns: Vec<ArrayRef>) -> Result<()> {
        let schema = self.schema().await?;
        let rows = RecordBatch::try_new(Arc::new(schema_to_arrow_schema(&schema)?), columns)?;
        let file = self.write(&schema, &rows, &place, DataContentType::Data, None).await?;
        let path = file.file_path().to_owned();
        self.commit(file, &place, vec![]).await?;
        let gone = vec![false; rows.num_rows()];
        self.written.push(Written { path, schema, rows, gone, place });
        Ok(())
    }

    /// Deletes rows of one data file by their positions, in ascending order.
    ///
    /// # Errors
    /// Those of storage and catalog.
    pub async fn delete_positions(&mut self, file: usize, positions: &[usize]) -> Result<()> {
        let required = |id, name, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
        let path = required(2_147_483_546, "file_path", PrimitiveType::String);
        let position = required(2_147_483_545, "pos", PrimitiveType::Long);
        let schema = Arc::new(Schema::builder().with_fields([path, position]).build()?);
        let (target, place) = (self.written[file].path.clone(), self.written[file].place.clone());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(positions.iter().map(|_| &target))),
            Arc::new(Int64Array::from_iter_values(positions.iter().map(|position| *position as i64))),
        ];
        let rows = RecordBatch::try_new(Arc::new(schema_to_arrow_schema(&schema)?), columns)?;
        let deletes = self.write(&schema, &rows, &place, DataContentType::PositionDeletes, None).await?;
        self.commit(deletes, &place, vec![target]).await?;
        positions.iter().for_each(|position| self.written[file].gone[*position] = true);
        Ok(())
    }

    /// Deletes the rows that equal one of some rows of a data file in the named columns: of the whole table, or of one partition.
    /// With `or_null`, also those without values.
    ///
    /// # Errors
    /// Those of storage and catalog; when there is no such column.
    pub async fn delete_equal(
        &mut self,
        place: Place,
        names: &[&str],
        (file, rows): (usize, &[usize]),
        or_null: bool,
    ) -> Result<()> {
        let schema = self.schema().await?;
        let field = |name: &&str| schema.field_by_name(name).cloned().with_context(|| format!("no column `{name}`"));
        let key =
            Arc::new(Schema::builder().with_fields(names.iter().map(field).collect::<Result<Vec<_>>>()?).build()?);
        let taken: Vec<bool> = (0..self.written[file].rows.num_rows()).map(|row| rows.contains(&row)).collect();
        let mut keys = filter_record_batch(&self.written[file].under(&key)?, &BooleanArray::from(taken))?;
        if or_null {
            let nulls = keys.columns().iter().map(|column| new_null_array(column.data_type(), 1)).collect();
            keys = concat_batches(&keys.schema(), [&keys, &RecordBatch::try_new(keys.schema(), nulls)?])?;
        }
        let ids = key.as_struct().fields().iter().map(|field| field.id).collect();
        let deletes = self.write(&key, &keys, &place, DataContentType::EqualityDeletes, Some(ids)).await?;
        self.commit(deletes, &place, vec![]).await?;

        let keys = texts(&keys)?.into_iter().collect::<HashSet<_>>();
        let applies = |written: &&mut Written| place.partition.fields().is_empty() || written.place == place;
        for written in self.written.iter_mut().filter(applies) {
            for (row, text) in texts(&written.under(&key)?)?.iter().enumerate() {
                written.gone[row] |= keys.contains(text);
            }
        }
        Ok(())
    }

    /// Gives the table other columns; those with an id of before are the same ones.
    ///
    /// # Errors
    /// What Iceberg refuses, and those of storage and catalog.
    pub async fn evolve(&self, schema: Schema) -> Result<()> {
        self.amend(|builder| builder.add_current_schema(schema)).await
    }

    /// Partitions the table by another spec from here on; returns its id.
    ///
    /// # Errors
    /// As [`Lake::evolve`].
    pub async fn partition_by(&self, spec: UnboundPartitionSpec) -> Result<i32> {
        self.amend(|builder| builder.add_default_partition_spec(spec)).await?;
        Ok(self.warehouse.load(&self.name).await?.metadata().default_partition_spec_id())
    }

    /// Returns the rows that the table must hold now, under the columns of now.
    ///
    /// # Errors
    /// When a column cannot be widened.
    pub async fn rows(&self) -> Result<RecordBatch> {
        let schema = self.schema().await?;
        let mut rows = vec![RecordBatch::new_empty(Arc::new(schema_to_arrow_schema(&schema)?))];
        for written in &self.written {
            let left: Vec<bool> = written.gone.iter().map(|gone| !gone).collect();
            rows.push(filter_record_batch(&written.under(&schema)?, &BooleanArray::from(left))?);
        }
        Ok(concat_batches(&rows[0].schema(), &rows)?)
    }

    /// Writes the rows that the table must hold now as `folder/<table>.parquet`.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn write_rows(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let (rows, file) = (self.rows().await?, std::fs::File::create(folder.join(format!("{}.parquet", self.name)))?);
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None)?;
        writer.write(&rows)?;
        writer.close()?;
        Ok(())
    }

    async fn amend(
        &self,
        change: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
    ) -> Result<()> {
        let table = self.warehouse.load(&self.name).await?;
        let builder = table.metadata().as_ref().clone().into_builder(Some(table.metadata_location().to_owned()));
        let next = change(builder)?.build()?.metadata;
        let here = MetadataLocation::from_str(table.metadata_location())?.with_next_version();
        let location = here.with_new_metadata(&next);
        next.write_to(&table.store().file_io(), &location).await?;
        Ok(self.warehouse.repoint(&self.name, &location.to_string()).await?)
    }

    async fn write(
        &mut self,
        schema: &SchemaRef,
        rows: &RecordBatch,
        place: &Place,
        content: DataContentType,
        equality_ids: Option<Vec<i32>>,
    ) -> Result<DataFile> {
        let table = self.warehouse.load(&self.name).await?;
        self.files += 1;
        let output = table.store().file_io().new_output(table.new_data_path("", &format!("{:05}", self.files)))?;
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .build();
        let mut writer = ParquetWriterBuilder::new(properties, schema.clone()).build(output).await?;
        writer.write(rows).await?;
        let mut written = writer.close().await?.pop().context("a file was written")?;
        written.content(content).equality_ids(equality_ids);
        Ok(written.partition(place.partition.clone()).partition_spec_id(place.spec_id).build()?)
    }

    async fn commit(&self, file: DataFile, place: &Place, requires: Vec<String>) -> Result<()> {
        let table = self.warehouse.load(&self.name).await?;
        let file = NewFile { spec_id: place.spec_id, ..NewFile::new(&table, file) };
        match self.warehouse.commit(&self.name, &Intent::row_delta(&table, vec![file], requires)).await? {
            CommitOutcome::Committed { .. } => Ok(()),
            other => bail!("`{}` was not written: {other:?}", self.name),
        }
    }
}

impl Written {
    /// All rows that were written, under other columns.
    fn under(&self, schema: &Schema) -> Result<RecordBatch> {
        let arrow = Arc::new(schema_to_arrow_schema(schema)?);
        let columns = schema.as_struct().fields().iter().zip(arrow.fields()).map(|(field, wanted)| {
            let written = self.schema.as_struct().fields().iter().position(|had| had.id == field.id);
            match written {
                Some(at) => Ok(cast(self.rows.column(at), wanted.data_type())?),
                None => Ok(new_null_array(wanted.data_type(), self.rows.num_rows())),
            }
        });
        Ok(RecordBatch::try_new(arrow.clone(), columns.collect::<Result<_>>()?)?)
    }
}

/// One text a row, the same for equal rows; NULL is its own equal.
fn texts(rows: &RecordBatch) -> Result<Vec<Vec<Option<String>>>> {
    let cell =
        |column: &ArrayRef, row| Ok((!column.is_null(row)).then(|| array_value_to_string(column, row)).transpose()?);
    (0..rows.num_rows()).map(|row| rows.columns().iter().map(|column| cell(column, row)).collect()).collect()
}
