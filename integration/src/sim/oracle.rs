//! The plain truth: at a checkpoint a table holds exactly the records before it, each once, but for those that were deleted.
//!
//! Each row also says what decided about it, which no table may have otherwise than `raw_events` (W3).
//!
//! The oracle reads every version that a pointer ever had, without faults, and names the invariant that a version breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use icefold_catalog::lineage::Standing;
use icefold_catalog::{LoadedTable, TableName, Warehouse, keys};
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Invariant, Result};

use super::strangers::{Act, FOLDER};
use super::writer::{TABLES, record};

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// Where and how.
    pub what: String,
}

/// Checks that no table goes back.
#[derive(Debug, Default)]
pub struct Progress(BTreeMap<TableName, Checkpoint>);

impl Progress {
    /// A person has set the table back, or forward.
    fn forget(&mut self, name: &TableName) {
        self.0.remove(name);
    }

    /// Takes note of a table's next version.
    pub fn check(&mut self, name: &TableName, checkpoint: Checkpoint, at: &str) -> Option<Violation> {
        let before = self.0.insert(name.clone(), checkpoint.clone()).unwrap_or_default();
        let back = before.iter().find(|(shard, position)| checkpoint.next(shard) < position.next);
        let what = back.map(|(shard, _)| format!("{at}: shard `{shard}` goes back"));
        what.map(|what| Violation { invariant: Invariant::K3, what })
    }
}

/// Checks versions one after another.
#[derive(Debug, Default)]
pub struct Oracle {
    progress: Progress,
    /// The current snapshot of each table's version before.
    current: BTreeMap<TableName, Option<i64>>,
    /// Rows that are missing in a snapshot because somebody deleted them.
    deleted: BTreeMap<i64, BTreeSet<String>>,
    /// Tables in which somebody has hidden history since they last stood on firm ground: they may halt.
    hidden: BTreeSet<TableName>,
    /// Content of each snapshot when it was made, for time travel (T3).
    made: BTreeMap<i64, Vec<String>>,
    /// What decided about each record, in any version of `raw_events` so far.
    decisions: BTreeMap<String, BTreeSet<String>>,
    /// A person has said where `raw_events` stands: records from there on may be decided again.
    may_decide_again: bool,
    /// Data files that some version holds.
    known: BTreeSet<String>,
    /// Of every version: its checkpoint and rows.
    digest: DefaultHasher,
    /// What was found.
    pub violations: Vec<Violation>,
}

impl Oracle {
    /// Returns what tells the versions that were checked from those of another run.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    fn violation(&mut self, invariant: Invariant, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// Checks one version of one table; `act` is what it is when no writer made it.
    ///
    /// # Errors
    /// When the version cannot be read, which is a violation by itself (T2) for the caller to record.
    pub(super) async fn check(
        &mut self,
        warehouse: &Warehouse,
        name: &TableName,
        metadata_location: &str,
        act: Option<&Act>,
    ) -> Result<()> {
        let table = warehouse.load_at(name, metadata_location).await?;
        let at = format!("{name} {}", metadata_location.rsplit('/').next().unwrap_or_default());
        let current = table.metadata().current_snapshot_id();
        let before = self.current.insert(name.clone(), current).flatten();
        if let Some(current) = current.filter(|id| !self.deleted.contains_key(id)) {
            let mut deleted = before.and_then(|id| self.deleted.get(&id)).cloned().unwrap_or_default();
            deleted.extend(act.iter().flat_map(|act| act.deleted.iter().map(|row| record(row).to_owned())));
            self.deleted.insert(current, deleted);
        }
        if act.is_some_and(|act| act.hides) {
            self.hidden.insert(name.clone());
        }
        if let Standing::Halt(halt) = table.standing().await? {
            if act.is_none() && current != before {
                self.violation(Invariant::W1, format!("{at}: committed though it must halt: {halt:?}"));
            }
            if !self.hidden.contains(name) {
                self.violation(Invariant::W1, format!("{at}: halts, though its history is there: {halt:?}"));
            }
            (table.name(), format!("{halt:?}")).hash(&mut self.digest);
            return Ok(());
        }
        let checkpoint = table.progress().await?.checkpoint;
        if act.is_some_and(|act| act.adopts) {
            self.hidden.remove(name);
            self.may_decide_again |= is_raw_events(name);
            self.progress.forget(name);
            self.take_as_deleted(&table, &checkpoint).await?;
        }
        self.check_rows(&table, &checkpoint, &at).await?;
        self.check_progress(name, checkpoint, &at);
        Ok(())
    }

    /// What is missing when a person says where a table stands, shall be missing.
    async fn take_as_deleted(&mut self, table: &LoadedTable, checkpoint: &Checkpoint) -> Result<()> {
        let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
        let found: BTreeSet<String> =
            content(table, &live_paths(table).await?).await?.iter().map(|row| record(row).to_owned()).collect();
        let missing = expected(checkpoint).into_iter().filter(|row| !found.contains(row)).collect();
        self.deleted.insert(snapshot.snapshot_id(), missing);
        Ok(())
    }

