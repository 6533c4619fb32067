//! From a sealed batch to what is written ahead: one intent for each table, stated in one batch object.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use icefold_catalog::{AnnouncedTable, Batch, BatchPart, Intent, Role, keys};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Delta, Error, Result};

use super::{TableState, Targets};
use crate::encode::{EncodedFile, EncodedRowGroup, partition};
use crate::pipeline::{BatchSummary, Crew, SealedBatch, TABLES, index_of};

/// Key of a snapshot summary: the contract and version that decided about the rows. Commits of the writer alone have it.
pub(crate) const CONTRACT: &str = "icefold.contract";

/// A batch, ready to be announced, uploaded, written ahead and committed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: BatchId,
    /// The batch object.
    pub(super) content: Vec<u8>,
    pub(super) delta: Delta,
    /// With the place of their table in `TableKind::ALL`, which is the order of their commits.
    pub(super) intents: Vec<(usize, Intent)>,
    pub(super) uploads: Vec<Upload>,
}

/// An object to write.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) uri: String,
    pub(super) parts: Vec<Bytes>,
}

impl Plan {
    pub(super) fn announced(&self) -> Vec<AnnouncedTable> {
        let files = |intent: &Intent| intent.add.iter().map(|new| new.file.file_path().to_owned()).collect();
        let with_files = self.intents.iter().filter(|(_, intent)| !intent.add.is_empty());
        with_files.map(|(_, intent)| AnnouncedTable { table_uuid: intent.table_uuid, files: files(intent) }).collect()
    }
}

/// Plans a batch. Closing Parquet files copies their bytes once, so it is not done on a thread that waits for others, and
/// for all tables at the same time.
///
/// # Errors
/// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the tables are not level; those of
/// [`TableEncoder::assemble`](crate::encode::TableEncoder::assemble).
pub(super) async fn plan(
    tables: &[TableState; TABLES],
    targets: Targets,
    mut batch: SealedBatch,
    contract: &str,
    crew: &Crew,
    new_name: &(dyn Fn() -> String + Send + Sync),
) -> Result<Plan> {
    let delta = delta(tables, targets, &batch.summary)?;
    let facts = Arc::new(facts(&batch, contract));
    let mut planned = Vec::new();
    for (table, state) in tables.iter().enumerate().filter(|(table, _)| targets[*table]) {
        let files = take_files(&mut batch.files, table);
        let files = files.into_iter().map(|(day, groups)| (new_name(), day, groups)).collect();
        // The batch may have been encoded before the table got its newest columns.
        let state = TableState { encoder: batch.epoch.encoders[table].clone(), ..state.clone() };
        let (delta, facts, counts) = (delta.clone(), facts.clone(), batch.summary.counts);
        planned.push(crew.compute(move || {
            let (mut intent, uploads) = plan_table(&state, delta, files)?;
            (intent.counts, intent.summary) = (counts, (*facts).clone());
            Ok((table, intent, uploads))
        }));
    }
    let (mut intents, mut uploads) = (Vec::new(), Vec::new());
    for (table, intent, mut files) in futures::future::try_join_all(planned).await? {
        intents.push((table, intent));
        uploads.append(&mut files);
    }
    let stated: Vec<(&str, &Intent)> = intents.iter().map(|(table, i)| (TableKind::ALL[*table].name(), i)).collect();
    let (id, content) = Batch::of(&stated)?.content()?;
    let role = |table| if table == index_of(TableKind::RawEvents) { Role::Leads } else { Role::Follows };
    let of_batch = |(table, intent): (usize, Intent)| (table, intent.of_batch(BatchPart::new(id, role(table))));
    let intents = intents.into_iter().map(of_batch).collect();
    Ok(Plan { id, content, delta, intents, uploads })
}

/// From where the tables stand to where the batch ends.
fn delta(tables: &[TableState; TABLES], targets: Targets, summary: &BatchSummary) -> Result<Delta> {
    let targeted = || tables.iter().zip(targets).filter(|(_, is_target)| *is_target).map(|(state, _)| state);
    let Some(first) = targeted().next() else { return Ok(Delta::default()) };
    let mut delta = Delta::default();
    for (shard, end) in &summary.ends {
        let from = first.checkpoint.next(shard);
        if let Some(uneven) = targeted().find(|state| state.checkpoint.next(shard) != from) {
            return Err(Error::bug(format!(
                "shard `{shard}` is not level in `{}` when it goes on",
                uneven.kind.name()
            )));
        }
        if from < end.next {
            delta.insert(shard.clone(), from, end.clone())?;
        }
    }
    Ok(delta)
}

/// What the snapshots' summaries say about the batch.
fn facts(batch: &SealedBatch, contract: &str) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = batch.summary.versions.summary().collect();
    facts.insert(CONTRACT.to_owned(), contract.to_owned());
    let contracts = batch.epoch.contracts.as_ref().and_then(|active| active.uri.clone());
    facts.extend(contracts.map(|uri| (keys::CONTRACTS.to_owned(), uri)));
    facts
}

fn plan_table(
    state: &TableState,
    delta: Delta,
    files: Vec<(String, i32, Vec<EncodedRowGroup>)>,
) -> Result<(Intent, Vec<Upload>)> {
    let (mut entries, mut uploads) = (Vec::new(), Vec::new());
    for (name, day, row_groups) in files {
        let uri = state.table.new_data_path(&partition::folder(state.kind, day), &name);
        let EncodedFile { parts, file } = state.encoder.assemble(uri.clone(), day, row_groups)?;
        entries.push(file);
        uploads.push(Upload { uri, parts });
    }
    let intent = Intent::append(&state.table, delta, Default::default(), entries);
    Ok((intent.under_spec(state.encoder.partition_spec_id()), uploads))
}

fn take_files(
    files: &mut BTreeMap<(usize, i32), Vec<EncodedRowGroup>>,
    table: usize,
) -> Vec<(i32, Vec<EncodedRowGroup>)> {
    let of_table: Vec<_> = files.range((table, i32::MIN)..=(table, i32::MAX)).map(|(key, _)| *key).collect();
    of_table.into_iter().filter_map(|key| files.remove(&key).map(|groups| (key.1, groups))).collect()
}
