//! Rolling forward: a batch that one table has and others lack is brought into these from its object, as it was decided then,
//! whatever settings, contracts, program or sources there are now (W3).
//!
//! ```text
//! tables ─▶ open_batches ─▶ read the object ─▶ each table that stands at `from` ─▶ entries from the files' footers ─▶ commit
//!   ▲                            │ gone: look again, its maker may have finished it            others: done, or torn
//!   └──────── look again ◀───────┴────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Any number of processes may do so at once: the commits have the ids that they would have had.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::DataFile;
use icefold_catalog::batch::{self, Open, Standing, TablePart};
use icefold_catalog::{Batch, CommitOutcome, Fence, LoadedTable, Progress, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Error, ErrorKind, Offset, Result, ShardId};
use icefold_files::ParquetFile;

use crate::encode::file::entry_of;
use crate::pipeline::{TABLES, index_of};

/// How often the tables are looked at again because others move them meanwhile.
const MAX_ROUNDS: usize = 8;

/// The tables, level but for what cannot be rolled forward.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) tables: [(LoadedTable, Progress); TABLES],
    /// Shards that are not level in all tables, and why.
    pub(crate) blocked: BTreeMap<ShardId, Blocked>,
    /// Redrives that `events` lists as open and that every table has.
    pub(crate) closes: Vec<BatchId>,
    /// Redrives whose events are in `events` and, since its files have changed, also in `quarantine`.
    pub(crate) unsettled: Vec<(BatchId, Batch)>,
}

/// Why a shard is not level in all tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Another run moves it, faster than it can be looked at.
    Moving,
    /// Its batch cannot be brought into every table.
    Stuck(String),
}

/// Brings every open batch of the tables into those that lack it. Beside a fleet there always are some, which their makers bring
/// everywhere themselves: those are no reason not to begin with other shards.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when a table stands where no batch brings it; errors of store and catalog.
pub(crate) async fn roll_forward(warehouse: &Warehouse) -> Result<Level> {
    let mut given_up: BTreeMap<Vec<BatchId>, String> = BTreeMap::new();
    let mut looked_at: BTreeSet<(Vec<BatchId>, Vec<Offset>)> = BTreeSet::new();
    let mut brought: BTreeSet<BatchId> = BTreeSet::new();
    for round in 1..=MAX_ROUNDS {
        let tables = load(warehouse).await?;
        let Some(found) = look(&tables) else { continue };
        let left: Vec<&Open> = found.iter().filter(|open| !given_up.contains_key(&open.batches)).collect();
        if left.is_empty() || round == MAX_ROUNDS {
            let blocked = found.iter().flat_map(|open| {
                let why = given_up.get(&open.batches).cloned().map_or(Blocked::Moving, Blocked::Stuck);
                open.shards.iter().map(move |shard| (shard.clone(), why.clone()))
            });
            let blocked: BTreeMap<ShardId, Blocked> = blocked.collect();
            for id in brought.iter().filter(|_| blocked.is_empty()) {
                tidy(warehouse, *id).await;
            }
            let (closes, unsettled) = redrives(warehouse, &tables[index_of(TableKind::Events)].1).await?;
            return Ok(Level { tables, blocked, closes, unsettled });
        }
        for open in left {
            let given_up_for = match bring(warehouse, open, &tables).await? {
                Brought::Yes => {
                    brought.extend(&open.batches);
                    None
                }
                // Whoever made the batch may have brought it everywhere since the tables were read, and others the next one. Only
                // tables that a second look finds at the same places stood there at one time.
                Brought::No(_) if looked_at.insert((open.batches.clone(), places(open, &tables))) => None,
                Brought::No(why) => Some(why),
            };
            given_up.extend(given_up_for.map(|why| (open.batches.clone(), why)));
        }
    }
    let ahead = TableKind::RawEvents.name();
    Err(Error::new(
        ErrorKind::Corrupt,
        format!(
            "a table stands ahead of `{ahead}`: if `{ahead}` was made anew or rolled back, restore it (see `icefold checkpoint`), \
             or move all four tables away and ingest again"
        ),
    ))
}

