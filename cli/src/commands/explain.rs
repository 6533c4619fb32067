//! `icefold explain`: everything that is known of one event: where it came from, what was decided about it and why, and
//! where it lies.

use std::collections::BTreeMap;

use icefold_catalog::{LoadedTable, Warehouse, lineage};
use icefold_core::tables::{EVENTS, QUARANTINE, TableKind};
use icefold_core::{Error, ErrorKind, Result};
use icefold_sql::{Equal, QuerySession, files_with};
use serde::Serialize;
use serde_json::{Map, Value};

use super::query;
use crate::arguments::ExplainArguments;
use crate::exit::Exit;
use crate::session::Session;

/// Columns that are long and say nothing about what was decided.
const LONG: &[&str] = &["payload", "batch_envelope", "properties", "traits", "context", "extra"];

/// What is known of an event.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    message_id: String,
    /// `accepted` or `quarantined`.
    outcome: &'static str,
    /// Table and file of its row, and the commit that brought it.
    rows: Vec<Row>,
    /// What deduplication decided, in words.
    deduplication: String,
}

/// A row of the event, with where it lies.
#[derive(Debug, Serialize)]
struct Row {
    table: &'static str,
    columns: Map<String, Value>,
    files: Vec<Place>,
}

/// A file, and the commit that brought it.
#[derive(Debug, Serialize)]
struct Place {
    file: String,
    snapshot: i64,
    /// The snapshot's summary; empty once it has expired.
    summary: BTreeMap<String, String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &ExplainArguments) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let explanation = explain(session, &warehouse, &arguments.event_id).await?;
    session.output.result(&explanation, || text(&explanation))?;
    Ok(Exit::Done)
}

/// Collects everything.
///
/// # Errors
/// `NotFound` when there is no such event; errors of store and catalog.
pub(crate) async fn explain(session: &Session, warehouse: &Warehouse, id: &str) -> Result<Explanation> {
    let tables = query::open(session, warehouse, BTreeMap::new()).await?;
    let (accepted, quarantined) = (
        rows(&tables, warehouse, TableKind::Events, id).await?,
        rows(&tables, warehouse, TableKind::Quarantine, id).await?,
    );
    let outcome = match (accepted.is_empty(), quarantined.is_empty()) {
        (false, _) => "accepted",
        (true, false) => "quarantined",
        (true, true) => {
            let message = format!(
                "no event `{id}` in `events` or `quarantine`: check the id, or ingest its source; an id that cannot be read \
                 is found in `raw_events` by its payload alone"
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
    };
    let window = session.settings().writer.dedup_window_seconds;
    let deduplication = match outcome {
        "accepted" => format!(
            "accepted as the first of its id; repeats that arrive within {window} s of the stream's newest arrival are \
             left out"
        ),
        _ => "not decided: only events that pass their contract are compared".to_owned(),
    };
    let rows = accepted.into_iter().chain(quarantined).collect();
    Ok(Explanation { message_id: id.to_owned(), outcome, rows, deduplication })
}

async fn rows(tables: &QuerySession, warehouse: &Warehouse, kind: TableKind, id: &str) -> Result<Vec<Row>> {
    let columns = if kind == TableKind::Events { EVENTS } else { QUARANTINE };
    let shown = columns.iter().map(|column| column.name).filter(|name| !LONG.contains(name)).collect::<Vec<_>>();
    let sql = format!("SELECT {} FROM {} WHERE message_id = {}", shown.join(", "), kind.name(), query::literal(id));
    let found = query::objects(&query::rows(tables, &sql).await?)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let table = warehouse.load(kind.name()).await?;
    let mut rows = Vec::with_capacity(found.len());
    for columns in found {
        let files = files_with(&table, &place_of(&columns)).await?;
        let files: Vec<(String, i64)> =
            files.iter().map(|live| (live.file.file_path().to_owned(), live.snapshot_id)).collect();
        rows.push(Row { table: kind.name(), files: places(&table, &files), columns });
    }
    Ok(rows)
}

/// What tells a row from every other one: an id may have been accepted again after the window.
fn place_of(columns: &Map<String, Value>) -> Vec<(&str, Equal<'_>)> {
    let names = ["message_id", "shard", "segment", "source_offset", "sub_offset"];
    let conditions = names.into_iter().filter_map(|name| match columns.get(name)? {
        Value::String(text) => Some((name, Equal::Text(text))),
        Value::Number(number) => Some((name, Equal::Number(number.as_i64()?))),
        _ => None,
    });
    conditions.collect()
}

fn places(table: &LoadedTable, files: &[(String, i64)]) -> Vec<Place> {
    let summary = |snapshot: i64| {
        let snapshot = table.metadata().snapshot_by_id(snapshot);
        let ours = |key: &str| key.starts_with("icefold.");
        let entries = snapshot.map(|s| lineage::properties(s).filter(|(key, _)| ours(key)).collect());
        entries.unwrap_or_default()
    };
    files
        .iter()
        .map(|(file, snapshot)| Place { file: file.clone(), snapshot: *snapshot, summary: summary(*snapshot) })
        .collect()
}

/// Returns the explanation for people.
pub(crate) fn text(explanation: &Explanation) -> String {
    let mut text = format!("event {} was {}\n", explanation.message_id, explanation.outcome);
    for row in &explanation.rows {
        text.push_str(&format!("\nrow of {}\n", row.table));
        for (column, value) in row.columns.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("  {column:<22}  {value}\n"));
        }
        for place in &row.files {
            text.push_str(&format!("\n  file      {}\n  snapshot  {}\n", place.file, place.snapshot));
            for (key, value) in &place.summary {
                text.push_str(&format!("  {key}  {value}\n"));
            }
            if place.summary.is_empty() {
                text.push_str("  (the snapshot has expired, its summary is gone)\n");
            }
        }
    }
    text.push_str(&format!("\ndeduplication: {}\n", explanation.deduplication));
    text
}
