//! Rows of the quarantine, and how each goes back into the record that it came in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use icefold_catalog::{BatchFile, LoadedTable};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};
use icefold_files::ParquetFile;

use super::{Choice, EventPlace};
use crate::chunk::Chunk;
use crate::columns::extended;
use crate::decode::{ACCESS_LOG_CONTRACT, InputFormat, Reason, place_of_events};

/// Columns that name a place in the stream.
const PLACE: [&str; 4] = ["shard", "segment", "source_offset", "sub_offset"];

/// Columns of a file of the quarantine.
pub(super) struct Quarantined<'a> {
    pub(super) reason: &'a StringArray,
    contract: &'a StringArray,
    pub(super) stream_time: &'a TimestampMicrosecondArray,
    shard: &'a StringArray,
    segment: &'a StringArray,
    source_offset: &'a arrow::array::Int64Array,
    sub_offset: &'a Int32Array,
    envelope: ArrayRef,
    payload: ArrayRef,
}

impl<'a> Quarantined<'a> {
    pub(super) fn of(rows: &'a RecordBatch) -> Result<Self> {
        let odd = || Error::corrupt("a file of `quarantine` has columns of other types than the table");
        let column = |name: &str| rows.columns().get(TableKind::Quarantine.index_of(name)).ok_or_else(odd);
        let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(odd);
        let bytes = |name: &str| {
            let cast = arrow::compute::cast(column(name)?, &arrow::datatypes::DataType::LargeBinary);
            cast.map_err(|e| odd().because(e))
        };
        Ok(Quarantined {
            reason: text("reason")?,
            contract: text("contract")?,
            stream_time: column("stream_time")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?,
            shard: text("shard")?,
            segment: text("segment")?,
            source_offset: column("source_offset")?.as_primitive_opt::<Int64Type>().ok_or_else(odd)?,
            sub_offset: column("sub_offset")?.as_primitive_opt::<Int32Type>().ok_or_else(odd)?,
            envelope: bytes("batch_envelope")?,
            payload: bytes("payload")?,
        })
    }

    pub(super) fn is_chosen(&self, row: usize, choice: &Choice) -> bool {
        choice.reason.as_ref().is_none_or(|reason| reason == self.reason.value(row))
            && choice.contract.as_ref().is_none_or(|contract| contract == self.contract.value(row))
    }

    /// Returns what the row was read as when it came in.
    pub(super) fn format(&self, row: usize) -> InputFormat {
        match self.contract.value(row) {
            ACCESS_LOG_CONTRACT => InputFormat::Combined,
            _ => InputFormat::Segment,
        }
    }

    /// Returns whether the row is all that a decoder of this format would have seen. Of a record that was too large only
    /// the beginning was kept; an event of a batch is a part of the line that another format would read.
    pub(super) fn can_be_read_as(&self, row: usize, format: InputFormat) -> bool {
        let is_whole_line = self.envelope.is_null(row) && self.sub_offset.value(row) == 0;
        self.reason.value(row) != Reason::RecordTooLarge.as_str() && (format == self.format(row) || is_whole_line)
    }

    pub(super) fn place(&self, row: usize) -> EventPlace {
        let text = |column: &StringArray| column.value(row).to_owned();
        let (source_offset, sub_offset) = (self.source_offset.value(row), self.sub_offset.value(row));
        EventPlace {
            shard: ShardId::new(self.shard.value(row)),
            segment: text(self.segment),
            source_offset,
            sub_offset,
        }
    }

    pub(super) fn places(&self) -> Vec<EventPlace> {
        (0..self.reason.len()).map(|row| self.place(row)).collect()
    }

    /// Puts an event back into the record that it came in, at its place; what it says of its arrival is compared with now.
    pub(super) fn chunk(&self, row: usize, now_micros: i64) -> Chunk {
        let (envelope, payload) = (self.envelope.as_binary::<i64>(), self.payload.as_binary::<i64>());
        let envelope = (!envelope.is_null(row)).then(|| envelope.value(row));
        let bytes = record(payload.value(row), envelope);
        let start = u64::try_from(self.source_offset.value(row)).unwrap_or(0);
        let segment: Arc<str> = self.segment.value(row).into();
        let end = Offset { segment: segment.clone(), position: start + bytes.len() as u64 };
        Chunk {
            shard: ShardId::new(self.shard.value(row)),
            from: Offset { segment: segment.clone(), position: start },
            to: ShardPosition::at(end),
            segment,
            start,
            bytes: Bytes::from(bytes),
            stream_time_micros: match self.reason.value(row) == Reason::ImplausibleReceivedAt.as_str() {
                // It tells its arrival, and files may have been given older times than they have.
                true => now_micros,
                false => self.stream_time.value(row),
            },
            oversized: None,
            sub_offsets: None,
        }
    }

