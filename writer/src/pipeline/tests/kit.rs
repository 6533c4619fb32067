//! Lines, their decoder, their oracle, and a look into the tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use async_trait::async_trait;
use bytes::Bytes;
use iceberg::spec::DataContentType;
use icefold_catalog::{LoadedTable, Warehouse};
use icefold_core::clock::SystemClock;
use icefold_core::tables::{DECODED_EVENT_COLUMNS, TableKind};
use icefold_core::{Error, Invariant, Offset, Result, ShardId, ShardPosition};
use icefold_files::ParquetFile;
use xxhash_rust::xxh3::xxh3_128;

use crate::IngestReport;
use crate::chunk::{Chunk, DecodedChunk};
use crate::fold::session::SessionSettings;
use crate::pipeline::{Decode, Ingest};
use crate::settings::Settings;
use crate::source::Source;

/// A line: an event `ID ARRIVAL DAY` (arrival and `stream_time` in seconds, day of the event time), or `? ARRIVAL`, which is
/// malformed.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) shard: ShardId,
    pub(super) text: Arc<str>,
}

impl Lines {
    pub(super) fn new(lines: impl IntoIterator<Item = String>) -> Self {
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        Lines { shard: ShardId::new("memory/lines"), text: text.into() }
    }

    /// Events of several days, one in ten a duplicate, one in fifteen malformed.
    pub(super) fn mixed(count: u64) -> Self {
        Lines::new((0..count).map(|i| match i {
            _ if i % 15 == 7 => format!("? {i}"),
            _ if i % 10 == 9 => format!("id-{} {i} {}", i - 6, (i - 6) % 3),
            _ => format!("id-{i} {i} {}", i % 3),
        }))
    }

    pub(super) fn of_shard(mut self, shard: &str) -> Self {
        self.shard = ShardId::new(shard);
        self
    }

    /// A source of these lines that starts at `position`, some lines to a chunk, and fails at byte `broken_at`.
    pub(super) fn source(&self, position: Option<ShardPosition>, lines: usize, broken_at: Option<u64>) -> LineSource {
        let from = position.map_or_else(Offset::start, |p| p.next);
        LineSource { lines: self.clone(), from, per_chunk: lines, broken_at, handed_out: Arc::default() }
    }

    /// What has to be in the tables: offsets in `raw_events` and `quarantine`, offset and id in `events`.
    pub(super) fn expected(&self, window_seconds: i64) -> Tables {
        let mut tables = Tables::default();
        let mut accepted: Vec<(String, i64)> = Vec::new();
        let mut offset = 0;
        for line in self.text.lines() {
            tables.raw.push(offset);
            match parse(line) {
                None => tables.quarantined.push(offset),
                Some((id, arrival, _)) => {
                    let duplicate = accepted.iter().any(|a| a.0 == id && a.1 >= arrival - window_seconds);
                    if !duplicate {
                        accepted.push((id.to_owned(), arrival));
                        tables.events.push((offset, id.to_owned()));
                    }
                }
            }
            offset += line.len() as i64 + 1;
        }
        tables
    }
}

/// Contents of the three tables, in the order of offsets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) raw: Vec<i64>,
    pub(super) quarantined: Vec<i64>,
    pub(super) events: Vec<(i64, String)>,
}

