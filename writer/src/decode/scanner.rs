//! A validating JSON scanner that looks at each byte about once and copies nothing.
//!
//! It works on one record in a longer slice of bytes: a line break is never white space inside a record, so the scanner
//! stops at the end of the line by itself and no search for line breaks comes first. Every value that it passes over is
//! checked in full (grammar, UTF-8, escapes, surrogate pairs, number range); nesting is bounded by `max_depth`, which
//! also bounds recursion.

use super::block::{BLOCK, beyond_ascii, block_at, string_marks};
use super::reason::Reason;

/// A range of bytes, `[start, end)`, relative to the scanner's slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Of a slice shorter than 4 GiB.
    pub(super) fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    /// Returns the bytes of the span.
    #[inline]
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    pub(super) fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not there.
    #[default]
    Absent,
    Null,
    Bool,
    Number,
    /// A string without escapes.
    Text,
    /// A string with escapes, none of which is U+0000.
    EscapedText,
    /// A string with an escaped U+0000.
    NulText,
    Object,
    Array,
}

/// A value and where it stands; the span of a string leaves out its quotation marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

impl Value {
    /// Returns the span of the JSON text, with the quotation marks of a string.
    pub(super) fn json(self) -> Span {
        match self.kind {
            Kind::Text | Kind::EscapedText | Kind::NulText => {
                Span { start: self.span.start - 1, end: self.span.end + 1 }
            }
            _ => self.span,
        }
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self.kind, Kind::Text | Kind::EscapedText | Kind::NulText)
    }

    /// Returns whether the key is absent, or null, which means the same.
    pub(super) fn is_missing(self) -> bool {
        matches!(self.kind, Kind::Absent | Kind::Null)
    }
}

/// Why and where a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// What reading a piece of JSON gives.
pub(super) type Scan<T> = Result<T, Fault>;

