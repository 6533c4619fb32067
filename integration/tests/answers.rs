//! Answers are right: generated questions over difficult tables, against DuckDB, with Spark as the judge where they differ; and
//! pairs of questions that have one answer by the laws of SQL.
//!
//! `ICEFOLD_ANSWERS_COUNT=20000` asks more (and a quarter as many pairs), `ICEFOLD_ANSWERS_FROM=N` starts at seed N; a count of 1
//! with it repeats one. `ICEFOLD_ANSWERS_JUDGE=1` asks Spark about what is found; `cargo xtask sql-differ` does these three.
//! `ICEFOLD_ANSWERS_SHOWN=100` shows more findings of each kind.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use icefold_integration::answers::engine::{Answer, Icefold, Other, VARIANTS};
use icefold_integration::answers::pairs::pair;
use icefold_integration::answers::questions::{Question, question};
use icefold_integration::answers::report::Report;
use icefold_integration::answers::rows::difference;
use icefold_integration::answers::tables::{self, Tables};
use tempfile::TempDir;

/// Questions, and pairs, in CI.
const COUNT: u64 = 500;
/// Of the tables.
const TABLES_SEED: u64 = 1;
/// Findings of one kind that are shown.
const SHOWN: u64 = 3;
/// Questions that may have no answer at all, in percent.
const MOST_REFUSED: usize = 4;
/// Answers that must have rows, in percent: others prove little.
const LEAST_WITH_ROWS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn generated_questions_are_answered_as_duckdb_answers_them() {
    let scene = Scene::new().await;
    let questions: Vec<Question> = seeds(1).map(question).collect();
    let mut report = Report { shown: number("ICEFOLD_ANSWERS_SHOWN").unwrap_or(SHOWN) as usize, ..Report::default() };
    let (mut found, mut answers) = (Vec::new(), Vec::new());
    let mut duckdb = scene.ask("duckdb", &questions);
    for question in &questions {
        let ours = scene.icefold.answer(question.state, 0, &question.sql).await;
        let theirs = duckdb.next_answer().expect("an answer of DuckDB");
        if report.compare(question, &ours, &theirs) {
            found.push(question.clone());
            answers.push((ours, theirs));
        }
    }
    duckdb.end().expect("an orderly end");
    if std::env::var_os("ICEFOLD_ANSWERS_JUDGE").is_some() && !found.is_empty() {
        scene.judge(&found, &answers, &mut report);
    }
    println!("{report}");
    assert!(report.findings.is_empty(), "{} findings; {}\n{report}", report.findings.len(), again(&report));
    report_is_enough(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_equal_by_law_have_equal_answers() {
    let scene = Scene::new().await;
    let mut report = Report { shown: number("ICEFOLD_ANSWERS_SHOWN").unwrap_or(SHOWN) as usize, ..Report::default() };
    for pair in seeds(4).map(pair) {
        let one = scene.icefold.answer(pair.state, pair.one.0, &pair.one.1).await;
        let other = scene.icefold.answer(pair.state, pair.other.0, &pair.other.1).await;
        report.compare_pair(&pair, &one, &other, VARIANTS[pair.other.0].may_refuse);
    }
    println!("{report}");
    assert!(report.findings.is_empty(), "{} findings; {}\n{report}", report.findings.len(), again(&report));
    report_is_enough(&report);
}

#[test]
fn a_seed_asks_the_same_each_time() {
    for seed in 0..50 {
        assert_eq!(question(seed).sql, question(seed).sql);
        assert_eq!(pair(seed).other, pair(seed).other);
    }
}

/// The tables, and icefold over them.
struct Scene {
    folder: TempDir,
    tables: Tables,
    icefold: Icefold,
}

impl Scene {
    async fn new() -> Scene {
        let folder = TempDir::new().expect("temporary folder");
        let tables = tables::make(folder.path(), TABLES_SEED).await.expect("tables");
        let icefold = Icefold::open(&tables).await.expect("sessions");
        Scene { folder, tables, icefold }
    }

    fn ask(&self, engine: &str, questions: &[Question]) -> Other {
        let questions = questions.iter().map(|question| (question.state, question.sql.as_str()));
        Other::ask(engine, &self.tables, self.folder.path(), questions).expect("the engine starts")
    }

    /// Asks Spark what was answered differently.
    fn judge(&self, found: &[Question], answers: &[(Answer, Answer)], report: &mut Report) {
        let mut spark = self.ask("spark", found);
        for (place, (question, (ours, theirs))) in found.iter().zip(answers).enumerate() {
            let judge = spark.next_answer().expect("an answer of Spark");
            let as_judge = |answer: &Answer| match (answer, &judge) {
                (Ok(rows), Ok(right)) => difference(rows, right, question.is_ordered).is_none(),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            let verdict = match (as_judge(ours), as_judge(theirs), judge.as_ref().err()) {
                (_, _, Some(message)) => format!("Spark refuses: {}", message.lines().next().unwrap_or_default()),
                (true, _, _) => "Spark: icefold is right".to_owned(),
                (_, true, _) => "Spark: DuckDB is right".to_owned(),
                _ => "Spark says something else".to_owned(),
            };
            report.findings[place].verdict = Some(verdict);
        }
        spark.end().expect("an orderly end");
    }
}

/// The seeds to ask: so many, or that part of what is asked for.
fn seeds(part: u64) -> impl Iterator<Item = u64> {
    let count = number("ICEFOLD_ANSWERS_COUNT").map_or(COUNT, |count| count.div_ceil(part));
    let from = number("ICEFOLD_ANSWERS_FROM").unwrap_or(0);
    from..from + count
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Whether enough was answered, and with rows, to prove something; a few questions prove nothing anyway.
fn report_is_enough(report: &Report) {
    let refused: usize = report.refused_by_both.values().chain(report.unanswered.values()).sum();
    let asked = report.same + refused;
    if asked < 100 {
        return;
    }
    assert!(100 * refused <= MOST_REFUSED * asked, "{refused} of {asked} questions have no answer\n{report}");
    let with_rows = 100 * report.with_rows / report.same.max(1);
    assert!(with_rows >= LEAST_WITH_ROWS, "only {with_rows} % of the answers have rows\n{report}");
}

fn again(report: &Report) -> String {
    let seed = report.findings.first().map_or(0, |finding| finding.seed);
    format!("repeat the first with ICEFOLD_ANSWERS_FROM={seed} ICEFOLD_ANSWERS_COUNT=1")
}
