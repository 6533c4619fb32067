//! Events that a client sends again because it did not see the collector's answer: same event, later `sentAt` and
//! `receivedAt`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::envelope::Marks;
use super::random::Random;
use super::text::Time;

/// A client tries again after at most this long, well inside the deduplication window of two hours.
const MAX_DELAY_MS: i64 = 300_000;

/// An event that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The line, without line break.
    pub(crate) line: Vec<u8>,
    /// First bytes of `sentAt` and `receivedAt`.
    pub(crate) marks: (usize, usize),
    /// By how much the client's clock is ahead.
    pub(crate) skew_ms: i64,
}

impl Sent {
    /// Remembers what was just sent.
    pub(crate) fn new(line: &[u8], marks: Marks, skew_ms: i64) -> Sent {
        Sent { line: line.to_vec(), marks: (marks.sent_at, marks.received_at), skew_ms }
    }

    /// Stamps the line with another time of sending and arrival.
    pub(crate) fn stamp(&mut self, received_ms: i64, latency_ms: i64) {
        let sent = Time(received_ms - latency_ms + self.skew_ms).text();
        self.line[self.marks.0..self.marks.0 + Time::BYTES].copy_from_slice(&sent);
        let received = Time(received_ms).text();
        self.line[self.marks.1..self.marks.1 + Time::BYTES].copy_from_slice(&received);
    }
}

/// What will be sent again, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Resends {
    waiting: BinaryHeap<Reverse<(i64, u64)>>,
    sent: std::collections::HashMap<u64, Sent>,
    scheduled: u64,
}

impl Resends {
    /// Returns how many wait.
    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Lets `sent` come again some time after `now_ms`.
    pub(crate) fn schedule(&mut self, now_ms: i64, sent: Sent, random: &mut Random) {
        self.scheduled += 1;
        self.waiting.push(Reverse((now_ms + random.between(1_000, MAX_DELAY_MS), self.scheduled)));
        self.sent.insert(self.scheduled, sent);
    }

    /// Takes what is due at `now_ms`, with the time at which it is; with `hurry`, whatever is next.
    pub(crate) fn take(&mut self, now_ms: i64, hurry: bool) -> Option<(i64, Sent)> {
        let Reverse((due_ms, key)) = *self.waiting.peek()?;
        if !hurry && due_ms > now_ms {
            return None;
        }
        self.waiting.pop();
        Some((due_ms.max(now_ms), self.sent.remove(&key)?))
    }
}
