//! What a run wrote, so that every engine that reads the tables can be asked the same and compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is in the generated events. `unique_valid + duplicates + malformed = events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expectation {
    /// The seed.
    pub(crate) seed: u64,
    /// Lines written.
    pub(crate) events: u64,
    /// Bytes written, before compression.
    pub(crate) bytes: u64,
    /// Well-formed events, each counted once: rows of `events`.
    pub(crate) unique_valid: u64,
    /// Well-formed events sent again: left out by deduplication.
    pub(crate) duplicates: u64,
    /// Malformed events: rows of `quarantine`.
    pub(crate) malformed: u64,
    /// Well-formed events, each counted once, that arrived an hour or more after they happened.
    pub(crate) late: u64,
    /// Distinct `userId` of the unique valid events.
    pub(crate) distinct_users: u64,
    /// Distinct `anonymousId` of the unique valid events.
    pub(crate) distinct_devices: u64,
    /// Sum of `properties.revenue` of the unique valid events, in cents.
    pub(crate) revenue_cents: u64,
    /// Unique valid events by `type`.
    pub(crate) by_type: BTreeMap<String, u64>,
    /// Malformed events by mistake.
    pub(crate) malformed_by: BTreeMap<String, u64>,
    /// `receivedAt` of the first line.
    pub(crate) first_received_at: String,
    /// `receivedAt` of the last line.
    pub(crate) last_received_at: String,
}

/// Counts distinct small numbers.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    bits: Vec<u64>,
    count: u64,
}

impl Distinct {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: u64) {
        let (word, bit) = ((number / 64) as usize, 1_u64 << (number % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit == 0 {
            self.bits[word] |= bit;
            self.count += 1;
        }
    }

    /// Returns how many different numbers were added.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
