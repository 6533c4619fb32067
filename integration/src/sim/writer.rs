//! A writer and a compactor, reduced to what they do to the protocol.
//!
//! The stream is the numbers `0..length` in each of two shards; a data file holds the numbers as text instead of Parquet.
//! Like the real writer, this one commits `raw_events` before `events`, knows each table's own checkpoint, and leaves out
//! for each table what that table has already.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, NestedField, PrimitiveType, Schema, Struct,
    Transform, Type, UnboundPartitionSpec,
};
use icefold_catalog::{CommitOutcome, Intent, LoadedTable, NewFile, Progress, TableDefinition, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Counts, Delta, Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use rand::Rng;
use rand::rngs::SmallRng;

/// The tables in the order of their commits.
pub const TABLES: [TableKind; 2] = [TableKind::RawEvents, TableKind::Events];
/// The shards of the simulated stream.
pub const SHARDS: [&str; 2] = ["left", "right"];
/// Day of every simulated file.
const DAY: i32 = 20_000;

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
    /// An error: the process stops and is started again.
    Failed(String),
}

/// Returns the offset before record `n`.
pub fn offset(n: u64) -> Offset {
    if n == 0 { Offset::start() } else { Offset::new("stream", n) }
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

/// Runs a writer until the stream of `length` records per shard is in both tables.
pub async fn write(warehouse: &Warehouse, length: u64, rng: &mut SmallRng, ids: &dyn icefold_core::Ids) -> End {
    match write_all(warehouse, length, rng, ids).await {
        Ok(end) => end,
        Err(e) if e.kind() == ErrorKind::Corrupt => End::Halted,
        Err(e) => End::Failed(format!("{e:?}")),
    }
}

async fn write_all(warehouse: &Warehouse, length: u64, rng: &mut SmallRng, ids: &dyn icefold_core::Ids) -> Result<End> {
    let mut tables = Vec::new();
    for kind in TABLES {
        tables.push(warehouse.create_table(&definition(kind)?).await?);
    }
    let mut positions = Vec::new();
    for table in &tables {
        positions.push(table.progress().await?);
    }
    loop {
        let lowest = |shard: &ShardId| positions.iter().map(|p| p.checkpoint.next(shard).position).min().unwrap_or(0);
        let batch: BTreeMap<ShardId, u64> = SHARDS
            .iter()
            .map(|s| ShardId::new(*s))
            .map(|s| (s.clone(), (lowest(&s) + rng.random_range(0..=4)).min(length)))
            .collect();
        if SHARDS.iter().all(|s| lowest(&ShardId::new(*s)) == length) {
            return Ok(End::Finished);
        }
        for (table, progress) in tables.iter_mut().zip(&mut positions) {
            if let Some(end) = commit_batch(warehouse, table, progress, &batch, ids).await? {
                return Ok(end);
            }
        }
    }
}

async fn commit_batch(
    warehouse: &Warehouse,
    table: &mut LoadedTable,
    progress: &mut Progress,
    batch: &BTreeMap<ShardId, u64>,
    ids: &dyn icefold_core::Ids,
) -> Result<Option<End>> {
    let (mut delta, mut rows) = (Delta::default(), Vec::new());
    for (shard, to) in batch {
        let from = progress.checkpoint.next(shard);
        if from.position < *to {
            rows.extend((from.position..*to).map(|n| format!("{shard} {n}")));
            delta.insert(shard.clone(), from, ShardPosition::at(offset(*to)))?;
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let count = rows.len() as u64;
    let counts = Counts { rows_in: count, accepted: count, ..Counts::default() };
    let file = describe(table, &rows, ids)?;
    let intent = Intent::append(table, delta.clone(), counts, vec![file.clone()]);
    let announced = warehouse.announce(&intent).await?;
    upload(table, &file, &rows).await?;
    match warehouse.commit(table.name(), &intent).await? {
        CommitOutcome::Committed { table: next, .. } | CommitOutcome::AlreadyCommitted { table: next, .. } => {
            *table = next;
            progress.checkpoint = progress.checkpoint.advance(&delta)?;
            warehouse.withdraw(&announced).await.ok();
            Ok(None)
        }
        CommitOutcome::Fenced(_) => {
            let table = TABLES.iter().map(|k| k.name()).find(|n| *n == table.name()).unwrap_or("unknown");
            Ok(Some(End::Fenced { table, commit_id: intent.commit_id.to_string() }))
        }
        CommitOutcome::Replan { reason } => Err(Error::bug(format!("an append is never planned again: {reason}"))),
    }
}

pub(super) fn describe(table: &LoadedTable, rows: &[String], ids: &dyn icefold_core::Ids) -> Result<DataFile> {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(table.new_data_path("day", &ids.next().to_string()))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::date(DAY))]))
        .partition_spec_id(table.metadata().default_partition_spec_id())
        .record_count(rows.len() as u64)
        .file_size_in_bytes(rows.join("\n").len() as u64)
        .build()
        .map_err(|e| Error::bug("a simulated file").because(e))
}

pub(super) async fn upload(table: &LoadedTable, file: &DataFile, rows: &[String]) -> Result<()> {
    table.store().write_new(file.file_path(), vec![rows.join("\n").into()]).await
}

/// Replaces a few small files by one, as a compactor does, from a snapshot that may be old by the time it commits.
pub async fn compact(
    warehouse: &Warehouse,
    kind: TableKind,
    rng: &mut SmallRng,
    ids: &dyn icefold_core::Ids,
) -> Result<()> {
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
    let file = describe(&table, &rows, ids)?;
    upload(&table, &file, &rows).await?;
    let remove = chosen.iter().map(|f| f.file.file_path().to_owned()).collect();
    let rewrite = Intent::rewrite(&table, snapshot.snapshot_id(), remove, vec![NewFile::new(&table, file)]);
    warehouse.commit(kind.name(), &rewrite).await?;
    Ok(())
}
