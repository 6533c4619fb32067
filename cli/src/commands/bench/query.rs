//! `icefold bench query`: what an analyst asks of a million events and more, and how long the answer takes.
//!
//! The events are generated and ingested by this very binary with everything on, as in `bench ingest`. Each question is asked
//! several times and the median counts; each time opens the tables anew, as `icefold query` does. With `--duckdb PYTHON` a DuckDB in
//! that Python answers the same questions over `iceberg_scan` of the same tables, on as many threads; then both counts of rows must
//! agree, and the ratio is told.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use icefold_catalog::{Settings, Warehouse};
use icefold_core::clock::SystemClock;
use icefold_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::everything::Everything;
use super::{ingest, median};
use crate::commands::query;
use crate::exit::Exit;
use crate::figures;
use crate::generate::{Compression, Destination, Plan, write};
use crate::session::Session;

/// Times that each question is asked.
const RUNS: usize = 5;
/// Seed of the events.
const SEED: u64 = 7;
/// Events in a generated file.
const FILE_EVENTS: u64 = 100_000;
/// What DuckDB is asked with.
const DUCKDB: &str = include_str!("query_duckdb.py");
/// The day in the middle of the events, in the questions.
const DAY: &str = "{day}";

/// What is asked: a name, and SQL that DuckDB understands, too.
const QUESTIONS: [(&str, &str); 15] = [
    ("all rows", "SELECT count(*) FROM events"),
    (
        "events and devices by the hour",
        "SELECT date_trunc('hour', event_time) AS hour, count(*), count(DISTINCT anonymous_id) FROM events GROUP BY 1 ORDER BY 1",
    ),
    (
        "the pages of one day",
        "SELECT page_path, count(*) AS n FROM events WHERE event_type = 'page' AND event_time >= TIMESTAMP '{day} 00:00:00' \
         AND event_time < TIMESTAMP '{day} 00:00:00' + INTERVAL '1' DAY GROUP BY page_path ORDER BY n DESC, page_path LIMIT 20",
    ),
    (
        "one device",
        "SELECT event_time, event_name, page_path FROM events WHERE anonymous_id = (SELECT min(anonymous_id) FROM events) \
         ORDER BY event_time, message_id",
    ),
    (
        "countries without robots",
        "SELECT geo_country, count(DISTINCT anonymous_id) AS devices FROM events WHERE is_bot IS NOT TRUE GROUP BY geo_country \
         ORDER BY devices DESC, geo_country LIMIT 20",
    ),
    (
        "length of sessions",
        "SELECT count(*), avg(n), max(n) FROM (SELECT session_id, count(*) AS n FROM events WHERE session_id IS NOT NULL \
         GROUP BY session_id) AS s",
    ),
    (
        "events of known devices, IN",
        "SELECT event_type, count(*) FROM events WHERE anonymous_id IN (SELECT known_id FROM identities WHERE user_id IS NOT NULL) \
         GROUP BY event_type ORDER BY event_type",
    ),
    (
        "devices that nobody knows, NOT EXISTS",
        "SELECT count(DISTINCT anonymous_id) FROM events WHERE NOT EXISTS \
         (SELECT 1 FROM identities WHERE known_id = anonymous_id)",
    ),
    (
        "users by events, joined",
        "SELECT i.user_id, count(*) AS n FROM events e JOIN (SELECT known_id, max(user_id) AS user_id FROM identities \
         GROUP BY known_id) AS i ON e.anonymous_id = i.known_id GROUP BY i.user_id ORDER BY n DESC, 1 LIMIT 20",
    ),
    (
        "addresses of products, LIKE",
        "SELECT count(*), count(DISTINCT page_url) FROM events WHERE page_url LIKE '%product%'",
    ),
    (
        "revenue by campaign",
        "SELECT campaign_source, count(revenue), sum(revenue), max(revenue) FROM events GROUP BY campaign_source ORDER BY 1",
    ),
    (
        "a funnel",
        "SELECT sum(saw), sum(CASE WHEN saw = 1 AND bought = 1 THEN 1 ELSE 0 END) FROM (SELECT anonymous_id, \
         max(CASE WHEN event_type = 'page' THEN 1 ELSE 0 END) AS saw, max(CASE WHEN revenue > 0 THEN 1 ELSE 0 END) AS bought \
         FROM events GROUP BY anonymous_id) AS f",
    ),
    (
        "the first page of each session",
        "SELECT page_path, count(*) AS n FROM (SELECT page_path, row_number() OVER (PARTITION BY session_id \
         ORDER BY event_time, message_id) AS place FROM events WHERE event_type = 'page') AS p WHERE place = 1 \
         GROUP BY page_path ORDER BY n DESC, page_path LIMIT 20",
    ),
    ("devices and pages, DISTINCT", "SELECT count(*) FROM (SELECT DISTINCT anonymous_id, page_path FROM events) AS d"),
    ("the last hundred events, whole", "SELECT * FROM events ORDER BY event_time DESC, message_id LIMIT 100"),
];

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    cores: usize,
    duckdb: Option<String>,
    questions: Vec<Asked>,
    /// Geometric mean of the ratios.
    mean_ratio: Option<f64>,
}

