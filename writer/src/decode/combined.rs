//! Access logs: each line becomes a `page` event.
//!
//! The device of a line is guessed from address and user agent, since a log knows nothing better; the event's identity
//! is made of its place and its bytes, so that reading the same file again gives the same ids.

use std::borrow::Cow;

use icefold_core::ShardId;
use icefold_core::timestamp::format_iso;
use xxhash_rust::xxh3::Xxh3;

use super::event_columns::EventColumns;
use super::fields::Field;
use super::log_line::{LogLine, Mistake, decoded};
use super::reason::Reason;
use super::rows::{Origin, Readable, Rows};
use super::scanner::Span;
use super::segment::Input;
use super::times::too_far_ahead;
use super::violation::{Violation, excerpt};
use crate::chunk::Chunk;
use crate::enrich::ip::parse_ip;

/// Contract of a line of an access log, written to every row made of one.
pub const ACCESS_LOG_CONTRACT: &str = "access-log/1";

/// `library_name` of events made of log lines.
pub const ACCESS_LOG_LIBRARY: &str = "icefold-combined";

/// Adds the rows of all lines of a chunk.
pub(super) fn read(chunk: &Chunk, input: &Input<'_>, rows: &mut Rows) {
    let mut at = 0;
    while at < input.bytes.len() {
        let line_end = input.line_end(at);
        let end = input.record_end(at, line_end);
        let text = &input.bytes[input.text_start(at).min(end)..end];
        // As between JSON events, a line of blanks is no record; any other byte makes it one.
        if !text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            let (bytes, source_offset, payload) = (input.bytes, input.start + at as i64, Span::new(at, end));
            let origin = Origin { bytes, source_offset, sub_offset: 0, envelope: None, payload, arrival_micros: 0 };
            line(chunk, input, text, origin, rows);
        }
        at = line_end + 1;
    }
}

fn line(chunk: &Chunk, input: &Input<'_>, text: &[u8], origin: Origin<'_>, rows: &mut Rows) {
    match parse(text, input) {
        Ok(line) => {
            let origin = Origin { arrival_micros: line.time_micros, ..origin };
            let message_id = message_id(&chunk.shard, &chunk.segment, &origin);
            rows.accept(&origin, ACCESS_LOG_CONTRACT, &[], |columns| write(&line, &message_id, columns));
        }
        Err(violation) => {
            let origin = Origin { arrival_micros: input.stream_micros, ..origin };
            rows.refuse(&origin, &violation, &Readable::default(), ACCESS_LOG_CONTRACT);
        }
    }
}

fn parse<'a>(payload: &'a [u8], input: &Input<'_>) -> Result<LogLine<'a>, Violation> {
    let max_bytes = input.settings.max_event_bytes;
    if payload.len() > max_bytes {
        let found = format!("{} bytes", payload.len());
        return Err(violation(Reason::EventTooLarge, format!("at most {max_bytes} bytes"), found));
    }
    let text = std::str::from_utf8(payload)
        .map_err(|e| violation(Reason::InvalidUtf8, "UTF-8", excerpt(&payload[e.valid_up_to()..])))?;
    if text.contains('\0') {
        return Err(violation(Reason::NulCharacter, "a line without U+0000", excerpt(payload)));
    }
    let line = LogLine::parse(text)
        .map_err(|Mistake { expected, at }| violation(Reason::MalformedLogLine, expected, excerpt(&payload[at..])))?;
    match too_far_ahead(line.time_micros, input.stream_micros) {
        Some(expected) => Err(violation(Reason::ImplausibleReceivedAt, expected, format_iso(line.time_micros))),
        None => Ok(line),
    }
}

fn violation(reason: Reason, expected: impl Into<Cow<'static, str>>, found: String) -> Violation {
    Violation { reason, pointer: None, expected: expected.into(), found: Some(found) }
}

/// Returns the 128-bit hash of place and bytes of a line, in hexadecimal.
fn message_id(shard: &ShardId, segment: &str, origin: &Origin<'_>) -> String {
    let mut hash = Xxh3::new();
    for part in [shard.as_str(), segment] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hash.update(&origin.source_offset.to_le_bytes());
    hash.update(origin.payload());
    format!("{:032x}", hash.digest128())
}

/// Returns the 128-bit hash of address and user agent, in hexadecimal.
fn device(line: &LogLine<'_>) -> String {
    let mut hash = Xxh3::new();
    hash.update(line.host.as_bytes());
    hash.update(&[0]);
    hash.update(line.agent.unwrap_or_default().as_bytes());
    format!("{:032x}", hash.digest128())
}

