//! What became of many questions.

use std::collections::BTreeMap;
use std::fmt;

use super::dialects::{dialect, unanswered};
use super::engine::Answer;
use super::pairs::Pair;
use super::questions::Question;
use super::rows::difference;

/// What is shown of what is wrong.
const WHAT_CHARS: usize = 400;
/// What is shown of the message of an error where kinds are told apart.
const MESSAGE_CHARS: usize = 90;

/// Something that must not be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// By which it can be asked again.
    pub seed: u64,
    /// Findings of one kind are likely to have one cause.
    pub kind: String,
    /// What was asked.
    pub asked: String,
    /// What is wrong.
    pub what: String,
    /// What another engine says to it.
    pub verdict: Option<String>,
}

/// Counts, and findings.
#[derive(Debug, Default)]
pub struct Report {
    /// Answers that were the same.
    pub same: usize,
    /// Questions that nobody would answer, or neither way of asking, by what icefold said.
    pub refused_by_both: BTreeMap<String, usize>,
    /// Questions that only the other engine would not answer, by what it said.
    pub refused_by_them: BTreeMap<String, usize>,
    /// Answers that may differ, by name.
    pub dialects: BTreeMap<&'static str, usize>,
    /// Questions that icefold alone would not answer, by a fault that is known.
    pub unanswered: BTreeMap<&'static str, usize>,
    /// Rows compared.
    pub rows: usize,
    /// Answers that had rows.
    pub with_rows: usize,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// Most findings of one kind that are shown.
    pub shown: usize,
}

impl Report {
    /// Takes in the answers of icefold and of another engine; returns whether it is a finding.
    pub fn compare(&mut self, question: &Question, ours: &Answer, theirs: &Answer) -> bool {
        if let Some(name) = dialect(question, ours, theirs) {
            *self.dialects.entry(name).or_default() += 1;
            return false;
        }
        if let (Some(fault), Ok(_)) = (ours.as_ref().err().and_then(|message| unanswered(message)), theirs) {
            *self.unanswered.entry(fault).or_default() += 1;
            return false;
        }
        let found = match (ours, theirs) {
            (Ok(mine), Ok(yours)) => match difference(mine, yours, question.is_ordered) {
                None => {
                    self.agree(mine.len());
                    return false;
                }
                Some(what) => ("another answer".to_owned(), what),
            },
            (Err(message), Err(_)) => {
                *self.refused_by_both.entry(kind_of(message)).or_default() += 1;
                return false;
            }
            (Ok(_), Err(message)) => {
                *self.refused_by_them.entry(kind_of(message)).or_default() += 1;
                return false;
            }
            (Err(message), Ok(_)) => (format!("no answer: {}", kind_of(message)), message.clone()),
        };
        let (kind, what) = found;
        let marks: Vec<&str> = question.marks.iter().copied().collect();
        let asked = format!("{} (at {}; {})", question.sql, question.state.name(), marks.join(", "));
        self.findings.push(Finding { seed: question.seed, kind, asked, what, verdict: None });
        true
    }

    /// Takes in two answers that must be the same; the second may be refused.
    pub fn compare_pair(&mut self, pair: &Pair, one: &Answer, other: &Answer, may_refuse: bool) {
        if let (Ok(_), Err(message)) | (Err(message), Ok(_)) = (one, other)
            && let Some(fault) = unanswered(message)
        {
            *self.unanswered.entry(fault).or_default() += 1;
            return;
        }
        let what = match (one, other) {
            (Ok(a), Ok(b)) => match difference(a, b, pair.is_ordered) {
                None => return self.agree(a.len()),
                Some(what) => what,
            },
            (Err(message), Err(_)) => {
                *self.refused_by_both.entry(kind_of(message)).or_default() += 1;
                return;
            }
            (Ok(_), Err(message)) if may_refuse => {
                *self.refused_by_them.entry(kind_of(message)).or_default() += 1;
                return;
            }
            (Ok(_), Err(message)) => format!("the second is refused: {message}"),
            (Err(message), Ok(_)) => format!("the first is refused: {message}"),
        };
        let asked = match pair.one.1 == pair.other.1 {
            true => format!("{} under: {}", pair.one.1, super::engine::VARIANTS[pair.other.0].name),
            false => format!("{}\n    and: {}", pair.one.1, pair.other.1),
        };
        self.findings.push(Finding { seed: pair.seed, kind: pair.law.to_owned(), asked, what, verdict: None });
    }

    fn agree(&mut self, rows: usize) {
        self.same += 1;
        self.rows += rows;
        self.with_rows += usize::from(rows > 0);
    }
}

/// The message of an error without what is particular to the question.
fn kind_of(message: &str) -> String {
    let mut kind = String::new();
    let mut quoted = None;
    for letter in message.lines().next().unwrap_or_default().chars() {
        match quoted {
            Some(quote) if letter == quote => quoted = None,
            Some(_) => continue,
            None if ['\'', '"', '`'].contains(&letter) => quoted = Some(letter),
            None if letter.is_ascii_digit() => {
                if !kind.ends_with('0') {
                    kind.push('0');
                }
                continue;
            }
            None => {}
        }
        kind.push(letter);
    }
    kind.chars().take(MESSAGE_CHARS).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} the same ({} with rows, {} rows)", self.same, self.with_rows, self.rows)?;
        for (name, count) in &self.dialects {
            writeln!(f, "{count} by dialect: {name}")?;
        }
        for (kind, count) in &self.refused_by_both {
            writeln!(f, "{count} refused by both: {kind}")?;
        }
        for (fault, count) in &self.unanswered {
            writeln!(f, "{count} unanswered by a known fault: {fault}")?;
        }
        for (kind, count) in &self.refused_by_them {
            writeln!(f, "{count} refused by the other one: {kind}")?;
        }
        let mut kinds: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        self.findings.iter().for_each(|finding| kinds.entry(&finding.kind).or_default().push(finding));
        for (kind, findings) in kinds {
            writeln!(f, "\n{} times: {kind}", findings.len())?;
            for finding in findings.iter().take(self.shown) {
                let what: String = finding.what.chars().take(WHAT_CHARS).collect();
                writeln!(f, "  seed {}: {}\n    {what}", finding.seed, finding.asked)?;
                if let Some(verdict) = &finding.verdict {
                    writeln!(f, "    {verdict}")?;
                }
            }
        }
        Ok(())
    }
}
