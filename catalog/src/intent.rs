//! What a committer wants: an [`Intent`] names its work, so that it can be planned again on any base, recognised when it
//! is already in, and refused when the table has moved on.

use std::collections::BTreeMap;
use std::fmt;

use iceberg::spec::{DataFile, Datum, Struct};
use icefold_core::{BatchId, CommitId, Counts, Delta, Error, Offset, Result, ShardId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retired::Retirement;
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

/// The part that an intent has in a batch of several tables (see [`batch`](crate::batch)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPart {
    /// The batch.
    pub id: BatchId,
    /// Whether it begins there.
    pub role: Role,
    /// Batches that began in this table and that every table has by now: it need not list them as open any more.
    pub closes: Vec<BatchId>,
    /// What became of ids of rows whose data files are gone. Only `events` is told.
    pub retirement: Option<Retirement>,
}

impl BatchPart {
    /// Makes a part that closes no other batch and settles nothing.
    pub fn new(id: BatchId, role: Role) -> Self {
        BatchPart { id, role, closes: Vec::new(), retirement: None }
    }
}

/// What a table is to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The first table that it changes: whether the batch is in at all is decided there.
    Leads,
    /// The batch is in another table already, so it is to be in this one, too.
    Follows,
}

/// Rows that others may have added since the work was planned, and that would have changed what was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Field id to smallest and greatest value: a row conflicts when it lies inside for each of the fields.
    pub within: BTreeMap<i32, (Datum, Datum)>,
}

/// Rows that were quarantined and are not any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Snapshot whose rows were looked at to decide `remove`, `add` or `conflicts`; what came since must not contradict it.
    pub planned_on: Option<i64>,
    /// What others must not have added since `planned_on`.
    pub conflicts: Vec<Conflict>,
    /// The batch that this is a part of.
    pub batch: Option<BatchPart>,
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

    /// Work that adds what is folded from `delta`, its files still to be named.
    pub fn of_stream(table_uuid: Uuid, delta: Delta) -> Self {
        Intent::empty(table_uuid, IntentKind::Append, delta)
    }

    /// Adds rows that were quarantined. `conflicts` says what must not have been added to the table since it was loaded.
    pub fn redrive(table: &LoadedTable, files: Vec<DataFile>, conflicts: Vec<Conflict>, recount: Recount) -> Self {
        Intent {
            add: files.into_iter().map(|f| NewFile::new(table, f)).collect(),
            recount,
            planned_on: table.metadata().current_snapshot_id(),
            conflicts,
            ..Intent::empty(table.metadata().uuid(), IntentKind::Append, Delta::default())
        }
    }

    /// Takes rows out of the quarantine: `remove` is the file that holds them, `add` holds its other rows, as read from the table
    /// as loaded.
    pub fn release(table: &LoadedTable, remove: String, add: Vec<DataFile>, recount: Recount) -> Self {
        let add = add.into_iter().map(|f| NewFile::new(table, f)).collect();
        let planned_on = table.metadata().current_snapshot_id();
        let empty = Intent::empty(table.metadata().uuid(), IntentKind::RowDelta, Delta::default());
        Intent { add, remove: vec![remove], recount, planned_on, ..empty }.identified()
    }

    /// The same work as a part of a batch: its id then follows from table and batch.
    #[must_use]
    pub fn of_batch(mut self, part: BatchPart) -> Self {
        self.commit_id = CommitId::for_batch(self.table_uuid, part.id);
        self.batch = Some(part);
        // Rows that stay are rows of before; only a table that removes files has any.
        if !self.remove.is_empty() {
            self.kind = IntentKind::RowDelta;
        }
        self
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
            planned_on: None,
            conflicts: Vec::new(),
            batch: None,
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
        /// Its snapshot; `None` when the history does not tell any more.
        snapshot_id: Option<i64>,
    },
    /// It can never be committed: stop, reload the position and continue there.
    Fenced(Fence),
    /// What it was planned on is gone: plan again.
    Replan {
        /// What is gone.
        reason: String,
    },
}
