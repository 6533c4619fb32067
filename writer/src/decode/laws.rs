//! What holds of the decoder for every input, as one check: property tests sample it, the fuzzer (`fuzz/`) searches for input
//! that breaks it. A broken law panics and names itself.
//!
//! What the decoder does in one pass is compared with slower programs written apart from it: `serde_json` says what is JSON,
//! the plain validation of `icefold_core::contract` what the contracts promise.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use icefold_catalog::contracts::{ContractSet, Document};
use icefold_core::contract::{BrokenReason, Contract, validate_value};
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};
use serde_json::Value;

use super::{DecodeSettings, Decoder, InputFormat, MAX_POINTER_BYTES, Reason};
use crate::chunk::{Chunk, DecodedChunk};
use crate::contracts::Active;

/// 2026-11-22T12:00:00Z, when every input arrives.
pub const ARRIVAL_MICROS: i64 = 1_795_348_800_000_000;
/// Columns that hold bytes; all others of variable length hold UTF-8.
const BYTES: [&str; 2] = ["payload", "batch_envelope"];
/// Columns that hold JSON objects.
const OBJECTS: [&str; 4] = ["properties", "traits", "context", "extra"];
/// What is said of text that is no JSON.
const NO_JSON: [Reason; 7] = [
    Reason::TruncatedJson,
    Reason::InvalidJson,
    Reason::TrailingData,
    Reason::InvalidUtf8,
    Reason::ControlCharacter,
    Reason::LoneSurrogate,
    Reason::NumberOutOfRange,
];
/// What is said before all of the text has been read.
const UNREAD: [Reason; 6] = [
    Reason::RecordTooLarge,
    Reason::EventTooLarge,
    Reason::NestingTooDeep,
    Reason::BatchTooLong,
    Reason::BatchEnvelopeTooLarge,
    Reason::EmptyBatch,
];

/// The laws, and the contracts that some of them are about.
#[derive(Debug)]
pub struct Laws {
    set: ContractSet,
    decoders: Mutex<Decoders>,
}

/// Decoders are used again and again, as those of a worker are.
#[derive(Debug)]
struct Decoders {
    plain: Decoder,
    promised: Decoder,
    narrow: Decoder,
    log: Decoder,
}

impl Laws {
    /// The laws with the contracts in a folder of YAML files.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when they cannot be read or contradict each other.
    pub fn with_contracts_of(folder: &Path) -> Result<Self> {
        let unreadable = |e| Error::invalid(format!("no contracts in {}", folder.display())).because(e);
        let mut documents = Vec::new();
        for file in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            documents.push(Document { file: path.display().to_string(), text });
        }
        let set = ContractSet::parse(documents)?;
        let active = Arc::new(Active::compile(&set, None)?);
        let decoder = |settings, format, contracts| {
            let mut decoder = Decoder::new(settings, format)?;
            decoder.set_contracts(contracts)?;
            Ok(decoder)
        };
        let (wide, segment) = (DecodeSettings::default(), InputFormat::Segment);
        let narrow = DecodeSettings { max_event_bytes: 1_024, max_depth: 3, ..wide.clone() };
        let decoders = Decoders {
            plain: decoder(wide.clone(), segment, None)?,
            promised: decoder(wide.clone(), segment, Some(&active))?,
            narrow: decoder(narrow, segment, Some(&active))?,
            log: decoder(wide, InputFormat::Combined, Some(&active))?,
        };
        Ok(Laws { set, decoders: Mutex::new(decoders) })
    }

    /// Checks what the decoder makes of records of the Segment spec.
    ///
    /// # Panics
    /// When a law is broken.
    pub fn check_segment(&self, bytes: &[u8]) {
        let Decoders { plain, promised, narrow, .. } = &mut *self.decoders();
        let accepted = check_any(plain, bytes);
        check_what_is_json(&accepted);
        self.check_promises(&accepted, &check_any(promised, bytes));
        check_any(narrow, bytes);
    }

    /// Checks what the decoder makes of lines of an access log.
    ///
    /// # Panics
    /// When a law is broken.
    pub fn check_log(&self, bytes: &[u8]) {
        check_any(&mut self.decoders().log, bytes);
    }

    /// The contracts.
    pub fn contracts(&self) -> &[Contract] {
        &self.set.contracts
    }

    fn decoders(&self) -> MutexGuard<'_, Decoders> {
        // A broken law leaves a decoder as good as before: what it decodes does not depend on earlier chunks.
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event passes with contracts if it passes without and the plain validation finds nothing; what is held against it
    /// is one of the things that the plain validation finds.
    fn check_promises(&self, plain: &DecodedChunk, promised: &DecodedChunk) {
        let (refusals, raw) = (Refusals::of(&promised.quarantine), rows_by_place(&plain.raw));
        for at in places(&plain.events) {
            let payload = bytes_at(&plain.raw, "payload", raw[&at]).unwrap_or_default();
            let Some(event) = unambiguous(payload) else { continue };
            let expected = validate_value(&self.set.contracts, &event);
            match refusals.at(at) {
                None => assert!(expected.is_empty(), "accepted in spite of {expected:?}: {event}"),
                Some(told) => {
                    let known = expected.iter().any(|refusal| told.says(refusal.reason, &refusal.pointer));
                    assert!(known, "{told:?} is not among {expected:?}: {event}");
                }
            }
        }
        let before = plain.quarantine.num_rows();
        let broken = promised.quarantine.num_rows() - before;
        assert_eq!(promised.events.num_rows() + broken, plain.events.num_rows(), "contracts let nothing in");
    }
}

