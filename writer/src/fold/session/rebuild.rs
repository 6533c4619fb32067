//! The sessions of a restart, from the rows of `events`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::rule::Session;
use super::{Opening, SessionId, SessionSettings, Sessions};
use crate::fold::NO_DEVICE;
use crate::fold::device_map::{PARTS, part_of};
use icefold_core::Result;

/// What a row of `events` tells of its session.
#[derive(Debug, Clone, Copy)]
pub struct SessionRow {
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

/// Sessions in the making. Rows may be remembered in any order, and more than once.
#[derive(Debug)]
pub struct SessionsRebuild {
    sessions: Sessions,
    rows_from: i64,
    /// In parts, so that at the end no second copy of the whole is needed.
    parts: Vec<HashMap<Key, Session, BuildHasherDefault<KeyHasher>>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    device: u128,
    start: i64,
    opening: Opening,
}

impl SessionsRebuild {
    /// Starts from nothing. `horizon_arrival_micros` is the smallest horizon that [`Sessions::fold`] will be called
    /// with.
    ///
    /// # Errors
    /// Those of [`SessionSettings::validate`].
    pub fn new(settings: &SessionSettings, horizon_arrival_micros: i64) -> Result<Self> {
        let mut sessions = Sessions::new(settings)?;
        sessions.forget(horizon_arrival_micros);
        let rows_from = horizon_arrival_micros.saturating_sub(settings.open_for_micros());
        Ok(SessionsRebuild { sessions, rows_from, parts: (0..PARTS).map(|_| HashMap::default()).collect() })
    }

    /// Returns the earliest arrival of rows that matter, horizon minus open-for, in microseconds since 1970: all rows
    /// since then are needed, earlier ones are ignored.
    pub fn rows_from_micros(&self) -> i64 {
        self.rows_from
    }

    /// Remembers a row of an event that was folded earlier.
    pub fn remember(&mut self, row: &SessionRow) {
        if row.device == NO_DEVICE || row.arrival_micros < self.rows_from {
            return;
        }
        let seen = Session::as_of(row);
        let key = Key { device: row.device, start: row.start_micros, opening: row.id.opening() };
        match self.parts[part_of(row.device)].entry(key) {
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
            for (key, session) in part {
                self.sessions.store(key.device, session)?;
            }
        }
        Ok(self.sessions)
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
