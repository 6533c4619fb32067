//! Where the rows come from that state is rebuilt from: the data files of a table as loaded, a few columns of each.

use arrow::array::RecordBatch;
use iceberg::spec::{DataContentType, DataFile, PrimitiveLiteral};
use icefold_catalog::{LiveFile, Store};
use icefold_core::{Error, Result, ShardId};
use icefold_files::{ColumnReader, ParquetFile};

/// What becomes of rows that others have deleted by delete files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleted {
    /// They count: what was accepted once must not come back.
    Count,
    /// They are left out: what is remembered of a row goes with it.
    LeftOut,
}

/// A data file of a table, with what its bounds tell.
#[derive(Debug)]
pub(super) struct Candidate {
    file: DataFile,
    /// No row in it has a later `stream_time`, in microseconds since 1970.
    latest: i64,
    /// Names of shards: it holds none before the first or after the second.
    shards: [Option<String>; 2],
}

impl Candidate {
    /// Returns the data files among `files`; `stream_time` and `shard` are the ids of these columns.
    pub(super) fn among(files: Vec<LiveFile>, stream_time: i32, shard: i32) -> Vec<Candidate> {
        let data = files.into_iter().map(|live| live.file).filter(|f| f.content_type() == DataContentType::Data);
        let mut found: Vec<Candidate> = data.map(|file| Candidate::new(file, stream_time, shard)).collect();
        found.sort_by(|a, b| b.latest.cmp(&a.latest).then_with(|| a.file.file_path().cmp(b.file.file_path())));
        found
    }

    /// Files of other engines may have no bounds: they have to be read.
    fn new(file: DataFile, stream_time: i32, shard: i32) -> Self {
        let latest = match file.upper_bounds().get(&stream_time).map(|bound| bound.literal()) {
            Some(PrimitiveLiteral::Long(micros)) => *micros,
            _ => i64::MAX,
        };
        let shards = [file.lower_bounds(), file.upper_bounds()].map(|bounds| {
            match bounds.get(&shard).map(|bound| bound.literal()) {
                Some(PrimitiveLiteral::String(name)) => Some(name.clone()),
                _ => None,
            }
        });
        Candidate { file, latest, shards }
    }

    /// Returns whether a row in it may have `stream_time` `since` or later, in microseconds since 1970.
    pub(super) fn reaches(&self, since: i64) -> bool {
        self.latest >= since
    }

    /// Returns whether it may hold rows of a shard.
    pub(super) fn may_hold(&self, shard: &ShardId) -> bool {
        let [lower, upper] = self.shards.each_ref().map(Option::as_deref);
        lower.is_none_or(|lower| lower <= shard.as_str()) && upper.is_none_or(|upper| upper >= shard.as_str())
    }

    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when it is no Parquet file; errors of the store.
    pub(super) async fn open(&self, store: &Store) -> Result<OpenFile> {
        let (path, size) = (self.file.file_path(), self.file.file_size_in_bytes());
        Ok(OpenFile(ParquetFile::open(store, path, size).await?))
    }
}

/// A data file whose footer is read.
pub(super) struct OpenFile(ParquetFile);

impl OpenFile {
    /// Returns whether the file has all of these columns.
    pub(super) fn has(&self, columns: &[i32]) -> bool {
        columns.iter().all(|id| self.0.has(*id))
    }

    /// Reads columns, in this order, of the row groups in which column `by`, of whole numbers, may reach `since`.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a column is missing; errors of the store.
    pub(super) async fn read(&self, columns: &[i32], by: i32, since: i64, deleted: Deleted) -> Result<OpenRows<'_>> {
        // Rows that delete files name are still read like all others: `deleted` says where that is right.
        let (Deleted::Count | Deleted::LeftOut) = deleted;
        let reader = self.0.read(columns, self.0.row_groups_reaching(by, since)).await?;
        Ok(OpenRows { file: &self.0, reader })
    }
}

/// Rows of a file, batch by batch.
pub(super) struct OpenRows<'a> {
    file: &'a ParquetFile,
    reader: ColumnReader,
}

impl OpenRows<'_> {
    /// Hands every batch to `take`, which returns `None` when a column is of another type than it should be.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when it does, or the file cannot be read.
    pub(super) fn each(self, mut take: impl FnMut(&RecordBatch) -> Option<()>) -> Result<()> {
        for rows in self.reader {
            let odd = || format!("`{}` has columns of another type than its table", self.file.uri());
            take(&rows?).ok_or_else(|| Error::corrupt(odd()))?;
        }
        Ok(())
    }
}
