//! Batches, written ahead: what several tables get by one decision, stated in full before the first of them is committed.
//!
//! ```text
//! announce files ─▶ upload files ─▶ write the batch object ─▶ commit its first table ─▶ the others ─▶ delete the object
//!                                                               the commit point        rolled forward by whoever finds
//!                                                                                       them behind, deriving nothing anew
//! ```
//!
//! A batch of the stream begins with `raw_events`: the checkpoint object of that commit names, for each shard, the batch that
//! moved it there, and a shard moves only when it is level in all tables, so at most one batch of a shard is open. A redrive
//! begins with `events`, whose checkpoint object lists it as open. Another table is at the start of the batch (then it is
//! applied), at its end or past it (then that is done), or somewhere else (then nothing is guessed: [`Warehouse`] halts).
//!
//! Objects lie under `<warehouse>/_icefold/batches/`, named by the hash of their content, so that none is ever replaced. Bounds
//! of columns are not stated: the footers of the files have them.

use std::collections::BTreeMap;

use iceberg::spec::{DataContentType, DataFile, Literal, Struct};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, CommitId, Counts, Delta, Error, ErrorKind, Result, ShardId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::Progress;
use crate::intent::{BatchPart, Intent, Recount, Role};
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// Version of the object's layout.
const VERSION: u32 = 1;

/// What tables get by one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    version: u32,
    /// The piece of stream; empty for a redrive.
    pub delta: Delta,
    /// What became of the rows of `delta`.
    pub counts: Counts,
    /// What the rows were decided by, as each snapshot's summary tells it.
    pub summary: BTreeMap<String, String>,
    /// What each table gets, in the order of their commits; the first one is the commit point.
    pub tables: Vec<TablePart>,
}

/// What one table gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TablePart {
    /// Name.
    pub table: String,
    /// Identity; a table that is made anew under the name has another.
    pub table_uuid: Uuid,
    /// What became of rows that had been quarantined, as far as the table did not count it before.
    #[serde(default)]
    pub recount: Recount,
    /// Data files to add.
    pub add: Vec<BatchFile>,
    /// Data files to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// The snapshot that was looked at to decide what is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_on: Option<i64>,
}

/// A staged data file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchFile {
    /// URI.
    pub path: String,
    /// Partition spec that it was written under, which is by one day.
    pub spec_id: i32,
    /// The day since 1970.
    pub day: i32,
    /// Rows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
}

impl BatchFile {
    /// States a data file of a table that is partitioned by one day.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] for files that the writer does not make.
    pub fn of(file: &DataFile, spec_id: i32) -> Result<Self> {
        let day = match file.partition().iter().collect::<Vec<_>>().as_slice() {
            [Some(Literal::Primitive(iceberg::spec::PrimitiveLiteral::Int(day)))] => Some(*day),
            _ => None,
        };
        let day = day.filter(|_| file.content_type() == DataContentType::Data);
        let day = day.ok_or_else(|| Error::bug(format!("`{}` is no data file of a day", file.file_path())))?;
        let path = file.file_path().to_owned();
        Ok(BatchFile { path, spec_id, day, rows: file.record_count(), bytes: file.file_size_in_bytes() })
    }

    /// Returns the partition.
    pub fn partition(&self) -> Struct {
        Struct::from_iter([Some(Literal::date(self.day))])
    }
}

impl TablePart {
    /// States what an intent does to the table `name`.
    ///
    /// # Errors
    /// Those of [`BatchFile::of`].
    pub fn of(name: &str, intent: &Intent) -> Result<Self> {
        let add = intent.add.iter().map(|new| BatchFile::of(&new.file, new.spec_id)).collect::<Result<_>>()?;
        Ok(TablePart {
            table: name.to_owned(),
            table_uuid: intent.table_uuid,
            recount: intent.recount,
            add,
            remove: intent.remove.clone(),
            planned_on: intent.planned_on,
        })
    }
}

impl Batch {
    /// States intents, in the order of their commits. What they say beside their files is alike and stated once.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] for intents that do not belong together; those of [`BatchFile::of`].
    pub fn of(intents: &[(&str, &Intent)]) -> Result<Self> {
        let Some((_, first)) = intents.first() else { return Err(Error::bug("a batch without a table")) };
        let alike = |other: &Intent| (&other.delta, other.counts) == (&first.delta, first.counts);
        if !intents.iter().all(|(_, intent)| alike(intent)) {
            return Err(Error::bug("the intents of a batch differ in what they say of the stream"));
        }
        let tables = intents.iter().map(|(name, intent)| TablePart::of(name, intent)).collect::<Result<_>>()?;
        let (delta, counts) = (first.delta.clone(), first.counts);
        Ok(Batch { version: VERSION, delta, counts, summary: first.summary.clone(), tables })
    }

    /// Returns the object's bytes and the id that follows from them.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`].
    pub fn content(&self) -> Result<(BatchId, Vec<u8>)> {
        let text = serde_json::to_vec(self).map_err(|e| Error::bug("a batch has no JSON form").because(e))?;
        Ok((BatchId::of(&text), text))
    }

    /// Reads the object of the batch `id`.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is not what was written under that id; [`ErrorKind::InvalidInput`] when a newer program
    /// wrote it.
    pub fn read(id: BatchId, content: &[u8]) -> Result<Self> {
        let damaged = |why: &str| Error::corrupt(format!("batch object `{id}` {why}: restore it from a backup"));
        if BatchId::of(content) != id {
            return Err(damaged("holds something else than its name says"));
        }
        let batch: Batch = serde_json::from_slice(content).map_err(|e| damaged("is unreadable").because(e))?;
        if batch.version != VERSION {
            return Err(Error::invalid(format!(
                "batch object `{id}` has version {}, this program knows {VERSION}: use the icefold that wrote it, or a newer one",
                batch.version
            )));
        }
        Ok(batch)
    }

