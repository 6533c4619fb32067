//! Columns of rows: reading a few of them from a Parquet file of ours (footer first, then only their bytes), and adding
//! some to rows in memory.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Field, FieldRef, Schema};
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
pub(crate) struct ParquetFile {
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
    pub(crate) async fn open(store: &Store, uri: &str, size: u64) -> Result<Self> {
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

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn footer(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// Returns whether the file has the column `field_id`.
    pub(crate) fn has(&self, field_id: i32) -> bool {
        self.leaf(field_id).is_some()
    }

    /// Returns the row groups in which column `field_id`, of whole numbers, reaches `least`, as far as is told.
    pub(crate) fn row_groups_reaching(&self, field_id: i32, least: i64) -> Vec<usize> {
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
    pub(crate) async fn read(&self, field_ids: &[i32], row_groups: Vec<usize>) -> Result<ColumnReader> {
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

/// Returns rows with more columns behind theirs; what has no value may be null.
///
/// # Errors
/// [`ErrorKind::Bug`] when the columns are of another length.
pub(crate) fn extended<N: Into<String> + Clone>(rows: RecordBatch, more: Vec<(N, ArrayRef)>) -> Result<RecordBatch> {
    let schema = rows.schema();
    let added = more.iter().map(|(name, array)| Arc::new(Field::new(name.clone(), array.data_type().clone(), true)));
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(added).collect();
    let columns = rows.columns().iter().cloned().chain(more.into_iter().map(|(_, array)| array)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    RecordBatch::try_new(schema, columns).map_err(|e| Error::bug("added columns do not fit their rows").because(e))
}

/// Joins rows, one piece behind the other. Columns are matched by name; one that a piece does not have is null there.
///
/// # Errors
/// [`ErrorKind::Bug`] when a column has types that cannot be made one.
pub(crate) fn joined(pieces: &[RecordBatch]) -> Result<RecordBatch> {
    let bug = |e| Error::bug("rows of one table have columns of different types").because(e);
    let Some(first) = pieces.first() else { return Err(Error::bug("no rows are to be joined")) };
    if pieces.iter().all(|piece| piece.schema_ref() == first.schema_ref()) {
        return concat_batches(first.schema_ref(), pieces).map_err(bug);
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    for field in pieces.iter().flat_map(|piece| piece.schema_ref().fields().iter()) {
        if fields.iter().all(|known| known.name() != field.name()) {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let aligned = pieces.iter().map(|piece| {
        let columns = schema.fields().iter().map(|field| match piece.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), piece.num_rows())),
        });
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
    });
    let aligned: Vec<RecordBatch> = aligned.collect::<Result<_, _>>().map_err(bug)?;
    concat_batches(&schema, &aligned).map_err(bug)
}

/// Batches of the columns that were asked for.
pub(crate) struct ColumnReader {
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

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, BooleanArray, StringArray};

    use super::*;

    #[test]
    fn pieces_with_other_columns_are_joined_by_name() {
        let text = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        let first = RecordBatch::try_from_iter([("a", text(vec!["1"])), ("b", text(vec!["2"]))]).expect("rows");
        let swapped = RecordBatch::try_from_iter([("b", text(vec!["4"])), ("a", text(vec!["3"]))]).expect("rows");
        let more: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let other = RecordBatch::try_from_iter([("c", more), ("a", text(vec!["5"]))]).expect("rows");
        let rows = joined(&[first, swapped, other]).expect("joins");
        let column =
            |name: &str| rows.column_by_name(name).expect("column").as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(column("a"), [Some("1"), Some("3"), Some("5")]);
        assert_eq!(column("b"), [Some("2"), Some("4"), None]);
        assert_eq!(rows.column_by_name("c").expect("column").null_count(), 2);
    }
}
