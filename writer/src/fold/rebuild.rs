//! The folds of a restart, from the rows of `events`.
//!
//! Files are looked at from the latest arrival backwards, and read if they may hold something of a shard that still
//! counts there, or of any that is recent. Sessions are then made of the rows that arrived near the last window of any
//! shard. Deleted rows count: they were accepted.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use futures::stream::FuturesOrdered;
use futures::{StreamExt, stream};
use iceberg::spec::{DataContentType, DataFile, PrimitiveLiteral, Schema};
use icefold_catalog::{LiveFile, LoadedTable, Store};
use icefold_core::{Checkpoint, Error, Result, ShardId};
use icefold_files::{ColumnReader, ParquetFile};
use xxhash_rust::xxh3::xxh3_128;

use super::Folds;
use super::session::{SessionId, SessionRow, SessionsRebuild};
use crate::Dedup;
use crate::dedup::ShardNumber;

/// Files whose footers are read ahead.
const READ_AHEAD: usize = 4;

/// Columns that deduplication is made of.
const DEDUP_COLUMNS: [&str; 3] = ["message_id", "arrival_time", "shard"];

/// Columns that sessions are made of.
const SESSION_COLUMNS: [&str; 7] =
    ["arrival_time", "anonymous_id", "session_id", "session_start", "session_latest", "session_event_number", "shard"];

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
    let shards = Shards::of(shards.into_iter().filter(|shard| checkpoint.get(shard).is_some()), &mut folds.dedup)?;
    let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
    let columns = Columns::of(table.metadata().current_schema())?;
    let files = columns.candidates(table.live_files(&snapshot).await?);
    let mut opened = rebuild_ids(table.store(), &columns, &files, &shards, &mut folds.dedup).await?;

    // Only now is it known how far back sessions are looked at.
    let (horizons, window) = (folds.dedup.horizons_micros(), folds.dedup.window_micros());
    let mut sessions = SessionsRebuild::new(folds.sessions.settings(), horizons, window)?;
    let mut needed = Vec::new();
    for (at, candidate) in files.iter().enumerate() {
        if let Some(since) = sessions.needed_since(candidate.earliest..=candidate.latest) {
            needed.push((opened.remove(&at), candidate.place(), since));
        }
    }
    let mut reading = stream::iter(needed)
        .map(|(file, place, since)| async move {
            match file {
                Some(file) => (Ok(file), since),
                None => (place.open(table.store()).await, since),
            }
        })
        .buffered(READ_AHEAD);
    while let Some((file, since)) = reading.next().await {
        columns.read_sessions(&file?, since, &shards, &mut sessions).await?;
    }
    folds.sessions = sessions.finish()?;
    Ok(())
}

/// Remembers the ids that count; returns the files that were opened, by their place among `files`.
async fn rebuild_ids(
    store: &Store,
    columns: &Columns,
    files: &[Candidate],
    shards: &Shards<'_>,
    dedup: &mut Dedup,
) -> Result<HashMap<usize, ParquetFile>> {
    let (mut opened, mut opening) = (HashMap::new(), FuturesOrdered::new());
    let mut rest = files.iter().enumerate();
    loop {
        // What was read tells which of the rest are needed: for a shard of which nothing was found yet, all that may
        // hold it.
        while opening.len() < READ_AHEAD
            && let Some((at, candidate)) = rest.find(|(_, c)| c.latest >= shards.needed_since(c, dedup))
        {
            let place = candidate.place();
            opening.push_back(async move { (at, place.open(store).await) });
        }
        let Some((at, file)) = opening.next().await else { break };
        let (file, since) = (file?, shards.needed_since(&files[at], dedup));
        if files[at].latest >= since {
            columns.read_ids(&file, since, shards, dedup).await?;
        }
        opened.insert(at, file);
    }
    Ok(opened)
}

/// The run's shards that the table has something of.
struct Shards<'a> {
    /// In the order of their names.
    sorted: Vec<(&'a ShardId, ShardNumber)>,
    by_name: HashMap<&'a str, (&'a ShardId, ShardNumber)>,
}