/// Loads the tables, `raw_events` last: what it has by then, the others may have, and what the others have, it must have.
async fn load(warehouse: &Warehouse) -> Result<[(LoadedTable, Progress); TABLES]> {
    let mut loaded = Vec::with_capacity(TABLES);
    for kind in TableKind::ALL.into_iter().rev() {
        let table = warehouse.load(kind.name()).await?;
        let progress = table.progress().await?;
        loaded.push((table, progress));
    }
    loaded.reverse();
    loaded.try_into().map_err(|_| Error::bug("a table is missing"))
}

/// Finds what is open; `None` when a table stands ahead of `raw_events`.
fn look(tables: &[(LoadedTable, Progress); TABLES]) -> Option<Vec<Open>> {
    let [(_, raw), others @ ..] = tables;
    let others: Vec<&Progress> = others.iter().map(|(_, progress)| progress).collect();
    let is_ahead = others.iter().any(|other| batch::ahead_of_raw(raw, other).is_some());
    (!is_ahead).then(|| batch::open_batches(raw, &others))
}

/// Where the tables stand in what is open.
fn places(open: &Open, tables: &[(LoadedTable, Progress); TABLES]) -> Vec<Offset> {
    let places = tables.iter().map(|(_, progress)| open.shards.iter().map(|shard| progress.checkpoint.next(shard)));
    places.flatten().collect()
}

/// Whether something was brought forward.
enum Brought {
    /// Something was, or others were faster: look again.
    Yes,
    /// Nothing could be, for this reason.
    No(String),
}

/// Brings what is open forward, by the first of its batches that can.
async fn bring(warehouse: &Warehouse, open: &Open, tables: &[(LoadedTable, Progress); TABLES]) -> Result<Brought> {
    let mut why = format!("`{}` does not name the batch that moved it", TableKind::RawEvents.name());
    for (number, id) in open.batches.iter().enumerate() {
        let brought = match warehouse.read_batch(*id).await? {
            Some(batch) => apply(warehouse, *id, &batch, tables).await?,
            None => Brought::No(format!("the object of its batch, `{}`, is gone", warehouse.batch_uri(*id))),
        };
        match brought {
            Brought::Yes => return Ok(Brought::Yes),
            Brought::No(reason) if number == 0 => why = reason,
            Brought::No(_) => {}
        }
    }
    Ok(Brought::No(why))
}

/// Brings a batch into the tables that stand at its start.
async fn apply(
    warehouse: &Warehouse,
    id: BatchId,
    batch: &Batch,
    tables: &[(LoadedTable, Progress); TABLES],
) -> Result<Brought> {
    let mut brought = false;
    for part in batch.tables.iter().filter(|part| batch.commit_point() != Some(part.table.as_str())) {
        let Some((table, progress)) = tables.iter().find(|(table, _)| table.name() == part.table) else { continue };
        if table.metadata().uuid() != part.table_uuid {
            return Ok(Brought::No(format!("table `{}` was made anew since its batch was decided", part.table)));
        }
        match batch::standing(progress, &batch.delta) {
            Standing::Done => continue,
            Standing::Elsewhere => {
                return Ok(Brought::No(format!("table `{}` stands elsewhere than its batch", part.table)));
            }
            Standing::Before => {}
        }
        match follow(warehouse, id, batch, part, table).await? {
            Brought::Yes => brought = true,
            no => return Ok(no),
        }
    }
    if brought {
        return Ok(Brought::Yes);
    }
    Ok(Brought::No("its batch is in every table, and they are not level".to_owned()))
}

