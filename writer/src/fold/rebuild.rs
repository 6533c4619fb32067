//! The folds of a restart, from the rows of `events` and `identities`.
//!
//! How far each shard is, and whose records are its past, stands in the checkpoint: so it is known before any row is read which
//! files can matter, and which rows count for which shards. Ids and sessions need what lies in their windows; bindings
//! need all rows of the shards and their ancestors.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use futures::{StreamExt, stream};
use iceberg::spec::Schema;
use icefold_catalog::LoadedTable;
use icefold_core::{Checkpoint, Error, Offset, Result, ShardId};
use xxhash_rust::xxh3::xxh3_128;

use super::identity::{EdgeKind, KnownBinding};
use super::rows::{Candidate, Deleted, OpenFile};
use super::session::{SessionId, SessionRow};
use super::shard::reaching;
use super::{Folds, ShardFolds};

/// Files whose footers are read ahead.
const READ_AHEAD: usize = 4;

/// Columns that say where a row comes from, the last ones of those that are read. The two of its place are read where the past
/// of a shard ends inside another one.
const SOURCE: [&str; 3] = ["shard", "segment", "source_offset"];

/// How many of them are read where no place matters.
const SHARD_ALONE: usize = 1;

/// Columns that deduplication is made of.
pub(super) const IDS: [&str; 2] = ["message_id", "stream_time"];

/// Columns that sessions are made of.
const SESSIONS: [&str; 6] =
    ["anonymous_id", "session_id", "session_start", "session_latest", "session_event_number", "stream_time"];

/// Columns that bindings are made of.
const BINDINGS: [&str; 5] = ["known_id", "user_id", "kind", "binding_number", "stream_time"];

/// Makes the state of `shards`, as far as the tables have something of them, as it was at `checkpoint`: where both tables as
/// loaded stand.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file of a table cannot be read; errors of the store;
/// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the state outgrows a ceiling.
pub(crate) async fn rebuild<'a>(
    events: &LoadedTable,
    identities: &LoadedTable,
    checkpoint: &Checkpoint,
    shards: impl IntoIterator<Item = &'a ShardId>,
    folds: &mut Folds,
) -> Result<()> {
    for shard in shards {
        if let Some(position) = checkpoint.get(shard) {
            let state = ShardFolds::new(&folds.settings)?.at(position.stream_time_micros, past(shard, checkpoint));
            folds.shards.insert(shard.clone(), state);
        }
    }
    let targets = Targets::of(&folds.shards, checkpoint, folds.only_before);
    let mut states: Vec<&mut ShardFolds> = folds.shards.values_mut().collect();
    let columns = EventColumns::of(events.metadata().current_schema(), targets.depth)?;
    let mut files = Files::of(events, columns.stream_time, columns.shard).await?;
    files.candidates.retain(|file| {
        let held = || targets.held_by(file).map(|state| &states[state]);
        held().any(|s| file.reaches(s.dedup.horizon_micros().min(s.sessions.horizon_micros())))
    });
    files
        .each(async |candidate, file| {
            columns.read(candidate, &file, &targets, &mut states).await?;
            folds.ceilings.keep(&mut states)
        })
        .await?;

    let columns = BindingColumns::of(identities.metadata().current_schema(), targets.depth)?;
    let mut files = Files::of(identities, columns.stream_time, columns.shard).await?;
    files.candidates.retain(|file| targets.held_by(file).next().is_some());
    files
        .each(async |_, file| {
            columns.read(&file, &targets, &mut states).await?;
            folds.ceilings.keep(&mut states)
        })
        .await
}

/// Returns the ancestors of a shard, and where each stops to be its past.
fn past(shard: &ShardId, checkpoint: &Checkpoint) -> BTreeMap<ShardId, Offset> {
    let parents = |shard| checkpoint.get(shard).into_iter().flat_map(|position| &position.parents);
    let mut past: BTreeMap<ShardId, Offset> = BTreeMap::new();
    let mut open: Vec<_> = parents(shard).collect();
    while let Some(parent) = open.pop() {
        if past.get(&parent.shard).is_none_or(|known| *known < parent.until) {
            reaching(&mut past, &parent.shard, &parent.until);
            open.extend(parents(&parent.shard));
        }
    }
    past
}

