//! Rows that others delete: sessions and identities of them are forgotten, their message ids are not; by whatever kind of
//! delete, after a restart and in a run that goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::Int32Type;
use async_trait::async_trait;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, NestedField, PrimitiveType, Schema, Struct, Type};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{CommitOutcome, Intent, LiveFile, LoadedTable, NewFile, Progress, RowFilter, Warehouse, level};
use icefold_core::tables::TableKind;
use icefold_core::{Offset, Result, ShardId, ShardPosition};
use icefold_files::ParquetFile;
use parquet::file::properties::WriterProperties;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::kit::{read, verify, warehouse};
use crate::IngestReport;
use crate::chunk::Chunk;
use crate::decode::{DecodeSettings, Decoder, InputFormat};
use crate::enrich::Enrichment;
use crate::fold::session::SessionSettings;
use crate::metrics::IngestProgress;
use crate::pipeline::{Ingest, Recovery};
use crate::settings::Settings;
use crate::source::{RawSource, Source};

/// 2026-11-22T12:00:00Z.
const NOON: i64 = 1_795_348_800;

const WINDOW: u64 = 600;

/// How rows are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    CopyOnWrite,
    Position,
    Equality,
}

const EVERY_WAY: [How; 3] = [How::CopyOnWrite, How::Position, How::Equality];

/// Lines that come as they are sent, once: nobody can read them again.
struct Pipe {
    shard: ShardId,
    from: Offset,
    sent: UnboundedReceiver<(i64, String)>,
}

#[async_trait]
impl Source for Pipe {
    fn shard(&self) -> &ShardId {
        &self.shard
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        let Some((second, text)) = self.sent.recv().await else { return Ok(None) };
        let stream_time_micros = (NOON + second) * 1_000_000;
        let start = self.from.position;
        let to = ShardPosition {
            stream_time_micros: Some(stream_time_micros),
            ..ShardPosition::at(Offset::new("p", start + text.len() as u64))
        };
        let from = std::mem::replace(&mut self.from, to.next.clone());
        Ok(Some(Chunk {
            shard: self.shard.clone(),
            segment: "p".into(),
            start,
            bytes: text.into_bytes().into(),
            stream_time_micros,
            oversized: None,
            sub_offsets: None,
            from,
            to,
        }))
    }
}

fn event(kind: &str, message: &str, device: &str, second: i64) -> String {
    let time = icefold_core::timestamp::format_iso((NOON + second) * 1_000_000);
    format!("{{{kind},\"messageId\":\"{message}\",\"anonymousId\":\"{device}\",\"timestamp\":\"{time}\"}}\n")
}

pub(super) fn track(message: &str, device: &str, second: i64) -> String {
    event("\"type\":\"track\",\"event\":\"Seen\"", message, device, second)
}

fn identify(message: &str, device: &str, user: &str, second: i64) -> String {
    event(&format!("\"type\":\"identify\",\"userId\":\"{user}\""), message, device, second)
}

/// Two devices whose people are known.
fn phone_and_laptop() -> String {
    [
        track("p1", "phone", 0),
        identify("p2", "phone", "alice", 1),
        track("p3", "phone", 2),
        track("l1", "laptop", 0),
        identify("l2", "laptop", "bob", 1),
    ]
    .concat()
}

pub(super) fn settings() -> Settings {
    Settings {
        cores: 2,
        commit_interval_seconds: 0,
        retry_seconds: 1,
        dedup_window_seconds: WINDOW,
        sessions: SessionSettings { open_seconds: WINDOW, ..SessionSettings::default() },
        ..Settings::default()
    }
}

/// A run whose source is a pipe.
pub(super) struct Piped {
    pub(super) run: Ingest,
    pub(super) pipe: UnboundedSender<(i64, String)>,
    pub(super) progress: watch::Receiver<IngestProgress>,
}

pub(super) async fn piped(warehouse: &Warehouse, shard: &str) -> Piped {
    let ingest = Ingest::open(warehouse, settings()).await.expect("opens");
    let (pipe, sent) = unbounded_channel();
    let shard = ShardId::new(shard);
    let from = ingest.position(&shard).map_or_else(Offset::start, |position| position.next);
    let (told, progress) = watch::channel(IngestProgress::default());
    let run = ingest.source(Box::new(Pipe { shard, from, sent })).progress(told);
    let run = run.decoder(|| Decoder::new(DecodeSettings::default(), InputFormat::Segment));
    Piped { run, pipe, progress }
}