/// Commits a batch to one table that stands at its start.
async fn follow(
    warehouse: &Warehouse,
    id: BatchId,
    batch: &Batch,
    part: &TablePart,
    table: &LoadedTable,
) -> Result<Brought> {
    let files = match entries(table, &part.add).await {
        Ok(files) => files,
        Err(e) if e.kind() == ErrorKind::Transient => return Err(e),
        Err(e) => return Ok(Brought::No(e.to_string())),
    };
    match warehouse.commit(&part.table, &batch.intent(id, part, files)).await {
        // Others have moved it meanwhile.
        Ok(CommitOutcome::Fenced(_) | CommitOutcome::Replan { .. }) => Ok(Brought::Yes),
        Ok(_) => {
            tracing::info!(table = part.table, batch = %id, "rolled a batch forward that another run had begun");
            Ok(Brought::Yes)
        }
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Bug) => Ok(Brought::No(e.to_string())),
        Err(e) => Err(e),
    }
}

/// Deletes the object of a batch that every table has. Its announcement is left to clean-up, which sees that its files are
/// live.
async fn tidy(warehouse: &Warehouse, id: BatchId) {
    if let Err(error) = warehouse.delete_batch(id).await {
        tracing::debug!(error = ?error, "a batch object stays");
    }
}

/// Reads from their footers what manifests say of staged files.
pub(crate) async fn entries(table: &LoadedTable, files: &[icefold_catalog::BatchFile]) -> Result<Vec<DataFile>> {
    let mut entries = Vec::with_capacity(files.len());
    for stated in files {
        let file = ParquetFile::open(table.store(), &stated.path, stated.bytes).await?;
        entries.push(entry_of(table.metadata(), stated, file.footer())?);
    }
    Ok(entries)
}

/// Finishes the redrives that `events` lists as open; returns those that every table has, and those that cannot be finished as
/// they were decided.
async fn redrives(warehouse: &Warehouse, events: &Progress) -> Result<(Vec<BatchId>, Vec<(BatchId, Batch)>)> {
    let (mut closes, mut unsettled) = (Vec::new(), Vec::new());
    for id in &events.open {
        let Some(batch) = warehouse.read_batch(*id).await? else {
            closes.push(*id);
            continue;
        };
        match finish_redrive(warehouse, *id, &batch).await? {
            true => {
                tidy(warehouse, *id).await;
                closes.push(*id);
            }
            false => unsettled.push((*id, batch)),
        }
    }
    Ok((closes, unsettled))
}

/// Commits to the other tables what a redrive has begun with `events`; `false` when their files have changed since.
async fn finish_redrive(warehouse: &Warehouse, id: BatchId, batch: &Batch) -> Result<bool> {
    for part in batch.tables.iter().skip(1) {
        let table = warehouse.load(&part.table).await?;
        if table.metadata().uuid() != part.table_uuid {
            continue;
        }
        let files = match entries(&table, &part.add).await {
            Ok(files) => files,
            Err(e) if e.kind() == ErrorKind::Transient => return Err(e),
            Err(error) => {
                tracing::warn!(error = ?error, batch = %id, "a redrive cannot be finished as it was decided");
                return Ok(false);
            }
        };
        match warehouse.commit(&part.table, &batch.intent(id, part, files)).await? {
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted { .. } => {}
            CommitOutcome::Fenced(_) | CommitOutcome::Replan { .. } => return Ok(false),
        }
    }
    Ok(true)
}

/// What to say of a table that is neither where a batch begins nor past it.
pub(crate) fn torn(table: &str, fence: &Fence) -> Error {
    Error::corrupt(format!(
        "table `{table}` cannot take what `{}` has already: {fence}; it was made anew, restored or changed by hand: run `icefold \
         batch recover`, which fills it from `{}`",
        TableKind::RawEvents.name(),
        TableKind::RawEvents.name()
    ))
}

/// What to say of a shard that is not level.
pub(crate) fn blocked(shard: &ShardId, why: &Blocked) -> Error {
    let raw = TableKind::RawEvents.name();
    match why {
        Blocked::Moving => {
            let message = format!("another run is moving shard `{shard}`: run again when it has ended");
            Error::new(ErrorKind::Transient, message)
        }
        Blocked::Stuck(why) => Error::corrupt(format!(
            "shard `{shard}` is in `{raw}` and not in every other table, and cannot be rolled forward: {why}; run `icefold batch \
             recover`, which derives what is missing from `{raw}`"
        )),
    }
}
