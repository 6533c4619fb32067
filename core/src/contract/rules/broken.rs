//! What is wrong with a value: a stable reason code and what was expected.

use std::fmt;
use std::sync::Arc;

/// Why a value does not pass. The codes go to `quarantine.reason`: they are added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BrokenReason {
    /// A required property is absent or null.
    MissingProperty,
    /// The value has another JSON type.
    WrongType,
    /// The value is none of those that are listed.
    NotInEnum,
    /// A number, date or time lies outside its bounds.
    OutOfRange,
    /// A text does not match its pattern.
    PatternMismatch,
    /// A text is no date, time, UUID or the like.
    InvalidFormat,
    /// A text or array is too short or too long.
    LengthOutOfRange,
    /// The contract does not know the property, and wants to know all.
    UnknownProperty,
    /// No contract knows the event, and one wants to know all.
    UnknownEvent,
    /// Several properties do not go together.
    RuleBroken,
}

impl BrokenReason {
    /// Every reason.
    pub const ALL: [BrokenReason; 10] = [
        BrokenReason::MissingProperty,
        BrokenReason::WrongType,
        BrokenReason::NotInEnum,
        BrokenReason::OutOfRange,
        BrokenReason::PatternMismatch,
        BrokenReason::InvalidFormat,
        BrokenReason::LengthOutOfRange,
        BrokenReason::UnknownProperty,
        BrokenReason::UnknownEvent,
        BrokenReason::RuleBroken,
    ];

    /// Returns the stable snake_case code.
    pub fn as_str(self) -> &'static str {
        match self {
            BrokenReason::MissingProperty => "missing_property",
            BrokenReason::WrongType => "wrong_type",
            BrokenReason::NotInEnum => "not_in_enum",
            BrokenReason::OutOfRange => "out_of_range",
            BrokenReason::PatternMismatch => "pattern_mismatch",
            BrokenReason::InvalidFormat => "invalid_format",
            BrokenReason::LengthOutOfRange => "length_out_of_range",
            BrokenReason::UnknownProperty => "unknown_property",
            BrokenReason::UnknownEvent => "unknown_event",
            BrokenReason::RuleBroken => "rule_broken",
        }
    }
}

impl fmt::Display for BrokenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Why.
    pub reason: BrokenReason,
    /// What the contract asks for; made once, when contracts are compiled.
    pub expected: Arc<str>,
}

/// What is wrong with an object as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenObject<'a> {
    /// The property that it is about.
    pub key: &'a [u8],
    /// What is wrong.
    pub broken: Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../../../docs/contract-format.md");
        for reason in BrokenReason::ALL {
            assert!(docs.contains(&format!("| `{reason}` |")), "docs/contract-format.md does not explain `{reason}`");
        }
    }
}
