//! Where a table stands after what other engines did to its history, and how a person adopts a checkpoint.

use iceberg::spec::DataContentType;
use iceberg::{Catalog, NamespaceIdent, TableIdent};
use icefold_catalog::{BatchPart, Intent, NewFile, Role, UpstreamCatalog};
use icefold_core::{BatchId, ErrorKind, Offset, ShardId};

use super::foreign::*;
use super::kit::*;

#[tokio::test]
async fn the_checkpoint_survives_expiry_of_its_snapshot_and_foreign_commits_on_top() {
    let world = world(|_| {});
    let table = events(&world).await;
    let own = commit(&world, &append(&world, &table, 0, 10).await).await;
    let own_id = own.metadata().current_snapshot_id().expect("snapshot");
    foreign_append(&world, &own).await;
    foreign_append(&world, &own).await;
    // Another engine expires everything but the newest snapshot.
    let catalog = UpstreamCatalog::new(world.warehouse.clone());
    let ident = TableIdent::new(NamespaceIdent::new("icefold".into()), "events".into());
    foreign_update(&world, |b| b.remove_snapshots(&[own_id])).await;
    let loaded = catalog.load_table(&ident).await.expect("load");
    assert!(loaded.metadata().snapshot_by_id(own_id).is_none());
    let table = world.warehouse.load("events").await.expect("load");
    assert_eq!(table.progress().await.expect("progress").checkpoint.next(&ShardId::new("s")), Offset::new("f", 10));
    commit(&world, &append(&world, &table, 10, 20).await).await;
}

#[tokio::test]
async fn an_expired_parent_whose_id_was_blanked_is_no_roll_back() {
    let world = world(|_| {});
    let table = events(&world).await;
    let own = commit(&world, &append(&world, &table, 0, 10).await).await;
    let own_id = own.metadata().current_snapshot_id().expect("snapshot");
    foreign_append(&world, &own).await;
    foreign_rewrite(&world, |metadata| {
        // As PyIceberg 0.12 expires: the child of what is gone becomes a root.
        let snapshots = metadata["snapshots"].as_array_mut().expect("snapshots");
        snapshots.retain(|s| s["snapshot-id"] != own_id);
        for s in snapshots.iter_mut().filter_map(|s| s.as_object_mut()) {
            s.remove("parent-snapshot-id");
        }
        metadata["snapshot-log"].as_array_mut().expect("log").retain(|entry| entry["snapshot-id"] != own_id);
    })
    .await;
    let table = world.warehouse.load("events").await.expect("load");
    assert_eq!(table.progress().await.expect("progress").checkpoint.next(&ShardId::new("s")), Offset::new("f", 10));
    let table = commit(&world, &append(&world, &table, 10, 20).await).await;
    // Though the snapshots that would tell have expired, it is known that row counts prove nothing any more.
    assert!(table.progress().await.expect("progress").changed_by_others);
}

/// Nothing is committed, and `verify` says why.
async fn assert_halted(world: &World, next: &Intent) {
    let error = world.warehouse.commit("events", next).await.expect_err("halts");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("icefold checkpoint adopt events"), "{error}");
    let table = world.warehouse.load("events").await.expect("load");
    let checks = icefold_catalog::verify::verify(&table).await.expect("verify");
    assert!(checks.iter().any(|c| c.invariant == "K3" && !c.holds()), "{checks:#?}");
}

#[tokio::test]
async fn a_roll_back_by_another_engine_halts_also_when_rewritten_and_expired() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    let second = commit(&world, &append(&world, &table, 10, 20).await).await;
    let next = append(&world, &second, 20, 30).await;
    roll_back(&world, id(&first)).await;
    assert_halted(&world, &next).await;
    foreign_overwrite(&world, "rewritten", 10).await;
    assert_halted(&world, &next).await;
    foreign_expiry(&world).await;
    assert_halted(&world, &next).await;
    forget_earlier_files(&world).await;
    assert_halted(&world, &next).await;
}

#[tokio::test]
async fn two_deletes_by_others_with_the_snapshot_between_them_expired_are_no_roll_back() {
    let world = world(|_| {});
    let table = events(&world).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    foreign_overwrite(&world, "nine", 9).await;
    foreign_overwrite(&world, "eight", 8).await;
    foreign_expiry(&world).await;
    assert_eq!(stands_at(&world).await.expect("proven by earlier metadata files"), 10);
    forget_earlier_files(&world).await;
    let table = world.warehouse.load("events").await.expect("load");
    assert_halted(&world, &append(&world, &table, 10, 20).await).await;
}