impl<'a> Shards<'a> {
    fn of(shards: impl Iterator<Item = &'a ShardId>, dedup: &mut Dedup) -> Result<Self> {
        let mut sorted: Vec<_> = shards.map(|shard| Ok((shard, dedup.shard(shard)?))).collect::<Result<_>>()?;
        sorted.sort_unstable_by_key(|(shard, _)| *shard);
        let by_name = sorted.iter().map(|found| (found.0.as_str(), *found)).collect();
        Ok(Shards { sorted, by_name })
    }

    /// `None` is a shard that the run does not read.
    fn named(&self, name: &str) -> Option<(&'a ShardId, ShardNumber)> {
        self.by_name.get(name).copied()
    }

    /// The earliest arrival in this file that may count for deduplication.
    fn needed_since(&self, candidate: &Candidate, dedup: &Dedup) -> i64 {
        let horizons = dedup.horizons_micros();
        let own = self.held(candidate).iter().map(|(_, number)| horizons[usize::from(number.get())]);
        own.fold(horizons[usize::from(ShardNumber::OTHERS.get())], i64::min)
    }

    /// The shards that the file may hold, as far as its bounds tell.
    fn held(&self, candidate: &Candidate) -> &[(&'a ShardId, ShardNumber)] {
        let [lower, upper] = &candidate.shards;
        let from =
            self.sorted.partition_point(|(s, _)| lower.as_ref().is_some_and(|lower| s.as_str() < lower.as_str()));
        let held = &self.sorted[from..];
        &held[..held.partition_point(|(s, _)| upper.as_ref().is_none_or(|upper| s.as_str() <= upper.as_str()))]
    }
}

/// A Parquet file that can be opened.
pub(super) struct Place {
    uri: String,
    size: u64,
}

impl Place {
    pub(super) async fn open(self, store: &Store) -> Result<ParquetFile> {
        ParquetFile::open(store, &self.uri, self.size).await
    }
}

/// A file that may hold events of the window.
#[derive(Debug)]
pub(super) struct Candidate {
    file: DataFile,
    /// No event in it arrived earlier, in microseconds since 1970.
    earliest: i64,
    /// No event in it arrived later.
    latest: i64,
    /// Names of shards: it holds none before the first or after the second.
    shards: [Option<String>; 2],
}

impl Candidate {
    /// Files of other engines may have no bounds: they have to be read.
    fn new(file: DataFile, arrival: i32, shard: i32) -> Self {
        let literals = |column: i32| {
            let bounds = [file.lower_bounds(), file.upper_bounds()];
            bounds.map(|bounds| bounds.get(&column).map(|bound| bound.literal().clone()))
        };
        let [earliest, latest] = literals(arrival).map(|bound| match bound {
            Some(PrimitiveLiteral::Long(micros)) => Some(micros),
            _ => None,
        });
        let shards = literals(shard).map(|bound| match bound {
            Some(PrimitiveLiteral::String(name)) => Some(name),
            _ => None,
        });
        let (earliest, latest) = (earliest.unwrap_or(i64::MIN), latest.unwrap_or(i64::MAX));
        Candidate { file, earliest, latest, shards }
    }

    /// Returns whether an event in it may have arrived at `since` or later.
    pub(super) fn reaches(&self, since: i64) -> bool {
        self.latest >= since
    }

    pub(super) fn place(&self) -> Place {
        Place { uri: self.file.file_path().to_owned(), size: self.file.file_size_in_bytes() }
    }
}

/// Field ids of the columns that are read.
pub(super) struct Columns {
    dedup: [i32; 3],
    sessions: [i32; 7],
}

impl Columns {
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let id = |name: &str| {
            let field = schema.field_by_name(name).map(|field| field.id);
            field.ok_or_else(|| Error::bug(format!("`events` was opened without its column `{name}`")))
        };
        let (mut dedup, mut sessions) = ([0; 3], [0; 7]);
        for (slot, name) in dedup.iter_mut().chain(&mut sessions).zip(DEDUP_COLUMNS.iter().chain(&SESSION_COLUMNS)) {
            *slot = id(name)?;
        }
        Ok(Columns { dedup, sessions })
    }

