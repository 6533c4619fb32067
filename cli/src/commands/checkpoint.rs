//! `icefold checkpoint`: the exact place in each source that a table, or one of its snapshots, stands at; `icefold checkpoint
//! adopt`: how a person says where it stands when its history cannot prove it any more.

use icefold_catalog::lineage::{Halt, Standing};
use icefold_catalog::{Candidate, LoadedTable, Progress, Warehouse};
use icefold_core::{Counts, Error, Result};
use serde::Serialize;

use crate::arguments::{AdoptArguments, CheckpointArguments, CheckpointCommand};
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
    if let Some(CheckpointCommand::Adopt(arguments)) = &arguments.command {
        return adopt(session, arguments).await;
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

fn shards(progress: &Progress) -> Vec<ShardRow> {
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

fn shard_text(shards: &[ShardRow]) -> String {
    let row = |s: &ShardRow| vec![s.shard.clone(), s.segment.clone(), figures::count(s.position)];
    let rows: Vec<Vec<String>> = shards.iter().map(row).collect();
    figures::columns(&["shard", "segment", "position"], &rows)
}

/// What adopting a checkpoint assumes, and whether it was done.
#[derive(Debug, Serialize)]
struct Adoption {
    table: String,
    /// Snapshot that is current, whose rows are said to be those of the stream.
    snapshot: Option<i64>,
    /// Rows that it holds, as its summary says.
    rows: Option<u64>,
    checkpoint: String,
    checkpoint_snapshot: Option<i64>,
    shards: Vec<ShardRow>,
    totals: Counts,
    assumes: Vec<String>,
    adopted: bool,
    /// Snapshot that was made, which names the checkpoint.
    made_snapshot: Option<i64>,
}

async fn adopt(session: &Session, arguments: &AdoptArguments) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let table = warehouse.load(&arguments.table).await?;
    let chosen = chosen(&warehouse, &table, arguments).await?;
    let mut adoption = adoption(&table, &chosen)?;
    if arguments.yes {
        let adopted = warehouse.adopt(&table, &chosen).await?;
        (adoption.adopted, adoption.made_snapshot) = (true, adopted.metadata().current_snapshot_id());
    }
    session.output.result(&adoption, || adoption_text(&adoption))?;
    Ok(Exit::Done)
}

/// The checkpoint that is meant: the one that was named, else the newest that is known.
async fn chosen(warehouse: &Warehouse, table: &LoadedTable, arguments: &AdoptArguments) -> Result<Candidate> {
    if let Some(uri) = &arguments.checkpoint {
        let progress = warehouse.read_checkpoint(table, uri).await?;
        return Ok(Candidate { uri: uri.clone(), snapshot_id: None, progress });
    }
    let found = warehouse.checkpoint_candidates(table).await?;
    let newest = match table.standing().await? {
        Standing::At(stated) | Standing::Halt(Halt::Unproven(stated) | Halt::RolledBack(stated)) => Some(stated.uri),
        // What is known to be named need not be the newest, so somebody has to choose.
        Standing::Fresh | Standing::Halt(_) => None,
    };
    let is_chosen = |c: &&Candidate| match arguments.from {
        Some(id) => c.snapshot_id == Some(id),
        None => newest.as_ref() == Some(&c.uri),
    };
    match found.iter().find(is_chosen) {
        Some(chosen) => Ok(chosen.clone()),
        None => Err(not_found(table.name(), arguments.from, &found)),
    }
}

fn not_found(table: &str, from: Option<i64>, found: &[Candidate]) -> Error {
    let what = match from {
        Some(id) => format!("snapshot `{id}` of table `{table}` names no checkpoint that is still there"),
        None => format!("the metadata of table `{table}` does not tell which checkpoint is its newest"),
    };
    if found.is_empty() {
        return Error::invalid(format!(
            "{what}, and no checkpoint object of the table exists: restore the folder `_icefold` of the warehouse from a backup"
        ));
    }
    let lines: Vec<String> = found.iter().map(candidate_line).collect();
    Error::invalid(format!(
        "{what}: choose one of these, those that are named first (an object that nothing names may be of a commit that never came to \
         be)\n{}",
        lines.join("\n")
    ))
}

fn candidate_line(candidate: &Candidate) -> String {
    let option = match candidate.snapshot_id {
        Some(id) => format!("--from {id}"),
        None => format!("--checkpoint {}", candidate.uri),
    };
    let places: Vec<String> = candidate.progress.checkpoint.iter().map(|(s, p)| format!("{s} at {}", p.next)).collect();
    format!("  {option}  ({} rows in; {})", figures::count(candidate.progress.totals.rows_in), places.join(", "))
}

fn adoption(table: &LoadedTable, chosen: &Candidate) -> Result<Adoption> {
    let current = table.snapshot(None)?;
    let rows = current.as_ref().and_then(|s| icefold_catalog::lineage::summary(s, "total-records")?.parse().ok());
    let snapshot = current.map(|s| s.snapshot_id());
    let is = snapshot.map_or_else(|| "an empty table".to_owned(), |id| format!("snapshot {id}"));
    let assumes = vec![
        format!(
            "each row of the stream before these positions is in {is}, or was removed on purpose: what is missing is not read again"
        ),
        format!("no row of the stream from these positions on is in {is}: what is there already would be there twice"),
    ];
    Ok(Adoption {
        table: table.name().to_owned(),
        snapshot,
        rows,
        checkpoint: chosen.uri.clone(),
        checkpoint_snapshot: chosen.snapshot_id,
        shards: shards(&chosen.progress),
        totals: chosen.progress.totals,
        assumes,
        adopted: false,
        made_snapshot: None,
    })
}

fn adoption_text(adoption: &Adoption) -> String {
    let of = adoption.checkpoint_snapshot.map_or_else(|| adoption.checkpoint.clone(), |id| format!("snapshot {id}"));
    let stands = if adoption.adopted { "stands" } else { "would stand" };
    let mut text = format!("table {} {stands} at the checkpoint of {of}:\n\n", adoption.table);
    text.push_str(&shard_text(&adoption.shards));
    let rows = adoption.rows.map_or_else(|| "an unknown number of".to_owned(), figures::count);
    text.push_str(&format!(
        "\n{} rows had come in up to there; the table holds {rows} rows\n\nthis assumes that\n",
        figures::count(adoption.totals.rows_in)
    ));
    adoption.assumes.iter().for_each(|what| text.push_str(&format!("- {what}\n")));
    text.push_str(match adoption.adopted {
        true => "\nadopted: the next `icefold ingest` goes on from there\n",
        false => "\nnothing was changed: if that is so, run it again with --yes\n",
    });
    text
}
