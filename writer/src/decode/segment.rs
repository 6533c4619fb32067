//! Records of the Segment spec: one event, an array of events or a batch on each line.

use icefold_core::contract::CompiledContracts;

use super::batch::{Batch, event_or_other};
use super::block::find_byte;
use super::contract::check;
use super::event::Event;
use super::event_columns::EventColumns;
use super::promise::{self, BrokenPromise, Promoted};
use super::reason::Reason;
use super::rows::{Origin, Rows};
use super::salvage::salvage;
use super::scanner::{Kind, Scan, Scanner, Span};
use super::segment_rows::{readable, write_event};
use super::settings::DecodeSettings;
use super::times::arrival;
use super::violation::{Violation, excerpt};
use crate::chunk::Chunk;

/// What surrounds a batch is repeated in the rows of each of its events; all repetitions together may not be longer than
/// this many times the record. It bounds what a hostile record can grow to, and no SDK comes near it.
pub const MAX_ENVELOPE_GROWTH: usize = 16;

/// A byte order mark, which some programs put in front of a file.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads chunks; its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct SegmentReader {
    event: Event,
    batch: Batch,
    promoted: Vec<Promoted>,
}

/// A chunk while it is read.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    /// Place of the first byte in its segment.
    pub(super) start: i64,
    /// The `stream_time` of all records.
    pub(super) stream_micros: i64,
    /// Indexes of the events in their array, where these are not 0, 1, 2 and so on.
    pub(super) sub_offsets: Option<&'a [i32]>,
    pub(super) settings: &'a DecodeSettings,
    /// Contract of what surrounds the body.
    pub(super) envelope: &'static str,
    /// What is asked of the body.
    pub(super) contracts: Option<&'a CompiledContracts>,
}

impl<'a> Input<'a> {
    pub(super) fn new(
        chunk: &'a Chunk,
        start: i64,
        settings: &'a DecodeSettings,
        envelope: &'static str,
        contracts: Option<&'a CompiledContracts>,
    ) -> Self {
        let (bytes, stream_micros, sub_offsets) =
            (&chunk.bytes, chunk.stream_time_micros, chunk.sub_offsets.as_deref());
        Input { bytes, start, stream_micros, sub_offsets, settings, envelope, contracts }
    }

    fn scanner(&self, at: usize) -> Scanner<'a> {
        let mut scanner = Scanner::new(self.bytes, at, self.settings.max_depth);
        scanner.with_bodies = self.contracts.is_some();
        scanner
    }

    /// Returns where the text of the record at `start` begins: behind the byte order mark that a file may have.
    pub(super) fn text_start(&self, start: usize) -> usize {
        let is_first = self.start == 0 && start == 0;
        if is_first && self.bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { start }
    }

    /// Returns where the line ends that `at` stands in.
    pub(super) fn line_end(&self, at: usize) -> usize {
        find_byte(self.bytes, at, b'\n').unwrap_or(self.bytes.len())
    }

    /// Returns the end of the record in a line: before the carriage return, if its line break has one.
    pub(super) fn record_end(&self, start: usize, line_end: usize) -> usize {
        match self.bytes[start..line_end].last() {
            Some(b'\r') => line_end - 1,
            _ => line_end,
        }
    }
}

/// One event while its row is made: `bytes[start..end]` is its payload.
struct Place<'a> {
    record_start: usize,
    sub_offset: i32,
    envelope: Option<(&'a [u8], &'a [u8])>,
    start: usize,
    end: usize,
}

impl<'a> Place<'a> {
    fn of_record(start: usize, end: usize) -> Self {
        Place { record_start: start, sub_offset: 0, envelope: None, start, end }
    }

    fn origin(&self, input: &Input<'a>, arrival_micros: i64) -> Origin<'a> {
        Origin {
            source_offset: input.start + self.record_start as i64,
            sub_offset: self.sub_offset,
            envelope: self.envelope,
            bytes: input.bytes,
            payload: Span::new(self.start, self.end),
            arrival_micros,
        }
    }
}

impl SegmentReader {
    /// Adds the rows of all records of a chunk.
    pub(super) fn read(&mut self, input: &Input<'_>, rows: &mut Rows) {
        let mut at = 0;
        while at < input.bytes.len() {
            // One behind the line break.
            at = self.record(input, at, rows) + 1;
        }
    }

