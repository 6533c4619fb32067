//! Views into larger buffers: what they keep in memory, and when they are better copied.
//!
//! Long values of decoded rows are views into their chunk. That saves copying them, but one row keeps the whole chunk
//! alive. So memory is counted by what is kept, and rows that use little of what they keep are copied.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, RecordBatch};
use arrow::buffer::Buffer;
use icefold_core::{Error, Result};

/// Views that use less than this part of their buffers are copied.
const LEAST_USED_PART: usize = 4;

/// Returns the bytes that the rows keep in memory. A buffer in which several columns have views counts once.
pub fn memory_bytes(rows: &RecordBatch) -> usize {
    let mut kept: Vec<&Buffer> = Vec::new();
    let mut bytes = 0;
    for column in rows.columns() {
        let Some(buffers) = view_buffers(column) else {
            bytes += column.get_array_memory_size();
            continue;
        };
        bytes += column.len() * size_of::<u128>();
        for buffer in buffers {
            if kept.iter().all(|other| other.as_ptr() != buffer.as_ptr()) {
                bytes += buffer.len();
                kept.push(buffer);
            }
        }
    }
    bytes
}

/// Copies the views that use little of what they keep in memory.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) never, unless Arrow changes.
pub fn compact(rows: RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = rows.columns().iter().map(compact_column).collect();
    RecordBatch::try_new(rows.schema(), columns).map_err(|e| Error::bug("copied views are of another type").because(e))
}

fn compact_column(column: &ArrayRef) -> ArrayRef {
    let Some(views) = column.as_binary_view_opt() else { return column.clone() };
    let kept: usize = views.data_buffers().iter().map(Buffer::len).sum();
    if kept == 0 || views.total_buffer_bytes_used() >= kept / LEAST_USED_PART {
        return column.clone();
    }
    Arc::new(views.gc())
}

fn view_buffers(column: &ArrayRef) -> Option<&[Buffer]> {
    column.as_binary_view_opt().map(BinaryViewArray::data_buffers)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, make_view};
    use arrow::buffer::ScalarBuffer;

    use super::*;

    const BUFFER_BYTES: usize = 100_000;

    /// Two columns that look at pieces of one buffer, and one without views.
    fn rows(pieces: &[(usize, usize)]) -> RecordBatch {
        let bytes = vec![b'x'; BUFFER_BYTES];
        let views: ScalarBuffer<u128> =
            pieces.iter().map(|(start, end)| make_view(&bytes[*start..*end], 0, *start as u32)).collect();
        let buffer = Buffer::from_vec(bytes);
        let views = || Arc::new(BinaryViewArray::try_new(views.clone(), vec![buffer.clone()], None).expect("views"));
        let numbers = Int32Array::from(vec![0; pieces.len()]);
        let columns: [(_, ArrayRef); 3] = [("one", views()), ("other", views()), ("numbers", Arc::new(numbers))];
        RecordBatch::try_from_iter(columns).expect("rows")
    }

    #[test]
    fn a_buffer_that_two_columns_look_into_counts_once() {
        let bytes = memory_bytes(&rows(&[(0, 50_000), (50_000, BUFFER_BYTES)]));
        assert!((BUFFER_BYTES..BUFFER_BYTES + 1_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn few_rows_do_not_keep_a_large_buffer() {
        let few = rows(&[(10, 110), (700, 900)]);
        let copied = compact(few.clone()).expect("copies");
        assert_eq!(copied, few);
        assert!(memory_bytes(&copied) < 2_000, "{}", memory_bytes(&copied));
    }

    #[test]
    fn rows_that_use_most_of_their_buffer_are_not_copied() {
        let most = rows(&[(0, 90_000)]);
        let same = compact(most.clone()).expect("rows");
        let start = |rows: &RecordBatch| rows.column(0).as_binary_view().data_buffers()[0].as_ptr();
        assert_eq!(start(&same), start(&most));
    }
}
