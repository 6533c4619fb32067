//! Another engine, which reads and writes Parquet: nothing announces its files, and no bounds are stated of them.

use std::collections::BTreeSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat};
use icefold_catalog::LoadedTable;
use icefold_core::{Error, Ids, Result};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::Rng;
use rand::rngs::SmallRng;

use super::content::{key, rows_of};
use crate::sim::strangers::{Engine, FOLDER};

/// Rows are those of the real tables.
pub struct Parquet;

impl Engine for Parquet {
    async fn rewrite(
        &self,
        table: &LoadedTable,
        fewer: usize,
        rng: &mut SmallRng,
        ids: &dyn Ids,
    ) -> Result<(Vec<DataFile>, BTreeSet<String>)> {
        let Some(snapshot) = table.snapshot(None)? else { return Ok(Default::default()) };
        let mut pieces = Vec::new();
        for live in table.live_files(&snapshot).await? {
            pieces.push((read(&table.store().read(live.file.file_path()).await?)?, live.file));
        }
        let all: usize = pieces.iter().map(|(rows, _)| rows.num_rows()).sum();
        // A table without rows would be another matter.
        let picked = (0..fewer.min(all.saturating_sub(1))).map(|_| rng.random_range(0..all)).collect();
        let (mut files, mut deleted, mut first) = (Vec::new(), BTreeSet::new(), 0);
        for (rows, replaced) in pieces {
            let count = rows.num_rows();
            let rows = without(rows, first, &picked, &mut deleted)?;
            first += count;
            if rows.num_rows() > 0 {
                files.push(write(table, &replaced, &rows, ids).await?);
            }
        }
        Ok((files, deleted))
    }
}

fn odd(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::bug("another engine's file").because(error)
}

fn read(bytes: &Bytes) -> Result<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(odd)?;
    let schema = reader.schema().clone();
    let batches = reader.build().map_err(odd)?.collect::<Result<Vec<_>, _>>().map_err(odd)?;
    concat_batches(&schema, &batches).map_err(odd)
}

/// Leaves out the rows whose number is picked; `first` is that of the first one.
fn without(
    rows: RecordBatch,
    first: usize,
    picked: &BTreeSet<usize>,
    deleted: &mut BTreeSet<String>,
) -> Result<RecordBatch> {
    let is_picked = |row: usize| picked.contains(&(first + row));
    let keys = rows_of(&rows).map_err(odd)?;
    deleted.extend(keys.iter().enumerate().filter(|(row, _)| is_picked(*row)).map(|(_, row)| key(row)));
    let stays: BooleanArray = (0..rows.num_rows()).map(|row| Some(!is_picked(row))).collect();
    filter_record_batch(&rows, &stays).map_err(odd)
}

async fn write(table: &LoadedTable, replaced: &DataFile, rows: &RecordBatch, ids: &dyn Ids) -> Result<DataFile> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).map_err(odd)?;
    writer.write(rows).map_err(odd)?;
    let bytes = writer.into_inner().map_err(odd)?;
    let path = table.new_data_path(FOLDER, &ids.next().to_string());
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(replaced.partition().clone())
        .partition_spec_id(table.metadata().default_partition_spec_id())
        .record_count(rows.num_rows() as u64)
        .file_size_in_bytes(bytes.len() as u64)
        .build()
        .map_err(odd)?;
    table.store().write_new(&path, vec![bytes.into()]).await?;
    Ok(file)
}
