//! The plain truth: at a checkpoint a table holds exactly the records before it, each once.
//!
//! The oracle reads every version that a pointer ever had, without faults, and names the invariant that a version breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use icefold_catalog::{LoadedTable, TableName, Warehouse, keys};
use icefold_core::{Checkpoint, Invariant, Result};

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

    /// Checks one version of one table.
    ///
    /// # Errors
    /// When the version cannot be read, which is a violation by itself (T2) for the caller to record.
    pub async fn check(&mut self, warehouse: &Warehouse, name: &TableName, metadata_location: &str) -> Result<()> {
        let table = warehouse.load_at(name, metadata_location).await?;
        let at = format!("{name} {}", metadata_location.rsplit('/').next().unwrap_or_default());
        let checkpoint = table.progress().await?.checkpoint;
        self.check_rows(&table, &checkpoint, &at).await?;
        self.check_progress(name, checkpoint, &at);
        Ok(())
    }

    async fn check_rows(&mut self, table: &LoadedTable, checkpoint: &Checkpoint, at: &str) -> Result<()> {
        let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
        let paths: Vec<String> =
            table.live_files(&snapshot).await?.iter().map(|f| f.file.file_path().to_owned()).collect();
        if paths.iter().collect::<BTreeSet<_>>().len() != paths.len() {
            self.violation(Invariant::T1, format!("{at}: a file has two live entries"));
        }
        let found = content(table, &paths).await?;
        let expected = expected(checkpoint);
        if found != expected {
            let unique: BTreeSet<&String> = found.iter().collect();
            let doubled = found.len() - unique.len();
            let missing = expected.iter().filter(|r| !unique.contains(r)).count();
            self.violation(
                Invariant::W1,
                format!("{at}: {doubled} records doubled, {missing} missing of {}", expected.len()),
            );
        }
        (table.name(), format!("{checkpoint:?}"), &found).hash(&mut self.digest);
        self.made.entry(snapshot.snapshot_id()).or_insert(found);
        let totals = table.progress().await?.totals;
        if !totals.balance() || totals.rows_in != expected.len() as u64 {
            self.violation(Invariant::W2, format!("{at}: {totals:?} for {} records", expected.len()));
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

async fn content(table: &LoadedTable, paths: &[String]) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for path in paths {
        let text = table.store().read(path).await?;
        rows.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    rows.sort_unstable();
    Ok(rows)
}

fn expected(checkpoint: &Checkpoint) -> Vec<String> {
    let mut rows: Vec<String> =
        checkpoint.iter().flat_map(|(shard, p)| (0..p.next.position).map(move |n| format!("{shard} {n}"))).collect();
    rows.sort_unstable();
    rows
}
