//! The commit protocol on whole warehouses in memory: what a committer and a second committer see, and other engines
//! ([`foreign`]); where a table stands after those ([`lineage`]).

mod foreign;
mod kit;
mod lineage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foreign::*;
use iceberg::spec::{DataContentType, Literal, Operation, Struct};
use iceberg::{Catalog, NamespaceIdent};
use icefold_catalog::{
    AnnouncedTable, BatchPart, CommitOutcome, Fence, Intent, LiveFile, LoadedTable, NewFile, Retirement, Role,
    RowFilter, Settled, TableDefinition, UpstreamCatalog, keys,
};
use icefold_core::tables::TableKind;
use icefold_core::{Counts, Delta, ErrorKind, Offset, ShardId, SystemIds};
use kit::*;

#[tokio::test]
async fn a_table_of_an_earlier_state_is_refused_and_left_alone() {
    let world = world(|_| {});
    let now = TableDefinition::built_in(TableKind::RawEvents).expect("definition");
    let fields = now.schema.as_struct().fields().iter().filter(|field| field.name != "stream_time").cloned();
    let schema = iceberg::spec::Schema::builder().with_fields(fields).build().expect("schema");
    let arrival = schema.field_by_name("arrival_time").expect("column").id;
    let spec = iceberg::spec::UnboundPartitionSpec::builder();
    let spec = spec.add_partition_field(arrival, "arrival_time_day", iceberg::spec::Transform::Day).expect("spec");
    let earlier = TableDefinition { schema, partition_spec: spec.build(), ..now.clone() };
    let made = world.warehouse.create_table(&earlier).await.expect("create");
    let error = world.warehouse.create_table(&now).await.expect_err("earlier");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for word in ["raw_events", "`stream_time`", "not migrated", "--warehouse"] {
        assert!(error.message().contains(word), "{error}");
    }
    let table = world.warehouse.load("raw_events").await.expect("still there");
    assert_eq!(table.metadata(), made.metadata());
}

#[tokio::test]
async fn k1_the_same_intent_twice_is_committed_once_whatever_lies_on_top() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = append(&world, &table, 0, 10).await;
    commit(&world, &first).await;
    commit(&world, &append(&world, &table, 10, 20).await).await;
    let again = world.warehouse.commit("events", &first).await.expect("commit");
    assert!(matches!(again, CommitOutcome::AlreadyCommitted { .. }), "{again:?}");
    let table = world.warehouse.load("events").await.expect("load");
    assert_eq!(rows(&table, None).await, 20);
    assert_sound(&table).await;
}

