//! The rows that a chunk becomes: for each event one in `raw_events`, and one in either `events` or `quarantine`.
//!
//! The three are always written together, by [`Rows::accept`] or [`Rows::refuse`], which is what invariant W2 (rows in =
//! accepted + duplicate + quarantined) rests on.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use icefold_core::contract::PromotedColumn;
use icefold_core::tables::{DECODED_EVENT_COLUMNS, TableKind};
use icefold_core::{Error, Result};

use super::columns::{BinaryColumn, IntColumn, LongColumn, ShapeColumn, TextColumn, TimeColumn, ViewColumn};
use super::event_columns::EventColumns;
use super::promise::Promoted;
use super::promoted::PromotedColumns;
use super::scanner::Span;
use super::violation::Violation;
use crate::chunk::{CLIENT_HINTS, Chunk, DecodedChunk, SHAPE};
use crate::columns::extended;

/// Where an event comes from, and its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The chunk.
    pub(super) bytes: &'a [u8],
    pub(super) source_offset: i64,
    pub(super) sub_offset: i32,
    /// What stands before and behind the events of a batch.
    pub(super) envelope: Option<(&'a [u8], &'a [u8])>,
    /// The event's own bytes.
    pub(super) payload: Span,
    /// Microseconds since 1970.
    pub(super) arrival_micros: i64,
}

impl<'a> Origin<'a> {
    /// Returns the event's own bytes.
    pub(super) fn payload(&self) -> &'a [u8] {
        self.payload.of(self.bytes)
    }
}

/// What could be read of a malformed event, as UTF-8 text.
#[derive(Debug, Default, Clone)]
pub(super) struct Readable {
    pub(super) event_type: Option<Vec<u8>>,
    pub(super) event_name: Option<Vec<u8>>,
    pub(super) message_id: Option<Vec<u8>>,
    pub(super) anonymous_id: Option<Vec<u8>>,
    pub(super) user_id: Option<Vec<u8>>,
    pub(super) library_name: Option<Vec<u8>>,
    pub(super) library_version: Option<Vec<u8>>,
}

#[derive(Default)]
struct Provenance {
    source_offset: LongColumn,
    sub_offset: IntColumn,
    rows: usize,
}

impl Provenance {
    fn push(&mut self, origin: &Origin<'_>) {
        self.source_offset.push(origin.source_offset);
        self.sub_offset.push(origin.sub_offset);
        self.rows += 1;
    }

    /// Returns shard, segment, source_offset, sub_offset, stream_time.
    fn finish(&mut self, chunk: &Chunk) -> Result<[ArrayRef; 5]> {
        let rows = std::mem::take(&mut self.rows);
        let shard = constant(chunk.shard.as_str(), rows)?;
        let segment = constant(&chunk.segment, rows)?;
        let times = TimestampMicrosecondArray::from_value(chunk.stream_time_micros, rows).with_timezone("+00:00");
        Ok([shard, segment, self.source_offset.finish(), self.sub_offset.finish(), Arc::new(times)])
    }
}

fn constant(value: &str, rows: usize) -> Result<ArrayRef> {
    let mut column = TextColumn::default();
    column.repeat(value.as_bytes(), rows);
    column.finish()
}

fn push_envelope(column: &mut BinaryColumn, origin: &Origin<'_>) {
    match origin.envelope {
        None => column.push_null(),
        Some((before, behind)) => column.push_with(|values| {
            values.extend_from_slice(before);
            values.extend_from_slice(behind);
        }),
    }
}

/// Shape of what could not be read.
const MALFORMED_SHAPE: u32 = u32::MAX;

#[derive(Default)]
struct RawColumns {
    provenance: Provenance,
    arrival_time: TimeColumn,
    partition_key: TextColumn,
    anonymous_id: TextColumn,
    user_id: TextColumn,
    batch_envelope: BinaryColumn,
    payload: ViewColumn,
    shape: ShapeColumn,
}

