//! Quarantined events that pass now, let into `events` once.
//!
//! ```text
//! data file of `quarantine` ─▶ judge: which rows pass now? ─▶ (caller: which of these are in `events`?) ─▶ admit: a batch
//!                                                                     1. rows into `events`, the commit point
//!                                                                     2. the file without them: must still be live
//! ```
//!
//! An event's place in the stream is its identity: one that is in `events` is not let in again, however often and by how many
//! this is run. `events` is committed first and lists the batch as open; whoever finds it so finishes it with the quarantine's
//! part. Where that is not possible, since the file was replaced meanwhile, the events are found in the files that hold them
//! now, and taken out of these.
//!
//! Beside running writers only those of their commits count that may repeat one of the events: rows of a related shard, within
//! the window of deduplication. Others do not delay it.
//!
//! What passes late is not folded: it has no session, and its person is the one it names itself. Device, place and address
//! are as for any other event.
//!
//! [`admit`] commits; `rows` reads files of the quarantine.

pub mod admit;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use iceberg::spec::DataContentType;
use icefold_catalog::{LiveFile, LoadedTable, Warehouse, keys};
use icefold_core::tables::{QUARANTINE, TableKind};
use icefold_core::{BatchId, Checkpoint, Error, ErrorKind, Offset, Result, ShardId};
use icefold_files::ParquetFile;

use crate::contracts::Active;
use crate::decode::{DecodeSettings, Decoder, InputFormat};
use crate::enrich::versions::Versions;
use crate::enrich::{Enriched, Enricher, Enrichment};
use crate::failpoint::FailPoints;
use crate::fold::Texts;
use crate::publish::forward;
use crate::settings::Settings;

pub use admit::Related;
use rows::Quarantined;
pub use rows::record;

/// Which rows of the quarantine are looked at, and as what; `None` means all, and as what they came in.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only those of this reason code.
    pub reason: Option<String>,
    /// Only those that broke this contract.
    pub contract: Option<String>,
    /// The format that their source should have been read as. One event of a batch is no line of a source, and stays.
    pub format: Option<InputFormat>,
}

/// Judges and admits; made once for a run.
pub struct Redrive {
    warehouse: Warehouse,
    settings: Settings,
    segment: Decoder,
    combined: Decoder,
    enricher: Enricher,
    /// The object with the contracts in force.
    contracts: Option<String>,
    fail_points: FailPoints,
    /// Redrives that are everywhere, which the next commit of `events` is to say.
    closes: Vec<BatchId>,
    /// Events of redrives that could not be finished as they were decided: they are in `events`.
    unsettled: HashSet<EventPlace>,
    /// The batches of these.
    unsettled_batches: Vec<BatchId>,
}

/// A data file of the quarantine, and which of its rows pass now.
#[derive(Debug)]
pub struct Judged {
    file: LiveFile,
    rows: RecordBatch,
    versions: Versions,
    /// Where each row lies in the stream.
    pub places: Vec<EventPlace>,
    /// The rows that were chosen.
    pub chosen: u64,
    /// Rows that would have been, but `events` has not come so far.
    pub waiting: u64,
    /// Those of the chosen ones that pass now.
    pub passing: Vec<Passing>,
}

impl Judged {
    fn of(file: LiveFile, rows: RecordBatch) -> Self {
        let (versions, places, passing) = Default::default();
        Judged { file, rows, versions, places, chosen: 0, waiting: 0, passing }
    }
}

/// Place of an event in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPlace {
    /// Shard.
    pub shard: ShardId,
    /// Segment of the shard.
    pub segment: String,
    /// Place of the record in the segment.
    pub source_offset: i64,
    /// Number of the event in the record.
    pub sub_offset: i32,
}

impl EventPlace {
    fn is_before(&self, checkpoint: &Checkpoint) -> bool {
        let position = u64::try_from(self.source_offset).unwrap_or(0);
        Offset { segment: self.segment.as_str().into(), position } < checkpoint.next(&self.shard)
    }
}

/// A quarantined event that passes now.
#[derive(Debug, Clone)]
pub struct Passing {
    row: usize,
    event: RecordBatch,
    /// `messageId`.
    pub message_id: String,
    /// Reason for which it had been quarantined.
    pub reason: String,
    /// Where it lies in the stream.
    pub place: EventPlace,
    /// Its `stream_time`, in microseconds since 1970.
    pub stream_time_micros: i64,
}

/// Whether rows have left the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// All that were to. The other rows of the file are in these ones.
    Yes(Vec<String>),
    /// A table has changed since it was looked at, or rows of the file had been let in before: look again.
    No,
}

/// What becomes of an event that passes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is let into `events`.
    Accept,
    /// It repeats an event of `events`.
    Duplicate,
    /// It is in `events` already, since an earlier run was interrupted.
    AlreadyIn,
}

