//! What became of the rows of a range of the stream (invariant W2).

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Rows of a range: `rows_in = accepted + duplicate + quarantined`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that the decoder made out of the records, whatever became of them.
    pub rows_in: u64,
    /// Rows that went into `events`.
    pub accepted: u64,
    /// Rows left out because their `messageId` had been accepted inside the hot window.
    pub duplicate: u64,
    /// Rows that went into `quarantine`.
    pub quarantined: u64,
}

impl Counts {
    /// Returns whether invariant W2 holds.
    pub fn balance(&self) -> bool {
        self.rows_in == self.accepted + self.duplicate + self.quarantined
    }

    /// Returns the counts under their names in a snapshot summary, each behind `prefix`
    /// (`icefold.added-` or `icefold.total-`).
    pub fn summary(&self, prefix: &str) -> BTreeMap<String, String> {
        let named = [
            ("rows-in", self.rows_in),
            ("accepted", self.accepted),
            ("duplicate", self.duplicate),
            ("quarantined", self.quarantined),
        ];
        named.into_iter().map(|(name, count)| (format!("{prefix}{name}"), count.to_string())).collect()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows_in += other.rows_in;
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
    }
}