/// Returns the JSON of an event, unless a key stands twice in an object: which of them counts is for each reader to say.
fn unambiguous(payload: &[u8]) -> Option<Value> {
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let value: Value = serde_json::from_slice(text).expect("what is accepted is JSON");
    (members(&value) == keys(text)).then_some(value)
}

/// Counts the keys of all objects in JSON: colons outside of strings.
fn keys(json: &[u8]) -> usize {
    let (mut in_string, mut escaped, mut keys) = (false, false, 0);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => keys += 1,
            _ => {}
        }
    }
    keys
}

fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

/// Where a row comes from: offset and sub-offset.
type At = (i64, i32);

fn place(rows: &RecordBatch, row: usize) -> At {
    let offset = column(rows, "source_offset").as_primitive::<Int64Type>().value(row);
    (offset, column(rows, "sub_offset").as_primitive::<Int32Type>().value(row))
}

fn places(rows: &RecordBatch) -> Vec<At> {
    (0..rows.num_rows()).map(|row| place(rows, row)).collect()
}

fn rows_by_place(rows: &RecordBatch) -> HashMap<At, usize> {
    places(rows).into_iter().enumerate().map(|(row, at)| (at, row)).collect()
}

/// What `quarantine` says, by place.
struct Refusals(HashMap<At, Told>);

#[derive(Debug)]
struct Told {
    reason: String,
    pointer: String,
}

impl Refusals {
    fn of(quarantine: &RecordBatch) -> Self {
        let text = |name, row| {
            let bytes = bytes_at(quarantine, name, row).unwrap_or_default();
            String::from_utf8(bytes.to_vec()).expect("text is UTF-8")
        };
        let told = |row| Told { reason: text("reason", row), pointer: text("json_pointer", row) };
        Refusals((0..quarantine.num_rows()).map(|row| (place(quarantine, row), told(row))).collect())
    }

    fn at(&self, at: At) -> Option<&Told> {
        self.0.get(&at)
    }
}

impl Told {
    fn is(&self, reasons: &[Reason]) -> bool {
        reasons.iter().any(|reason| reason.as_str() == self.reason)
    }

    fn says(&self, reason: BrokenReason, pointer: &str) -> bool {
        let long = pointer.len() > MAX_POINTER_BYTES;
        Reason::of_contract(reason).as_str() == self.reason && (self.pointer == pointer || long)
    }
}

/// Returns the chunk that holds `bytes` at `start`.
fn chunk(bytes: &[u8], start: u64) -> Chunk {
    let to = ShardPosition::at(Offset::new("segment", start + bytes.len() as u64));
    Chunk {
        shard: ShardId::new("shard"),
        segment: "segment".into(),
        start,
        bytes: bytes.to_vec().into(),
        stream_time_micros: ARRIVAL_MICROS,
        oversized: None,
        sub_offsets: None,
        from: if start == 0 { Offset::start() } else { Offset::new("segment", start) },
        to: ShardPosition { stream_time_micros: Some(ARRIVAL_MICROS), ..to },
    }
}

