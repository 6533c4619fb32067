//! What can be set about decoding.

use std::str::FromStr;

use icefold_core::bounds::{self, YEAR_SECONDS};
use icefold_core::tables::BUILT_IN_CONTRACT;
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::combined::ACCESS_LOG_CONTRACT;

/// Deepest `max_depth` that can be set: the scanner recurses once for each level.
pub const DEPTH_CEILING: u32 = 512;

/// Shortest `max_event_bytes` that can be set: an envelope alone takes some hundred.
const LEAST_EVENT_BYTES: u64 = 1_024;
/// Longest: of a longer record the source keeps no more than a beginning.
const MOST_EVENT_BYTES: u64 = 64 << 20;
/// Longest `max_past_seconds`, a hundred years: the earliest time stays far from the ends of the calendar.
const MOST_PAST_SECONDS: u64 = 100 * YEAR_SECONDS;

/// How the bytes of a record are to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputFormat {
    /// JSON events of the Segment spec, one record a line.
    #[default]
    Segment,
    /// Lines of a web server's access log, in common or combined log format.
    Combined,
}

impl InputFormat {
    /// Returns the name used on the command line and in config files.
    pub fn as_str(self) -> &'static str {
        match self {
            InputFormat::Segment => "segment",
            InputFormat::Combined => "combined",
        }
    }

    /// Returns the contract of a record's form, which its rows and the commits that bring them name.
    pub fn contract(self) -> &'static str {
        match self {
            InputFormat::Segment => BUILT_IN_CONTRACT,
            InputFormat::Combined => ACCESS_LOG_CONTRACT,
        }
    }
}

impl FromStr for InputFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "segment" => Ok(InputFormat::Segment),
            "combined" => Ok(InputFormat::Combined),
            _ => Err(Error::invalid(format!("there is no input format `{name}`: use `segment` or `combined`"))),
        }
    }
}

/// Limits of the decoder. All of them are part of what makes a row, so a replay uses the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeSettings {
    /// Longest event in bytes; a longer one is quarantined. Default 1 MiB: Segment itself takes 32 KB. 1,024, a small envelope, to
    /// 67,108,864 (64 MiB), of which a source keeps no more than a beginning.
    pub max_event_bytes: usize,
    /// Deepest nesting of objects and arrays, the event itself counted. Default 64. 2, a context, to 512: the scanner recurses.
    #[serde(deserialize_with = "bounds::clamped")]
    pub max_depth: u32,
    /// How far an event's time may lie ahead of its arrival. Default 24 hours: clocks set to a wrong time zone. At
    /// most a year (31,622,400): what is further ahead is a mistake.
    #[serde(deserialize_with = "bounds::clamped")]
    pub max_future_seconds: u32,
    /// How far an event's time may lie behind its arrival. Default 30 days: phones that were offline. At most a hundred
    /// years (3,162,240,000): times stay far from the ends of the calendar.
    #[serde(deserialize_with = "bounds::clamped")]
    pub max_past_seconds: u32,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        DecodeSettings {
            max_event_bytes: 1 << 20,
            max_depth: 64,
            max_future_seconds: 24 * 3_600,
            max_past_seconds: 30 * 24 * 3_600,
        }
    }
}

impl DecodeSettings {
    /// Checks the values against one another and their bounds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput), naming key, value and remedy.
    pub fn validate(&self) -> Result<()> {
        bounds::check_all([
            ("decode.max_event_bytes", self.max_event_bytes as u64, LEAST_EVENT_BYTES..=MOST_EVENT_BYTES),
            ("decode.max_depth", self.max_depth.into(), 2..=DEPTH_CEILING.into()),
            ("decode.max_future_seconds", self.max_future_seconds.into(), 0..=YEAR_SECONDS),
            ("decode.max_past_seconds", self.max_past_seconds.into(), 0..=MOST_PAST_SECONDS),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        DecodeSettings::default().validate().expect("valid");
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_its_remedy() {
        let settings = DecodeSettings { max_depth: 100_000, ..DecodeSettings::default() };
        let error = settings.validate().expect_err("too deep");
        assert_eq!(error.to_string(), "`decode.max_depth` = 100000 is too large: set it to 512 or less");
    }

    #[test]
    fn formats_are_known_by_name() {
        for format in [InputFormat::Segment, InputFormat::Combined] {
            assert_eq!(format.as_str().parse::<InputFormat>().expect("known"), format);
        }
        let error = "json".parse::<InputFormat>().expect_err("unknown");
        assert_eq!(error.to_string(), "there is no input format `json`: use `segment` or `combined`");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<DecodeSettings>(r#"{"max_deph": 3}"#).is_err());
    }
}
