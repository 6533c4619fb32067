//! What the program prints: results on standard output, as text or JSON; everything else on standard error.

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
        self.write(text().as_bytes())
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
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Returns whether somebody watches progress.
    pub(crate) fn is_watched(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}
