//! What whoever asks may set.

use icefold_core::{Result, bounds};
use serde::{Deserialize, Serialize};

/// The least memory with which sorting and joining can make progress.
const MIN_MEMORY_BYTES: u64 = 16 << 20;

/// Settings of queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// Memory that a query may use for sorting, grouping, joining and deleted rows, in bytes; what does not fit goes to the
    /// system's temporary folder (`TMPDIR`) where it can, and ends the query otherwise. Default 1 GiB: enough to group ten
    /// million keys, and half of what the smallest common machine has. At least 16 MiB, with which sorts make progress.
    pub memory_limit_bytes: usize,
}

impl Default for QuerySettings {
    fn default() -> Self {
        QuerySettings { memory_limit_bytes: 1 << 30 }
    }
}

impl QuerySettings {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// `InvalidInput`, naming key, value and remedy.
    pub fn validate(&self) -> Result<()> {
        let bounds = MIN_MEMORY_BYTES..=bounds::TIB;
        bounds::check("query.memory_limit_bytes", self.memory_limit_bytes as u64, bounds)
    }
}
