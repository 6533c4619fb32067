//! From the fields of an event to columns.

use super::columns::{TextColumn, ViewColumn};
use super::contract::{Accepted, Call, is_integer};
use super::event::{Event, Leftover};
use super::event_columns::{CONTEXT_TEXTS, EventColumns};
use super::fields::{Field, Fields};
use super::rows::Readable;
use super::scanner::{Kind, Span, Value};
use super::text::unescape;

const _: () = assert!(Field::CONTEXT_TEXTS.len() == CONTEXT_TEXTS);

/// Adds one value to every column.
pub(super) fn write_event(
    bytes: &[u8],
    event: &Event,
    accepted: &Accepted,
    arrival_micros: i64,
    columns: &mut EventColumns,
) {
    let fields = &event.fields;
    let name = accepted.call.name_field();
    push_text(&mut columns.message_id, bytes, fields.get(Field::MessageId));
    push_text(&mut columns.event_type, bytes, fields.get(Field::Type));
    push_text(&mut columns.event_name, bytes, name.map(|f| fields.get(f)).unwrap_or_default());
    columns.event_time.push(accepted.times.event);
    columns.arrival_time.push(arrival_micros);
    columns.original_timestamp.push(accepted.times.original);
    columns.sent_at.push(accepted.times.sent_at);
    push_text(&mut columns.anonymous_id, bytes, fields.get(Field::AnonymousId));
    push_text(&mut columns.user_id, bytes, fields.get(Field::UserId));
    push_text(&mut columns.group_id, bytes, fields.get(Field::GroupId));
    push_text(&mut columns.previous_id, bytes, fields.get(Field::PreviousId));
    for (column, field) in columns.context_texts.iter_mut().zip(Field::CONTEXT_TEXTS) {
        push_text(column, bytes, fields.get(*field));
    }
    columns.screen_width.push(accepted.screen_width);
    columns.screen_height.push(accepted.screen_height);
    push_object(&mut columns.properties, bytes, fields.get(Field::Properties));
    push_object(&mut columns.traits, bytes, fields.get(Field::Traits));
    push_context(&mut columns.context, bytes, &event.leftovers);
    push_extra(&mut columns.extra, bytes, event, accepted.call);
    match event.client_hints {
        Some(hints) => columns.client_hints.push_piece(bytes, hints),
        None => columns.client_hints.push_null(),
    }
}

/// Adds a string, or an integer's decimal text; null when there is neither.
#[inline]
fn push_text(column: &mut TextColumn, bytes: &[u8], value: Value) {
    match value.kind {
        Kind::Text | Kind::Number => column.push(value.span.of(bytes)),
        Kind::EscapedText => column.push_with(|out| unescape(value.span.of(bytes), out)),
        _ => column.push_null(),
    }
}

fn push_object(column: &mut ViewColumn, bytes: &[u8], value: Value) {
    match value.kind {
        Kind::Object => column.push_piece(bytes, value.span),
        _ => column.push_null(),
    }
}

/// Writes the members of a JSON object one after another.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    bytes: &'a [u8],
    empty: bool,
}

impl<'a> Members<'a> {
    fn open(out: &'a mut Vec<u8>, bytes: &'a [u8]) -> Self {
        out.push(b'{');
        Members { out, bytes, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn separate(&mut self) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
    }

    /// Writes key and value as they were received.
    fn copy(&mut self, leftover: &Leftover) {
        self.separate();
        self.out.extend_from_slice(leftover.key.json().of(self.bytes));
        self.out.push(b':');
        self.out.extend_from_slice(leftover.value.json().of(self.bytes));
    }

    /// Writes the key of a field; its value is to follow.
    fn key(&mut self, field: Field) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(field.key().as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Adds what the context has beyond the fields: its own members first, then those of its groups.
fn push_context(column: &mut ViewColumn, bytes: &[u8], leftovers: &[Leftover]) {
    let of = |parent: Field| leftovers.iter().filter(move |l| l.parent == Some(parent));
    if leftovers.iter().all(|l| l.parent.is_none()) {
        return column.push_null();
    }
    column.push_with(|out| {
        let mut members = Members::open(out, bytes);
        of(Field::Context).for_each(|leftover| members.copy(leftover));
        for group in Field::GROUPS.iter().filter(|group| of(**group).next().is_some()) {
            members.key(*group);
            let mut inner = Members::open(&mut *members.out, bytes);
            of(*group).for_each(|leftover| inner.copy(leftover));
            inner.close();
        }
        members.close();
    });
}

/// Adds the event's own keys that have no column, also `event` and `name` of calls that have no such thing.
fn push_extra(column: &mut ViewColumn, bytes: &[u8], event: &Event, call: Call) {
    let named = call.name_field();
    let unnamed = [Field::Event, Field::Name].into_iter().filter(|f| Some(*f) != named);
    let values = unnamed.map(|f| (f, event.fields.get(f))).filter(|(_, value)| !value.is_missing());
    let mut leftovers = event.leftovers.iter().filter(|l| l.parent.is_none()).peekable();
    let mut values = values.peekable();
    if leftovers.peek().is_none() && values.peek().is_none() {
        return column.push_null();
    }
    column.push_with(|out| {
        let mut members = Members::open(out, bytes);
        for (field, value) in values {
            members.key(field);
            members.out.extend_from_slice(value.json().of(bytes));
        }
        leftovers.for_each(|leftover| members.copy(leftover));
        members.close();
    });
}

/// Returns what can be read of a malformed event.
pub(super) fn readable(bytes: &[u8], fields: &Fields) -> Readable {
    let text = |field: Field| text_of(bytes, fields.get(field));
    Readable {
        event_type: text(Field::Type),
        event_name: text(Field::Event).or_else(|| text(Field::Name)),
        message_id: text(Field::MessageId),
        anonymous_id: text(Field::AnonymousId),
        user_id: text(Field::UserId),
        library_name: text(Field::LibraryName),
        library_version: text(Field::LibraryVersion),
    }
}

fn text_of(bytes: &[u8], value: Value) -> Option<Vec<u8>> {
    let literal: Span = value.span;
    let literal = literal.of(bytes);
    match value.kind {
        Kind::Text if !literal.is_empty() => Some(literal.to_vec()),
        Kind::Number if is_integer(literal) => Some(literal.to_vec()),
        Kind::EscapedText => {
            let mut text = Vec::with_capacity(literal.len());
            unescape(literal, &mut text);
            Some(text)
        }
        _ => None,
    }
}