/// One question.
#[derive(Debug, Serialize)]
struct Asked {
    name: &'static str,
    sql: String,
    seconds: f64,
    rows: u64,
    duckdb_seconds: Option<f64>,
    /// DuckDB's time over ours: above one we are faster.
    ratio: Option<f64>,
}

/// What DuckDB says.
#[derive(Debug, Deserialize)]
struct DuckDb {
    version: String,
    answers: Vec<Answered>,
}

/// What DuckDB says of one question.
#[derive(Debug, Deserialize)]
struct Answered {
    seconds: Vec<f64>,
    rows: u64,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, events: u64, duckdb: Option<&Path>) -> Result<Exit> {
    let folder = tempfile::tempdir().map_err(|e| refused(e, "a temporary folder cannot be made"))?;
    let cores = session.settings().writer.workers();
    let bench = Bench::fill(session, folder.path(), events, cores as u64).await?;
    let mut questions = Vec::new();
    for (name, sql) in QUESTIONS {
        session.output.remark(&format!("asking: {name}"));
        questions.push(bench.ask(name, sql.replace(DAY, &bench.day)).await?);
    }
    let mut report = Report { events, cores, duckdb: None, questions, mean_ratio: None };
    if let Some(python) = duckdb {
        session.output.remark("asking DuckDB the same");
        report.take(bench.ask_duckdb(python, &report).await?)?;
    }
    session.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

/// A warehouse full of events.
struct Bench {
    warehouse: Warehouse,
    cores: usize,
    day: String,
}

impl Bench {
    async fn fill(session: &Session, folder: &Path, events: u64, cores: u64) -> Result<Bench> {
        session.output.remark("generating events");
        let plan = Plan { events, seed: SEED, duplicates: 0.01, malformed: 0.005, late: 0.01 };
        let source = folder.join("events");
        let files = events.div_ceil(FILE_EVENTS).max(1);
        write(plan, Compression::Zstd, &Destination::Folder(source.clone(), files), |_| {})?;
        session.output.remark("ingesting them");
        let place = folder.join("warehouse");
        ingest::ingest(&place, &source, Some(&Everything::write(folder, plan)?), cores)?;
        std::fs::remove_dir_all(&source).map_err(|e| refused(e, "the generated events cannot be removed"))?;
        let settings = Settings { warehouse: place.display().to_string(), ..Settings::default() };
        let warehouse = Warehouse::open_existing(&settings, Arc::new(SystemClock)).await?;
        let mut bench = Bench { warehouse, cores: cores as usize, day: String::new() };
        bench.day = bench.middle_day().await?;
        Ok(bench)
    }

    async fn middle_day(&self) -> Result<String> {
        let tables = query::open_with(self.cores, &self.warehouse).await?;
        let sql = "SELECT CAST(CAST(approx_percentile_cont(CAST(CAST(event_time AS DATE) AS INT), 0.5) AS INT) AS DATE) AS day FROM events";
        let rows = query::objects(&query::rows(&tables, sql).await?)?;
        let day = rows.first().and_then(|row| row.get("day")?.as_str());
        day.map(str::to_owned).ok_or_else(|| Error::bug("events have no day"))
    }

    async fn ask(&self, name: &'static str, sql: String) -> Result<Asked> {
        let (mut seconds, mut rows) = (Vec::new(), 0);
        for _ in 0..RUNS {
            let started = Instant::now();
            let tables = query::open_with(self.cores, &self.warehouse).await?;
            let batches = query::rows(&tables, &sql).await?;
            seconds.push(started.elapsed().as_secs_f64());
            rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        }
        Ok(Asked { name, sql, seconds: median(seconds), rows, duckdb_seconds: None, ratio: None })
    }

    async fn ask_duckdb(&self, python: &Path, report: &Report) -> Result<DuckDb> {
        let mut tables = BTreeMap::new();
        for name in ["events", "identities"] {
            tables.insert(name, self.warehouse.load(name).await?.metadata_location().to_owned());
        }
        let questions: Vec<&str> = report.questions.iter().map(|asked| asked.sql.as_str()).collect();
        let task = serde_json::json!({ "tables": tables, "questions": questions, "runs": RUNS, "threads": self.cores });
        let mut child = Command::new(python)
            .args(["-c", DUCKDB])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| refused(e, "the Python that --duckdb names cannot be started"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Were it to end early, its status says so.
            let _ = stdin.write_all(task.to_string().as_bytes());
        }
        let output = child.wait_with_output().map_err(|e| refused(e, "DuckDB's answers cannot be read"))?;
        if !output.status.success() {
            return Err(Error::invalid(format!(
                "DuckDB ended with {}; --duckdb wants a Python with the packages duckdb, duckdb-extension-avro and \
                 duckdb-extension-iceberg of one version: `integration/readers/setup` prints the path of one",
                output.status
            )));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| Error::bug("DuckDB's times are unreadable").because(e))
    }
}

impl Report {
    fn take(&mut self, duckdb: DuckDb) -> Result<()> {
        for (asked, answered) in self.questions.iter_mut().zip(duckdb.answers) {
            if asked.rows != answered.rows {
                return Err(Error::bug(format!(
                    "`{}` has {} rows, and {} by DuckDB: one of them is wrong",
                    asked.sql, asked.rows, answered.rows
                )));
            }
            let seconds = median(answered.seconds);
            (asked.duckdb_seconds, asked.ratio) = (Some(seconds), Some(seconds / asked.seconds));
        }
        let logs: Vec<f64> = self.questions.iter().filter_map(|asked| asked.ratio).map(f64::ln).collect();
        self.mean_ratio = Some((logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp());
        self.duckdb = Some(duckdb.version);
        Ok(())
    }
}

fn text(report: &Report) -> String {
    let shown =
        |figure: Option<f64>, digits: usize| figure.map_or(String::new(), |figure| format!("{figure:.digits$}"));
    let rows: Vec<Vec<String>> = report
        .questions
        .iter()
        .map(|asked| {
            let ours = vec![asked.name.to_owned(), figures::count(asked.rows), shown(Some(asked.seconds), 3)];
            let theirs = vec![shown(asked.duckdb_seconds, 3), shown(asked.ratio, 2)];
            if report.duckdb.is_some() { [ours, theirs].concat() } else { ours }
        })
        .collect();
    let header: &[&str] = match report.duckdb {
        Some(_) => &["question", "rows", "seconds", "DuckDB", "ratio"],
        None => &["question", "rows", "seconds"],
    };
    let mut text = format!(
        "{} events, {} cores, median of {RUNS} times\n\n{}",
        figures::count(report.events),
        report.cores,
        figures::columns(header, &rows)
    );
    if let (Some(version), Some(ratio)) = (&report.duckdb, report.mean_ratio) {
        text.push_str(&format!("\nDuckDB {version} takes {ratio:.2} times as long, in the geometric mean\n"));
    }
    text
}

fn refused(error: std::io::Error, what: &str) -> Error {
    Error::new(ErrorKind::Refused, what.to_owned()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_where_both_count_the_same_rows() {
        let asked =
            |rows| Asked { name: "q", sql: "SELECT".into(), seconds: 2.0, rows, duckdb_seconds: None, ratio: None };
        let mut report =
            Report { events: 1, cores: 1, duckdb: None, questions: vec![asked(3), asked(4)], mean_ratio: None };
        let answered = |seconds, rows| Answered { seconds: vec![seconds; 3], rows };
        let right = DuckDb { version: "1".into(), answers: vec![answered(1.0, 3), answered(4.0, 4)] };
        report.take(right).expect("the same rows");
        assert_eq!(report.questions[0].ratio, Some(0.5));
        assert!(report.mean_ratio.is_some_and(|ratio| (ratio - 1.0).abs() < 1e-12));
        let wrong = DuckDb { version: "1".into(), answers: vec![answered(1.0, 3), answered(4.0, 5)] };
        assert!(report.take(wrong).is_err());
    }
}
