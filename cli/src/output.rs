//! What the program prints: results on standard output, as text or JSON; everything else on standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use icefold_core::{Error, ErrorKind, Result};
use serde::Serialize;

/// Where results and remarks go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Results are JSON.
    pub(crate) json: bool,
    /// No remarks and no progress.
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a result: `value` as JSON, or the text for people.
    ///
    /// # Errors
    /// `Refused` when standard output cannot be written.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            let mut json =
                serde_json::to_vec_pretty(value).map_err(|e| Error::bug("result has no JSON form").because(e))?;
            json.push(b'\n');
            return self.write(&json);
        }
        self.text(&text())
    }

    /// Prints text for people; what of it stood in events does not drive their terminal, see [`printable`].
    ///
    /// # Errors
    /// `Refused` when standard output cannot be written.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        self.write(printable(text).as_bytes())
    }

    /// Writes to standard output as it is.
    ///
    /// # Errors
    /// `Refused` when standard output cannot be written.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|e| Error::new(ErrorKind::Refused, "standard output cannot be written").because(e))
    }

    /// Prints a result as one line of JSON on standard error, for when standard output is taken.
    ///
    /// # Errors
    /// `Bug` when `value` has no JSON form.
    pub(crate) fn aside<T: Serialize>(&self, value: &T) -> Result<()> {
        let json = serde_json::to_string(value).map_err(|e| Error::bug("result has no JSON form").because(e))?;
        // A closed standard error must not stop the work.
        let _ = writeln!(io::stderr(), "{json}");
        Ok(())
    }

    /// Prints a remark for a person who watches, on standard error.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet && !self.json {
            // A closed standard error must not stop the work.
            let _ = writeln!(io::stderr(), "{}", printable(text));
        }
    }

    /// Returns whether somebody watches progress.
    pub(crate) fn is_watched(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}

/// Returns text as a terminal may show it: control characters but the line feed are escaped, since whoever can post an
/// event could otherwise colour, retitle or rewrite the screen of whoever looks at it. A tab becomes a blank, so that
/// columns stay aligned. What this program prints for people has no control characters of its own.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || !c.is_control();
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            c if harmless(c) => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let hostile = "a\u{1b}[31mRED\u{1b}]0;pwn\u{7}\r\u{7f}\u{9b}b\tc\nd";
        let shown = r"a\u{1b}[31mRED\u{1b}]0;pwn\u{7}\u{d}\u{7f}\u{9b}b c";
        assert_eq!(printable(hostile), format!("{shown}\nd"));
        assert_eq!(printable(&printable(hostile)), printable(hostile), "showing it again changes nothing");
        assert!(matches!(printable("ä │ 7\n"), Cow::Borrowed(_)), "what is harmless stays as it is");
    }
}