fn decoded(decoder: &mut Decoder, bytes: &[u8], start: u64) -> DecodedChunk {
    decoder.decode(&chunk(bytes, start)).expect("no record makes the decoder fail")
}

/// Checks what holds with any settings, contracts and format.
fn check_any(decoder: &mut Decoder, bytes: &[u8]) -> DecodedChunk {
    let rows = decoded(decoder, bytes, 0);
    check_rows(&rows);
    check_lines_are_kept(bytes, &rows.raw);
    check_a_cut_changes_nothing(decoder, bytes, &rows);
    rows
}

/// Checks the form of rows: W2, text that is UTF-8, objects that are JSON, reasons that are known.
///
/// # Panics
/// When a law is broken.
pub fn check_rows(decoded: &DecodedChunk) {
    let mut decided = [places(&decoded.events), places(&decoded.quarantine)].concat();
    decided.sort_unstable();
    assert_eq!(decided, places(&decoded.raw), "W2: each raw row is an event or quarantined, once");
    assert_eq!(decoded.events.num_rows(), decoded.message_hashes.len(), "every event has its hash");
    for rows in [&decoded.raw, &decoded.events, &decoded.quarantine] {
        let times = column(rows, "stream_time").as_primitive::<TimestampMicrosecondType>();
        assert!(times.iter().all(|time| time == decoded.to.stream_time_micros), "rows have the time of their chunk");
    }
    let raw = rows_by_place(&decoded.raw);
    for (row, at) in places(&decoded.quarantine).into_iter().enumerate() {
        let both = [(&decoded.quarantine, row), (&decoded.raw, raw[&at])];
        let payloads = both.map(|(rows, row)| bytes_at(rows, "payload", row));
        assert_eq!(payloads[0], payloads[1], "a quarantined event is kept whole");
    }
    for rows in [&decoded.raw, &decoded.events, &decoded.quarantine] {
        for field in rows.schema().fields().iter().filter(|field| !BYTES.contains(&field.name().as_str())) {
            for row in 0..rows.num_rows() {
                let text = bytes_at(rows, field.name(), row).map(std::str::from_utf8);
                assert!(!matches!(text, Some(Err(_))), "column `{}` holds UTF-8", field.name());
            }
        }
    }
    for name in OBJECTS {
        for row in 0..decoded.events.num_rows() {
            let Some(text) = bytes_at(&decoded.events, name, row) else { continue };
            let json = serde_json::from_slice::<Value>(text).map(|json| json.is_object());
            assert!(matches!(json, Ok(true)), "`{name}` holds an object: {}", String::from_utf8_lossy(text));
        }
    }
    for told in Refusals::of(&decoded.quarantine).0.into_values() {
        assert!(Reason::ALL.iter().any(|reason| reason.as_str() == told.reason), "`{}` is a reason", told.reason);
    }
}

/// Checks that the raw rows hold every line: whole, or cut into its events.
///
/// # Panics
/// When a line is lost, doubled or changed.
pub fn check_lines_are_kept(bytes: &[u8], raw: &RecordBatch) {
    let offsets = column(raw, "source_offset").as_primitive::<Int64Type>();
    let (mut at, mut row) = (0, 0);
    for line in bytes.split(|byte| *byte == b'\n') {
        let record = line.strip_suffix(b"\r").unwrap_or(line);
        let rows = offsets.values()[row..].iter().take_while(|offset| **offset == at as i64).count();
        let text = if at == 0 { record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record) } else { record };
        let blank = text.iter().all(|byte| b" \t\r".contains(byte));
        assert_eq!(rows == 0, blank, "W1: {}", String::from_utf8_lossy(line));
        if rows > 0 && bytes_at(raw, "batch_envelope", row).is_none() {
            assert_eq!((rows, bytes_at(raw, "payload", row)), (1, Some(record)), "a record is one row");
        } else if rows > 0 {
            check_events_of_a_batch(record, raw, row..row + rows);
        }
        row += rows;
        at += line.len() + 1;
    }
    assert_eq!(row, raw.num_rows(), "W1: every row comes from a line");
}

