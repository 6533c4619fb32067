//! What other engines do to a table, in ways that `icefold` never would.

use std::sync::atomic::{AtomicI64, Ordering};

use iceberg::spec::Operation;
use icefold_catalog::{LoadedTable, keys};

use super::kit::{World, data_file};

/// What another engine does to the metadata file in ways that `iceberg`'s builder has no words for.
pub(crate) async fn foreign_rewrite(world: &World, change: impl FnOnce(&mut serde_json::Value)) {
    let table = world.warehouse.load("events").await.expect("load");
    let mut metadata = serde_json::to_value(&**table.metadata()).expect("json");
    let before = serde_json::json!({
        "metadata-file": table.metadata_location(),
        "timestamp-ms": table.metadata().last_updated_ms(),
    });
    match metadata["metadata-log"].as_array_mut() {
        Some(log) => log.push(before),
        None => metadata["metadata-log"] = serde_json::json!([before]),
    }
    change(&mut metadata);
    let location = format!("memory:///w/icefold/events/metadata/rewritten-{}.metadata.json", rand_suffix());
    table.store().write_new(&location, vec![metadata.to_string().into()]).await.expect("write");
    world.warehouse.repoint("events", &location).await.expect("repoint");
}

/// What another engine does through the standard metadata operations, one compare-and-swap.
pub(crate) async fn foreign_update(
    world: &World,
    change: impl FnOnce(iceberg::spec::TableMetadataBuilder) -> iceberg::spec::TableMetadataBuilder,
) {
    let table = world.warehouse.load("events").await.expect("load");
    let builder = (**table.metadata()).clone().into_builder(Some(table.metadata_location().to_owned()));
    let next = change(builder).build().expect("metadata").metadata;
    let location = format!("memory:///w/icefold/events/metadata/foreign-{}.metadata.json", rand_suffix());
    let text = serde_json::to_vec(&next).expect("json");
    table.store().write_new(&location, vec![text.into()]).await.expect("write");
    world.warehouse.repoint("events", &location).await.expect("repoint");
}

pub(crate) fn rand_suffix() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) async fn foreign_append(world: &World, table: &LoadedTable) {
    let now = world.warehouse.load("events").await.expect("load");
    let current = now.metadata().current_snapshot().expect("snapshot").clone();
    let snapshot = iceberg::spec::Snapshot::builder()
        .with_snapshot_id(1_000 + rand_suffix())
        .with_parent_snapshot_id(Some(current.snapshot_id()))
        .with_sequence_number(now.metadata().next_sequence_number())
        .with_timestamp_ms(current.timestamp_ms() + 1)
        .with_manifest_list(current.manifest_list().to_owned())
        .with_summary(iceberg::spec::Summary {
            operation: Operation::Append,
            additional_properties: Default::default(),
        })
        .with_schema_id(table.metadata().current_schema_id())
        .build();
    foreign_update(world, |b| b.set_branch_snapshot(snapshot, "main").expect("snapshot")).await;
}

pub(crate) async fn roll_back(world: &World, to: i64) {
    let retention = iceberg::spec::SnapshotRetention::Branch {
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    };
    let back = iceberg::spec::SnapshotReference::new(to, retention);
    foreign_update(world, |b| b.set_ref("main", back).expect("ref")).await;
}

/// Expires all but the current snapshot, as PyIceberg 0.12 does: the child of what is gone becomes a root.
pub(crate) async fn foreign_expiry(world: &World) {
    foreign_rewrite(world, |metadata| {
        let current = metadata["current-snapshot-id"].clone();
        let snapshots = metadata["snapshots"].as_array_mut().expect("snapshots");
        snapshots.retain(|s| s["snapshot-id"] == current);
        for s in snapshots.iter_mut().filter_map(|s| s.as_object_mut()) {
            s.remove("parent-snapshot-id");
        }
        metadata["snapshot-log"].as_array_mut().expect("log").retain(|entry| entry["snapshot-id"] == current);
    })
    .await;
}

/// Replaces all files by one, as an engine does that writes all rows anew, or some of them.
pub(crate) async fn foreign_overwrite(world: &World, name: &str, rows: u64) {
    let table = world.warehouse.load("events").await.expect("load");
    let file = data_file(&table, name, 1, rows).await;
    let metadata = table.metadata();
    let (id, number) = (1_000 + rand_suffix(), metadata.next_sequence_number());
    let output =
        |name: String| table.store().file_io().new_output(format!("memory:///w/foreign/{name}")).expect("output");
    let writer = iceberg::spec::ManifestWriterBuilder::new(
        output(format!("{name}-m.avro")),
        Some(id),
        metadata.current_schema().clone(),
        (**metadata.default_partition_spec()).clone(),
    );
    let mut writer = writer.build_v2_data();
    writer.add_file(file, number).expect("added");
    let manifest = writer.write_manifest_file().await.expect("manifest");
    let list = format!("memory:///w/foreign/{name}-list.avro");
    let to = output(format!("{name}-list.avro")).writer().await.expect("writer");
    let mut writer = iceberg::spec::ManifestListWriter::v2(to, id, metadata.current_snapshot_id(), number);
    writer.add_manifests([manifest].into_iter()).expect("listed");
    writer.close().await.expect("closed");
    let summary = iceberg::spec::Summary { operation: Operation::Overwrite, additional_properties: Default::default() };
    let snapshot = iceberg::spec::Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(number)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(list)
        .with_summary(summary)
        .with_schema_id(metadata.current_schema_id())
        .build();
    foreign_update(world, |b| b.set_branch_snapshot(snapshot, "main").expect("snapshot")).await;
}

pub(crate) async fn drop_properties(world: &World) {
    let keys = [keys::CHECKPOINT, keys::CHECKPOINT_SNAPSHOT_ID, keys::CHECKPOINT_SEQUENCE_NUMBER].map(str::to_owned);
    foreign_update(world, |b| b.remove_properties(&keys).expect("removed")).await;
}

/// As a cleaner does that keeps no metadata file but the newest.
pub(crate) async fn forget_earlier_files(world: &World) {
    let table = world.warehouse.load("events").await.expect("load");
    for entry in table.metadata().metadata_log() {
        table.store().delete(&entry.metadata_file).await.expect("deleted");
    }
}
