//! `icefold checkpoint`: the exact place in each source that a table, or one of its snapshots, stands at.

use icefold_core::{Counts, Result};
use serde::Serialize;

use crate::arguments::CheckpointArguments;
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
struct ShardRow {
    shard: String,
    segment: String,
    position: u64,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &CheckpointArguments) -> Result<Exit> {
    let table = session.existing_warehouse().await?.load(&arguments.table).await?;
    let progress = match arguments.snapshot {
        Some(id) => table.progress_at(id).await?,
        None => table.progress().await?,
    };
    let snapshot = table.snapshot(arguments.snapshot)?.map(|snapshot| snapshot.snapshot_id());
    let shards = progress.checkpoint.iter().map(|(shard, position)| ShardRow {
        shard: shard.to_string(),
        segment: position.next.segment.to_string(),
        position: position.next.position,
    });
    let report = Report { table: arguments.table.clone(), snapshot, shards: shards.collect(), totals: progress.totals };
    session.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

fn text(report: &Report) -> String {
    let Some(snapshot) = report.snapshot else { return format!("table `{}` has no snapshot yet\n", report.table) };
    let mut text = format!("table {} at snapshot {snapshot} holds everything before\n\n", report.table);
    let rows: Vec<Vec<String>> = report
        .shards
        .iter()
        .map(|shard| vec![shard.shard.clone(), shard.segment.clone(), figures::count(shard.position)])
        .collect();
    text.push_str(&figures::columns(&["shard", "segment", "position"], &rows));
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
