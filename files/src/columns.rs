//! Reading a few columns of a Parquet file: footer first, then only their bytes.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::{Buf, Bytes};
use icefold_catalog::Store;
use icefold_catalog::store::explain;
use icefold_core::{Error, ErrorKind, Result};
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

/// Bytes read from the end of a file at first; the footer is nearly always inside.
const FOOTER_GUESS_BYTES: u64 = 64 << 10;

/// How often a part of a file is asked for.
const MAX_READS: u32 = 3;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// A file whose footer is read.
#[derive(Debug)]
pub struct ParquetFile {
    store: Store,
    uri: String,
    size: u64,
    metadata: Arc<ParquetMetaData>,
}

impl ParquetFile {
    /// Reads the footer.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is no Parquet file of `size` bytes; errors of
    /// the store.
    pub async fn open(store: &Store, uri: &str, size: u64) -> Result<Self> {
        let mut wanted = FOOTER_GUESS_BYTES.min(size);
        loop {
            let tail = fetch_range(store, uri, size - wanted..size).await?;
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&tail, size).and_then(|()| reader.finish()) {
                Ok(metadata) => {
                    let (store, uri) = (store.clone(), uri.to_owned());
                    return Ok(ParquetFile { store, uri, size, metadata: Arc::new(metadata) });
                }
                Err(ParquetError::NeedMoreData(more)) if more as u64 > wanted && more as u64 <= size => {
                    wanted = more as u64;
                }
                Err(e) => return Err(damaged(uri, e)),
            }
        }
    }

    /// Returns where the file is.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns whether the file has the column `field_id`.
    pub fn has(&self, field_id: i32) -> bool {
        self.leaf(field_id).is_some()
    }

    /// Returns the row groups in which column `field_id`, of whole numbers, reaches `least`, as far as is told.
    pub fn row_groups_reaching(&self, field_id: i32, least: i64) -> Vec<usize> {
        let Some(leaf) = self.leaf(field_id) else { return (0..self.metadata.num_row_groups()).collect() };
        let reaches = |group: &usize| match self.metadata.row_group(*group).column(leaf).statistics() {
            Some(Statistics::Int64(s)) => s.max_opt().is_none_or(|max| *max >= least),
            _ => true,
        };
        (0..self.metadata.num_row_groups()).filter(reaches).collect()
    }

    /// Reads the columns `field_ids`, in this order, of some row groups.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when one is missing; errors of the store.
    pub async fn read(&self, field_ids: &[i32], row_groups: Vec<usize>) -> Result<ColumnReader> {
        let missing = |id| Error::corrupt(format!("`{}` has no column with field id {id}", self.uri));
        let leaves: Vec<usize> =
            field_ids.iter().map(|id| self.leaf(*id).ok_or_else(|| missing(*id))).collect::<Result<_>>()?;
        let ranges = self.ranges(&leaves, &row_groups);
        let bytes = fetch(&self.store, &self.uri, &ranges).await?;
        let pieces = Pieces { size: self.size, pieces: ranges.into_iter().map(|r| r.start).zip(bytes).collect() };
        let mask = ProjectionMask::leaves(self.metadata.file_metadata().schema_descr(), leaves.iter().copied());
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let reader = ArrowReaderMetadata::try_new(self.metadata.clone(), options)
            .map(|metadata| ParquetRecordBatchReaderBuilder::new_with_metadata(pieces, metadata))
            .and_then(|b| b.with_projection(mask).with_row_groups(row_groups).with_batch_size(BATCH_ROWS).build());
        // The reader returns columns in the order of the file.
        let mut in_file: Vec<usize> = leaves.clone();
        in_file.sort_unstable();
        let order = leaves.iter().filter_map(|leaf| in_file.iter().position(|l| l == leaf)).collect();
        Ok(ColumnReader { reader: reader.map_err(|e| damaged(&self.uri, e))?, order, uri: self.uri.clone() })
    }

    fn leaf(&self, field_id: i32) -> Option<usize> {
        self.metadata.file_metadata().schema_descr().columns().iter().position(|column| {
            let info = column.self_type().get_basic_info();
            info.has_id() && info.id() == field_id
        })
    }

    fn ranges(&self, leaves: &[usize], row_groups: &[usize]) -> Vec<Range<u64>> {
        let columns =
            row_groups.iter().flat_map(|g| leaves.iter().map(|leaf| self.metadata.row_group(*g).column(*leaf)));
        columns
            .map(|column| {
                let (start, length) = column.byte_range();
                start..start + length
            })
            .collect()
    }
}

/// Batches of the columns that were asked for.
pub struct ColumnReader {
    reader: ParquetRecordBatchReader,
    order: Vec<usize>,
    uri: String,
}

impl Iterator for ColumnReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.reader.next()?.and_then(|rows| rows.project(&self.order));
        Some(rows.map_err(|e| damaged(&self.uri, e)))
    }
}

async fn fetch(store: &Store, uri: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    again(async || {
        let fetched = store.object_store().get_ranges(&store.object_path(uri)?, ranges).await;
        fetched.map_err(|e| explain(e, "read", uri))
    })
    .await
}

async fn fetch_range(store: &Store, uri: &str, range: Range<u64>) -> Result<Bytes> {
    again(async || {
        let fetched = store.object_store().get_range(&store.object_path(uri)?, range.clone()).await;
        fetched.map_err(|e| explain(e, "read", uri))
    })
    .await
}

/// Reads again what broke off. State is rebuilt from hundreds of files, and one answer that breaks off is not to cost all of
/// them. There is no pause: the client of a store that asks for one has waited by itself.
async fn again<T>(mut read: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    for _ in 1..MAX_READS {
        match read().await {
            Err(e) if e.kind() == ErrorKind::Transient => tokio::task::yield_now().await,
            answer => return answer,
        }
    }
    read().await
}

fn damaged(uri: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt(format!("data file `{uri}` is unreadable: restore it from a backup")).because(error)
}

/// The fetched pieces of a file, by their place in it.
struct Pieces {
    size: u64,
    pieces: Vec<(u64, Bytes)>,
}

impl Pieces {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let inside = |(at, bytes): &&(u64, Bytes)| (*at..*at + bytes.len() as u64).contains(&start);
        let piece = self.pieces.iter().find(inside);
        let (at, bytes) = piece.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))?;
        Ok(bytes.slice((start - at) as usize..))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Pieces {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(Box::new(self.from(start)?.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}
