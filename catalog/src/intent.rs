//! What a committer wants: an [`Intent`] names its work, so that it can be planned again on any base, recognised when it
//! is already in, and refused when the table has moved on.

use std::collections::BTreeMap;
use std::fmt;

use iceberg::spec::{DataFile, Datum, Struct};
use icefold_core::{CommitId, Counts, Delta, Error, Offset, Result, ShardId};
use uuid::Uuid;

use crate::table::LoadedTable;

/// A file that an intent adds.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// Path, size, counts, bounds; content says whether it holds data or deletes.
    pub file: DataFile,
    /// Partition spec that the file was written under.
    pub spec_id: i32,
    /// Data sequence number, for files that replace older ones; `None` takes the commit's own.
    pub data_sequence_number: Option<i64>,
}

impl NewFile {
    /// A file with new rows (or new deletes) under the table's default partition spec.
    pub fn new(table: &LoadedTable, file: DataFile) -> Self {
        NewFile { file, spec_id: table.metadata().default_partition_spec_id(), data_sequence_number: None }
    }
}

/// What kind of change an intent is.
#[derive(Debug, Clone, PartialEq)]
pub enum IntentKind {
    /// Rows are added.
    Append,
    /// Delete files are added, possibly with rows.
    RowDelta,
    /// Files are replaced by others with the same live rows (compaction). The new files keep the data sequence number of
    /// the snapshot that was read, so that an equality delete that came since still applies to them (C2).
    Rewrite {
        /// The snapshot whose rows were rewritten.
        read_snapshot_id: i64,
    },
    /// Everything that matches is replaced by the added files, if it is still what the work was planned on.
    Overwrite {
        /// What is replaced.
        filter: RowFilter,
        /// The snapshot that was read to plan it, `None` for a table that had none. Rows that match and came since, or left since,
        /// were not considered.
        planned_on: Option<i64>,
    },
}

impl IntentKind {
    /// Returns a stable word that goes into the commit id.
    pub fn as_str(&self) -> &'static str {
        match self {
            IntentKind::Append => "append",
            IntentKind::RowDelta => "row-delta",
            IntentKind::Rewrite { .. } => "rewrite",
            IntentKind::Overwrite { .. } => "overwrite",
        }
    }
}

/// Which rows an overwrite replaces. It works on whole files: one that matches only in part is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum RowFilter {
    /// All rows of a partition of one spec.
    Partition {
        /// The spec.
        spec_id: i32,
        /// The partition's values.
        partition: Struct,
    },
    /// All rows whose value lies in `[from, to)`; an open end is unbounded.
    Range {
        /// The column.
        field_id: i32,
        /// The first value inside.
        from: Option<Datum>,
        /// The first value after it.
        to: Option<Datum>,
    },
}

/// Rows that were quarantined and are not any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recount {
    /// They are rows of `events` now.
    pub accepted: u64,
    /// They repeat rows of `events`.
    pub duplicate: u64,
}

impl Recount {
    /// Returns the totals with the rows counted anew, so that they still balance (invariant W2).
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when fewer rows were ever quarantined.
    pub fn apply(self, totals: Counts) -> Result<Counts> {
        let quarantined = totals.quarantined.checked_sub(self.accepted + self.duplicate);
        let quarantined = quarantined.ok_or_else(|| Error::bug("more rows leave quarantine than were ever in it"))?;
        Ok(Counts {
            accepted: totals.accepted + self.accepted,
            duplicate: totals.duplicate + self.duplicate,
            quarantined,
            ..totals
        })
    }
}

/// A piece of work on one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Identity of the work.
    pub commit_id: CommitId,
    /// The table as it was when the work was planned; a table dropped and made anew has another.
    pub table_uuid: Uuid,
    /// What kind of change it is.
    pub kind: IntentKind,
    /// The piece of stream that the rows are folded from; empty for maintenance.
    pub delta: Delta,
    /// Data and delete files to add.
    pub add: Vec<NewFile>,
    /// Paths of live data or delete files to remove.
    pub remove: Vec<String>,
    /// Paths of data files that must still be live, though they stay: what position deletes in `add` point into.
    pub requires: Vec<String>,
    /// What became of the rows of `delta`.
    pub counts: Counts,
    /// What became of rows that had been quarantined earlier.
    pub recount: Recount,
    /// Snapshot that must still be the current one: what was decided by looking at its rows holds for no other.
    pub expected_snapshot: Option<i64>,
    /// More facts for the snapshot summary (contract, versions of reference data).
    pub summary: BTreeMap<String, String>,
}

impl Intent {
    /// Adds `files`, folded from `delta`. The id follows from table and delta, so that two processes with the same work
    /// have the same intent.
    pub fn append(table: &LoadedTable, delta: Delta, counts: Counts, files: Vec<DataFile>) -> Self {
        let uuid = table.metadata().uuid();
        Intent {
            commit_id: CommitId::for_delta(uuid, "append", &delta),
            add: files.into_iter().map(|f| NewFile::new(table, f)).collect(),
            counts,
            ..Intent::empty(uuid, IntentKind::Append, delta)
        }
    }

    /// Adds delete files (and rows, if any); the id follows from their paths. `requires` names the data files that
    /// position deletes point into: when one of them is gone, the deletes would have no effect.
    pub fn row_delta(table: &LoadedTable, files: Vec<NewFile>, requires: Vec<String>) -> Self {
        let uuid = table.metadata().uuid();
        Intent { add: files, requires, ..Intent::empty(uuid, IntentKind::RowDelta, Delta::default()) }.identified()
    }

