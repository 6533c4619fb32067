//! Quarantined events that pass now, let into `events` once.
//!
//! ```text
//! data file of `quarantine` ─▶ judge: which rows pass now? ─▶ (caller: which of these are in `events`?) ─▶ admit
//!                                                                     1. rows into `events`: id follows from the file
//!                                                                     2. the file without them: must still be live
//! ```
//!
//! An event's place in the stream is its identity. `events` is committed first, by an id that follows from the quarantine's
//! file, so that rows of a file are let in once, however often and by how many this is run. After a crash in between, the
//! next run finds the rows in `events` and only takes them out of the quarantine.
//!
//! What passes late is not folded: it has no session, and its person is the one it names itself. Device, place and address
//! are as for any other event.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use iceberg::spec::DataContentType;
use icefold_catalog::{CommitOutcome, Intent, LiveFile, LoadedTable, Recount, Warehouse};
use icefold_core::tables::{QUARANTINE, TableKind};
use icefold_core::{Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use uuid::Uuid;

use crate::chunk::Chunk;
use crate::columns::{ParquetFile, extended, joined};
use crate::contracts::Active;
use crate::decode::{ACCESS_LOG_CONTRACT, DecodeSettings, Decoder, InputFormat};
use crate::encode::partition::{folder, split_by_day};
use crate::encode::{EncodedFile, TableEncoder};
use crate::enrich::{Enricher, Enrichment};
use crate::failpoint::{self, FailPoints};
use crate::fold::Texts;
use crate::publish::Destination;
use crate::settings::Settings;

/// Which rows of the quarantine are looked at; `None` means all.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only those of this reason code.
    pub reason: Option<String>,
    /// Only those that broke this contract.
    pub contract: Option<String>,
}

/// Judges and admits; made once for a run.
pub struct Redrive {
    warehouse: Warehouse,
    settings: Settings,
    segment: Decoder,
    combined: Decoder,
    enricher: Enricher,
    fail_points: FailPoints,
}

