//! Those who change tables beside the writers: another engine, by the means of its own, and the people who run the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use iceberg::spec::{DataFile, ManifestListWriter, ManifestWriterBuilder};
use icefold_catalog::lineage::Standing;
use icefold_catalog::{Candidate, LoadedTable, Pointer, SchemaChange, WantedColumn, Warehouse, keys};
use icefold_core::tables::{ColumnType, TableKind};
use icefold_core::{Error, ErrorKind, Ids, Result};
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use super::lake::Lake;
use super::oracle::{content, expected, live_paths};
use super::writer::{describe, record, upload};

/// Folder of other engines' data files: nothing announces these.
pub(super) const FOLDER: &str = "foreign";

/// What a version of a table is that no writer made, by the place of its metadata file.
#[derive(Debug, Default)]
pub(super) struct Acts(Mutex<BTreeMap<String, Act>>);

/// What was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Act {
    /// Rows that were deleted.
    pub(super) deleted: BTreeSet<String>,
    /// An older snapshot became the current one, or earlier metadata files were forgotten: a halt has a reason.
    pub(super) hides: bool,
    /// A person said where the table stands.
    pub(super) adopts: bool,
}

impl Acts {
    pub(super) fn note(&self, location: &str, act: Act) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(location.to_owned(), act);
    }

    /// Whether somebody has hidden history.
    pub(super) fn any_hides(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().any(|act| act.hides)
    }

    /// Whether a person has said where a table stands.
    pub(super) fn any_adopts(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().any(|act| act.adopts)
    }

    pub(super) fn of(&self, location: &str) -> Option<Act> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(location).cloned()
    }
}

/// Reads and writes data files as another engine does: of rows as numbers, or of real ones.
pub(super) trait Engine {
    /// Writes the rows of a table into new files, without `fewer` of them. Returns the files and the rows that are left out.
    async fn rewrite(
        &self,
        table: &LoadedTable,
        fewer: usize,
        rng: &mut SmallRng,
        ids: &dyn Ids,
    ) -> Result<(Vec<DataFile>, BTreeSet<String>)>;
}

/// Rows are lines of text.
pub(super) struct Numbers;

impl Engine for Numbers {
    async fn rewrite(
        &self,
        table: &LoadedTable,
        fewer: usize,
        rng: &mut SmallRng,
        ids: &dyn Ids,
    ) -> Result<(Vec<DataFile>, BTreeSet<String>)> {
        let mut rows = content(table, &live_paths(table).await?).await?;
        let mut deleted = BTreeSet::new();
        for _ in 0..fewer.min(rows.len().saturating_sub(1)) {
            deleted.insert(rows.remove(rng.random_range(0..rows.len())));
        }
        if rows.is_empty() {
            return Ok((Vec::new(), deleted));
        }
        let file = describe(table, FOLDER, &rows, ids)?;
        upload(table, &file, &rows).await?;
        Ok((vec![file], deleted))
    }
}

/// One change by another engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// All rows are written anew, without a few of them.
    Delete,
    /// All rows are written anew.
    Rewrite,
    /// An older snapshot becomes the current one.
    RollBack,
    /// Snapshots expire.
    Expire,
    /// Properties that it does not know are dropped.
    DropProperties,
    /// No earlier metadata file is kept.
    Forget,
}

/// What engines do in one go.
pub(super) const HABITS: [&[Change]; 8] = [
    &[Change::Delete],
    &[Change::Rewrite],
    &[Change::Delete, Change::Delete, Change::Expire],
    &[Change::DropProperties, Change::Rewrite, Change::Expire],
    &[Change::RollBack],
    &[Change::RollBack, Change::Rewrite, Change::Expire],
    &[Change::DropProperties, Change::Rewrite, Change::Expire, Change::Forget],
    &[Change::Delete, Change::Expire, Change::Forget],
];

/// Lets another engine work on a table for a while, by one of its habits.
pub(super) async fn work(
    lake: &Lake,
    engine: &impl Engine,
    kind: TableKind,
    habits: &[&[Change]],
    rng: &mut SmallRng,
    ids: &dyn Ids,
) -> Result<()> {
    for change in habits[rng.random_range(0..habits.len())] {
        let table = lake.calm(rng.random()).0.load(kind.name()).await?;
        if table.snapshot(None)?.is_some() {
            apply(lake, engine, &table, *change, rng, ids).await?;
        }
    }
    Ok(())
}