/// A place in a text, moved forward by reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    max_depth: u32,
    /// Whether what is inside of bodies is to be noted.
    pub(super) with_bodies: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at `at`. `bytes` is shorter than 4 GiB.
    pub(super) fn new(bytes: &'a [u8], at: usize, max_depth: u32) -> Self {
        Scanner { bytes, at, max_depth, with_bodies: false }
    }

    /// Returns the next byte that is not white space, without passing it; NUL at the end of the text.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Returns whether the record ends here.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek();
        matches!(self.bytes.get(self.at), None | Some(b'\n'))
    }

    /// Makes the fault for an unexpected byte at the current place.
    #[cold]
    pub(super) fn unexpected(&self, expected: &'static str) -> Fault {
        let reason = match self.bytes.get(self.at) {
            None | Some(b'\n') => Reason::TruncatedJson,
            Some(0x80..) if std::str::from_utf8(self.character()).is_err() => Reason::InvalidUtf8,
            Some(_) => Reason::InvalidJson,
        };
        Fault { reason, at: self.at, expected }
    }

    /// Makes the fault for a value that is followed by something.
    #[cold]
    pub(super) fn trailing(&self) -> Fault {
        self.fault(Reason::TrailingData, self.at, "nothing behind the value")
    }

    /// Returns the bytes that the first byte here claims for its character.
    fn character(&self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = match rest.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..) => 4,
            _ => 1,
        };
        &rest[..len.min(rest.len())]
    }

    #[cold]
    fn fault(&self, reason: Reason, at: usize, expected: &'static str) -> Fault {
        Fault { reason, at, expected }
    }

    /// Reads any value. `depth` is the number of objects and arrays around it.
    #[inline]
    pub(super) fn value(&mut self, depth: u32) -> Scan<Value> {
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.spanned(Kind::Object, |s| s.object(depth + 1, |s, _| s.value(depth + 1).map(drop))),
            b'[' => self.spanned(Kind::Array, |s| s.array(depth + 1)),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", Kind::Bool),
            b'f' => self.literal(b"false", Kind::Bool),
            b'n' => self.literal(b"null", Kind::Null),
            _ => Err(self.unexpected("a JSON value")),
        }
    }

    /// Runs `read` and returns what it passed over.
    #[inline]
    pub(super) fn spanned(&mut self, kind: Kind, read: impl FnOnce(&mut Self) -> Scan<()>) -> Scan<Value> {
        let start = self.at;
        read(self)?;
        Ok(Value { kind, span: Span::new(start, self.at) })
    }

    /// Reads an object from its brace on; `member` is called with each key and reads the value.
    #[inline]
    pub(super) fn object(&mut self, depth: u32, mut member: impl FnMut(&mut Self, Value) -> Scan<()>) -> Scan<()> {
        self.open(depth)?;
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != b'"' {
                return Err(self.unexpected("a key in quotation marks"));
            }
            let key = self.string()?;
            if self.peek() != b':' {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            member(self, key)?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an array from its bracket on.
    fn array(&mut self, depth: u32) -> Scan<()> {
        self.elements(depth, |s| s.value(depth).map(drop))
    }

    /// Reads an array from its bracket on; `element` reads each element.
    #[inline]
    pub(super) fn elements(&mut self, depth: u32, mut element: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.open(depth)?;
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, depth: u32) -> Scan<()> {
        if depth > self.max_depth {
            return Err(self.fault(Reason::NestingTooDeep, self.at, "fewer levels of nesting"));
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &'static [u8], kind: Kind) -> Scan<Value> {
        let span = Span::new(self.at, self.at + literal.len());
        if !self.bytes[self.at..].starts_with(literal) {
            self.at += literal.iter().zip(&self.bytes[self.at..]).take_while(|(a, b)| a == b).count();
            return Err(self.unexpected("`true`, `false` or `null`"));
        }
        self.at += literal.len();
        Ok(Value { kind, span })
    }

    /// Reads a string from its quotation mark on.
    #[inline]
    pub(super) fn string(&mut self) -> Scan<Value> {
        let start = self.at + 1;
        self.at = start;
        let mut kind = Kind::Text;
        let mut high = 0;
        loop {
            let block = block_at(self.bytes, self.at);
            // May tell of bytes behind the string: then the check below is made in vain, once.
            high |= beyond_ascii(block);
            let Some(stop) = string_marks(block).first() else {
                self.at += BLOCK;
                continue;
            };
            self.at += stop;
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut kind)?,
                _ => return Err(self.control()),
            }
        }
        let span = Span::new(start, self.at);
        if high != 0 {
            self.check_utf8(span)?;
        }
        self.at += 1;
        Ok(Value { kind, span })
    }

    #[cold]
    fn control(&self) -> Fault {
        let reason = match self.bytes.get(self.at) {
            None | Some(b'\n') => Reason::TruncatedJson,
            Some(_) => Reason::ControlCharacter,
        };
        self.fault(reason, self.at, "the end of the string, or an escaped control character")
    }

    fn check_utf8(&self, span: Span) -> Scan<()> {
        match std::str::from_utf8(span.of(self.bytes)) {
            Ok(_) => Ok(()),
            Err(e) => Err(self.fault(Reason::InvalidUtf8, span.start as usize + e.valid_up_to(), "UTF-8")),
        }
    }

    /// Passes an escape, and notes in `kind` that there was one.
    fn escape(&mut self, kind: &mut Kind) -> Scan<()> {
        let escaped = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Kind::EscapedText,
            Some(b'u') if self.unicode_escape()? == 0 => Kind::NulText,
            Some(b'u') => Kind::EscapedText,
            None | Some(b'\n') => return Err(self.fault(Reason::TruncatedJson, self.at, "the end of the string")),
            Some(_) => return Err(self.fault(Reason::InvalidJson, self.at, "one of the escapes of JSON")),
        };
        if *kind != Kind::NulText {
            *kind = escaped;
        }
        self.at += 2;
        Ok(())
    }

    /// Reads `\uXXXX`, and the second half of a surrogate pair; leaves the place two bytes before the end.
    fn unicode_escape(&mut self) -> Scan<u32> {
        let unit = self.hex4(self.at)?;
        if (0xdc00..0xe000).contains(&unit) {
            return Err(self.fault(Reason::LoneSurrogate, self.at, "a surrogate pair"));
        }
        if (0xd800..0xdc00).contains(&unit) {
            let next = self.at + 6;
            let paired = self.bytes.get(next..next + 2) == Some(b"\\u");
            if !paired || !(0xdc00..0xe000).contains(&self.hex4(next)?) {
                return Err(self.fault(Reason::LoneSurrogate, self.at, "a surrogate pair"));
            }
            self.at += 6;
        }
        self.at += 4;
        Ok(unit)
    }

    fn hex4(&self, at: usize) -> Scan<u32> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        hex(digits).ok_or_else(|| self.fault(Reason::InvalidJson, at, "four hexadecimal digits after `\\u`"))
    }

    /// Reads a number.
    fn number(&mut self) -> Scan<Value> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        let exponent = matches!(self.bytes.get(self.at), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let span = Span::new(start, self.at);
        if exponent || span.len() > MAX_PLAIN_DIGITS {
            self.check_range(span)?;
        }
        Ok(Value { kind: Kind::Number, span })
    }

    fn digits(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Scan<()> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn check_range(&self, span: Span) -> Scan<()> {
        let text = std::str::from_utf8(span.of(self.bytes)).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err(self.fault(Reason::NumberOutOfRange, span.start as usize, "a number within ±1.8e308")),
        }
    }
}

/// Numbers of up to this many characters without an exponent are finite as IEEE 754 doubles.
const MAX_PLAIN_DIGITS: usize = 300;

/// Reads four hexadecimal digits.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    let digits: [u8; 4] = digits.try_into().ok()?;
    digits.iter().try_fold(0, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
}