    async fn check_rows(&mut self, table: &LoadedTable, checkpoint: &Checkpoint, at: &str) -> Result<()> {
        let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
        let paths = live_paths(table).await?;
        if paths.iter().collect::<BTreeSet<_>>().len() != paths.len() {
            self.violation(Invariant::T1, format!("{at}: a file has two live entries"));
        }
        let found = content(table, &paths).await?;
        let deleted = self.deleted.get(&snapshot.snapshot_id()).cloned().unwrap_or_default();
        let all = expected(checkpoint);
        let expected: Vec<&str> = all.iter().filter(|row| !deleted.contains(*row)).map(String::as_str).collect();
        let mut records: Vec<&str> = found.iter().map(|row| record(row)).collect();
        records.sort_unstable();
        if records != expected {
            let unique: BTreeSet<&str> = records.into_iter().collect();
            let doubled = found.len() - unique.len();
            let missing = expected.iter().filter(|r| !unique.contains(**r)).count();
            self.violation(
                Invariant::W1,
                format!("{at}: {doubled} records doubled, {missing} missing of {}", expected.len()),
            );
        }
        self.known.extend(paths);
        self.check_decisions(table.full_name(), &found, at);
        (table.name(), format!("{checkpoint:?}"), &found).hash(&mut self.digest);
        self.made.entry(snapshot.snapshot_id()).or_insert(found);
        let totals = table.progress().await?.totals;
        if !totals.balance() || totals.rows_in != all.len() as u64 {
            self.violation(Invariant::W2, format!("{at}: {totals:?} for {} records", all.len()));
        }
        Ok(())
    }

    /// `events` has each record as some version of `raw_events` had it before, which decides about a record once (W3).
    fn check_decisions(&mut self, name: &TableName, found: &[String], at: &str) {
        let is_raw = is_raw_events(name);
        let mut wrong = None;
        for row in found {
            let (record, decision) = row.split_once('|').unwrap_or((row, ""));
            let decisions = self.decisions.entry(record.to_owned()).or_default();
            if decisions.contains(decision) {
                continue;
            }
            if !is_raw {
                wrong.get_or_insert_with(|| format!("`{row}`, which `raw_events` has as {decisions:?}"));
            } else if !decisions.is_empty() && !self.may_decide_again {
                wrong.get_or_insert_with(|| format!("`{row}`, which it had as {decisions:?}"));
            }
            if is_raw {
                decisions.insert(decision.to_owned());
            }
        }
        if let Some(wrong) = wrong {
            self.violation(Invariant::W3, format!("{at}: holds {wrong}"));
        }
    }

    /// Each data file of ours is in some version, or an announcement tells which work it belongs to (T2).
    ///
    /// # Errors
    /// When the objects cannot be read.
    pub async fn check_objects(&mut self, warehouse: &Warehouse) -> Result<()> {
        let announced = warehouse.announcements().await?;
        let announced: BTreeSet<&String> =
            announced.iter().flat_map(|a| &a.tables).flat_map(|table| &table.files).collect();
        for kind in TABLES {
            let table = warehouse.load(kind.name()).await?;
            let data = format!("{}/data/", table.metadata().location());
            let foreign = format!("{data}{FOLDER}/");
            for object in table.store().list(&data).await? {
                let is_known = self.known.contains(&object.uri) || announced.contains(&object.uri);
                if !is_known && !object.uri.starts_with(&foreign) {
                    self.violation(Invariant::T2, format!("nothing knows of `{}`", object.uri));
                }
            }
        }
        Ok(())
    }

    fn check_progress(&mut self, name: &TableName, checkpoint: Checkpoint, at: &str) {
        let violation = self.progress.check(name, checkpoint, at);
        self.violations.extend(violation);
    }

    /// Checks that every snapshot that a version retains still returns what it returned when it was made.
    ///
    /// # Errors
    /// When the version cannot be read.
    pub async fn check_time_travel(&mut self, warehouse: &Warehouse, name: &TableName, location: &str) -> Result<()> {
        let table = warehouse.load_at(name, location).await?;
        for snapshot in table.metadata().snapshots() {
            let Some(then) = self.made.get(&snapshot.snapshot_id()) else { continue };
            let paths = table.live_files(snapshot).await?;
            let paths: Vec<String> = paths.iter().map(|f| f.file.file_path().to_owned()).collect();
            if content(&table, &paths).await? != *then {
                let what =
                    format!("{name}: snapshot {} returns something else than when it was made", snapshot.snapshot_id());
                self.violation(Invariant::T3, what);
            }
        }
        Ok(())
    }

    /// A writer was told that it is fenced: its work must really not be in, whatever reply it lost.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn check_fenced(&mut self, warehouse: &Warehouse, table: &str, commit_id: &str) -> Result<()> {
        let table = warehouse.load(table).await?;
        let summary = |s: &iceberg::spec::SnapshotRef| s.summary().additional_properties.get(keys::COMMIT_ID).cloned();
        if table.metadata().snapshots().any(|s| summary(s).as_deref() == Some(commit_id)) {
            self.violation(
                Invariant::K1,
                format!("commit {commit_id} is in `{}` and was reported as fenced", table.name()),
            );
        }
        Ok(())
    }
}

fn is_raw_events(name: &TableName) -> bool {
    name.name == TableKind::RawEvents.name()
}

/// Returns the paths of the files that the current snapshot holds.
pub(super) async fn live_paths(table: &LoadedTable) -> Result<Vec<String>> {
    let Some(snapshot) = table.snapshot(None)? else { return Ok(Vec::new()) };
    Ok(table.live_files(&snapshot).await?.iter().map(|f| f.file.file_path().to_owned()).collect())
}

pub(super) async fn content(table: &LoadedTable, paths: &[String]) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for path in paths {
        let text = table.store().read(path).await?;
        rows.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    rows.sort_unstable();
    Ok(rows)
}

pub(super) fn expected(checkpoint: &Checkpoint) -> Vec<String> {
    let mut rows: Vec<String> =
        checkpoint.iter().flat_map(|(shard, p)| (0..p.next.position).map(move |n| format!("{shard} {n}"))).collect();
    rows.sort_unstable();
    rows
}
