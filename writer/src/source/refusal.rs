//! The errors of the sources: what storage said, and what the source refuses.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;

use icefold_core::{Error, ErrorKind, Offset, ShardId};

/// Refuses to continue because what was read is not there any more as it was read. `what` says what is different.
pub(super) fn changed_behind(shard: &ShardId, next: &Offset, what: impl Display) -> Error {
    Error::invalid(format!(
        "source `{shard}` has changed behind the position that it was read to: {what}; put it back as it was, or \
         ingest it under another path as a new source (what is in the table stays)"
    ))
    .with("position", next)
}

/// Refuses content of a form that is not read. `place` names the file, or the stream.
pub(super) fn foreign(place: impl Display, next: &Offset, what: &str) -> Error {
    Error::invalid(format!(
        "{place} is {what}, and only plain, gzip and zstd lines are read: convert it, or move it away; what was read \
         before it stays"
    ))
    .with("position", next)
}

/// Refuses a stream that is not the one that was read before.
pub(super) fn another_stream(shard: &ShardId, next: &Offset, what: impl Display) -> Error {
    Error::invalid(format!(
        "`{shard}` was read before, and {what}: give it the same stream from its start, or give this one another name"
    ))
    .with("position", next)
}

/// Refuses a stream whose compressed content ends too early or is broken. What lies before was handed over.
pub(super) fn damaged_stream(shard: &ShardId, next: &Offset, why: &str) -> Error {
    Error::invalid(format!(
        "`{shard}` is damaged: {why}; every whole line before the damage was read, give the whole stream again from its \
         start: reading continues at the position"
    ))
    .with("position", next)
}

/// Refuses a file whose compressed content ends too early or is broken. What lies before was handed over.
pub(super) fn damaged(shard: &ShardId, next: &Offset, name: &str, why: &str) -> Error {
    Error::invalid(format!(
        "file `{name}` of source `{shard}` is damaged: {why}; every whole line before the damage was read, upload the \
         whole file again under the same name and run again: reading continues at the position"
    ))
    .with("position", next)
}

/// Translates an error of storage, met while `doing` something with `place`.
pub(super) fn storage(error: object_store::Error, doing: &str, place: impl Display) -> Error {
    use object_store::Error as E;
    let local = matches!(&error, E::Generic { store, .. } if *store == "LocalFileSystem");
    let kind = match &error {
        E::NotFound { .. } => ErrorKind::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Refused,
        E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => ErrorKind::InvalidInput,
        _ if local || io_kind(&error) == Some(io::ErrorKind::PermissionDenied) => ErrorKind::Refused,
        _ => ErrorKind::Transient,
    };
    let message = match kind {
        ErrorKind::NotFound => format!("`{place}` does not exist"),
        ErrorKind::Refused => format!("storage refuses {doing} `{place}`: check that it may be read"),
        ErrorKind::InvalidInput => format!("{doing} `{place}` failed on a name that cannot be used: rename the file"),
        _ => format!("{doing} `{place}` failed: try again"),
    };
    Error::new(kind, message).with("reason", first_line(&error)).because(error)
}

/// Translates an error of the local disk or a pipe, met while reading `place`.
pub(super) fn reading(error: io::Error, place: impl Display) -> Error {
    let message = format!("reading `{place}` failed: check that it may be read");
    Error::new(ErrorKind::Refused, message).with("reason", &error).because(error)
}

/// Says that the same version of a file gave other bytes than storage promised.
pub(super) fn unstable(place: impl Display) -> Error {
    Error::new(ErrorKind::Transient, format!("`{place}` changes faster than it can be read: run again when it rests"))
}

/// Says that a task of this program's own ended badly.
pub(super) fn lost_task(error: tokio::task::JoinError) -> Error {
    Error::bug("a reading task was lost").because(error)
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            return Some(found.kind());
        }
        next = current.source();
    }
    None
}

fn first_line(error: &object_store::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
