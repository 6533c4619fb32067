//! From a sealed batch to one intent for each table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use icefold_catalog::{Intent, keys};
use icefold_core::{Delta, Result};
use uuid::Uuid;

use super::TableState;
use crate::encode::{EncodedFile, EncodedRowGroup, partition};
use crate::pipeline::{BatchSummary, Crew, SealedBatch, TABLES};

/// Key of a snapshot summary: the contract and version that decided about the rows. Commits of the writer alone have it.
pub(crate) const CONTRACT: &str = "icefold.contract";

/// What is committed to one table.
#[derive(Debug)]
pub(super) struct Plan {
    /// Place of the table in `TableKind::ALL`.
    pub(super) table: usize,
    pub(super) intent: Intent,
    pub(super) rows: u64,
}

/// An object to write.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) uri: String,
    pub(super) parts: Vec<Bytes>,
}

/// Plans a batch. Closing Parquet files copies their bytes once, so it is not done on a thread that waits for others, and
/// for all tables at the same time.
///
/// # Errors
/// Those of [`TableEncoder::assemble`](crate::encode::TableEncoder::assemble).
pub(super) async fn plan(
    tables: &[TableState; TABLES],
    mut batch: SealedBatch,
    contract: &str,
    crew: &Crew,
) -> Result<(Vec<Plan>, Vec<Upload>)> {
    let summary = Arc::new(batch.summary);
    let mut planned = Vec::new();
    for (table, state) in tables.iter().enumerate() {
        // Rows of a table whose checkpoint lies beyond the batch were left out on reading, so no file is forgotten.
        let delta = delta(state, &summary)?;
        if delta.is_empty() {
            continue;
        }
        let files = take_files(&mut batch.files, table);
        // The batch may have been encoded before the table got its newest columns.
        let state = TableState { encoder: batch.epoch.encoders[table].clone(), ..state.clone() };
        let (summary, contract, epoch) = (summary.clone(), contract.to_owned(), batch.epoch.clone());
        planned.push(crew.compute(move || {
            let (mut plan, uploads) = plan_table(table, &state, delta, files, &summary, &contract)?;
            if let Some(uri) = epoch.contracts.as_ref().and_then(|active| active.uri.clone()) {
                plan.intent.summary.insert(keys::CONTRACTS.to_owned(), uri);
            }
            Ok((plan, uploads))
        }));
    }
    let (mut plans, mut uploads) = (Vec::new(), Vec::new());
    for (plan, mut files) in futures::future::try_join_all(planned).await? {
        plans.push(plan);
        uploads.append(&mut files);
    }
    Ok((plans, uploads))
}

/// From where the table stands to where the batch ends; shards that the table has beyond that are left out.
fn delta(state: &TableState, summary: &BatchSummary) -> Result<Delta> {
    let mut delta = Delta::default();
    for (shard, end) in &summary.ends {
        let from = state.checkpoint.next(shard);
        if from < end.next {
            delta.insert(shard.clone(), from, end.clone())?;
        }
    }
    Ok(delta)
}

#[expect(clippy::disallowed_methods, reason = "a name that nobody knew before; the simulation does not compare names")]
fn plan_table(
    table: usize,
    state: &TableState,
    delta: Delta,
    files: Vec<(i32, Vec<EncodedRowGroup>)>,
    summary: &BatchSummary,
    contract: &str,
) -> Result<(Plan, Vec<Upload>)> {
    let (mut entries, mut uploads) = (Vec::new(), Vec::new());
    for (day, row_groups) in files {
        let folder = partition::folder(state.kind, day);
        let uri = state.table.new_data_path(&folder, &Uuid::now_v7().to_string());
        let EncodedFile { parts, file } = state.encoder.assemble(uri.clone(), day, row_groups)?;
        entries.push(file);
        uploads.push(Upload { uri, parts });
    }
    let rows = entries.iter().map(|file| file.record_count()).sum();
    let counts = summary.counts[crate::pipeline::index_of(state.kind)];
    let intent = Intent::append(&state.table, delta, counts, entries);
    let mut intent = intent.under_spec(state.encoder.partition_spec_id());
    intent.summary.insert(CONTRACT.to_owned(), contract.to_owned());
    intent.summary.extend(summary.versions.summary());
    Ok((Plan { table, intent, rows }, uploads))
}

fn take_files(
    files: &mut BTreeMap<(usize, i32), Vec<EncodedRowGroup>>,
    table: usize,
) -> Vec<(i32, Vec<EncodedRowGroup>)> {
    let of_table: Vec<_> = files.range((table, i32::MIN)..=(table, i32::MAX)).map(|(key, _)| *key).collect();
    of_table.into_iter().filter_map(|key| files.remove(&key).map(|groups| (key.1, groups))).collect()
}
