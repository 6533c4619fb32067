//! Growing Arrow columns.
//!
//! Text travels as bytes: the scanner has checked every string, Arrow would do it again for each column, and the file's
//! schema says which columns are text. Long values stay where they are: a [`ViewColumn`] points into the chunk.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, GenericByteArray, Int32Array, Int64Array, NullBufferBuilder, PrimitiveArray,
    TimestampMicrosecondArray, UInt32Array, make_view,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, BinaryType, ByteArrayType, Int32Type, LargeBinaryType};
use bytes::Bytes;
use icefold_core::{Error, Result};

use super::scanner::Span;

/// How large a column became, so that the next one is given its room at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    rows: usize,
    value_bytes: usize,
}

impl Room {
    /// Returns room for a tenth more: chunks of a source resemble one another.
    fn with_reserve(self) -> Room {
        Room { rows: self.rows + self.rows / 10, value_bytes: self.value_bytes + self.value_bytes / 10 }
    }
}

/// A column of values of any length, with `i32` (text) or `i64` (binary) offsets.
pub(super) struct BytesColumn<T: ByteArrayType> {
    values: Vec<u8>,
    offsets: Vec<T::Offset>,
    nulls: NullBufferBuilder,
    room: Room,
}

/// A column of UTF-8 text.
pub(super) type TextColumn = BytesColumn<BinaryType>;
/// A column of bytes.
pub(super) type BinaryColumn = BytesColumn<LargeBinaryType>;

/// An offset that a length can be cut to; that nothing was cut is checked when the column is finished.
pub(super) trait CutOffset: Copy {
    const MAX: usize;
    fn cut(length: usize) -> Self;
}

impl CutOffset for i32 {
    const MAX: usize = i32::MAX as usize;
    fn cut(length: usize) -> Self {
        length as i32
    }
}

impl CutOffset for i64 {
    const MAX: usize = i64::MAX as usize;
    fn cut(length: usize) -> Self {
        length as i64
    }
}

impl<T: ByteArrayType<Offset: CutOffset>> Default for BytesColumn<T> {
    fn default() -> Self {
        BytesColumn {
            values: Vec::new(),
            offsets: vec![T::Offset::cut(0)],
            nulls: NullBufferBuilder::new(0),
            room: Room::default(),
        }
    }
}

impl<T: ByteArrayType<Offset: CutOffset>> BytesColumn<T> {
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.push_with(|values| values.extend_from_slice(value));
    }

    #[inline]
    pub(super) fn push_option(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        self.offsets.push(T::Offset::cut(self.values.len()));
        self.nulls.append_null();
    }

    /// Adds the value that `write` appends.
    #[inline]
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.values);
        self.offsets.push(T::Offset::cut(self.values.len()));
        self.nulls.append_non_null();
    }

    /// Returns where the next value begins, for [`BytesColumn::since`].
    pub(super) fn mark(&self) -> usize {
        self.values.len()
    }

    /// Returns what was added after `mark`.
    pub(super) fn since(&self, mark: usize) -> &[u8] {
        &self.values[mark..]
    }

    /// Adds the same value `rows` times.
    pub(super) fn repeat(&mut self, value: &[u8], rows: usize) {
        self.values.reserve(value.len() * rows);
        self.offsets.reserve(rows);
        (0..rows).for_each(|_| self.push(value));
    }

    /// Returns the column and leaves an empty one.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        self.room = Room { rows: self.offsets.len(), value_bytes: self.values.len() };
        let room = self.room.with_reserve();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(room.value_bytes));
        let mut fresh = Vec::with_capacity(room.rows);
        fresh.push(T::Offset::cut(0));
        let offsets = std::mem::replace(&mut self.offsets, fresh);
        let nulls = self.nulls.finish();
        if values.len() > <T::Offset as CutOffset>::MAX {
            return Err(too_much_text());
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        match GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(values), nulls) {
            Ok(array) => Ok(Arc::new(array)),
            Err(e) => Err(Error::bug("the decoder made a column that Arrow refuses").because(e)),
        }
    }
}

/// A column of long values: most of them are pieces of the chunk, which are not copied, some are made here.
pub(super) struct ViewColumn {
    views: Vec<u128>,
    nulls: NullBufferBuilder,
    /// The values that were made, one behind the other.
    made: Vec<u8>,
    /// Whether a view points into the chunk.
    in_chunk: bool,
}

impl Default for ViewColumn {
    fn default() -> Self {
        ViewColumn { views: Vec::new(), nulls: NullBufferBuilder::new(0), made: Vec::new(), in_chunk: false }
    }
}

