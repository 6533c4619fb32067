//! The mistakes of real life that make an event malformed.

use super::random::Random;
use super::text::Put;

/// One way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mistake {
    /// The line was cut off.
    Truncated,
    /// A quotation mark was lost.
    LostQuote,
    /// A comma stands before the closing brace.
    TrailingComma,
    /// `NaN`, as a careless server writes it.
    NotANumber,
    /// Not JSON at all: an error page of a proxy.
    ErrorPage,
    /// A byte of Latin-1 in UTF-8 text.
    InvalidUtf8,
    /// A raw NUL inside a string.
    NulByte,
    /// No `messageId`.
    NoMessageId,
    /// An empty `messageId`.
    EmptyMessageId,
    /// `messageId` is a number.
    NumericMessageId,
    /// Two `messageId` in one event.
    TwoMessageIds,
    /// Neither `anonymousId` nor `userId`.
    NoIdentity,
    /// `userId` is an object.
    ObjectUserId,
    /// `context` is an array.
    ArrayContext,
    /// `properties` or `traits` is JSON wrapped in a string.
    StringBody,
    /// No `type`.
    NoType,
    /// A `type` that the spec does not know.
    UnknownType,
    /// A track call without `event`.
    NoEventName,
    /// A time that is none.
    UnreadableTime,
    /// The client's clock stands at 1970.
    TimeZero,
    /// The event happened in the year 2038.
    TimeAhead,
}

