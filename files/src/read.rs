//! Reading the rows of a data file that are not deleted.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use icefold_core::{Error, Result};

use crate::columns::{ParquetFile, PositionedReader, PositionedRows};
use crate::deletes::RowDeletes;

/// Bytes of columns that are fetched at a time, if that is more than one row group.
const MAX_FETCHED_BYTES: u64 = 64 << 20;

/// The live rows of some columns of some row groups of a data file, in the order of the file.
///
/// ```text
/// let file = ParquetFile::open(store, live.file.file_path(), live.file.file_size_in_bytes()).await?;
/// let deletes = deletes.of(&live).await?;
/// let mut rows = LiveRows::new(&file, &deletes, &columns, file.row_groups_reaching(time, since))?;
/// while let Some(batch) = rows.next().await? { … }
/// ```
#[derive(Debug)]
pub struct LiveRows<'a> {
    file: &'a ParquetFile,
    deletes: &'a RowDeletes,
    /// What is read: the wanted columns, then those that only deletes ask for.
    field_ids: Vec<i32>,
    wanted: Vec<usize>,
    row_groups: VecDeque<usize>,
    reader: Option<PositionedReader>,
}

impl<'a> LiveRows<'a> {
    /// Takes the columns that are wanted, in this order, and the row groups to read; reads nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when the file lacks a wanted column; ask
    /// [`ParquetFile::has`] before where older files may lack one.
    pub fn new(
        file: &'a ParquetFile,
        deletes: &'a RowDeletes,
        field_ids: &[i32],
        row_groups: Vec<usize>,
    ) -> Result<Self> {
        if let Some(id) = field_ids.iter().find(|id| !file.has(**id)) {
            return Err(Error::corrupt(format!("`{}` has no column with field id {id}", file.uri())));
        }
        let keys = deletes.key_columns().into_iter().filter(|id| file.has(*id) && !field_ids.contains(id));
        Ok(LiveRows {
            file,
            deletes,
            field_ids: field_ids.iter().copied().chain(keys).collect(),
            wanted: (0..field_ids.len()).collect(),
            row_groups: row_groups.into(),
            reader: None,
        })
    }

    /// Returns the next rows, never none of them; `None` at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when the file is damaged; those of [`RowDeletes::live`];
    /// errors of the store.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while let Some(read) = self.reader.as_mut().and_then(Iterator::next) {
                let live = self.live(&read?)?;
                if live.num_rows() > 0 {
                    return Ok(Some(live));
                }
            }
            let row_groups = self.next_row_groups();
            if row_groups.is_empty() {
                return Ok(None);
            }
            self.reader = Some(self.file.read(&self.field_ids, row_groups).await?.positioned());
        }
    }

    fn live(&self, read: &PositionedRows) -> Result<RecordBatch> {
        let live = self.deletes.live(self.file, &self.field_ids, read)?;
        let rows = read.rows.project(&self.wanted).and_then(|rows| filter_record_batch(&rows, &live));
        rows.map_err(|e| Error::bug("the bits of live rows do not fit the rows").because(e))
    }

    /// Takes row groups up to the bound of bytes, and one at least. Those without a live row are passed over.
    fn next_row_groups(&mut self) -> Vec<usize> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(group) = self.row_groups.front().copied() {
            let place = self.file.rows_of(group);
            let rows = place.end - place.start;
            if self.deletes.deleted_by_position(place.start, rows) < rows {
                bytes += self.file.column_bytes(&self.field_ids, group);
                if bytes > MAX_FETCHED_BYTES && !taken.is_empty() {
                    break;
                }
                taken.push(group);
            }
            self.row_groups.pop_front();
        }
        taken
    }
}
