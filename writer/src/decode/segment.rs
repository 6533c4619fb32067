//! Records of the Segment spec: one event, an array of events or a batch on each line.

use super::batch::split;
use super::block::find_byte;
use super::contract::check;
use super::event::Event;
use super::reason::Reason;
use super::rows::{Origin, Rows};
use super::salvage::salvage;
use super::scanner::{Fault, Kind, Scan, Scanner, Span, Value};
use super::segment_rows::{readable, write_event};
use super::settings::DecodeSettings;
use super::times::arrival;
use super::violation::{Violation, excerpt};
use crate::chunk::Chunk;

/// What surrounds a batch is repeated in the rows of each of its events; all repetitions together may not be longer than
/// this many times the record. It bounds what a hostile record can grow to, and no SDK comes near it.
pub const MAX_ENVELOPE_GROWTH: usize = 16;

/// A byte order mark, which some programs put in front of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads chunks; its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct SegmentReader {
    event: Event,
    envelope: Event,
    elements: Vec<Span>,
}

/// A chunk while it is read.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    /// Place of the first byte in its segment.
    pub(super) start: i64,
    pub(super) source_micros: i64,
    pub(super) settings: &'a DecodeSettings,
}

impl<'a> Input<'a> {
    pub(super) fn new(chunk: &'a Chunk, start: i64, settings: &'a DecodeSettings) -> Self {
        Input { bytes: &chunk.bytes, start, source_micros: chunk.source_time_micros, settings }
    }

