//! One line of an access log, in Apache's and nginx's common or combined log format.
//!
//! ```text
//! host ident user [17/May/2015:10:05:03 +0000] "request" status bytes
//! host ident user [17/May/2015:10:05:03 +0000] "request" status bytes "referer" "agent" anything
//! ```

use std::borrow::Cow;

use icefold_core::timestamp::{days_of, days_since_1970};

/// A line taken apart. Texts are as logged, escapes included; `-` means none and became `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogLine<'a> {
    pub(super) host: &'a str,
    pub(super) ident: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    /// Microseconds since 1970.
    pub(super) time_micros: i64,
    pub(super) request: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) bytes: Option<u64>,
    pub(super) referrer: Option<&'a str>,
    pub(super) agent: Option<&'a str>,
    /// What a server appended to the combined format, as nginx does with forwarded addresses.
    pub(super) rest: Option<&'a str>,
}

/// What a part of a line should have been, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) expected: &'static str,
    pub(super) at: usize,
}

impl<'a> LogLine<'a> {
    /// Takes a line apart.
    ///
    /// # Errors
    /// The first part that is not what the format asks for.
    pub(super) fn parse(line: &'a str) -> Result<Self, Mistake> {
        let mut parts = Parts { line, at: 0 };
        let host = parts.until(" ", "a host")?;
        let ident = parts.until(" ", "an identity, or `-`")?;
        let user = parts.until(" [", "a user, or `-`")?;
        let time_micros = parts.time()?;
        let request = parts.quoted("a request in quotation marks")?;
        parts.pass(" ", "a blank")?;
        let status = parts.number("a status, or `-`")?;
        parts.pass(" ", "a blank")?;
        let bytes = parts.number("a number of bytes, or `-`")?;
        let (mut referrer, mut agent, mut rest) = (None, None, "");
        if parts.at < line.len() {
            parts.pass(" ", "a blank")?;
            referrer = present(parts.quoted("a referrer in quotation marks")?);
            parts.pass(" ", "a blank")?;
            agent = present(parts.quoted("a user agent in quotation marks")?);
            rest = line[parts.at..].trim();
        }
        Ok(LogLine {
            host,
            ident: present(ident),
            // nginx writes an empty name as it is, in quotation marks.
            user: present(user).filter(|user| *user != "\"\""),
            time_micros,
            request: present(request),
            status,
            bytes,
            referrer,
            agent,
            rest: present(rest),
        })
    }
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|t| !matches!(*t, "-" | ""))
}

/// What is left of a line.
struct Parts<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn mistake<T>(&self, expected: &'static str) -> Result<T, Mistake> {
        Err(Mistake { expected, at: self.at })
    }

    /// Passes over what stands before `end`, which must be something, and over `end`.
    fn until(&mut self, end: &str, expected: &'static str) -> Result<&'a str, Mistake> {
        match self.rest().split_once(end) {
            Some((part, _)) if !part.is_empty() => {
                self.at += part.len() + end.len();
                Ok(part)
            }
            _ => self.mistake(expected),
        }
    }

    fn pass(&mut self, text: &str, expected: &'static str) -> Result<(), Mistake> {
        if !self.rest().starts_with(text) {
            return self.mistake(expected);
        }
        self.at += text.len();
        Ok(())
    }

    /// Passes over a time from behind its bracket, the closing bracket and a blank.
    fn time(&mut self) -> Result<i64, Mistake> {
        const EXPECTED: &str = "a time like 17/May/2015:10:05:03 +0000 in brackets";
        let Some((time, _)) = self.rest().split_once("] ") else {
            return self.mistake(EXPECTED);
        };
        let Some(micros) = time_micros(time.as_bytes()) else {
            return self.mistake(EXPECTED);
        };
        self.at += time.len() + 2;
        Ok(micros)
    }

    /// Passes over a text in quotation marks, in which a backslash escapes.
    fn quoted(&mut self, expected: &'static str) -> Result<&'a str, Mistake> {
        let Some(text) = self.rest().strip_prefix('"') else {
            return self.mistake(expected);
        };
        let mut escaped = false;
        for (i, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at += i + 2;
                    return Ok(&text[..i]);
                }
                _ => {}
            }
        }
        self.mistake(expected)
    }

    /// Passes over a decimal number, or over `-`.
    fn number<N: std::str::FromStr>(&mut self, expected: &'static str) -> Result<Option<N>, Mistake> {
        let rest = self.rest();
        let part = rest.split(' ').next().unwrap_or_default();
        let number = match part {
            "-" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
                Ok(number) => Some(number),
                Err(_) => return self.mistake(expected),
            },
            _ => return self.mistake(expected),
        };
        self.at += part.len();
        Ok(number)
    }
}

