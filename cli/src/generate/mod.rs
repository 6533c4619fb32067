//! Realistic clickstream events: the same bytes for the same seed, and an exact account of what is in them.
//!
//! * [`random`]: numbers from a seed.
//! * [`text`]: JSON written by hand.
//! * [`device`], [`context`]: who sends, and what the SDKs tell about the client.
//! * [`shop`], [`session`], [`calls`]: what people do, and what the calls say.
//! * [`envelope`]: whole events as the SDKs write them.
//! * [`mistake`], [`resend`]: malformed and repeated events.
//! * [`expectation`]: what to expect of the tables.
//! * [`files`]: the events in files.

mod calls;
mod context;
mod device;
mod envelope;
mod expectation;
mod files;
mod mistake;
mod random;
mod resend;
mod session;
mod shop;
mod text;

use device::{Device, User};
use envelope::{Marks, Message, Moment};
use expectation::Distinct;
pub(crate) use expectation::Expectation;
pub(crate) use files::{Compression, Destination, EXPECTATION_FILE, write};
use mistake::Mistake;
use random::Random;
use resend::{Resends, Sent};
use session::{CallKind, Session};
use shop::Shop;

/// When the first event arrives: 2026-01-15T00:00:00Z.
const FIRST_ARRIVAL_MS: i64 = 1_768_435_200_000;
/// Mean time between two arrivals: 200,000 events take ten minutes.
const ARRIVAL_GAP_MICROS: u64 = 3_000;
/// At most this many sessions run at the same time.
const MAX_SESSIONS: u64 = 3_000;
/// Share of the events that servers send.
const BACKEND_SHARE: f64 = 0.08;
/// A late event is at least this old when it arrives …
const MIN_LATE_MS: i64 = 2 * 3_600_000;
/// … and at most this old: inside the contract's 30 days.
const MAX_LATE_MS: i64 = 20 * 86_400_000;

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Lines to write.
    pub(crate) events: u64,
    /// Seed.
    pub(crate) seed: u64,
    /// Share of the lines that repeat an earlier one.
    pub(crate) duplicates: f64,
    /// Share of the lines that are malformed.
    pub(crate) malformed: f64,
    /// Share of the events that arrive hours or days after they happened.
    pub(crate) late: f64,
}

/// Makes events line by line.
pub(crate) struct Generator {
    plan: Plan,
    random: Random,
    now_micros: u64,
    shop: Shop,
    sessions: Vec<Session>,
    resends: Resends,
    body: Vec<u8>,
    line: Vec<u8>,
    users: Distinct,
    devices: Distinct,
    by_type: [u64; CallKind::ALL.len()],
    done: Expectation,
}

/// A new event, before it is known whether it will be spoilt.
struct Draft {
    kind: CallKind,
    revenue_cents: u64,
    marks: Marks,
    skew_ms: i64,
    late: bool,
    user: Option<User>,
    device: Option<u64>,
}

impl Generator {
    /// Begins at the first event of `plan`.
    pub(crate) fn new(plan: Plan) -> Self {
        let sessions = (plan.events / 60).clamp(4, MAX_SESSIONS);
        let mut random = Random::new(plan.seed, 0);
        Generator {
            sessions: (0..sessions).map(|_| begin_session(&plan, &mut random)).collect(),
            plan,
            random,
            now_micros: 0,
            shop: Shop::open(),
            resends: Resends::default(),
            body: Vec::with_capacity(4096),
            line: Vec::with_capacity(8192),
            users: Distinct::default(),
            devices: Distinct::default(),
            by_type: [0; CallKind::ALL.len()],
            done: Expectation { seed: plan.seed, ..Expectation::default() },
        }
    }

    /// Appends the next line, with its line break, to `out`; returns false when there is none left.
    pub(crate) fn next_line(&mut self, out: &mut Vec<u8>) -> bool {
        if self.done.events == self.plan.events {
            return false;
        }
        self.now_micros += self.random.below(2 * ARRIVAL_GAP_MICROS);
        // What waits to be sent again must still fit, so that the account is exact.
        let hurry = self.resends.len() == self.plan.events - self.done.events;
        match self.resends.take(self.now_ms(), hurry) {
            Some((at_ms, sent)) => self.send_again(at_ms, sent, out),
            None => self.send_new(out),
        }
        true
    }

    /// Returns the account of what was written so far.
    pub(crate) fn expectation(&self) -> Expectation {
        let by_type = CallKind::ALL.iter().zip(self.by_type).filter(|(_, count)| *count > 0);
        Expectation {
            distinct_users: self.users.count(),
            distinct_devices: self.devices.count(),
            by_type: by_type.map(|(kind, count)| (kind.name().to_owned(), count)).collect(),
            ..self.done.clone()
        }
    }

    fn now_ms(&self) -> i64 {
        FIRST_ARRIVAL_MS + (self.now_micros / 1_000) as i64
    }

    fn send_again(&mut self, at_ms: i64, mut sent: Sent, out: &mut Vec<u8>) {
        self.now_micros = self.now_micros.max((at_ms - FIRST_ARRIVAL_MS).unsigned_abs() * 1_000);
        sent.stamp(at_ms, self.random.between(20, 900));
        self.done.duplicates += 1;
        self.push(&sent.line, at_ms, out);
        self.maybe_schedule(sent);
    }