    /// Returns the data files, those with the latest arrivals first.
    pub(super) fn candidates(&self, files: Vec<LiveFile>) -> Vec<Candidate> {
        let data = files.into_iter().map(|live| live.file).filter(|f| f.content_type() == DataContentType::Data);
        let mut found: Vec<Candidate> = data.map(|file| Candidate::new(file, self.dedup[1], self.dedup[2])).collect();
        found.sort_by(|a, b| b.latest.cmp(&a.latest).then_with(|| a.file.file_path().cmp(b.file.file_path())));
        found
    }

    /// The columns of deduplication, of the row groups that reach `since`.
    pub(super) async fn ids(&self, file: &ParquetFile, since: i64) -> Result<ColumnReader> {
        file.read(&self.dedup, file.row_groups_reaching(self.dedup[1], since)).await
    }

    async fn read_ids(&self, file: &ParquetFile, since: i64, shards: &Shards<'_>, dedup: &mut Dedup) -> Result<()> {
        for rows in self.ids(file, since).await? {
            let rows = rows?;
            remember_ids(&rows, shards, dedup)?.ok_or_else(|| odd(file))?;
        }
        Ok(())
    }

    async fn read_sessions(
        &self,
        file: &ParquetFile,
        since: i64,
        shards: &Shards<'_>,
        sessions: &mut SessionsRebuild,
    ) -> Result<()> {
        // Files from before there were sessions do not have their columns.
        if !self.sessions.iter().all(|id| file.has(*id)) {
            return Ok(());
        }
        let row_groups = file.row_groups_reaching(self.dedup[1], since);
        let mut reader: ColumnReader = file.read(&self.sessions, row_groups).await?;
        while let Some(rows) = reader.next().transpose()? {
            remember_sessions(&rows, shards, sessions).ok_or_else(|| odd(file))?;
        }
        Ok(())
    }
}

pub(super) fn odd(file: &ParquetFile) -> Error {
    Error::corrupt(format!("`{}` has columns of another type than `events`", file.uri()))
}

/// `None` when a column is of another type.
fn remember_ids(rows: &RecordBatch, shards: &Shards<'_>, dedup: &mut Dedup) -> Result<Option<()>> {
    let Some(rows) = accepted(rows) else { return Ok(None) };
    for (shard, message, arrival) in rows {
        dedup.remember(shards.named(shard).map(|(shard, _)| shard), message, arrival)?;
    }
    Ok(Some(()))
}

/// Returns shard, hash of the message id and arrival of each row; `None` when a column is of another type.
pub(super) fn accepted(rows: &RecordBatch) -> Option<impl Iterator<Item = (&str, u128, i64)>> {
    let ids = rows.column(0).as_string_opt::<i32>()?;
    let arrivals = rows.column(1).as_primitive_opt::<TimestampMicrosecondType>()?;
    let shards = rows.column(2).as_string_opt::<i32>()?;
    let whole = (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !arrivals.is_null(*row));
    Some(whole.map(|row| (shards.value(row), xxh3_128(ids.value(row).as_bytes()), arrivals.value(row))))
}

/// `None` when a column is of another type.
fn remember_sessions(rows: &RecordBatch, shards: &Shards<'_>, sessions: &mut SessionsRebuild) -> Option<()> {
    let time = |column: usize| rows.column(column).as_primitive_opt::<TimestampMicrosecondType>();
    let (arrivals, starts, latest) = (time(0)?, time(3)?, time(4)?);
    let (devices, ids) = (rows.column(1).as_string_opt::<i32>()?, rows.column(2).as_string_opt::<i32>()?);
    let (numbers, of) = (rows.column(5).as_primitive_opt::<Int32Type>()?, rows.column(6).as_string_opt::<i32>()?);
    for row in (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !devices.is_null(*row)) {
        // An id that is not ours is one that another engine wrote: no event of ours joins it.
        let Some(id) = SessionId::parse_hex(ids.value(row).as_bytes()) else { continue };
        sessions.remember(&SessionRow {
            shard: shards.named(of.value(row)).map_or(ShardNumber::OTHERS, |(_, number)| number).get(),
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
