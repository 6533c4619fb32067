//! The built-in contract `segment-envelope/1`: what an event must have to be accepted.
//!
//! Rules are looked at in a fixed order and the first one that is broken is reported. `docs/contracts.md` tells them to
//! the people who send events.

use super::fields::{Field, Fields};
use super::reason::Reason;
use super::scanner::{Kind, Value};
use super::settings::DecodeSettings;
use super::text::unescape;
use super::times::{Arrival, Times, times};
use super::violation::Violation;

/// Longest `messageId`, `anonymousId`, `userId`, `groupId` and `previousId`, in bytes of decoded text.
pub const MAX_ID_BYTES: usize = 255;

/// One of the six calls of the Segment spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Track,
    Page,
    Screen,
    Identify,
    Group,
    Alias,
}

impl Call {
    fn of(name: &[u8]) -> Option<Call> {
        Some(match name {
            b"track" => Call::Track,
            b"page" => Call::Page,
            b"screen" => Call::Screen,
            b"identify" => Call::Identify,
            b"group" => Call::Group,
            b"alias" => Call::Alias,
            _ => return None,
        })
    }

    /// Returns the field that becomes the column `event_name`.
    pub(super) fn name_field(self) -> Option<Field> {
        match self {
            Call::Track => Some(Field::Event),
            Call::Page | Call::Screen => Some(Field::Name),
            Call::Identify | Call::Group | Call::Alias => None,
        }
    }
}

/// What an accepted event has beside its fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) call: Call,
    pub(super) times: Times,
    pub(super) screen_width: Option<i32>,
    pub(super) screen_height: Option<i32>,
}

/// Checks an event; `received` is what is wrong with its `receivedAt`.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn check(
    bytes: &[u8],
    fields: &Fields,
    arrival: &Arrival,
    received: Option<Violation>,
    settings: &DecodeSettings,
) -> Result<Accepted, Violation> {
    let rules = Rules { bytes, fields };
    let call = rules.call()?;
    rules.required_id(Field::MessageId)?;
    rules.identities(call)?;
    if let Some(name) = call.name_field() {
        rules.text(name)?;
    }
    Field::OBJECTS.iter().try_for_each(|field| rules.object(*field))?;
    Field::CONTEXT_TEXTS.iter().try_for_each(|field| rules.text(*field))?;
    let screen_width = rules.pixels(Field::ScreenWidth)?;
    let screen_height = rules.pixels(Field::ScreenHeight)?;
    if let Some(violation) = received {
        return Err(violation);
    }
    let times = times(bytes, fields, arrival, settings)?;
    Ok(Accepted { call, times, screen_width, screen_height })
}

type Checked<T = ()> = Result<T, Violation>;

struct Rules<'a> {
    bytes: &'a [u8],
    fields: &'a Fields,
}