#[tokio::test]
async fn dropped_properties_never_start_the_stream_again() {
    let world = world(|_| {});
    let table = events(&world).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    drop_properties(&world).await;
    assert_eq!(stands_at(&world).await.expect("the summary names it"), 10);
    foreign_overwrite(&world, "all", 10).await;
    foreign_expiry(&world).await;
    assert_eq!(stands_at(&world).await.expect("earlier metadata files name it"), 10);
    forget_earlier_files(&world).await;
    let table = world.warehouse.load("events").await.expect("load");
    assert_halted(&world, &append(&world, &table, 0, 10).await).await;
    assert_eq!(rows(&table, None).await, 10);
}

#[tokio::test]
async fn an_adopted_checkpoint_is_gone_on_from_and_brings_nothing_back() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    let second = commit(&world, &append(&world, &table, 10, 20).await).await;
    roll_back(&world, id(&first)).await;
    let halted = world.warehouse.load("events").await.expect("load");
    let candidates = world.warehouse.checkpoint_candidates(&halted).await.expect("candidates");
    let places: Vec<_> = candidates.iter().map(|c| c.progress.checkpoint.next(&ShardId::new("s")).position).collect();
    assert_eq!(places, [20, 10], "newest first");
    assert_eq!(candidates[0].snapshot_id, Some(id(&second)));
    let adopted = world.warehouse.adopt(&halted, &candidates[0]).await.expect("adopted");
    assert_eq!((stands_at(&world).await.expect("stands"), rows(&adopted, None).await), (20, 10));
    let table = commit(&world, &append(&world, &adopted, 20, 30).await).await;
    assert_eq!(rows(&table, None).await, 20, "what was rolled back is not read again");
    assert_sound(&table).await;
    // Who looked before somebody else did, adopts nothing.
    let late = world.warehouse.adopt(&halted, &candidates[1]).await.expect_err("changed meanwhile");
    assert_eq!(late.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn an_older_checkpoint_may_be_adopted_too() {
    let world = world(|_| {});
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await).await;
    commit(&world, &append(&world, &table, 10, 20).await).await;
    roll_back(&world, id(&first)).await;
    let halted = world.warehouse.load("events").await.expect("load");
    let candidates = world.warehouse.checkpoint_candidates(&halted).await.expect("candidates");
    let adopted = world.warehouse.adopt(&halted, &candidates[1]).await.expect("adopted");
    assert_eq!(stands_at(&world).await.expect("stands"), 10);
    let again = commit(&world, &append(&world, &adopted, 10, 20).await).await;
    assert_eq!(rows(&again, None).await, 20, "they are read again, because somebody said so");
}

#[tokio::test]
async fn checkpoint_objects_are_found_when_nothing_names_them() {
    let world = world(|_| {});
    let table = events(&world).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    drop_properties(&world).await;
    foreign_overwrite(&world, "all", 10).await;
    foreign_expiry(&world).await;
    forget_earlier_files(&world).await;
    let halted = world.warehouse.load("events").await.expect("load");
    let candidates = world.warehouse.checkpoint_candidates(&halted).await.expect("candidates");
    assert_eq!(candidates.len(), 1);
    assert_eq!((candidates[0].snapshot_id, candidates[0].progress.totals.rows_in), (None, 10));
    world.warehouse.adopt(&halted, &candidates[0]).await.expect("adopted");
    assert_eq!(stands_at(&world).await.expect("stands"), 10);
}

#[tokio::test]
async fn w3_an_adopted_checkpoint_vouches_for_its_batch_only_where_a_version_named_it() {
    let world = world(|_| {});
    let shard = ShardId::new("s");
    let part = |content: &[u8]| BatchPart::new(BatchId::of(content), Role::Leads);
    let table = events(&world).await;
    let first = commit(&world, &append(&world, &table, 0, 10).await.of_batch(part(b"first"))).await;
    commit(&world, &append(&world, &first, 10, 20).await.of_batch(part(b"second"))).await;
    roll_back(&world, id(&first)).await;
    let halted = world.warehouse.load("events").await.expect("load");
    let candidates = world.warehouse.checkpoint_candidates(&halted).await.expect("candidates");
    let adopted = world.warehouse.adopt(&halted, &candidates[0]).await.expect("adopted");
    let progress = adopted.progress().await.expect("progress");
    assert_eq!(progress.moved_by.get(&shard), Some(&BatchId::of(b"second")), "it was in, so others may need it");
    drop_properties(&world).await;
    foreign_overwrite(&world, "all", 10).await;
    foreign_expiry(&world).await;
    forget_earlier_files(&world).await;
    let halted = world.warehouse.load("events").await.expect("load");
    let candidates = world.warehouse.checkpoint_candidates(&halted).await.expect("candidates");
    let unnamed = candidates.iter().find(|c| c.progress.checkpoint.next(&shard).position == 20).expect("offered");
    assert_eq!((unnamed.snapshot_id, unnamed.progress.moved_by.len()), (None, 1));
    let adopted = world.warehouse.adopt(&halted, unnamed).await.expect("adopted");
    let progress = adopted.progress().await.expect("progress");
    assert_eq!(progress.checkpoint.next(&shard).position, 20);
    assert_eq!(progress.moved_by.get(&shard), None, "its commit may have lost, and another batch have won");
}