    /// Adds the row of a chunk that is the beginning of one record too long to be held.
    pub(super) fn oversized(&mut self, input: &Input<'_>, record_bytes: u64, rows: &mut Rows) {
        self.event.clear();
        let violation = Violation {
            reason: Reason::RecordTooLarge,
            pointer: None,
            expected: "a record short enough for the source to hold".into(),
            found: Some(format!("{record_bytes} bytes")),
        };
        refuse_unread(input, &Place::of_record(0, input.bytes.len()), &mut self.event, &violation, rows);
    }

    /// Reads the record at `start`; returns where its line ends.
    fn record(&mut self, input: &Input<'_>, start: usize, rows: &mut Rows) -> usize {
        let mut scanner = input.scanner(input.text_start(start));
        if scanner.at_end() {
            return scanner.at;
        }
        let first = scanner;
        let read = match scanner.peek() {
            b'{' => match self.event.read_unless_batch(&mut scanner) {
                Ok(false) => return self.batch(input, start, first, rows),
                read => read.map(|_| Kind::Object),
            },
            b'[' => return self.batch(input, start, first, rows),
            _ => event_or_other(&mut scanner, &mut self.event),
        };
        let read = read.and_then(|kind| if scanner.at_end() { Ok(kind) } else { Err(scanner.trailing()) });
        let line_end = match read {
            Ok(_) => scanner.at,
            Err(fault) => input.line_end(fault.at),
        };
        finish(
            input,
            &Place::of_record(start, input.record_end(start, line_end)),
            &mut self.event,
            read,
            &mut self.promoted,
            rows,
        );
        line_end
    }

    /// Reads an array of events or a batch; returns where its line ends.
    fn batch(&mut self, input: &Input<'_>, start: usize, mut scanner: Scanner<'_>, rows: &mut Rows) -> usize {
        let array = self.batch.read(&mut scanner);
        let array = array.and_then(|array| if scanner.at_end() { Ok(array) } else { Err(scanner.trailing()) });
        let line_end = match array {
            Ok(_) => scanner.at,
            Err(fault) => input.line_end(fault.at),
        };
        let end = input.record_end(start, line_end);
        let surroundings =
            array.map_err(|fault| Violation::of_fault(input.bytes, start, end, fault)).and_then(|array| {
                let envelope = (&input.bytes[start..=array.start as usize], &input.bytes[array.end as usize - 1..end]);
                check_batch(self.batch.elements.len(), envelope, end - start).map(|()| envelope)
            });
        match surroundings {
            Ok(envelope) => self.elements(input, start, envelope, end, rows),
            Err(violation) => {
                let event = &mut self.batch.envelope;
                refuse_unread(input, &Place::of_record(start, end), event, &violation, rows);
            }
        }
        line_end
    }