/// Ingests lines that come at a second, in a run of their own.
async fn ingest(warehouse: &Warehouse, shard: &str, second: i64, lines: String) -> IngestReport {
    let Piped { run, pipe, .. } = piped(warehouse, shard).await;
    pipe.send((second, lines)).expect("the run listens");
    drop(pipe);
    run.run().await.expect("runs")
}

async fn until(progress: &mut watch::Receiver<IngestProgress>, what: impl FnMut(&IngestProgress) -> bool) {
    progress.wait_for(what).await.expect("the run goes on");
}

/// What was decided about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    user: Option<String>,
    number: i32,
}

fn row(user: Option<&str>, number: i32) -> Row {
    Row { user: user.map(str::to_owned), number }
}

/// Rows of `events` by message; those that delete files take are among them.
pub(super) async fn rows(warehouse: &Warehouse) -> BTreeMap<String, Row> {
    let mut found = BTreeMap::new();
    let columns = ["message_id", "resolved_user_id", "session_event_number"];
    for rows in read(warehouse, TableKind::Events, &columns).await {
        let (ids, users) = (rows.column(0).as_string::<i32>(), rows.column(1).as_string::<i32>());
        let numbers = rows.column(2).as_primitive::<Int32Type>();
        for at in 0..rows.num_rows() {
            let user = (!users.is_null(at)).then(|| users.value(at).to_owned());
            let twice = found.insert(ids.value(at).to_owned(), Row { user, number: numbers.value(at) });
            assert_eq!(twice, None, "`{}` is there twice", ids.value(at));
        }
    }
    found
}

async fn progress(warehouse: &Warehouse) -> Progress {
    warehouse.load("events").await.expect("exists").progress().await.expect("stands somewhere")
}

/// A data file of a table with all its rows.
struct Content {
    live: LiveFile,
    rows: RecordBatch,
}

async fn contents(table: &LoadedTable) -> Vec<Content> {
    let schema = table.metadata().current_schema();
    let ids: Vec<i32> = schema.as_struct().fields().iter().map(|field| field.id).collect();
    let snapshot = table.snapshot(None).expect("current").expect("committed");
    let arrow = Arc::new(schema_to_arrow_schema(schema).expect("arrow"));
    let mut contents = Vec::new();
    for live in table.live_files(&snapshot).await.expect("manifests") {
        if live.file.content_type() != DataContentType::Data {
            continue;
        }
        let (path, size) = (live.file.file_path(), live.file.file_size_in_bytes());
        let file = ParquetFile::open(table.store(), path, size).await.expect("a Parquet file");
        let read: Result<Vec<RecordBatch>> = file.read(&ids, file.row_groups()).await.expect("columns").collect();
        let read = read.expect("rows");
        let rows = concat_batches(read[0].schema_ref(), &read).expect("one schema");
        // Spellings of a type differ: UTC is `+00:00` to some.
        let columns = rows.columns().iter().zip(arrow.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()).expect("the same type"));
        let rows = RecordBatch::try_new(arrow.clone(), columns.collect()).expect("the table's columns");
        contents.push(Content { live, rows });
    }
    contents
}

/// Writes a file of any schema into a partition.
async fn write(
    table: &LoadedTable,
    schema: Schema,
    rows: &RecordBatch,
    like: &LiveFile,
    tell: impl FnOnce(&mut DataFileBuilder),
) -> DataFile {
    static NAMES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let name = NAMES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = table.new_data_path("foreign", &name.to_string());
    let output = table.store().file_io().new_output(&path).expect("path");
    let builder = ParquetWriterBuilder::new(WriterProperties::builder().build(), Arc::new(schema));
    let mut writer = builder.build(output).await.expect("writer");
    writer.write(rows).await.expect("write");
    let mut written = writer.close().await.expect("close").remove(0);
    written.content(DataContentType::Data).partition(like.file.partition().clone()).partition_spec_id(like.spec_id);
    tell(&mut written);
    written.build().expect("data file")
}

fn of_columns(schema: &Schema, columns: Vec<arrow::array::ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::new(schema_to_arrow_schema(schema).expect("arrow")), columns).expect("columns")
}

