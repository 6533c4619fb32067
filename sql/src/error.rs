//! Errors on their way through DataFusion: ours go in whole and come out whole, DataFusion's own get a kind.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use icefold_core::error::find_in_chain;
use icefold_core::{Error, ErrorKind};

use crate::hints;

/// Wraps one of our errors for DataFusion.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Returns our error that travelled inside `error`, or gives DataFusion's own error a kind.
pub(crate) fn from_datafusion(error: DataFusionError) -> Error {
    match unwrap_ours(error) {
        Ok(ours) => ours,
        Err(theirs) => match find_in_chain(&theirs) {
            Some(ours) => copy(ours),
            None => classify(theirs),
        },
    }
}

/// Takes our error out by value, so that its causes stay with it.
fn unwrap_ours(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(nested) => unwrap_ours(*nested),
                Err(inner) => Err(DataFusionError::External(inner)),
            },
        },
        DataFusionError::Context(_, inner) => unwrap_ours(*inner),
        DataFusionError::Diagnostic(_, inner) => unwrap_ours(*inner),
        DataFusionError::ArrowError(inner, trace) => match *inner {
            ArrowError::ExternalError(inner) => unwrap_ours(DataFusionError::External(inner)),
            other => Err(DataFusionError::ArrowError(Box::new(other), trace)),
        },
        other => Err(other),
    }
}

/// Copies kind, message and context of an error that is shared; its causes stay behind.
pub(crate) fn copy(ours: &Error) -> Error {
    let copied = Error::new(ours.kind(), ours.message());
    ours.context().iter().fold(copied, |error, (key, value)| error.with(key, value))
}

fn classify(error: DataFusionError) -> Error {
    let text = first_line(&error.strip_backtrace());
    let (kind, message) = match error.find_root() {
        DataFusionError::ResourcesExhausted(cause) => (ErrorKind::Refused, exhausted(cause, &text)),
        DataFusionError::SchemaError(cause, _) => (ErrorKind::InvalidInput, hints::of_schema(cause).unwrap_or(text)),
        // The second line names what may be meant.
        DataFusionError::Plan(plan) => (
            ErrorKind::InvalidInput,
            hints::of_grouping(plan).unwrap_or_else(|| plan.lines().collect::<Vec<_>>().join(" ")),
        ),
        DataFusionError::ObjectStore(cause) => store_failure(cause, &text),
        root if io_cause(root).is_some_and(is_full) => (
            ErrorKind::Refused,
            format!(
                "the temporary folder {} is full: free it, set TMPDIR to a larger one, raise `query.memory_limit_bytes` or \
                 ask for fewer rows: {text}",
                temporary_folder()
            ),
        ),
        DataFusionError::IoError(cause) => (io_kind(cause), format!("reading or spilling failed: {text}")),
        root if of_condition(root).is_some() => {
            let what = of_condition(root).unwrap_or_default();
            (
                ErrorKind::InvalidInput,
                format!("a condition of the query fails for a row: {what}: guard it with NULLIF, TRY_CAST or CASE"),
            )
        }
        DataFusionError::ParquetError(_) => (ErrorKind::Corrupt, format!("a file of the table cannot be read: {text}")),
        DataFusionError::Internal(_) => (ErrorKind::Bug, format!("the query engine contradicts itself: {text}")),
        _ => (ErrorKind::InvalidInput, text),
    };
    Error::new(kind, message).because(error)
}

/// Returns what failed when a condition was computed inside the Parquet reader, which tells it as an error of its own.
fn of_condition(root: &DataFusionError) -> Option<String> {
    const PREFIX: &str = "Error evaluating filter predicate: ";
    let DataFusionError::ParquetError(_) = root else { return None };
    let text = root.strip_backtrace();
    let (_, debug) = text.split_once(PREFIX)?;
    if debug.contains("DivideByZero") {
        return Some("division by zero".to_owned());
    }
    // The reader keeps only the error as code shows it: the message stands between quotes.
    let message = debug.split_once("(\"").and_then(|(_, rest)| rest.split_once("\")"));
    Some(message.map_or(debug, |(message, _)| message).replace("\\\"", "\""))
}

/// Tells memory from the disk that should have taken its place.
fn exhausted(cause: &str, text: &str) -> String {
    if cause.contains("disk space") {
        return format!(
            "the query needs more room in the temporary folder {} than it may take: ask for fewer rows: {text}",
            temporary_folder()
        );
    }
    format!(
        "the query needs more memory than `query.memory_limit_bytes`: raise that setting or ask for fewer rows: {text}"
    )
}

fn temporary_folder() -> String {
    format!("`{}`", std::env::temp_dir().display())
}

fn store_failure(cause: &object_store::Error, text: &str) -> (ErrorKind, String) {
    match cause {
        object_store::Error::NotFound { .. } => (
            ErrorKind::Corrupt,
            format!("a file of the snapshot is gone: query a newer snapshot or run `icefold verify`: {text}"),
        ),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            (ErrorKind::Refused, format!("the storage refuses to be read: {text}"))
        }
        _ => (ErrorKind::Transient, format!("the storage cannot be read now: {text}")),
    }
}

/// Returns the failure of the operating system below an error; spill files are written by Arrow, which wraps it.
fn io_cause(error: &DataFusionError) -> Option<&std::io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<std::io::Error>() {
            return Some(found);
        }
        next = match cause.downcast_ref::<ArrowError>() {
            Some(ArrowError::IoError(_, inner)) => Some(inner),
            _ => cause.source(),
        };
    }
    None
}

fn is_full(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn io_kind(cause: &std::io::Error) -> ErrorKind {
    match cause.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::PermissionDenied
        | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Refused,
        _ => ErrorKind::Transient,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_come_out_as_they_went_in() {
        let inner = Error::invalid("no").with("table", "t").because(std::io::Error::other("cause"));
        let wrapped = DataFusionError::Context("while planning".into(), Box::new(external(inner)));
        let out = from_datafusion(wrapped);
        assert_eq!((out.kind(), out.to_string().as_str()), (ErrorKind::InvalidInput, "no (table: t)"));
        assert!(out.source().is_some(), "the cause stays");
    }

    #[test]
    fn a_shared_error_keeps_kind_and_facts() {
        let shared = DataFusionError::Shared(std::sync::Arc::new(external(Error::corrupt("bad").with("file", "f"))));
        let out = from_datafusion(shared);
        assert_eq!((out.kind(), out.to_string().as_str()), (ErrorKind::Corrupt, "bad (file: f)"));
    }

    #[test]
    fn foreign_errors_say_what_to_do_next() {
        let gone = object_store::Error::NotFound { path: "f".into(), source: "gone".into() };
        for (error, kind) in [
            (DataFusionError::ResourcesExhausted("pool".into()), ErrorKind::Refused),
            (DataFusionError::Plan("column".into()), ErrorKind::InvalidInput),
            (DataFusionError::Internal("oops".into()), ErrorKind::Bug),
            (DataFusionError::ObjectStore(Box::new(gone)), ErrorKind::Corrupt),
        ] {
            assert_eq!(from_datafusion(error).kind(), kind);
        }
    }
}
