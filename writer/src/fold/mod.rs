//! What is decided about events in the order of the stream: duplicate or not, which session, whose device.
//!
//! ```text
//! decoded rows ─▶ Keys (any worker) ─▶ Folds::decide (in order, under a lock) ─▶ Folded ─▶ columns (any worker)
//!                                         dedup ─▶ identity, sessions
//! ```
//!
//! Only accepted events are folded, so that all state is a function of the rows in the tables: `rebuild` reads it back from
//! `events`, `bindings` from `identities`, `foreign` takes note of rows that others put there meanwhile. Nothing depends on time, on chance or on how devices interleave.
//!
//! `events` is committed after `identities`; a crash in between leaves `identities` ahead. Bindings are then rebuilt as they
//! were where `events` stands, and what `identities` has already is left out when the stretch is read again.

mod bindings;
mod columns;
mod device_map;
mod foreign;
pub mod identity;
mod keys;
mod rebuild;
pub mod session;

use arrow::array::BooleanArray;
use icefold_core::Result;
use icefold_core::tables::TableKind;
use xxhash_rust::xxh3::xxh3_128;

use crate::Dedup;
use crate::chunk::DecodedChunk;
use crate::dedup::ShardNumber;
use crate::encode::partition::timestamps;
use crate::settings::Settings;

pub(crate) use bindings::rebuild as rebuild_bindings;
pub(crate) use foreign::{ForeignRow, foreign_rows, foreign_snapshots};
pub(crate) use keys::{Call, Keys, Texts};
pub(crate) use rebuild::rebuild;

use identity::{Binds, Edge, Identities, Reason};
use session::{Campaign, SessionEvent, SessionStep, Sessions};

/// The device of an event without `anonymousId`.
pub const NO_DEVICE: u128 = 0;

/// The state of all folds.
#[derive(Debug)]
pub(crate) struct Folds {
    pub(crate) dedup: Dedup,
    pub(crate) sessions: Sessions,
    pub(crate) identities: Identities,
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

/// What was decided about the events of a chunk that the table `events` does not have yet.
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
    /// Those of [`Sessions::new`].
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        Ok(Folds {
            dedup: Dedup::new(settings.dedup_window(), settings.dedup_max_ids),
            sessions: Sessions::new(&settings.sessions)?,
            identities: Identities::new(settings.identity_max_devices),
        })
    }

    pub(crate) fn sizes(&self) -> StateSizes {
        StateSizes {
            dedup_ids: self.dedup.stored_ids() as u64,
            dedup_bytes: self.dedup.memory_bytes() as u64,
            sessions: self.sessions.len() as u64,
            session_bytes: self.sessions.memory_bytes() as u64,
            identified_devices: self.identities.len() as u64,
            identity_bytes: self.identities.memory_bytes() as u64,
        }
    }

    /// Decides the events of a chunk in their order. `events` and `identities` say how many of them each table has already.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the state outgrows a ceiling; it is then of no use.
    pub(crate) fn decide(
        &mut self,
        rows: &DecodedChunk,
        keys: &Keys,
        events: usize,
        identities: usize,
    ) -> Result<Folded> {
        let stream = Stream::of(rows, keys)?;
        let mut folded = Folded::with_capacity(rows.message_hashes.len() - events);
        // Rows that `events` has and `identities` has not: a table that was made anew is filled. Which of them were
        // accepted is not known any more; a repeat is one sighting more.
        for row in identities..events {
            self.identify(row, &stream, &mut folded)?;
        }
        let shard = self.dedup.shard(&rows.shard)?;
        for row in events..rows.message_hashes.len() {
            let accepted = self.dedup.accepts(shard, rows.message_hashes[row], stream.arrivals[row]);
            folded.accepted.push(accepted);
            if accepted {
                self.fold(row, shard, &stream, &mut folded)?;
            } else {
                folded.sessions.push(None);
                folded.resolved.push(Resolved { reason: Reason::None, user: None });
            }
        }
        self.dedup.keep_below_ceiling()?;
        Ok(folded)
    }

    /// Folds an event that deduplication accepted.
    fn fold(&mut self, row: usize, shard: ShardNumber, stream: &Stream<'_>, folded: &mut Folded) -> Result<()> {
        let resolved = self.identify(row, stream, folded)?;
        folded.resolved.push(resolved);
        let step = match stream.keys.devices[row] {
            None => None,
            Some(device) => {
                let event = SessionEvent {
                    shard: shard.get(),
                    device,
                    message: stream.messages[row],
                    event_time_micros: stream.times[row],
                    arrival_micros: stream.arrivals[row],
                    campaign: stream.keys.campaigns[row].map(Campaign::from_hash),
                };
                self.sessions.fold(&event, self.dedup.horizons_micros())?
            }
        };
        folded.sessions.push(step);
        Ok(())
    }

    /// Notes whom an event belongs to, by what is known now and never by what comes later, and what it shows itself.
    fn identify(&mut self, row: usize, stream: &Stream<'_>, folded: &mut Folded) -> Result<Resolved> {
        let user = stream.user.get(row);
        let call = stream.keys.calls[row];
        if user.is_some() && call == Call::Other {
            return Ok(Resolved { reason: Reason::Event, user: None });
        }
        let previous = || stream.previous.get(row).map_or(NO_DEVICE, xxh3_128);
        let found = self.identities.fold(&identity::Call {
            binds: match call {
                Call::Identify => Binds::Device,
                Call::Alias => Binds::Previous { previous: previous() },
                Call::Other => Binds::Nothing,
            },
            device: stream.keys.devices[row].unwrap_or(NO_DEVICE),
            user: user.and_then(|user| std::str::from_utf8(user).ok()),
        })?;
        for (known, edge) in [(Known::Previous, found.edges.previous), (Known::Device, found.edges.device)] {
            folded.sightings.extend(edge.map(|edge| Sighting { row, known, edge }));
        }
        let start = folded.users.len() as u32;
        let text = found.user.filter(|_| found.reason != Reason::Event);
        folded.users.extend_from_slice(text.unwrap_or_default().as_bytes());
        Ok(Resolved { reason: found.reason, user: text.map(|_| (start, folded.users.len() as u32)) })
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
    arrivals: &'a [i64],
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
            arrivals: time("arrival_time")?,
            user: text("user_id")?,
            previous: text("previous_id")?,
        })
    }
}
