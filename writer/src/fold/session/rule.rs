//! One session, and the rule that says which events it takes: nothing here knows of other sessions.

use super::{Opening, SessionEvent, SessionId, SessionRow, SessionSettings, SessionStep};

/// Events of a full session: numbers fit a column of type int.
const MAX_EVENTS: u32 = i32::MAX as u32;

/// The settings, as the rule uses them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    gap_micros: u64,
    max_length_micros: u64,
    open_for_micros: i64,
    split_on_campaign: bool,
}

/// What is remembered of a session. Packed, so that no padding is stored: an entry of the map takes 56 bytes, not 64.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(4))]
pub(super) struct Session {
    /// Event time of the first event folded into it.
    pub(super) start: i64,
    /// Greatest event time.
    pub(super) latest: i64,
    /// `stream_time` of the last event folded into it.
    pub(super) touched: i64,
    pub(super) events: u32,
    pub(super) opening: Opening,
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

    /// Returns the earliest `stream_time` at which a session that is still open may have been touched.
    pub(super) fn horizon_micros(&self, stream_time_micros: i64) -> i64 {
        stream_time_micros.saturating_sub(self.open_for_micros)
    }

    /// Returns whether an event fits a session of its device, the first point of the rule.
    pub(super) fn fits(&self, session: &Session, event: &SessionEvent) -> bool {
        let (t, start, latest) = (event.event_time_micros, session.start, session.latest);
        let (first, last) = (start.min(t), latest.max(t));
        start.abs_diff(first) <= self.gap_micros
            && last.abs_diff(latest) <= self.gap_micros
            && last.abs_diff(first) <= self.max_length_micros
            && session.touched >= self.horizon_micros(event.stream_time_micros)
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
            touched: event.stream_time_micros,
            events: 1,
            opening: Opening::new(event.campaign, event.message, event.stream_time_micros),
        }
    }

    /// Returns the session as it was when the row was written.
    pub(super) fn as_of(row: &SessionRow) -> Self {
        Session {
            start: row.start_micros,
            latest: row.latest_micros,
            touched: row.stream_time_micros,
            events: row.number,
            opening: row.id.opening(),
        }
    }

    /// Returns the session with one more event, which fits it.
    pub(super) fn with(self, event: &SessionEvent) -> Self {
        Session {
            latest: { self.latest }.max(event.event_time_micros),
            touched: { self.touched }.max(event.stream_time_micros),
            events: self.events + 1,
            ..self
        }
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

    /// What no two sessions of a device have in common that are remembered at the same time.
    pub(super) fn identity(&self) -> (i64, Opening) {
        (self.start, self.opening)
    }

    /// Of what is known of one session, the one with the greatest of these is its state.
    pub(super) fn progress(&self) -> (i64, u32, i64) {
        (self.touched, self.events, self.latest)
    }

    /// The session with the greatest of these is joined. After the start it only decides between sessions that began at
    /// the same time, by what does not depend on how the state came about.
    pub(super) fn preference(&self) -> (i64, i64, Opening) {
        (self.start, self.touched, self.opening)
    }

    /// The sessions with the greatest of these are kept. It never shrinks, and that of a session that is not kept stays
    /// as it is: so the kept ones are the best of all that ever were, and follow from the rows in whatever order.
    pub(super) fn rank(&self) -> (i64, i64, Opening) {
        (self.touched, self.start, self.opening)
    }
}