/// A request line: `GET /path?query HTTP/1.1`.
struct Request<'a> {
    method: &'a str,
    url: Option<&'a str>,
    path: &'a str,
    search: Option<&'a str>,
    protocol: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Takes a request apart; `None` when it is something else, which clients do send.
    fn parse(request: &'a str) -> Option<Self> {
        let (method, rest) = request.split_once(' ')?;
        let (target, protocol) = match rest.rsplit_once(' ') {
            Some((target, protocol)) if protocol.starts_with("HTTP/") => (target, Some(protocol)),
            _ => (rest, None),
        };
        let named = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphabetic());
        if !named || target.is_empty() {
            return None;
        }
        let absolute = target.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
        let local = match absolute {
            Some((_, behind)) => behind.find('/').map_or("/", |slash| &behind[slash..]),
            None => target,
        };
        let local = local.split('#').next().unwrap_or_default();
        let (path, search) = match local.find('?') {
            Some(mark) => (&local[..mark], Some(&local[mark..])),
            None => (local, None),
        };
        Some(Request { method, url: absolute.map(|_| target), path, search, protocol })
    }
}

fn write(line: &LogLine<'_>, message_id: &str, columns: &mut EventColumns) {
    let text = line.request.map(decoded);
    let request = text.as_deref().and_then(Request::parse);
    let [user, referrer, agent] = [line.user, line.referrer, line.agent].map(|logged| logged.map(decoded));
    let path = request.as_ref().map(|r| r.path);
    columns.message_id.push(message_id.as_bytes());
    columns.event_type.push(b"page");
    columns.event_name.push_option(path.map(str::as_bytes));
    columns.event_time.push(line.time_micros);
    columns.arrival_time.push(line.time_micros);
    columns.original_timestamp.push(None);
    columns.sent_at.push(None);
    columns.anonymous_id.push(device(line).as_bytes());
    columns.user_id.push_option(user.as_deref().map(str::as_bytes));
    columns.group_id.push_null();
    columns.previous_id.push_null();
    for (column, field) in columns.context_texts.iter_mut().zip(Field::CONTEXT_TEXTS) {
        let value = match field {
            Field::Ip => Some(line.host),
            Field::UserAgent => agent.as_deref(),
            Field::PageUrl => request.as_ref().and_then(|r| r.url),
            Field::PagePath => path,
            Field::PageReferrer => referrer.as_deref(),
            Field::PageSearch => request.as_ref().and_then(|r| r.search),
            Field::LibraryName => Some(ACCESS_LOG_LIBRARY),
            _ => None,
        };
        column.push_option(value.map(str::as_bytes));
    }
    columns.screen_width.push(None);
    columns.screen_height.push(None);
    columns.properties.push_with(|out| write_properties(line, text.as_deref(), request.as_ref(), out));
    columns.traits.push_null();
    columns.context.push_null();
    columns.extra.push_null();
    columns.client_hints.push_null();
}

/// Writes what has no column of its own, as a JSON object. A request that could not be taken apart is kept whole.
fn write_properties(line: &LogLine<'_>, text: Option<&str>, request: Option<&Request<'_>>, out: &mut Vec<u8>) {
    let quoted = |text: Option<&str>| text.map(|text| serde_json::Value::from(text).to_string());
    let members = [
        ("method", quoted(request.map(|r| r.method))),
        ("protocol", quoted(request.and_then(|r| r.protocol))),
        ("request", quoted(text.filter(|_| request.is_none()))),
        ("status", line.status.map(|status| status.to_string())),
        ("bytes", line.bytes.map(|bytes| bytes.to_string())),
        ("ident", quoted(line.ident.map(decoded).as_deref())),
        ("rest", quoted(line.rest.map(without_addresses).as_deref())),
    ];
    let members = members.into_iter().filter_map(|(key, json)| json.map(|json| format!("\"{key}\":{json}")));
    let members: Vec<_> = members.collect();
    out.extend_from_slice(format!("{{{}}}", members.join(",")).as_bytes());
}

/// Returns what a server appended, with `-` in the place of addresses: how much of an address may stand in `events` is said
/// for the column `ip` alone, and proxies' names of clients are addresses like those.
fn without_addresses(rest: &str) -> String {
    let is_around = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | ',' | ';' | '=');
    let parts = rest.split_inclusive(is_around).map(|part| {
        let token = part.trim_end_matches(is_around);
        match parse_ip(token.as_bytes()) {
            Some(_) => format!("-{}", &part[token.len()..]),
            None => part.to_owned(),
        }
    });
    parts.collect()
}
