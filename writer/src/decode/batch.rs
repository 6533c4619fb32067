//! Where the events of a batch stand, found by brackets and quotation marks alone, so that one broken event leaves the
//! others readable. The events themselves are read one by one afterwards.

use super::block::{BLOCK, block_at, string_marks, structure_marks};
use super::reason::Reason;
use super::scanner::{Fault, Scan, Span};

/// Finds the elements of the array whose bracket stands at `open`; returns the place behind its end.
///
/// An element's span has no white space around it; it is empty where nothing stands between two commas. An array of
/// nothing but white space has no elements. `elements` is empty before.
pub(super) fn split(bytes: &[u8], open: usize, elements: &mut Vec<Span>) -> Scan<usize> {
    let mut cursor = Cursor { bytes, at: open + 1 };
    let mut start = open + 1;
    let mut depth = 1_u32;
    loop {
        let byte = cursor.next_structure()?;
        match byte {
            b'"' => cursor.pass_string()?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => {
                elements.push(trimmed(bytes, start, cursor.at - 1));
                start = cursor.at;
            }
            _ => {}
        }
        if depth == 0 {
            if byte != b']' {
                return Err(Fault { reason: Reason::InvalidJson, at: cursor.at - 1, expected: "the `]` of the batch" });
            }
            let last = trimmed(bytes, start, cursor.at - 1);
            if last.len() > 0 || !elements.is_empty() {
                elements.push(last);
            }
            return Ok(cursor.at);
        }
    }
}

fn trimmed(bytes: &[u8], start: usize, end: usize) -> Span {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
    let text = &bytes[start..end];
    let before = text.iter().take_while(|b| blank(b)).count();
    let behind = text[before..].iter().rev().take_while(|b| blank(b)).count();
    Span { start: (start + before) as u32, end: (end - behind) as u32 }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Passes the next byte that gives structure, and returns it.
    fn next_structure(&mut self) -> Scan<u8> {
        while self.at < self.bytes.len() {
            let Some(stop) = structure_marks(&block_at(self.bytes, self.at)).first() else {
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
            let Some(stop) = string_marks(&block_at(self.bytes, self.at)).first() else {
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

    fn elements(text: &str) -> Scan<Vec<&str>> {
        let mut spans = Vec::new();
        let end = split(text.as_bytes(), 0, &mut spans)?;
        assert_eq!(text.as_bytes()[end - 1], b']');
        Ok(spans.iter().map(|s| &text[s.start as usize..s.end as usize]).collect())
    }

    #[test]
    fn elements_are_found_whatever_they_hold() {
        for (text, expected) in [
            ("[]", vec![]),
            ("[ \t]", vec![]),
            ("[1]", vec!["1"]),
            (r#"[{"a":"],["},{"b":"\"]"}]"#, vec![r#"{"a":"],["}"#, r#"{"b":"\"]"}"#]),
            ("[ [1,2] , {} ,x y]", vec!["[1,2]", "{}", "x y"]),
            ("[1,,2,]", vec!["1", "", "2", ""]),
            (r#"["\\","\\\"",3]}"#.trim_end_matches('}'), vec![r#""\\""#, r#""\\\"""#, "3"]),
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

    #[test]
    fn the_rest_of_the_record_is_left_alone() {
        let mut spans = Vec::new();
        assert_eq!(split(br#"[1],"sentAt":[2]"#, 0, &mut spans).expect("whole"), 3);
        assert_eq!(spans.len(), 1);
    }
}
