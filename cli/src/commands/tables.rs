//! `icefold tables` and `icefold snapshots`: what there is.

use chrono::{DateTime, SecondsFormat};
use iceberg::spec::SnapshotRef;
use icefold_catalog::keys::{ADDED_PREFIX, TOTAL_PREFIX};
use icefold_catalog::lineage;
use icefold_core::Result;
use serde::Serialize;

use crate::arguments::SnapshotsArguments;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// A table in the listing.
#[derive(Debug, Serialize)]
struct TableRow {
    table: String,
    /// Rows in data files, those that delete files delete counted in.
    rows: u64,
    /// Whether there are no delete files, so that `rows` is what a query counts.
    rows_are_exact: bool,
    files: u64,
    bytes: u64,
    snapshots: usize,
    current_snapshot: Option<i64>,
    committed_at: Option<String>,
    location: String,
}

/// Runs `icefold tables`.
pub(crate) async fn list(session: &Session) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let mut tables = Vec::new();
    for name in warehouse.tables().await? {
        let table = warehouse.load(&name).await?;
        let current = table.snapshot(None)?;
        let total = |key: &str| current.as_ref().map_or(0, |snapshot| number(snapshot, key));
        tables.push(TableRow {
            rows: total("total-records"),
            rows_are_exact: total("total-delete-files") == 0,
            files: total("total-data-files"),
            bytes: total("total-files-size"),
            snapshots: table.metadata().snapshots().len(),
            current_snapshot: current.as_ref().map(|snapshot| snapshot.snapshot_id()),
            committed_at: current.as_ref().map(|snapshot| time(snapshot.timestamp_ms())),
            location: table.metadata().location().to_owned(),
            table: name,
        });
    }
    session.output.result(&tables, || table_text(&tables, warehouse.location()))?;
    Ok(Exit::Done)
}

fn table_text(tables: &[TableRow], location: &str) -> String {
    if tables.is_empty() {
        return format!("no tables in {location} yet: run `icefold ingest PATH` or `icefold demo`\n");
    }
    let rows: Vec<Vec<String>> = tables
        .iter()
        .map(|table| {
            vec![
                table.table.clone(),
                format!("{}{}", if table.rows_are_exact { "" } else { "up to " }, figures::count(table.rows)),
                figures::count(table.files),
                figures::bytes(table.bytes),
                figures::count(table.snapshots as u64),
                table.committed_at.clone().unwrap_or_default(),
            ]
        })
        .collect();
    format!(
        "tables in {location}\n{}",
        figures::columns(&["table", "rows", "files", "size", "snapshots", "committed"], &rows)
    )
}

/// A snapshot in the listing.
#[derive(Debug, Serialize)]
struct SnapshotRow {
    snapshot: i64,
    committed_at: String,
    operation: String,
    added_rows: u64,
    rows: u64,
    added: CountsRow,
    total: CountsRow,
}

/// What became of the rows that came in.
#[derive(Debug, Serialize)]
struct CountsRow {
    rows_in: u64,
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
}

impl CountsRow {
    fn of(snapshot: &SnapshotRef, prefix: &str) -> CountsRow {
        let get = |name: &str| number(snapshot, &format!("{prefix}{name}"));
        CountsRow {
            rows_in: get("rows-in"),
            accepted: get("accepted"),
            duplicate: get("duplicate"),
            quarantined: get("quarantined"),
        }
    }
}

/// Runs `icefold snapshots`.
pub(crate) async fn snapshots(session: &Session, arguments: &SnapshotsArguments) -> Result<Exit> {
    let table = session.existing_warehouse().await?.load(&arguments.table).await?;
    let metadata = table.metadata();
    let snapshots: Vec<SnapshotRow> = lineage::ancestors(metadata, metadata.current_snapshot_id())
        .take(arguments.limit)
        .map(|snapshot| SnapshotRow {
            snapshot: snapshot.snapshot_id(),
            committed_at: time(snapshot.timestamp_ms()),
            operation: snapshot.summary().operation.as_str().to_owned(),
            added_rows: number(snapshot, "added-records"),
            rows: number(snapshot, "total-records"),
            added: CountsRow::of(snapshot, ADDED_PREFIX),
            total: CountsRow::of(snapshot, TOTAL_PREFIX),
        })
        .collect();
    session.output.result(&snapshots, || snapshot_text(&snapshots, &arguments.table))?;
    Ok(Exit::Done)
}

fn snapshot_text(snapshots: &[SnapshotRow], table: &str) -> String {
    if snapshots.is_empty() {
        return format!("table `{table}` has no snapshot yet\n");
    }
    let rows: Vec<Vec<String>> = snapshots
        .iter()
        .map(|snapshot| {
            let counts = [
                snapshot.added_rows,
                snapshot.rows,
                snapshot.total.rows_in,
                snapshot.total.accepted,
                snapshot.total.duplicate,
                snapshot.total.quarantined,
            ];
            let facts = [snapshot.snapshot.to_string(), snapshot.committed_at.clone(), snapshot.operation.clone()];
            facts.into_iter().chain(counts.map(figures::count)).collect()
        })
        .collect();
    let header =
        ["snapshot", "committed", "operation", "added", "rows", "rows in", "accepted", "duplicate", "quarantined"];
    figures::columns(&header, &rows)
}

fn number(snapshot: &SnapshotRef, key: &str) -> u64 {
    lineage::summary(snapshot, key).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Writes a time in milliseconds since 1970.
pub(crate) fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |t| t.to_rfc3339_opts(SecondsFormat::Millis, true))
}
