//! A writer and a compactor, reduced to what they do to the protocol.
//!
//! The stream is the numbers `0..length` in each of two shards; a data file holds the numbers as text instead of Parquet, each
//! with what decided about it: a process starts with settings, contracts and a program of its life (`left 3|v2`).
//! Like the real writer, this one rolls forward what it finds, then writes each batch ahead: both tables' files, the batch
//! object, `raw_events`, `events`.

use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, NestedField, PrimitiveType, Schema, Transform, Type,
    UnboundPartitionSpec,
};
use icefold_catalog::{
    AnnouncedTable, Announcement, Batch, BatchFile, BatchPart, CommitOutcome, Intent, LoadedTable, NewFile, Role,
    TableDefinition, Warehouse,
};
use icefold_core::tables::TableKind;
use icefold_core::{
    BatchId, Checkpoint, CommitId, Counts, Delta, Error, ErrorKind, Ids, Offset, Result, ShardId, ShardPosition,
};
use rand::Rng;
use rand::rngs::SmallRng;

use super::forward::{self, Forward};
use super::mutation::Mutation;

/// The tables in the order of their commits.
pub const TABLES: [TableKind; 2] = [TableKind::RawEvents, TableKind::Events];
/// The shards of the simulated stream.
pub const SHARDS: [&str; 2] = ["left", "right"];
/// Day of every simulated file.
const DAY: i32 = 20_000;
/// How many different settings, contracts and programs there are.
const DECISIONS: u32 = 10;

/// How a writer's life ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The whole stream is in both tables.
    Finished,
    /// Another writer was faster, and this intent is really not in (checked by the oracle).
    Fenced {
        /// The table.
        table: &'static str,
        /// The intent that was refused.
        commit_id: String,
    },
    /// A table cannot prove where it stands: somebody has to look.
    Halted,
    /// The tables differ, and no batch makes them alike: somebody has to recover them.
    Torn(String),
    /// An error: the process stops and is started again.
    Failed(String),
}

/// One life of a writer's process.
pub struct Life<'a> {
    /// The tables as it sees them.
    pub warehouse: &'a Warehouse,
    /// Names of its files.
    pub ids: &'a dyn Ids,
    /// What it decides by: settings, contracts and program, which change between lives.
    decision: String,
    mutation: Option<Mutation>,
}

/// The tables, all at one place of the stream.
pub(super) struct Level {
    pub(super) tables: [LoadedTable; 2],
    pub(super) checkpoint: Checkpoint,
}

/// A batch that is ready to be written ahead.
struct Planned {
    id: BatchId,
    content: Vec<u8>,
    rows: Vec<String>,
    /// In the order of [`TABLES`].
    intents: Vec<Intent>,
}

/// Returns the offset before record `n`.
pub fn offset(n: u64) -> Offset {
    if n == 0 { Offset::start() } else { Offset::new("stream", n) }
}

/// Returns the records of a piece of stream.
pub(super) fn records(delta: &Delta) -> impl Iterator<Item = String> + '_ {
    delta.iter().flat_map(|(shard, d)| (d.from.position..d.to.next.position).map(move |n| format!("{shard} {n}")))
}

/// Returns a row without what decided about it.
pub(super) fn record(row: &str) -> &str {
    row.split_once('|').map_or(row, |(record, _)| record)
}

/// Counts of so many rows, all of which are accepted.
pub(super) fn all_accepted(rows: u64) -> Counts {
    Counts { rows_in: rows, accepted: rows, ..Counts::default() }
}

/// The tables of the simulation have two columns: schemas of forty would only take time.
fn definition(kind: TableKind) -> Result<TableDefinition> {
    let refused = |e| Error::bug("a simulated schema").because(e);
    let column = |id, name, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
    let columns = [column(1, "n", PrimitiveType::Long), column(2, "at", PrimitiveType::Timestamptz)];
    let schema = Schema::builder().with_fields(columns).build().map_err(refused)?;
    let spec =
        UnboundPartitionSpec::builder().add_partition_field(2, "at_day", Transform::Day).map_err(refused)?.build();
    Ok(TableDefinition { name: kind.name().to_owned(), schema, partition_spec: spec, properties: kind.properties() })
}

