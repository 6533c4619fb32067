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
//! next run finds the commit, and then the rows of the file that are in `events`: it takes them out of the quarantine, and
//! the rest of the file is a new one.
//!
//! What passes late is not folded: it has no session, and its person is the one it names itself. Device, place and address
//! are as for any other event.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFile};
use icefold_catalog::{CommitOutcome, Intent, LiveFile, LoadedTable, Recount, Warehouse, keys, lineage};
use icefold_core::tables::{QUARANTINE, TableKind};
use icefold_core::{Checkpoint, Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use uuid::Uuid;

use crate::chunk::Chunk;
use crate::columns::{ParquetFile, extended, joined};
use crate::contracts::Active;
use crate::decode::{ACCESS_LOG_CONTRACT, DecodeSettings, Decoder, InputFormat, Reason, place_of_events};
use crate::encode::partition::{folder, split_by_day};
use crate::encode::{EncodedFile, TableEncoder};
use crate::enrich::versions::Versions;
use crate::enrich::{Enriched, Enricher, Enrichment};
use crate::failpoint::{self, FailPoints};
use crate::fold::Texts;
use crate::publish::Destination;
use crate::settings::Settings;

/// Key of a snapshot summary: the quarantine's file that the rows of a redrive came from.
const REDRIVEN_FROM: &str = "icefold.redriven-from";

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
    pub shard: String,
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
        Offset { segment: self.segment.as_str().into(), position } < checkpoint.next(&ShardId::new(self.shard.as_str()))
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
    /// Arrival of the event that it is now, in microseconds since 1970: a line that could not be read had its source's
    /// time.
    pub arrival_micros: i64,
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
        let events = warehouse.load(TableKind::Events.name()).await?;
        warehouse.check_home(&events)?;
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
            contracts: events.metadata().properties().get(keys::CONTRACTS).cloned(),
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
        let arrival_micros = arrival_of_first(&rows.events)?;
        let passing = Passing {
            row,
            event: quarantined.completed(rows.events, row)?,
            message_id: String::from_utf8_lossy(&message_id).into_owned(),
            reason: quarantined.reason.value(row).to_owned(),
            place: quarantined.place(row),
            arrival_micros,
        };
        Ok(Some((passing, versions)))
    }

    /// Lets events in and takes all that have a fate out of the quarantine. `events` is the table as it was when the fates
    /// were found out.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when contracts have changed since [`Redrive::open`]; errors of store and catalog; running again
    /// continues.
    pub async fn admit(&self, judged: &Judged, fates: &[Fate], events: &LoadedTable) -> Result<Admitted> {
        let fates: Vec<(&Passing, Fate)> = judged.passing.iter().zip(fates.iter().copied()).collect();
        let accepted: Vec<&Passing> = fates.iter().filter(|(_, fate)| *fate == Fate::Accept).map(|(p, _)| *p).collect();
        if !accepted.is_empty() {
            match self.let_in(judged, &accepted, events).await? {
                CommitOutcome::Committed { .. } => self.fail_points.pass(failpoint::BETWEEN_TABLES),
                CommitOutcome::AlreadyCommitted { .. } | CommitOutcome::Replan { .. } => return Ok(Admitted::No),
                CommitOutcome::Fenced(fence) => return Err(fenced(TableKind::Events, &format!("{fence:?}"))),
            }
        }
        let duplicate = fates.iter().filter(|(_, fate)| *fate == Fate::Duplicate).count() as u64;
        let recount = Recount { accepted: fates.len() as u64 - duplicate, duplicate };
        let leaving = fates.iter().map(|(passing, _)| passing.row).collect();
        self.release(judged, &leaving, recount).await
    }

    /// Returns whether an earlier run, or another one at this moment, has let rows of the file into `events`.
    pub fn is_let_in(&self, judged: &Judged, events: &LoadedTable) -> bool {
        let id = Intent::redrive_id(events, judged.file.file.file_path());
        lineage::find_commit(events.metadata(), id).is_some()
    }

    /// Takes the rows `there`, which are in `events`, out of the quarantine.
    ///
    /// # Errors
    /// Errors of store and catalog; running again continues.
    pub async fn finish(&self, judged: &Judged, there: &HashSet<usize>) -> Result<Admitted> {
        self.release(judged, there, Recount { accepted: there.len() as u64, duplicate: 0 }).await
    }

    async fn let_in(&self, judged: &Judged, accepted: &[&Passing], events: &LoadedTable) -> Result<CommitOutcome> {
        if events.metadata().properties().get(keys::CONTRACTS) != self.contracts.as_ref() {
            let message = "contracts were applied during the redrive: run again, to let in what passes these";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let rows: Vec<RecordBatch> = accepted.iter().map(|passing| passing.event.clone()).collect();
        let (files, spec) = self.store(TableKind::Events, events, &joined(&rows)?).await?;
        let quarantined = judged.file.file.file_path();
        let mut intent = Intent::redrive(events, quarantined, files, accepted.len() as u64).under_spec(spec);
        intent.summary.insert(REDRIVEN_FROM.to_owned(), quarantined.to_owned());
        intent.summary.extend(judged.versions.summary());
        intent.summary.extend(self.contracts.clone().map(|uri| (keys::CONTRACTS.to_owned(), uri)));
        self.warehouse.commit(TableKind::Events.name(), &intent).await
    }

    /// Takes rows out of the quarantine.
    async fn release(&self, judged: &Judged, leaving: &HashSet<usize>, recount: Recount) -> Result<Admitted> {
        let table = self.warehouse.load(TableKind::Quarantine.name()).await?;
        live_files(&table).await?;
        let stays: BooleanArray = (0..judged.rows.num_rows()).map(|row| Some(!leaving.contains(&row))).collect();
        let rows =
            filter_record_batch(&judged.rows, &stays).map_err(|e| Error::bug("rows cannot be kept").because(e))?;
        let (files, spec) = self.store(TableKind::Quarantine, &table, &rows).await?;
        let rest = files.iter().map(|file| file.file_path().to_owned()).collect();
        let intent = Intent::release(&table, judged.file.file.file_path().to_owned(), files, recount).under_spec(spec);
        match self.warehouse.commit(TableKind::Quarantine.name(), &intent).await? {
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted { .. } => Ok(Admitted::Yes(rest)),
            CommitOutcome::Replan { .. } => Ok(Admitted::No),
            CommitOutcome::Fenced(fence) => Err(fenced(TableKind::Quarantine, &format!("{fence:?}"))),
        }
    }

    /// Writes rows as data files, one for each day; returns their partition spec, too.
    async fn store(&self, kind: TableKind, table: &LoadedTable, rows: &RecordBatch) -> Result<(Vec<DataFile>, i32)> {
        let encoder = TableEncoder::for_table(kind, table.metadata(), self.settings.compression_level)?;
        let mut files = Vec::new();
        for (day, rows) in split_by_day(kind, rows)? {
            let uri = table.new_data_path(&folder(kind, day), &Uuid::now_v7().to_string());
            let EncodedFile { parts, file } = encoder.assemble(uri.clone(), day, vec![encoder.encode(vec![rows])?])?;
            Destination::upload(&self.warehouse, &uri, parts).await?;
            files.push(file);
        }
        Ok((files, encoder.partition_spec_id()))
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

/// Columns of a file of the quarantine.
struct Quarantined<'a> {
    reason: &'a StringArray,
    contract: &'a StringArray,
    stream_time: &'a TimestampMicrosecondArray,
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
            stream_time: column("stream_time")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?,
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

    /// Returns what the row was read as when it came in.
    fn format(&self, row: usize) -> InputFormat {
        match self.contract.value(row) {
            ACCESS_LOG_CONTRACT => InputFormat::Combined,
            _ => InputFormat::Segment,
        }
    }

    /// Returns whether the row is all that a decoder of this format would have seen. Of a record that was too large only
    /// the beginning was kept; an event of a batch is a part of the line that another format would read.
    fn can_be_read_as(&self, row: usize, format: InputFormat) -> bool {
        let is_whole_line = self.envelope.is_null(row) && self.sub_offset.value(row) == 0;
        self.reason.value(row) != Reason::RecordTooLarge.as_str() && (format == self.format(row) || is_whole_line)
    }

    fn place(&self, row: usize) -> EventPlace {
        let text = |column: &StringArray| column.value(row).to_owned();
        let (source_offset, sub_offset) = (self.source_offset.value(row), self.sub_offset.value(row));
        EventPlace { shard: text(self.shard), segment: text(self.segment), source_offset, sub_offset }
    }

    fn places(&self) -> Vec<EventPlace> {
        (0..self.reason.len()).map(|row| self.place(row)).collect()
    }

    /// Puts an event back into the record that it came in, at its place; what it says of its arrival is compared with now.
    fn chunk(&self, row: usize, now_micros: i64) -> Chunk {
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
            stream_time_micros: match self.reason.value(row) == Reason::ImplausibleReceivedAt.as_str() {
                // It tells its arrival, and files may have been given older times than they have.
                true => now_micros,
                false => self.stream_time.value(row),
            },
            oversized: None,
        }
    }

    /// Gives an event that was decoded alone its index inside its record, its time of the stream, and the person that it names.
    fn completed(&self, events: RecordBatch, row: usize) -> Result<RecordBatch> {
        let index = TableKind::Events.index_of("sub_offset");
        let mut columns = events.columns().to_vec();
        columns[index] = Arc::new(Int32Array::from(vec![self.sub_offset.value(row)]));
        let time = TimestampMicrosecondArray::from(vec![self.stream_time.value(row)]).with_timezone("+00:00");
        columns[TableKind::Events.index_of("stream_time")] = Arc::new(time);
        let users = columns[TableKind::Events.index_of("user_id")].clone();
        let says_so = (!users.is_null(0)).then_some("event");
        let rows = RecordBatch::try_new(events.schema(), columns)
            .map_err(|e| Error::bug("a decoded event has other columns").because(e))?;
        let reason: ArrayRef = Arc::new(StringArray::from(vec![says_so]));
        extended(rows, vec![("resolved_user_id", users), ("resolved_by", reason)])
    }
}

