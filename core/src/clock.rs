//! Time as a component: who needs it is handed a [`Clock`], so that simulation and replay are deterministic.

use std::fmt::Debug;

/// Tells the time of a commit, and when a pipe is read, which is the `stream_time` of its records. Nothing else in a row comes
/// from it.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the component that owns the wall clock")]
    fn now_ms(&self) -> i64 {
        chrono::Utc::now().timestamp_millis()
    }
}
