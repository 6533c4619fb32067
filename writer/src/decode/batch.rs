//! Records of several events: an array of them, or an object around a `batch`.
//!
//! What surrounds the events (`sentAt` above all) mostly stands behind them, and is needed for their rows. So the first
//! [`KEPT_EVENTS`] of a batch are read on the way and kept until the record is at its end; of more only the places are
//! kept and they are read again. A broken event is passed over by brackets and quotation marks alone, so that it leaves
//! the others readable.

use super::block::{BLOCK, block_at, string_marks, structure_marks};
use super::event::Event;
use super::reason::Reason;
use super::scanner::{Fault, Kind, Scan, Scanner, Span, Value};
use super::segment::BYTE_ORDER_MARK;
use super::settings::DEPTH_CEILING;

/// How many events of a batch are kept as read: more than SDKs put into one, and 100 KB of memory.
const KEPT_EVENTS: usize = 128;

/// Most events of one record. An element may be as short as nothing between two commas, but each costs two rows: this
/// bounds what a hostile record can grow to. SDKs post a few hundred at most.
pub const MAX_BATCH_EVENTS: usize = 100_000;

/// An event of a batch and what reading it gave.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) event: Event,
    pub(super) read: Scan<Kind>,
}

/// A record of several events as read. Its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What surrounds the events.
    pub(super) envelope: Event,
    /// The elements of the array without the white space around them; empty where nothing stands between two commas.
    pub(super) elements: Vec<Span>,
    /// What the first elements hold. May be longer than `elements`: the rest is of earlier batches.
    pub(super) kept: Vec<Kept>,
}

impl Batch {
    /// Reads an array of events, or the object around one; returns the place of the array.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<Span> {
        let Batch { envelope, elements, kept } = self;
        elements.clear();
        if scanner.peek() == b'[' {
            envelope.clear();
            return array(scanner, elements, kept);
        }
        let mut found = None;
        envelope.read_envelope(scanner, |scanner| match found {
            Some(_) => scanner.value(1),
            None => {
                let span = array(scanner, elements, kept)?;
                found = Some(span);
                Ok(Value { kind: Kind::Array, span })
            }
        })?;
        envelope.keep_inheritable(scanner.bytes);
        found.ok_or_else(|| scanner.unexpected("a batch"))
    }
}

/// Returns where events stand in what surrounded them: behind the bracket that opens their array. `None` when there is no such
/// place.
pub(crate) fn place_of_events(envelope: &[u8]) -> Option<usize> {
    let start = if envelope.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let array = Batch::default().read(&mut Scanner::new(envelope, start, DEPTH_CEILING)).ok()?;
    Some(array.start as usize + 1)
}

/// Reads the array whose bracket the scanner stands at.
fn array(scanner: &mut Scanner<'_>, elements: &mut Vec<Span>, kept: &mut Vec<Kept>) -> Scan<Span> {
    let open = scanner.at;
    scanner.at += 1;
    let mut end = scanner.peek();
    while elements.is_empty() && end != b']' || end == b',' {
        let index = elements.len();
        if index == MAX_BATCH_EVENTS {
            return Err(Fault { reason: Reason::BatchTooLong, at: scanner.at, expected: "at most 100000 events" });
        }
        if index == kept.len() && index < KEPT_EVENTS {
            kept.push(Kept { event: Event::default(), read: Ok(Kind::Absent) });
        }
        let element = element(scanner, kept.get_mut(index))?;
        elements.push(element);
        end = scanner.peek();
        if end == b',' {
            scanner.at += 1;
        }
    }
    scanner.at += 1;
    Ok(Span { start: open as u32, end: scanner.at as u32 })
}

/// Reads or passes over one element; the scanner then stands at the comma or bracket behind it.
fn element(scanner: &mut Scanner<'_>, kept: Option<&mut Kept>) -> Scan<Span> {
    scanner.peek();
    let start = scanner.at;
    if let Some(Kept { event, read }) = kept {
        *read = event_or_other(scanner, event);
        let end = scanner.at;
        if read.is_ok() {
            if matches!(scanner.peek(), b',' | b']') {
                return Ok(Span { start: start as u32, end: end as u32 });
            }
            *read = Err(scanner.trailing());
        }
    }
    scanner.at = element_end(scanner.bytes, start)?;
    let text = &scanner.bytes[start..scanner.at];
    let blank = text.iter().rev().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
    Ok(Span { start: start as u32, end: (scanner.at - blank) as u32 })
}