async fn apply(
    lake: &Lake,
    engine: &impl Engine,
    table: &LoadedTable,
    change: Change,
    rng: &mut SmallRng,
    ids: &dyn Ids,
) -> Result<()> {
    let mut act = Act::default();
    let mut next = json_of(table)?;
    let log = json!({"metadata-file": table.metadata_location(), "timestamp-ms": table.metadata().last_updated_ms()});
    array(&mut next, "metadata-log").push(log);
    match change {
        Change::Delete => {
            let fewer = rng.random_range(0..3);
            let (files, deleted) = engine.rewrite(table, fewer, rng, ids).await?;
            overwrite(table, &mut next, files, ids).await?;
            act.deleted = deleted;
        }
        Change::Rewrite => {
            let (files, _) = engine.rewrite(table, 0, rng, ids).await?;
            overwrite(table, &mut next, files, ids).await?;
        }
        Change::RollBack => {
            let mut snapshots: Vec<i64> = table.metadata().snapshots().map(|s| s.snapshot_id()).collect();
            snapshots.sort_unstable();
            make_current(
                &mut next,
                snapshots[rng.random_range(0..snapshots.len())],
                table.metadata().last_updated_ms(),
            );
            act.hides = true;
        }
        Change::Expire => expire(&mut next, rng),
        Change::DropProperties => {
            let properties = next["properties"].as_object_mut();
            properties.into_iter().for_each(|p| p.retain(|key, _| !key.starts_with(keys::CHECKPOINT)));
        }
        Change::Forget => {
            next["metadata-log"] = json!([]);
            act.hides = true;
        }
    }
    let location = format!("{}/metadata/foreign-{}.metadata.json", table.metadata().location(), ids.next());
    table.store().write_new(&location, vec![next.to_string().into()]).await?;
    lake.acts.note(&location, act);
    // Another commit may be faster: then this engine has done nothing.
    let _ = lake.swap(table.full_name(), &Pointer::to(table.metadata_location()), &location).await;
    Ok(())
}

fn json_of(table: &LoadedTable) -> Result<Value> {
    let json = serde_json::to_value(&**table.metadata());
    let mut json = json.map_err(|e| Error::bug("metadata has a JSON form").because(e))?;
    // Their order would be another one in each run.
    array(&mut json, "snapshots").sort_by_key(|s| s["sequence-number"].as_i64());
    Ok(json)
}

fn array<'a>(metadata: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !metadata[key].is_array() {
        metadata[key] = json!([]);
    }
    metadata[key].as_array_mut().expect("made an array above")
}

fn make_current(metadata: &mut Value, id: i64, time: i64) {
    metadata["current-snapshot-id"] = id.into();
    metadata["refs"]["main"]["snapshot-id"] = id.into();
    array(metadata, "snapshot-log").push(json!({"snapshot-id": id, "timestamp-ms": time}));
}

/// As Iceberg Java does, which keeps the ids of parents, or as PyIceberg, which blanks them.
fn expire(metadata: &mut Value, rng: &mut SmallRng) {
    let current = metadata["current-snapshot-id"].clone();
    let share = if rng.random_bool(0.5) { 1.0 } else { 0.5 };
    array(metadata, "snapshots").retain(|s| s["snapshot-id"] == current || !rng.random_bool(share));
    let left: Vec<Value> = array(metadata, "snapshots").iter().map(|s| s["snapshot-id"].clone()).collect();
    array(metadata, "snapshot-log").retain(|entry| left.contains(&entry["snapshot-id"]));
    if rng.random_bool(0.5) {
        for snapshot in array(metadata, "snapshots").iter_mut().filter_map(Value::as_object_mut) {
            if snapshot.get("parent-snapshot-id").is_some_and(|parent| !left.contains(parent)) {
                snapshot.remove("parent-snapshot-id");
            }
        }
    }
}

