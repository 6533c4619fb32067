//! `icefold batch`: what one table has and others do not have yet, and `icefold batch recover`, which levels them.

use icefold_catalog::level;
use icefold_core::{ErrorKind, Result};
use icefold_writer::{Evidence, Recovered, Recovery};
use serde::Serialize;

use crate::arguments::BatchCommand;
use crate::config;
use crate::enrichment;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// Whether the tables stand together.
#[derive(Debug, Serialize)]
struct Listed {
    /// Batches whose objects are there: some table may not have them yet.
    batches: Vec<String>,
    /// Shards that were compared.
    looked_at: String,
    /// What cannot be rolled forward.
    broken: Vec<String>,
    note: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &BatchCommand) -> Result<Exit> {
    match command {
        BatchCommand::List => list(session).await,
        BatchCommand::Recover => recover(session).await,
    }
}

async fn list(session: &Session) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let batches = match warehouse.batches().await {
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let check = level::verify(&warehouse).await?;
    let listed = Listed {
        batches: batches.iter().map(ToString::to_string).collect(),
        looked_at: check.as_ref().map_or_else(|| "no shards".to_owned(), |check| check.looked_at.clone()),
        broken: check.as_ref().map(|check| check.broken.clone()).unwrap_or_default(),
        note: check.and_then(|check| check.note),
    };
    session.output.result(&listed, || list_text(&listed))?;
    Ok(if listed.broken.is_empty() { Exit::Done } else { Exit::Broken })
}

fn list_text(listed: &Listed) -> String {
    let mut text = format!("{}; {} batch objects\n", listed.looked_at, figures::count(listed.batches.len() as u64));
    for batch in &listed.batches {
        text.push_str(&format!("  {batch}\n"));
    }
    for line in listed.broken.iter().chain(&listed.note) {
        text.push_str(&format!("{line}\n"));
    }
    if listed.broken.is_empty() && listed.note.is_none() {
        text.push_str("all tables stand together\n");
    }
    text
}

async fn recover(session: &Session) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let loaded = enrichment::load(session, &warehouse).await?;
    let settings = session.settings();
    let (writer, decode) = (settings.writer.clone(), settings.decode.clone());
    let recovery = Recovery::new(&warehouse, writer, decode, loaded.enrichment.clone());
    let recovered = Box::pin(recovery.fail_points(config::fail_points()?).run()).await?;
    session.output.result(&recovered, || recover_text(&recovered))?;
    for step in &recovered {
        let instead = match step.decided_by {
            Evidence::Snapshot => continue,
            Evidence::LaterSnapshot => "the oldest contracts that a snapshot still names have",
            Evidence::InForce => "what is in force now has",
        };
        session.output.remark(&format!(
            "it cannot be told for sure what had decided about `{}` up to `{}`: {instead}",
            step.shard, step.to
        ));
    }
    Ok(Exit::Done)
}

fn recover_text(recovered: &[Recovered]) -> String {
    if recovered.is_empty() {
        return "all tables stand together: nothing had to be derived\n".to_owned();
    }
    let mut text = String::new();
    for step in recovered {
        text.push_str(&format!(
            "derived {} of `{}` from `{}` to `{}`: {} rows, {} accepted, {} duplicate, {} quarantined\n",
            step.tables.join(", "),
            step.shard,
            step.from,
            step.to,
            figures::count(step.counts.rows_in),
            figures::count(step.counts.accepted),
            figures::count(step.counts.duplicate),
            figures::count(step.counts.quarantined),
        ));
    }
    text
}
