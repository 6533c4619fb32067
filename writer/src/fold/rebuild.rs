//! The folds of a restart, from the rows of `events`.
//!
//! Files are read from the latest arrival backwards, until everything older lies before every window. Deleted rows count:
//! they were accepted.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use futures::{StreamExt, stream};
use iceberg::spec::{DataContentType, DataFile, PrimitiveLiteral, Schema};
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::{Checkpoint, Error, Result, ShardId};
use xxhash_rust::xxh3::xxh3_128;

use super::Folds;
use super::session::{SessionId, SessionRow, SessionsRebuild};
use crate::columns::{ColumnReader, ParquetFile};

/// Files whose footers are read ahead.
const READ_AHEAD: usize = 4;

/// Columns that deduplication is made of.
const DEDUP_COLUMNS: [&str; 3] = ["message_id", "arrival_time", "shard"];

/// Columns that sessions are made of.
const SESSION_COLUMNS: [&str; 6] =
    ["arrival_time", "anonymous_id", "session_id", "session_start", "session_latest", "session_event_number"];

/// Remembers what the rows of `table`, `events` as loaded, tell about the hot windows at its `checkpoint`: of the run's
/// `shards` what each still looks at, of all others what is recent.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file of the table cannot be read; errors of the
/// store; those of [`Dedup::remember`](crate::Dedup::remember).
pub(crate) async fn rebuild<'a>(
    table: &LoadedTable,
    checkpoint: &Checkpoint,
    shards: impl IntoIterator<Item = &'a ShardId>,
    folds: &mut Folds,
) -> Result<()> {
    let shards: Vec<&ShardId> = shards.into_iter().filter(|shard| checkpoint.get(shard).is_some()).collect();
    let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
    let columns = Columns::of(table.metadata().current_schema())?;
    let files = columns.candidates(table.live_files(&snapshot).await?);
    let mut opened = stream::iter(files)
        .map(|candidate| async {
            let file =
                ParquetFile::open(table.store(), candidate.file.file_path(), candidate.file.file_size_in_bytes());
            (file.await, candidate)
        })
        .buffered(READ_AHEAD);
    let mut read = Vec::new();
    while let Some((file, candidate)) = opened.next().await {
        if candidate.latest < sessions_since(needed_of_all(&shards, folds), folds) {
            break;
        }
        let file = file?;
        if candidate.latest >= columns.needed_since(&candidate, &shards, folds) {
            columns.read_ids(&file, &candidate, &shards, folds).await?;
        }
        read.push((file, candidate.latest));
    }
    folds.forget();
    // Only now is it known how far back sessions are looked at.
    let mut sessions = SessionsRebuild::new(folds.sessions.settings(), folds.forgotten)?;
    let since = sessions.rows_from_micros();
    for (file, _) in read.iter().filter(|(_, latest)| *latest >= since) {
        columns.read_sessions(file, &mut sessions).await?;
    }
    folds.sessions = sessions.finish()?;
    Ok(())
}

/// Rows that tell of a session that counts may have arrived before the ids that count.
fn sessions_since(horizon: i64, folds: &Folds) -> i64 {
    horizon.saturating_sub(folds.sessions.settings().open_for_micros())
}

/// The earliest arrival that may still count in one of the shards, or is recent.
fn needed_of_all(shards: &[&ShardId], folds: &Folds) -> i64 {
    let own = shards.iter().map(|shard| folds.dedup.horizon_micros(shard).unwrap_or(i64::MIN));
    own.min().unwrap_or(i64::MAX).min(folds.dedup.common_horizon_micros())
}

/// A file that may hold events of the window.
#[derive(Debug)]
struct Candidate {
    file: DataFile,
    /// No event in it arrived later, in microseconds since 1970.
    latest: i64,
}

/// Field ids of the columns that are read.
struct Columns {
    dedup: [i32; 3],
    sessions: [i32; 6],
}

impl Columns {
    fn of(schema: &Schema) -> Result<Self> {
        let id = |name: &str| {
            let field = schema.field_by_name(name).map(|field| field.id);
            field.ok_or_else(|| Error::bug(format!("`events` was opened without its column `{name}`")))
        };
        let (mut dedup, mut sessions) = ([0; 3], [0; 6]);
        for (slot, name) in dedup.iter_mut().chain(&mut sessions).zip(DEDUP_COLUMNS.iter().chain(&SESSION_COLUMNS)) {
            *slot = id(name)?;
        }
        Ok(Columns { dedup, sessions })
    }