/// For which states, by their place, the rows of which shard count.
struct Targets {
    by_name: BTreeMap<ShardId, Vec<Target>>,
    /// How many of the columns of [`SOURCE`] are needed.
    depth: usize,
}

struct Target {
    state: usize,
    /// Rows count before this place only.
    until: Option<Offset>,
}

impl Targets {
    /// With `only_before` the tables may have rows behind the checkpoint, which do not count.
    fn of(shards: &BTreeMap<ShardId, ShardFolds>, checkpoint: &Checkpoint, only_before: bool) -> Self {
        let mut targets = Targets { by_name: BTreeMap::new(), depth: SHARD_ALONE };
        for (state, (shard, folds)) in shards.iter().enumerate() {
            let until = only_before.then(|| checkpoint.next(shard));
            if until.is_some() {
                targets.depth = SOURCE.len();
            }
            targets.by_name.entry(shard.clone()).or_default().push(Target { state, until });
            for (ancestor, until) in folds.past() {
                // Where it has not gone on since, no row of it has to be looked at twice.
                let until = (checkpoint.next(ancestor) > *until).then(|| until.clone());
                if until.is_some() {
                    targets.depth = SOURCE.len();
                }
                targets.by_name.entry(ancestor.clone()).or_default().push(Target { state, until });
            }
        }
        targets
    }

    /// Returns the states that rows of this file may count for.
    fn held_by<'a>(&'a self, file: &'a Candidate) -> impl Iterator<Item = usize> + 'a {
        let held = self.by_name.iter().filter(|(shard, _)| file.may_hold(shard));
        held.flat_map(|(_, targets)| targets.iter().map(|target| target.state))
    }

    /// Returns what tells of each row of a batch, whose columns from `first` on are those of [`SOURCE`], for which states it
    /// counts; `None` when one is of another type.
    fn of_rows<'a>(&'a self, rows: &'a RecordBatch, first: usize) -> Option<RowTargets<'a>> {
        let shards = rows.column(first).as_string_opt::<i32>()?;
        let places = match self.depth {
            SHARD_ALONE => None,
            _ => {
                Some((rows.column(first + 1).as_string_opt()?, rows.column(first + 2).as_primitive_opt::<Int64Type>()?))
            }
        };
        let by_name = self.by_name.iter().map(|(shard, targets)| (shard.as_str(), targets.as_slice())).collect();
        Some(RowTargets { by_name, shards, places })
    }
}

/// Tells of each row of a batch for which states it counts.
struct RowTargets<'a> {
    by_name: HashMap<&'a str, &'a [Target]>,
    shards: &'a StringArray,
    places: Option<(&'a StringArray, &'a Int64Array)>,
}

impl RowTargets<'_> {
    fn of(&self, row: usize) -> impl Iterator<Item = usize> {
        let targets = self.by_name.get(self.shards.value(row)).copied().unwrap_or_default();
        let is_before = move |until: &Offset| {
            let place = self.places.map(|(segments, offsets)| (segments.value(row), offsets.value(row)));
            place.is_none_or(|(segment, offset)| {
                (segment, u64::try_from(offset).unwrap_or(0)) < (&*until.segment, until.position)
            })
        };
        let counts = move |target: &&Target| target.until.as_ref().is_none_or(is_before);
        targets.iter().filter(counts).map(|target| target.state)
    }
}

/// The data files of a table as loaded.
struct Files<'a> {
    table: &'a LoadedTable,
    candidates: Vec<Candidate>,
}

impl<'a> Files<'a> {
    async fn of(table: &'a LoadedTable, stream_time: i32, shard: i32) -> Result<Self> {
        let live = match table.snapshot(None)? {
            Some(snapshot) => table.live_files(&snapshot).await?,
            None => Vec::new(),
        };
        Ok(Files { table, candidates: Candidate::among(live, stream_time, shard) })
    }