/// Lets `files` replace all others.
async fn overwrite(table: &LoadedTable, next: &mut Value, files: Vec<DataFile>, ids: &dyn Ids) -> Result<()> {
    let failed = |e| Error::bug("another engine's snapshot").because(e);
    let metadata = table.metadata();
    let (id, number) = ((ids.next().as_u128() as i64 & i64::MAX).max(1), metadata.next_sequence_number());
    let io = table.store().file_io();
    let place = |what: &str| format!("{}/metadata/foreign-{id}-{what}.avro", metadata.location());
    let spec = (**metadata.default_partition_spec()).clone();
    let output = io.new_output(place("m")).map_err(failed)?;
    let mut writer =
        ManifestWriterBuilder::new(output, Some(id), metadata.current_schema().clone(), spec).build_v2_data();
    let mut manifests = Vec::new();
    if !files.is_empty() {
        for file in files {
            writer.add_file(file, number).map_err(failed)?;
        }
        manifests.push(writer.write_manifest_file().await.map_err(failed)?);
    }
    let output = io.new_output(place("list")).map_err(failed)?.writer().await.map_err(failed)?;
    let mut list = ManifestListWriter::v2(output, id, metadata.current_snapshot_id(), number);
    list.add_manifests(manifests.into_iter()).map_err(failed)?;
    list.close().await.map_err(failed)?;
    let time = metadata.last_updated_ms();
    array(next, "snapshots").push(json!({
        "snapshot-id": id,
        "parent-snapshot-id": metadata.current_snapshot_id(),
        "sequence-number": number,
        "timestamp-ms": time,
        "manifest-list": place("list"),
        "summary": {"operation": "overwrite"},
        "schema-id": metadata.current_schema_id(),
    }));
    next["last-sequence-number"] = number.into();
    make_current(next, id, time);
    Ok(())
}

/// Changes a table's metadata with the means of icefold: a property, a column, expiry.
pub(super) async fn amend(warehouse: &Warehouse, kind: TableKind, expires: bool, rng: &mut SmallRng) -> Result<()> {
    let number: u32 = rng.random_range(0..4);
    let mut change = SchemaChange::default();
    match rng.random_range(0..if expires { 3 } else { 2 }) {
        0 => drop(change.properties.insert("owner".to_owned(), number.to_string())),
        1 => change.columns.push(WantedColumn {
            name: format!("c{number}"),
            kind: ColumnType::Long,
            doc: "added".to_owned(),
        }),
        _ => {
            let table = warehouse.load(kind.name()).await?;
            let old = table.metadata().snapshots().map(|s| s.snapshot_id()).min();
            warehouse.expire(kind.name(), &old.into_iter().collect::<Vec<_>>()).await?;
            return Ok(());
        }
    }
    warehouse.evolve(kind.name(), &change).await.map(drop)
}

/// A person looks at a table that halts, and says where it stands: no row from there on is in it, and what is missing before
/// shall be missing.
pub(super) async fn adopt(lake: &Lake, kind: TableKind, rng: &mut SmallRng) -> Result<()> {
    let warehouse = lake.calm(rng.random()).0;
    let table = warehouse.load(kind.name()).await?;
    if !matches!(table.standing().await?, Standing::Halt(_)) {
        return Ok(());
    }
    let rows = content(&table, &live_paths(&table).await?).await?;
    let fits = |candidate: &Candidate| {
        let before: BTreeSet<String> = expected(&candidate.progress.checkpoint).into_iter().collect();
        rows.iter().all(|row| before.contains(record(row)))
    };
    let found = warehouse.checkpoint_candidates(&table).await?;
    let mut found: Vec<&Candidate> = found.iter().filter(|candidate| fits(candidate)).collect();
    // Objects are listed by times that are not the simulation's.
    found.sort_by_key(|candidate| (std::cmp::Reverse(candidate.progress.totals.rows_in), &candidate.uri));
    let chosen = if rng.random_bool(0.7) { found.first() } else { found.last() };
    let Some(chosen) = chosen else {
        return Err(Error::new(ErrorKind::NotFound, "no checkpoint that fits is offered"));
    };
    if let Ok(adopted) = warehouse.adopt(&table, chosen).await {
        lake.acts.note(adopted.metadata_location(), Act { adopts: true, ..Act::default() });
    }
    Ok(())
}
