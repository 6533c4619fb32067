//! Sessions: the visits that a device's events fall into, for one shard and its ancestors.
//!
//! A session *starts* at the event time of the first event folded into it, which never changes, and its *latest* is the
//! greatest event time in it. The rule, for an event of time `t` and the sessions of its device:
//!
//! > 1. The event **fits** a session if `t` lies at most one *gap* before its start or after its latest; if the session
//! >    would then not span more than the *longest length* from its start (or from `t`, when that is earlier) to its
//! >    latest; if the session was last touched at most *open-for* before, in `stream_time`; and, where campaigns split
//! >    sessions, if the event has no campaign or the same one as the event that opened the session.
//! > 2. It **joins**, of those it fits, the one with the greatest start, and its number there is one more than the
//! >    session had events. The latest moves up to `t`; the start stays, also when `t` lies before it.
//! > 3. If it fits none it **begins** one: the start is `t`, the number is 1.
//! > 4. What was decided stays. Sessions are never merged, and numbers follow the order of folding, not of time.
//!
//! Consequences worth knowing:
//!
//! - A session that got nothing for *open-for* of `stream_time` takes nothing more. Events that a device uploads late
//!   form sessions of their own, beside those of the same time that came in time.
//! - `elapsed` is latest minus start, never negative, and never more than the longest length. It does not count the
//!   time that an earlier event, folded later, lies before the start: at most one gap.
//! - An event with a campaign does not join a session that was opened without one, where campaigns split sessions.
//! - A session of 2,147,483,647 events is full.
//!
//! # Identity
//!
//! Two sessions of a device can begin at the same microsecond (a campaign splits, or an upload is repeated hours
//! later). A session is therefore named by device, start *and* its opening event: see [`SessionId`]. The name needs no
//! memory of other sessions, so it is the same however the stream was cut. Ids of two sessions of a device are equal
//! only if two opening events have the same time and their 32-bit marks collide.
//!
//! # Forgetting, rebuild, inheritance
//!
//! `stream_time` never goes back inside a shard, so a session that was touched before the *horizon*, the newest record's
//! `stream_time` minus open-for, is forgotten. Its last row tells all of it: start, latest, number, opening (in the id) and
//! when it was touched. A rebuild therefore needs the rows from the horizon on, in whatever order, and keeps the last one of
//! each session. A child begins with the sessions of all its parents; of what two of them know of one session, the one that
//! was touched last counts.
//!
//! A device keeps its [`SESSIONS_PER_DEVICE`] best sessions: those that were touched last and, of equal ones, those with the
//! greatest start. The others take no more events. This bounds what one device that stands for thousands costs.
//!
//! # Cost
//!
//! 60 to 68 bytes a session, 68 MB at most for a million; the ceiling is `sessions.max_open`, for all shards of a process.

mod id;
mod rule;
mod settings;
#[cfg(test)]
mod tests;

pub use id::{Campaign, Opening, SessionId};
pub use settings::SessionSettings;

use rule::{Rule, Session};

use super::NO_DEVICE;
use super::device_map::DeviceMap;
use icefold_core::Result;

/// Sessions that a device keeps. Enough for a phone that was offline for days; few enough to look at each.
pub const SESSIONS_PER_DEVICE: usize = 64;

/// An accepted event, as far as sessions care. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct SessionEvent {
    /// xxh3-128 of the `anonymousId`, [`NO_DEVICE`] without one.
    pub device: u128,
    /// xxh3-128 of the `messageId`.
    pub message: u128,
    /// When it happened.
    pub event_time_micros: i64,
    /// `stream_time` of its record.
    pub stream_time_micros: i64,
    /// The campaign that led to it.
    pub campaign: Option<Campaign>,
}

/// What a row of `events` tells of its session. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct SessionRow {
    /// xxh3-128 of `anonymous_id`; rows without one are of no session.
    pub device: u128,
    /// `session_id`.
    pub id: SessionId,
    /// `session_start`.
    pub start_micros: i64,
    /// `session_latest`.
    pub latest_micros: i64,
    /// `session_event_number`.
    pub number: u32,
    /// `stream_time`.
    pub stream_time_micros: i64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStep {
    /// The session's name.
    pub id: SessionId,
    /// Event time of the first event folded into the session, in microseconds since 1970.
    pub start_micros: i64,
    /// Number of the event in its session, in the order of folding, 1 to 2,147,483,647.
    pub number: u32,
    /// The session's latest event time minus its start, this event included; 0 or more.
    pub elapsed_micros: i64,
    /// Whether the event began the session; then its number is 1.
    pub is_new: bool,
}

