//! The members of an event's body, noted while it is scanned, so that contracts can look at each without reading the bytes
//! again, whatever the order of the event's keys.
//!
//! Entries stand in the order of the text; those of an object or array inside come right behind its own, and `behind` tells
//! where they end.

use super::scanner::{Kind, Scan, Scanner, Value};

/// Room that is kept from event to event.
const KEPT_ENTRIES: usize = 1_024;

/// A member of an object, or an element of an array.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// Absent for an element.
    pub(super) key: Value,
    pub(super) value: Value,
    /// Index of the first entry behind it and all that is inside it.
    pub(super) behind: u32,
}

/// What is inside one object.
#[derive(Debug, Default)]
pub(super) struct Tape(Vec<Entry>);

impl Tape {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_ENTRIES);
    }

    /// Returns all entries.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Reads a value as [`Scanner::value`] does, and notes what is inside.
    pub(super) fn value(&mut self, scanner: &mut Scanner<'_>, depth: u32) -> Scan<Value> {
        match scanner.peek() {
            b'{' => scanner.spanned(Kind::Object, |scanner| {
                scanner.object(depth + 1, |scanner, key| self.entry(scanner, key, depth + 1))
            }),
            b'[' => scanner.spanned(Kind::Array, |scanner| {
                scanner.elements(depth + 1, |scanner| self.entry(scanner, Value::default(), depth + 1))
            }),
            _ => scanner.value(depth),
        }
    }

    fn entry(&mut self, scanner: &mut Scanner<'_>, key: Value, depth: u32) -> Scan<()> {
        let at = self.0.len();
        self.0.push(Entry::default());
        let value = self.value(scanner, depth)?;
        self.0[at] = Entry { key, value, behind: self.0.len() as u32 };
        Ok(())
    }
}

/// Returns the entries of one level among `entries`, whose first one has the index `first` on its tape, each with what is
/// inside it and the index of that.
pub(super) fn level(entries: &[Entry], first: u32) -> impl Iterator<Item = (Entry, &[Entry], u32)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let entry = *entries.get(at)?;
        let behind = (entry.behind - first) as usize;
        let inside = &entries[at + 1..behind];
        let start = first + at as u32 + 1;
        at = behind;
        Some((entry, inside, start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], entries: &[Entry], first: u32) -> String {
        let one = |(entry, inside, start): (Entry, &[Entry], u32)| {
            let key = String::from_utf8_lossy(entry.key.span.of(bytes)).into_owned();
            let value = match entry.value.kind {
                Kind::Object | Kind::Array => format!("({})", shown(bytes, inside, start)),
                _ => String::from_utf8_lossy(entry.value.span.of(bytes)).into_owned(),
            };
            format!("{key}={value}")
        };
        level(entries, first).map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_and_elements_are_noted_level_by_level() {
        let text = br#"{"a":1,"b":{"c":[true,{"d":null}],"e":{}},"f":[],"g":"x"}"#;
        let mut tape = Tape::default();
        let value = tape.value(&mut Scanner::new(text, 0, 64), 0).expect("JSON");
        assert_eq!((value.kind, value.span.len()), (Kind::Object, text.len()));
        assert_eq!(shown(text, tape.entries(), 0), "a=1 b=(c=(=true =(d=null)) e=()) f=() g=x");
    }

    #[test]
    fn what_is_no_json_is_no_json_here_either() {
        for text in [r#"{"a":}"#, r#"{"a":[1,]}"#, r#"{"a":1"#, "[1"] {
            assert!(Tape::default().value(&mut Scanner::new(text.as_bytes(), 0, 64), 0).is_err(), "{text}");
        }
        let deep = "[".repeat(65) + &"]".repeat(65);
        assert!(Tape::default().value(&mut Scanner::new(deep.as_bytes(), 0, 64), 0).is_err(), "nesting is bounded");
    }
}