#[tokio::test]
async fn our_own_thinning_and_maintenance_never_end_in_a_halt() {
    let world = world(|s| {
        s.retention.newest_snapshots = 1;
        s.retention.hourly_for_hours = 0;
    });
    let table = events(&world).await;
    let mut table = commit(&world, &append(&world, &table, 0, 10).await).await;
    for n in 0..5 {
        let delete =
            NewFile::new(&table, file(&table, &format!("eq-{n}"), 1, 1, DataContentType::EqualityDeletes).await);
        commit(&world, &Intent::row_delta(&table, vec![delete], vec![])).await;
        foreign_append(&world, &table).await;
        table = commit(&world, &append(&world, &table, n * 10 + 10, n * 10 + 20).await).await;
        assert_eq!(table.metadata().snapshots().len(), 2, "this one and the one before");
        let facts = icefold_catalog::lineage::Facts::of(table.metadata()).expect("facts");
        let standing = icefold_catalog::lineage::decide(&facts);
        assert!(matches!(standing, icefold_catalog::lineage::Standing::At(_)), "by metadata alone: {standing:?}");
    }
    assert!(table.progress().await.expect("progress").changed_by_others);
}

#[tokio::test]
async fn our_expiry_keeps_what_proves_the_checkpoint() {
    let world = world(|_| {});
    let table = events(&world).await;
    let own = commit(&world, &append(&world, &table, 0, 10).await).await;
    foreign_append(&world, &own).await;
    let between = world.warehouse.load("events").await.expect("load");
    foreign_append(&world, &own).await;
    let refused = world.warehouse.expire("events", &[id(&between)]).await.expect_err("proof");
    assert!(refused.message().contains("expire it after the next commit"), "{refused}");
    commit(&world, &append(&world, &own, 10, 20).await).await;
    assert_eq!(world.warehouse.expire("events", &[id(&between)]).await.expect("expire"), [id(&between)]);
}

#[tokio::test]
async fn rows_are_counted_after_a_rewrite_and_one_that_loses_rows_is_refused() {
    let world = world(|_| {});
    let table = events(&world).await;
    commit(&world, &append(&world, &table, 0, 10).await).await;
    let read = commit(&world, &append(&world, &table, 10, 20).await).await;
    let live = read.live_files(&read.snapshot(None).expect("s").expect("s")).await.expect("files");
    let remove: Vec<String> = live.iter().map(|f| f.file.file_path().to_owned()).collect();
    for rows in [19, 21] {
        let wrong = NewFile::new(&read, data_file(&read, &format!("of-{rows}"), 1, rows).await);
        let refused = Intent::rewrite(&read, id(&read), remove.clone(), vec![wrong]);
        let error = world.warehouse.commit("events", &refused).await.expect_err("refused");
        assert!(error.message().contains(&format!("takes out 20 rows and puts in {rows}")), "{error}");
    }
    let whole = NewFile::new(&read, data_file(&read, "whole", 1, 20).await);
    let rewritten = commit(&world, &Intent::rewrite(&read, id(&read), remove, vec![whole])).await;
    assert!(!rewritten.progress().await.expect("progress").changed_by_others);
    let table = commit(&world, &append(&world, &rewritten, 20, 30).await).await;
    assert!(!table.progress().await.expect("progress").changed_by_others);
    let checks = icefold_catalog::verify::verify(&table).await.expect("verify");
    let counted = checks.iter().find(|c| c.invariant == "W1").expect("counted");
    assert_eq!((counted.note.as_deref(), counted.looked_at.as_str()), (None, "4 snapshots"));
    assert!(checks.iter().all(icefold_catalog::verify::Check::holds), "{checks:#?}");
}