impl Redrive {
    /// Opens the tables, with the contracts in force.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for wrong settings; errors of store and catalog.
    pub async fn open(
        warehouse: &Warehouse,
        settings: Settings,
        decode: DecodeSettings,
        enrichment: &Enrichment,
    ) -> Result<Self> {
        warehouse.check_home(&warehouse.load(TableKind::Events.name()).await?)?;
        let level = forward::roll_forward(warehouse).await?;
        let mut unsettled = HashSet::new();
        for part in level.unsettled.iter().flat_map(|(_, batch)| batch.tables.first()) {
            unsettled.extend(rows::places_in(&warehouse.load(&part.table).await?, &part.add).await?);
        }
        let [.., (events, _)] = &level.tables;
        let set = warehouse.contracts(events).await?;
        let active = set.as_ref().map(|set| Active::compile(set, None)).transpose()?.map(Arc::new);
        let mut segment = Decoder::new(decode.clone(), InputFormat::Segment)?;
        segment.set_contracts(active.as_ref())?;
        Ok(Redrive {
            warehouse: warehouse.clone(),
            settings,
            segment,
            combined: Decoder::new(decode, InputFormat::Combined)?,
            enricher: enrichment.enricher(),
            contracts: events.metadata().properties().get(keys::CONTRACTS).cloned(),
            fail_points: FailPoints::default(),
            closes: level.closes,
            unsettled,
            unsettled_batches: level.unsettled.into_iter().map(|(id, _)| id).collect(),
        })
    }

    /// Arms a fail point, for crash tests; the one that is passed is `BETWEEN_TABLES`.
    #[must_use]
    pub fn fail_points(mut self, fail_points: FailPoints) -> Self {
        self.fail_points = fail_points;
        self
    }

    /// Returns the data files of the quarantine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when rows of it were deleted and the deletes still stand beside the files.
    pub async fn files(&self) -> Result<Vec<LiveFile>> {
        live_files(&self.warehouse.load(TableKind::Quarantine.name()).await?).await
    }

    /// Decodes the chosen rows of a file again. Rows that lie behind where `events` stands are left out: ingest has not come to
    /// them since it was interrupted.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the file cannot be read; errors of the store.
    pub async fn judge(&mut self, file: LiveFile, choice: &Choice, events: &Checkpoint) -> Result<Judged> {
        let rows = self.read(&file).await?;
        let quarantined = Quarantined::of(&rows)?;
        let mut judged = Judged { places: quarantined.places(), ..Judged::of(file, rows.clone()) };
        for row in (0..rows.num_rows()).filter(|row| quarantined.is_chosen(*row, choice)) {
            if !judged.places[row].is_before(events) {
                judged.waiting += 1;
                continue;
            }
            judged.chosen += 1;
            if let Some((passing, versions)) = self.judge_row(&quarantined, row, choice.format)? {
                judged.passing.push(passing);
                judged.versions.merge(versions);
            }
        }
        Ok(judged)
    }

    async fn read(&self, live: &LiveFile) -> Result<RecordBatch> {
        let table = self.warehouse.load(TableKind::Quarantine.name()).await?;
        let schema = table.metadata().current_schema();
        let ids = QUARANTINE.iter().map(|column| schema.field_by_name(column.name).map(|field| field.id));
        let ids: Vec<i32> = ids.collect::<Option<_>>().ok_or_else(|| Error::invalid("`quarantine` lacks a column"))?;
        let size = live.file.file_size_in_bytes();
        let file = ParquetFile::open(table.store(), live.file.file_path(), size).await?;
        let rows: Vec<RecordBatch> = file.read(&ids, file.row_groups_reaching(-1, 0)).await?.collect::<Result<_>>()?;
        let odd = |e| Error::corrupt(format!("`{}` has odd columns", file.uri())).because(e);
        match rows.first() {
            Some(first) => concat_batches(&first.schema(), &rows).map_err(odd),
            None => Err(Error::corrupt(format!("`{}` has no rows: restore it from a backup", file.uri()))),
        }
    }

    fn judge_row(
        &mut self,
        quarantined: &Quarantined<'_>,
        row: usize,
        format: Option<InputFormat>,
    ) -> Result<Option<(Passing, Versions)>> {
        let format = format.unwrap_or_else(|| quarantined.format(row));
        if !quarantined.can_be_read_as(row, format) {
            return Ok(None);
        }
        let chunk = quarantined.chunk(row, self.warehouse.clock().now_ms() * 1_000);
        let decoder = match format {
            InputFormat::Combined => &mut self.combined,
            InputFormat::Segment => &mut self.segment,
        };
        let decoded = decoder.decode(&chunk)?;
        if decoded.events.num_rows() != 1 || decoded.raw.num_rows() != 1 {
            return Ok(None);
        }
        let Enriched { rows, versions } = self.enricher.enrich(decoded)?;
        let message_id = Texts::of(&rows.events, "message_id")?.get(0).unwrap_or_default().to_vec();
        let passing = Passing {
            row,
            event: quarantined.completed(rows.events, row)?,
            message_id: String::from_utf8_lossy(&message_id).into_owned(),
            reason: quarantined.reason.value(row).to_owned(),
            place: quarantined.place(row),
            stream_time_micros: quarantined.stream_time.value(row),
        };
        Ok(Some((passing, versions)))
    }
}

/// Returns the data files of the quarantine.
async fn live_files(quarantine: &LoadedTable) -> Result<Vec<LiveFile>> {
    let Some(snapshot) = quarantine.snapshot(None)? else { return Ok(Vec::new()) };
    let files = quarantine.live_files(&snapshot).await?;
    if files.iter().any(|live| live.file.content_type() != DataContentType::Data) {
        return Err(Error::invalid(
            "rows of `quarantine` were deleted, and a redrive would bring them back: let the engine that deleted them \
             rewrite its files first",
        ));
    }
    Ok(files)
}

fn fenced(kind: TableKind, why: &str) -> Error {
    let message = format!("table `{}` was dropped and made anew meanwhile ({why}): run again", kind.name());
    Error::new(ErrorKind::Fenced, message)
}
