//! The decision at the heart of the commit protocol: given an intent and what the table is now, what happens?
//!
//! [`resolve`] is pure. The commit loop fetches the facts ([`Base`]), asks, and acts; whatever it met (a conflict, a lost
//! reply, a crash and a restart) it comes back here before it acts again.

use std::collections::HashSet;

use iceberg::spec::{DataContentType, DataFile, Struct};
use icefold_core::position::Fit;
use icefold_core::{Checkpoint, Error, Result};
use uuid::Uuid;

use crate::batch::{self, Standing};
use crate::checkpoint::Progress;
use crate::intent::{Conflict, Fence, Intent, IntentKind, Role, RowFilter};
use crate::summary;
use crate::table::LiveFile;

/// What `resolve` needs to know of the table.
#[derive(Debug)]
pub struct Base<'a> {
    /// Identity of the table that has the name now.
    pub table_uuid: Uuid,
    /// Snapshot of the ancestry that carries the intent's commit id.
    pub committed_in: Option<i64>,
    /// Where the table stands, and by which batches.
    pub progress: &'a Progress,
    /// Every live data and delete file. May be empty for intents that look at no file (see [`needs_live_files`]).
    pub live: &'a [LiveFile],
    /// Sequence number of the snapshot that the intent was planned on or that a rewrite read, `None` when that snapshot is no
    /// ancestor any more.
    pub read_sequence_number: Option<i64>,
}

/// What happens.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// It is in already.
    AlreadyCommitted {
        /// Its snapshot, if the history still tells.
        snapshot_id: Option<i64>,
    },
    /// It can never be committed.
    Fenced(Fence),
    /// What it was planned on is gone.
    Replan {
        /// What is gone.
        reason: String,
    },
    /// Make the snapshot and swap.
    Apply {
        /// Paths of the live files to remove, in alphabetical order.
        remove: Vec<String>,
        /// Where the table stands after it; `None` for work that does not move it in the stream.
        checkpoint: Option<Checkpoint>,
    },
}