    /// Opens one after the other, some ahead.
    async fn each(&self, mut read: impl AsyncFnMut(&Candidate, OpenFile) -> Result<()>) -> Result<()> {
        let opening = |candidate| async move { (candidate, Candidate::open(candidate, self.table.store()).await) };
        let mut opened = stream::iter(&self.candidates).map(opening).buffered(READ_AHEAD);
        while let Some((candidate, file)) = opened.next().await {
            read(candidate, file?).await?;
        }
        Ok(())
    }
}

/// Returns the ids of the columns of a table.
pub(super) fn field_ids(schema: &Schema, names: &[&str]) -> Result<Vec<i32>> {
    let id = |name: &&str| {
        let field = schema.field_by_name(name).map(|field| field.id);
        field.ok_or_else(|| Error::bug(format!("a table was opened without its column `{name}`")))
    };
    names.iter().map(id).collect()
}

/// Ids of the columns of `events` that are read.
struct EventColumns {
    stream_time: i32,
    shard: i32,
    ids: Vec<i32>,
    sessions: Vec<i32>,
}

impl EventColumns {
    fn of(schema: &Schema, depth: usize) -> Result<Self> {
        let with_source = |names: &[&str]| field_ids(schema, &[names, &SOURCE[..depth]].concat());
        let (ids, sessions) = (with_source(&IDS)?, with_source(&SESSIONS)?);
        Ok(EventColumns { stream_time: ids[1], shard: ids[IDS.len()], ids, sessions })
    }

    async fn read(
        &self,
        candidate: &Candidate,
        file: &OpenFile,
        targets: &Targets,
        states: &mut [&mut ShardFolds],
    ) -> Result<()> {
        let earliest = |of: fn(&ShardFolds) -> i64, states: &[&mut ShardFolds]| {
            targets.held_by(candidate).map(|state| of(states[state])).min().unwrap_or(i64::MAX)
        };
        let since = earliest(|state| state.dedup.horizon_micros(), states);
        if candidate.reaches(since) {
            let rows = file.read(&self.ids, self.stream_time, since, Deleted::Count).await?;
            rows.each(|rows| remember_ids(rows, targets, states))?;
        }
        let since = earliest(|state| state.sessions.horizon_micros(), states);
        // Files from before there were sessions do not have their columns.
        if candidate.reaches(since) && file.has(&self.sessions) {
            let rows = file.read(&self.sessions, self.stream_time, since, Deleted::LeftOut).await?;
            rows.each(|rows| remember_sessions(rows, targets, states))?;
        }
        Ok(())
    }
}

/// Ids of the columns of `identities` that are read.
struct BindingColumns {
    stream_time: i32,
    shard: i32,
    all: Vec<i32>,
}

impl BindingColumns {
    fn of(schema: &Schema, depth: usize) -> Result<Self> {
        let all = field_ids(schema, &[&BINDINGS[..], &SOURCE[..depth]].concat())?;
        Ok(BindingColumns { stream_time: all[BINDINGS.len() - 1], shard: all[BINDINGS.len()], all })
    }

    async fn read(&self, file: &OpenFile, targets: &Targets, states: &mut [&mut ShardFolds]) -> Result<()> {
        let rows = file.read(&self.all, self.stream_time, i64::MIN, Deleted::LeftOut).await?;
        rows.each(|rows| remember_bindings(rows, targets, states))
    }
}

/// `None` when a column is of another type; so below.
fn remember_ids(rows: &RecordBatch, targets: &Targets, states: &mut [&mut ShardFolds]) -> Option<()> {
    let targets = targets.of_rows(rows, IDS.len())?;
    for (row, message, stream_time) in accepted(rows)? {
        for state in targets.of(row) {
            states[state].dedup.remember(message, stream_time);
        }
    }
    Some(())
}

/// Returns number, hash of the message id and `stream_time` of each row.
pub(super) fn accepted(rows: &RecordBatch) -> Option<impl Iterator<Item = (usize, u128, i64)>> {
    let ids = rows.column(0).as_string_opt::<i32>()?;
    let times = rows.column(1).as_primitive_opt::<TimestampMicrosecondType>()?;
    let whole = (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !times.is_null(*row));
    Some(whole.map(|row| (row, xxh3_128(ids.value(row).as_bytes()), times.value(row))))
}