    fn scanner(&self, at: usize) -> Scanner<'a> {
        Scanner::new(self.bytes, at, self.settings.max_depth)
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
            payload: &input.bytes[self.start..self.end],
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
        self.event.fields.clear();
        let violation = Violation {
            reason: Reason::RecordTooLarge,
            pointer: None,
            expected: "a record short enough for the source to hold".into(),
            found: Some(format!("{record_bytes} bytes")),
        };
        self.refuse_unread(input, &Place::of_record(0, input.bytes.len()), &violation, rows);
    }

    /// Reads the record at `start`; returns where its line ends.
    fn record(&mut self, input: &Input<'_>, start: usize, rows: &mut Rows) -> usize {
        let mut scanner = input.scanner(start);
        if input.start == 0 && start == 0 && input.bytes.starts_with(BYTE_ORDER_MARK) {
            scanner.at = BYTE_ORDER_MARK.len();
        }
        if scanner.at_end() {
            return scanner.at;
        }
        let read = match scanner.peek() {
            b'{' => match self.event.read_unless_batch(&mut scanner) {
                Ok(false) => return self.batch(input, start, rows),
                read => read.map(|_| Kind::Object),
            },
            b'[' => return self.batch(input, start, rows),
            _ => self.not_an_object(&mut scanner),
        };
        let read = read.and_then(|kind| if scanner.at_end() { Ok(kind) } else { Err(trailing(&scanner)) });
        let line_end = match read {
            Ok(_) => scanner.at,
            Err(fault) => input.line_end(fault.at),
        };
        let place = Place::of_record(start, input.record_end(start, line_end));
        self.finish(input, &place, read, rows);
        line_end
    }

    /// Reads something that is no event.
    fn not_an_object(&mut self, scanner: &mut Scanner<'_>) -> Scan<Kind> {
        self.event.fields.clear();
        Ok(scanner.value(0)?.kind)
    }

    /// Reads an array of events or a batch; returns where its line ends.
    fn batch(&mut self, input: &Input<'_>, start: usize, rows: &mut Rows) -> usize {
        let (array, line_end) = match self.surroundings(input, start) {
            Ok(found) => found,
            Err(fault) => {
                let line_end = input.line_end(fault.at);
                let place = Place::of_record(start, input.record_end(start, line_end));
                self.event.fields = self.envelope.fields.clone();
                self.finish(input, &place, Err(fault), rows);
                return line_end;
            }
        };
        let end = input.record_end(start, line_end);
        let envelope = (&input.bytes[start..=array.start as usize], &input.bytes[array.end as usize - 1..end]);
        if let Some(violation) = unusable_batch(self.elements.len(), envelope, end - start) {
            self.event.fields = self.envelope.fields.clone();
            self.refuse_unread(input, &Place::of_record(start, end), &violation, rows);
            return line_end;
        }
        let duplicate = self.envelope.duplicate.map(|fault| Violation::of_fault(input.bytes, start, end, fault));
        for (index, element) in std::mem::take(&mut self.elements).into_iter().enumerate() {
            let (from, to) = (element.start as usize, element.end as usize);
            let sub_offset = i32::try_from(index).unwrap_or(i32::MAX);
            let place = Place { record_start: start, sub_offset, envelope: Some(envelope), start: from, end: to };
            self.element(input, &place, duplicate.as_ref(), rows);
        }
        line_end
    }

    /// Reads what stands around the events and finds them; returns the array and where the line ends.
    fn surroundings(&mut self, input: &Input<'_>, start: usize) -> Scan<(Span, usize)> {
        let SegmentReader { envelope, elements, .. } = self;
        elements.clear();
        let mut scanner = input.scanner(start);
        let mut array = None;
        let mut read_array = |scanner: &mut Scanner<'_>| {
            if array.is_some() {
                return scanner.value(1);
            }
            let open = scanner.at;
            scanner.at = split(input.bytes, open, elements)?;
            let span = Span { start: open as u32, end: scanner.at as u32 };
            array = Some(span);
            Ok(Value { kind: Kind::Array, span })
        };
        match scanner.peek() {
            b'[' => {
                envelope.clear();
                read_array(&mut scanner)?;
            }
            _ => envelope.read_envelope(&mut scanner, &mut read_array)?,
        }
        if !scanner.at_end() {
            return Err(trailing(&scanner));
        }
        let array = array.ok_or_else(|| scanner.unexpected("a batch"))?;
        Ok((array, scanner.at))
    }

    /// Reads one event of a batch.
    fn element(&mut self, input: &Input<'_>, place: &Place<'_>, broken: Option<&Violation>, rows: &mut Rows) {
        let mut scanner = Scanner::new(&input.bytes[..place.end], place.start, input.settings.max_depth);
        let read = match scanner.peek() {
            b'{' => self.event.read(&mut scanner).map(|()| Kind::Object),
            _ => self.not_an_object(&mut scanner),
        };
        let read = read.and_then(|kind| if scanner.at == place.end { Ok(kind) } else { Err(trailing(&scanner)) });
        self.event.inherit(input.bytes, &self.envelope);
        match broken {
            Some(violation) => self.refuse_unread(input, place, violation, rows),
            None => self.finish(input, place, read, rows),
        }
    }

    /// Adds the rows of an event that was read, or not.
    fn finish(&mut self, input: &Input<'_>, place: &Place<'_>, read: Scan<Kind>, rows: &mut Rows) {
        let Input { bytes, settings, .. } = *input;
        let length = place.end - place.start;
        if length > settings.max_event_bytes {
            let expected = format!("at most {} bytes", settings.max_event_bytes);
            let violation = Violation::of_event(Reason::EventTooLarge, expected, Some(format!("{length} bytes")));
            return self.refuse_unread(input, place, &violation, rows);
        }
        let fault = match read {
            Ok(Kind::Object) => self.event.duplicate,
            Ok(_) => {
                let found = Some(excerpt(&bytes[place.start..place.end]));
                let violation = Violation::of_event(Reason::NotAnObject, "an object", found);
                return self.refuse(input, place, &violation, rows);
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            let violation = Violation::of_fault(bytes, place.start, place.end, fault);
            return self.refuse_unread(input, place, &violation, rows);
        }
        let fields = &self.event.fields;
        let (arrival, violation) = arrival(bytes, fields, input.source_micros);
        match check(bytes, fields, &arrival, violation, settings) {
            Ok(accepted) => {
                let origin = place.origin(input, arrival.micros);
                rows.accept(&origin, |columns| write_event(bytes, &self.event, &accepted, arrival.micros, columns));
            }
            Err(violation) => self.refuse(input, place, &violation, rows),
        }
    }

    /// Refuses an event some of whose keys may not have been read.
    #[cold]
    fn refuse_unread(&mut self, input: &Input<'_>, place: &Place<'_>, violation: &Violation, rows: &mut Rows) {
        salvage(input.bytes, place.start, place.end, &mut self.event.fields);
        self.refuse(input, place, violation, rows);
    }

    #[cold]
    fn refuse(&mut self, input: &Input<'_>, place: &Place<'_>, violation: &Violation, rows: &mut Rows) {
        let fields = &self.event.fields;
        let (arrival, _) = arrival(input.bytes, fields, input.source_micros);
        rows.refuse(&place.origin(input, arrival.micros), violation, &readable(input.bytes, fields));
    }
}

#[cold]
fn trailing(scanner: &Scanner<'_>) -> Fault {
    Fault { reason: Reason::TrailingData, at: scanner.at, expected: "nothing behind the value" }
}

/// Says why a batch cannot be cut into its events.
fn unusable_batch(events: usize, envelope: (&[u8], &[u8]), record_bytes: usize) -> Option<Violation> {
    if events == 0 {
        return Some(Violation::of_event(Reason::EmptyBatch, "at least one event", None));
    }
    let around = envelope.0.len() + envelope.1.len();
    if around.saturating_mul(events) <= record_bytes.saturating_mul(MAX_ENVELOPE_GROWTH) {
        return None;
    }
    let expected = "fewer events, or less around them";
    let found = Some(format!("{events} events with {around} bytes around them in a record of {record_bytes} bytes"));
    Some(Violation::of_event(Reason::BatchEnvelopeTooLarge, expected, found))
}