#[tokio::test]
async fn k2_a_writer_that_starts_elsewhere_is_fenced_a_strict_prefix_too() {
    let world = world(|_| {});
    let table = events(&world).await;
    let zombie = append(&world, &table, 0, 30).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    let outcome = world.warehouse.commit("events", &zombie).await.expect("commit");
    let CommitOutcome::Fenced(Fence::Moved { found, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(found, Offset::new("f", 10));
    assert_eq!(rows(&world.warehouse.load("events").await.expect("load"), None).await, 10);
}

#[tokio::test]
async fn k2_a_table_dropped_and_made_anew_fences_work_of_the_old_one() {
    let world = world(|_| {});
    let old = events(&world).await;
    let intent = append(&world, &old, 0, 10).await;
    world.warehouse.drop_table("events").await.expect("drop");
    events(&world).await;
    let outcome = world.warehouse.commit("events", &intent).await.expect("commit");
    assert!(matches!(outcome, CommitOutcome::Fenced(Fence::OtherTable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn amendments_obey_the_clock_of_snapshots() {
    let world = world(|_| {});
    let table = events(&world).await;
    let setting = |value: &str| icefold_catalog::SchemaChange {
        properties: [("owner".to_owned(), value.to_owned())].into(),
        ..Default::default()
    };
    // A clock that is two hours fast amends and commits, a right one follows, each on top of each.
    let (mut fast, mut last) = (true, 0);
    for n in 0..8 {
        let hours = 7_200_000;
        world.clock.0.fetch_add(if fast { hours } else { -hours }, Ordering::Relaxed);
        fast = !fast;
        match n % 3 {
            0 => drop(world.warehouse.evolve("events", &setting(&n.to_string())).await.expect("amended")),
            1 => {
                let from = stands_at(&world).await.expect("stands");
                commit(&world, &append(&world, &table, from, from + 10).await).await;
            }
            _ => {
                let before = world.warehouse.load("events").await.expect("load");
                let olds = before.metadata().snapshots().map(|s| s.snapshot_id()).filter(|s| *s != id(&before));
                let olds: Vec<i64> = olds.collect();
                world.warehouse.expire("events", &olds).await.expect("expired");
            }
        }
        let reopened = world.warehouse.with_components(Arc::new(SystemIds), icefold_catalog::resolve::resolve);
        let read = reopened.load("events").await.expect("everybody can read it");
        assert!(read.metadata().last_updated_ms() >= last, "{n}");
        last = read.metadata().last_updated_ms();
    }
}

#[tokio::test]
async fn amendments_do_not_ask_the_clock_of_this_machine() {
    let world = world(|_| {});
    // Ten years ahead of it: whatever was dated by it instead would be out of order.
    world.clock.0.fetch_add(10 * 365 * 86_400_000, Ordering::Relaxed);
    let table = events(&world).await;
    for owner in ["analytics", "product"] {
        let from = stands_at(&world).await.expect("stands");
        let before = commit(&world, &append(&world, &table, from, from + 10).await).await;
        let properties = [("owner".to_owned(), owner.to_owned())].into();
        let change = icefold_catalog::SchemaChange { properties, ..Default::default() };
        world.warehouse.evolve("events", &change).await.expect("amended");
        let after = world.warehouse.load("events").await.expect("everybody can read it");
        assert!(after.metadata().last_updated_ms() >= before.metadata().last_updated_ms());
        let (log, of_before) = (after.metadata().metadata_log(), before.metadata().metadata_log());
        assert_eq!(log[..of_before.len()], *of_before, "times of earlier files stay");
        assert_eq!(log[of_before.len()].timestamp_ms, before.metadata().last_updated_ms());
    }
}

#[tokio::test]
async fn times_that_another_engine_let_go_back_are_read_in_order() {
    let world = world(|_| {});
    let table = events(&world).await;
    let own = commit(&world, &append(&world, &table, 0, 10).await).await;
    let then = own.metadata().last_updated_ms();
    foreign_rewrite(&world, |metadata| metadata["last-updated-ms"] = (then - 3_600_000).into()).await;
    let read = world.warehouse.load("events").await.expect("only its times are wrong");
    assert_eq!(read.metadata().last_updated_ms(), then);
    commit(&world, &append(&world, &read, 10, 20).await).await;
}

#[tokio::test]
async fn t3_an_older_snapshot_returns_what_it_returned_then() {
    let world = world(|_| {});
    let table = events(&world).await;
    let mut seen = Vec::new();
    for n in 0..40 {
        let table = commit(&world, &append(&world, &table, n * 10, n * 10 + 10).await).await;
        seen.push((table.metadata().current_snapshot_id(), (n + 1) * 10));
    }
    let table = world.warehouse.load("events").await.expect("load");
    for (snapshot, expected) in seen {
        assert_eq!(rows(&table, snapshot).await, expected);
        let progress = table.progress_at(snapshot.expect("id")).await.expect("progress");
        assert_eq!(progress.checkpoint.next(&ShardId::new("s")), Offset::new("f", expected));
        assert_eq!(progress.totals.accepted, expected);
        assert!(!progress.changed_by_others);
    }
    assert_sound(&table).await;
}

#[tokio::test]
async fn history_manifests_and_requests_stay_bounded() {
    let world = world(|s| {
        s.retention.newest_snapshots = 10;
        s.retention.hourly_for_hours = 3;
        s.commit.manifest_merge_factor = 4;
    });
    let mut table = events(&world).await;
    let mut requests = Vec::new();
    for n in 0..300 {
        world.clock.0.fetch_add(60_000, Ordering::Relaxed);
        let intent = append(&world, &table, n, n + 1).await;
        let before = world.requests.load(Ordering::Relaxed);
        table = commit(&world, &intent).await;
        requests.push(world.requests.load(Ordering::Relaxed) - before);
    }
    assert!(table.metadata().snapshots().len() <= 10 + 4, "{} snapshots", table.metadata().snapshots().len());
    let snapshot = table.snapshot(None).expect("snapshot").expect("current");
    let manifests = table.manifests(&snapshot).await.expect("manifests").len();
    assert!(manifests <= 4 * 5, "{manifests} manifests for 300 files");
    assert_eq!(rows(&table, None).await, 300);
    let worst = requests.iter().max().copied().unwrap_or_default();
    assert!(worst <= 6 + 5 * 5, "a commit took {worst} requests");
    assert_sound(&table).await;
}

#[tokio::test]
async fn redshift_finds_every_total_in_every_summary() {
    let world = world(|_| {});
    let table = events(&world).await;
    let table = commit(&world, &append(&world, &table, 0, 10).await).await;
    let delete = NewFile::new(&table, file(&table, "eq", 1, 3, DataContentType::EqualityDeletes).await);
    let table = commit(&world, &Intent::row_delta(&table, vec![delete], vec![])).await;
    let summary = table.snapshot(None).expect("snapshot").expect("current").summary().clone();
    let get = |key: &str| summary.additional_properties.get(key).map(String::as_str);
    for (key, value) in [
        ("total-records", "10"),
        ("total-data-files", "1"),
        ("total-delete-files", "1"),
        ("total-equality-deletes", "3"),
        ("total-position-deletes", "0"),
        ("total-files-size", "14"),
        ("added-equality-deletes", "3"),
    ] {
        assert_eq!(get(key), Some(value), "{key}");
    }
    assert_eq!(summary.operation, Operation::Delete);
    assert!(table.metadata().properties().contains_key(keys::CHECKPOINT), "maintenance leaves the checkpoint alone");
}

#[tokio::test]
async fn c2_rewritten_rows_stay_older_than_a_racing_equality_delete() {
    let world = world(|_| {});
    let table = events(&world).await;
    let read = commit(&world, &append(&world, &table, 0, 10).await).await;
    let old = read.live_files(&read.snapshot(None).expect("s").expect("s")).await.expect("files").remove(0);
    let compacted = NewFile::new(&read, data_file(&read, "compacted", 1, 10).await);
    let read_id = read.metadata().current_snapshot_id().expect("id");
    let rewrite = Intent::rewrite(&read, read_id, vec![old.file.file_path().to_owned()], vec![compacted]);
    // The erasure arrives between the compactor's read and its commit.
    let delete = NewFile::new(&read, file(&read, "eq", 1, 1, DataContentType::EqualityDeletes).await);
    commit(&world, &Intent::row_delta(&read, vec![delete], vec![])).await;
    let table = commit(&world, &rewrite).await;
    let snapshot = table.snapshot(None).expect("s").expect("s");
    assert_eq!(snapshot.summary().operation, Operation::Replace);
    let live = table.live_files(&snapshot).await.expect("files");
    let number = |content| live.iter().find(|f| f.file.content_type() == content).expect("live").data_sequence_number;
    assert!(number(DataContentType::Data) < number(DataContentType::EqualityDeletes), "the delete still applies");
    assert_sound(&table).await;
    let again = world.warehouse.commit("events", &rewrite).await.expect("commit");
    assert!(matches!(again, CommitOutcome::AlreadyCommitted { .. }));
}

/// The rows of the first day.
fn first_day() -> RowFilter {
    RowFilter::Partition { spec_id: 0, partition: Struct::from_iter([Some(Literal::date(1))]) }
}

#[tokio::test]
async fn an_overwrite_of_a_partition_replaces_just_that() {
    let world = world(|_| {});
    let table = events(&world).await;
    let (one, two) = (data_file(&table, "one", 1, 5).await, data_file(&table, "two", 2, 7).await);
    let read = vec![one.file_path().to_owned()];
    let counts = Counts { rows_in: 12, accepted: 12, ..Counts::default() };
    let table = commit(&world, &Intent::append(&table, delta(0, 12), counts, vec![one, two])).await;
    let new = data_file(&table, "new", 1, 6).await;
    let table = commit(&world, &Intent::overwrite(&table, first_day(), read, vec![new])).await;
    assert_eq!(rows(&table, None).await, 13);
    assert_eq!(table.snapshot(None).expect("s").expect("s").summary().operation, Operation::Overwrite);
}

#[tokio::test]
async fn an_overwrite_never_removes_rows_that_came_after_it_was_planned() {
    let world = world(|_| {});
    let table = events(&world).await;
    let counts = |rows| Counts { rows_in: rows, accepted: rows, ..Counts::default() };
    let one = data_file(&table, "one", 1, 5).await;
    let planned_on = commit(&world, &Intent::append(&table, delta(0, 5), counts(5), vec![one])).await;
    let overwrite = |table: &LoadedTable| Intent::overwrite(table, first_day(), vec![], vec![]);
    let stale = overwrite(&planned_on);
    let late = data_file(&planned_on, "late", 1, 3).await;
    let table = commit(&world, &Intent::append(&planned_on, delta(5, 8), counts(3), vec![late])).await;
    let outcome = world.warehouse.commit("events", &stale).await.expect("commit");
    let CommitOutcome::Replan { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("late"), "names what came: {reason}");
    assert_eq!(rows(&world.warehouse.load("events").await.expect("load"), None).await, 8, "nothing is lost");
    // Planned again, it is other work, though it adds as little as before.
    assert_eq!(rows(&commit(&world, &overwrite(&table)).await, None).await, 0);
}

#[tokio::test]
async fn expiry_refuses_what_is_pinned_and_is_idempotent() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    let second = commit(&world, &append(&world, &table, 10, 20).await).await;
    let refused = world.warehouse.expire("events", &[id(&second)]).await.expect_err("current");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(world.warehouse.expire("events", &[id(&first)]).await.expect("expire"), [id(&first)]);
    assert!(world.warehouse.expire("events", &[id(&first)]).await.expect("expire").is_empty());
    let table = world.warehouse.load("events").await.expect("load");
    assert_eq!(rows(&table, None).await, 20);
    let gone = table.snapshot(Some(id(&first))).expect_err("expired");
    assert!(gone.to_string().contains(&id(&second).to_string()), "names what there is: {gone}");
}

#[tokio::test]
async fn snapshot_timestamps_never_go_back_though_clocks_disagree() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    world.clock.0.fetch_sub(3_600_000, Ordering::Relaxed);
    let second = commit(&world, &append(&world, &table, 10, 20).await).await;
    let at = |t: &LoadedTable| t.snapshot(None).expect("s").expect("s").timestamp_ms();
    assert!(at(&second) >= at(&first));
}

#[tokio::test]
async fn an_upstream_user_loads_and_scans_the_same_table() {
    let world = world(|_| {});
    let table = events(&world).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    let catalog = UpstreamCatalog::new(world.warehouse.clone());
    let namespace = NamespaceIdent::new("icefold".into());
    let tables = catalog.list_tables(&namespace).await.expect("list");
    assert_eq!(tables.len(), 1);
    let loaded = catalog.load_table(&tables[0]).await.expect("load");
    use futures::TryStreamExt;
    let tasks: Vec<_> =
        loaded.scan().build().expect("scan").plan_files().await.expect("plan").try_collect().await.expect("tasks");
    assert_eq!(tasks.len(), 1);
    assert!(!catalog.namespace_exists(&NamespaceIdent::new("other".into())).await.expect("exists"));
}

#[tokio::test]
async fn t2_an_announcement_stays_until_the_table_holds_these_very_files() {
    let world = world(|_| {});
    let table = events(&world).await;
    let (winner, loser) = (append(&world, &table, 0, 10).await, append(&world, &table, 0, 10).await);
    let announced = |intent: &Intent| {
        let files = intent.add.iter().map(|new| new.file.file_path().to_owned()).collect();
        let tables = vec![AnnouncedTable { table_uuid: intent.table_uuid, files }];
        world.warehouse.announce(intent.commit_id, intent.delta.clone(), tables)
    };
    let won = announced(&winner).await.expect("announce");
    assert!(!won.uri.starts_with(table.metadata().location()), "outside the table, where cleaners of others look");
    let lost = announced(&loser).await.expect("announce");
    assert_ne!(winner.add, loser.add, "the same rows, in other files");

    let in_by_the_winner = world.warehouse.commit("events", &winner).await.expect("commit");
    let found_by_the_loser = world.warehouse.commit("events", &loser).await.expect("commit");
    assert!(matches!(found_by_the_loser, CommitOutcome::AlreadyCommitted { .. }), "{found_by_the_loser:?}");
    assert!(!world.warehouse.confirm(&lost, &[found_by_the_loser]).await.expect("look"), "its files are nowhere");
    assert_eq!(world.warehouse.announcements().await.expect("read").len(), 2);
    assert!(world.warehouse.confirm(&won, &[in_by_the_winner]).await.expect("withdraw"));
    assert_eq!(world.warehouse.announcements().await.expect("read"), [lost]);
}

#[tokio::test]
async fn a_file_that_was_not_announced_is_not_written() {
    let world = world(|_| {});
    let table = events(&world).await;
    let path = table.new_data_path("day=1", "unknown");
    let announced = world.warehouse.announce("work", Delta::default(), Vec::new()).await.expect("announce");
    let error = world.warehouse.stage(&announced, &path, vec!["x".into()]).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Bug);
    assert_eq!(world.warehouse.store().size(&path).await.expect("look"), None);
}

#[tokio::test]
async fn verify_names_what_is_broken() {
    let world = world(|_| {});
    let table = events(&world).await;
    let table = commit(&world, &append(&world, &table, 0, 10).await).await;
    let live = table.live_files(&table.snapshot(None).expect("s").expect("s")).await.expect("files");
    table.store().delete(live[0].file.file_path()).await.expect("delete");
    let broken: Vec<_> =
        icefold_catalog::verify::verify(&table).await.expect("verify").into_iter().filter(|c| !c.holds()).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].invariant, "T2");
    assert!(broken[0].broken[0].contains(live[0].file.file_path()));
}

/// The same append, as a part of a batch that settles `snapshots`.
fn settling(intent: Intent, snapshots: &[i64]) -> Intent {
    let settled = snapshots.iter().map(|id| Settled { snapshot_id: *id, objects: Vec::new() }).collect();
    let id = icefold_core::BatchId::of(intent.commit_id.to_string().as_bytes());
    let retirement = Some(Retirement { settled, window_micros: 1 });
    intent.of_batch(BatchPart { retirement, ..BatchPart::new(id, Role::Follows) })
}

async fn unseen(world: &World) -> Vec<i64> {
    world.warehouse.load("events").await.expect("load").progress().await.expect("progress").unseen
}

#[tokio::test]
async fn a_snapshot_that_removed_files_stays_with_its_parent_until_somebody_has_looked_at_it() {
    let world = world(|settings| {
        settings.retention.newest_snapshots = 1;
        settings.retention.hourly_for_hours = 0;
    });
    let table = events(&world).await;
    let before = id(&commit(&world, &append(&world, &table, 0, 10).await).await);
    foreign_overwrite(&world, "nine", 9).await;
    let removing = id(&world.warehouse.load("events").await.expect("load"));
    // Commits of ours on top, by writers that have not looked.
    for from in [10, 20, 30] {
        world.clock.0.fetch_add(3_600_000, Ordering::Relaxed);
        let table = world.warehouse.load("events").await.expect("load");
        commit(&world, &append(&world, &table, from, from + 10).await).await;
        assert_eq!(unseen(&world).await, [removing]);
    }
    let kept = |table: &LoadedTable, id| table.metadata().snapshot_by_id(id).is_some();
    let table = world.warehouse.load("events").await.expect("load");
    assert!(kept(&table, removing) && kept(&table, before), "whoever looks needs both");

    let settles = settling(append(&world, &table, 40, 50).await, &[removing]);
    let table = commit(&world, &settles).await;
    assert_eq!(unseen(&world).await, Vec::<i64>::new());
    assert!(!kept(&table, removing) && !kept(&table, before), "nobody needs them any more");
    assert_sound(&table).await;
}

#[tokio::test]
async fn what_adds_rows_or_only_rewrites_is_not_looked_at_for_ids() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    foreign_append(&world, &first).await;
    let second = world.warehouse.load("events").await.expect("load");
    let second = commit(&world, &append(&world, &second, 10, 20).await).await;
    let old: Vec<LiveFile> =
        second.live_files(second.metadata().current_snapshot().expect("current")).await.expect("files");
    let new = data_file(&second, "compact", 1, 20).await;
    let remove = old.iter().map(|live| live.file.file_path().to_owned()).collect();
    let rewrite = Intent::rewrite(&second, id(&second), remove, vec![NewFile::new(&second, new)]);
    commit(&world, &rewrite).await;
    assert_eq!(unseen(&world).await, Vec::<i64>::new());
}
