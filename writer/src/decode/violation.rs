//! What a quarantine row says about an event: reason, place, what was expected and what was found.

use std::borrow::Cow;

use super::fields::{Field, Fields};
use super::reason::Reason;
use super::scanner::{Fault, Scanner};
use super::text::unescape;

/// Longest `found`, in bytes.
pub const MAX_FOUND_BYTES: usize = 256;
/// Longest `json_pointer`, in bytes: keys may be long, the pointer of a row need not be.
pub const MAX_POINTER_BYTES: usize = 512;
/// How much of an unreadable text is shown.
const SHOWN_OF_FAULT_BYTES: usize = 32;

/// Why an event does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: Reason,
    /// RFC 6901; `None` when the record could not be read at all.
    pub(super) pointer: Option<String>,
    pub(super) expected: Cow<'static, str>,
    pub(super) found: Option<String>,
}

impl Violation {
    /// Says that a field does not pass, and shows its value (nothing when it is absent).
    pub(super) fn of_field(
        bytes: &[u8],
        fields: &Fields,
        field: Field,
        reason: Reason,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let json = fields.get(field).json();
        let found = (json.end > 0).then(|| excerpt(json.of(bytes)));
        Violation { reason, pointer: Some(field.pointer().to_owned()), expected: expected.into(), found }
    }

    /// Says that the whole event does not pass.
    pub(super) fn of_event(reason: Reason, expected: impl Into<Cow<'static, str>>, found: Option<String>) -> Self {
        Violation { reason, pointer: Some(String::new()), expected: expected.into(), found }
    }

    /// Says where the text `bytes[start..end]` cannot be read.
    pub(super) fn of_fault(bytes: &[u8], start: usize, end: usize, fault: Fault) -> Self {
        let at = fault.at.min(end);
        let shown = match fault.reason {
            Reason::TruncatedJson => &bytes[start.max(end.saturating_sub(SHOWN_OF_FAULT_BYTES))..end],
            Reason::DuplicateKey => &[],
            _ => &bytes[at..end.min(at + SHOWN_OF_FAULT_BYTES)],
        };
        Violation {
            reason: fault.reason,
            pointer: Some(pointer_to(&bytes[..end], start, at)),
            expected: fault.expected.into(),
            found: (!shown.is_empty()).then(|| excerpt(shown)),
        }
    }
}

/// Returns the beginning of `bytes` as text of at most [`MAX_FOUND_BYTES`].
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_FOUND_BYTES + 4)]).into_owned();
    cut(&mut text, MAX_FOUND_BYTES);
    text
}

/// Returns a pointer as a row may hold it: not longer than [`MAX_POINTER_BYTES`], without U+0000.
pub(super) fn bounded_pointer(pointer: &str) -> String {
    let mut pointer = pointer.replace('\0', "\u{fffd}");
    cut(&mut pointer, MAX_POINTER_BYTES);
    pointer
}

fn cut(text: &mut String, max_bytes: usize) {
    text.truncate(text.floor_char_boundary(max_bytes));
}

/// One object or array around a place.
enum Level<'a> {
    /// The key that was read last.
    Object(Option<&'a [u8]>),
    /// The index that is being read.
    Array(usize),
}

/// Returns the JSON pointer of the value that `at` stands in; everything between `start` and `at` could be read.
fn pointer_to(bytes: &[u8], start: usize, at: usize) -> String {
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut scanner = Scanner::new(bytes, start, 0);
    let mut is_key = false;
    let mut deeper = 0_usize;
    while scanner.at < at {
        match scanner.peek() {
            _ if scanner.at >= at => break,
            // Each level adds a byte or more to the pointer, so deeper ones would be cut off anyway.
            b'{' | b'[' if levels.len() == MAX_POINTER_BYTES => deeper += 1,
            b'}' | b']' if deeper > 0 => deeper -= 1,
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => drop(levels.pop()),
            b',' if deeper > 0 => {}
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key)) => *key = None,
                None => {}
            },
            b'"' => {
                let Ok(text) = scanner.string() else { break };
                match levels.last_mut() {
                    Some(Level::Object(key)) if is_key && deeper == 0 && scanner.at <= at => {
                        *key = Some(text.span.of(bytes))
                    }
                    _ => {}
                }
                is_key = false;
                continue;
            }
            _ => {}
        }
        is_key = matches!(bytes.get(scanner.at), Some(b'{' | b',')) && matches!(levels.last(), Some(Level::Object(_)));
        scanner.at += 1;
    }
    render(&levels)
}

fn render(levels: &[Level<'_>]) -> String {
    let mut pointer = String::new();
    for level in levels {
        match level {
            Level::Object(None) => break,
            Level::Object(Some(key)) => {
                let mut name = Vec::new();
                unescape(key, &mut name);
                pointer.push('/');
                pointer.push_str(&String::from_utf8_lossy(&name).replace('~', "~0").replace('/', "~1"));
            }
            Level::Array(index) => pointer.push_str(&format!("/{index}")),
        }
    }
    cut(&mut pointer, MAX_POINTER_BYTES);
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks the place by `^`.
    fn pointer(marked: &str) -> String {
        let at = marked.find('^').expect("a mark");
        pointer_to(marked.replacen('^', "", 1).as_bytes(), 0, at)
    }

    #[test]
    fn a_pointer_names_the_value_that_the_place_stands_in() {
        for (marked, expected) in [
            ("^[]", ""),
            (r#"{"a":1,^}"#, ""),
            (r#"{"a":^x}"#, "/a"),
            (r#"{"a":"x","b":"y^"#, "/b"),
            (r#"{"a":{"b":[1,{"c":2},^x]}}"#, "/a/b/2"),
            (r#"{"a":{"b":[1,{"c":2}]},"d":{"e":^}}"#, "/d/e"),
            (r#"{"a\"{b/c~d":^x}"#, "/a\"{b~1c~0d"),
            (r#"{"a" ^x}"#, "/a"),
            (r#"{"a":1,"k^"#, ""),
            (r#" [ [ ] , ^] "#, "/1"),
        ] {
            assert_eq!(pointer(marked), expected, "{marked}");
        }
    }

    #[test]
    fn what_was_found_is_cut_between_characters() {
        let text = "é".repeat(200);
        assert_eq!(excerpt(text.as_bytes()), "é".repeat(128));
        assert_eq!(excerpt(format!("x{text}").as_bytes()), format!("x{}", "é".repeat(127)));
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
        assert!(excerpt(&[0xff; 1000]).len() <= MAX_FOUND_BYTES);
    }
}
