//! A person makes the tables alike where no batch does, as it may be once a checkpoint was adopted.

use std::collections::BTreeSet;

use icefold_catalog::{
    Batch, BatchPart, Candidate, CommitOutcome, Intent, LoadedTable, Progress, Role, Warehouse, batch,
};
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Delta, Ids, Result};
use rand::Rng;
use rand::rngs::SmallRng;

use super::forward::between;
use super::lake::Lake;
use super::oracle::{content, live_paths};
use super::strangers::Act;
use super::writer::{all_accepted, describe, record, records, stage};

/// Makes `events` stand where `raw_events` does, with its rows; where `events` is ahead, `raw_events` is said to be there too.
/// What is in neither shall be missing.
pub(super) async fn recover(lake: &Lake, rng: &mut SmallRng) -> Result<()> {
    let (warehouse, ids) = lake.calm(rng.random());
    let events = warehouse.load(TableKind::Events.name()).await?;
    let raw = warehouse.load(TableKind::RawEvents.name()).await?;
    let (events_at, raw_at) = (events.progress().await?, raw.progress().await?);
    if batch::ahead_of_raw(&raw_at, &events_at).is_some() {
        return catch_up(lake, &warehouse, &raw, &raw_at, &events_at).await;
    }
    let delta = between(&events_at, &raw_at)?;
    if delta.is_empty() { Ok(()) } else { derive(lake, &warehouse, &raw, &events, delta, &*ids).await }
}

/// Says of `raw_events` that it stands where `events` does, if that is further.
async fn catch_up(
    lake: &Lake,
    warehouse: &Warehouse,
    raw: &LoadedTable,
    raw_at: &Progress,
    events_at: &Progress,
) -> Result<()> {
    let mut progress = raw_at.clone();
    for (shard, position) in events_at.checkpoint.iter() {
        if position.next > raw_at.checkpoint.next(shard) {
            progress.checkpoint.set(shard.clone(), position.clone());
            progress.moved_by.remove(shard);
        }
    }
    progress.totals = all_accepted(rows_before(&progress.checkpoint));
    let candidate = Candidate { uri: "by hand".to_owned(), snapshot_id: None, progress };
    let adopted = warehouse.adopt(raw, &candidate).await?;
    lake.acts.note(adopted.metadata_location(), Act { adopts: true, ..Act::default() });
    Ok(())
}

fn rows_before(checkpoint: &Checkpoint) -> u64 {
    checkpoint.iter().map(|(_, position)| position.next.position).sum()
}

/// Takes from `raw_events` what `events` lacks, as it was decided there. It is a batch, too, that begins nowhere.
async fn derive(
    lake: &Lake,
    warehouse: &Warehouse,
    raw: &LoadedTable,
    events: &LoadedTable,
    delta: Delta,
    ids: &dyn Ids,
) -> Result<()> {
    let wanted: BTreeSet<String> = records(&delta).collect();
    let mut rows = content(raw, &live_paths(raw).await?).await?;
    rows.retain(|row| wanted.contains(record(row)));
    let found: BTreeSet<&str> = rows.iter().map(|row| record(row)).collect();
    let deleted = wanted.iter().filter(|wanted| !found.contains(wanted.as_str())).cloned().collect();
    let files = if rows.is_empty() { Vec::new() } else { vec![describe(events, "day", &rows, ids)?] };
    let intent = Intent::append(events, delta.clone(), all_accepted(wanted.len() as u64), files);
    let (id, object) = Batch::of(&[(events.name(), &intent)])?.content()?;
    let intent = intent.of_batch(BatchPart::new(id, Role::Follows));
    stage(warehouse, id, &delta, std::slice::from_ref(&intent), &rows).await?;
    warehouse.write_batch(id, object).await?;
    if let CommitOutcome::Committed { table, .. } = warehouse.commit(events.name(), &intent).await? {
        lake.acts.note(table.metadata_location(), Act { deleted, ..Act::default() });
    }
    warehouse.delete_batch(id).await
}