fn arrival_of_first(events: &RecordBatch) -> Result<i64> {
    let column = events.column(TableKind::Events.index_of("arrival_time"));
    let times = column.as_primitive_opt::<TimestampMicrosecondType>();
    times.map(|times| times.value(0)).ok_or_else(|| Error::bug("a decoded event has no arrival"))
}

/// Returns a record of one event. `envelope` is what stood before and behind the events of a batch, or nothing.
pub fn record(payload: &[u8], envelope: Option<&[u8]>) -> Vec<u8> {
    let around = envelope.and_then(|envelope| Some(envelope.split_at(place_of_events(envelope)?)));
    let (before, behind) = around.unwrap_or_default();
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
        for (envelope, expected) in [
            (r#"{"a":[],"batch":[],"sentAt":1}"#, r#"{"a":[],"batch":[{}],"sentAt":1}"#),
            (r#"{"type":"batch","tags":[],"batch":[]}"#, r#"{"type":"batch","tags":[],"batch":[{}]}"#),
            (r#"{"context":{"batch":[]},"batch" : []}"#, r#"{"context":{"batch":[]},"batch" : [{}]}"#),
            ("\u{feff} []", "\u{feff} [{}]"),
        ] {
            assert_eq!(shown(Some(envelope.as_bytes())), format!("{expected}\n"));
        }
    }
}