/// The events stand in the record in their order, and with what surrounds them and commas they are all of it.
fn check_events_of_a_batch(record: &[u8], raw: &RecordBatch, rows: std::ops::Range<usize>) {
    let commas = rows.len() - 1;
    let mut kept = commas + solid(bytes_at(raw, "batch_envelope", rows.start).unwrap_or_default());
    let mut rest = record;
    for (number, row) in rows.enumerate() {
        let event = bytes_at(raw, "payload", row).expect("every row has its payload");
        let found = rest.windows(event.len().max(1)).position(|window| event.is_empty() || window == event);
        rest = &rest[found.expect("the events of a batch stand in order in its record") + event.len()..];
        assert_eq!(place(raw, row).1 as usize, number, "events of a batch are counted");
        kept += solid(event);
    }
    assert_eq!(kept, solid(record), "no event of a batch is lost: {}", String::from_utf8_lossy(record));
}

/// Counts the bytes that are no blanks.
fn solid(text: &[u8]) -> usize {
    text.iter().filter(|byte| !b" \t\r".contains(byte)).count()
}

/// Accepted is JSON, and what is refused for not being JSON is none.
fn check_what_is_json(decoded: &DecodedChunk) {
    let refusals = Refusals::of(&decoded.quarantine);
    for row in 0..decoded.raw.num_rows() {
        let payload = bytes_at(&decoded.raw, "payload", row).unwrap_or_default();
        // A file may begin with a mark; an event inside of a batch may not.
        let in_batch = bytes_at(&decoded.raw, "batch_envelope", row).is_some();
        let is_first = place(&decoded.raw, row) == (0, 0) && !in_batch;
        let text = payload.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first).unwrap_or(payload);
        let is_json = serde_json::from_slice::<Value>(text).is_ok();
        let shown = || String::from_utf8_lossy(text);
        match refusals.at(place(&decoded.raw, row)) {
            None => assert!(is_json, "accepted and no JSON: {}", shown()),
            // A number of JSON may be out of its column's range.
            Some(told) if told.is(&UNREAD) || told.is(&[Reason::NumberOutOfRange]) => {}
            // What surrounds a batch may be at fault, and is then told of each of its events, whatever these are.
            Some(told) if in_batch && !told.is(&NO_JSON) => {}
            Some(told) => assert_eq!(told.is(&NO_JSON), !is_json, "{told:?}: {}", shown()),
        }
    }
}

/// Where a source cuts its chunks is nothing that rows show.
fn check_a_cut_changes_nothing(decoder: &mut Decoder, bytes: &[u8], whole: &DecodedChunk) {
    let half = bytes.len() / 2;
    let Some(line_break) = bytes[half..].iter().position(|byte| *byte == b'\n') else { return };
    let (left, right) = bytes.split_at(half + line_break + 1);
    let parts = [decoded(decoder, left, 0), decoded(decoder, right, left.len() as u64)];
    let join = |rows: fn(&DecodedChunk) -> &RecordBatch| {
        concat_batches(rows(whole).schema_ref(), parts.iter().map(rows)).expect("the same columns")
    };
    let joined = DecodedChunk {
        raw: join(|decoded| &decoded.raw),
        events: join(|decoded| &decoded.events),
        quarantine: join(|decoded| &decoded.quarantine),
        message_hashes: parts.iter().flat_map(|part| part.message_hashes.clone()).collect(),
        ..whole.clone()
    };
    assert_same(&joined, whole, "a cut between records changes nothing");
}

fn assert_same(found: &DecodedChunk, expected: &DecodedChunk, law: &str) {
    assert_eq!(found.raw, expected.raw, "{law}");
    assert_eq!(found.events, expected.events, "{law}");
    assert_eq!(found.quarantine, expected.quarantine, "{law}");
    assert_eq!(found.message_hashes, expected.message_hashes, "{law}");
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a dyn Array {
    rows.column_by_name(name).unwrap_or_else(|| panic!("column `{name}`"))
}

/// Returns the value of a column of text or bytes, `None` for null and for other columns.
///
/// # Panics
/// When there is no such column.
pub fn bytes_at<'a>(rows: &'a RecordBatch, name: &str, row: usize) -> Option<&'a [u8]> {
    let array = column(rows, name);
    if array.is_null(row) {
        return None;
    }
    array
        .as_binary_opt::<i32>()
        .map(|bytes| bytes.value(row))
        .or_else(|| array.as_binary_opt::<i64>().map(|bytes| bytes.value(row)))
        .or_else(|| array.as_binary_view_opt().map(|bytes| bytes.value(row)))
}