    /// Gives an event that was decoded alone its index inside its record, its time of the stream, and the person that it names.
    pub(super) fn completed(&self, events: RecordBatch, row: usize) -> Result<RecordBatch> {
        let index = TableKind::Events.index_of("sub_offset");
        let mut columns = events.columns().to_vec();
        columns[index] = Arc::new(Int32Array::from(vec![self.sub_offset.value(row)]));
        let time = TimestampMicrosecondArray::from(vec![self.stream_time.value(row)]).with_timezone("+00:00");
        columns[TableKind::Events.index_of("stream_time")] = Arc::new(time);
        let users = columns[TableKind::Events.index_of("user_id")].clone();
        let says_so = (!users.is_null(0)).then_some("event");
        let rows = RecordBatch::try_new(events.schema(), columns)
            .map_err(|e| Error::bug("a decoded event has other columns").because(e))?;
        let reason: ArrayRef = Arc::new(StringArray::from(vec![says_so]));
        extended(rows, vec![("resolved_user_id", users), ("resolved_by", reason)])
    }
}

/// Reads the places of the events in data files of a table.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file cannot be read; errors of the store.
pub(super) async fn places_in(table: &LoadedTable, files: &[BatchFile]) -> Result<Vec<EventPlace>> {
    let schema = table.metadata().current_schema();
    let ids: Option<Vec<i32>> = PLACE.iter().map(|name| schema.field_by_name(name).map(|field| field.id)).collect();
    let ids = ids.ok_or_else(|| Error::invalid(format!("`{}` lacks the columns of a place", table.name())))?;
    let mut places = Vec::new();
    for stated in files {
        let file = ParquetFile::open(table.store(), &stated.path, stated.bytes).await?;
        for rows in file.read(&ids, file.row_groups_reaching(-1, 0)).await? {
            let odd = || Error::corrupt(format!("`{}` has columns of other types than its table", stated.path));
            places.extend(places_of(&rows?).ok_or_else(odd)?);
        }
    }
    Ok(places)
}

/// `None` when a column is of another type.
fn places_of(rows: &RecordBatch) -> Option<Vec<EventPlace>> {
    let text = |column: usize| rows.column(column).as_string_opt::<i32>();
    let (shards, segments) = (text(0)?, text(1)?);
    let offsets = rows.column(2).as_primitive_opt::<Int64Type>()?;
    let subs = rows.column(3).as_primitive_opt::<Int32Type>()?;
    let place = |row| EventPlace {
        shard: ShardId::new(shards.value(row)),
        segment: segments.value(row).to_owned(),
        source_offset: offsets.value(row),
        sub_offset: subs.value(row),
    };
    Some((0..rows.num_rows()).map(place).collect())
}

/// Returns a record of one event. `envelope` is what stood before and behind the events of a batch, or nothing.
pub fn record(payload: &[u8], envelope: Option<&[u8]>) -> Vec<u8> {
    let around = envelope.and_then(|envelope| Some(envelope.split_at(place_of_events(envelope)?)));
    let (before, behind) = around.unwrap_or_default();
    [before, payload, behind, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_put_back_into_what_surrounded_it() {
        let shown = |envelope: Option<&[u8]>| String::from_utf8(record(b"{}", envelope)).expect("text");
        assert_eq!(shown(None), "{}\n");
        assert_eq!(shown(Some(b"[]")), "[{}]\n");
        for (envelope, expected) in [
            (r#"{"a":[],"batch":[],"sentAt":1}"#, r#"{"a":[],"batch":[{}],"sentAt":1}"#),
            (r#"{"type":"batch","tags":[],"batch":[]}"#, r#"{"type":"batch","tags":[],"batch":[{}]}"#),
            (r#"{"context":{"batch":[]},"batch" : []}"#, r#"{"context":{"batch":[]},"batch" : [{}]}"#),
            ("\u{feff} []", "\u{feff} [{}]"),
        ] {
            assert_eq!(shown(Some(envelope.as_bytes())), format!("{expected}\n"));
        }
    }
}
