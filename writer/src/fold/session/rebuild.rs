//! The sessions of a restart, from the rows of `events`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::RangeInclusive;

use super::rule::Session;
use super::{Opening, SessionId, SessionSettings, Sessions};
use crate::fold::NO_DEVICE;
use crate::fold::device_map::{PARTS, part_of};
use icefold_core::Result;

/// What a row of `events` tells of its session.
#[derive(Debug, Clone, Copy)]
pub struct SessionRow {
    /// Number of `shard`, as in [`SessionEvent`](super::SessionEvent).
    pub shard: u16,
    /// xxh3-128 of `anonymous_id`; rows without one are of no session.
    pub device: u128,
    /// `session_id`.
    pub id: SessionId,
    /// `session_start`, in microseconds since 1970.
    pub start_micros: i64,
    /// `session_event_number`.
    pub number: u32,
    /// Latest event time of the session minus its start, in microseconds.
    pub elapsed_micros: i64,
    /// `arrival_time`, in microseconds since 1970.
    pub arrival_micros: i64,
}

/// Sessions in the making. Rows may be remembered in any order, each of them once.
#[derive(Debug)]
pub struct SessionsRebuild {
    sessions: Sessions,
    horizons: Vec<i64>,
    needed: Needed,
    /// In parts, so that at the end no second copy of the whole is needed.
    parts: Vec<HashMap<Key, Seen, BuildHasherDefault<KeyHasher>>>,
}

/// Arrivals of the rows that matter: first and last of stretches that do not touch, in their order.
#[derive(Debug)]
struct Needed(Vec<(i64, i64)>);

#[derive(Debug, PartialEq, Eq)]
struct Key {
    device: u128,
    start: i64,
    opening: Opening,
    shard: u16,
}

/// What the rows of one shard tell of a session.
#[derive(Debug, Clone, Copy)]
struct Seen {
    session: Session,
    /// Least of the numbers.
    first: u32,
    rows: u32,
}

impl SessionsRebuild {
    /// Starts from nothing. `horizons` are those of the last event that was folded, as in [`Sessions::fold`];
    /// `window_micros` is how far they lie behind the watermarks, but for a part of a second.
    ///
    /// # Errors
    /// Those of [`SessionSettings::validate`].
    pub fn new(settings: &SessionSettings, horizons: &[i64], window_micros: i64) -> Result<Self> {
        Ok(SessionsRebuild {
            sessions: Sessions::new(settings)?,
            horizons: horizons.to_vec(),
            needed: Needed::new(horizons, window_micros, settings.open_for_micros()),
            parts: (0..PARTS).map(|_| HashMap::default()).collect(),
        })
    }

    /// Returns the earliest of these arrivals, in microseconds since 1970, at which a row matters; `None` when at none.
    /// Rows that do not matter are ignored.
    pub fn needed_since(&self, arrivals: RangeInclusive<i64>) -> Option<i64> {
        self.needed.since(arrivals)
    }

    /// Remembers a row of an event that was folded earlier.
    pub fn remember(&mut self, row: &SessionRow) {
        if row.device == NO_DEVICE || self.needed.since(row.arrival_micros..=row.arrival_micros).is_none() {
            return;
        }
        let seen = Seen { session: Session::as_of(row), first: row.number, rows: 1 };
        let (opening, start) = (row.id.opening(), row.start_micros);
        match self.parts[part_of(row.device)].entry(Key { device: row.device, start, opening, shard: row.shard }) {
            Entry::Vacant(entry) => _ = entry.insert(seen),
            Entry::Occupied(mut entry) => _ = entry.insert(entry.get().merged(seen)),
        }
    }

    /// Returns the state after the last of the remembered rows.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when these are more sessions than allowed.
    pub fn finish(mut self) -> Result<Sessions> {
        for part in self.parts {
            let mut seen: Vec<(Key, Seen)> = part.into_iter().collect();
            seen.sort_unstable_by_key(|(key, _)| key.session());
            for of_one_id in seen.chunk_by(|(a, _), (b, _)| a.session() == b.session()) {
                let device = of_one_id[0].0.device;
                let merged = of_one_id.iter().map(|(_, seen)| *seen).reduce(Seen::merged);
                match merged.filter(Seen::is_one_session) {
                    Some(seen) => self.sessions.store(device, seen.session, &self.horizons)?,
                    // The same events were folded again in another shard.
                    None => {
                        for (_, seen) in of_one_id {
                            self.sessions.store(device, seen.session, &self.horizons)?;
                        }
                    }
                }
            }
        }
        Ok(self.sessions)
    }
}

impl Needed {
    fn new(horizons: &[i64], window: i64, open_for: i64) -> Self {
        // A watermark lies less than a second after its horizon and the window; the latest arrival of a session that an
        // event joined at most open-for after the event, and the next event of that session as far after it.
        let after = open_for.saturating_mul(2).saturating_add(window).saturating_add(1_000_000);
        let known = horizons.iter().filter(|horizon| **horizon != i64::MIN);
        let mut near: Vec<(i64, i64)> =
            known.map(|horizon| (horizon.saturating_sub(open_for), horizon.saturating_add(after))).collect();
        near.sort_unstable();
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        for (first, last) in near {
            match stretches.last_mut() {
                Some(stretch) if first <= stretch.1 => stretch.1 = last.max(stretch.1),
                _ => stretches.push((first, last)),
            }
        }
        Needed(stretches)
    }

    fn since(&self, arrivals: RangeInclusive<i64>) -> Option<i64> {
        let next = self.0.partition_point(|(_, last)| last < arrivals.start());
        self.0.get(next).filter(|(first, _)| first <= arrivals.end()).map(|(first, _)| *first.max(arrivals.start()))
    }
}

impl Key {
    /// What the rows of a session have in common, whatever their shard.
    fn session(&self) -> (u128, i64, Opening) {
        (self.device, self.start, self.opening)
    }
}

impl Seen {
    fn merged(self, other: Seen) -> Self {
        Seen {
            session: self.session.merged(other.session),
            first: self.first.min(other.first),
            rows: self.rows.saturating_add(other.rows),
        }
    }

    /// Returns whether the rows may be of one session: a number does not repeat there.
    fn is_one_session(&self) -> bool {
        self.rows <= (self.session.events - self.first).saturating_add(1)
    }
}

impl Session {
    /// Returns the session as it was when the row was written, but for its latest arrival: that may be in another row.
    fn as_of(row: &SessionRow) -> Self {
        Session {
            start: row.start_micros,
            latest: row.start_micros.saturating_add(row.elapsed_micros),
            last_arrival: row.arrival_micros,
            events: row.number,
            opening: row.id.opening(),
            shard: row.shard,
        }
    }

    /// Joins what two rows tell of one session.
    fn merged(self, other: Session) -> Self {
        let newer = if other.events > self.events { other } else { self };
        Session { last_arrival: { self.last_arrival }.max(other.last_arrival), ..newer }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The device is a hash already; the rest tells the sessions of one device apart.
        state.write_u64(self.device as u64 ^ (self.start as u64) ^ u64::from(self.opening.mark));
    }
}

/// Passes on the one number that a [`Key`] hashes to.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