impl Rules<'_> {
    #[cold]
    fn broken<T>(&self, field: Field, reason: Reason, expected: &'static str) -> Checked<T> {
        Err(Violation::of_field(self.bytes, self.fields, field, reason, expected))
    }

    fn call(&self) -> Checked<Call> {
        const EXPECTED: &str = "one of track, page, screen, identify, group, alias";
        let value = self.fields.get(Field::Type);
        match value.kind {
            Kind::Absent | Kind::Null => self.broken(Field::Type, Reason::MissingKey, EXPECTED),
            Kind::Text | Kind::EscapedText | Kind::NulText => match Call::of(value.span.of(self.bytes)) {
                Some(call) => Ok(call),
                None => self.broken(Field::Type, Reason::UnknownType, EXPECTED),
            },
            _ => self.broken(Field::Type, Reason::WrongType, EXPECTED),
        }
    }

    /// Every event needs to know device or person; some calls need more.
    fn identities(&self, call: Call) -> Checked {
        self.id(Field::AnonymousId)?;
        self.id(Field::UserId)?;
        self.id(Field::GroupId)?;
        self.id(Field::PreviousId)?;
        let missing = |field: Field| self.fields.get(field).is_missing();
        if missing(Field::AnonymousId) && missing(Field::UserId) {
            return self.broken(Field::AnonymousId, Reason::MissingKey, "anonymousId or userId");
        }
        match call {
            Call::Track if missing(Field::Event) => {
                self.broken(Field::Event, Reason::MissingKey, "the name of the event, for a track call")
            }
            Call::Track if self.fields.get(Field::Event).is_text() && self.is_empty(Field::Event) => {
                self.broken(Field::Event, Reason::EmptyValue, "the name of the event, for a track call")
            }
            Call::Group if missing(Field::GroupId) => {
                self.broken(Field::GroupId, Reason::MissingKey, "groupId, for a group call")
            }
            Call::Alias if missing(Field::UserId) => {
                self.broken(Field::UserId, Reason::MissingKey, "userId, for an alias call")
            }
            Call::Alias if missing(Field::PreviousId) && missing(Field::AnonymousId) => {
                self.broken(Field::PreviousId, Reason::MissingKey, "previousId or anonymousId, for an alias call")
            }
            _ => Ok(()),
        }
    }

    fn is_empty(&self, field: Field) -> bool {
        self.fields.get(field).span.len() == 0
    }

    fn required_id(&self, field: Field) -> Checked {
        if self.fields.get(field).is_missing() {
            return self.broken(field, Reason::MissingKey, "a string of 1 to 255 bytes");
        }
        self.id(field)
    }

    /// An identifier is a string of 1 to 255 bytes; persons and groups may have integers for them.
    #[inline]
    fn id(&self, field: Field) -> Checked {
        const EXPECTED: &str = "a string of 1 to 255 bytes";
        let value = self.fields.get(field);
        match value.kind {
            Kind::Absent | Kind::Null => Ok(()),
            Kind::Text | Kind::EscapedText if value.span.len() == 0 => self.broken(field, Reason::EmptyValue, EXPECTED),
            Kind::Text | Kind::EscapedText if text_bytes(self.bytes, value) > MAX_ID_BYTES => {
                self.broken(field, Reason::ValueTooLong, EXPECTED)
            }
            Kind::Text | Kind::EscapedText => Ok(()),
            Kind::NulText => self.broken(field, Reason::NulCharacter, "a string without U+0000"),
            Kind::Number if may_be_integer(field) && is_integer(value.span.of(self.bytes)) => {
                if value.span.len() > MAX_ID_BYTES {
                    return self.broken(field, Reason::ValueTooLong, EXPECTED);
                }
                Ok(())
            }
            _ if may_be_integer(field) => self.broken(field, Reason::WrongType, "a string or an integer"),
            _ => self.broken(field, Reason::WrongType, "a string"),
        }
    }

    #[inline]
    fn text(&self, field: Field) -> Checked {
        match self.fields.get(field).kind {
            Kind::Absent | Kind::Null | Kind::Text | Kind::EscapedText => Ok(()),
            Kind::NulText => self.broken(field, Reason::NulCharacter, "a string without U+0000"),
            _ => self.broken(field, Reason::WrongType, "a string"),
        }
    }

    #[inline]
    fn object(&self, field: Field) -> Checked {
        match self.fields.get(field).kind {
            Kind::Absent | Kind::Null | Kind::Object => Ok(()),
            _ => self.broken(field, Reason::WrongType, "an object"),
        }
    }

    /// Pixels may come with a fraction (device-independent ones are); they are rounded.
    fn pixels(&self, field: Field) -> Checked<Option<i32>> {
        let value = self.fields.get(field);
        match value.kind {
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Number => match pixels(value.span.of(self.bytes)) {
                Some(pixels) => Ok(Some(pixels)),
                None => self.broken(field, Reason::NumberOutOfRange, "a number from 0 to 2147483647"),
            },
            _ => self.broken(field, Reason::WrongType, "a number"),
        }
    }
}

fn may_be_integer(field: Field) -> bool {
    matches!(field, Field::UserId | Field::GroupId | Field::PreviousId)
}

/// Returns whether the JSON number has neither fraction nor exponent.
pub(super) fn is_integer(number: &[u8]) -> bool {
    number.iter().all(|b| b.is_ascii_digit() || *b == b'-')
}

fn text_bytes(bytes: &[u8], value: Value) -> usize {
    let literal = value.span.of(bytes);
    if value.kind == Kind::Text || literal.len() <= MAX_ID_BYTES {
        return literal.len();
    }
    let mut text = Vec::new();
    unescape(literal, &mut text);
    text.len()
}

fn pixels(number: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(number).ok()?;
    if let Ok(whole) = text.parse::<i32>() {
        return (whole >= 0).then_some(whole);
    }
    let rounded = text.parse::<f64>().ok()?.round();
    (0.0..=f64::from(i32::MAX)).contains(&rounded).then_some(rounded as i32)
}
