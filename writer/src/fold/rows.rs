//! Where the rows come from that state is rebuilt from: the data files of a table as loaded, a few columns of each.
//!
//! Of rows that delete files take, the message id still counts: what was accepted once must not come back. All else that
//! is remembered of a row goes with it.

use arrow::array::RecordBatch;
use iceberg::spec::{DataContentType, PrimitiveLiteral};
use icefold_catalog::{LiveFile, Store};
use icefold_core::{Error, Result, ShardId};
use icefold_files::{Deletes, LiveRows, ParquetFile};

/// Which rows are read: some columns, in this order, of the row groups in which column `by`, of whole numbers, may reach `since`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) columns: &'a [i32],
    pub(super) by: i32,
    pub(super) since: i64,
}

/// A data file of a table, with what its bounds tell.
#[derive(Debug)]
pub(super) struct Candidate {
    live: LiveFile,
    /// No row in it has a later `stream_time`, in microseconds since 1970.
    latest: i64,
    /// Names of shards: it holds none before the first or after the second.
    shards: [Option<String>; 2],
}

impl Candidate {
    /// Returns the data files among `files`; `stream_time` and `shard` are the ids of these columns.
    pub(super) fn among(files: Vec<LiveFile>, stream_time: i32, shard: i32) -> Vec<Candidate> {
        let data = files.into_iter().filter(|live| live.file.content_type() == DataContentType::Data);
        let mut found: Vec<Candidate> = data.map(|live| Candidate::new(live, stream_time, shard)).collect();
        found.sort_by(|a, b| b.latest.cmp(&a.latest).then_with(|| a.path().cmp(b.path())));
        found
    }

    fn path(&self) -> &str {
        self.live.file.file_path()
    }

    /// Files of other engines may have no bounds: they have to be read.
    fn new(live: LiveFile, stream_time: i32, shard: i32) -> Self {
        let file = &live.file;
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
        Candidate { latest, shards, live }
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
    pub(super) async fn open(&self, store: &Store) -> Result<OpenFile<'_>> {
        let file = ParquetFile::open(store, self.path(), self.live.file.file_size_in_bytes()).await?;
        Ok(OpenFile { live: &self.live, file })
    }
}

/// A data file whose footer is read.
pub(super) struct OpenFile<'a> {
    live: &'a LiveFile,
    file: ParquetFile,
}

impl OpenFile<'_> {
    /// Returns whether the file has all of these columns.
    pub(super) fn has(&self, columns: &[i32]) -> bool {
        columns.iter().all(|id| self.file.has(*id))
    }

    /// Hands rows to `take`, batch by batch: without those that `deletes` take, where these are given. It returns `None` when a
    /// column is of another type than it should be.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when it does, when a column is missing, or the file cannot be read;
    /// those of [`Deletes::of`]; errors of the store.
    pub(super) async fn each(
        &self,
        rows: Rows<'_>,
        deletes: Option<&Deletes>,
        mut take: impl FnMut(&RecordBatch) -> Option<()>,
    ) -> Result<()> {
        let row_groups = self.file.row_groups_reaching(rows.by, rows.since);
        let odd = || Error::corrupt(format!("`{}` has columns of another type than its table", self.file.uri()));
        let Some(deletes) = deletes else {
            for batch in self.file.read(rows.columns, row_groups).await? {
                take(&batch?).ok_or_else(odd)?;
            }
            return Ok(());
        };
        let deletes = deletes.of(self.live).await?;
        let mut live = LiveRows::new(&self.file, &deletes, rows.columns, row_groups)?;
        while let Some(batch) = live.next().await? {
            take(&batch).ok_or_else(odd)?;
        }
        Ok(())
    }
}
