//! The hot window of a restart, from the rows of `events`.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures::{StreamExt, stream};
use iceberg::spec::{DataContentType, DataFile, PrimitiveLiteral};
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Error, Result, ShardId};
use xxhash_rust::xxh3::xxh3_128;

use super::Dedup;
use crate::columns::{ColumnReader, ParquetFile};

/// Files whose footers are read ahead.
const READ_AHEAD: usize = 4;

/// Columns that the window is made of.
const COLUMNS: [&str; 3] = ["message_id", "arrival_time", "shard"];

/// Remembers the events of `shards` that are inside the hot window at `checkpoint`, the one of `table` as loaded.
///
/// Files are read from the latest arrival backwards, until everything older lies before the window of every shard.
/// Deleted rows count: they were accepted.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file of the table cannot be read; errors of the
/// store; those of [`Dedup::remember`].
pub async fn rebuild<'a>(
    table: &LoadedTable,
    checkpoint: &Checkpoint,
    shards: impl IntoIterator<Item = &'a ShardId>,
    dedup: &mut Dedup,
) -> Result<()> {
    let shards: Vec<&ShardId> = shards.into_iter().filter(|shard| checkpoint.get(shard).is_some()).collect();
    let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
    if shards.is_empty() {
        return Ok(());
    }
    let files = candidates(table.live_files(&snapshot).await?, &shards);
    let mut opened = stream::iter(files)
        .map(|candidate| async {
            let file =
                ParquetFile::open(table.store(), candidate.file.file_path(), candidate.file.file_size_in_bytes());
            (file.await, candidate)
        })
        .buffered(READ_AHEAD);
    while let Some((file, candidate)) = opened.next().await {
        let open: Vec<&ShardId> = shards.iter().copied().filter(|s| candidate.may_matter(s, dedup)).collect();
        if !open.is_empty() {
            read(&file?, &open, dedup).await?;
        } else if shards.iter().all(|s| dedup.horizon_micros(s).is_some_and(|h| candidate.latest < h)) {
            break;
        }
    }
    Ok(())
}

/// A file that may hold events of the window.
#[derive(Debug)]
struct Candidate {
    file: DataFile,
    /// No event in it arrived later, in microseconds since 1970.
    latest: i64,
}

/// Returns the data files that may hold rows of `shards`, those with the latest arrivals first.
fn candidates(files: Vec<LiveFile>, shards: &[&ShardId]) -> Vec<Candidate> {
    let arrival = field_id("arrival_time");
    let mut found: Vec<Candidate> = files
        .into_iter()
        .map(|live| live.file)
        .filter(|file| file.content_type() == DataContentType::Data)
        .map(|file| {
            // Files of other engines may have no bounds: they have to be read.
            let latest = match file.upper_bounds().get(&arrival).map(|d| d.literal()) {
                Some(PrimitiveLiteral::Long(micros)) => *micros,
                _ => i64::MAX,
            };
            Candidate { file, latest }
        })
        .filter(|candidate| shards.iter().any(|shard| candidate.may_hold(shard)))
        .collect();
    found.sort_by(|a, b| b.latest.cmp(&a.latest).then_with(|| a.file.file_path().cmp(b.file.file_path())));
    found
}

impl Candidate {
    fn may_hold(&self, shard: &ShardId) -> bool {
        let id = field_id("shard");
        let text = |bound: Option<&iceberg::spec::Datum>| match bound.map(|d| d.literal().clone()) {
            Some(PrimitiveLiteral::String(text)) => Some(text),
            _ => None,
        };
        let lower = text(self.file.lower_bounds().get(&id));
        let upper = text(self.file.upper_bounds().get(&id));
        lower.is_none_or(|lower| lower.as_str() <= shard.as_str())
            && upper.is_none_or(|upper| upper.as_str() >= shard.as_str())
    }

    fn may_matter(&self, shard: &ShardId, dedup: &Dedup) -> bool {
        self.may_hold(shard) && dedup.horizon_micros(shard).is_none_or(|horizon| self.latest >= horizon)
    }
}

async fn read(file: &ParquetFile, shards: &[&ShardId], dedup: &mut Dedup) -> Result<()> {
    let columns = COLUMNS.map(field_id);
    let horizon = shards.iter().map(|s| dedup.horizon_micros(s).unwrap_or(i64::MIN)).min().unwrap_or(i64::MIN);
    let row_groups = file.row_groups_reaching(columns[1], horizon);
    let mut reader: ColumnReader = file.read(&columns, row_groups).await?;
    while let Some(rows) = reader.next().transpose()? {
        remember(&rows, file, shards, dedup)?;
    }
    Ok(())
}

fn remember(rows: &RecordBatch, file: &ParquetFile, shards: &[&ShardId], dedup: &mut Dedup) -> Result<()> {
    let odd = || Error::corrupt(format!("`{}` has columns of another type than `events`", file.uri()));
    let ids = rows.column(0).as_string_opt::<i32>().ok_or_else(odd)?;
    let arrivals = rows.column(1).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?;
    let row_shards = rows.column(2).as_string_opt::<i32>().ok_or_else(odd)?;
    for row in (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !arrivals.is_null(*row)) {
        if let Some(shard) = shards.iter().find(|shard| shard.as_str() == row_shards.value(row)) {
            dedup.remember(shard, xxh3_128(ids.value(row).as_bytes()), arrivals.value(row))?;
        }
    }
    Ok(())
}

fn field_id(column: &str) -> i32 {
    TableKind::Events.index_of(column) as i32 + 1
}
