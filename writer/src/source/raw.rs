//! A range of `raw_events` as a source: the records of one shard, as they were received, in the order of the stream.
//!
//! Rows of a file lie in the order that compresses best, so files whose ranges overlap are read together and sorted; what the
//! stream writes overlaps only inside of one batch, which bounds what is held in memory. A record that was an array of events
//! is put together again from its rows and what surrounded them. Rows that others have deleted are not there.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use bytes::Bytes;
use iceberg::spec::{DataContentType, PrimitiveLiteral};
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};
use icefold_files::{Deletes, LiveRows, ParquetFile};

use super::Source;
use super::settings::KEPT_OF_OVERSIZED_BYTES;
use crate::chunk::{Chunk, Oversized};
use crate::decode::place_of_events;

/// Columns that a record is made of.
const COLUMNS: [&str; 7] =
    ["shard", "segment", "source_offset", "sub_offset", "stream_time", "batch_envelope", "payload"];

/// Reads the records of a shard from `raw_events`.
pub struct RawSource {
    table: LoadedTable,
    shard: ShardId,
    column_ids: Vec<i32>,
    /// What others have deleted without rewriting the files; `None` when the table is empty.
    deletes: Option<Deletes>,
    /// Files that may hold the range, those with the first offsets first.
    files: VecDeque<Held>,
    /// Everything that was handed over.
    next: Offset,
    end: ShardPosition,
    /// Records that were read and not handed over, in order.
    ready: VecDeque<Record>,
}

/// A file and the first offset that it may hold; `None` when it does not tell.
struct Held {
    live: LiveFile,
    first: Option<Offset>,
}

/// A record as it came.
#[derive(Debug, Clone)]
struct Record {
    at: Offset,
    stream_time_micros: i64,
    bytes: Vec<u8>,
    oversized: Option<Oversized>,
    sub_offsets: Option<Arc<[i32]>>,
}

/// A row of `raw_events`.
struct RawRow {
    at: Offset,
    sub_offset: i32,
    stream_time_micros: i64,
    envelope: Option<Vec<u8>>,
    payload: Vec<u8>,
}

impl RawSource {
    /// Opens the records `[from, end)` of `shard` in `table`, `raw_events` as loaded. `end` is handed over with the last of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the table lacks a column; errors of the store.
    pub async fn open(table: &LoadedTable, shard: &ShardId, from: Offset, end: ShardPosition) -> Result<Self> {
        let schema = table.metadata().current_schema();
        let ids: Option<Vec<i32>> =
            COLUMNS.iter().map(|name| schema.field_by_name(name).map(|field| field.id)).collect();
        let column_ids = ids.ok_or_else(|| Error::invalid("`raw_events` lacks a column that records are made of"))?;
        let mut files: Vec<Held> = Vec::new();
        let mut deletes = None;
        if let Some(snapshot) = table.snapshot(None)? {
            let live = table.live_files(&snapshot).await?;
            deletes = Some(Deletes::new(table.store(), table.metadata(), &live)?);
            let data = live.into_iter().filter(|live| live.file.content_type() == DataContentType::Data);
            files.extend(data.filter_map(|live| Held::of(live, &column_ids, shard, &from, &end.next)));
        }
        files.sort_by(|a, b| a.first.cmp(&b.first));
        let (table, shard, files) = (table.clone(), shard.clone(), files.into());
        Ok(RawSource { table, shard, column_ids, deletes, files, next: from, end, ready: VecDeque::new() })
    }

    /// Reads files until the next record is known to be the next.
    async fn fill(&mut self) -> Result<()> {
        let mut rows: Vec<RawRow> = Vec::new();
        while let Some(held) = self.files.front() {
            let reached = rows.iter().map(|row| &row.at).max();
            // What begins behind all that was read cannot come between.
            if let (Some(reached), Some(first)) = (reached, &held.first)
                && first > reached
            {
                break;
            }
            let Some(held) = self.files.pop_front() else { break };
            self.read(&held.live, &mut rows).await?;
        }
        rows.sort_by(|a, b| (&a.at, a.sub_offset).cmp(&(&b.at, b.sub_offset)));
        self.ready.extend(rows.chunk_by(|a, b| a.at == b.at).map(record));
        Ok(())
    }