impl RawColumns {
    fn push(&mut self, origin: &Origin<'_>, anonymous_id: Option<&[u8]>, user_id: Option<&[u8]>, shape: u32) {
        self.provenance.push(origin);
        self.shape.push(shape);
        self.arrival_time.push(origin.arrival_micros);
        self.partition_key.push_option(anonymous_id.or(user_id));
        self.anonymous_id.push_option(anonymous_id);
        self.user_id.push_option(user_id);
        push_envelope(&mut self.batch_envelope, origin);
        self.payload.push_piece(origin.bytes, origin.payload);
    }

    fn finish(&mut self, chunk: &Chunk) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::from(self.provenance.finish(chunk)?);
        columns.push(self.arrival_time.finish());
        for text in [&mut self.partition_key, &mut self.anonymous_id, &mut self.user_id] {
            columns.push(text.finish()?);
        }
        columns.push(self.batch_envelope.finish()?);
        columns.push(self.payload.finish(&chunk.bytes)?);
        columns.push(self.shape.finish());
        Ok(columns)
    }
}

#[derive(Default)]
struct QuarantineColumns {
    /// reason, json_pointer, expected, found.
    violation: [TextColumn; 4],
    arrival_time: TimeColumn,
    contract: TextColumn,
    /// The fields of [`Readable`], in their order.
    readable: [TextColumn; 7],
    provenance: Provenance,
    batch_envelope: BinaryColumn,
    payload: BinaryColumn,
}

impl QuarantineColumns {
    fn push(&mut self, origin: &Origin<'_>, violation: &Violation, readable: &Readable, contract: &str) {
        self.contract.push(contract.as_bytes());
        let [reason, pointer, expected, found] = &mut self.violation;
        reason.push(violation.reason.as_str().as_bytes());
        pointer.push_option(violation.pointer.as_deref().map(str::as_bytes));
        expected.push(violation.expected.as_bytes());
        found.push_option(violation.found.as_deref().map(str::as_bytes));
        self.arrival_time.push(origin.arrival_micros);
        let texts = [
            &readable.event_type,
            &readable.event_name,
            &readable.message_id,
            &readable.anonymous_id,
            &readable.user_id,
            &readable.library_name,
            &readable.library_version,
        ];
        for (column, text) in self.readable.iter_mut().zip(texts) {
            column.push_option(text.as_deref());
        }
        self.provenance.push(origin);
        push_envelope(&mut self.batch_envelope, origin);
        self.payload.push(origin.payload());
    }

    fn finish(&mut self, chunk: &Chunk) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for text in &mut self.violation {
            columns.push(text.finish()?);
        }
        columns.push(self.contract.finish()?);
        columns.push(self.arrival_time.finish());
        for text in &mut self.readable {
            columns.push(text.finish()?);
        }
        columns.extend(self.provenance.finish(chunk)?);
        columns.push(self.batch_envelope.finish()?);
        columns.push(self.payload.finish()?);
        Ok(columns)
    }
}

/// Growing rows of the three tables.
pub(super) struct Rows {
    raw: RawColumns,
    events: EventColumns,
    events_contract: TextColumn,
    events_provenance: Provenance,
    promoted: PromotedColumns,
    quarantine: QuarantineColumns,
    hashes: Vec<u128>,
    schemas: [SchemaRef; 3],
}

impl Rows {
    /// Makes empty rows whose events have the columns `promoted` behind those of the decoder.
    pub(super) fn new(promoted: &[PromotedColumn]) -> Result<Self> {
        Ok(Rows {
            raw: RawColumns::default(),
            events: EventColumns::default(),
            events_contract: TextColumn::default(),
            events_provenance: Provenance::default(),
            promoted: PromotedColumns::new(promoted),
            quarantine: QuarantineColumns::default(),
            hashes: Vec::new(),
            schemas: [
                with(
                    Field::new(SHAPE, DataType::UInt32, false),
                    &in_memory(&TableKind::RawEvents.arrow_schema()?, &["payload"]),
                ),
                with(
                    Field::new(CLIENT_HINTS, DataType::BinaryView, true),
                    &in_memory(&decoded_events()?, &["properties", "traits", "context", "extra"]),
                ),
                // Few rows: they are copied, so that they do not keep their chunks in memory.
                in_memory(&TableKind::Quarantine.arrow_schema()?, &[]),
            ],
        })
    }