fn parse(line: &str) -> Option<(&str, i64, i64)> {
    let mut words = line.split(' ');
    let id = words.next().filter(|id| *id != "?")?;
    Some((id, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn arrival(line: &str) -> i64 {
    line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

pub(super) struct LineSource {
    lines: Lines,
    from: Offset,
    per_chunk: usize,
    broken_at: Option<u64>,
    pub(super) handed_out: Arc<AtomicU64>,
}

#[async_trait]
impl Source for LineSource {
    fn shard(&self) -> &ShardId {
        &self.lines.shard
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        let start = self.from.position as usize;
        let rest = &self.lines.text[start..];
        if self.broken_at.is_some_and(|at| start as u64 >= at) {
            return Err(Error::invalid("the file is damaged here: restore it and run again"));
        }
        let length: usize = rest.split_inclusive('\n').take(self.per_chunk).map(str::len).sum();
        if length == 0 {
            return Ok(None);
        }
        let stream_time_micros = rest[..length].lines().last().map_or(0, arrival) * 1_000_000;
        let to = ShardPosition {
            witness: format!("read to {}", start + length),
            stream_time_micros: Some(stream_time_micros),
            ..ShardPosition::at(Offset::new("f", (start + length) as u64))
        };
        let from = std::mem::replace(&mut self.from, to.next.clone());
        self.handed_out.fetch_add(1, Ordering::SeqCst);
        Ok(Some(Chunk {
            shard: self.lines.shard.clone(),
            segment: "f".into(),
            start: start as u64,
            bytes: Bytes::copy_from_slice(&rest.as_bytes()[..length]),
            stream_time_micros,
            oversized: None,
            sub_offsets: None,
            from,
            to,
        }))
    }
}

pub(super) fn decode(chunk: &Chunk) -> Result<DecodedChunk> {
    let text = std::str::from_utf8(&chunk.bytes).expect("lines are text");
    let (mut offset, mut raw, mut events, mut quarantine) = (chunk.start as i64, Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        raw.push((offset, line));
        if parse(line).is_some() {
            events.push((offset, line))
        } else {
            quarantine.push((offset, line))
        }
        offset += line.len() as i64 + 1;
    }
    Ok(DecodedChunk {
        from: chunk.from.clone(),
        shard: chunk.shard.clone(),
        to: chunk.to.clone(),
        message_hashes: events.iter().map(|(_, line)| xxh3_128(id(line).as_bytes())).collect(),
        raw: rows(TableKind::RawEvents, chunk, &raw),
        events: rows(TableKind::Events, chunk, &events),
        quarantine: rows(TableKind::Quarantine, chunk, &quarantine),
        contracts: None,
    })
}

fn id(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn rows(kind: TableKind, chunk: &Chunk, lines: &[(i64, &str)]) -> RecordBatch {
    let schema = kind.arrow_schema().expect("schema");
    let text = |value: &dyn Fn(&str) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(|(_, line)| value(line))))
    };
    let micros = |value: &dyn Fn(&str) -> i64| -> ArrayRef {
        let array = TimestampMicrosecondArray::from_iter_values(lines.iter().map(|(_, line)| value(line)));
        Arc::new(array.with_timezone("+00:00"))
    };
    let column = |field: &Field| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            ("stream_time" | "arrival_time", _) => micros(&|line| arrival(line) * 1_000_000),
            ("event_time", _) => micros(&|line| parse(line).map_or(0, |(_, _, day)| day * 86_400_000_000)),
            ("source_offset", _) => Arc::new(Int64Array::from_iter_values(lines.iter().map(|(offset, _)| *offset))),
            ("sub_offset", _) => Arc::new(Int32Array::from(vec![0; lines.len()])),
            ("payload", _) => Arc::new(LargeBinaryArray::from_iter_values(lines.iter().map(|(_, line)| line))),
            ("message_id", _) => text(&|line| id(line).to_owned()),
            ("shard", _) => text(&|_| chunk.shard.to_string()),
            ("segment", _) => text(&|_| chunk.segment.to_string()),
            (name, DataType::Utf8) if !field.is_nullable() => text(&|_| name.to_owned()),
            (_, other) => new_null_array(other, lines.len()),
        }
    };
    let decoded = if kind == TableKind::Events { DECODED_EVENT_COLUMNS } else { schema.fields().len() };
    let schema = Arc::new(schema.project(&(0..decoded).collect::<Vec<_>>()).expect("columns"));
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(|f| column(f)).collect()).expect("columns fit")
}

pub(super) fn warehouse() -> Warehouse {
    Warehouse::in_memory(Arc::new(SystemClock))
}

/// Small batches of small row groups on two threads.
pub(super) fn settings() -> Settings {
    Settings {
        cores: 2,
        commit_bytes: 20_000,
        row_group_bytes: 13_000,
        max_buffer_bytes: 400_000,
        commit_interval_seconds: 3_600,
        retry_seconds: 1,
        dedup_window_seconds: 50,
        sessions: SessionSettings { open_seconds: 50, ..SessionSettings::default() },
        ..Settings::default()
    }
}

/// Nothing but the end of the source closes a batch.
pub(super) fn one_batch() -> Settings {
    Settings { commit_bytes: 1 << 40, max_buffer_bytes: 1 << 40, row_group_bytes: 1 << 30, ..settings() }
}

pub(super) async fn open(warehouse: &Warehouse, settings: Settings) -> Ingest {
    let decoder = || Ok(|chunk: &Chunk| decode(chunk));
    Ingest::open(warehouse, settings).await.expect("opens").decoder(decoder)
}

