//! When an event arrived and when it happened.

use std::borrow::Cow;

use super::fields::{Field, Fields};
use super::reason::Reason;
use super::scanner::Kind;
use super::settings::DecodeSettings;
use super::text::unescape;
use super::violation::Violation;
use icefold_core::timestamp::{EXPECTED, format_iso, parse_iso, parse_millis};

/// How far an arrival that an event tells (`receivedAt`, the time of a log line) may lie after the time of the stream: the
/// clock of a collector or server against the broker's.
pub const MAX_RECEIVED_AHEAD_SECONDS: i64 = 24 * 3_600;

const MICROS: i64 = 1_000_000;

/// When an event reached the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    /// `receivedAt` if it is there and plausible, else the time of the stream. Microseconds since 1970.
    pub(super) micros: i64,
    /// `receivedAt` if it is there and plausible.
    received_at: Option<i64>,
}

/// The times of an accepted event, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) event: i64,
    pub(super) original: Option<i64>,
    pub(super) sent_at: Option<i64>,
}

/// Finds out when an event arrived; with a violation if its `receivedAt` is no time or an implausible one.
pub(super) fn arrival(bytes: &[u8], fields: &Fields, stream_micros: i64) -> (Arrival, Option<Violation>) {
    let by_stream = Arrival { micros: stream_micros, received_at: None };
    let received_at = match read(bytes, fields, Field::ReceivedAt) {
        Ok(None) => return (by_stream, None),
        Ok(Some(received_at)) => received_at,
        Err(violation) => return (by_stream, Some(violation)),
    };
    if let Some(expected) = too_far_ahead(received_at, stream_micros) {
        let reason = Reason::ImplausibleReceivedAt;
        return (by_stream, Some(Violation::of_field(bytes, fields, Field::ReceivedAt, reason, expected)));
    }
    (Arrival { micros: received_at, received_at: Some(received_at) }, None)
}

/// Says what is expected of a told arrival, if it lies too far after the time of the stream. A stream that stands at 1970 or
/// before has none to compare with: so do archives that keep no times set their files.
pub(super) fn too_far_ahead(told_micros: i64, stream_micros: i64) -> Option<String> {
    let latest = stream_micros.saturating_add(MAX_RECEIVED_AHEAD_SECONDS * MICROS);
    (stream_micros > 0 && told_micros > latest).then(|| format!("at most {}", format_iso(latest)))
}

/// Finds out when an event happened.
///
/// | client's time `c` | `sentAt` and `receivedAt` | event time |
/// |---|---|---|
/// | `timestamp` beside `originalTimestamp` | any | `timestamp`: a server corrected it before |
/// | the one of the two that is there | both there | `receivedAt - (sentAt - c)` |
/// | the one of the two that is there | one or none | `c` |
/// | none | any | arrival |
///
/// # Errors
/// A violation when a time cannot be read or the event's lies too far from its arrival.
pub(super) fn times(
    bytes: &[u8],
    fields: &Fields,
    arrival: &Arrival,
    settings: &DecodeSettings,
) -> Result<Times, Violation> {
    let timestamp = read(bytes, fields, Field::Timestamp)?;
    let original = read(bytes, fields, Field::OriginalTimestamp)?;
    let sent_at = read(bytes, fields, Field::SentAt)?;
    let event = match (timestamp, original) {
        (Some(corrected), Some(_)) => corrected,
        (Some(client), None) | (None, Some(client)) => match (sent_at, arrival.received_at) {
            (Some(sent_at), Some(received_at)) => received_at - (sent_at - client),
            _ => client,
        },
        (None, None) => arrival.micros,
    };
    check_plausible(bytes, fields, event, arrival, settings)?;
    Ok(Times { event, original: original.or(timestamp), sent_at })
}

/// Without an arrival (a stream that stands at 1970, and no `receivedAt`) there is nothing to compare with.
fn check_plausible(
    bytes: &[u8],
    fields: &Fields,
    event: i64,
    arrival: &Arrival,
    settings: &DecodeSettings,
) -> Result<(), Violation> {
    let earliest = arrival.micros.saturating_sub(i64::from(settings.max_past_seconds) * MICROS);
    let latest = arrival.micros.saturating_add(i64::from(settings.max_future_seconds) * MICROS);
    if (earliest..=latest).contains(&event) || (arrival.micros <= 0 && arrival.received_at.is_none()) {
        return Ok(());
    }
    let field = if fields.get(Field::Timestamp).is_missing() { Field::OriginalTimestamp } else { Field::Timestamp };
    let expected = format!("an event time from {} to {}", format_iso(earliest), format_iso(latest));
    let mut violation = Violation::of_field(bytes, fields, field, Reason::ImplausibleTime, expected);
    violation.found = Some(format_iso(event));
    Err(violation)
}

fn read(bytes: &[u8], fields: &Fields, field: Field) -> Result<Option<i64>, Violation> {
    let value = fields.get(field);
    let text = value.span.of(bytes);
    let time = match value.kind {
        Kind::Absent | Kind::Null => return Ok(None),
        Kind::Text => parse_iso(text),
        Kind::EscapedText => parse_iso(&unescaped(text)),
        Kind::Number => parse_millis(text),
        Kind::NulText => None,
        Kind::Bool | Kind::Object | Kind::Array => {
            return Err(Violation::of_field(bytes, fields, field, Reason::WrongType, EXPECTED));
        }
    };
    match time {
        Some(time) => Ok(Some(time)),
        None => Err(Violation::of_field(bytes, fields, field, Reason::InvalidTimestamp, EXPECTED)),
    }
}

fn unescaped(literal: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Vec::with_capacity(literal.len());
    unescape(literal, &mut text);
    Cow::Owned(text)
}
