//! Where icefold and another engine may differ, because SQL or its dialects say different things. Each case is as narrow as it can
//! be, and names what both sides promise.

use super::engine::Answer;
use super::questions::Question;
use super::rows::{Row, difference, without_tiny};

/// A case in which two right answers differ.
pub struct Dialect {
    /// What the engines do differently.
    pub name: &'static str,
    /// Whether a question and its two answers (icefold's first) are such a case.
    pub is: fn(&Question, &Answer, &Answer) -> bool,
}

/// All cases.
pub const DIALECTS: &[Dialect] = &[
    Dialect {
        // DuckDB, "Aggregate Functions": `sum` of BIGINT is HUGEINT, of 128 bits. icefold, docs/sql.md: sums of whole numbers are of 64
        // bits, and what does not fit is an error.
        name: "a sum beyond 64 bits is an error for icefold",
        is: |question, ours, theirs| {
            let overflows = |message: &str| message.contains("does not fit BIGINT");
            question.marks.contains("overflow") && ours.as_ref().is_err_and(|e| overflows(e)) && theirs.is_ok()
        },
    },
    Dialect {
        // DuckDB 1.5: `date_trunc('day', t) <> TIMESTAMP '…'` is true of NULL when the timestamp is no beginning of a day. SQL:2016,
        // 8.2: a comparison with NULL is unknown; so say icefold and PostgreSQL.
        name: "DuckDB takes date_trunc(…) <> t for true of NULL",
        is: |question, ours, theirs| {
            let compares = question.sql.contains("date_trunc(") && question.sql.contains(") <> TIMESTAMP");
            compares && ours.is_ok() && theirs.is_ok()
        },
    },
    Dialect {
        // SQL:2016, 7.10: behind JOIN b USING (x) JOIN c ON … the name x is that of the merged column and of c.x; PostgreSQL calls it
        // ambiguous, as icefold does. DuckDB takes the merged one.
        name: "a bare column of USING is ambiguous beside a further table that has one",
        is: |question, ours, theirs| {
            let refuses = |message: &str| {
                message.contains("is in more than one table here")
                    || message.contains("or another condition of a RIGHT")
            };
            let joins = question.sql.contains("USING (shop)") && question.sql.contains(" ON shop ");
            joins && ours.as_ref().is_err_and(|e| refuses(e)) && theirs.is_ok()
        },
    },
    Dialect {
        // A sum of floats depends on the order in which they are added: 1e38 - 1e38 + 1e-38 is 1e-38 or 0. Neither engine promises one.
        name: "the order in which floats are added",
        is: |question, ours, theirs| {
            let adds = ["sum(", "avg("].iter().any(|function| question.sql.contains(function));
            let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return false };
            let differ = |ours: &[Row], theirs: &[Row]| difference(ours, theirs, false).is_some();
            adds && differ(ours, theirs) && !differ(&without_tiny(ours), &without_tiny(theirs))
        },
    },
];

/// What icefold does not answer and should: a part of its message, and what it is about. Open faults; none is a wrong answer.
pub const UNANSWERED: &[(&str, &str)] = &[(
    "does not satisfy order requirements",
    "windows by what is simplified to a literal, or over a union with a constant",
)];

/// The open fault that a refusal is, if it is one.
pub fn unanswered(message: &str) -> Option<&'static str> {
    UNANSWERED.iter().find(|(part, _)| message.contains(part)).map(|(_, fault)| *fault)
}

/// The case that a difference is, if it is one.
pub fn dialect(question: &Question, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    DIALECTS.iter().find(|dialect| (dialect.is)(question, ours, theirs)).map(|dialect| dialect.name)
}
