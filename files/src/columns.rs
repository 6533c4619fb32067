//! Reading a few columns of a Parquet file: footer first, then only their bytes.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::{Buf, Bytes};
use icefold_catalog::Store;
use icefold_catalog::store::explain;
use icefold_core::{Error, ErrorKind, Result};
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
            let tail = fetch(store, uri, slice::from_ref(&(size - wanted..size))).await?.concat();
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&Bytes::from(tail), size).and_then(|()| reader.finish()) {
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

    /// Returns the footer.
    pub fn footer(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Returns whether the file has the column `field_id`.
    pub fn has(&self, field_id: i32) -> bool {
        self.leaf(field_id).is_some()
    }

    /// Returns whether some column has a field id, as all do in files of Iceberg writers.
    pub fn has_field_ids(&self) -> bool {
        self.metadata.file_metadata().schema_descr().columns().iter().any(|c| c.self_type().get_basic_info().has_id())
    }

    /// Returns all row groups.
    pub fn row_groups(&self) -> Vec<usize> {
        (0..self.metadata.num_row_groups()).collect()
    }

    /// Returns the places in the file of the rows of a row group.
    ///
    /// # Panics
    /// When there is no such row group.
    pub fn rows_of(&self, row_group: usize) -> Range<u64> {
        let rows = |group: usize| self.metadata.row_group(group).num_rows().unsigned_abs();
        let start: u64 = (0..row_group).map(rows).sum();
        start..start + rows(row_group)
    }

    /// Returns the bytes that some columns of a row group take in the file.
    ///
    /// # Panics
    /// When there is no such row group.
    pub fn column_bytes(&self, field_ids: &[i32], row_group: usize) -> u64 {
        let leaves: Vec<usize> = field_ids.iter().filter_map(|id| self.leaf(*id)).collect();
        self.ranges(&leaves, &[row_group]).into_iter().map(|range| range.end - range.start).sum()
    }

    /// Returns the row groups in which column `field_id`, of whole numbers, reaches `least`, as far as is told.
    pub fn row_groups_reaching(&self, field_id: i32, least: i64) -> Vec<usize> {
        let Some(leaf) = self.leaf(field_id) else { return self.row_groups() };
        let reaches = |group: &usize| match self.metadata.row_group(*group).column(leaf).statistics() {
            Some(Statistics::Int64(s)) => s.max_opt().is_none_or(|max| *max >= least),
            _ => true,
        };
        self.row_groups().into_iter().filter(reaches).collect()
    }

    /// Reads the columns `field_ids`, in this order, of some row groups.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when one is missing; errors of the store.
    pub async fn read(&self, field_ids: &[i32], row_groups: Vec<usize>) -> Result<ColumnReader> {
        let missing = |id| Error::corrupt(format!("`{}` has no column with field id {id}", self.uri));
        let leaves: Vec<usize> =
            field_ids.iter().map(|id| self.leaf(*id).ok_or_else(|| missing(*id))).collect::<Result<_>>()?;
        let places = joined(row_groups.iter().map(|group| self.rows_of(*group)));
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
        in_file.dedup();
        let order = leaves.iter().filter_map(|leaf| in_file.iter().position(|l| l == leaf)).collect();
        Ok(ColumnReader { reader: reader.map_err(|e| damaged(&self.uri, e))?, order, places, uri: self.uri.clone() })
    }

    fn leaf(&self, field_id: i32) -> Option<usize> {
        self.metadata.file_metadata().schema_descr().columns().iter().position(|column| {
            let info = column.self_type().get_basic_info();
            // A leaf of a nested column is no column.
            column.path().parts().len() == 1 && info.has_id() && info.id() == field_id
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

/// Joins ranges that go on where the one before ends.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> VecDeque<Range<u64>> {
    let mut joined: VecDeque<Range<u64>> = VecDeque::new();
    for range in ranges {
        match joined.back_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push_back(range),
        }
    }
    joined
}

/// Batches of the columns that were asked for.
pub struct ColumnReader {
    reader: ParquetRecordBatchReader,
    order: Vec<usize>,
    /// Where in the file the rows are.
    places: VecDeque<Range<u64>>,
    uri: String,
}

impl ColumnReader {
    /// Returns the same rows with their places in the file.
    pub fn positioned(self) -> PositionedReader {
        PositionedReader { reader: self, rest: None }
    }
}

impl fmt::Debug for ColumnReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnReader").field("uri", &self.uri).field("places", &self.places).finish_non_exhaustive()
    }
}

impl Iterator for ColumnReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.reader.next()?.and_then(|rows| rows.project(&self.order));
        Some(rows.map_err(|e| damaged(&self.uri, e)))
    }
}

/// Rows that follow one another in a file.
#[derive(Debug, Clone)]
pub struct PositionedRows {
    /// The place of the first row, counted from the beginning of the file.
    pub first_row: u64,
    /// The rows.
    pub rows: RecordBatch,
}

/// Batches of the columns that were asked for, with their places in the file. Where row groups were left out between them,
/// rows come in different batches.
#[derive(Debug)]
pub struct PositionedReader {
    reader: ColumnReader,
    /// What was read behind a gap, with the batch before it.
    rest: Option<RecordBatch>,
}

impl Iterator for PositionedReader {
    type Item = Result<PositionedRows>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = match self.rest.take() {
            Some(rows) => rows,
            None => match self.reader.next()? {
                Ok(rows) => rows,
                Err(e) => return Some(Err(e)),
            },
        };
        Some(self.place(rows))
    }
}

impl PositionedReader {
    fn place(&mut self, rows: RecordBatch) -> Result<PositionedRows> {
        while self.reader.places.front().is_some_and(Range::is_empty) {
            self.reader.places.pop_front();
        }
        let Some(place) = self.reader.places.front_mut() else {
            return Err(damaged(&self.reader.uri, "it has more rows than its footer tells"));
        };
        let first_row = place.start;
        let together = (place.end - first_row).min(rows.num_rows() as u64);
        place.start += together;
        let together = together as usize;
        if together < rows.num_rows() {
            self.rest = Some(rows.slice(together, rows.num_rows() - together));
        }
        Ok(PositionedRows { first_row, rows: rows.slice(0, together) })
    }
}

/// Fetches parts of a file, and again what broke off. State is rebuilt from hundreds of files, and one answer that breaks off is
/// not to cost all of them. There is no pause: the client of a store that asks for one has waited by itself.
async fn fetch(store: &Store, uri: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    for _ in 1..MAX_READS {
        match fetch_once(store, uri, ranges).await {
            Err(e) if e.kind() == ErrorKind::Transient => tokio::task::yield_now().await,
            answer => return answer,
        }
    }
    fetch_once(store, uri, ranges).await
}

async fn fetch_once(store: &Store, uri: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let fetched = store.object_store().get_ranges(&store.object_path(uri)?, ranges).await;
    fetched.map_err(|e| explain(e, "read", uri))
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