impl<'a> Life<'a> {
    /// Begins a life.
    pub fn new(warehouse: &'a Warehouse, ids: &'a dyn Ids, mutation: Option<Mutation>, rng: &mut SmallRng) -> Self {
        Life { warehouse, ids, decision: format!("v{}", rng.random_range(0..DECISIONS)), mutation }
    }

    /// Writes until the stream of `length` records per shard is in both tables.
    pub async fn write(&self, length: u64, rng: &mut SmallRng) -> End {
        match self.write_all(length, rng).await {
            Ok(end) => end,
            Err(e) if e.kind() == ErrorKind::Corrupt => End::Halted,
            Err(e) => End::Failed(format!("{e:?}")),
        }
    }

    async fn write_all(&self, length: u64, rng: &mut SmallRng) -> Result<End> {
        for kind in TABLES {
            self.warehouse.create_table(&definition(kind)?).await?;
        }
        let mut level = match forward::roll_forward(self).await? {
            Forward::Level(level) => level,
            Forward::Torn(why) => return Ok(End::Torn(why)),
        };
        while SHARDS.iter().any(|s| level.checkpoint.next(&ShardId::new(*s)).position < length) {
            let mut delta = Delta::default();
            for shard in SHARDS.map(ShardId::new) {
                let from = level.checkpoint.next(&shard);
                let to = (from.position + rng.random_range(0..=4)).min(length);
                if from.position < to {
                    delta.insert(shard, from, ShardPosition::at(offset(to)))?;
                }
            }
            if delta.is_empty() {
                continue;
            }
            if let Some(end) = self.publish(&mut level, delta).await? {
                return Ok(end);
            }
        }
        Ok(End::Finished)
    }

    /// Returns the rows of a piece of stream, as this life decides about them.
    pub(super) fn rows(&self, delta: &Delta) -> Vec<String> {
        records(delta).map(|record| format!("{record}|{}", self.decision)).collect()
    }

    /// Whether the protocol is broken in this way.
    pub(super) fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Brings a batch into the tables. Returns how this life ends, if it does.
    async fn publish(&self, level: &mut Level, delta: Delta) -> Result<Option<End>> {
        let Planned { id, content, rows, intents } = self.plan(level, &delta)?;
        let announcement = self.stage(id, &delta, level, &intents, &rows).await?;
        self.warehouse.write_batch(id, content).await?;
        let mut outcomes = Vec::new();
        for ((kind, role), intent) in TABLES.into_iter().zip([Role::Leads, Role::Follows]).zip(intents) {
            let intent = self.identified(intent.of_batch(BatchPart::new(id, role)));
            let outcome = self.warehouse.commit(kind.name(), &intent).await?;
            match &outcome {
                CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted { .. } => outcomes.push(outcome),
                CommitOutcome::Fenced(_) if role == Role::Leads => {
                    return Ok(Some(End::Fenced { table: kind.name(), commit_id: intent.commit_id.to_string() }));
                }
                CommitOutcome::Fenced(fence) => return Ok(Some(End::Torn(fence.to_string()))),
                CommitOutcome::Replan { reason } => {
                    return Err(Error::bug(format!("an append is never planned again: {reason}")));
                }
            }
        }
        level.checkpoint = level.checkpoint.advance(&delta)?;
        for (table, outcome) in level.tables.iter_mut().zip(&outcomes) {
            if let CommitOutcome::Committed { table: next, .. } | CommitOutcome::AlreadyCommitted { table: next, .. } =
                outcome
            {
                *table = next.clone();
            }
        }
        // What stays does no harm. Each may be left when the process dies between them.
        self.warehouse.delete_batch(id).await.ok();
        if let Some(announcement) = announcement {
            self.warehouse.confirm(&announcement, &outcomes).await.ok();
        }
        Ok(None)
    }

    fn plan(&self, level: &Level, delta: &Delta) -> Result<Planned> {
        let rows = self.rows(delta);
        let mut intents = Vec::new();
        for table in &level.tables {
            let file = describe(table, "day", &rows, self.ids)?;
            intents.push(Intent::append(table, delta.clone(), all_accepted(rows.len() as u64), vec![file]));
        }
        let stated: Vec<(&str, &Intent)> = TABLES.iter().map(|kind| kind.name()).zip(&intents).collect();
        let (id, content) = Batch::of(&stated)?.content()?;
        Ok(Planned { id, content, rows, intents })
    }