    async fn read(&self, live: &LiveFile, rows: &mut Vec<RawRow>) -> Result<()> {
        let (path, size) = (live.file.file_path(), live.file.file_size_in_bytes());
        let file = ParquetFile::open(self.table.store(), path, size).await?;
        let odd = || Error::corrupt(format!("`{path}` has columns of other types than `raw_events`"));
        let Some(deletes) = &self.deletes else { return Ok(()) };
        let deletes = deletes.of(live).await?;
        let mut live = LiveRows::new(&file, &deletes, &self.column_ids, file.row_groups())?;
        while let Some(batch) = live.next().await? {
            self.take(&batch, rows).ok_or_else(odd)?;
        }
        Ok(())
    }

    /// `None` when a column is of another type.
    fn take(&self, batch: &RecordBatch, rows: &mut Vec<RawRow>) -> Option<()> {
        let text = |column: usize| batch.column(column).as_string_opt::<i32>();
        let (shards, segments) = (text(0)?, text(1)?);
        let offsets = batch.column(2).as_primitive_opt::<Int64Type>()?;
        let subs = batch.column(3).as_primitive_opt::<Int32Type>()?;
        let times = batch.column(4).as_primitive_opt::<TimestampMicrosecondType>()?;
        let bytes = |column: usize| cast(batch.column(column), &DataType::LargeBinary).ok();
        let (envelopes, payloads) = (bytes(5)?, bytes(6)?);
        let (envelopes, payloads) = (envelopes.as_binary::<i64>(), payloads.as_binary::<i64>());
        for row in (0..batch.num_rows()).filter(|row| shards.value(*row) == self.shard.as_str()) {
            let at = Offset::new(segments.value(row), u64::try_from(offsets.value(row)).unwrap_or(0));
            if at < self.next || at >= self.end.next {
                continue;
            }
            rows.push(RawRow {
                at,
                sub_offset: subs.value(row),
                stream_time_micros: times.value(row),
                envelope: (!envelopes.is_null(row)).then(|| envelopes.value(row).to_vec()),
                payload: payloads.value(row).to_vec(),
            });
        }
        Some(())
    }

    /// Returns where the shard stands after the record that was just taken.
    async fn behind(&mut self, stream_time_micros: i64) -> Result<ShardPosition> {
        if self.ready.is_empty() {
            self.fill().await?;
        }
        Ok(match self.ready.front() {
            Some(next) => {
                let at = ShardPosition::at(next.at.clone());
                ShardPosition { stream_time_micros: Some(stream_time_micros), ..at }
            }
            None => self.end.clone(),
        })
    }
}

#[async_trait]
impl Source for RawSource {
    fn shard(&self) -> &ShardId {
        &self.shard
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        if self.next >= self.end.next {
            return Ok(None);
        }
        if self.ready.is_empty() {
            self.fill().await?;
        }
        // Rows that were deleted from the table leave a stretch without records; the shard passes over it all the same.
        let record = self.ready.pop_front().unwrap_or_else(|| Record {
            at: self.next.clone(),
            stream_time_micros: self.end.stream_time_micros.unwrap_or_default(),
            bytes: Vec::new(),
            oversized: None,
            sub_offsets: None,
        });
        let to = self.behind(record.stream_time_micros).await?;
        let from = std::mem::replace(&mut self.next, to.next.clone());
        Ok(Some(Chunk {
            shard: self.shard.clone(),
            segment: record.at.segment.clone(),
            start: record.at.position,
            bytes: Bytes::from(record.bytes),
            stream_time_micros: record.stream_time_micros,
            oversized: record.oversized,
            sub_offsets: record.sub_offsets,
            from,
            to,
        }))
    }
}

