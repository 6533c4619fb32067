//! Rows of tables as text, every column of them, and the comparison of a version with the undisturbed run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use icefold_catalog::{LoadedTable, Progress};
use icefold_core::{Checkpoint, Error, Offset, Result, ShardId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::stream::Line;

/// Where a row comes from, and all that it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    shard: ShardId,
    offset: Offset,
    sub_offset: i32,
    stream_time_micros: i64,
    columns: Vec<(String, String)>,
}

/// Where a row lies in the stream.
pub type Place = (ShardId, Offset, i32);

impl Row {
    /// Returns a raw row as the line that it comes from.
    pub fn line(&self) -> Line {
        Line {
            shard: self.shard.clone(),
            position: self.offset.position,
            payload: self.text("payload").unwrap_or_default().to_owned(),
            stream_time_micros: self.stream_time_micros,
        }
    }

    /// Returns what a column says, unless it is null.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str())
    }

    /// Returns the number that a column holds.
    pub fn number(&self, column: &str) -> Option<i64> {
        self.text(column)?.parse().ok()
    }

    /// Returns where it lies in the stream.
    pub fn place(&self) -> Place {
        (self.shard.clone(), self.offset.clone(), self.sub_offset)
    }

    /// Returns its shard.
    pub fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// Returns its `stream_time`, in microseconds since 1970.
    pub fn stream_time_micros(&self) -> i64 {
        self.stream_time_micros
    }

    /// Returns whether a table that stands at `checkpoint` is past it.
    pub fn is_before(&self, checkpoint: &Checkpoint) -> bool {
        self.offset < checkpoint.next(&self.shard)
    }
}

/// A table at one time.
#[derive(Debug)]
pub struct Version {
    /// Where it stands.
    pub progress: Progress,
    /// Its current snapshot.
    pub snapshot_id: Option<i64>,
    /// Its data files.
    pub files: BTreeSet<String>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
}

/// Reads tables; a file is never changed, so it is read once.
#[derive(Debug, Default)]
pub struct Reader {
    files: HashMap<String, Arc<Vec<Row>>>,
}

impl Reader {
    /// Reads a table as loaded.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn table(&mut self, table: &LoadedTable) -> Result<Version> {
        let progress = table.progress().await?;
        let (mut rows, mut files) = (Vec::new(), BTreeSet::new());
        if let Some(snapshot) = table.snapshot(None)? {
            for live in table.live_files(&snapshot).await? {
                rows.extend(self.file(table, live.file.file_path()).await?.iter().cloned());
                files.insert(live.file.file_path().to_owned());
            }
        }
        rows.sort_unstable();
        Ok(Version { progress, snapshot_id: table.metadata().current_snapshot_id(), files, rows })
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

/// Returns the rows of a batch.
///
/// # Errors
/// When it lacks the columns that every table has.
pub fn rows_of(batch: &RecordBatch) -> Result<Vec<Row>, arrow::error::ArrowError> {
    let column = |name: &str| -> Result<&dyn Array, arrow::error::ArrowError> {
        Ok(batch.column(batch.schema_ref().index_of(name)?))
    };
    let (shards, segments) = (column("shard")?, column("segment")?);
    let offsets = column("source_offset")?.as_primitive::<Int64Type>();
    let sub_offsets = column("sub_offset")?.as_primitive::<Int32Type>();
    let stream_times = column("stream_time")?.as_primitive::<TimestampMicrosecondType>();
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
            stream_time_micros: stream_times.value(row),
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
        Some((expected, found)) if expected.place() == found.place() => {
            Some(format!("{}: {}", place(found), columns_that_differ(expected, found)))
        }
        Some((expected, found)) => Some(match expected.place() < found.place() {
            true => format!("the row of {} is missing", place(expected)),
            false => format!("the row of {} should not be there", place(found)),
        }),
        None if expected.len() != found.len() => {
            Some(format!("{} rows where the undisturbed run has {}", found.len(), expected.len()))
        }
        None => None,
    }
}

/// Returns what tells a row from all others of its table: one call may show two edges.
pub fn key(row: &Row) -> String {
    format!("{} {}", place(row), row.text("known_id").unwrap_or_default())
}

/// Returns a row's place, to be read.
pub fn place(row: &Row) -> String {
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
