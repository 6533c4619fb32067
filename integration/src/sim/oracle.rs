//! The plain truth: at a checkpoint a table holds exactly the records before it, each once, but for those that were deleted.
//!
//! The oracle reads every version that a pointer ever had, without faults, and names the invariant that a version breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use icefold_catalog::lineage::Standing;
use icefold_catalog::{LoadedTable, TableName, Warehouse, keys};
use icefold_core::{Checkpoint, Invariant, Result};

use super::strangers::Act;

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
            deleted.extend(act.iter().flat_map(|act| act.deleted.iter().cloned()));
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
        let found: BTreeSet<String> = content(table, &live_paths(table).await?).await?.into_iter().collect();
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
        let expected: Vec<&String> = all.iter().filter(|row| !deleted.contains(*row)).collect();
        if found.iter().collect::<Vec<_>>() != expected {
            let unique: BTreeSet<&String> = found.iter().collect();
            let doubled = found.len() - unique.len();
            let missing = expected.iter().filter(|r| !unique.contains(*r)).count();
            self.violation(
                Invariant::W1,
                format!("{at}: {doubled} records doubled, {missing} missing of {}", expected.len()),
            );
        }
        (table.name(), format!("{checkpoint:?}"), &found).hash(&mut self.digest);
        self.made.entry(snapshot.snapshot_id()).or_insert(found);
        let totals = table.progress().await?.totals;
        if !totals.balance() || totals.rows_in != all.len() as u64 {
            self.violation(Invariant::W2, format!("{at}: {totals:?} for {} records", all.len()));
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
