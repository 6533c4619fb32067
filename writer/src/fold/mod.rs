//! What is decided about events in the order of the stream: duplicate or not, which session, whose device.
//!
//! ```text
//! decoded rows ─▶ Keys (any worker) ─▶ Folds::decide (in order, under a lock) ─▶ Folded ─▶ columns (any worker)
//!                                         dedup ─▶ identity, sessions
//! ```
//!
//! State is kept for each shard (`shard`). It begins as that of the shards that this one continues was when it began, and no
//! decision looks at any other: what is decided does not depend on which shards a run reads, nor how fast. Windows follow
//! `stream_time`, which never goes back inside a shard; nothing depends on the time of day, on chance, or on what an event
//! claims of its own arrival.
//!
//! Only accepted events are folded, so that all state is a function of the rows in the tables: `rebuild` reads it back from
//! `events` and `identities`, for the run's shards and their ancestors; `foreign` takes note of what others do to these two
//! meanwhile. What others deleted is forgotten, but for message ids, which `retired` keeps as hashes.

mod ceiling;
mod columns;
mod device_map;
mod foreign;
pub mod identity;
mod keys;
mod rebuild;
pub(crate) mod retired;
mod rows;
pub mod session;
mod shard;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::BooleanArray;
use icefold_core::tables::TableKind;
use icefold_core::{Error, Parent, Result, ShardId};

use crate::chunk::DecodedChunk;
use crate::encode::partition::timestamps;
use crate::settings::Settings;

pub(crate) use foreign::{Foreign, ForeignRow, foreign, foreign_rows};
pub(crate) use keys::{Call, Keys, Texts};
pub(crate) use rebuild::{Stand, rebuild, refold};
pub(crate) use shard::ShardFolds;

use ceiling::Ceilings;
use identity::{Edge, Reason};
use session::SessionStep;

/// What a run loses of its state when it is started again: a defect, for simulations that have to notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// Which events were accepted.
    Ids,
    /// Sessions that may still grow.
    Sessions,
    /// Whose a device is.
    Identities,
}

/// The device of an event without `anonymousId`.
pub const NO_DEVICE: u128 = 0;

/// The state of all folds of a run, by shard.
#[derive(Debug)]
pub(crate) struct Folds {
    settings: Settings,
    shards: BTreeMap<ShardId, ShardFolds>,
    /// Shards that others have gone on from, of which nothing is remembered any more.
    ended: BTreeSet<ShardId>,
    ceilings: Ceilings,
    /// Whether rows behind the checkpoint are left out when the state is rebuilt: in a recovery a table may have some.
    only_before: bool,
}

/// How much the folds remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct StateSizes {
    /// Message ids inside the hot window.
    pub dedup_ids: u64,
    /// Their memory in bytes.
    pub dedup_bytes: u64,
    /// Sessions that may still grow.
    pub sessions: u64,
    /// Their memory in bytes.
    pub session_bytes: u64,
    /// Devices whose person is known.
    pub identified_devices: u64,
    /// Their memory in bytes.
    pub identity_bytes: u64,
}

/// What was decided about the events of a chunk.
#[derive(Debug)]
pub(crate) struct Folded {
    /// True for every accepted event.
    accepted: Vec<bool>,
    /// `None` for duplicates and for events without a device.
    sessions: Vec<Option<SessionStep>>,
    resolved: Vec<Resolved>,
    /// Texts that `resolved` points into.
    users: Vec<u8>,
    /// Sightings of devices with their people, by row from the start of the chunk.
    sightings: Vec<Sighting>,
}

/// Whom an event belongs to.
#[derive(Debug, Clone, Copy)]
struct Resolved {
    reason: Reason,
    /// Place of the user's id in [`Folded::users`], unless the event itself tells it.
    user: Option<(u32, u32)>,
}

/// A row of `identities`.
#[derive(Debug)]
struct Sighting {
    row: usize,
    known: Known,
    edge: Edge,
}

/// Which column names the device or earlier identity of a sighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Device,
    Previous,
}

