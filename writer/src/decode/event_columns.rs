//! The columns of `events` that an event itself fills.

use arrow::array::ArrayRef;
use bytes::Bytes;
use icefold_core::Result;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{IntColumn, TextColumn, TimeColumn, ViewColumn};
use super::fields::Field;

/// Place of `library_name` among the texts of the context.
const LIBRARY_NAME: usize = Field::LibraryName as usize - Field::Ip as usize;

/// Texts of the context, in the order of the columns of `events` from `ip` on.
pub(super) const CONTEXT_TEXTS: usize = 23;

/// Columns of `events` from `message_id` to `extra`, in that order.
#[derive(Default)]
pub(super) struct EventColumns {
    pub(super) message_id: TextColumn,
    pub(super) event_type: TextColumn,
    pub(super) event_name: TextColumn,
    pub(super) event_time: TimeColumn,
    pub(super) arrival_time: TimeColumn,
    pub(super) original_timestamp: TimeColumn,
    pub(super) sent_at: TimeColumn,
    pub(super) anonymous_id: TextColumn,
    pub(super) user_id: TextColumn,
    pub(super) group_id: TextColumn,
    pub(super) previous_id: TextColumn,
    /// From `ip` to `library_version`.
    pub(super) context_texts: [TextColumn; CONTEXT_TEXTS],
    pub(super) screen_width: IntColumn,
    pub(super) screen_height: IntColumn,
    pub(super) properties: ViewColumn,
    pub(super) traits: ViewColumn,
    pub(super) context: ViewColumn,
    pub(super) extra: ViewColumn,
    /// Not of the table: what enrichment reads.
    pub(super) client_hints: ViewColumn,
}

/// Where the next event's keys begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    message_id: usize,
    event_type: usize,
    event_name: usize,
    library_name: usize,
    anonymous_id: usize,
    user_id: usize,
}

/// The keys of the event that was added last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) shape: u32,
    pub(super) message_id: &'a [u8],
    pub(super) anonymous_id: Option<&'a [u8]>,
    pub(super) user_id: Option<&'a [u8]>,
}

impl EventColumns {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            message_id: self.message_id.mark(),
            event_type: self.event_type.mark(),
            event_name: self.event_name.mark(),
            library_name: self.context_texts[LIBRARY_NAME].mark(),
            anonymous_id: self.anonymous_id.mark(),
            user_id: self.user_id.mark(),
        }
    }

    /// Returns the keys of the one event added after `mark`, decoded. An accepted event's keys are never empty.
    pub(super) fn since(&self, mark: Mark) -> Keys<'_> {
        let present = |key: &'_ [u8]| !key.is_empty();
        Keys {
            shape: shape(
                self.context_texts[LIBRARY_NAME].since(mark.library_name),
                self.event_type.since(mark.event_type),
                self.event_name.since(mark.event_name),
            ),
            message_id: self.message_id.since(mark.message_id),
            anonymous_id: Some(self.anonymous_id.since(mark.anonymous_id)).filter(|k| present(k)),
            user_id: Some(self.user_id.since(mark.user_id)).filter(|k| present(k)),
        }
    }

    /// Returns the columns in order, without the client hints, and leaves empty ones. `chunk` are the bytes that were decoded.
    pub(super) fn finish(&mut self, chunk: &Bytes) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(CONTEXT_TEXTS + 24);
        for text in [&mut self.message_id, &mut self.event_type, &mut self.event_name] {
            columns.push(text.finish()?);
        }
        for time in [&mut self.event_time, &mut self.arrival_time, &mut self.original_timestamp, &mut self.sent_at] {
            columns.push(time.finish());
        }
        for id in [&mut self.anonymous_id, &mut self.user_id, &mut self.group_id, &mut self.previous_id] {
            columns.push(id.finish()?);
        }
        for text in &mut self.context_texts {
            columns.push(text.finish()?);
        }
        columns.push(self.screen_width.finish());
        columns.push(self.screen_height.finish());
        for json in [&mut self.properties, &mut self.traits, &mut self.context, &mut self.extra] {
            columns.push(json.finish(chunk)?);
        }
        Ok(columns)
    }
}

/// Returns a number by which events of one library come together, then those of one type and name.
fn shape(library: &[u8], event_type: &[u8], name: &[u8]) -> u32 {
    let hash = |text| xxh3_64(text) as u32;
    hash(library) << 24 | (hash(event_type) & 0xff) << 16 | hash(name) & 0xffff
}