/// A decision procedure; a component, so that the simulation can prove that it notices a broken one.
pub type Resolver = fn(&Intent, &Base<'_>) -> Result<Decision>;

/// Tells whether [`resolve`] looks at the live files; reading them costs a request per manifest.
pub fn needs_live_files(intent: &Intent) -> bool {
    !intent.remove.is_empty()
        || !intent.conflicts.is_empty()
        || !intent.requires.is_empty()
        || matches!(intent.kind, IntentKind::Overwrite { .. })
}

/// Decides what happens to `intent` on `base`.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when an overwrite's filter cuts through a file, or a
/// rewrite would lose or double rows.
pub fn resolve(intent: &Intent, base: &Base<'_>) -> Result<Decision> {
    if base.table_uuid != intent.table_uuid {
        let fence = Fence::OtherTable { expected: intent.table_uuid, found: base.table_uuid };
        return Ok(Decision::Fenced(fence));
    }
    if let Some(snapshot_id) = base.committed_in {
        return Ok(Decision::AlreadyCommitted { snapshot_id: Some(snapshot_id) });
    }
    if is_in_by_its_batch(intent, base.progress) {
        return Ok(Decision::AlreadyCommitted { snapshot_id: None });
    }
    // A strict prefix of the delta in the table is no success either: the checkpoint must stand exactly at `from`.
    if let Fit::Elsewhere { shard, expected, found } = base.progress.checkpoint.fit(&intent.delta) {
        return Ok(Decision::Fenced(Fence::Moved { shard, expected, found }));
    }
    if let Some(reason) = overtaken(intent, base) {
        return Ok(Decision::Replan { reason });
    }
    match &intent.kind {
        IntentKind::Append | IntentKind::RowDelta => removal(intent, base),
        IntentKind::Rewrite { .. } => keeping_rows(removal(intent, base)?, intent, base),
        IntentKind::Overwrite { filter, planned_on } => overwrite(filter, *planned_on, intent, base),
    }
}

/// Whether the table says by its batches that the intent is in, though no snapshot tells any more. The first table of a batch
/// names it for every shard that nothing has moved since. Another table is past it when it stands at its end or behind: only
/// batches of `raw_events` move a table, one after the other.
fn is_in_by_its_batch(intent: &Intent, progress: &Progress) -> bool {
    let Some(part) = &intent.batch else { return false };
    if intent.delta.is_empty() {
        return progress.open.contains(&part.id);
    }
    match part.role {
        Role::Leads => intent.delta.iter().all(|(shard, d)| {
            progress.moved_by.get(shard) == Some(&part.id) && progress.checkpoint.next(shard) == d.to.next
        }),
        Role::Follows => batch::standing(progress, &intent.delta) == Standing::Done,
    }
}

/// Tells what has come since the work was planned and contradicts it.
fn overtaken(intent: &Intent, base: &Base<'_>) -> Option<String> {
    let planned_on = match intent.kind {
        IntentKind::Rewrite { read_snapshot_id } => Some(read_snapshot_id),
        _ => intent.planned_on,
    }?;
    let Some(read) = base.read_sequence_number else {
        return Some(format!("snapshot `{planned_on}` is no ancestor any more"));
    };
    if let Some(path) = newer_position_delete(intent, base, read) {
        return Some(format!("position deletes `{path}` came after the rows were read"));
    }
    let added =
        base.live.iter().filter(|f| f.file.content_type() == DataContentType::Data && f.file_sequence_number > read);
    let mut added = added.filter(|f| intent.conflicts.iter().any(|conflict| may_hold(&f.file, conflict)));
    added.next().map(|f| format!("rows of `{}` came after the decision and may change it", f.file.file_path()))
}

/// Whether a file may have a row that conflicts, as far as its bounds tell.
fn may_hold(file: &DataFile, conflict: &Conflict) -> bool {
    conflict.within.iter().all(|(field, (least, greatest))| {
        let below = file.upper_bounds().get(field).is_some_and(|upper| upper < least);
        let above = file.lower_bounds().get(field).is_some_and(|lower| lower > greatest);
        !below && !above
    })
}

/// Every file to remove, or to point deletes into, must still be live.
fn removal(intent: &Intent, base: &Base<'_>) -> Result<Decision> {
    let live: HashSet<&str> = base.live.iter().map(|f| f.file.file_path()).collect();
    let gone = intent.remove.iter().chain(&intent.requires).find(|path| !live.contains(path.as_str()));
    let mut remove = intent.remove.clone();
    remove.sort_unstable();
    match gone {
        Some(path) => Ok(Decision::Replan { reason: format!("file `{path}` is no longer live") }),
        None => apply(remove, intent, base),
    }
}

/// A rewrite that lost a row, or doubled one, would stay unnoticed: its snapshot says that no row changed.
fn keeping_rows(decision: Decision, intent: &Intent, base: &Base<'_>) -> Result<Decision> {
    let Decision::Apply { remove, .. } = &decision else { return Ok(decision) };
    let removed = base.live.iter().filter(|f| remove.iter().any(|path| path == f.file.file_path()));
    let taken = summary::rows(removed.map(|f| &f.file));
    let added = summary::rows(intent.add.iter().map(|f| &f.file));
    // Rows that deletes had hidden are left out by a rewrite, and how many those were, only who reads them knows.
    let deletes = base.live.iter().any(|f| f.file.content_type() != DataContentType::Data);
    if added == taken || (deletes && added < taken) {
        return Ok(decision);
    }
    Err(Error::invalid(format!(
        "a rewrite takes out {taken} rows and puts in {added}, so it was not committed: plan it again"
    )))
}

/// Removes what the filter matches, if the rows there are those that the work was planned on: none came, none was deleted, and
/// no file that was read is gone.
fn overwrite(filter: &RowFilter, planned_on: Option<i64>, intent: &Intent, base: &Base<'_>) -> Result<Decision> {
    let read = match (planned_on, base.read_sequence_number) {
        (None, _) => 0,
        (Some(_), Some(read)) => read,
        (Some(id), None) => return Ok(Decision::Replan { reason: format!("snapshot `{id}` is no ancestor any more") }),
    };
    let matched = matching(filter, base.live)?;
    // Sorted, so looking one up is cheap.
    let is_matched = |f: &LiveFile| matched.binary_search_by(|path| path.as_str().cmp(f.file.file_path())).is_ok();
    let came = |f: &&LiveFile| match f.file.content_type() {
        _ if f.data_sequence_number <= read => false,
        DataContentType::Data => is_matched(f),
        DataContentType::PositionDeletes | DataContentType::EqualityDeletes => {
            base.live.iter().any(|data| is_matched(data) && may_apply(f, data))
        }
    };
    let live = |path: &String| base.live.iter().any(|f| f.file.file_path() == path);
    if let Some(file) = base.live.iter().find(came) {
        let reason = format!("file `{}` came after the overwrite was planned", file.file.file_path());
        return Ok(Decision::Replan { reason });
    }
    match intent.requires.iter().find(|path| !live(path)) {
        Some(path) => Ok(Decision::Replan { reason: format!("file `{path}` is no longer live") }),
        None => apply(matched, intent, base),
    }
}

/// Whether a delete file may hit rows of a data file, as far as its place tells. One without a partition hits everywhere if it
/// deletes by equality.
fn may_apply(delete: &LiveFile, data: &LiveFile) -> bool {
    let same_partition = delete.spec_id == data.spec_id && delete.file.partition() == data.file.partition();
    match delete.file.content_type() {
        DataContentType::EqualityDeletes => same_partition || delete.file.partition().fields().is_empty(),
        _ => delete.file.referenced_data_file().map_or(same_partition, |path| path == data.file.file_path()),
    }
}

fn apply(remove: Vec<String>, intent: &Intent, base: &Base<'_>) -> Result<Decision> {
    let moves = !intent.delta.is_empty();
    let checkpoint = moves.then(|| base.progress.checkpoint.advance(&intent.delta)).transpose()?;
    Ok(Decision::Apply { remove, checkpoint })
}

/// Finds a position delete file that was added after sequence number `read` and may hit a file that is to be removed.
/// (Equality deletes need no check: the rewritten rows keep the sequence number they were read at.)
fn newer_position_delete<'a>(intent: &Intent, base: &'a Base<'_>, read: i64) -> Option<&'a str> {
    let removed = |path: &str| intent.remove.iter().any(|r| r == path);
    let may_hit = |delete: &LiveFile| match delete.file.referenced_data_file() {
        Some(path) => removed(&path),
        None => base.live.iter().any(|f| {
            f.spec_id == delete.spec_id && f.file.partition() == delete.file.partition() && removed(f.file.file_path())
        }),
    };
    base.live
        .iter()
        .filter(|f| f.file.content_type() == DataContentType::PositionDeletes && f.data_sequence_number > read)
        .find(|f| may_hit(f))
        .map(|f| f.file.file_path())
}

/// Returns the paths of the live data files that `filter` covers, sorted.
fn matching(filter: &RowFilter, live: &[LiveFile]) -> Result<Vec<String>> {
    let mut remove = Vec::new();
    for f in live.iter().filter(|f| f.file.content_type() == DataContentType::Data) {
        match coverage(filter, f.spec_id, &f.file) {
            Coverage::All => remove.push(f.file.file_path().to_owned()),
            Coverage::None => {}
            Coverage::Unsure => {
                return Err(Error::invalid(format!(
                    "the overwrite's filter cuts through file `{}`: choose a range that ends at partition borders",
                    f.file.file_path()
                )));
            }
        }
    }
    remove.sort_unstable();
    Ok(remove)
}

enum Coverage {
    All,
    None,
    Unsure,
}

fn coverage(filter: &RowFilter, file_spec: i32, file: &DataFile) -> Coverage {
    match filter {
        RowFilter::Partition { spec_id, partition } => partition_coverage(*spec_id, partition, file_spec, file),
        RowFilter::Range { field_id, from, to } => {
            let (Some(low), Some(high)) = (file.lower_bounds().get(field_id), file.upper_bounds().get(field_id)) else {
                return Coverage::Unsure;
            };
            let nulls = file.null_value_counts().get(field_id).copied();
            if from.as_ref().is_some_and(|from| high < from) || to.as_ref().is_some_and(|to| low >= to) {
                // Rows without a value are in no range: they stay whole with the file.
                Coverage::None
            } else if from.as_ref().is_none_or(|from| low >= from)
                && to.as_ref().is_none_or(|to| high < to)
                && nulls == Some(0)
            {
                Coverage::All
            } else {
                Coverage::Unsure
            }
        }
    }
}

/// Files of another spec may hold rows of the partition; only their rows could tell.
fn partition_coverage(spec_id: i32, partition: &Struct, file_spec: i32, file: &DataFile) -> Coverage {
    match (file_spec == spec_id, file.partition() == partition) {
        (true, true) => Coverage::All,
        (true, false) => Coverage::None,
        (false, _) => Coverage::Unsure,
    }
}

#[cfg(test)]
mod tests;