/// A data file of the quarantine, and which of its rows pass now.
#[derive(Debug)]
pub struct Judged {
    file: LiveFile,
    rows: RecordBatch,
    /// The rows that were chosen.
    pub chosen: u64,
    /// Those that pass now.
    pub passing: Vec<Passing>,
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
    /// Shard, segment, source offset and sub-offset.
    pub place: (String, String, i64, i32),
    /// Arrival, in microseconds since 1970.
    pub arrival_micros: i64,
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
        let events = warehouse.load(TableKind::Events.name()).await?;
        let set = warehouse.contracts(&events).await?;
        let active = set.as_ref().map(|set| Active::compile(set, None)).transpose()?.map(Arc::new);
        let mut segment = Decoder::new(decode.clone(), InputFormat::Segment)?;
        segment.set_contracts(active.as_ref())?;
        Ok(Redrive {
            warehouse: warehouse.clone(),
            settings,
            segment,
            combined: Decoder::new(decode, InputFormat::Combined)?,
            enricher: enrichment.enricher(),
            fail_points: FailPoints::default(),
        })
    }

    /// Arms a fail point, for crash tests; the one that is passed is [`failpoint::BETWEEN_TABLES`].
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
        let table = self.warehouse.load(TableKind::Quarantine.name()).await?;
        let Some(snapshot) = table.snapshot(None)? else { return Ok(Vec::new()) };
        let files = table.live_files(&snapshot).await?;
        if files.iter().any(|live| live.file.content_type() != DataContentType::Data) {
            return Err(Error::invalid(
                "rows of `quarantine` were deleted, and a redrive would bring them back: let the engine that deleted them \
                 rewrite its files first",
            ));
        }
        Ok(files)
    }

    /// Decodes the chosen rows of a file again.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the file cannot be read; errors of the store.
    pub async fn judge(&mut self, file: LiveFile, choice: &Choice) -> Result<Judged> {
        let rows = self.read(&file).await?;
        let quarantined = Quarantined::of(&rows)?;
        let (mut chosen, mut passing) = (0, Vec::new());
        for row in (0..rows.num_rows()).filter(|row| quarantined.is_chosen(*row, choice)) {
            chosen += 1;
            passing.extend(self.judge_row(&quarantined, row)?);
        }
        Ok(Judged { file, rows, chosen, passing })
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

    fn judge_row(&mut self, quarantined: &Quarantined<'_>, row: usize) -> Result<Option<Passing>> {
        let chunk = quarantined.chunk(row);
        let decoder = match quarantined.contract.value(row) {
            ACCESS_LOG_CONTRACT => &mut self.combined,
            _ => &mut self.segment,
        };
        let decoded = decoder.decode(&chunk)?;
        if decoded.events.num_rows() != 1 || decoded.raw.num_rows() != 1 {
            return Ok(None);
        }
        let events = self.enricher.enrich(decoded)?.rows.events;
        let message_id = Texts::of(&events, "message_id")?.get(0).unwrap_or_default().to_vec();
        Ok(Some(Passing {
            row,
            event: quarantined.completed(events, row)?,
            message_id: String::from_utf8_lossy(&message_id).into_owned(),
            reason: quarantined.reason.value(row).to_owned(),
            place: quarantined.place(row),
            arrival_micros: quarantined.arrival.value(row),
        }))
    }

    /// Lets events in and takes all that have a fate out of the quarantine. `events` is the table as it was when the fates
    /// were found out; false when it has changed since, or an earlier run had to be finished first: then judge and ask again.
    ///
    /// # Errors
    /// Errors of store and catalog; running again continues.
    pub async fn admit(&self, judged: &Judged, fates: &[Fate], events: &LoadedTable) -> Result<bool> {
        let fates: Vec<(&Passing, Fate)> = judged.passing.iter().zip(fates.iter().copied()).collect();
        let accepted: Vec<&Passing> = fates.iter().filter(|(_, fate)| *fate == Fate::Accept).map(|(p, _)| *p).collect();
        if accepted.is_empty() {
            return self.release(judged, &fates).await;
        }
        match self.let_in(judged, &accepted, events).await? {
            CommitOutcome::Committed { .. } => {
                self.fail_points.pass(failpoint::BETWEEN_TABLES);
                self.release(judged, &fates).await
            }
            // An earlier run has let other rows of this file in and was interrupted: finish it, these are next.
            CommitOutcome::AlreadyCommitted { .. } => {
                let finished: Vec<_> = fates.into_iter().filter(|(_, fate)| *fate == Fate::AlreadyIn).collect();
                self.release(judged, &finished).await.map(|_| false)
            }
            CommitOutcome::Replan { .. } => Ok(false),
            CommitOutcome::Fenced(fence) => Err(fenced(TableKind::Events, &format!("{fence:?}"))),
        }
    }

    async fn let_in(&self, judged: &Judged, accepted: &[&Passing], events: &LoadedTable) -> Result<CommitOutcome> {
        let rows: Vec<RecordBatch> = accepted.iter().map(|passing| passing.event.clone()).collect();
        let rows = joined(&rows)?;
        let files = self.store(TableKind::Events, events, &rows).await?;
        let intent = Intent::redrive(events, judged.file.file.file_path(), files, accepted.len() as u64);
        self.warehouse.commit(TableKind::Events.name(), &intent).await
    }

    /// Takes rows out of the quarantine; false when their file is gone meanwhile.
    async fn release(&self, judged: &Judged, leaving: &[(&Passing, Fate)]) -> Result<bool> {
        let duplicate = leaving.iter().filter(|(_, fate)| *fate == Fate::Duplicate).count() as u64;
        let recount = Recount { accepted: leaving.len() as u64 - duplicate, duplicate };
        let table = self.warehouse.load(TableKind::Quarantine.name()).await?;
        let leaves: HashSet<usize> = leaving.iter().map(|(passing, _)| passing.row).collect();
        let stays: BooleanArray = (0..judged.rows.num_rows()).map(|row| Some(!leaves.contains(&row))).collect();
        let rows =
            filter_record_batch(&judged.rows, &stays).map_err(|e| Error::bug("rows cannot be kept").because(e))?;
        let files = self.store(TableKind::Quarantine, &table, &rows).await?;
        let intent = Intent::release(&table, judged.file.file.file_path().to_owned(), files, recount);
        match self.warehouse.commit(TableKind::Quarantine.name(), &intent).await? {
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted { .. } => Ok(true),
            CommitOutcome::Replan { .. } => Ok(false),
            CommitOutcome::Fenced(fence) => Err(fenced(TableKind::Quarantine, &format!("{fence:?}"))),
        }
    }

    /// Writes rows as data files, one for each day.
    async fn store(
        &self,
        kind: TableKind,
        table: &LoadedTable,
        rows: &RecordBatch,
    ) -> Result<Vec<iceberg::spec::DataFile>> {
        let encoder = TableEncoder::for_table(kind, table.metadata(), self.settings.compression_level)?;
        let mut files = Vec::new();
        for (day, rows) in split_by_day(kind, rows)? {
            let uri = table.new_data_path(&folder(kind, day), &Uuid::now_v7().to_string());
            let EncodedFile { parts, file } = encoder.assemble(uri.clone(), day, vec![encoder.encode(vec![rows])?])?;
            Destination::upload(&self.warehouse, &uri, parts).await?;
            files.push(file);
        }
        Ok(files)
    }
}

fn fenced(kind: TableKind, why: &str) -> Error {
    let message = format!("table `{}` was dropped and made anew meanwhile ({why}): run again", kind.name());
    Error::new(ErrorKind::Fenced, message)
}