    fn send_new(&mut self, out: &mut Vec<u8>) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let received_ms = self.now_ms() - self.random.between(0, 250).min(self.now_ms() - FIRST_ARRIVAL_MS);
        let draft = self.draft(received_ms, &mut line);
        if self.random.chance(self.plan.malformed) {
            let mistake = Mistake::make(&mut self.random, &mut line);
            self.done.malformed += 1;
            *self.done.malformed_by.entry(mistake.name().to_owned()).or_default() += 1;
            self.push(&line, received_ms, out);
        } else {
            self.count(&draft);
            self.push(&line, received_ms, out);
            self.maybe_schedule(Sent::new(&line, draft.marks, draft.skew_ms));
        }
        self.line = line;
    }

    fn push(&mut self, line: &[u8], received_ms: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        out.push(b'\n');
        self.done.events += 1;
        self.done.bytes += line.len() as u64 + 1;
        let at = || String::from_utf8_lossy(&text::Time(received_ms).text()).into_owned();
        if self.done.events == 1 {
            self.done.first_received_at = at();
        }
        if self.done.events == self.plan.events {
            self.done.last_received_at = at();
        }
    }

    fn count(&mut self, draft: &Draft) {
        self.done.unique_valid += 1;
        self.done.late += u64::from(draft.late);
        self.done.revenue_cents += draft.revenue_cents;
        self.by_type[draft.kind as usize] += 1;
        if let Some(user) = draft.user {
            self.users.add(user.0);
        }
        if let Some(device) = draft.device {
            self.devices.add(device);
        }
    }

    /// A share `r` of the well-formed lines comes again, repeats included; with `r = duplicates / (1 - malformed)`
    /// that makes `duplicates` of all lines.
    fn maybe_schedule(&mut self, sent: Sent) {
        let left = self.plan.events - self.done.events;
        let well_formed = (1.0 - self.plan.malformed).max(f64::EPSILON);
        if self.random.chance(self.plan.duplicates / well_formed) && self.resends.len() < left {
            self.resends.schedule(self.now_ms(), sent, &mut self.random);
        }
    }

    fn draft(&mut self, received_ms: i64, line: &mut Vec<u8>) -> Draft {
        let late = self.random.chance(self.plan.late);
        if self.random.chance(BACKEND_SHARE) {
            return self.draft_from_backend(received_ms, late, line);
        }
        let slot = self.random.below(self.sessions.len() as u64) as usize;
        if self.sessions[slot].is_over() {
            self.sessions[slot] = begin_session(&self.plan, &mut self.random);
        }
        let session = &mut self.sessions[slot];
        let action = session.step(&mut self.random, &self.shop);
        self.body.clear();
        let call = calls::call(action, session, &self.shop, &mut self.random, &mut self.body);
        let skew_ms = session.device.skew_ms;
        let moment = moment(received_ms, skew_ms, late, &mut self.random);
        let message = Message { call, body: &self.body, moment };
        let marks = message.put_from_session(session, &self.shop, &mut self.random, line);
        Draft {
            kind: call.kind,
            revenue_cents: call.revenue_cents,
            marks,
            skew_ms,
            late,
            user: envelope::user_of(session),
            device: Some(session.device.index),
        }
    }

    fn draft_from_backend(&mut self, received_ms: i64, late: bool, line: &mut Vec<u8>) -> Draft {
        let user = User::of_device(some_device(&self.plan, &mut self.random));
        self.body.clear();
        let call = calls::backend(&self.shop, &mut self.random, &mut self.body);
        let moment = moment(received_ms, 0, late, &mut self.random);
        let python = self.random.chance(0.4);
        let message = Message { call, body: &self.body, moment };
        let marks = message.put_from_backend(user, python, &mut self.random, line);
        Draft { kind: call.kind, revenue_cents: 0, marks, skew_ms: 0, late, user: Some(user), device: None }
    }
}

/// Returns when an event that arrives at `received_ms` was made and sent, by a clock that is `skew_ms` ahead.
fn moment(received_ms: i64, skew_ms: i64, late: bool, random: &mut Random) -> Moment {
    let sent_ms = received_ms - random.between(20, 900) + skew_ms;
    let waited_ms = match late {
        // As many events between two and four hours as between ten and twenty days.
        true => {
            let ratio = (MAX_LATE_MS / MIN_LATE_MS) as f64;
            (MIN_LATE_MS as f64 * ratio.powf(random.unit())) as i64
        }
        false => random.weighted(&[(70, 300), (25, 10_000), (5, 30_000)]) * random.between(0, 1_000) / 1_000,
    };
    Moment { happened_ms: sent_ms - waited_ms, sent_ms, received_ms }
}

/// Returns the number of a device: some come back again and again, most are seen once or twice.
fn some_device(plan: &Plan, random: &mut Random) -> u64 {
    let devices = (plan.events / 25).max(8);
    let unit = random.unit();
    ((unit * unit * devices as f64) as u64).min(devices - 1)
}

fn begin_session(plan: &Plan, random: &mut Random) -> Session {
    let device = Device::nth(plan.seed, some_device(plan, random));
    Session::begin(device, random)
}

#[cfg(test)]
mod tests;