impl ViewColumn {
    const CHUNK: u32 = 0;
    const MADE: u32 = 1;

    /// Adds a piece of the chunk, which is `bytes`.
    #[inline]
    pub(super) fn push_piece(&mut self, bytes: &[u8], piece: Span) {
        self.views.push(make_view(piece.of(bytes), Self::CHUNK, piece.start));
        self.nulls.append_non_null();
        self.in_chunk = true;
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        self.views.push(0);
        self.nulls.append_null();
    }

    /// Adds the value that `write` appends.
    #[inline]
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        // That nothing was cut is checked when the column is finished.
        self.views.push(make_view(&self.made[start..], Self::MADE, start as u32));
        self.nulls.append_non_null();
    }

    /// Returns the column and leaves an empty one. `chunk` are the bytes that all pieces are of.
    pub(super) fn finish(&mut self, chunk: &Bytes) -> Result<ArrayRef> {
        let (rows, made) = (self.views.len(), self.made.len());
        let views = std::mem::replace(&mut self.views, Vec::with_capacity(rows + rows / 10));
        let made = std::mem::replace(&mut self.made, Vec::with_capacity(made + made / 10));
        let nulls = self.nulls.finish();
        if i32::try_from(made.len()).is_err() {
            return Err(too_much_text());
        }
        // A chunk that nothing points into is not kept alive.
        let chunk = if std::mem::take(&mut self.in_chunk) { chunk.clone() } else { Bytes::new() };
        let buffers = vec![Buffer::from(chunk), Buffer::from_vec(made)];
        match BinaryViewArray::try_new(ScalarBuffer::from(views), buffers, nulls) {
            Ok(array) => Ok(Arc::new(array)),
            Err(e) => Err(Error::bug("the decoder made a column that Arrow refuses").because(e)),
        }
    }
}

fn too_much_text() -> Error {
    Error::invalid("a chunk makes a text column of more than 2 GiB: make the source's chunks smaller")
}

/// A column of times in microseconds since 1970, UTC.
#[derive(Default)]
pub(super) struct TimeColumn(Numbers<i64>);
/// A column of 64-bit integers.
#[derive(Default)]
pub(super) struct LongColumn(Numbers<i64>);
/// A column of 32-bit integers.
#[derive(Default)]
pub(super) struct IntColumn(Numbers<i32>);

struct Numbers<N> {
    values: Vec<N>,
    nulls: NullBufferBuilder,
}

impl<N> Default for Numbers<N> {
    fn default() -> Self {
        Numbers { values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl<N: Copy + Default> Numbers<N> {
    #[inline]
    fn push(&mut self, value: Option<N>) {
        self.values.push(value.unwrap_or_default());
        match value {
            Some(_) => self.nulls.append_non_null(),
            None => self.nulls.append_null(),
        }
    }

    fn finish<T: ArrowPrimitiveType<Native = N>>(&mut self) -> PrimitiveArray<T>
    where
        N: arrow::datatypes::ArrowNativeType,
    {
        let room = self.values.len() + self.values.len() / 10;
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(room));
        PrimitiveArray::new(ScalarBuffer::from(values), self.nulls.finish())
    }
}

/// A column of numbers that stay in memory.
#[derive(Default)]
pub(super) struct ShapeColumn(Vec<u32>);

impl ShapeColumn {
    #[inline]
    pub(super) fn push(&mut self, shape: u32) {
        self.0.push(shape);
    }

    /// Returns the column and leaves an empty one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let room = self.0.len() + self.0.len() / 10;
        Arc::new(UInt32Array::from(std::mem::replace(&mut self.0, Vec::with_capacity(room))))
    }
}

impl TimeColumn {
    #[inline]
    pub(super) fn push(&mut self, micros: impl Into<Option<i64>>) {
        self.0.push(micros.into());
    }

    /// Returns the column and leaves an empty one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let array: TimestampMicrosecondArray = self.0.finish();
        Arc::new(array.with_timezone("+00:00"))
    }
}

impl LongColumn {
    #[inline]
    pub(super) fn push(&mut self, value: i64) {
        self.0.push(Some(value));
    }

    /// Returns the column and leaves an empty one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let array: Int64Array = self.0.finish();
        Arc::new(array)
    }
}

impl IntColumn {
    #[inline]
    pub(super) fn push(&mut self, value: impl Into<Option<i32>>) {
        self.0.push(value.into());
    }

    /// Returns the column and leaves an empty one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let array: Int32Array = self.0.finish::<Int32Type>();
        Arc::new(array)
    }
}