impl Held {
    /// `None` when the file holds nothing of the range, as far as its bounds tell.
    fn of(live: LiveFile, column_ids: &[i32], shard: &ShardId, from: &Offset, end: &Offset) -> Option<Self> {
        let text = |bound: Option<&iceberg::spec::Datum>| match bound.map(|bound| bound.literal().clone()) {
            Some(PrimitiveLiteral::String(text)) => Some(text),
            _ => None,
        };
        let lower = |column: usize| text(live.file.lower_bounds().get(&column_ids[column]));
        let upper = |column: usize| text(live.file.upper_bounds().get(&column_ids[column]));
        let misses = |column: usize, first: &str, last: &str| {
            lower(column).is_some_and(|lower| lower.as_str() > last)
                || upper(column).is_some_and(|upper| upper.as_str() < first)
        };
        if misses(0, shard.as_str(), shard.as_str()) || misses(1, &from.segment, &end.segment) {
            return None;
        }
        let position = match live.file.lower_bounds().get(&column_ids[2]).map(|bound| bound.literal().clone()) {
            Some(PrimitiveLiteral::Long(position)) => u64::try_from(position).unwrap_or(0),
            _ => 0,
        };
        // Only a file of one segment says by its least position where it begins.
        let first = match (lower(1), upper(1)) {
            (Some(lower), Some(upper)) if lower == upper => Some(Offset::new(lower, position)),
            (Some(lower), _) => Some(Offset::new(lower, 0)),
            (None, _) => None,
        };
        Some(Held { live, first })
    }
}

/// Puts a record together from its rows.
fn record(rows: &[RawRow]) -> Record {
    let first = &rows[0];
    let (at, stream_time_micros) = (first.at.clone(), first.stream_time_micros);
    let envelope = first.envelope.as_deref();
    let around = envelope.and_then(|envelope| Some(envelope.split_at(place_of_events(envelope)?)));
    let (before, behind) = around.unwrap_or_default();
    let events: Vec<&[u8]> = rows.iter().map(|row| row.payload.as_slice()).collect();
    let is_cut = envelope.is_none() && was_cut(&first.payload);
    let oversized = is_cut.then(|| Oversized { record_bytes: first.payload.len() as u64 + 1 });
    let line_break: &[u8] = if is_cut { b"" } else { b"\n" };
    let bytes = [before, &events.join(&b','), behind, line_break].concat();
    let has_gaps = rows.iter().zip(0..).any(|(row, index)| row.sub_offset != index);
    let sub_offsets = has_gaps.then(|| rows.iter().map(|row| row.sub_offset).collect());
    Record { at, stream_time_micros, bytes, oversized, sub_offsets }
}

/// Returns whether this is the beginning of a record that was too long to be held; not how long it was. A whole event of just
/// this length ends with a bracket, which the cut of JSON or of a log line all but never does.
fn was_cut(payload: &[u8]) -> bool {
    payload.len() == KEPT_OF_OVERSIZED_BYTES && !payload.ends_with(b"}") && !payload.ends_with(b"]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sub_offset: i32, envelope: Option<&str>, payload: &str) -> RawRow {
        let envelope = envelope.map(|envelope| envelope.as_bytes().to_vec());
        RawRow { at: Offset::new("f", 7), sub_offset, stream_time_micros: 5, envelope, payload: payload.into() }
    }

    #[test]
    fn a_record_is_put_together_from_its_rows_and_what_surrounded_them() {
        let text = |rows: &[RawRow]| String::from_utf8(record(rows).bytes).expect("text");
        assert_eq!(text(&[row(0, None, "{}")]), "{}\n");
        let batch = |sub, payload| row(sub, Some(r#"{"batch":[],"sentAt":1}"#), payload);
        assert_eq!(text(&[batch(0, "{1}"), batch(1, "{2}")]), "{\"batch\":[{1},{2}],\"sentAt\":1}\n");
        assert_eq!(record(&[batch(0, "{1}"), batch(1, "{2}")]).sub_offsets, None);
        // What is left of an array keeps its indexes.
        let left = record(&[batch(1, "{2}"), batch(3, "{4}")]);
        assert_eq!(left.sub_offsets.as_deref(), Some(&[1, 3][..]));
    }

    #[test]
    fn of_a_record_that_was_cut_the_decoder_is_told() {
        let cut = record(&[row(0, None, &"x".repeat(KEPT_OF_OVERSIZED_BYTES))]);
        assert!(cut.oversized.is_some());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(KEPT_OF_OVERSIZED_BYTES));
        let as_long_as_what_is_kept = format!("{{\"a\":\"{}\"}}", "x".repeat(KEPT_OF_OVERSIZED_BYTES - 8));
        assert_eq!(as_long_as_what_is_kept.len(), KEPT_OF_OVERSIZED_BYTES);
        for whole in ["{}", &long, &as_long_as_what_is_kept] {
            assert!(record(&[row(0, None, whole)]).oversized.is_none(), "{} bytes", whole.len());
        }
    }
}