/// The sessions that events of one shard may still join.
#[derive(Debug)]
pub struct Sessions {
    rule: Rule,
    by_device: DeviceMap<Session>,
    /// Sessions that were touched earlier are forgotten, in microseconds since 1970; [`i64::MIN`] before the first record.
    horizon: i64,
}

impl Sessions {
    /// Makes an empty state.
    ///
    /// # Errors
    /// Those of [`SessionSettings::validate`].
    pub fn new(settings: &SessionSettings) -> Result<Self> {
        settings.validate()?;
        Ok(Sessions { rule: Rule::new(settings), by_device: DeviceMap::new(), horizon: i64::MIN })
    }

    /// Folds the next accepted event of the shard; `None` when it has no device and thus no session.
    pub fn fold(&mut self, event: &SessionEvent) -> Option<SessionStep> {
        self.advance(event.stream_time_micros);
        if event.device == NO_DEVICE {
            return None;
        }
        let sessions = self.by_device.of(event.device);
        let fitting = sessions.filter(|(_, session)| self.rule.fits(session, event));
        let session = match fitting.max_by_key(|(_, session)| session.preference()) {
            Some((place, session)) => {
                let session = session.with(event);
                *self.by_device.at_mut(event.device, place) = session;
                session
            }
            None => {
                // Its id is new: what is open and began at the same time with the same campaign would have fitted.
                let begun = Session::begun_by(event);
                self.store(event.device, begun);
                begun
            }
        };
        Some(session.step(event.device))
    }

    /// Takes note of how far the shard is. It never goes back.
    pub fn advance(&mut self, stream_time_micros: i64) {
        self.horizon = self.horizon.max(self.rule.horizon_micros(stream_time_micros));
    }

    /// Remembers a row of an event that was folded earlier. The order of calls does not matter.
    pub fn remember(&mut self, row: &SessionRow) {
        if row.device != NO_DEVICE {
            self.store(row.device, Session::as_of(row));
        }
    }

    /// Takes over the sessions of a parent of the shard. The order of parents does not matter.
    pub fn inherit(&mut self, parent: &Sessions) {
        self.horizon = self.horizon.max(parent.horizon);
        for (device, session) in parent.by_device.iter() {
            self.store(device, session);
        }
    }

    /// Gives back the memory of forgotten sessions.
    pub fn forget(&mut self) {
        let horizon = self.horizon;
        self.by_device.retain(|session| session.touched >= horizon);
    }

    /// Loses what it remembers, but for how far the shard is: a defect, for simulations that have to notice it.
    pub(crate) fn lose_sessions(&mut self) {
        self.by_device = DeviceMap::new();
    }

    /// Returns the earliest `stream_time` at which a session that is still open may have been touched, in microseconds
    /// since 1970; [`i64::MIN`] before the first record.
    pub fn horizon_micros(&self) -> i64 {
        self.horizon
    }

    /// Returns how many sessions are stored, those counted that are forgotten but still take room.
    pub fn len(&self) -> usize {
        self.by_device.len()
    }

    /// Returns whether no session is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory of the stored sessions in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.by_device.memory_bytes()
    }

    fn find(&self, device: u128, session: &Session) -> Option<(usize, Session)> {
        self.by_device.of(device).find(|(_, other)| other.identity() == session.identity())
    }

    /// Stores what is known of a session, unless more is known of it or its device has enough better ones. The order of
    /// calls does not matter.
    fn store(&mut self, device: u128, session: Session) {
        let horizon = self.horizon;
        if session.touched < horizon {
            return;
        }
        if let Some((place, known)) = self.find(device, &session) {
            if known.progress() < session.progress() {
                *self.by_device.at_mut(device, place) = session;
            }
        } else if self.by_device.of(device).count() < SESSIONS_PER_DEVICE {
            self.by_device.insert(device, session, |stored| stored.touched >= horizon);
        } else if let Some((place, worst)) = self.by_device.of(device).min_by_key(|(_, stored)| stored.rank())
            && worst.rank() < session.rank()
        {
            *self.by_device.at_mut(device, place) = session;
        }
    }
}
