//! `icefold checkpoint adopt`: how a person says where a table stands when its history cannot prove it any more.

use icefold_catalog::lineage::{Halt, Standing};
use icefold_catalog::{Candidate, LoadedTable, Progress, Warehouse};
use icefold_core::{Counts, Error, Result};
use serde::Serialize;

use super::checkpoint::{ShardRow, shard_text, shards};
use super::query;
use crate::arguments::AdoptArguments;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

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

/// Runs the command.
pub(super) async fn run(session: &Session, arguments: &AdoptArguments) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let table = warehouse.load(&arguments.table).await?;
    let chosen = chosen(&warehouse, &table, arguments).await?;
    let tables = query::open(session, &warehouse, Default::default()).await?;
    let behind = query::number(&tables, &rows_from_there_on(table.name(), &chosen.progress)).await?;
    if behind > 0 {
        return Err(would_double(table.name(), behind));
    }
    let mut adoption = adoption(&table, &chosen)?;
    if arguments.yes {
        let adopted = warehouse.adopt(&table, &chosen).await?;
        (adoption.adopted, adoption.made_snapshot) = (true, adopted.metadata().current_snapshot_id());
    }
    session.output.result(&adoption, || adoption_text(&adoption))?;
    Ok(Exit::Done)
}

/// Counts the rows that the stream would bring once more.
fn rows_from_there_on(table: &str, progress: &Progress) -> String {
    let is_before = |(shard, position): (&icefold_core::ShardId, &icefold_core::ShardPosition)| {
        let (shard, segment) = (query::literal(shard.as_str()), query::literal(&position.next.segment));
        let position = position.next.position;
        format!(
            " OR (shard = {shard} AND (segment < {segment} OR (segment = {segment} AND source_offset < {position})))"
        )
    };
    let before: String = progress.checkpoint.iter().map(is_before).collect();
    format!("SELECT count(*) FROM \"{table}\" WHERE NOT (false{before})")
}

fn would_double(table: &str, rows: u64) -> Error {
    Error::invalid(format!(
        "table `{table}` holds {} rows of the stream from this checkpoint on, which would come a second time: roll the table back to \
         the snapshot of the checkpoint first (Spark: `CALL system.rollback_to_snapshot`), or adopt a later checkpoint",
        figures::count(rows)
    ))
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
