//! What became of a statement that failed: decided by the database's own code and by how far the statement was, never by
//! words.
//!
//! A wrong *nothing happened* loses a commit or makes it twice; a wrong *refused* stops every writer for something that
//! would have passed. *Unknown* is always safe, it costs one look at the table, so it is the answer to every code that is
//! not known to say more.

/// How far a statement was when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There was no connection to send it on.
    NotSent,
    /// It was sent, and the error is the answer; the connection goes on.
    Answered,
    /// It was sent, and the connection ended, with or without a last word.
    Ended,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Somebody else was faster: nothing happened and never will.
    Conflict,
    /// Nothing happened, and a later call may succeed.
    Transient,
    /// It may have happened or may yet.
    Unknown,
    /// Nothing happened, and nothing will until somebody mends the cause.
    Refused,
}

/// Judges an error of Postgres, or of a proxy in front of it, by its SQLSTATE (appendix A of its manual).
///
/// The statements are single ones that commit by themselves. An error that Postgres answers while the connection goes on
/// undoes the statement. Proxies (PgBouncer, RDS Proxy and others) answer with codes of classes 08, 58 and XX what may have
/// become of a statement that they did pass on, so these say nothing.
pub(super) fn of_postgres(state: &str, phase: Phase) -> Verdict {
    let class = state.get(..2).unwrap_or_default();
    match (phase, class, state) {
        // During a shutdown the last word may come in the place of the answer to what was committed.
        (Phase::Ended, ..) => Verdict::Unknown,
        // Wrong password, no such database, no such role or right: somebody has to mend it, and nothing was sent.
        (Phase::NotSent, "28" | "3D" | "42", _) => Verdict::Refused,
        (Phase::NotSent, ..) => Verdict::Transient,
        (Phase::Answered, _, "23505") => Verdict::Conflict,
        // Read-only after a fail-over, until the connection is made anew to the new primary. Whoever set a primary to be
        // read-only finds it in the message when patience ends.
        (Phase::Answered, _, "25006") => Verdict::Transient,
        // Cancelled, for example by a limit of time. The rest of the class says that the server goes down.
        (Phase::Answered, _, "57014") => Verdict::Transient,
        // It was committed or not: nobody knows.
        (Phase::Answered, _, "40003") => Verdict::Unknown,
        // A race that the database undid (serialization, deadlock); no memory, disk or connections; a lock not had.
        (Phase::Answered, "40" | "53" | "55", _) => Verdict::Transient,
        // A prepared statement that a pooler has forgotten or knows already, or that a change of the table made invalid:
        // it was not run. The next connection prepares its own.
        (Phase::Answered, "26", _) | (Phase::Answered, _, "42P05" | "0A000") => Verdict::Transient,
        // What is written is refused: too long, against a constraint, no such table, no right.
        (Phase::Answered, "22" | "23" | "42", _) => Verdict::Refused,
        (Phase::Answered, ..) => Verdict::Unknown,
    }
}

/// Judges an error of SQLite by its extended result code. SQLite undoes a statement that fails, but for an error at the very
/// end of the transaction, when the journal is removed and the folder synced: then the commit may stand.
pub(super) fn of_sqlite(code: i32) -> Verdict {
    match (code & 0xff, code) {
        // Busy, locked: another process is at work. Interrupted. The schema has changed under a prepared statement.
        (5 | 6 | 9 | 17, _) => Verdict::Transient,
        // Reading (266), reading less than asked for (522) and writing (778) come before the end.
        (10, 266 | 522 | 778) => Verdict::Refused,
        (10, _) => Verdict::Unknown,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_of_postgres_says_of_a_statement() {
        let table = [
            // Somebody else was faster.
            ("23505", Verdict::Conflict),
            // Undone by the database, to be tried again.
            ("25006", Verdict::Transient),
            ("40001", Verdict::Transient),
            ("40P01", Verdict::Transient),
            ("53100", Verdict::Transient),
            ("53200", Verdict::Transient),
            ("53300", Verdict::Transient),
            ("55P03", Verdict::Transient),
            ("55006", Verdict::Transient),
            ("57014", Verdict::Transient),
            ("26000", Verdict::Transient),
            ("42P05", Verdict::Transient),
            ("0A000", Verdict::Transient),
            // Shutdown, crash and fail-over.
            ("57P01", Verdict::Unknown),
            ("57P02", Verdict::Unknown),
            ("57P03", Verdict::Unknown),
            ("57P05", Verdict::Unknown),
            ("40003", Verdict::Unknown),
            // Connection exceptions and what proxies say.
            ("08000", Verdict::Unknown),
            ("08003", Verdict::Unknown),
            ("08006", Verdict::Unknown),
            ("08007", Verdict::Unknown),
            ("08P01", Verdict::Unknown),
            ("58000", Verdict::Unknown),
            ("58030", Verdict::Unknown),
            ("XX000", Verdict::Unknown),
            // What nobody has heard of.
            ("ZZ999", Verdict::Unknown),
            ("", Verdict::Unknown),
            // What only people can mend.
            ("22001", Verdict::Refused),
            ("23514", Verdict::Refused),
            ("42501", Verdict::Refused),
            ("42P01", Verdict::Refused),
        ];
        for (state, expected) in table {
            assert_eq!(of_postgres(state, Phase::Answered), expected, "SQLSTATE {state}");
        }
    }

    #[test]
    fn a_connection_that_ended_after_the_statement_was_sent_says_nothing_whatever_its_last_word() {
        for state in ["", "57P01", "57P02", "08006", "25006", "40001", "53200", "42501", "28000"] {
            assert_eq!(of_postgres(state, Phase::Ended), Verdict::Unknown, "SQLSTATE {state}");
        }
    }

    #[test]
    fn a_statement_that_was_never_sent_has_changed_nothing() {
        for state in ["", "57P01", "57P03", "08001", "08004", "08P01", "53300", "58000", "25006", "XX000"] {
            assert_eq!(of_postgres(state, Phase::NotSent), Verdict::Transient, "SQLSTATE {state}");
        }
        for state in ["28P01", "28000", "3D000", "42501"] {
            assert_eq!(of_postgres(state, Phase::NotSent), Verdict::Refused, "SQLSTATE {state}");
        }
    }

    #[test]
    fn an_error_of_sqlite_at_the_end_of_a_transaction_leaves_open_what_became_of_it() {
        for (code, expected) in [
            (5, Verdict::Transient),
            (261, Verdict::Transient),
            (517, Verdict::Transient),
            (6, Verdict::Transient),
            (1_034, Verdict::Unknown), // sync of a file
            (1_290, Verdict::Unknown), // sync of the folder
            (2_570, Verdict::Unknown), // removal of the journal
            (10, Verdict::Unknown),
            (778, Verdict::Refused),
            (8, Verdict::Refused),  // read-only
            (11, Verdict::Refused), // damaged
            (13, Verdict::Refused), // disk full
            (14, Verdict::Refused), // cannot be opened
        ] {
            assert_eq!(of_sqlite(code), expected, "result code {code}");
        }
    }
}
