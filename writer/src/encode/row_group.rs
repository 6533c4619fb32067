//! Rows to one row group, without a file yet: what a worker does away from every lock.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field, SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use icefold_core::{Error, Result};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

use super::TableEncoder;
use crate::chunk::SHAPE;

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
    /// Encodes `pieces`, one behind the other, as one row group; rows that tell their shape are ordered by it, so that like
    /// payloads stand together. Columns are done one after the other and their pieces freed on the way, so that only one
    /// column's pages are open at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the table's columns.
    pub fn encode(&self, pieces: Vec<RecordBatch>) -> Result<EncodedRowGroup> {
        let writers = self.column_writers.create_column_writers(0).map_err(|e| self.refused(e))?;
        let mut encoded = EncodedRowGroup { columns: Vec::new(), nulls: Vec::new(), encoded_bytes: 0 };
        let order = order_by_shape(&pieces);
        let mut pieces: Vec<Piece> = pieces.into_iter().map(Piece::new).collect();
        for (field, writer) in self.schema.fields().iter().zip(writers) {
            let arrays = pieces.iter_mut().map(|piece| piece.take(field)).collect::<Result<_, _>>();
            let mut arrays: Vec<ArrayRef> = arrays.map_err(|e| self.refused(e.into()))?;
            if let Some(order) = &order {
                arrays = vec![reordered(&arrays, order).map_err(|e| self.refused(e.into()))?];
            }
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

/// Rows whose columns are taken out one after the other, so that each is freed when it is encoded.
struct Piece {
    schema: SchemaRef,
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
}

impl Piece {
    fn new(rows: RecordBatch) -> Self {
        let columns = rows.columns().iter().cloned().map(Some).collect();
        Piece { schema: rows.schema(), columns, rows: rows.num_rows() }
    }

    /// Takes a column out. One that the rows do not know is null, one of a narrower type is widened.
    fn take(&mut self, field: &Field) -> Result<ArrayRef, ArrowError> {
        let column = self.schema.index_of(field.name()).ok().and_then(|index| self.columns[index].take());
        let Some(column) = column else { return Ok(new_null_array(field.data_type(), self.rows)) };
        match (field.data_type(), column.data_type()) {
            (DataType::Int64, DataType::Int32) | (DataType::Float64, DataType::Float32) => {
                cast(&column, field.data_type())
            }
            _ => Ok(column),
        }
    }
}

/// Returns the places (piece, row) of all rows, those of one shape together and each shape in the order of the pieces.
fn order_by_shape(pieces: &[RecordBatch]) -> Option<Vec<(usize, usize)>> {
    let mut rows = Vec::with_capacity(pieces.iter().map(RecordBatch::num_rows).sum());
    for (number, piece) in pieces.iter().enumerate() {
        let shapes = piece.column_by_name(SHAPE)?.as_primitive_opt::<UInt32Type>()?;
        rows.extend(shapes.values().iter().enumerate().map(|(row, shape)| (*shape, number, row)));
    }
    rows.sort_unstable();
    Some(rows.into_iter().map(|(_, piece, row)| (piece, row)).collect())
}

fn reordered(arrays: &[ArrayRef], order: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    interleave(&arrays, order)
}

fn encode_column(
    field: &Arc<Field>,
    mut writer: ArrowColumnWriter,
    arrays: Vec<ArrayRef>,
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