/// Reads `17/May/2015:10:05:03 +0000` as microseconds since 1970.
fn time_micros(text: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let text: &[u8; 26] = text.try_into().ok()?;
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    if [text[2], text[6], text[11], text[14], text[17], text[20]] != *b"//::: " {
        return None;
    }
    let month = MONTHS.chunks(3).zip(1..).find(|(name, _)| *name == &text[3..6])?.1;
    let (day, year) = (number(0, 2)?, number(7, 11)?);
    let (hour, minute, second) = (number(12, 14)?, number(15, 17)?, number(18, 20)?);
    let (zone_hours, zone_minutes) = (number(22, 24)?, number(24, 26)?);
    let zone = match text[21] {
        b'+' => zone_hours * 3_600 + zone_minutes * 60,
        b'-' => -(zone_hours * 3_600 + zone_minutes * 60),
        _ => return None,
    };
    let in_range =
        (1..=days_of(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60 && zone_hours < 24;
    let days = days_since_1970(year, month, day);
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second - zone) * 1_000_000).filter(|_| in_range)
}

/// Decodes the escapes of Apache and nginx (`\"`, `\\`, `\n`, `\xHH` …). A text that would not be UTF-8 then, or would
/// have control characters, stays as it was logged.
pub(super) fn decoded(logged: &str) -> Cow<'_, str> {
    if !logged.contains('\\') {
        return Cow::Borrowed(logged);
    }
    let mut out = Vec::with_capacity(logged.len());
    let mut bytes = logged.as_bytes();
    while let [first, rest @ ..] = bytes {
        let (byte, after) = if *first == b'\\' { escape(rest) } else { (*first, rest) };
        out.push(byte);
        bytes = after;
    }
    match String::from_utf8(out) {
        Ok(text) if !text.chars().any(char::is_control) => Cow::Owned(text),
        _ => Cow::Borrowed(logged),
    }
}

/// Decodes one escape, given from behind its backslash; returns the byte and what follows.
fn escape(text: &[u8]) -> (u8, &[u8]) {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    match text {
        [b'x', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => (high << 4 | low, rest),
            _ => (b'\\', text),
        },
        [b'n', rest @ ..] => (b'\n', rest),
        [b't', rest @ ..] => (b'\t', rest),
        [b'r', rest @ ..] => (b'\r', rest),
        [plain @ (b'"' | b'\\'), rest @ ..] => (*plain, rest),
        _ => (b'\\', text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> LogLine<'_> {
        LogLine::parse(line).unwrap_or_else(|m| panic!("{line}: expected {} at {}", m.expected, m.at))
    }

    #[test]
    fn a_combined_line_is_taken_apart() {
        let line = parse(
            r#"2001:db8::7 - ann lee [17/May/2015:10:05:03 +0200] "GET /a?b=\"c\" HTTP/1.1" 200 5 "http://e.org/" "A \"B\"""#,
        );
        assert_eq!((line.host, line.ident, line.user), ("2001:db8::7", None, Some("ann lee")));
        assert_eq!(line.time_micros, 1_431_849_903_000_000);
        assert_eq!(line.request, Some(r#"GET /a?b=\"c\" HTTP/1.1"#));
        assert_eq!((line.status, line.bytes), (Some(200), Some(5)));
        assert_eq!((line.referrer, line.agent, line.rest), (Some("http://e.org/"), Some(r#"A \"B\""#), None));
    }

    #[test]
    fn a_common_line_has_neither_referrer_nor_agent() {
        let line = parse(r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 304 -"#);
        assert_eq!((line.user, line.status, line.bytes, line.agent), (Some("frank"), Some(304), None, None));
        assert_eq!(line.time_micros, 971_211_336_000_000);
    }

    #[test]
    fn odd_requests_are_still_lines() {
        for request in ["-", "", r"\x16\x03\x01", "GET", "GET  /  ", "GET /\\\" HTTP/1.1"] {
            parse(&format!(r#"h - - [10/Oct/2000:13:55:36 -0700] "{request}" 408 0 "-" "-""#));
        }
    }

    #[test]
    fn what_nginx_appends_is_kept() {
        let line = parse(r#"h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1 "-" "a" "10.0.0.1" 0.003"#);
        assert_eq!(line.rest, Some(r#""10.0.0.1" 0.003"#));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (line, expected, at) in [
            ("", "a host", 0),
            ("h - -", "a user, or `-`", 4),
            ("h - - [32/Oct/2000:13:55:36 -0700] ", "a time like 17/May/2015:10:05:03 +0000 in brackets", 7),
            ("h - - [10/Oct/2000:13:55:36 -0700] \"GET", "a request in quotation marks", 35),
            ("h - - [10/Oct/2000:13:55:36 -0700] \"G\" 2x0 1", "a status, or `-`", 39),
            ("h - - [10/Oct/2000:13:55:36 -0700] \"G\" 200 1 \"r\" \"cut", "a user agent in quotation marks", 49),
        ] {
            assert_eq!(LogLine::parse(line), Err(Mistake { expected, at }), "{line}");
        }
    }

    #[test]
    fn escapes_are_decoded_where_the_result_is_text() {
        assert_eq!(decoded(r#"a\"b\\c\x41\xc3\xa9"#), "a\"b\\cAé");
        for logged in [r"\xe4\xe5", r"\x00", r"a\nb", r"\x4", r"\"] {
            assert_eq!(decoded(logged), logged);
        }
    }
}