/// Columns of a file of the quarantine.
struct Quarantined<'a> {
    reason: &'a StringArray,
    contract: &'a StringArray,
    arrival: &'a arrow::array::TimestampMicrosecondArray,
    shard: &'a StringArray,
    segment: &'a StringArray,
    source_offset: &'a arrow::array::Int64Array,
    sub_offset: &'a Int32Array,
    envelope: ArrayRef,
    payload: ArrayRef,
}

impl<'a> Quarantined<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self> {
        let odd = || Error::corrupt("a file of `quarantine` has columns of other types than the table");
        let column = |name: &str| rows.columns().get(TableKind::Quarantine.index_of(name)).ok_or_else(odd);
        let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(odd);
        let bytes = |name: &str| {
            let cast = arrow::compute::cast(column(name)?, &arrow::datatypes::DataType::LargeBinary);
            cast.map_err(|e| odd().because(e))
        };
        Ok(Quarantined {
            reason: text("reason")?,
            contract: text("contract")?,
            arrival: column("arrival_time")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?,
            shard: text("shard")?,
            segment: text("segment")?,
            source_offset: column("source_offset")?.as_primitive_opt::<Int64Type>().ok_or_else(odd)?,
            sub_offset: column("sub_offset")?.as_primitive_opt::<Int32Type>().ok_or_else(odd)?,
            envelope: bytes("batch_envelope")?,
            payload: bytes("payload")?,
        })
    }

    fn is_chosen(&self, row: usize, choice: &Choice) -> bool {
        choice.reason.as_ref().is_none_or(|reason| reason == self.reason.value(row))
            && choice.contract.as_ref().is_none_or(|contract| contract == self.contract.value(row))
    }

    fn place(&self, row: usize) -> (String, String, i64, i32) {
        let text = |column: &StringArray| column.value(row).to_owned();
        (text(self.shard), text(self.segment), self.source_offset.value(row), self.sub_offset.value(row))
    }

    /// Puts an event back into the record that it came in, at its place.
    fn chunk(&self, row: usize) -> Chunk {
        let (envelope, payload) = (self.envelope.as_binary::<i64>(), self.payload.as_binary::<i64>());
        let envelope = (!envelope.is_null(row)).then(|| envelope.value(row));
        let bytes = record(payload.value(row), envelope);
        let start = u64::try_from(self.source_offset.value(row)).unwrap_or(0);
        let segment: Arc<str> = self.segment.value(row).into();
        let end = Offset { segment: segment.clone(), position: start + bytes.len() as u64 };
        Chunk {
            shard: ShardId::new(self.shard.value(row)),
            from: Offset { segment: segment.clone(), position: start },
            to: ShardPosition::at(end),
            segment,
            start,
            bytes: Bytes::from(bytes),
            source_time_micros: self.arrival.value(row),
            oversized: None,
        }
    }

    /// Gives an event that was decoded alone its index inside its record, and the person that it names.
    fn completed(&self, events: RecordBatch, row: usize) -> Result<RecordBatch> {
        let index = TableKind::Events.index_of("sub_offset");
        let mut columns = events.columns().to_vec();
        columns[index] = Arc::new(Int32Array::from(vec![self.sub_offset.value(row)]));
        let users = columns[TableKind::Events.index_of("user_id")].clone();
        let says_so = (!users.is_null(0)).then_some("event");
        let rows = RecordBatch::try_new(events.schema(), columns)
            .map_err(|e| Error::bug("a decoded event has other columns").because(e))?;
        let reason: ArrayRef = Arc::new(StringArray::from(vec![says_so]));
        extended(rows, vec![("resolved_user_id", users), ("resolved_by", reason)])
    }
}

/// Returns a record of one event. `envelope` is what stood before and behind the events of a batch: they stood between the
/// brackets behind the key `batch`, or it is nothing but brackets.
pub fn record(payload: &[u8], envelope: Option<&[u8]>) -> Vec<u8> {
    let brackets = envelope.and_then(|envelope| {
        let key = envelope.windows(7).position(|window| window == b"\"batch\"").unwrap_or(0);
        let behind = envelope[key..].windows(2).position(|window| window == b"[]")?;
        Some(envelope.split_at(key + behind + 1))
    });
    let (before, behind) = brackets.unwrap_or_default();
    [before, payload, behind, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_put_back_into_what_surrounded_it() {
        let shown = |envelope: Option<&[u8]>| String::from_utf8(record(b"{}", envelope)).expect("text");
        assert_eq!(shown(None), "{}\n");
        assert_eq!(shown(Some(b"[]")), "[{}]\n");
        assert_eq!(shown(Some(br#"{"a":[],"batch":[],"sentAt":1}"#)), "{\"a\":[],\"batch\":[{}],\"sentAt\":1}\n");
    }
}