impl Mistake {
    /// Every mistake.
    pub(crate) const ALL: &'static [Mistake] = &[
        Mistake::Truncated,
        Mistake::LostQuote,
        Mistake::TrailingComma,
        Mistake::NotANumber,
        Mistake::ErrorPage,
        Mistake::InvalidUtf8,
        Mistake::NulByte,
        Mistake::NoMessageId,
        Mistake::EmptyMessageId,
        Mistake::NumericMessageId,
        Mistake::TwoMessageIds,
        Mistake::NoIdentity,
        Mistake::ObjectUserId,
        Mistake::ArrayContext,
        Mistake::StringBody,
        Mistake::NoType,
        Mistake::UnknownType,
        Mistake::NoEventName,
        Mistake::UnreadableTime,
        Mistake::TimeZero,
        Mistake::TimeAhead,
    ];

    /// Returns the name in the expectation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mistake::Truncated => "truncated line",
            Mistake::LostQuote => "lost quotation mark",
            Mistake::TrailingComma => "trailing comma",
            Mistake::NotANumber => "NaN",
            Mistake::ErrorPage => "not JSON",
            Mistake::InvalidUtf8 => "invalid UTF-8",
            Mistake::NulByte => "NUL byte",
            Mistake::NoMessageId => "no messageId",
            Mistake::EmptyMessageId => "empty messageId",
            Mistake::NumericMessageId => "numeric messageId",
            Mistake::TwoMessageIds => "two messageIds",
            Mistake::NoIdentity => "neither anonymousId nor userId",
            Mistake::ObjectUserId => "userId is an object",
            Mistake::ArrayContext => "context is an array",
            Mistake::StringBody => "properties in a string",
            Mistake::NoType => "no type",
            Mistake::UnknownType => "unknown type",
            Mistake::NoEventName => "no event name",
            Mistake::UnreadableTime => "unreadable time",
            Mistake::TimeZero => "time zero",
            Mistake::TimeAhead => "time ahead",
        }
    }

    /// Makes one of the mistakes in `line`, which is a good event, and returns which. What does not suit the event
    /// (a page call has no `event` to lose) becomes a lost `messageId`.
    pub(crate) fn make(random: &mut Random, line: &mut Vec<u8>) -> Mistake {
        let mistake = *random.pick(Self::ALL);
        if mistake.edit(random, line).is_some() {
            return mistake;
        }
        // Every good event has one, so this edit never fails.
        let _ = Mistake::NoMessageId.edit(random, line);
        Mistake::NoMessageId
    }

    /// Returns `None` and leaves `line` as it was when the mistake does not suit it.
    fn edit(self, random: &mut Random, line: &mut Vec<u8>) -> Option<()> {
        match self {
            Mistake::Truncated => {
                let length = line.len() as u64;
                line.truncate((length / 5 + random.below(length * 3 / 5)) as usize);
            }
            Mistake::LostQuote => {
                let end = value_of(line, "messageId")?.end - 1;
                line.remove(end);
            }
            Mistake::TrailingComma => {
                let end = line.len() - 1;
                line.insert(end, b',');
            }
            Mistake::NotANumber => insert(line, "{", r#""score":NaN,"#)?,
            Mistake::ErrorPage => {
                line.clear();
                "<html><head><title>502 Bad Gateway</title></head><body>upstream timed out</body></html>".put(line);
            }
            Mistake::InvalidUtf8 => insert(line, r#""messageId":""#, b"caf\xe9-".as_slice())?,
            Mistake::NulByte => insert(line, r#""messageId":""#, b"\0".as_slice())?,
            Mistake::NoMessageId => remove(line, "messageId")?,
            Mistake::EmptyMessageId => replace(line, "messageId", r#""""#)?,
            Mistake::NumericMessageId => replace(line, "messageId", "1768435200123")?,
            Mistake::TwoMessageIds => insert(line, "{", r#""messageId":"retry-1","#)?,
            Mistake::NoIdentity => {
                let device = remove(line, "anonymousId");
                remove(line, "userId").or(device)?;
            }
            Mistake::ObjectUserId => replace(line, "userId", r#"{"id":17}"#)?,
            Mistake::ArrayContext => replace_object(line, "context", "[]")?,
            Mistake::StringBody => {
                let body = if find(line, br#","properties":{"#).is_some() { "properties" } else { "traits" };
                replace_object(line, body, r#""{\"plan\":\"free\"}""#)?;
            }
            Mistake::NoType => remove(line, "type")?,
            Mistake::UnknownType => replace(line, "type", r#""pageview""#)?,
            Mistake::NoEventName => remove(line, "event")?,
            Mistake::UnreadableTime => replace(line, time_key(line), r#""yesterday at noon""#)?,
            Mistake::TimeZero => replace(line, time_key(line), r#""1970-01-01T00:00:00.000Z""#)?,
            Mistake::TimeAhead => replace(line, time_key(line), r#""2038-01-19T03:14:08.000Z""#)?,
        }
        Some(())
    }
}

fn time_key(line: &[u8]) -> &'static str {
    if find(line, br#""originalTimestamp":"#).is_some() { "originalTimestamp" } else { "timestamp" }
}

fn find(line: &[u8], what: &[u8]) -> Option<usize> {
    line.windows(what.len()).position(|window| window == what)
}

/// Returns where the value of the top-level `key` stands; the value is a string or `null`. The generator writes the
/// keys in question nowhere else in this form, but for `type`, whose first place is the top level.
fn value_of(line: &[u8], key: &str) -> Option<std::ops::Range<usize>> {
    let start = find(line, format!("\"{key}\":").as_bytes())? + key.len() + 3;
    let length = match line[start] {
        b'"' => 2 + line[start + 1..].iter().position(|b| *b == b'"')?,
        _ => line[start..].iter().position(|b| matches!(b, b',' | b'}'))?,
    };
    Some(start..start + length)
}

fn replace(line: &mut Vec<u8>, key: &str, value: &str) -> Option<()> {
    let range = value_of(line, key)?;
    line.splice(range, value.bytes());
    Some(())
}

/// Removes a member and the comma that separated it.
fn remove(line: &mut Vec<u8>, key: &str) -> Option<()> {
    let value = value_of(line, key)?;
    let start = value.start - key.len() - 3;
    if line.get(value.end) == Some(&b',') {
        line.drain(start..value.end + 1);
    } else {
        line.drain(start - 1..value.end);
    }
    Some(())
}

/// Replaces the object under `key` by `value`.
fn replace_object(line: &mut Vec<u8>, key: &str, value: &str) -> Option<()> {
    let start = find(line, format!("\"{key}\":{{").as_bytes())? + key.len() + 3;
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let length = line[start..].iter().position(|byte| {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{') => depth += 1,
            (false, b'}') => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    line.splice(start..=start + length, value.bytes());
    Some(())
}

fn insert(line: &mut Vec<u8>, after: &str, what: impl AsRef<[u8]>) -> Option<()> {
    let at = find(line, after.as_bytes())? + after.len();
    line.splice(at..at, what.as_ref().iter().copied());
    Some(())
}
