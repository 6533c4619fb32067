//! `icefold checkpoint`: the exact place in each source that a table, or one of its snapshots, stands at.

use icefold_catalog::Progress;
use icefold_core::{Counts, Result};
use serde::Serialize;

use super::adopt;
use crate::arguments::{CheckpointArguments, CheckpointCommand};
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// The checkpoint of a snapshot.
#[derive(Debug, Serialize)]
struct Report {
    table: String,
    snapshot: Option<i64>,
    shards: Vec<ShardRow>,
    totals: Counts,
}

/// How far one shard is.
#[derive(Debug, Serialize)]
pub(super) struct ShardRow {
    shard: String,
    segment: String,
    position: u64,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &CheckpointArguments) -> Result<Exit> {
    if let Some(CheckpointCommand::Adopt(arguments)) = &arguments.command {
        return adopt::run(session, arguments).await;
    }
    let name = arguments.table.clone().unwrap_or_default();
    let table = session.existing_warehouse().await?.load(&name).await?;
    let progress = match arguments.snapshot {
        Some(id) => table.progress_at(id).await?,
        None => table.progress().await?,
    };
    let snapshot = table.snapshot(arguments.snapshot)?.map(|snapshot| snapshot.snapshot_id());
    let report = Report { table: name, snapshot, shards: shards(&progress), totals: progress.totals };
    session.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

pub(super) fn shards(progress: &Progress) -> Vec<ShardRow> {
    let row = |(shard, position): (&icefold_core::ShardId, &icefold_core::ShardPosition)| ShardRow {
        shard: shard.to_string(),
        segment: position.next.segment.to_string(),
        position: position.next.position,
    };
    progress.checkpoint.iter().map(row).collect()
}

fn text(report: &Report) -> String {
    let Some(snapshot) = report.snapshot else { return format!("table `{}` has no snapshot yet\n", report.table) };
    let mut text = format!("table {} at snapshot {snapshot} holds everything before\n\n", report.table);
    text.push_str(&shard_text(&report.shards));
    let totals = &report.totals;
    text.push_str(&format!(
        "\n{} rows in = {} accepted + {} duplicate + {} quarantined\n",
        figures::count(totals.rows_in),
        figures::count(totals.accepted),
        figures::count(totals.duplicate),
        figures::count(totals.quarantined)
    ));
    text
}

pub(super) fn shard_text(shards: &[ShardRow]) -> String {
    let row = |s: &ShardRow| vec![s.shard.clone(), s.segment.clone(), figures::count(s.position)];
    let rows: Vec<Vec<String>> = shards.iter().map(row).collect();
    figures::columns(&["shard", "segment", "position"], &rows)
}