    /// Adds the rows of the events of a batch.
    fn elements(&mut self, input: &Input<'_>, start: usize, envelope: (&[u8], &[u8]), end: usize, rows: &mut Rows) {
        let promoted = &mut self.promoted;
        let Batch { envelope: batch, elements, kept } = &mut self.batch;
        let broken = batch.duplicate.map(|fault| Violation::of_fault(input.bytes, start, end, fault));
        for (index, element) in elements.iter().enumerate() {
            let (from, to) = (element.start as usize, element.end as usize);
            let in_order = || i32::try_from(index).unwrap_or(i32::MAX);
            let sub_offset = input.sub_offsets.and_then(|given| given.get(index).copied()).unwrap_or_else(in_order);
            let place = Place { record_start: start, sub_offset, envelope: Some(envelope), start: from, end: to };
            let (event, read) = match kept.get_mut(index) {
                Some(kept) => (&mut kept.event, kept.read),
                None => {
                    let read = read_element(input, &place, &mut self.event);
                    (&mut self.event, read)
                }
            };
            event.inherit(input.bytes, batch);
            match &broken {
                Some(violation) => refuse_unread(input, &place, event, violation, rows),
                None => finish(input, &place, event, read, promoted, rows),
            }
        }
    }
}

/// Reads an element of a batch that was not kept, to the same result as if it had been.
fn read_element(input: &Input<'_>, place: &Place<'_>, event: &mut Event) -> Scan<Kind> {
    let mut scanner = input.scanner(place.start);
    let kind = event_or_other(&mut scanner, event)?;
    if scanner.at == place.end {
        return Ok(kind);
    }
    scanner.peek();
    Err(scanner.trailing())
}

/// Adds the rows of an event that was read, or not.
fn finish(
    input: &Input<'_>,
    place: &Place<'_>,
    event: &mut Event,
    read: Scan<Kind>,
    promoted: &mut Vec<Promoted>,
    rows: &mut Rows,
) {
    let Input { bytes, settings, .. } = *input;
    let length = place.end - place.start;
    if length > settings.max_event_bytes {
        let expected = format!("at most {} bytes", settings.max_event_bytes);
        let violation = Violation::of_event(Reason::EventTooLarge, expected, Some(format!("{length} bytes")));
        return refuse_unread(input, place, event, &violation, rows);
    }
    match read {
        Ok(Kind::Object) if event.duplicate.is_none() => {}
        Ok(kind) if kind != Kind::Object => {
            let found = Some(excerpt(&bytes[place.start..place.end]));
            let violation = Violation::of_event(Reason::NotAnObject, "an object", found);
            return refuse(input, place, event, &violation, rows);
        }
        _ => {
            if let Some(fault) = read.err().or(event.duplicate) {
                let violation = Violation::of_fault(bytes, place.start, place.end, fault);
                return refuse_unread(input, place, event, &violation, rows);
            }
        }
    }
    let (arrival, violation) = arrival(bytes, &event.fields, input.stream_micros);
    let accepted = match check(bytes, &event.fields, &arrival, violation, settings) {
        Ok(accepted) => accepted,
        Err(violation) => return refuse(input, place, event, &violation, rows),
    };
    promoted.clear();
    let promise = input.contracts.map(|contracts| promise::check(contracts, bytes, event, accepted.call, promoted));
    match promise.transpose() {
        Ok(contract) => {
            let origin = place.origin(input, arrival.micros);
            let contract = contract.flatten().map_or(input.envelope, |contract| contract);
            let write = |columns: &mut EventColumns| write_event(bytes, event, &accepted, arrival.micros, columns);
            rows.accept(&origin, contract, promoted, write);
        }
        Err(BrokenPromise { violation, contract }) => {
            let origin = place.origin(input, arrival.micros);
            rows.refuse(&origin, &violation, &readable(bytes, &event.fields), &contract);
        }
    }
}

/// Refuses an event some of whose keys may not have been read.
#[cold]
fn refuse_unread(input: &Input<'_>, place: &Place<'_>, event: &mut Event, violation: &Violation, rows: &mut Rows) {
    salvage(input.bytes, place.start, place.end, &mut event.fields);
    refuse(input, place, event, violation, rows);
}

#[cold]
fn refuse(input: &Input<'_>, place: &Place<'_>, event: &Event, violation: &Violation, rows: &mut Rows) {
    let (arrival, _) = arrival(input.bytes, &event.fields, input.stream_micros);
    let origin = place.origin(input, arrival.micros);
    rows.refuse(&origin, violation, &readable(input.bytes, &event.fields), input.envelope);
}

/// Says why a batch cannot be cut into its events, if so.
fn check_batch(events: usize, envelope: (&[u8], &[u8]), record_bytes: usize) -> Result<(), Violation> {
    if events == 0 {
        return Err(Violation::of_event(Reason::EmptyBatch, "at least one event", None));
    }
    let around = envelope.0.len() + envelope.1.len();
    if around.saturating_mul(events) <= record_bytes.saturating_mul(MAX_ENVELOPE_GROWTH) {
        return Ok(());
    }
    let expected = "fewer events, or less around them";
    let found = Some(format!("{events} events with {around} bytes around them in a record of {record_bytes} bytes"));
    Err(Violation::of_event(Reason::BatchEnvelopeTooLarge, expected, found))
}
