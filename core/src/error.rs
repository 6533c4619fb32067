//! The one error type. Its kind answers the caller's question: what now?

use std::error::Error as StdError;
use std::fmt;

/// A result of this project's crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing happened; the same call may succeed later (throttled, 503, connection refused, database locked).
    Transient,
    /// Somebody else was faster: refresh and plan again.
    Conflict,
    /// It may or may not have happened: look before acting again.
    OutcomeUnknown,
    /// Another writer has moved the table past this one: stop and reload the position.
    Fenced,
    /// What was asked for is wrong; the message names the remedy.
    InvalidInput,
    /// What is asked for does not exist.
    NotFound,
    /// Stored state contradicts itself: stop, nothing is guessed.
    Corrupt,
    /// The environment refuses: disk full, read-only, access denied.
    Refused,
    /// A promise of this program's own is broken.
    Bug,
}

impl ErrorKind {
    /// Returns the kind as a stable snake_case word, for logs and `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Transient => "transient",
            ErrorKind::Conflict => "conflict",
            ErrorKind::OutcomeUnknown => "outcome_unknown",
            ErrorKind::Fenced => "fenced",
            ErrorKind::InvalidInput => "invalid_input",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Refused => "refused",
            ErrorKind::Bug => "bug",
        }
    }
}

/// An error: kind, message, key-value context and source.
///
/// Messages are lower case without a full stop, ids in backticks, and name the remedy where there is one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), context: Vec::new(), source: None }))
    }

    /// Adds a fact (table, snapshot, file, offset) that helps to find the place.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without context and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the facts that were added with [`Error::with`], in that order.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Makes an [`ErrorKind::InvalidInput`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Makes an [`ErrorKind::Corrupt`] error.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Makes an [`ErrorKind::Bug`] error.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{key}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.as_str())?;
        if let Some(source) = &self.0.source {
            write!(f, "; caused by: {source:?}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// Finds the first of this project's errors in the chain of causes, for errors that travelled through a foreign
/// crate (for example out of our `Storage` through `iceberg`).
pub fn find_in_chain<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<Error>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}