/// Reads an event, or a value that is none.
pub(super) fn event_or_other(scanner: &mut Scanner<'_>, event: &mut Event) -> Scan<Kind> {
    if scanner.peek() == b'{' {
        return event.read(scanner).map(|()| Kind::Object);
    }
    event.clear();
    Ok(scanner.value(0)?.kind)
}

/// Returns the place of the comma or bracket that ends the element which begins at `start`.
fn element_end(bytes: &[u8], start: usize) -> Scan<usize> {
    let mut cursor = Cursor { bytes, at: start };
    let mut depth = 0_u32;
    loop {
        match cursor.next_structure()? {
            b'"' => cursor.pass_string()?,
            b'{' | b'[' => depth += 1,
            b',' | b']' if depth == 0 => return Ok(cursor.at - 1),
            b'}' if depth == 0 => {
                return Err(Fault { reason: Reason::InvalidJson, at: cursor.at - 1, expected: "the `]` of the batch" });
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Passes the next byte that gives structure, and returns it.
    fn next_structure(&mut self) -> Scan<u8> {
        while self.at < self.bytes.len() {
            let Some(stop) = structure_marks(block_at(self.bytes, self.at)).first() else {
                self.at += BLOCK;
                continue;
            };
            self.at += stop;
            match self.bytes[self.at] {
                b'\n' => break,
                byte => {
                    self.at += 1;
                    return Ok(byte);
                }
            }
        }
        Err(self.truncated())
    }

    /// Passes a string from behind its quotation mark on. Control characters are left for the reading of the event.
    fn pass_string(&mut self) -> Scan<()> {
        while self.at < self.bytes.len() {
            let Some(stop) = string_marks(block_at(self.bytes, self.at)).first() else {
                self.at += BLOCK;
                continue;
            };
            self.at += stop;
            match self.bytes.get(self.at) {
                Some(b'\n') | None => break,
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') if self.bytes.get(self.at + 1) != Some(&b'\n') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        Err(self.truncated())
    }

    #[cold]
    fn truncated(&self) -> Fault {
        let at = self.at.min(self.bytes.len());
        Fault { reason: Reason::TruncatedJson, at, expected: "the end of the batch" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts an array into its elements by [`element_end`] alone.
    fn elements(text: &str) -> Scan<Vec<&str>> {
        let (mut at, mut found) = (1, Vec::new());
        loop {
            let end = element_end(text.as_bytes(), at)?;
            found.push(&text[at..end]);
            at = end + 1;
            if text.as_bytes()[end] == b']' {
                return Ok(found);
            }
        }
    }

    #[test]
    fn elements_are_found_whatever_they_hold() {
        for (text, expected) in [
            ("[]", vec![""]),
            ("[1]", vec!["1"]),
            (r#"[{"a":"],["},{"b":"\"]"}]"#, vec![r#"{"a":"],["}"#, r#"{"b":"\"]"}"#]),
            ("[ [1,2] , {} ,x y]", vec![" [1,2] ", " {} ", "x y"]),
            ("[1,,2,]", vec!["1", "", "2", ""]),
            (r#"["\\","\\\"",3]"#, vec![r#""\\""#, r#""\\\"""#, "3"]),
            ("[{tru:},[\"\t\"]]", vec!["{tru:}", "[\"\t\"]"]),
        ] {
            assert_eq!(elements(text).expect("whole"), expected, "{text}");
        }
    }

    #[test]
    fn a_batch_does_not_reach_beyond_its_line() {
        for text in ["[1,2", "[1\n]", "[\"a\n\"]", "[\"a\\\n\"]", "[{]", "[\"]", "[\"\\"] {
            assert_eq!(elements(text).expect_err("truncated").reason, Reason::TruncatedJson, "{text}");
        }
    }

    #[test]
    fn a_batch_ends_with_its_own_bracket() {
        assert_eq!(elements("[{}}").expect_err("brace").reason, Reason::InvalidJson);
    }
}
