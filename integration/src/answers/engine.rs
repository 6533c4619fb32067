//! Who answers: icefold as a library, under its own settings or others, and engines in a Python of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::ipc::reader::StreamReader;
use arrow::util::display::array_value_to_string;
use futures::FutureExt;
use icefold_sql::{QuerySession, SessionSettings};
use serde_json::json;

use super::rows::{self, Row};
use super::tables::Tables;
use crate::program::engines;

/// A question that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Parts of a query at a time, on whatever machine: plans are the same everywhere.
const PARTITIONS: usize = 4;

/// What an engine says: rows, or the message of an error.
pub type Answer = std::result::Result<Vec<Row>, String>;

/// The state of the tables that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As they are.
    Now,
    /// At older snapshots.
    Then,
}

impl State {
    /// The name of the folder that holds the rows of that state.
    pub fn name(self) -> &'static str {
        match self {
            State::Now => "now",
            State::Then => "then",
        }
    }
}

/// Settings that change how a question is answered, and must not change the answer.
pub struct Variant {
    /// What differs from the ordinary.
    pub name: &'static str,
    partitions: usize,
    options: &'static [(&'static str, &'static str)],
    /// Whether it may refuse what is ordinarily answered.
    pub may_refuse: bool,
}

/// The ordinary settings, then others.
pub const VARIANTS: [Variant; 8] = [
    Variant { name: "ordinary settings", partitions: PARTITIONS, options: &[], may_refuse: false },
    Variant { name: "one partition", partitions: 1, options: &[], may_refuse: false },
    Variant {
        name: "seven rows a batch",
        partitions: 3,
        options: &[("datafusion.execution.batch_size", "7")],
        may_refuse: false,
    },
    Variant {
        name: "no logical optimizer",
        partitions: PARTITIONS,
        options: &[("datafusion.optimizer.max_passes", "0")],
        // Subqueries run only when a rule has made joins of them.
        may_refuse: true,
    },
    Variant {
        name: "no filters from one operator to another",
        partitions: PARTITIONS,
        options: &[("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")],
        may_refuse: false,
    },
    Variant {
        name: "no filters and bounds in Parquet",
        partitions: PARTITIONS,
        options: &[
            ("datafusion.execution.parquet.pushdown_filters", "false"),
            ("datafusion.execution.parquet.pruning", "false"),
            ("datafusion.execution.parquet.enable_page_index", "false"),
            ("datafusion.execution.parquet.bloom_filter_on_read", "false"),
        ],
        may_refuse: false,
    },
    Variant {
        name: "joins by sorting",
        partitions: PARTITIONS,
        options: &[("datafusion.optimizer.prefer_hash_join", "false")],
        may_refuse: false,
    },
    Variant {
        name: "partitioned joins and no statistics",
        partitions: PARTITIONS,
        options: &[
            ("datafusion.optimizer.hash_join_single_partition_threshold", "0"),
            ("datafusion.optimizer.hash_join_single_partition_threshold_rows", "0"),
            ("datafusion.optimizer.join_reordering", "false"),
            ("datafusion.optimizer.top_down_join_key_reordering", "false"),
        ],
        may_refuse: false,
    },
];

/// icefold over the tables, at both states and under all settings.
pub struct Icefold {
    sessions: BTreeMap<(State, usize), QuerySession>,
}

impl Icefold {
    /// Opens the sessions.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn open(tables: &Tables) -> Result<Icefold> {
        let mut sessions = BTreeMap::new();
        for state in [State::Now, State::Then] {
            let pinned = if state == State::Then { tables.then.clone() } else { BTreeMap::new() };
            for (place, variant) in VARIANTS.iter().enumerate() {
                let target_partitions = variant.partitions;
                let settings =
                    SessionSettings { target_partitions, pinned: pinned.clone(), ..SessionSettings::default() };
                let mut session = QuerySession::open(&tables.warehouse, settings).await?;
                for (key, value) in variant.options {
                    session = session.with_option(key, value)?;
                }
                sessions.insert((state, place), session);
            }
        }
        Ok(Icefold { sessions })
    }

    /// Answers under the settings at a place in [`VARIANTS`]; a panic is an error like others.
    #[expect(clippy::disallowed_methods, reason = "a question changes nothing: one that is cut short has no answer")]
    pub async fn answer(&self, state: State, variant: usize, sql: &str) -> Answer {
        let asked = AssertUnwindSafe(self.batches(state, variant, sql)).catch_unwind();
        let batches = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answered)) => answered.map_err(|e| said(&e))?,
            Ok(Err(_)) => return Err("panicked".to_owned()),
            Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        rows::rows(&batches).map_err(|e| e.to_string())
    }

    /// Answers as people read it: rows of texts, `NULL` and `(empty)` among them.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn texts(&self, state: State, sql: &str) -> icefold_core::Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        for batch in self.batches(state, 0, sql).await? {
            let text = |row, column: &ArrayRef| match array_value_to_string(column, row) {
                _ if column.is_null(row) => "NULL".to_owned(),
                Ok(text) if text.is_empty() => "(empty)".to_owned(),
                Ok(text) => text,
                Err(e) => e.to_string(),
            };
            rows.extend((0..batch.num_rows()).map(|row| batch.columns().iter().map(|of| text(row, of)).collect()));
        }
        Ok(rows)
    }

    async fn batches(&self, state: State, variant: usize, sql: &str) -> icefold_core::Result<Vec<RecordBatch>> {
        self.sessions[&(state, variant)].query(sql).await?.into_batches().await
    }
}

/// An error and what is behind it.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An engine that answers questions one after another, while we do something else.
pub struct Other {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Other {
    /// Starts `duckdb` or `spark` over the rows of the tables; `scratch` is a folder for the questions.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask<'a>(
        engine: &str,
        tables: &Tables,
        scratch: &Path,
        questions: impl Iterator<Item = (State, &'a str)>,
    ) -> Result<Other> {
        let file: PathBuf = scratch.join(format!("questions-to-{engine}"));
        let mut lines = BufWriter::new(File::create(&file)?);
        for (state, sql) in questions {
            writeln!(lines, "{}", json!({ "at": state.name(), "sql": sql }))?;
        }
        lines.flush()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/answer.py");
        let mut command = Command::new(engines());
        command.arg(script).arg(engine).arg(&tables.rows).stdin(File::open(file)?).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{engine} cannot be started"))?;
        let answers = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Other { child, answers })
    }

    /// Takes the answer to the next question.
    ///
    /// # Errors
    /// When the engine died.
    pub fn next_answer(&mut self) -> Result<Answer> {
        let (mut kind, mut length) = ([0; 1], [0; 4]);
        self.answers.read_exact(&mut kind).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => anyhow::anyhow!("the engine ended before it had answered; see above"),
            _ => e.into(),
        })?;
        self.answers.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.answers.read_exact(&mut body)?;
        if kind == *b"e" {
            return Ok(Err(String::from_utf8_lossy(&body).into_owned()));
        }
        let batches = StreamReader::try_new(body.as_slice(), None)?.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(rows::rows(&batches).map_err(|e| e.to_string()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed.
    pub fn end(mut self) -> Result<()> {
        drop(self.answers);
        let status = self.child.wait()?;
        ensure!(status.success(), "the engine ended with {status}");
        Ok(())
    }
}
