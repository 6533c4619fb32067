//! Sessions: the visits that a device's events fall into.
//!
//! A session *starts* at the event time of the first event folded into it, which never changes, and its *latest* is the
//! greatest event time in it. The rule, for an event of time `t` and the sessions of its device:
//!
//! > 1. The event **fits** a session if `t` lies at most one *gap* before its start or after its latest; if the session
//! >    would then not span more than the *longest length* from its start (or from `t`, when that is earlier) to its
//! >    latest; if it arrived at most *open-for* after, or before, the latest arrival in the session; and, where
//! >    campaigns split sessions, if it has no campaign or the same one as the event that opened the session.
//! > 2. It **joins**, of those it fits, the one with the greatest start, and its number there is one more than the
//! >    session had events. The latest moves up to `t`; the start stays, also when `t` lies before it.
//! > 3. If it fits none it **begins** one: the start is `t`, the number is 1.
//! > 4. What was decided stays. Sessions are never merged, and numbers follow the order of folding, not of time.
//!
//! Consequences worth knowing:
//!
//! - A session that got nothing for *open-for* of arrival time takes nothing more. Events that a device uploads late
//!   form sessions of their own, beside those of the same time that arrived in time.
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
//! # Forgetting
//!
//! Each shard has a *horizon*, its watermark minus window, both of arrival time; the *common* horizon is the latest of
//! all. A session is of the shard whose event was folded into it last. As in deduplication, an event sees
//!
//! - sessions of its own shard whose latest arrival does not lie before the horizon of the shard;
//! - sessions of another shard if it also does not lie before the common horizon.
//!
//! So a session is forgotten as soon as its latest arrival lies before the horizon of its own shard; shards that lag or
//! rest keep their own last window and nothing of others.
//!
//! A window of at least *open-for* makes this invisible: as long as no event arrives more than window minus open-for
//! behind the latest watermark, a session that is not seen would not have been joined either, and every answer depends
//! on the device's own events alone. Events that are further behind than that get sessions too, which may be shorter
//! than the rule would make them, where their device came through several shards.
//!
//! A device keeps its [`SESSIONS_PER_DEVICE`] best sessions of those that are not forgotten: those with the latest
//! arrivals and, of equal ones, with the greatest start. The others take no more events. This bounds what one device
//! that stands for thousands costs. Only for a device that has more of them, in shards that lag more than a window
//! behind one another, may a restart change which ones are kept.
//!
//! # Rebuild
//!
//! The row with the greatest number of a session tells its shard, its start, its latest (start plus elapsed), its
//! events (the number) and its opening (in the id); the greatest arrival of its rows is its latest arrival.
//!
//! [`SessionsRebuild`] takes the rows, of whatever shard, that arrived near the last window of any shard: from its
//! horizon minus open-for to its watermark plus twice open-for. Because no event joins that arrived more than open-for
//! from the latest arrival, these hold all of the above for every session that is not forgotten. They also hold, for a
//! session whose last rows were left out, the row with which another shard took it over: it is not taken for one that
//! the first shard still sees.
//!
//! When the same events are read again through another shard, long after, sessions come about that have the ids of the
//! earlier ones. They are told apart by their numbers: these do not repeat inside a session.
//!
//! # Cost
//!
//! 64 to 72 bytes a session, 68 MB for a million; the ceiling is `sessions.max_open`.

mod id;
mod rebuild;
mod rule;
mod settings;
#[cfg(test)]
mod tests;

pub use id::{Campaign, Opening, SessionId};
pub use rebuild::{SessionRow, SessionsRebuild};
pub use settings::SessionSettings;

use rule::{Rule, Session};

use super::NO_DEVICE;
use super::device_map::DeviceMap;
use icefold_core::{Error, ErrorKind, Result};

/// Sessions that a device keeps. Enough for a phone that was offline for days; few enough to look at each.
pub const SESSIONS_PER_DEVICE: usize = 64;

/// How much of open-for must pass until all sessions are searched for forgotten ones again, as a fraction: at the
/// ceiling, sessions that were forgotten since may still count.
const SWEEPS_PER_OPEN_FOR: i64 = 64;

/// An accepted event, as far as sessions care. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct SessionEvent {
    /// Number of its shard; 0 stands for all shards that a run does not read.
    pub shard: u16,
    /// xxh3-128 of the `anonymousId`, [`NO_DEVICE`] without one.
    pub device: u128,
    /// xxh3-128 of the `messageId`.
    pub message: u128,
    /// When it happened.
    pub event_time_micros: i64,
    /// When it reached the collector.
    pub arrival_micros: i64,
    /// The campaign that led to it.
    pub campaign: Option<Campaign>,
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