impl Folds {
    /// # Errors
    /// Those of [`Settings::validate`] about sessions.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        settings.sessions.validate()?;
        Ok(Folds {
            settings: settings.clone(),
            shards: BTreeMap::new(),
            ended: BTreeSet::new(),
            ceilings: Ceilings::new(settings),
            only_before: false,
        })
    }

    /// Leaves out rows behind the checkpoint when the state is rebuilt.
    pub(crate) fn only_before(self, only_before: bool) -> Self {
        Folds { only_before, ..self }
    }

    pub(crate) fn sizes(&self) -> StateSizes {
        let sum = |of: fn(&ShardFolds) -> usize| self.shards.values().map(of).sum::<usize>() as u64;
        StateSizes {
            dedup_ids: sum(|shard| shard.dedup.stored_ids()),
            dedup_bytes: sum(|shard| shard.dedup.memory_bytes()),
            sessions: sum(|shard| shard.sessions.len()),
            session_bytes: sum(|shard| shard.sessions.memory_bytes()),
            identified_devices: sum(|shard| shard.identities.len()),
            identity_bytes: sum(|shard| shard.identities.memory_bytes()),
        }
    }

    /// Decides the events of a chunk in their order, as the next ones of their shard.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the state outgrows a ceiling; it is then of no use.
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when `stream_time` goes back.
    pub(crate) fn decide(&mut self, rows: &DecodedChunk, keys: &Keys) -> Result<Folded> {
        let stream = Stream::of(rows, keys)?;
        let events = rows.message_hashes.len();
        let mut folded = Folded::with_capacity(events);
        let state = self.state_of(&rows.shard)?;
        for row in 0..events {
            if stream.stream_times[row] < state.stream_time_micros() {
                return Err(Error::bug(format!("`stream_time` went back in shard `{}`", rows.shard)));
            }
            state.decide(row, &stream, &mut folded);
        }
        self.keep_below_ceilings()?;
        Ok(folded)
    }

    /// Begins a shard that continues others, with their state as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the state outgrows a ceiling; it is then of no use.
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when nothing is known of a parent, or something of the shard already.
    pub(crate) fn begin(&mut self, shard: &ShardId, parents: &[Parent]) -> Result<()> {
        if self.shards.contains_key(shard) {
            return Err(Error::bug(format!("shard `{shard}` begins a second time")));
        }
        let mut state = ShardFolds::new(&self.settings)?;
        for parent in parents {
            let known = self.shards.get(&parent.shard);
            let known = known.ok_or_else(|| Error::bug(format!("the state of `{}` is not there", parent.shard)))?;
            state.inherit(known, parent);
        }
        self.shards.insert(shard.clone(), state);
        self.keep_below_ceilings()
    }

    /// Forgets a shard: the run reads nothing more of it, and no shard is still to continue it.
    pub(crate) fn end(&mut self, shard: &ShardId) {
        self.shards.remove(shard);
        self.ended.insert(shard.clone());
    }

    /// Takes note of a row that somebody else has put among the accepted ones: in its own shard, and where that is the past.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the state outgrows a ceiling; it is then of no use.
    pub(crate) fn learn(&mut self, rows: &[ForeignRow]) -> Result<()> {
        for (shard, state) in &mut self.shards {
            for row in rows {
                if row.shard == *shard || state.continues_behind(&row.shard, &row.at) {
                    state.dedup.remember(row.message, row.stream_time_micros);
                }
            }
        }
        self.keep_below_ceilings()
    }

    /// Returns the shards that something is remembered of.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &ShardId> {
        self.shards.keys()
    }

    /// Takes over sessions and identities as they were made anew; ids stay.
    pub(crate) fn replace(&mut self, mut refolded: Folds) {
        for (shard, state) in &mut self.shards {
            if let Some(made) = refolded.shards.remove(shard) {
                (state.sessions, state.identities) = (made.sessions, made.identities);
            }
        }
    }

    /// Returns the earliest `stream_time`, in microseconds since 1970, that counts for deduplication in any shard.
    pub(crate) fn horizon_micros(&self) -> i64 {
        self.shards.values().map(|state| state.dedup.horizon_micros()).min().unwrap_or(i64::MAX)
    }

    /// Returns the `stream_time` of the shard's newest record that was folded; `None` when there is none.
    pub(crate) fn stream_time_micros(&self, shard: &ShardId) -> Option<i64> {
        self.shards.get(shard).map(ShardFolds::stream_time_micros).filter(|time| *time != i64::MIN)
    }

    /// Loses a part of the state, but for how far the shards are: a defect, for simulations that have to notice it.
    pub(crate) fn lose(&mut self, what: Forgets) {
        for state in self.shards.values_mut() {
            match what {
                Forgets::Ids => state.dedup.lose_ids(),
                Forgets::Sessions => state.sessions.lose_sessions(),
                Forgets::Identities => state.identities = Default::default(),
            }
        }
    }

    /// Returns the state of a shard, a new one for a shard that nothing is known of.
    fn state_of(&mut self, shard: &ShardId) -> Result<&mut ShardFolds> {
        if !self.shards.contains_key(shard) {
            if self.ended.contains(shard) {
                return Err(Error::bug(format!("shard `{shard}` went on after a shard that continues it had begun")));
            }
            self.shards.insert(shard.clone(), ShardFolds::new(&self.settings)?);
        }
        self.shards.get_mut(shard).ok_or_else(|| Error::bug("a state that was made is not there"))
    }

    fn keep_below_ceilings(&mut self) -> Result<()> {
        self.ceilings.keep(&mut self.shards.values_mut().collect::<Vec<_>>())
    }
}

impl Folded {
    fn with_capacity(count: usize) -> Self {
        Folded {
            accepted: Vec::with_capacity(count),
            sessions: Vec::with_capacity(count),
            resolved: Vec::with_capacity(count),
            users: Vec::new(),
            sightings: Vec::new(),
        }
    }

    /// Returns true for every accepted event; `None` when all of them were accepted.
    pub(crate) fn accepted(&self) -> Option<BooleanArray> {
        (!self.accepted.iter().all(|accepted| *accepted)).then(|| BooleanArray::from(self.accepted.clone()))
    }
}

/// What is folded, by row.
struct Stream<'a> {
    keys: &'a Keys,
    messages: &'a [u128],
    times: &'a [i64],
    stream_times: &'a [i64],
    user: Texts<'a>,
    previous: Texts<'a>,
}

impl<'a> Stream<'a> {
    fn of(rows: &'a DecodedChunk, keys: &'a Keys) -> Result<Self> {
        let time = |column| Ok(timestamps(&rows.events, TableKind::Events.index_of(column))?.values().as_ref());
        let text = |column| Texts::of(&rows.events, column);
        Ok(Stream {
            keys,
            messages: &rows.message_hashes,
            times: time("event_time")?,
            stream_times: time("stream_time")?,
            user: text("user_id")?,
            previous: text("previous_id")?,
        })
    }
}