    /// Returns the data files, those with the latest arrivals first.
    fn candidates(&self, files: Vec<LiveFile>) -> Vec<Candidate> {
        let data = files.into_iter().map(|live| live.file).filter(|f| f.content_type() == DataContentType::Data);
        let mut found: Vec<Candidate> = data
            .map(|file| {
                // Files of other engines may have no bounds: they have to be read.
                let latest = match file.upper_bounds().get(&self.dedup[1]).map(|d| d.literal()) {
                    Some(PrimitiveLiteral::Long(micros)) => *micros,
                    _ => i64::MAX,
                };
                Candidate { file, latest }
            })
            .collect();
        found.sort_by(|a, b| b.latest.cmp(&a.latest).then_with(|| a.file.file_path().cmp(b.file.file_path())));
        found
    }

    fn may_hold(&self, candidate: &Candidate, shard: &ShardId) -> bool {
        let text = |bound: Option<&iceberg::spec::Datum>| match bound.map(|d| d.literal().clone()) {
            Some(PrimitiveLiteral::String(text)) => Some(text),
            _ => None,
        };
        let lower = text(candidate.file.lower_bounds().get(&self.dedup[2]));
        let upper = text(candidate.file.upper_bounds().get(&self.dedup[2]));
        lower.is_none_or(|lower| lower.as_str() <= shard.as_str())
            && upper.is_none_or(|upper| upper.as_str() >= shard.as_str())
    }

    /// The earliest arrival in this file that may still count.
    fn needed_since(&self, candidate: &Candidate, shards: &[&ShardId], folds: &Folds) -> i64 {
        let held: Vec<&ShardId> = shards.iter().copied().filter(|shard| self.may_hold(candidate, shard)).collect();
        needed_of_all(&held, folds)
    }

    async fn read_ids(
        &self,
        file: &ParquetFile,
        candidate: &Candidate,
        shards: &[&ShardId],
        folds: &mut Folds,
    ) -> Result<()> {
        let row_groups = file.row_groups_reaching(self.dedup[1], self.needed_since(candidate, shards, folds));
        let mut reader: ColumnReader = file.read(&self.dedup, row_groups).await?;
        while let Some(rows) = reader.next().transpose()? {
            remember_ids(&rows, shards, folds)?.ok_or_else(|| odd(file))?;
        }
        Ok(())
    }

    async fn read_sessions(&self, file: &ParquetFile, sessions: &mut SessionsRebuild) -> Result<()> {
        // Files from before there were sessions do not have their columns.
        if !self.sessions.iter().all(|id| file.has(*id)) {
            return Ok(());
        }
        let row_groups = file.row_groups_reaching(self.dedup[1], sessions.rows_from_micros());
        let mut reader: ColumnReader = file.read(&self.sessions, row_groups).await?;
        while let Some(rows) = reader.next().transpose()? {
            remember_sessions(&rows, sessions).ok_or_else(|| odd(file))?;
        }
        Ok(())
    }
}

fn odd(file: &ParquetFile) -> Error {
    Error::corrupt(format!("`{}` has columns of another type than `events`", file.uri()))
}

/// `None` when a column is of another type.
fn remember_ids(rows: &RecordBatch, shards: &[&ShardId], folds: &mut Folds) -> Result<Option<()>> {
    let ids = rows.column(0).as_string_opt::<i32>();
    let arrivals = rows.column(1).as_primitive_opt::<TimestampMicrosecondType>();
    let (Some(ids), Some(arrivals), Some(of)) = (ids, arrivals, rows.column(2).as_string_opt::<i32>()) else {
        return Ok(None);
    };
    for row in (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !arrivals.is_null(*row)) {
        let shard = shards.iter().copied().find(|shard| shard.as_str() == of.value(row));
        folds.dedup.remember(shard, xxh3_128(ids.value(row).as_bytes()), arrivals.value(row))?;
    }
    Ok(Some(()))
}

/// `None` when a column is of another type.
fn remember_sessions(rows: &RecordBatch, sessions: &mut SessionsRebuild) -> Option<()> {
    let time = |column: usize| rows.column(column).as_primitive_opt::<TimestampMicrosecondType>();
    let (arrivals, starts, latest) = (time(0)?, time(3)?, time(4)?);
    let (devices, ids) = (rows.column(1).as_string_opt::<i32>()?, rows.column(2).as_string_opt::<i32>()?);
    let numbers = rows.column(5).as_primitive_opt::<Int32Type>()?;
    for row in (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !devices.is_null(*row)) {
        // An id that is not ours is one that another engine wrote: no event of ours joins it.
        let Some(id) = SessionId::parse_hex(ids.value(row).as_bytes()) else { continue };
        sessions.remember(&SessionRow {
            device: xxh3_128(devices.value(row).as_bytes()),
            id,
            start_micros: starts.value(row),
            number: numbers.value(row).unsigned_abs(),
            elapsed_micros: latest.value(row).saturating_sub(starts.value(row)),
            arrival_micros: arrivals.value(row),
        });
    }
    Some(())
}
