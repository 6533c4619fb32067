//! Rows of tables as text, every column of them, and the comparison of a version with the undisturbed run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::util::display::array_value_to_string;
use icefold_catalog::{LoadedTable, TableName, Warehouse};
use icefold_core::{Checkpoint, Error, Offset, Result, ShardId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Where a row comes from, and all that it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    shard: ShardId,
    offset: Offset,
    sub_offset: i32,
    columns: Vec<(String, String)>,
}

impl Row {
    /// Shard, offset and bytes of a raw row.
    pub fn line(&self) -> (ShardId, u64, String) {
        let payload = self.columns.iter().find(|(name, _)| name == "payload");
        (self.shard.clone(), self.offset.position, payload.map_or_else(String::new, |(_, value)| value.clone()))
    }

    fn is_before(&self, checkpoint: &Checkpoint) -> bool {
        self.offset < checkpoint.next(&self.shard)
    }
}

/// Reads tables; a file is never changed, so it is read once.
#[derive(Debug, Default)]
pub struct Reader {
    files: HashMap<String, Arc<Vec<Row>>>,
}

impl Reader {
    /// Returns the rows of a version in order, and its checkpoint.
    ///
    /// # Errors
    /// When the version cannot be read.
    pub async fn version(
        &mut self,
        warehouse: &Warehouse,
        name: &TableName,
        metadata_location: &str,
    ) -> Result<(Checkpoint, Vec<Row>)> {
        self.table(&warehouse.load_at(name, metadata_location).await?).await
    }

    /// Returns the rows of a table in order, and its checkpoint.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn table(&mut self, table: &LoadedTable) -> Result<(Checkpoint, Vec<Row>)> {
        let mut rows = Vec::new();
        if let Some(snapshot) = table.snapshot(None)? {
            for live in table.live_files(&snapshot).await? {
                rows.extend(self.file(table, live.file.file_path()).await?.iter().cloned());
            }
        }
        rows.sort_unstable();
        Ok((table.progress().await?.checkpoint, rows))
    }

    async fn file(&mut self, table: &LoadedTable, path: &str) -> Result<Arc<Vec<Row>>> {
        if let Some(rows) = self.files.get(path) {
            return Ok(rows.clone());
        }
        let unreadable = |e: &dyn std::fmt::Display| Error::corrupt(format!("{path}: {e}"));
        let bytes = table.store().read(path).await?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| unreadable(&e))?;
        let mut rows = Vec::new();
        for batch in reader.build().map_err(|e| unreadable(&e))? {
            rows.extend(rows_of(&batch.map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?);
        }
        let rows = Arc::new(rows);
        self.files.insert(path.to_owned(), rows.clone());
        Ok(rows)
    }
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<Row>, arrow::error::ArrowError> {
    let column = |name: &str| -> Result<&dyn Array, arrow::error::ArrowError> {
        Ok(batch.column(batch.schema_ref().index_of(name)?))
    };
    let (shards, segments) = (column("shard")?, column("segment")?);
    let offsets = column("source_offset")?.as_primitive::<Int64Type>();
    let sub_offsets = column("sub_offset")?.as_primitive::<Int32Type>();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if !values.is_null(row) {
                columns.push((field.name().clone(), array_value_to_string(values, row)?));
            }
        }
        let segment = array_value_to_string(segments, row)?;
        rows.push(Row {
            shard: ShardId::new(array_value_to_string(shards, row)?),
            offset: Offset::new(segment, offsets.value(row) as u64),
            sub_offset: sub_offsets.value(row),
            columns,
        });
    }
    Ok(rows)
}

/// The tables of the undisturbed run, by name.
pub type Truth = BTreeMap<String, Vec<Row>>;

/// Says what is wrong with rows that should be those of the undisturbed run up to a checkpoint.
pub fn difference(truth: &[Row], checkpoint: &Checkpoint, found: &[Row]) -> Option<String> {
    let expected: Vec<&Row> = truth.iter().filter(|row| row.is_before(checkpoint)).collect();
    let differs = expected.iter().zip(found).find(|(expected, found)| **expected != *found);
    match differs {
        Some((expected, found)) if place(expected) == place(found) => {
            Some(format!("{}: {}", place(found), columns_that_differ(expected, found)))
        }
        Some((expected, found)) => Some(match place(expected) < place(found) {
            true => format!("the row of {} is missing", place(expected)),
            false => format!("the row of {} should not be there", place(found)),
        }),
        None if expected.len() != found.len() => {
            Some(format!("{} rows where the undisturbed run has {}", found.len(), expected.len()))
        }
        None => None,
    }
}

fn place(row: &Row) -> String {
    format!("{}@{:05}.{}", row.shard, row.offset.position, row.sub_offset)
}

fn columns_that_differ(expected: &Row, found: &Row) -> String {
    let value = |row: &Row, name: &str| {
        let column = row.columns.iter().find(|(column, _)| column == name);
        column.map_or_else(|| "null".to_owned(), |(_, value)| value.clone())
    };
    let names = expected.columns.iter().chain(&found.columns).map(|(name, _)| name.as_str());
    let mut told: Vec<String> = names
        .filter(|name| value(expected, name) != value(found, name))
        .map(|name| format!("{name} is {} instead of {}", value(found, name), value(expected, name)))
        .collect();
    told.sort_unstable();
    told.dedup();
    told.join(", ")
}