/// Ingests `lines` with five lines to a chunk.
pub(super) async fn ingest(warehouse: &Warehouse, lines: &Lines, settings: Settings) -> Result<IngestReport> {
    let ingest = open(warehouse, settings).await;
    let source = lines.source(ingest.position(&lines.shard), 5, None);
    ingest.source(Box::new(source)).run().await
}

/// Reads the tables, and checks every invariant that can be checked on any table (W1, W2, T1, T2, K3).
pub(super) async fn look(warehouse: &Warehouse) -> Tables {
    for kind in TableKind::ALL {
        verify(&warehouse.load(kind.name()).await.expect("exists")).await;
    }
    Tables {
        raw: offsets(warehouse, TableKind::RawEvents).await,
        quarantined: offsets(warehouse, TableKind::Quarantine).await,
        events: events(warehouse).await,
    }
}

pub(super) async fn verify(table: &LoadedTable) {
    let checks = icefold_catalog::verify::verify(table).await.expect("readable");
    for invariant in [Invariant::W2, Invariant::T1, Invariant::T2, Invariant::K3] {
        assert!(checks.iter().any(|check| check.invariant == invariant.name()), "{invariant} is checked");
    }
    for check in checks {
        assert_eq!(check.broken, Vec::<String>::new(), "{} in {}", check.invariant, check.table);
    }
}

async fn offsets(warehouse: &Warehouse, kind: TableKind) -> Vec<i64> {
    let mut offsets = Vec::new();
    for rows in read(warehouse, kind, &["source_offset"]).await {
        offsets.extend(rows.column(0).as_primitive::<Int64Type>().values());
    }
    offsets.sort_unstable();
    offsets
}

async fn events(warehouse: &Warehouse) -> Vec<(i64, String)> {
    let mut events = Vec::new();
    for rows in read(warehouse, TableKind::Events, &["source_offset", "message_id"]).await {
        let offsets = rows.column(0).as_primitive::<Int64Type>();
        let ids = rows.column(1).as_string::<i32>();
        events.extend((0..rows.num_rows()).map(|row| (offsets.value(row), ids.value(row).to_owned())));
    }
    events.sort_unstable();
    events
}

/// Reads columns of every live data file of a table, one file after the other, rows in their order. Deletes are not applied.
pub(super) async fn read(warehouse: &Warehouse, kind: TableKind, columns: &[&str]) -> Vec<RecordBatch> {
    let table = warehouse.load(kind.name()).await.expect("exists");
    let Some(snapshot) = table.snapshot(None).expect("current") else { return Vec::new() };
    let field_ids: Vec<i32> = columns.iter().map(|name| kind.index_of(name) as i32 + 1).collect();
    let mut batches = Vec::new();
    let live = table.live_files(&snapshot).await.expect("manifests");
    for live in live.into_iter().filter(|live| live.file.content_type() == DataContentType::Data) {
        let (path, size) = (live.file.file_path(), live.file.file_size_in_bytes());
        let file = ParquetFile::open(table.store(), path, size).await.expect("a Parquet file");
        let row_groups = file.row_groups_reaching(-1, 0);
        let rows: Result<Vec<_>> = file.read(&field_ids, row_groups).await.expect("columns").collect();
        let rows = rows.expect("rows");
        batches.push(arrow::compute::concat_batches(rows[0].schema_ref(), &rows).expect("one schema"));
    }
    batches
}

/// Returns the folders of a table's files with their row counts.
pub(super) async fn partitions(warehouse: &Warehouse, kind: TableKind) -> BTreeMap<String, u64> {
    let table = warehouse.load(kind.name()).await.expect("exists");
    let snapshot = table.snapshot(None).expect("current").expect("committed");
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for live in table.live_files(&snapshot).await.expect("manifests") {
        let folder = live.file.file_path().rsplit('/').nth(1).expect("a folder").to_owned();
        *rows.entry(folder).or_default() += live.file.record_count();
    }
    rows
}

/// A decoder that does something first.
pub(super) fn decoder_that(act: impl Fn(&Chunk) + Clone + Send + Sync + 'static) -> impl Fn() -> Result<Box<Acting>> {
    move || Ok(Box::new(Acting(Box::new(act.clone()))))
}

pub(super) struct Acting(Box<dyn Fn(&Chunk) + Send>);

impl Decode for Box<Acting> {
    fn decode(&mut self, chunk: &Chunk) -> Result<DecodedChunk> {
        (self.0)(chunk);
        decode(chunk)
    }
}
