//! A warehouse in memory with a clock that is set by hand, and the commits of a stream of one shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, Struct};
use icefold_catalog::pointer::memory::MemoryPointers;
use icefold_catalog::store::counting::Counting;
use icefold_catalog::{CommitOutcome, Intent, LoadedTable, Settings, TableDefinition, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Clock, Counts, Delta, Offset, ShardId, ShardPosition};

#[derive(Debug, Default)]
pub(crate) struct Hand(pub(crate) AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct World {
    pub(crate) warehouse: Warehouse,
    pub(crate) clock: Arc<Hand>,
    pub(crate) requests: Arc<AtomicU64>,
}

pub(crate) fn world(adjust: impl FnOnce(&mut Settings)) -> World {
    let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000)));
    let requests = Arc::new(AtomicU64::new(0));
    let mut settings = Settings::default();
    adjust(&mut settings);
    let store = icefold_catalog::Store::in_memory().wrapped(|inner| Arc::new(Counting::new(inner, requests.clone())));
    let pointers = Arc::new(MemoryPointers::default());
    let warehouse = Warehouse::from_parts(store, "memory:///w".into(), pointers, settings, clock.clone());
    World { warehouse, clock, requests }
}

pub(crate) async fn events(world: &World) -> LoadedTable {
    let definition = TableDefinition::built_in(TableKind::Events).expect("definition");
    world.warehouse.create_table(&definition).await.expect("create")
}

pub(crate) fn delta(from: u64, to: u64) -> Delta {
    let mut delta = Delta::default();
    let offset = |p| if p == 0 { Offset::start() } else { Offset::new("f", p) };
    delta.insert(ShardId::new("s"), offset(from), ShardPosition::at(offset(to))).expect("forward");
    delta
}

pub(crate) async fn data_file(table: &LoadedTable, name: &str, day: i32, rows: u64) -> DataFile {
    file(table, name, day, rows, DataContentType::Data).await
}

/// A file whose object exists with the right size; its content is of no interest here.
pub(crate) async fn file(table: &LoadedTable, name: &str, day: i32, rows: u64, content: DataContentType) -> DataFile {
    let path = table.new_data_path(&format!("day={day}"), name);
    table.store().write_new(&path, vec!["parquet".into()]).await.expect("write");
    let mut builder = DataFileBuilder::default();
    if content == DataContentType::EqualityDeletes {
        builder.equality_ids(Some(vec![8]));
    }
    builder
        .content(content)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::date(day))]))
        .partition_spec_id(0)
        .record_count(rows)
        .file_size_in_bytes(7)
        .build()
        .expect("file")
}

pub(crate) async fn append(world: &World, table: &LoadedTable, from: u64, to: u64) -> Intent {
    let rows = to - from;
    let counts = Counts { rows_in: rows, accepted: rows, ..Counts::default() };
    let file = data_file(table, &format!("{from}-{to}-{}", world.requests.load(Ordering::Relaxed)), 1, rows).await;
    Intent::append(table, delta(from, to), counts, vec![file])
}

pub(crate) async fn commit(world: &World, intent: &Intent) -> LoadedTable {
    match world.warehouse.commit("events", intent).await.expect("commit") {
        CommitOutcome::Committed { table, .. } => table,
        other => panic!("expected a commit, got {other:?}"),
    }
}

pub(crate) async fn assert_sound(table: &LoadedTable) {
    for check in icefold_catalog::verify::verify(table).await.expect("verify") {
        assert!(check.holds(), "{check:?}");
    }
}

pub(crate) async fn rows(table: &LoadedTable, snapshot: Option<i64>) -> u64 {
    let Some(snapshot) = table.snapshot(snapshot).expect("snapshot") else { return 0 };
    table.live_files(&snapshot).await.expect("files").iter().map(|f| f.file.record_count()).sum()
}

pub(crate) fn id(table: &LoadedTable) -> i64 {
    table.metadata().current_snapshot_id().expect("snapshot")
}

pub(crate) async fn stands_at(world: &World) -> Result<u64, icefold_core::Error> {
    let progress = world.warehouse.load("events").await.expect("load").progress().await?;
    Ok(progress.checkpoint.next(&ShardId::new("s")).position)
}
