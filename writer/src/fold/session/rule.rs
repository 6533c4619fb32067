//! One session, and the rule that says which events it takes: nothing here knows of other sessions.

use super::{Opening, SessionEvent, SessionId, SessionSettings, SessionStep};

/// Events of a full session: numbers fit a column of type int.
const MAX_EVENTS: u32 = i32::MAX as u32;

/// Number of the common horizon.
pub(super) const COMMON: u16 = 0;

/// The settings, as the rule uses them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    gap_micros: u64,
    max_length_micros: u64,
    open_for_micros: i64,
    split_on_campaign: bool,
}

/// What is remembered of a session. Packed, so that no padding is stored: an entry of the map takes 60 bytes, not 64.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(4))]
pub(super) struct Session {
    /// Event time of the first event folded into it.
    pub(super) start: i64,
    /// Greatest event time.
    pub(super) latest: i64,
    /// Latest arrival.
    pub(super) last_arrival: i64,
    pub(super) events: u32,
    pub(super) opening: Opening,
    /// Number of the shard of the event that was folded into it last.
    pub(super) shard: u16,
}

impl Rule {
    pub(super) fn new(settings: &SessionSettings) -> Self {
        Rule {
            gap_micros: settings.gap_micros().unsigned_abs(),
            max_length_micros: settings.max_length_micros().unsigned_abs(),
            open_for_micros: settings.open_for_micros(),
            split_on_campaign: settings.split_on_campaign,
        }
    }

    pub(super) fn open_for_micros(&self) -> i64 {
        self.open_for_micros
    }

    /// Returns whether an event fits a session of its device, the first point of the rule.
    pub(super) fn fits(&self, session: &Session, event: &SessionEvent) -> bool {
        let (t, start, latest) = (event.event_time_micros, session.start, session.latest);
        let (first, last) = (start.min(t), latest.max(t));
        start.abs_diff(first) <= self.gap_micros
            && last.abs_diff(latest) <= self.gap_micros
            && last.abs_diff(first) <= self.max_length_micros
            // Also backwards: else the newest row of a session could arrive long before the horizon.
            && event.arrival_micros.abs_diff(session.last_arrival) <= self.open_for_micros.unsigned_abs()
            && (!self.split_on_campaign || { session.opening }.takes(event.campaign))
            && session.events < MAX_EVENTS
    }
}

impl Session {
    /// Returns the session that an event begins.
    pub(super) fn begun_by(event: &SessionEvent) -> Self {
        Session {
            start: event.event_time_micros,
            latest: event.event_time_micros,
            last_arrival: event.arrival_micros,
            events: 1,
            opening: Opening::new(event.campaign, event.message, event.arrival_micros),
            shard: event.shard,
        }
    }

    /// Returns the session with one more event, which fits it.
    pub(super) fn with(self, event: &SessionEvent) -> Self {
        Session {
            latest: { self.latest }.max(event.event_time_micros),
            last_arrival: { self.last_arrival }.max(event.arrival_micros),
            events: self.events + 1,
            shard: event.shard,
            ..self
        }
    }

    /// Returns whether an event of some shard may see the session again, now or later: horizons never go back, and the
    /// common one is the greatest.
    pub(super) fn is_live(&self, horizons: &[i64]) -> bool {
        self.last_arrival >= horizons[usize::from(self.shard)]
    }

    /// Returns whether an event of this shard sees the session.
    pub(super) fn is_visible(&self, shard: u16, horizons: &[i64]) -> bool {
        let since = |shard: u16| self.last_arrival >= horizons[usize::from(shard)];
        since(shard) && (self.shard == shard || since(COMMON))
    }

    /// Tells what became of the event that was folded last.
    pub(super) fn step(self, device: u128) -> SessionStep {
        SessionStep {
            id: SessionId::new(device, self.start, self.opening),
            start_micros: self.start,
            number: self.events,
            elapsed_micros: self.latest.saturating_sub(self.start),
            is_new: self.events == 1,
        }
    }

    /// Returns the same session with another id.
    pub(super) fn marked_anew(mut self) -> Self {
        self.opening.mark = self.opening.mark.wrapping_add(1);
        self
    }

    /// What no two sessions of a device that can be seen have in common.
    pub(super) fn identity(&self) -> (i64, Opening) {
        (self.start, self.opening)
    }

    /// The session with the greatest of these is joined. After the start it only decides between sessions that began at
    /// the same time, by what does not depend on how the state came about.
    pub(super) fn preference(&self) -> (i64, i64, Opening) {
        (self.start, self.last_arrival, self.opening)
    }

    /// The sessions with the greatest of these are kept. It never shrinks, and that of a session that is not kept stays
    /// as it is: so, in one shard, the kept ones are the best of all that ever were, and follow from the rows.
    pub(super) fn rank(&self) -> (i64, i64, Opening) {
        (self.last_arrival, self.start, self.opening)
    }
}
