//! Errors on their way through DataFusion: ours go in whole and come out whole, DataFusion's own get a kind.

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
        DataFusionError::SchemaError(cause, _) => (ErrorKind::InvalidInput, hints::of_schema(cause).unwrap_or(text)),
        // The second line names what may be meant.
        DataFusionError::Plan(plan) => (ErrorKind::InvalidInput, plan.lines().collect::<Vec<_>>().join(" ")),
        DataFusionError::ResourcesExhausted(_) => (
            ErrorKind::Refused,
            format!("the query needs more memory than its limit: raise the limit or ask for fewer rows: {text}"),
        ),
        DataFusionError::ObjectStore(cause) => store_failure(cause, &text),
        DataFusionError::IoError(cause) => (io_kind(cause), format!("reading or spilling failed: {text}")),
        DataFusionError::ParquetError(_) => (ErrorKind::Corrupt, format!("a file of the table cannot be read: {text}")),
        DataFusionError::Internal(_) => (ErrorKind::Bug, format!("the query engine contradicts itself: {text}")),
        _ => (ErrorKind::InvalidInput, text),
    };
    Error::new(kind, message).because(error)
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
    use std::error::Error as StdError;

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
