//! Questions with fixed answers, `slt/*.slt`, in the format of SQLite's logic tests (`query` with `rowsort` or in the order that
//! comes, `statement error`). Those of `tables.slt` are asked of the tables of generated questions; their answers are what DuckDB
//! says over the rows that the tables must hold.

use std::path::{Path, PathBuf};

use icefold_integration::answers::engine::{Icefold, State};
use icefold_integration::answers::tables;
use tempfile::TempDir;

/// Of the tables.
const TABLES_SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn fixed_questions_have_their_fixed_answers() {
    let folder = TempDir::new().expect("temporary folder");
    let tables = tables::make(folder.path(), TABLES_SEED).await.expect("tables");
    let icefold = Icefold::open(&tables).await.expect("sessions");
    let mut wrong = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("questions");
        let records = records(&text);
        assert!(!records.is_empty(), "{}: no questions", file.display());
        for record in records {
            if let Err(what) = record.check(&icefold).await {
                wrong.push(format!("{}:{}: {}\n  {what}", file.display(), record.line, record.sql));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn records_are_read() {
    let text = "# why\n\nquery IT rowsort\nSELECT a,\n  b\n----\n1 x y\n2 z\n\nstatement error no such\nSELECT\n";
    let records = records(text);
    assert_eq!(records[0].sql, "SELECT a,\n  b");
    assert_eq!((records[0].line, records[0].is_sorted), (3, true));
    assert_eq!(records[0].wanted, Wanted::Rows(vec!["1 x y".to_owned(), "2 z".to_owned()]));
    assert_eq!(records[1].wanted, Wanted::Error("no such".to_owned()));
}

/// A question and its answer.
struct Record {
    line: usize,
    sql: String,
    is_sorted: bool,
    wanted: Wanted,
}

#[derive(Debug, PartialEq)]
enum Wanted {
    /// Rows, the values of each with a space between.
    Rows(Vec<String>),
    /// An error that says this.
    Error(String),
}

impl Record {
    async fn check(&self, icefold: &Icefold) -> Result<(), String> {
        let answer = icefold.texts(State::Now, &self.sql).await;
        match (&self.wanted, answer) {
            (Wanted::Rows(wanted), Ok(rows)) => {
                let mut rows: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
                if self.is_sorted {
                    rows.sort();
                }
                if &rows == wanted { Ok(()) } else { Err(format!("{rows:?}, wanted {wanted:?}")) }
            }
            (Wanted::Rows(_), Err(e)) => Err(e.to_string()),
            (Wanted::Error(words), Err(e)) if e.to_string().contains(words.as_str()) => Ok(()),
            (Wanted::Error(words), answer) => Err(format!("{answer:?}, wanted an error that says `{words}`")),
        }
    }
}

fn records(text: &str) -> Vec<Record> {
    let mut lines = text.lines().enumerate().map(|(place, line)| (place + 1, line));
    let mut records = Vec::new();
    while let Some((line, head)) = lines.next() {
        let words: Vec<&str> = head.split_whitespace().collect();
        let mut until =
            |end: &str| -> Vec<&str> { lines.by_ref().map(|(_, line)| line).take_while(|line| *line != end).collect() };
        let (sql, wanted) = match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            ["query", ..] => (until("----"), Wanted::Rows(until("").into_iter().map(str::to_owned).collect())),
            ["statement", "error", words @ ..] => (until(""), Wanted::Error(words.join(" "))),
            _ => panic!("line {line}: `{head}` is neither `query` nor `statement error`"),
        };
        let is_sorted = words.last() == Some(&"rowsort");
        records.push(Record { line, sql: sql.join("\n"), is_sorted, wanted });
    }
    records
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let entries = std::fs::read_dir(folder).expect("questions").map(|entry| entry.expect("entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "slt")).collect();
    files.sort();
    files
}