    /// Adds rows that were in the quarantine's data file `quarantined`. The id follows from that file alone, so rows of a file
    /// are let in once, whoever does it and which of them it chooses; `events` must be at `expected_snapshot`.
    pub fn redrive(table: &LoadedTable, quarantined: &str, files: Vec<DataFile>, accepted: u64) -> Self {
        let uuid = table.metadata().uuid();
        Intent {
            commit_id: Self::redrive_id(table, quarantined),
            add: files.into_iter().map(|f| NewFile::new(table, f)).collect(),
            recount: Recount { accepted, duplicate: 0 },
            expected_snapshot: table.metadata().current_snapshot_id(),
            ..Intent::empty(uuid, IntentKind::RowDelta, Delta::default())
        }
    }

    /// Returns the id of the commit that lets rows of the quarantine's data file `quarantined` into `table`.
    pub fn redrive_id(table: &LoadedTable, quarantined: &str) -> CommitId {
        CommitId::for_inputs(table.metadata().uuid(), "redrive", [quarantined])
    }

    /// Takes rows out of the quarantine: `remove` is the file that holds them, `add` holds its other rows. The table must still
    /// be as it was loaded.
    pub fn release(table: &LoadedTable, remove: String, add: Vec<DataFile>, recount: Recount) -> Self {
        let uuid = table.metadata().uuid();
        let add = add.into_iter().map(|f| NewFile::new(table, f)).collect();
        // Rows that another engine deletes meanwhile must not come back with the rows that stay.
        let expected_snapshot = table.metadata().current_snapshot_id();
        let empty = Intent::empty(uuid, IntentKind::RowDelta, Delta::default());
        Intent { add, remove: vec![remove], recount, expected_snapshot, ..empty }.identified()
    }

    /// Replaces the files `remove` by `add`, which hold the same rows, as read in `read_snapshot_id`.
    pub fn rewrite(table: &LoadedTable, read_snapshot_id: i64, remove: Vec<String>, add: Vec<NewFile>) -> Self {
        let uuid = table.metadata().uuid();
        let kind = IntentKind::Rewrite { read_snapshot_id };
        Intent { add, remove, ..Intent::empty(uuid, kind, Delta::default()) }.identified()
    }

    /// Replaces all that `filter` matches by `files`. `table` is what the work was planned on, `read` names the files whose rows
    /// were looked at for it: they must be there still.
    pub fn overwrite(table: &LoadedTable, filter: RowFilter, read: Vec<String>, files: Vec<DataFile>) -> Self {
        let (uuid, planned_on) = (table.metadata().uuid(), table.metadata().current_snapshot_id());
        let add: Vec<NewFile> = files.into_iter().map(|f| NewFile::new(table, f)).collect();
        let kind = IntentKind::Overwrite { filter, planned_on };
        // One that adds nothing is known by what it replaces.
        let mut inputs = vec![format!("{kind:?}")];
        inputs.extend(add.iter().map(|f| f.file.file_path().to_owned()));
        let commit_id = CommitId::for_inputs(uuid, kind.as_str(), inputs.iter().map(String::as_str));
        Intent { commit_id, add, requires: read, ..Intent::empty(uuid, kind, Delta::default()) }
    }

    /// The same, with files that were written under the partition spec `spec_id`.
    #[must_use]
    pub fn under_spec(mut self, spec_id: i32) -> Self {
        self.add.iter_mut().for_each(|file| file.spec_id = spec_id);
        self
    }

    fn empty(table_uuid: Uuid, kind: IntentKind, delta: Delta) -> Self {
        Intent {
            commit_id: CommitId::for_inputs(table_uuid, kind.as_str(), []),
            table_uuid,
            kind,
            delta,
            add: Vec::new(),
            remove: Vec::new(),
            requires: Vec::new(),
            counts: Counts::default(),
            recount: Recount::default(),
            expected_snapshot: None,
            summary: BTreeMap::new(),
        }
    }

    /// Derives the id of maintenance work from what it removes and adds: added files have unique names, so an intent
    /// has an id of its own, and the same intent retried has the same.
    fn identified(mut self) -> Self {
        let mut inputs: Vec<&str> = self.remove.iter().map(String::as_str).collect();
        inputs.extend(self.add.iter().map(|f| f.file.file_path()));
        inputs.sort_unstable();
        self.commit_id = CommitId::for_inputs(self.table_uuid, self.kind.as_str(), inputs);
        self
    }
}

/// Why a writer may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// The table's checkpoint is not where the delta starts.
    Moved {
        /// The first shard for which this holds.
        shard: ShardId,
        /// Where the delta starts.
        expected: Offset,
        /// Where the table stands.
        found: Offset,
    },
    /// The table was dropped and made anew under the same name.
    OtherTable {
        /// Identity of the table that the work was planned for.
        expected: Uuid,
        /// Identity of the table that now has the name.
        found: Uuid,
    },
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fence::Moved { shard, expected, found } => {
                write!(f, "shard `{shard}` stands at `{found}`, this writer stood at `{expected}`")
            }
            Fence::OtherTable { expected, found } => {
                write!(f, "the table was dropped and made anew: it was `{expected}`, now it is `{found}`")
            }
        }
    }
}

/// How a commit ended.
#[derive(Debug, Clone)]
pub enum CommitOutcome {
    /// It is in, by this call.
    Committed {
        /// The table after it.
        table: LoadedTable,
        /// Its snapshot.
        snapshot_id: i64,
    },
    /// It was in already: an earlier try whose reply was lost, or another process with the same work.
    AlreadyCommitted {
        /// The table as found.
        table: LoadedTable,
        /// Its snapshot.
        snapshot_id: i64,
    },
    /// It can never be committed: stop, reload the position and continue there.
    Fenced(Fence),
    /// What it was planned on is gone: plan again.
    Replan {
        /// What is gone.
        reason: String,
    },
}