    /// Uploads the files of a batch, announced before.
    async fn stage(
        &self,
        id: BatchId,
        delta: &Delta,
        level: &Level,
        intents: &[Intent],
        rows: &[String],
    ) -> Result<Option<Announcement>> {
        if self.is(Mutation::Unannounced) {
            for (table, intent) in level.tables.iter().zip(intents) {
                upload(table, &intent.add[0].file, rows).await?;
            }
            return Ok(None);
        }
        stage(self.warehouse, id, delta, intents, rows).await.map(Some)
    }

    /// The same intent, with the id that this life's protocol gives it.
    pub(super) fn identified(&self, mut intent: Intent) -> Intent {
        if self.is(Mutation::CommitIdWithoutBatch) {
            intent.commit_id = CommitId::for_delta(intent.table_uuid, "append", &intent.delta);
        }
        intent
    }
}

/// Announces the files of intents and uploads them; each holds all of `rows`.
pub(super) async fn stage(
    warehouse: &Warehouse,
    work: impl ToString,
    delta: &Delta,
    intents: &[Intent],
    rows: &[String],
) -> Result<Announcement> {
    let files = |intent: &Intent| intent.add.iter().map(|new| new.file.file_path().to_owned()).collect();
    let tables = intents.iter().map(|i| AnnouncedTable { table_uuid: i.table_uuid, files: files(i) }).collect();
    let announcement = warehouse.announce(work, delta.clone(), tables).await?;
    for new in intents.iter().flat_map(|intent| &intent.add) {
        warehouse.stage(&announcement, new.file.file_path(), vec![rows.join("\n").into()]).await?;
    }
    Ok(announcement)
}

pub(super) fn describe(table: &LoadedTable, folder: &str, rows: &[String], ids: &dyn Ids) -> Result<DataFile> {
    entry(&BatchFile {
        path: table.new_data_path(folder, &ids.next().to_string()),
        spec_id: table.metadata().default_partition_spec_id(),
        day: DAY,
        rows: rows.len() as u64,
        bytes: rows.join("\n").len() as u64,
    })
}

/// Returns what manifests say of a file: no more than is stated, for it has no footer.
pub(super) fn entry(stated: &BatchFile) -> Result<DataFile> {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(stated.path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(stated.partition())
        .partition_spec_id(stated.spec_id)
        .record_count(stated.rows)
        .file_size_in_bytes(stated.bytes)
        .build()
        .map_err(|e| Error::bug("a simulated file").because(e))
}

/// Writes a file that nothing announces, as other engines do.
pub(super) async fn upload(table: &LoadedTable, file: &DataFile, rows: &[String]) -> Result<()> {
    table.store().write_new(file.file_path(), vec![rows.join("\n").into()]).await
}

/// Replaces a few small files by one, as a compactor does, from a snapshot that may be old by the time it commits.
pub async fn compact(warehouse: &Warehouse, kind: TableKind, rng: &mut SmallRng, ids: &dyn Ids) -> Result<()> {
    let table = warehouse.load(kind.name()).await?;
    let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
    let live = table.live_files(&snapshot).await?;
    if live.len() < 2 {
        return Ok(());
    }
    let first = rng.random_range(0..live.len() - 1);
    let chosen = &live[first..(first + 3).min(live.len())];
    let mut rows = Vec::new();
    for f in chosen {
        let text = table.store().read(f.file.file_path()).await?;
        rows.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    let file = describe(&table, "day", &rows, ids)?;
    let remove = chosen.iter().map(|f| f.file.file_path().to_owned()).collect();
    let rewrite = Intent::rewrite(&table, snapshot.snapshot_id(), remove, vec![NewFile::new(&table, file)]);
    let intents = std::slice::from_ref(&rewrite);
    let announcement = stage(warehouse, rewrite.commit_id, &Delta::default(), intents, &rows).await?;
    let outcome = warehouse.commit(kind.name(), &rewrite).await?;
    warehouse.confirm(&announcement, &[outcome]).await.map(drop)
}