fn remember_sessions(rows: &RecordBatch, targets: &Targets, states: &mut [&mut ShardFolds]) -> Option<()> {
    let targets = targets.of_rows(rows, SESSIONS.len())?;
    let time = |column: usize| rows.column(column).as_primitive_opt::<TimestampMicrosecondType>();
    let (starts, latest, stream_times) = (time(2)?, time(3)?, time(5)?);
    let (devices, ids) = (rows.column(0).as_string_opt::<i32>()?, rows.column(1).as_string_opt::<i32>()?);
    let numbers = rows.column(4).as_primitive_opt::<Int32Type>()?;
    for row in (0..rows.num_rows()).filter(|row| !ids.is_null(*row) && !devices.is_null(*row)) {
        // An id that is not ours is one that another engine wrote: no event of ours joins it.
        let Some(id) = SessionId::parse_hex(ids.value(row).as_bytes()) else { continue };
        let session = SessionRow {
            device: xxh3_128(devices.value(row).as_bytes()),
            id,
            start_micros: starts.value(row),
            latest_micros: latest.value(row),
            number: numbers.value(row).unsigned_abs(),
            stream_time_micros: stream_times.value(row),
        };
        for state in targets.of(row) {
            states[state].sessions.remember(&session);
        }
    }
    Some(())
}

fn remember_bindings(rows: &RecordBatch, targets: &Targets, states: &mut [&mut ShardFolds]) -> Option<()> {
    let targets = targets.of_rows(rows, BINDINGS.len())?;
    let text = |column: usize| rows.column(column).as_string_opt::<i32>();
    let (known, users, kinds) = (text(0)?, text(1)?, text(2)?);
    let numbers = rows.column(3).as_primitive_opt::<Int32Type>()?;
    let times = rows.column(4).as_primitive_opt::<TimestampMicrosecondType>()?;
    for row in 0..rows.num_rows() {
        let is_alias = kinds.value(row) == EdgeKind::Alias.as_str();
        let binding = KnownBinding {
            user: users.value(row),
            kind: if is_alias { EdgeKind::Alias } else { EdgeKind::Identify },
            number: numbers.value(row).unsigned_abs(),
            stream_time_micros: times.value(row),
        };
        let known_id = xxh3_128(known.value(row).as_bytes());
        for state in targets.of(row) {
            states[state].identities.remember(known_id, &binding);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use icefold_core::{Parent, ShardPosition};

    use super::*;

    fn shard(name: &str) -> ShardId {
        ShardId::new(name)
    }

    fn checkpoint(shards: &[(&str, &[(&str, u64)])]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for (name, parents) in shards {
            let parent = |(name, until): &(&str, u64)| Parent { shard: shard(name), until: Offset::new("f", *until) };
            let position = ShardPosition {
                parents: parents.iter().map(parent).collect(),
                ..ShardPosition::at(Offset::new("f", 100))
            };
            checkpoint.set(shard(name), position);
        }
        checkpoint
    }

    #[test]
    fn the_past_of_a_shard_are_all_its_ancestors_each_as_far_as_one_way_says() {
        let at = checkpoint(&[
            ("root", &[]),
            ("left", &[("root", 10)]),
            ("right", &[("root", 30)]),
            ("both", &[("left", 5), ("right", 6), ("elsewhere", 7)]),
            ("other", &[]),
        ]);
        let past = past(&shard("both"), &at);
        let past: Vec<_> = past.iter().map(|(shard, until)| (shard.as_str(), until.position)).collect();
        assert_eq!(past, [("elsewhere", 7), ("left", 5), ("right", 6), ("root", 30)]);
    }

    #[test]
    fn places_are_read_only_where_the_past_ends_inside_a_shard() {
        let depth = |until| {
            let at = checkpoint(&[("parent", &[]), ("child", &[("parent", until)])]);
            let child = ShardFolds::new(&Default::default()).expect("valid settings");
            let child = child.at(None, past(&shard("child"), &at));
            Targets::of(&[(shard("child"), child)].into(), &at, false).depth
        };
        assert_eq!((depth(100), depth(99)), (SHARD_ALONE, SOURCE.len()));
    }
}
