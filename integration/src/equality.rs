//! Equality deletes, as Flink commits them: rows go by the value of a column, and no file is read for it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{RecordBatch, StringArray};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataContentType, DataFile, Schema, Struct};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{CommitOutcome, Intent, LoadedTable, NewFile, Settings, Warehouse};
use icefold_core::clock::SystemClock;
use parquet::file::properties::WriterProperties;

/// Deletes the rows of `table` whose text `column` is `value`, by one delete file in each partition that has files.
///
/// # Errors
/// When there is no such table or column, and those of storage and catalog.
pub async fn delete_where_equal(warehouse: &Path, table: &str, column: &str, value: &str) -> Result<()> {
    let settings = Settings { warehouse: warehouse.to_string_lossy().into_owned(), ..Settings::default() };
    let warehouse = Warehouse::open_existing(&settings, Arc::new(SystemClock)).await?;
    let loaded = warehouse.load(table).await?;
    let snapshot = loaded.snapshot(None)?.context("a table without rows")?;
    let mut partitions: Vec<(i32, Struct)> = Vec::new();
    for live in loaded.live_files(&snapshot).await? {
        let partition = (live.spec_id, live.file.partition().clone());
        if !partitions.contains(&partition) {
            partitions.push(partition);
        }
    }
    let mut files = Vec::new();
    for (spec_id, partition) in partitions {
        let name = warehouse.ids().next().to_string();
        let file = delete_file(&loaded, &name, (column, value), spec_id, partition).await?;
        files.push(NewFile { spec_id, ..NewFile::new(&loaded, file) });
    }
    match warehouse.commit(table, &Intent::row_delta(&loaded, files, Vec::new())).await? {
        CommitOutcome::Committed { .. } => Ok(()),
        other => bail!("deletes were not committed: {other:?}"),
    }
}

/// Writes a delete file with one row.
async fn delete_file(
    table: &LoadedTable,
    name: &str,
    (column, value): (&str, &str),
    spec_id: i32,
    partition: Struct,
) -> Result<DataFile> {
    let schema = table.metadata().current_schema();
    let key = schema.field_by_name(column).with_context(|| format!("no column `{column}`"))?;
    let key = Arc::new(Schema::builder().with_fields([key.clone()]).build()?);
    let values = Arc::new(StringArray::from_iter_values([value]));
    let row = RecordBatch::try_new(Arc::new(schema_to_arrow_schema(&key)?), vec![values])?;
    let output = table.store().file_io().new_output(table.new_data_path("", name))?;
    let mut writer = ParquetWriterBuilder::new(WriterProperties::default(), key.clone()).build(output).await?;
    writer.write(&row).await?;
    let mut written = writer.close().await?.pop().context("a file was written")?;
    let ids = key.as_struct().fields().iter().map(|field| field.id).collect();
    written.content(DataContentType::EqualityDeletes).equality_ids(Some(ids));
    Ok(written.partition(partition).partition_spec_id(spec_id).build()?)
}
