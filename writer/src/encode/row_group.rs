//! Rows to one row group, without a file yet: what a worker does away from every lock.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use icefold_core::{Error, Result};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

use super::TableEncoder;

/// The encoded columns of a row group.
#[derive(Debug)]
pub struct EncodedRowGroup {
    pub(super) columns: Vec<ArrowColumnChunk>,
    /// Nulls in each column; Parquet tells them only of columns with statistics.
    pub(super) nulls: Vec<u64>,
    encoded_bytes: u64,
}

impl EncodedRowGroup {
    /// Returns the number of bytes that it takes in a file.
    pub fn encoded_bytes(&self) -> u64 {
        self.encoded_bytes
    }
}

impl TableEncoder {
    /// Encodes `pieces`, one behind the other, as one row group. Columns are done one after the other and their pieces
    /// freed on the way, so that only one column's pages are open at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the table's columns.
    pub fn encode(&self, pieces: Vec<RecordBatch>) -> Result<EncodedRowGroup> {
        let writers = self.column_writers.create_column_writers(0).map_err(|e| self.refused(e))?;
        let mut encoded = EncodedRowGroup { columns: Vec::new(), nulls: Vec::new(), encoded_bytes: 0 };
        let mut columns: Vec<_> = pieces.into_iter().map(|piece| piece.columns().to_vec().into_iter()).collect();
        for (field, writer) in self.schema.fields().iter().zip(writers) {
            let arrays = columns.iter_mut().filter_map(Iterator::next);
            let (chunk, nulls) = encode_column(field, writer, arrays).map_err(|e| self.refused(e))?;
            encoded.encoded_bytes += chunk.close().bytes_written;
            encoded.columns.push(chunk);
            encoded.nulls.push(nulls);
        }
        Ok(encoded)
    }

    fn refused(&self, error: ParquetError) -> Error {
        Error::bug("decoded rows cannot be written as Parquet").with("table", self.kind.name()).because(error)
    }
}

fn encode_column(
    field: &Arc<Field>,
    mut writer: ArrowColumnWriter,
    arrays: impl Iterator<Item = arrow::array::ArrayRef>,
) -> Result<(ArrowColumnChunk, u64), ParquetError> {
    let mut nulls = 0;
    let mut field = field.clone();
    for array in arrays {
        nulls += array.null_count() as u64;
        if field.data_type() != array.data_type() {
            // Text may come as bytes or views; the file's schema stays as it is.
            field = Arc::new(field.as_ref().clone().with_data_type(array.data_type().clone()));
        }
        for leaf in compute_leaves(&field, &array)? {
            writer.write(&leaf)?;
        }
    }
    Ok((writer.close()?, nulls))
}