/// The sessions that events may still join, for all shards of a run: a device may move from one to another.
#[derive(Debug)]
pub struct Sessions {
    settings: SessionSettings,
    rule: Rule,
    max_open: usize,
    by_device: DeviceMap<Session>,
    /// Sum of the horizons when forgotten sessions were last searched for.
    swept: i128,
}

impl Sessions {
    /// Makes an empty state.
    ///
    /// # Errors
    /// Those of [`SessionSettings::validate`].
    pub fn new(settings: &SessionSettings) -> Result<Self> {
        settings.validate()?;
        Ok(Sessions {
            settings: settings.clone(),
            rule: Rule::new(settings),
            max_open: settings.max_open,
            by_device: DeviceMap::new(),
            swept: i128::MIN,
        })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Folds the next accepted event of its shard; `None` when it has no device and thus no session.
    ///
    /// `horizons` holds, by the number of the shard, the earliest arrival that counts there, in microseconds since 1970
    /// ([`i64::MIN`] for a shard without events), and as number 0 the common one, the greatest of them. They take the
    /// event itself into account, never go back, and are the same when the event is folded again after a crash.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more sessions would have to be remembered than allowed; the state is then of no use.
    ///
    /// # Panics
    /// If the event's shard, or that of an earlier one, has no horizon.
    pub fn fold(&mut self, event: &SessionEvent, horizons: &[i64]) -> Result<Option<SessionStep>> {
        if event.device == NO_DEVICE {
            return Ok(None);
        }
        let joined = self
            .visible(event, horizons)
            .filter(|(_, session)| self.rule.fits(session, event))
            .max_by_key(|(_, session)| session.preference());
        let step = match joined {
            Some((place, session)) => {
                let session = session.with(event);
                *self.by_device.at_mut(event.device, place) = session;
                session.step(event.device)
            }
            None => self.begin(event, horizons)?.step(event.device),
        };
        Ok(Some(step))
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

    fn visible(&self, event: &SessionEvent, horizons: &[i64]) -> impl Iterator<Item = (usize, Session)> {
        let shard = event.shard;
        self.by_device.of(event.device).filter(move |(_, session)| session.is_visible(shard, horizons))
    }

    fn begin(&mut self, event: &SessionEvent, horizons: &[i64]) -> Result<Session> {
        let mut session = Session::begun_by(event);
        // The very same event can come again, when it arrived before the window of deduplication.
        while self.visible(event, horizons).any(|(_, other)| other.identity() == session.identity()) {
            session = session.marked_anew();
        }
        self.store(event.device, session, horizons)?;
        Ok(session)
    }

    /// Stores a session, unless its device has enough better ones. The order of calls does not matter.
    fn store(&mut self, device: u128, session: Session, horizons: &[i64]) -> Result<()> {
        if !session.is_live(horizons) {
            return Ok(());
        }
        // Forgotten sessions go first: whether they still take room is by chance.
        let worth = |stored: &Session| (stored.is_live(horizons), stored.rank());
        if self.by_device.of(device).count() < SESSIONS_PER_DEVICE {
            self.keep_below_ceiling(horizons)?;
            self.by_device.insert(device, session, |stored| stored.is_live(horizons));
        } else if let Some((place, worst)) = self.by_device.of(device).min_by_key(|(_, stored)| worth(stored))
            && worth(&worst) < worth(&session)
        {
            *self.by_device.at_mut(device, place) = session;
        }
        Ok(())
    }

    /// Makes sure that one more session may be stored.
    fn keep_below_ceiling(&mut self, horizons: &[i64]) -> Result<()> {
        if self.len() < self.max_open {
            return Ok(());
        }
        // Shards that nothing was accepted from have none, and would hide that the others have moved.
        let known = horizons.iter().copied().filter(|horizon| *horizon != i64::MIN);
        let horizons_sum = known.map(i128::from).sum::<i128>();
        if horizons_sum.saturating_sub(self.swept) > i128::from(self.rule.open_for_micros() / SWEEPS_PER_OPEN_FOR) {
            self.by_device.retain(|stored| stored.is_live(horizons));
            self.swept = horizons_sum;
        }
        if self.len() < self.max_open {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "more than `sessions.max_open` = {} sessions are open: raise it (68 MB of memory for a million) or \
                 shorten the window of arrival time that sessions are remembered for, then run again; nothing is lost",
                self.max_open
            ),
        ))
    }
}
