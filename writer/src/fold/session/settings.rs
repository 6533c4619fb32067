//! How sessions are cut.

use std::time::Duration;

use icefold_core::bounds::{self, BILLION, YEAR_SECONDS};
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How sessions are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// Most seconds of event time between an event and its session. Default 1800 (half an hour), as web analytics has
    /// it. 1 to 31,622,400, a year: what a session spans stays far from the ends of the calendar.
    pub gap_seconds: u64,
    /// Most seconds of event time that a session spans. Default 86,400 (a day): a device that never rests is not one
    /// visit. `gap_seconds` to 31,622,400, a year.
    pub max_length_seconds: u64,
    /// Seconds of `stream_time` after which a session that got nothing takes nothing more. Default 3600 (an hour): twice
    /// the gap, so that a session in use is not cut by a slow upload. 1 to 31,622,400, a year.
    pub open_seconds: u64,
    /// Whether an event with another campaign begins a session. Default false.
    pub split_on_campaign: bool,
    /// Most sessions that a process may remember, over all its shards. Default 8 million: at most 544 MB. 1 to a billion, 68 GB.
    pub max_open: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        SessionSettings {
            gap_seconds: 30 * 60,
            max_length_seconds: 24 * 60 * 60,
            open_seconds: 60 * 60,
            split_on_campaign: false,
            max_open: 8_000_000,
        }
    }
}

impl SessionSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) naming the key, its value and what to write
    /// instead.
    pub fn validate(&self) -> Result<()> {
        bounds::check_all([
            ("writer.sessions.gap_seconds", self.gap_seconds, 1..=YEAR_SECONDS),
            ("writer.sessions.max_length_seconds", self.max_length_seconds, 1..=YEAR_SECONDS),
            ("writer.sessions.open_seconds", self.open_seconds, 1..=YEAR_SECONDS),
            ("writer.sessions.max_open", self.max_open as u64, 1..=BILLION),
        ])?;
        if self.max_length_seconds < self.gap_seconds {
            return Err(Error::invalid(format!(
                "`writer.sessions.max_length_seconds` = {} is shorter than `writer.sessions.gap_seconds` = {}: set it to that or \
                 more",
                self.max_length_seconds, self.gap_seconds
            )));
        }
        Ok(())
    }

    pub(super) fn gap_micros(&self) -> i64 {
        micros(self.gap_seconds)
    }

    pub(super) fn max_length_micros(&self) -> i64 {
        micros(self.max_length_seconds)
    }

    pub(crate) fn open_for_micros(&self) -> i64 {
        micros(self.open_seconds)
    }
}

fn micros(seconds: u64) -> i64 {
    i64::try_from(Duration::from_secs(seconds).as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        SessionSettings::default().validate().expect("defaults");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_remedy() {
        let wrong = SessionSettings { max_length_seconds: 60, ..SessionSettings::default() };
        let error = wrong.validate().expect_err("shorter than the gap");
        assert!(error.message().contains("`writer.sessions.max_length_seconds` = 60"), "{error}");
        assert!(error.message().contains("= 1800: set it to that or more"), "{error}");
    }
}
