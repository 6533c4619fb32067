//! Exit codes. They are part of the interface: scripts decide by them what to do next.

use icefold_core::ErrorKind;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Something unexpected: a defect of this program.
    Unexpected,
    /// What was asked for is wrong or does not exist.
    Invalid,
    /// `verify` found a broken invariant.
    Broken,
    /// Another writer has moved the tables.
    Fenced,
    /// The environment refuses: disk full, read-only, locked, unreachable.
    Refused,
    /// Stored state contradicts itself.
    Corrupt,
    /// A query was ended by Ctrl-C: as the shell tells it, 128 and the number of the signal.
    Interrupted,
    /// A query was asked to terminate.
    Terminated,
}

impl Exit {
    /// Every exit code, in order, with its meaning for the documentation.
    #[cfg(test)]
    pub(crate) const ALL: [(Exit, &'static str); 7] = [
        (Exit::Done, "done; for `ingest` also when there was nothing new"),
        (Exit::Unexpected, "unexpected: a defect of icefold; please report it"),
        (Exit::Invalid, "usage or input is wrong, or what was named does not exist"),
        (Exit::Broken, "`verify` found a broken invariant"),
        (Exit::Fenced, "another writer has moved the tables; run it again and it continues there"),
        (Exit::Refused, "the environment refuses: disk full, read-only, database locked, storage unreachable"),
        (Exit::Corrupt, "stored state is corrupt; nothing was guessed, nothing was written"),
    ];

    /// Returns the number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Unexpected => 1,
            Exit::Invalid => 2,
            Exit::Broken => 3,
            Exit::Fenced => 4,
            Exit::Refused => 5,
            Exit::Corrupt => 6,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// Returns the exit for an error.
    pub(crate) fn of(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::InvalidInput | ErrorKind::NotFound => Exit::Invalid,
            ErrorKind::Fenced | ErrorKind::Conflict => Exit::Fenced,
            ErrorKind::Refused | ErrorKind::Transient | ErrorKind::OutcomeUnknown => Exit::Refused,
            ErrorKind::Corrupt => Exit::Corrupt,
            _ => Exit::Unexpected,
        }
    }
}

/// Returns what to do about an error, where the kind alone tells it; messages of wrong input name their own remedy.
pub(crate) fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Fenced | ErrorKind::Conflict => {
            Some("nothing is lost: run the same command again, it continues where the other writer stopped")
        }
        ErrorKind::Transient | ErrorKind::OutcomeUnknown => {
            Some("nothing is lost: run the same command again, it looks first and continues where the tables stand")
        }
        ErrorKind::Refused => Some("what is committed is safe: free the cause, then run the same command again"),
        ErrorKind::Corrupt => Some("run `icefold verify` to see what is affected; nothing was changed"),
        ErrorKind::Bug => Some("this is a defect of icefold: please report it with this message"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_as_documented() {
        for (number, (exit, meaning)) in Exit::ALL.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), number, "{meaning}");
        }
    }

    #[test]
    fn an_error_exits_by_what_to_do_next() {
        let exits = [
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::NotFound, 2),
            (ErrorKind::Fenced, 4),
            (ErrorKind::Conflict, 4),
            (ErrorKind::Refused, 5),
            (ErrorKind::Transient, 5),
            (ErrorKind::OutcomeUnknown, 5),
            (ErrorKind::Corrupt, 6),
            (ErrorKind::Bug, 1),
        ];
        for (kind, code) in exits {
            assert_eq!(Exit::of(kind).code(), code, "{kind:?}");
        }
    }
}
