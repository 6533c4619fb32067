//! Why an event is quarantined: stable codes, written to `quarantine.reason` and explained in `docs/contracts.md`.

use std::fmt;

use icefold_core::contract::BrokenReason;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why an event did not pass. The codes are part of the table's contract: they are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason, in the order of `docs/contracts.md`.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// Returns the stable snake_case code.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $code,)*
                }
            }
        }
    };
}

reasons! {
    /// The record is longer than the source can hold; only its beginning was kept.
    RecordTooLarge = "record_too_large",
    /// The event is longer than `max_event_bytes`.
    EventTooLarge = "event_too_large",
    /// The record is a batch without events.
    EmptyBatch = "empty_batch",
    /// The record is a batch of more events than a record may have.
    BatchTooLong = "batch_too_long",
    /// What surrounds the batch is so long that repeating it for each event would swamp the table.
    BatchEnvelopeTooLarge = "batch_envelope_too_large",
    /// The record ends in the middle of a JSON value.
    TruncatedJson = "truncated_json",
    /// The text is not JSON.
    InvalidJson = "invalid_json",
    /// Something follows the JSON value.
    TrailingData = "trailing_data",
    /// The bytes are not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// A string holds an unescaped control character.
    ControlCharacter = "control_character",
    /// A string holds half of a UTF-16 surrogate pair, which is no character.
    LoneSurrogate = "lone_surrogate",
    /// Objects and arrays are nested deeper than `max_depth`.
    NestingTooDeep = "nesting_too_deep",
    /// A number does not fit its column, or no IEEE 754 double.
    NumberOutOfRange = "number_out_of_range",
    /// An object has the same key twice.
    DuplicateKey = "duplicate_key",
    /// The event is not a JSON object.
    NotAnObject = "not_an_object",
    /// A required key is absent or null.
    MissingKey = "missing_key",
    /// A value has another JSON type than the contract asks for.
    WrongType = "wrong_type",
    /// A required string is empty.
    EmptyValue = "empty_value",
    /// An identifier is too long.
    ValueTooLong = "value_too_long",
    /// A string that becomes a column holds the character U+0000.
    NulCharacter = "nul_character",
    /// `type` is none of the six Segment calls.
    UnknownType = "unknown_type",
    /// A time is neither ISO 8601 with an offset nor milliseconds since 1970.
    InvalidTimestamp = "invalid_timestamp",
    /// `receivedAt`, or the time of a log line, lies too far after the time of the stream.
    ImplausibleReceivedAt = "implausible_received_at",
    /// The event's time lies too far from its arrival.
    ImplausibleTime = "implausible_time",
    /// A property that the event's contract requires is absent or null.
    MissingProperty = "missing_property",
    /// A property's value is not one of those that the contract names.
    NotInEnum = "not_in_enum",
    /// A property's value lies outside the contract's range.
    OutOfRange = "out_of_range",
    /// A property's text does not match the contract's pattern.
    PatternMismatch = "pattern_mismatch",
    /// A property's text is not in the format that the contract names, for example no date.
    InvalidFormat = "invalid_format",
    /// A property's text or array is shorter or longer than the contract allows.
    LengthOutOfRange = "length_out_of_range",
    /// A property that the contract does not know, and does not want.
    UnknownProperty = "unknown_property",
    /// An event that no contract knows, where one wants to know all.
    UnknownEvent = "unknown_event",
    /// A rule over several properties is broken.
    RuleBroken = "rule_broken",
    /// The line is not in common or combined log format.
    MalformedLogLine = "malformed_log_line",
}

impl Reason {
    /// Returns the reason for a broken contract.
    pub(super) fn of_contract(broken: BrokenReason) -> Reason {
        match broken {
            BrokenReason::MissingProperty => Reason::MissingProperty,
            BrokenReason::WrongType => Reason::WrongType,
            BrokenReason::NotInEnum => Reason::NotInEnum,
            BrokenReason::OutOfRange => Reason::OutOfRange,
            BrokenReason::PatternMismatch => Reason::PatternMismatch,
            BrokenReason::InvalidFormat => Reason::InvalidFormat,
            BrokenReason::LengthOutOfRange => Reason::LengthOutOfRange,
            BrokenReason::UnknownProperty => Reason::UnknownProperty,
            BrokenReason::UnknownEvent => Reason::UnknownEvent,
            BrokenReason::RuleBroken => Reason::RuleBroken,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_snake_case() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'8')));
    }

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../../docs/contracts.md");
        for reason in Reason::ALL {
            assert!(docs.contains(&format!("| `{reason}` |")), "docs/contracts.md does not explain `{reason}`");
        }
    }
}