    /// Adds an accepted event. `write` adds one value to every column of [`EventColumns`].
    #[inline]
    pub(super) fn accept(
        &mut self,
        origin: &Origin<'_>,
        contract: &str,
        promoted: &[Promoted],
        write: impl FnOnce(&mut EventColumns),
    ) {
        let mark = self.events.mark();
        write(&mut self.events);
        let added = self.events.since(mark);
        self.hashes.push(xxhash_rust::xxh3::xxh3_128(added.message_id));
        self.raw.push(origin, added.anonymous_id, added.user_id, added.shape);
        self.promoted.push(origin.bytes, self.events_provenance.rows, promoted);
        self.events_contract.push(contract.as_bytes());
        self.events_provenance.push(origin);
    }

    /// Adds a malformed event, which breaks `contract`.
    pub(super) fn refuse(&mut self, origin: &Origin<'_>, violation: &Violation, readable: &Readable, contract: &str) {
        self.raw.push(origin, readable.anonymous_id.as_deref(), readable.user_id.as_deref(), MALFORMED_SHAPE);
        self.quarantine.push(origin, violation, readable, contract);
    }

    /// Returns the rows of `chunk` and forgets them.
    pub(super) fn finish(&mut self, chunk: &Chunk) -> Result<DecodedChunk> {
        let accepted = self.events_provenance.rows;
        let mut events = self.events.finish(&chunk.bytes)?;
        events.push(self.events_contract.finish()?);
        events.extend(self.events_provenance.finish(chunk)?);
        events.push(self.events.client_hints.finish(&chunk.bytes)?);
        let hashes = std::mem::replace(&mut self.hashes, Vec::with_capacity(accepted + accepted / 10));
        let [raw_schema, events_schema, quarantine_schema] = &self.schemas;
        Ok(DecodedChunk {
            from: chunk.from.clone(),
            shard: chunk.shard.clone(),
            to: chunk.to.clone(),
            raw: batch(raw_schema, self.raw.finish(chunk)?)?,
            events: extended(batch(events_schema, events)?, self.promoted.finish(accepted))?,
            contracts: None,
            message_hashes: hashes,
            quarantine: batch(quarantine_schema, self.quarantine.finish(chunk)?)?,
        })
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema.clone(), columns)
        .map_err(|e| Error::bug("the decoder's columns are not those of the table").because(e))
}

/// Returns the columns of `events` that are decoded; enrichment adds the others.
fn decoded_events() -> Result<SchemaRef> {
    let events = TableKind::Events.arrow_schema()?;
    let decoded = events.fields().iter().take(DECODED_EVENT_COLUMNS).cloned().collect::<Vec<_>>();
    Ok(Arc::new(Schema::new_with_metadata(decoded, events.metadata().clone())))
}

/// Returns the schema of the rows in memory: text as bytes, and the columns `views` as views.
fn in_memory(schema: &SchemaRef, views: &[&str]) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 | DataType::LargeBinary if views.contains(&field.name().as_str()) => {
            retyped(field, DataType::BinaryView)
        }
        DataType::Utf8 => retyped(field, DataType::Binary),
        _ => field.clone(),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn retyped(field: &Field, kind: DataType) -> FieldRef {
    Arc::new(field.clone().with_data_type(kind))
}

/// Returns a schema with one more column, which is in memory alone.
fn with(column: Field, schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().cloned().chain([Arc::new(column)]);
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}