/// Deletes the rows whose `column` is `value`, as another engine would.
async fn delete(warehouse: &Warehouse, kind: TableKind, how: How, column: &str, value: &str) {
    let table = warehouse.load(kind.name()).await.expect("exists");
    let at = kind.index_of(column);
    let intent = match how {
        How::CopyOnWrite => copy_on_write(&table, at, value).await,
        How::Position => position_deletes(&table, at, value).await,
        How::Equality => equality_deletes(&table, at, value).await,
    };
    let outcome = warehouse.commit(kind.name(), &intent).await.expect("commits");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

fn is(content: &Content, column: usize, value: &str) -> Vec<bool> {
    let texts = content.rows.column(column).as_string::<i32>();
    (0..texts.len()).map(|row| !texts.is_null(row) && texts.value(row) == value).collect()
}

/// All is of one day.
async fn copy_on_write(table: &LoadedTable, column: usize, value: &str) -> Intent {
    let contents = contents(table).await;
    let like = contents[0].live.clone();
    let kept = contents.iter().map(|content| {
        let kept: Vec<bool> = is(content, column, value).into_iter().map(|hit| !hit).collect();
        filter_record_batch(&content.rows, &kept.into()).expect("filters")
    });
    let kept: Vec<RecordBatch> = kept.collect();
    let kept = concat_batches(kept[0].schema_ref(), &kept).expect("one schema");
    let mut files = Vec::new();
    if kept.num_rows() > 0 {
        let schema = table.metadata().current_schema().as_ref().clone();
        files.push(write(table, schema, &kept, &like, |_| ()).await);
    }
    let partition: Struct = like.file.partition().clone();
    let read = contents.iter().map(|content| content.live.file.file_path().to_owned()).collect();
    Intent::overwrite(table, RowFilter::Partition { spec_id: like.spec_id, partition }, read, files)
}

async fn position_deletes(table: &LoadedTable, column: usize, value: &str) -> Intent {
    let contents = contents(table).await;
    let mut places: Vec<(String, i64)> = Vec::new();
    for content in &contents {
        let hits = is(content, column, value).into_iter().zip(0..).filter(|(hit, _)| *hit);
        places.extend(hits.map(|(_, place)| (content.live.file.file_path().to_owned(), place)));
    }
    let required = |id, name, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
    let fields = [
        required(2_147_483_546, "file_path", PrimitiveType::String),
        required(2_147_483_545, "pos", PrimitiveType::Long),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("schema");
    let rows = of_columns(
        &schema,
        vec![
            Arc::new(StringArray::from_iter_values(places.iter().map(|place| &place.0))),
            Arc::new(Int64Array::from_iter_values(places.iter().map(|place| place.1))),
        ],
    );
    let kind = |file: &mut DataFileBuilder| _ = file.content(DataContentType::PositionDeletes);
    let file = write(table, schema, &rows, &contents[0].live, kind).await;
    let requires = places.into_iter().map(|place| place.0).collect();
    Intent::row_delta(table, vec![NewFile::new(table, file)], requires)
}

async fn equality_deletes(table: &LoadedTable, column: usize, value: &str) -> Intent {
    let field = table.metadata().current_schema().as_struct().fields()[column].clone();
    let id = field.id;
    let schema = Schema::builder().with_fields([field]).build().expect("schema");
    let rows = of_columns(&schema, vec![Arc::new(StringArray::from(vec![value]))]);
    let kind = |file: &mut DataFileBuilder| {
        file.content(DataContentType::EqualityDeletes).equality_ids(Some(vec![id]));
    };
    let file = write(table, schema, &rows, &contents(table).await[0].live, kind).await;
    Intent::row_delta(table, vec![NewFile::new(table, file)], Vec::new())
}

/// Alice's binding, and all events of her phone.
async fn delete_phone(warehouse: &Warehouse, how: How) {
    delete(warehouse, TableKind::Identities, how, "user_id", "alice").await;
    delete(warehouse, TableKind::Events, how, "anonymous_id", "phone").await;
}

/// What comes of both devices after that: a retry of each, and something new.
fn afterwards() -> String {
    [track("p1", "phone", 0), track("l1", "laptop", 0), track("p4", "phone", 10), track("l4", "laptop", 10)].concat()
}

async fn assert_forgotten(warehouse: &Warehouse, how: How) {
    let rows = rows(warehouse).await;
    assert_eq!(rows["p4"], row(None, 1), "{how:?}: nobody is known on the phone, and its session is a new one");
    assert_eq!(rows["l4"], row(Some("bob"), 3), "{how:?}: the laptop goes on");
    assert_eq!(rows.contains_key("p1"), how != How::CopyOnWrite, "{how:?}: the retry did not come in again");
    for kind in TableKind::ALL {
        verify(&warehouse.load(kind.name()).await.expect("exists")).await;
    }
}

#[tokio::test]
async fn a_restart_knows_no_person_and_no_session_of_deleted_rows_and_takes_no_retry_of_them() {
    for how in EVERY_WAY {
        let warehouse = warehouse();
        ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
        delete_phone(&warehouse, how).await;
        let report = ingest(&warehouse, "pipe", 20, afterwards()).await;
        assert_eq!((report.counts.duplicate, report.counts.accepted), (2, 2), "{how:?}");
        assert_forgotten(&warehouse, how).await;
    }
}

#[tokio::test]
async fn a_run_that_goes_on_forgets_the_same_though_its_source_cannot_be_read_again() {
    for how in EVERY_WAY {
        let warehouse = warehouse();
        let Piped { run, pipe, mut progress } = piped(&warehouse, "pipe").await;
        let script = async {
            pipe.send((10, phone_and_laptop())).expect("the run listens");
            until(&mut progress, |p| p.commits == 4).await;
            delete_phone(&warehouse, how).await;
            until(&mut progress, |p| p.refolds > 0).await;
            pipe.send((20, afterwards())).expect("the run listens");
            drop(pipe);
        };
        let (report, ()) = tokio::join!(run.run(), script);
        assert_eq!(report.expect("runs").counts.duplicate, 2, "{how:?}");
        assert_forgotten(&warehouse, how).await;

        // What it wrote down is there for the next one.
        let report = ingest(&warehouse, "pipe", 30, track("p2", "phone", 1)).await;
        assert_eq!(report.counts.duplicate, 1, "{how:?}");
    }
}

#[tokio::test]
async fn a_session_goes_on_from_the_newest_row_that_is_left() {
    for how in EVERY_WAY {
        let warehouse = warehouse();
        ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
        delete(&warehouse, TableKind::Events, how, "message_id", "p3").await;
        ingest(&warehouse, "pipe", 20, track("p4", "phone", 10)).await;
        assert_eq!(rows(&warehouse).await["p4"], row(Some("alice"), 3), "{how:?}");
    }
}

#[tokio::test]
async fn what_is_read_from_the_raw_rows_again_lacks_the_deleted_and_leaves_the_others_at_their_places() {
    for how in EVERY_WAY {
        let warehouse = warehouse();
        let one = |message, device| track(message, device, 0).trim_end().to_owned();
        let array = format!("[{},{},{}]\n", one("p1", "phone"), one("l1", "laptop"), one("p2", "phone"));
        ingest(&warehouse, "pipe", 10, [array, track("l2", "laptop", 1), track("p3", "phone", 2)].concat()).await;
        delete(&warehouse, TableKind::RawEvents, how, "anonymous_id", "laptop").await;
        let raw = warehouse.load("raw_events").await.expect("exists");
        let shard = ShardId::new("pipe");
        let end = raw.progress().await.expect("stands").checkpoint.get(&shard).cloned().expect("is known");
        let mut source = RawSource::open(&raw, &shard, Offset::start(), end.clone()).await.expect("opens");
        let (mut records, mut reached) = (Vec::new(), Offset::start());
        while let Some(chunk) = source.next().await.expect("reads") {
            assert_eq!(chunk.from, reached, "{how:?}");
            records.push((String::from_utf8(chunk.bytes.to_vec()).expect("text"), chunk.sub_offsets));
            reached = chunk.to.next;
        }
        let array = format!("[{},{}]\n", one("p1", "phone"), one("p2", "phone"));
        let expected = [(array, Some([0, 2].into())), (track("p3", "phone", 2), None)];
        assert_eq!(records, expected, "{how:?}");
        assert_eq!(reached, end.next, "{how:?}");
    }
}

#[tokio::test]
async fn w3_a_table_that_is_gone_is_noticed_and_made_anew_without_the_deleted() {
    for how in EVERY_WAY {
        let warehouse = warehouse();
        ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
        delete(&warehouse, TableKind::RawEvents, how, "anonymous_id", "phone").await;
        warehouse.drop_table("events").await.expect("drops");
        let check = level::verify(&warehouse).await.expect("looks").expect("finds rows");
        assert!(check.broken.len() == 1 && check.broken[0].contains("`events` is not in the catalog"), "{check:?}");

        Ingest::open(&warehouse, settings()).await.expect("makes the table anew");
        let check = level::verify(&warehouse).await.expect("looks").expect("finds rows");
        assert!(check.broken.iter().any(|broken| broken.contains("icefold batch recover")), "{check:?}");
        let recovery = Recovery::new(&warehouse, settings(), DecodeSettings::default(), Enrichment::default());
        let steps = Box::pin(recovery.run()).await.expect("recovers");
        assert_eq!(steps.len(), 1, "{how:?}: {steps:?}");
        let expected = [("l1".to_owned(), row(None, 1)), ("l2".to_owned(), row(Some("bob"), 2))];
        assert_eq!(rows(&warehouse).await, BTreeMap::from(expected), "{how:?}");
        let check = level::verify(&warehouse).await.expect("looks").expect("finds rows");
        assert!(check.holds(), "{check:?}");
    }
}

#[tokio::test]
async fn what_was_decoded_when_others_deleted_is_committed_first() {
    let warehouse = warehouse();
    let Piped { run, pipe, mut progress } = piped(&warehouse, "pipe").await;
    let script = async {
        pipe.send((10, phone_and_laptop())).expect("the run listens");
        until(&mut progress, |p| p.commits == 4).await;
        delete_phone(&warehouse, How::CopyOnWrite).await;
        // More than one batch, before and after the run has seen it.
        for number in 0..200 {
            let line = track(&format!("t{number}"), "tablet", 11);
            pipe.send((11, line)).expect("the run listens");
        }
        until(&mut progress, |p| p.refolds > 0).await;
        pipe.send((20, afterwards())).expect("the run listens");
        drop(pipe);
    };
    let (report, ()) = tokio::join!(run.run(), script);
    assert_eq!(report.expect("runs").counts.accepted, 5 + 200 + 2);
    assert_forgotten(&warehouse, How::CopyOnWrite).await;
    let rows = rows(&warehouse).await;
    let numbers: Vec<i32> = (0..200).map(|number| rows[&format!("t{number}")].number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<i32>>(), "the session of the tablet went on over it");
}

#[tokio::test]
async fn what_cannot_be_read_now_is_tried_again_while_the_stream_goes_on() {
    let warehouse = warehouse();
    let Piped { run, pipe, mut progress } = piped(&warehouse, "pipe").await;
    let script = async {
        pipe.send((10, phone_and_laptop())).expect("the run listens");
        until(&mut progress, |p| p.commits == 4).await;
        let table = warehouse.load("events").await.expect("exists");
        let column = TableKind::Events.index_of("anonymous_id");
        let intent = position_deletes(&table, column, "phone").await;
        let file = intent.add[0].file.file_path();
        let content = table.store().read(file).await.expect("written");
        table.store().delete(file).await.expect("away");
        warehouse.commit("events", &intent).await.expect("commits");
        for batches in 2..4 {
            pipe.send((11, track(&format!("t{batches}"), "tablet", 11))).expect("the run listens");
            until(&mut progress, |p| p.commits == batches * 4).await;
        }
        assert_eq!(progress.borrow().refolds, 0);
        table.store().write_new(file, vec![content]).await.expect("back");
        until(&mut progress, |p| p.refolds > 0).await;
        pipe.send((20, track("p4", "phone", 10))).expect("the run listens");
        drop(pipe);
    };
    let (report, ()) = tokio::join!(run.run(), script);
    report.expect("runs");
    assert_eq!(rows(&warehouse).await["p4"], row(Some("alice"), 1), "only her events were deleted");
}

#[tokio::test]
async fn a_rewrite_by_others_makes_nothing_anew() {
    let warehouse = warehouse();
    let Piped { run, pipe, mut progress } = piped(&warehouse, "pipe").await;
    let script = async {
        pipe.send((10, phone_and_laptop())).expect("the run listens");
        until(&mut progress, |p| p.commits == 4).await;
        let table = warehouse.load("events").await.expect("exists");
        let overwrite = copy_on_write(&table, TableKind::Events.index_of("anonymous_id"), "nobody").await;
        let read = table.metadata().current_snapshot_id().expect("current");
        let rewrite = Intent::rewrite(&table, read, overwrite.requires, overwrite.add);
        warehouse.commit("events", &rewrite).await.expect("commits");
        for batches in 2..4 {
            pipe.send((11, track(&format!("t{batches}"), "tablet", 11))).expect("the run listens");
            until(&mut progress, |p| p.commits == batches * 4).await;
        }
        drop(pipe);
    };
    let (report, ()) = tokio::join!(run.run(), script);
    report.expect("runs");
    assert_eq!(progress.borrow().refolds, 0);
}

/// A compaction applies deletes and drops them: then the file with the ids is gone, too.
#[tokio::test]
async fn ids_of_rows_that_a_rewrite_leaves_out_since_they_are_deleted_are_kept() {
    let warehouse = warehouse();
    ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
    delete(&warehouse, TableKind::Events, How::Position, "anonymous_id", "phone").await;
    let table = warehouse.load("events").await.expect("exists");
    let without = copy_on_write(&table, TableKind::Events.index_of("anonymous_id"), "phone").await;
    let read = table.metadata().current_snapshot_id().expect("current");
    let snapshot = table.snapshot(None).expect("current").expect("committed");
    let files = table.live_files(&snapshot).await.expect("manifests");
    let all = files.iter().map(|live| live.file.file_path().to_owned()).collect();
    let rewrite = Intent::rewrite(&table, read, all, without.add);
    let outcome = warehouse.commit("events", &rewrite).await.expect("commits");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    let report = ingest(&warehouse, "pipe", 20, afterwards()).await;
    assert_eq!((report.counts.duplicate, report.counts.accepted), (2, 2));
}

#[tokio::test]
async fn ids_of_rows_whose_files_are_gone_survive_a_crash_before_they_are_named_and_the_commits_of_others() {
    let warehouse = warehouse();
    ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
    delete(&warehouse, TableKind::Events, How::CopyOnWrite, "anonymous_id", "phone").await;
    drop(Ingest::open(&warehouse, settings()).await.expect("sees it, and dies"));
    assert_eq!(progress(&warehouse).await.unseen.len(), 1, "our own overwrite says so itself");
    // A run that begins before the delete and commits after it has not looked when it commits.
    let Piped { run, pipe, progress: mut told } = piped(&warehouse, "other").await;
    let script = async {
        pipe.send((10, track("o1", "tablet", 0))).expect("the run listens");
        until(&mut told, |p| p.commits == 4).await;
        delete(&warehouse, TableKind::Events, How::CopyOnWrite, "anonymous_id", "laptop").await;
        pipe.send((10, track("o2", "tablet", 1))).expect("the run listens");
        drop(pipe);
    };
    let (report, ()) = tokio::join!(run.run(), script);
    assert_eq!(report.expect("runs").counts.accepted, 2);
    let report = ingest(&warehouse, "pipe", 20, afterwards()).await;
    assert_eq!((report.counts.duplicate, report.counts.accepted), (2, 2));
    let after = progress(&warehouse).await;
    assert!(after.unseen.is_empty() && !after.retired.is_empty(), "{after:?}");
}

#[tokio::test]
async fn ids_are_kept_no_longer_than_they_count() {
    let warehouse = warehouse();
    ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
    delete(&warehouse, TableKind::Events, How::CopyOnWrite, "anonymous_id", "phone").await;
    let end = 10 + WINDOW as i64;
    ingest(&warehouse, "pipe", end, track("l5", "laptop", end)).await;
    assert_eq!(progress(&warehouse).await.retired.len(), 1, "they count to the end of the window");
    ingest(&warehouse, "pipe", end + 1, track("l6", "laptop", end)).await;
    assert_eq!(progress(&warehouse).await.retired, []);
    let report = ingest(&warehouse, "pipe", end + 2, track("p1", "phone", end)).await;
    assert_eq!(report.counts.accepted, 1, "a retry after the window is an event like others");
}

#[tokio::test]
async fn a_removed_file_that_is_gone_already_stops_nothing() {
    let warehouse = warehouse();
    ingest(&warehouse, "pipe", 10, phone_and_laptop()).await;
    let table = warehouse.load("events").await.expect("exists");
    let before = contents(&table).await;
    delete(&warehouse, TableKind::Events, How::CopyOnWrite, "anonymous_id", "phone").await;
    for content in before {
        table.store().delete(content.live.file.file_path()).await.expect("deleted");
    }
    let report = ingest(&warehouse, "pipe", 20, afterwards()).await;
    assert_eq!((report.counts.duplicate, report.counts.accepted), (1, 3), "one retry came in, as the warning says");
    assert!(progress(&warehouse).await.unseen.is_empty());
}