    /// Returns the table whose commit decides whether the batch is in. A recovery has none: what it brings was decided before.
    pub fn commit_point(&self) -> Option<&str> {
        let first = self.tables.first().map(|first| first.table.as_str());
        first.filter(|table| self.delta.is_empty() || *table == TableKind::RawEvents.name())
    }

    /// Returns what the batch does to the table of this part. `files` are the entries of its files, in their order.
    pub fn intent(&self, id: BatchId, part: &TablePart, files: Vec<DataFile>) -> Intent {
        let role = if self.commit_point() == Some(part.table.as_str()) { Role::Leads } else { Role::Follows };
        let intent = Intent {
            counts: self.counts,
            recount: part.recount,
            summary: self.summary.clone(),
            remove: part.remove.clone(),
            planned_on: part.planned_on,
            ..Intent::of_stream(part.table_uuid, self.delta.clone())
        };
        let spec = |path: &str| part.add.iter().find(|stated| stated.path == path).map_or(0, |stated| stated.spec_id);
        let files = files.into_iter().map(|file| {
            let spec_id = spec(file.file_path());
            crate::intent::NewFile { file, spec_id, data_sequence_number: None }
        });
        Intent { add: files.collect(), ..intent }.of_batch(BatchPart::new(id, role))
    }
}

/// Where a table stands, seen from a batch that another table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At its start: it is to be applied.
    Before,
    /// At its end, or past it.
    Done,
    /// Elsewhere: the table was made anew, restored or changed by hand.
    Elsewhere,
}

/// Tells where a table with this progress stands, seen from a batch of the stream over `delta`.
pub fn standing(progress: &Progress, delta: &Delta) -> Standing {
    let mut shards = delta.iter().map(|(shard, d)| {
        let next = progress.checkpoint.next(shard);
        match next {
            _ if next >= d.to.next => Standing::Done,
            _ if next == d.from => Standing::Before,
            _ => Standing::Elsewhere,
        }
    });
    let Some(first) = shards.next() else { return Standing::Done };
    if shards.all(|other| other == first) { first } else { Standing::Elsewhere }
}

/// Shards that are not level in all tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The batches that may bring what is missing: what moved the tables that are ahead, `raw_events` first. Beside its own batch
    /// that may be one that a recovery made of it.
    pub batches: Vec<BatchId>,
    /// The shards.
    pub shards: Vec<ShardId>,
}

/// Finds the shards in which a table stands behind `raw_events`. `others` are the other tables' progress.
pub fn open_batches(raw: &Progress, others: &[&Progress]) -> Vec<Open> {
    let mut open: BTreeMap<Vec<BatchId>, Vec<ShardId>> = BTreeMap::new();
    for (shard, _) in raw.checkpoint.iter() {
        let next = |progress: &&Progress| progress.checkpoint.next(shard);
        let tables = || std::iter::once(raw).chain(others.iter().copied());
        let Some(last) = tables().map(|progress| next(&progress)).min() else { continue };
        let ahead = tables().filter(|progress| next(progress) > last);
        let mut batches: Vec<BatchId> = Vec::new();
        let mut is_level = true;
        for progress in ahead {
            is_level = false;
            let moved = progress.moved_by.get(shard).filter(|id| !batches.contains(id));
            batches.extend(moved.copied());
        }
        if !is_level {
            open.entry(batches).or_default().push(shard.clone());
        }
    }
    open.into_iter().map(|(batches, shards)| Open { batches, shards }).collect()
}

/// Finds a shard in which a table stands ahead of `raw_events`, which no batch brings about.
pub fn ahead_of_raw(raw: &Progress, other: &Progress) -> Option<ShardId> {
    let ahead = other.checkpoint.iter().find(|(shard, position)| position.next > raw.checkpoint.next(shard));
    ahead.map(|(shard, _)| shard.clone())
}

impl Warehouse {
    /// Returns where the object of a batch is.
    pub fn batch_uri(&self, id: BatchId) -> String {
        format!("{}/_icefold/batches/{id}.json", self.location())
    }

    /// Writes a batch ahead of its first commit. Writing it again is harmless.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn write_batch(&self, id: BatchId, content: Vec<u8>) -> Result<()> {
        match self.store().write_new(&self.batch_uri(id), vec![content.into()]).await {
            // Its name is its content, so an object of that name is this one.
            Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
            other => other,
        }
    }

    /// Reads a batch; `None` when its object is gone, as it is once all tables have it.
    ///
    /// # Errors
    /// Those of [`Batch::read`]; errors of the store.
    pub async fn read_batch(&self, id: BatchId) -> Result<Option<Batch>> {
        match self.store().read(&self.batch_uri(id)).await {
            Ok(content) => Batch::read(id, &content).map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Deletes the object of a batch that all tables have.
    ///
    /// # Errors
    /// Errors of the store; an object that stays does no harm.
    pub async fn delete_batch(&self, id: BatchId) -> Result<()> {
        self.store().delete(&self.batch_uri(id)).await
    }

    /// Returns the ids of the batches whose objects are there.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn batches(&self) -> Result<Vec<BatchId>> {
        let listed = self.store().list(&format!("{}/_icefold/batches", self.location())).await?;
        let id = |uri: &str| uri.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
        Ok(listed.iter().filter_map(|object| id(&object.uri)).collect())
    }
}

/// Whether `table` has the commit of a batch among the snapshots that its history still tells.
pub fn is_in(table: &LoadedTable, id: BatchId) -> bool {
    let metadata = table.metadata();
    crate::lineage::find_commit(metadata, CommitId::for_batch(metadata.uuid(), id)).is_some()
}

#[cfg(test)]
mod tests;
