//! What can be set about decoding.

use std::str::FromStr;

use icefold_core::tables::BUILT_IN_CONTRACT;
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::combined::ACCESS_LOG_CONTRACT;

/// Deepest `max_depth` that can be set: the scanner recurses once for each level.
pub const DEPTH_CEILING: u32 = 512;

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
    /// Longest event in bytes; a longer one is quarantined. Default 1 MiB: Segment itself takes 32 KB.
    pub max_event_bytes: usize,
    /// Deepest nesting of objects and arrays, the event itself counted. Default 64.
    pub max_depth: u32,
    /// How far an event's time may lie ahead of its arrival. Default 24 hours: clocks set to a wrong time zone.
    pub max_future_seconds: u32,
    /// How far an event's time may lie behind its arrival. Default 30 days: phones that were offline.
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
        if !(2..=DEPTH_CEILING).contains(&self.max_depth) {
            let message = format!("`max_depth` is {}: set it between 2 and {DEPTH_CEILING}", self.max_depth);
            return Err(Error::invalid(message));
        }
        if self.max_event_bytes < 1_024 {
            let message = format!("`max_event_bytes` is {}: set it to 1024 or more", self.max_event_bytes);
            return Err(Error::invalid(message));
        }
        Ok(())
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
        assert_eq!(error.to_string(), "`max_depth` is 100000: set it between 2 and 512");
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
